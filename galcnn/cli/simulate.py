"""galcnn simulate."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options


@click.command(name="simulate", cls=options.Command)
@options.section(
    "Galaxies",
    click.option(
        "-n",
        "--number",
        type=click.IntRange(min=1),
        metavar="N",
        default=600,
        show_default=True,
        help="Number of galaxies.",
    ),
    click.option("--classes", metavar="C,C,...", help="Classes to simulate.  [default: all six]"),
    click.option("--redshifts", type=(float, float), metavar="LOW HIGH", help="Range of redshifts."),
    click.option("--magnitudes", type=(float, float), metavar="LOW HIGH", help="Range of r magnitudes (AB)."),
)
@options.section(
    "Images",
    click.option(
        "--instrument",
        metavar="NAME",
        default="simulated",
        show_default=True,
        help="Survey or camera whose images are simulated: simulated, sdss, decals, hsc, lsst, hst-acs, "
        "hst-wfc3, euclid or euclid-nisp.",
    ),
    options.bands_option("Bands of the instrument, e.g. gri or g,r,i.  [default: all]"),
    click.option(
        "--size", type=click.IntRange(min=8), default=64, show_default=True, help="Side length, pixels."
    ),
    click.option("--pixel-scale", type=float, help="Pixel scale, arcsec per pixel."),
    click.option("--psf-fwhm", type=float, help="FWHM of the PSF in all bands, arcsec."),
    click.option("--depth", metavar="M,M,...", help="AB magnitude of a 5 sigma point source in each band."),
)
@click.option("--out", required=True, metavar="DIR", help="Output folder: catalog.ecsv, cutouts/<id>.fits.")
@options.overwrite
@options.jobs("processes that draw galaxies")
@options.seed
@options.quiet
def command(
    number: int,
    out: str,
    overwrite: bool,
    classes: str | None,
    bands: str | None,
    size: int,
    redshifts: tuple[float, float] | None,
    magnitudes: tuple[float, float] | None,
    instrument: str,
    pixel_scale: float | None,
    psf_fwhm: float | None,
    depth: str | None,
    jobs: int,
    seed: int,
    quiet: bool,
) -> None:
    """Simulate galaxies: a catalog with the truth, and FITS cutouts.

    \b
    galcnn simulate -n 600 --seed 1 --out sky
    galcnn simulate -n 3000 --instrument sdss --bands r --size 128 --magnitudes 13 16.5 --out sdss_like

    The cutouts are in nJy. An interrupted run is continued by the same command.
    """
    from dataclasses import replace

    import astropy.units as u

    from galcnn.pipeline import SurveySettings, write_survey
    from galcnn.simulation import simulate_catalog, telescope_of

    options.check_folder(out, overwrite=overwrite)
    observation = telescope_of(instrument)
    observation = observation.only(options.band_names(bands) or observation.bands)
    changes: dict[str, Any] = {}
    if pixel_scale is not None:
        changes["pixel_scale"] = pixel_scale * u.arcsec
    if psf_fwhm is not None:
        changes["psf_fwhm"] = (psf_fwhm,) * len(observation.bands)
    if depth is not None:
        changes["depth"] = options.numbers("--depth", depth)
    if changes:
        observation = replace(
            observation, name=f"{observation.name}, changed", source="command line", **changes
        )
    population: dict[str, Any] = {}
    if classes is not None:
        population["classes"] = options.words(classes)
    if redshifts is not None:
        population["redshift_range"] = redshifts
    if magnitudes is not None:
        population["magnitude_range"] = magnitudes
    catalog = simulate_catalog(number, seed=seed, **population)
    write_survey(
        catalog,
        out,
        settings=SurveySettings(seed, observation, size),
        jobs=jobs,
        progress=options.progress(quiet),
        overwrite=overwrite,
    )
    click.echo(f"wrote {out}/catalog.ecsv and {number} cutouts in {', '.join(observation.bands)}")
    click.echo(f"next: galcnn train --catalog {out}/catalog.ecsv --out model")
