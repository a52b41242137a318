"""galcnn fetch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from galcnn.cli import options
from galcnn.cli.answers import tell

#: Exit code where some galaxies could not be fetched: run it again later.
_AGAIN = 3
#: Number of bytes from which a fetch is large, and is asked about.
_LARGE = 500_000_000


@click.command(name="fetch", cls=options.Command)
@options.catalog
@options.labelled_sky_columns
@options.width_columns
@click.option("--survey", required=True, metavar="NAME", help="Name of the survey, see galcnn plugins.")
@options.survey
@options.bands_option("Bands to download, e.g. gri or g,r,i.  [default: all of the survey]")
@click.option("--width", metavar="ANGLE", help="Side of the cutouts, e.g. 30arcsec.")
@options.section(
    "Extinction",
    click.option(
        "--extinction-column", metavar="C", help="Correct for Galactic extinction: column with E(B-V), mag."
    ),
    click.option(
        "--dust-map", metavar="FILE", help="Correct for Galactic extinction: HEALPix map of E(B-V)."
    ),
    click.option("--system", metavar="NAME", help="Photometric system of the bands: SDSS, PS1, DES ..."),
)
@options.section(
    "Download",
    options.jobs("galaxies that are requested", 4),
    click.option(
        "--time-limit", type=float, default=600.0, show_default=True, help="Largest time per galaxy, seconds."
    ),
    click.option("--cache", metavar="DIR", help="Folder for downloads.  [default: ~/.cache/galcnn]"),
    click.option(
        "--cache-size",
        type=click.FloatRange(min=0),
        default=5.0,
        show_default=True,
        help="Largest size of the cache, GB; 0 for no cache.",
    ),
    click.option("--dry-run", is_flag=True, help="Print the requests; download and write nothing."),
)
@click.option(
    "--out", required=True, metavar="DIR", help="Output folder: cutouts, catalog.ecsv, report.json."
)
@options.overwrite
@options.yes
@options.quiet
def command(catalog: str, survey: str, out: str, overwrite: bool, **given: Any) -> None:
    """Download cutouts of the galaxies of a catalog from a survey.

    \b
    galcnn fetch --catalog galaxies.ecsv --survey legacysurvey --bands grz --width 60arcsec --out ngc
    galcnn fetch --catalog ngc.ecsv --survey sdss --width-column majax --width-factor 1.5 --out ngc
    galcnn train --catalog ngc/catalog.ecsv --out model

    Writes one FITS file per galaxy, and a catalog to train on. An interrupted run is continued by the
    same command. Exit code 3: some galaxies could not be downloaded; try again later. Galaxies that the
    survey does not cover are listed; this is not an error.
    """

    from galcnn.surveys import FetchSettings, fetch, open_survey, planned
    from galcnn.surveys.batch import fetch_size
    from galcnn.surveys.cache import Cache, default_folder

    if not given["dry_run"]:
        options.check_folder(out, overwrite=overwrite)
    read = options.read_sky_catalog(catalog, given)
    said = options.pairs("--survey-option", given["survey_option"], "=")
    source = open_survey(survey, server=given["server"], options=said)
    if given["system"] and not (given["extinction_column"] or given["dust_map"]):
        raise click.UsageError("Expected --extinction-column C or --dust-map FILE with --system.")
    settings = FetchSettings(
        options.widths(read, given, options.angle(given["width"])),
        options.band_names(given["bands"]),
        ebv=_reddening(read, given["extinction_column"], given["dust_map"]),
        system=given["system"],
        jobs=given["jobs"],
        time_limit=given["time_limit"],
    )
    if given["dry_run"]:
        for line in planned(read, source, settings):
            click.echo(line)
        return
    number, size = fetch_size(read, source, settings, out=None if overwrite else out)
    if number >= options.MANY or size >= _LARGE:
        takes = f", about {_size(size)} on disk" if size else ""
        options.ask_before(f"{number:,} cutouts are fetched from {source.name}{takes}.", yes=given["yes"])
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


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def _reddening(catalog: Any, column: str | None, path: str | None) -> Any:
    """E(B-V) of each galaxy, or None."""
    if column and path:
        raise click.UsageError("Expected --extinction-column C or --dust-map FILE, not both.")
    if column:
        from galcnn.surveys.requests import numbers_of

        return numbers_of(catalog, column)
    if path and catalog.positions is not None:  # without positions nothing is fetched
        from galcnn.transforms import ebv_of_map

        return ebv_of_map(path, catalog.positions)
    return None
