"""galcnn cut."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="cut", cls=options.Command)
@click.argument("mosaics", nargs=-1, required=True, metavar="MOSAIC...")
@options.catalog
@options.labelled_sky_columns
@options.width_columns
@options.bands
@options.hdu
@options.strict
@click.option("--width", metavar="ANGLE", help="Side of the cutouts, e.g. 30arcsec or 64pix.")
@options.companions(multiple=True)
@click.option("--weight", multiple=True, metavar="FILE|HDU", help="Weights that are inverse variance.")
@click.option(
    "--min-coverage",
    type=click.FloatRange(0, 1),
    default=0.0,
    show_default=True,
    help="Skip galaxies with a smaller fraction of covered pixels.",
)
@click.option("--out", required=True, metavar="DIR", help="Output folder for cutouts and catalog.ecsv.")
@options.overwrite
@options.quiet
def command(mosaics: tuple[str, ...], catalog: str, out: str, overwrite: bool, **given: Any) -> None:
    """Cut the galaxies of a catalog out of large images.

    \b
    galcnn cut tile_g.fits tile_r.fits --catalog galaxies.ecsv --width 30arcsec --out cutouts
    galcnn cut tile.fits.fz --catalog galaxies.csv --width 64pix --bands r --out cutouts

    Writes one FITS file per galaxy, and a catalog to train on. Several mosaics are bands of the same
    field. An interrupted run is continued by the same command. Galaxies that the mosaic does not cover
    are listed; this is not an error.
    """
    from galcnn.mosaic import MosaicFile, open_mosaic, write_cuts

    options.check_folder(out, overwrite=overwrite)
    read = options.read_sky_catalog(catalog, given)
    beside = {name: _each(f"--{name}", given[name], len(mosaics)) for name in ("mask", "sigma", "weight")}
    files = [
        MosaicFile(
            image,
            hdu=options.hdus(given["hdu"]),
            mask=beside["mask"][i],
            sigma=beside["sigma"][i],
            weight=beside["weight"][i],
        )
        for i, image in enumerate(mosaics)
    ]
    names = options.band_names(given["bands"])
    with open_mosaic(files, bands=names, strict=given["strict"]) as mosaic:
        report = write_cuts(
            mosaic,
            read,
            width=options.widths(read, given, options.side(given["width"])),
            out=out,
            minimum_coverage=given["min_coverage"],
            progress=options.progress(given["quiet"]),
            overwrite=overwrite,
        )
        unit = mosaic.unit
    tell(cut=len(report.coverage), not_covered=len(report.not_covered), catalog=f"{out}/catalog.ecsv")
    for line in report.lines():
        click.echo(line)
    if report.coverage:
        click.echo(f"bands {','.join(mosaic.bands)} in {unit}")
        click.echo(f"next: galcnn train --catalog {out}/catalog.ecsv --out model")


def _each(option: str, said: Sequence[str], n: int) -> Sequence[str | None]:
    """Return one value per mosaic of an option that is given once for all or once for each."""
    if len(said) not in (0, 1, n):
        raise click.UsageError(f"Expected {option} once, or once for each of {n} mosaics.")
    if not said:
        return [None] * n
    return list(said) * n if len(said) == 1 else list(said)
