"""galcnn explain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from galcnn.cli import options

if TYPE_CHECKING:
    from galcnn.explain.explanation import Wrt

__all__ = ["command"]


@click.command(name="explain")
@click.argument("model")
@click.argument("cutouts", nargs=-1, required=True, metavar="CUTOUT...")
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=("saliency", "cam"),
    show_default=True,
    help="See plugins; settings behind a colon; all for all that work on this model.",
)
@click.option("--target", help="A class, or CLASS-CLASS for a margin.  [default: the predicted class]")
@click.option("--wrt", type=click.Choice(["flux", "stretched", "sigma"]), default="flux", show_default=True)
@click.option(
    "-o", "--out", required=True, metavar="FITS", help="Layers file, or a folder for several cutouts."
)
@options.bands
@options.fit
@options.width
@options.grid
@options.render
@click.option("--figure", metavar="PNG", help="Also draw the cutouts beside their maps.")
@options.quiet
def command(
    model: str,
    cutouts: tuple[str, ...],
    methods: tuple[str, ...],
    target: str | None,
    wrt: Wrt,
    out: str,
    bands: str | None,
    fit: bool,
    width: str | None,
    grid: str | None,
    render: str | None,
    figure: str | None,
    quiet: bool,
) -> None:
    """Explain what a model says of galaxies, as layers of a FITS file for DS9 and its like.

    \b
    galcnn explain model galaxy.fits --method saliency --method cam --target spiral -o layers.fits
    galcnn explain model *.fits --method smoothgrad:n=50,noise=sigma --wrt sigma -o explained/
    galcnn explain model galaxy.fits --method all -o layers.fits --figure maps.png

    Into a folder, an interrupted run goes on where it stopped.
    """
    from galcnn.cli.quiet import load_tensorflow

    sources = options.paths_by_id(cutouts)
    files = _targets_on_disk(sources, out, figure)
    load_tensorflow()
    from galcnn.explain.naming import ALL, explainers_by_name
    from galcnn.inputs import InputFiles
    from galcnn.model import load_model
    from galcnn.pipeline.explaining import Question, explain_files, without_refusals
    from galcnn.progress import bars, silent

    trained = load_model(model).with_render(render)
    images = InputFiles(sources, bands=options.words(bands), width=options.angle(width), fit=fit, grid=grid)
    question = Question(tuple(explainers_by_name(methods)), target, wrt)
    if ALL in methods:
        question, reasons = without_refusals(trained, images, question)
        for name, reason in reasons.items():
            click.echo(f"without {name}: {reason}", err=True)
    stacks = []
    for stack in explain_files(trained, images, question, out=files, progress=silent if quiet else bars):
        if figure:  # else a long run would hold them all
            stacks.append(stack)
    for file in files.values():
        click.echo(f"wrote {file}")
    if figure:
        from galcnn.viewers.figures import explanation_figure, save_figure

        save_figure(explanation_figure(stacks), figure)
        click.echo(f"wrote {figure}")


def _targets_on_disk(sources: Mapping[str, str], out: str, figure: str | None) -> dict[str, Path]:
    from galcnn import atomic
    from galcnn.viewers.figures import MOST_GALAXIES

    if figure is not None and len(sources) > MOST_GALAXIES:  # said before the work, not after it
        raise click.UsageError(
            f"Expected at most {MOST_GALAXIES} cutouts in a figure. Received: {len(sources)}."
        )
    path = Path(out)
    folder = path.is_dir() or out.endswith("/") or path.suffix == ""
    if not out or not (folder or path.suffix.lower() in (".fits", ".fit")):
        raise click.UsageError(f"Expected a folder or a file ending in .fits. Received: --out {out!r}.")
    if not folder and len(sources) > 1:
        raise click.UsageError(f"Expected a folder for {len(sources)} cutouts. Received: --out {out!r}.")
    files = {name: path / f"{_plain(name)}-layers.fits" if folder else path for name in sources}
    inputs = {Path(source).resolve() for source in sources.values()}
    for file in files.values():
        if file.resolve() in inputs:
            raise click.UsageError(f"Expected another file than the cutout itself. Received: --out {out!r}.")
        atomic.check_writable(file)
    if figure is not None:
        if Path(figure).suffix.lower() not in (".png", ".pdf"):
            raise click.UsageError(f"Expected a figure ending in .png or .pdf. Received: {figure!r}.")
        atomic.check_writable(figure)
    return files


def _plain(name: str) -> str:
    """A file name that stays in its folder and is not hidden."""
    return name.replace("/", "_").lstrip("._") or "cutout"
