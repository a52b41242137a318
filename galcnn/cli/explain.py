"""galcnn explain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from galcnn.cli import options

if TYPE_CHECKING:
    from galcnn.explain.explanation import Wrt
    from galcnn.layers import LayerStack


@click.command(name="explain", cls=options.Command)
@click.argument("model")
@click.argument("cutouts", nargs=-1, metavar="[IMAGE]...")
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="METHOD",
    help="Method, see galcnn plugins, with settings after a colon; 'all' for all that work.  [default: "
    "occlusion, integrated_gradients and cam, if they work]",
)
@options.target
@click.option(
    "--wrt",
    type=click.Choice(["stretched", "flux", "sigma"]),
    default="stretched",
    show_default=True,
    help="Take gradients with respect to the stretched image that the network sees, flux, or flux in units "
    "of the noise.",
)
@click.option("--segmentation", is_flag=True, help="Add a segmentation map of the galaxy and its neighbours.")
@options.or_catalog
@options.one_galaxy
@options.files
@options.section(
    "Output",
    click.option(
        "--out", metavar="FITS", help="Layers file of one image, or folder for the layers files of several."
    ),
    click.option(
        "--append", is_flag=True, help="Add the maps to an existing layers file, or to the file of --onto."
    ),
    click.option(
        "--onto",
        metavar="ORIGINAL",
        help="File from which the image was cut: a copy of it with the maps on its pixels goes to --out.",
    ),
    click.option("--save", metavar="PNG", help="Draw the images and their maps; --out can then be left out."),
)
@options.orientations
@options.overwrite
@options.device
@options.quiet
def command(
    model: str,
    cutouts: tuple[str, ...],
    methods: tuple[str, ...],
    target: str | None,
    wrt: Wrt,
    segmentation: bool,
    catalog: str | None,
    one_galaxy: bool,
    out: str | None,
    append: bool,
    onto: str | None,
    save: str | None,
    overwrite: bool,
    device: str,
    quiet: bool,
    orientations: int | None,
    **given: Any,
) -> None:
    """Explain predictions by maps, as layers of a FITS file.

    \b
    galcnn explain model galaxy.fits --save maps.png
    galcnn explain model galaxy.fits --method saliency --method cam --target spiral --out layers.fits
    galcnn explain model *.fits --method smoothgrad:n=50,noise=sigma --wrt sigma --out explained/
    galcnn explain model --catalog sky/catalog.ecsv --number 20 --out explained/ --save maps.png
    galcnn explain other galaxy.fits --append --out layers.fits
    galcnn explain model cutout.fits --fit --onto survey.fits --out survey-with-maps.fits

    If the output is a folder, an interrupted run is continued by the same command. Images that cannot be
    read are skipped, with the reason. If the model was calibrated, the maps explain the class of the
    calibrated prediction. What is explained is the model's answer, by default the average over 8
    orientations of each image, at 8 times the cost of one; with --orientations 1 it is that of one.
    """
    from galcnn.cli.quiet import load_tensorflow

    options.check_galaxies(cutouts, catalog)
    reading = options.reading(given)
    sources = options.paths_by_id(cutouts, one_galaxy=one_galaxy) if cutouts else {}
    if save is not None:  # checked first, because the next lines create folders
        options.check_figure(save, inputs=list(sources.values()), overwrite=overwrite)
        _check_number(len(sources))
    target_file = None if onto is None else _target_of(onto, sources, out, append, overwrite)
    written = onto is None and (out is not None or append or save is None)
    folder = _folder_of(out, None if catalog else len(sources)) if written else None
    if catalog and folder is not None:
        options.check_folder(str(folder), overwrite=overwrite)
    files = _targets_on_disk(sources, out, folder, overwrite) if written and not catalog else {}
    load_tensorflow(device=device)
    from galcnn.dataset import InputFiles
    from galcnn.explain import explainers_by_name
    from galcnn.explain.registry import ALL, DEFAULT
    from galcnn.model import load_model
    from galcnn.pipeline import ExplainSettings, explain_files, working_methods

    trained = load_model(model).with_orientations(orientations).with_render(given["render"])
    explainers = explainers_by_name(methods or DEFAULT)
    if catalog:
        galaxies = options.catalog_galaxies(trained.card, given | {"catalog": catalog})
        images = InputFiles.of(galaxies, given["folder"], **reading)
        if save is not None:
            _check_number(len(images))
        files = _targets_on_disk(images.paths, out, folder, overwrite) if written else {}
    else:
        images = InputFiles(sources, **reading)
    settings = ExplainSettings(tuple(explainers), target, wrt, segmentation)
    if not methods or ALL in methods:
        named = explainers_by_name([method for method in methods if method != ALL])
        settings, reasons = working_methods(trained, settings, files=images, named=named)
        for name, reason in reasons.items():
            click.echo(f"without {name}: {reason}", err=True)
    stacks, failed = [], 0
    shown = options.progress(quiet)
    made = explain_files(
        trained, images, settings, out=files or None, append=append, progress=shown, overwrite=overwrite
    )
    for name, stack in zip(images.ids, made, strict=True):
        if isinstance(stack, Exception):
            if len(images) == 1:
                raise stack
            failed += 1
            files.pop(name, None)
            click.echo(f"not explained: {stack}", err=True)
            continue
        _tell(stack)
        if save:  # otherwise a long run would keep all stacks in memory
            stacks.append(stack)
        if onto is not None and target_file is not None:
            _write_onto(stack, onto, target_file)
    for file in files.values():
        click.echo(f"wrote {file}")
    if save:
        from galcnn.viewers import explanation_figure, save_figure

        if stacks:
            save_figure(explanation_figure(stacks), save)
            click.echo(f"wrote {save}")
    if failed:
        raise ValueError(f"{failed} of {len(images)} images could not be explained, see above.")


def _tell(stack: LayerStack) -> None:
    """Print the score of a galaxy, and that of the baseline of integrated gradients."""
    for one in stack.explanations:
        if one.baseline_score is not None:
            start = {"sky": "blank sky", "zero": "zero flux"}.get(
                str(one.settings.get("baseline")), "baseline"
            )
            scores = f"{one.score:+.2f}, of {start} {one.baseline_score:+.2f} logits"
            click.echo(f"{stack.id}: {one.target.name} {scores}")
            return


def _target_of(
    onto: str, sources: Mapping[str, tuple[Path, ...]], out: str | None, append: bool, overwrite: bool
) -> Path:
    """Return the path of the file that gets the maps on the pixels of the original."""
    from galcnn._runtime import atomic

    if len(sources) != 1:
        given = f"{len(sources)} images" if sources else "--catalog"
        raise click.UsageError(f"Expected one image with --onto. Received: {given}.")
    if (out is None) != append:
        raise click.UsageError("Expected --onto with --out for a new file, or with --append.")
    if not Path(onto).is_file():
        raise click.UsageError(f"Expected an existing file. Received: --onto {onto!r}.")
    with open(onto, "rb") as file:
        if not file.read(6).startswith((b"SIMPLE", b"\x1f\x8b", b"BZh")):
            raise click.UsageError(
                f"Expected the FITS file that the image was cut from. Received: --onto {onto!r}."
            )
    path = Path(onto if out is None else out)
    if out is not None and path.resolve() == Path(onto).resolve():
        raise click.UsageError(f"Expected another file than --onto, or --append. Received: --out {out!r}.")
    atomic.check_writable(path, inputs=sources.values(), overwrite=overwrite or append)
    return path


def _write_onto(stack: LayerStack, onto: str, path: Path) -> None:
    from galcnn.layers import write_into
    from galcnn.layers.appending import holds_result

    same = path.resolve() == Path(onto).resolve()
    if same and holds_result(path, stack.provenance, id=stack.id):
        click.echo(f"{path} has these maps already")
        return
    write_into(stack, onto, out=None if same else path, append=same)
    click.echo(f"wrote {path}")


def _check_number(n: int) -> None:
    from galcnn.viewers.plots.explanations import MOST_GALAXIES

    if n > MOST_GALAXIES:
        raise click.UsageError(f"Expected at most {MOST_GALAXIES} images with --save. Received: {n}.")


def _folder_of(out: str | None, n: int | None) -> Path | None:
    """Return the output folder; None if --out is a layers file. `n` is None for a catalog."""
    if not out:
        raise click.UsageError("Expected a layers file or a folder, --out, or a figure, --save.")
    path = Path(out)
    if path.is_dir() or out.endswith("/") or path.suffix == "":
        return path
    if path.suffix.lower() not in (".fits", ".fit"):
        raise click.UsageError(f"Expected a folder or a file ending in .fits. Received: --out {out!r}.")
    if n != 1:
        several = "a catalog" if n is None else f"{n} images"
        raise click.UsageError(f"Expected a folder for {several}. Received: --out {out!r}.")
    return None


def _targets_on_disk(
    sources: Mapping[str, tuple[Path, ...]], out: str | None, folder: Path | None, overwrite: bool
) -> dict[str, Path]:
    from galcnn._runtime import atomic
    from galcnn.catalog.names import file_stems

    if folder is None:
        files = dict.fromkeys(sources, Path(str(out)))
    else:
        files = {name: folder / f"{stem}-layers.fits" for name, stem in file_stems(sources).items()}
    inputs = {path.resolve() for paths in sources.values() for path in paths}
    for file in files.values():
        if file.resolve() in inputs:
            raise click.UsageError(f"Expected another file than the image itself. Received: --out {out!r}.")
        # An existing file may have the same settings, and is then kept: see explain_files.
        atomic.check_writable(file, overwrite=True)
    if folder is not None:
        atomic.claim(folder, what="one of galcnn explain", overwrite=overwrite).mark()
    return files
