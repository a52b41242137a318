"""galcnn fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from galcnn.cli import options
from galcnn.cli.answers import tell

#: Exit code where some galaxies could not be fetched: run it again later.
_AGAIN = 3


@click.command(name="fetch")
@click.argument("catalog")
@click.option("--survey", required=True, metavar="NAME", help="Survey, see galcnn plugins.")
@click.option(
    "--out", required=True, metavar="DIR", help="Output folder: cutouts, catalog.ecsv, report.json."
)
@options.overwrite
@click.option("--bands", metavar="B,B,...", help="Bands: gri or g,r,i.  [default: all of the survey]")
@click.option("--width", metavar="ANGLE", help="Width of the cutouts, e.g. 30arcsec.")
@options.width_columns
@click.option("--ebv-column", metavar="C", help="Correct for extinction: column with E(B-V), mag.")
@click.option("--dust-map", metavar="FILE", help="Correct for extinction: HEALPix map of E(B-V).")
@click.option("--system", metavar="NAME", help="Photometric system for the extinction: SDSS, PS1, DES ...")
@options.labelled_sky_columns
@click.option(
    "--option", "said", multiple=True, metavar="NAME=VALUE", help="Option of the survey, e.g. layer=ls-dr10."
)
@click.option("--server", metavar="URL", help="Mirror or test server to use instead.")
@click.option(
    "--at-once", type=click.IntRange(min=1), default=4, show_default=True, help="Parallel downloads."
)
@click.option("--time-limit", type=float, default=600.0, show_default=True, help="Seconds per galaxy.")
@click.option("--cache", metavar="DIR", help="Cache of downloads.  [default: ~/.cache/galcnn]")
@click.option(
    "--cache-size",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="Size of the cache, GB; 0 for none.",
)
@click.option("--dry-run", is_flag=True, help="Print the requests; download and write nothing.")
@options.quiet
def command(catalog: str, survey: str, out: str, overwrite: bool, **given: Any) -> None:
    """Download cutouts of the galaxies of a catalog from a survey.

    \b
    galcnn fetch galaxies.ecsv --survey legacysurvey --bands grz --width 60arcsec --out ngc
    galcnn fetch galaxies.ecsv --survey simulated --width-column majax --width-factor 1.5 --out ngc
    galcnn train --catalog ngc/catalog.ecsv --out model

    Writes one FITS file per galaxy, and a catalog to train on. An interrupted run is continued by the
    same command. Exit code 3: some galaxies could not be downloaded; try again later. Galaxies that the
    survey does not cover are listed; this is not an error.
    """

    from galcnn.surveys import FetchSettings, fetch, open_survey, planned
    from galcnn.surveys.cache import Cache, default_folder

    if not given["dry_run"]:
        options.check_folder(out, overwrite=overwrite)
    read = options.read_sky_catalog(catalog, given)
    said = options.pairs("--option", given["said"], "=")
    source = open_survey(survey, server=given["server"], options=said)
    if given["system"] and not (given["ebv_column"] or given["dust_map"]):
        raise click.UsageError("Expected --ebv-column C or --dust-map FILE with --system.")
    settings = FetchSettings(
        options.widths(read, given, options.angle(given["width"])),
        options.words(given["bands"]),
        ebv=_reddening(read, given["ebv_column"], given["dust_map"]),
        system=given["system"],
        at_once=given["at_once"],
        time_limit=given["time_limit"],
    )
    if given["dry_run"]:
        for line in planned(read, source, settings):
            click.echo(line)
        return
    folder = Path(given["cache"]) if given["cache"] else default_folder()
    report = fetch(
        read,
        source,
        out=out,
        settings=settings,
        cache=Cache(folder, int(given["cache_size"] * 1e9)) if given["cache_size"] > 0 else None,
        progress=options.progress(given["quiet"]),
        overwrite=overwrite,
    )
    for line in report.lines():
        click.echo(line)
    counts = report.counts
    tell(**counts, catalog=f"{out}/catalog.ecsv")
    if counts["fetched"]:
        click.echo(f"next: galcnn train --catalog {out}/catalog.ecsv --out model")
    if counts["failed"] or counts["not tried"]:
        click.get_current_context().exit(_AGAIN)


def _reddening(catalog: Any, column: str | None, path: str | None) -> Any:
    """E(B-V) of each galaxy, or None."""
    if column and path:
        raise click.UsageError("Expected --ebv-column C or --dust-map FILE, not both.")
    if column:
        from galcnn.surveys.requests import numbers_of

        return numbers_of(catalog, column)
    if path and catalog.positions is not None:  # without positions nothing is fetched
        from galcnn.transforms import ebv_of_map

        return ebv_of_map(path, catalog.positions)
    return None
