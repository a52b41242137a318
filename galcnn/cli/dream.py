"""galcnn dream."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options


@click.command(name="dream", cls=options.Command)
@click.argument("model")
@click.argument("cutouts", nargs=-1, metavar="[IMAGE]...")
@click.option("--layer", required=True, metavar="NAME", help="Network layer; an unknown name lists all.")
@click.option("--channel", type=click.IntRange(min=0), help="Channel of the layer.  [default: all]")
@click.option("--octaves", type=click.IntRange(min=1), default=3, show_default=True, help="Number of scales.")
@click.option("--ratio", type=float, default=1.4, show_default=True, help="Ratio of successive scales.")
@click.option("--steps", type=click.IntRange(min=1), default=10, show_default=True, help="Steps per scale.")
@click.option(
    "--step", type=float, default=0.05, show_default=True, help="RMS of a step, in stretched units."
)
@options.or_catalog
@options.one_galaxy
@options.bands
@options.grid
@options.render
@options.width
@options.hdu
@options.zero_point
@options.pixel_scale
@options.strict
@click.option(
    "--out", required=True, metavar="DIR", help="Output folder for <id>-dream.fits; existing files are kept."
)
@options.save("Also draw the images, the dreams, their differences and ten times these.")
@options.overwrite
@options.seed
@options.device
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
    catalog: str | None,
    one_galaxy: bool,
    out: str,
    save: str | None,
    overwrite: bool,
    seed: int,
    device: str,
    quiet: bool,
    **given: Any,
) -> None:
    """Amplify what a network layer sees in images (deep dream).

    \b
    galcnn dream model galaxy.fits --layer conv3_1_activation --out dreams --save dream.png
    galcnn dream model mosaic.fits --layer conv2_1 --channel 4 --out dreams
    galcnn dream model --catalog sky/catalog.ecsv --number 5 --layer conv3_1_activation --out dreams

    Images can have any size that fits in memory. Their pixel grid and unit are kept. The files contain
    image, start and difference as FITS layers with the WCS.
    """
    options.check_galaxies(cutouts, catalog)
    options.check_folder(out, overwrite=overwrite)
    if save is not None:
        options.check_figure(save, inputs=cutouts, overwrite=overwrite)
    reading = options.reading(given)
    sources = options.paths_by_id(cutouts, one_galaxy=one_galaxy) if cutouts else {}
    from galcnn.cli.quiet import load_tensorflow

    load_tensorflow(device=device)
    from galcnn.dataset import InputFiles
    from galcnn.explain import Dream
    from galcnn.model import load_model
    from galcnn.pipeline import dream_files

    trained = load_model(model).with_render(given["render"])
    dream = Dream(layer, channel, octaves, ratio, steps, step, seed)
    if catalog:
        galaxies = options.catalog_galaxies(trained.card, given | {"catalog": catalog})
        files = InputFiles.of(galaxies, given["folder"], **reading)
    else:
        files = InputFiles(sources, **reading)
    progress = options.progress(quiet)
    made = dream_files(trained, files, out, dream=dream, progress=progress, overwrite=overwrite)
    written, failed = {}, 0
    for name, path in made:
        if isinstance(path, Exception):
            if len(files) == 1:
                raise path
            failed += 1
            click.echo(f"no dream: {path}", err=True)
        else:
            written[name] = path
            click.echo(f"wrote {path} ({name})")
    if save and written:
        options.save_syntheses(written, save)
    if failed:
        raise ValueError(f"{failed} of {len(files)} images could not be used, see above.")
