"""galcnn explain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from galcnn.cli import options

if TYPE_CHECKING:
    from galcnn.explain.explanation import Wrt
    from galcnn.layers import LayerStack


@click.command(name="explain")
@click.argument("model")
@click.argument("cutouts", nargs=-1, required=True, metavar="CUTOUT...")
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("saliency", "cam"),
    show_default=True,
    help="Method, see galcnn plugins, with settings after a colon; 'all' for all that work.",
)
@options.target
@options.one_galaxy
@click.option("--wrt", type=click.Choice(["flux", "stretched", "sigma"]), default="flux", show_default=True)
@click.option("-o", "--out", metavar="FITS", help="Layers file, or a folder for several cutouts.")
@options.overwrite
@click.option(
    "--append", is_flag=True, help="Add the maps to an existing layers file, or to the file of --into."
)
@click.option(
    "--into",
    metavar="ORIGINAL",
    help="Original file of the cutout; its content, with the maps on its pixels added, goes to --out.",
)
@click.option("--segmentation", is_flag=True, help="Add a segmentation map of the galaxy and its neighbours.")
@options.bands
@options.fit
@options.width
@options.grid
@options.render
@click.option("--figure", metavar="PNG", help="Also draw the cutouts and their maps.")
@options.device
@options.quiet
def command(
    model: str,
    cutouts: tuple[str, ...],
    methods: tuple[str, ...],
    target: str | None,
    one_galaxy: bool,
    wrt: Wrt,
    out: str | None,
    overwrite: bool,
    append: bool,
    into: str | None,
    segmentation: bool,
    bands: str | None,
    fit: bool,
    width: str | None,
    grid: str | None,
    render: str | None,
    figure: str | None,
    device: str,
    quiet: bool,
) -> None:
    """Explain predictions by maps, as layers of a FITS file.

    \b
    galcnn explain model galaxy.fits --method saliency --method cam --target spiral -o layers.fits
    galcnn explain model *.fits --method smoothgrad:n=50,noise=sigma --wrt sigma -o explained/
    galcnn explain model galaxy.fits --method all -o layers.fits --figure maps.png
    galcnn explain other galaxy.fits --append -o layers.fits
    galcnn explain model cutout.fits --fit --into survey.fits -o survey-with-maps.fits

    If the output is a folder, an interrupted run is continued by the same command. Cutouts that cannot
    be read are skipped, with the reason. If the model was calibrated, the maps explain the class of
    the calibrated prediction.
    """
    from galcnn.cli.quiet import load_tensorflow

    sources = options.paths_by_id(cutouts, one_galaxy=one_galaxy)
    if figure is not None:  # checked first, because the next lines create folders
        _check_figure(figure, sources, overwrite)
    files = _targets_on_disk(sources, out, overwrite) if into is None else {}
    target_file = None if into is None else _target_of(into, sources, out, append, overwrite)
    load_tensorflow(device=device)
    from galcnn.dataset import InputFiles
    from galcnn.explain import explainers_by_name
    from galcnn.explain.registry import ALL
    from galcnn.model import load_model
    from galcnn.pipeline import ExplainSettings, explain_files, working_methods

    trained = load_model(model).with_render(render)
    images = InputFiles(sources, bands=options.words(bands), width=options.angle(width), fit=fit, grid=grid)
    settings = ExplainSettings(tuple(explainers_by_name(methods)), target, wrt, segmentation)
    if ALL in methods:
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
            if len(sources) == 1:
                raise stack
            failed += 1
            files.pop(name, None)
            click.echo(f"not explained: {stack}", err=True)
            continue
        if figure:  # otherwise a long run would keep all stacks in memory
            stacks.append(stack)
        if into is not None and target_file is not None:
            _write_into(stack, into, target_file)
    for file in files.values():
        click.echo(f"wrote {file}")
    if figure:
        from galcnn.viewers import explanation_figure, save_figure

        if stacks:
            save_figure(explanation_figure(stacks), figure)
            click.echo(f"wrote {figure}")
    if failed:
        raise ValueError(f"{failed} of {len(sources)} cutouts could not be explained, see above.")


def _target_of(
    into: str, sources: Mapping[str, tuple[Path, ...]], out: str | None, append: bool, overwrite: bool
) -> Path:
    """Return the path of the file that gets the maps on the pixels of the original."""
    from galcnn._runtime import atomic

    if len(sources) > 1:
        raise click.UsageError(f"Expected one cutout with --into. Received: {len(sources)}.")
    if (out is None) != append:
        raise click.UsageError("Expected --into with --out for a new file, or with --append.")
    if not Path(into).is_file():
        raise click.UsageError(f"Expected an existing file. Received: --into {into!r}.")
    path = Path(into if out is None else out)
    if out is not None and path.resolve() == Path(into).resolve():
        raise click.UsageError(f"Expected another file than --into, or --append. Received: --out {out!r}.")
    atomic.check_writable(path, inputs=sources.values(), overwrite=overwrite or append)
    return path


def _write_into(stack: LayerStack, into: str, path: Path) -> None:
    from galcnn.layers import write_into
    from galcnn.layers.appending import holds_result

    same = path.resolve() == Path(into).resolve()
    if same and holds_result(path, stack.provenance, id=stack.id):
        click.echo(f"{path} has these maps already")
        return
    write_into(stack, into, out=None if same else path, append=same)
    click.echo(f"wrote {path}")


def _check_figure(figure: str, sources: Mapping[str, tuple[Path, ...]], overwrite: bool) -> None:
    from galcnn.viewers.plots.explanations import MOST_GALAXIES

    if len(sources) > MOST_GALAXIES:
        raise click.UsageError(
            f"Expected at most {MOST_GALAXIES} cutouts in a figure. Received: {len(sources)}."
        )
    options.check_figure(figure, inputs=list(sources.values()), overwrite=overwrite)


def _targets_on_disk(
    sources: Mapping[str, tuple[Path, ...]], out: str | None, overwrite: bool
) -> dict[str, Path]:
    from galcnn._runtime import atomic

    if out is None:
        raise click.UsageError("Expected a layers file or a folder: --out.")
    path = Path(out)
    folder = path.is_dir() or out.endswith("/") or path.suffix == ""
    if not out or not (folder or path.suffix.lower() in (".fits", ".fit")):
        raise click.UsageError(f"Expected a folder or a file ending in .fits. Received: --out {out!r}.")
    if not folder and len(sources) > 1:
        raise click.UsageError(f"Expected a folder for {len(sources)} cutouts. Received: --out {out!r}.")
    files = {name: path / f"{_plain(name)}-layers.fits" if folder else path for name in sources}
    inputs = {path.resolve() for paths in sources.values() for path in paths}
    for file in files.values():
        if file.resolve() in inputs:
            raise click.UsageError(f"Expected another file than the cutout itself. Received: --out {out!r}.")
        # An existing file may have the same settings, and is then kept: see explain_files.
        atomic.check_writable(file, inputs=sources.values(), overwrite=True)
    if folder:
        atomic.claim(path, what="one of galcnn explain", overwrite=overwrite).mark()
    return files


def _plain(name: str) -> str:
    """Return a file name without folders and leading dots."""
    return name.replace("/", "_").lstrip("._") or "cutout"
