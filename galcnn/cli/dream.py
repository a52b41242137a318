"""galcnn dream."""

from __future__ import annotations

import click

from galcnn.cli import options


@click.command(name="dream")
@click.argument("model")
@click.argument("cutouts", nargs=-1, required=True, metavar="CUTOUT...")
@click.option("--layer", required=True, metavar="NAME", help="Network layer; an unknown name lists all.")
@click.option("--channel", type=click.IntRange(min=0), help="Channel of the layer.  [default: all]")
@click.option("--octaves", type=click.IntRange(min=1), default=3, show_default=True, help="Number of scales.")
@click.option("--ratio", type=float, default=1.4, show_default=True, help="Ratio of successive scales.")
@click.option("--steps", type=click.IntRange(min=1), default=10, show_default=True, help="Steps per scale.")
@click.option(
    "--step", type=float, default=0.05, show_default=True, help="RMS of a step, in stretched units."
)
@click.option(
    "--out", required=True, metavar="DIR", help="Output folder for <id>-dream.fits; existing files are kept."
)
@options.overwrite
@options.bands
@options.width
@options.render
@options.seed
@options.quiet
def command(
    model: str,
    cutouts: tuple[str, ...],
    layer: str,
    channel: int | None,
    octaves: int,
    ratio: float,
    steps: int,
    step: float,
    out: str,
    overwrite: bool,
    bands: str | None,
    width: str | None,
    render: str | None,
    seed: int,
    quiet: bool,
) -> None:
    """Amplify what a network layer sees in images (deep dream).

    \b
    galcnn dream model galaxy.fits --layer conv3_1_activation --out dreams
    galcnn dream model mosaic.fits --layer conv2_1 --channel 4 --out dreams

    Images can have any size that fits in memory. Their pixel grid and unit are kept. The files contain
    image, start and difference as FITS layers with the WCS.
    """

    options.check_folder(out, overwrite=overwrite)
    sources = options.paths_by_id(cutouts)
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow()
    from galcnn.dataset import InputFiles
    from galcnn.explain import Dream
    from galcnn.model import load_model
    from galcnn.pipeline import dream_files

    trained = load_model(model).with_render(render)
    dream = Dream(layer, channel, octaves, ratio, steps, step, seed)
    files = InputFiles(sources, bands=options.words(bands), width=options.angle(width))
    progress = options.progress(quiet)
    made = dream_files(trained, files, out, dream=dream, progress=progress, overwrite=overwrite)
    for name, path in made:
        click.echo(f"wrote {path} ({name})")
