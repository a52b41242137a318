"""galcnn redshift."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import click

from galcnn.cli import options
from galcnn.cli.answers import tell


@click.command(name="redshift")
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...")
@click.option(
    "--z", "redshifts", type=float, multiple=True, required=True, help="New redshift; may be repeated."
)
@click.option(
    "--as",
    "observation",
    metavar="NAME",
    help="Observation to simulate: simulated, sdss, decals, hsc, lsst, hst-acs, hst-wfc3, euclid, "
    "euclid-nisp.  [default: own pixel scale, no added noise]",
)
@click.option("--observe", metavar="B,B,...", help="Bands of the observation.  [default: all]")
@click.option(
    "--out", required=True, metavar="DIR", help="Output folder: cutouts, catalog.ecsv, refused.ecsv."
)
@options.overwrite
@click.option("--from", "z_from", type=float, help="Redshift of the galaxies, if not in the files.")
@click.option(
    "--catalog", metavar="TABLE", help="Table with redshifts and classes by id (name of the image)."
)
@click.option(
    "--size", type=click.IntRange(min=8), help="Side length, pixels.  [default: as large as the field]"
)
@click.option(
    "--bandpass", type=click.Choice(["nearest", "sed", "same"]), default="nearest", show_default=True
)
@click.option(
    "--max-mismatch", type=float, default=0.1, show_default=True, help="For nearest: in wavelength."
)
@click.option("--noise", type=click.Choice(["add", "whiten", "none"]), default="add", show_default=True)
@click.option(
    "--fill",
    type=click.Choice(["refuse", "mask", "sky"]),
    default="refuse",
    show_default=True,
    help="Pixels outside the field of the input.",
)
@click.option(
    "--convention", type=click.Choice(["f_nu", "f_lambda", "bolometric"]), default="f_nu", show_default=True
)
@click.option("--evolution", type=float, default=0.0, show_default=True, help="Brightening, mag per unit z.")
@click.option("--psf-fwhm", type=float, help="FWHM of the PSF of images without one, arcsec.")
@click.option("--linear-counts", is_flag=True, help="Accept counts without a zero point.")
@options.bands
@options.width
@options.seed
@options.quiet
def command(
    images: tuple[str, ...], redshifts: tuple[float, ...], out: str, overwrite: bool, **given: Any
) -> None:
    """Simulate how galaxies would look at higher redshift.

    \b
    galcnn redshift ngc1300.fits --from 0.0053 --z 0.3 --as hsc --observe r --out far
    galcnn redshift sky/cutouts --z 0.1 --z 0.2 --catalog sky/catalog.ecsv --fill sky --size 64 --out test

    Galaxies without the needed data are skipped, with the reason. The output catalog can be used by
    galcnn classify and galcnn train.
    """
    from galcnn.dataset import InputFiles
    from galcnn.pipeline import Receding, redshift_files
    from galcnn.redshifting import Redshifting
    from galcnn.simulation import telescope_of

    options.check_folder(out, overwrite=overwrite)
    paths = options.paths_by_id(images)
    seen = None if given["observation"] is None else telescope_of(given["observation"])
    if seen is not None and given["observe"]:
        seen = seen.only(options.words(given["observe"]) or ())
    names = ("convention", "bandpass", "max_mismatch", "evolution", "noise", "fill", "linear_counts")
    size = given["size"]
    receding = Receding(
        tuple(redshifts),
        seen,
        None if size is None else (size, size),
        Redshifting(**{name: given[name] for name in names}),
        given["seed"],
        given["psf_fwhm"],
    )
    catalog, refusals = redshift_files(
        InputFiles(paths, bands=options.words(given["bands"]), width=options.angle(given["width"])),
        _known(paths, given["catalog"], given["z_from"]),
        out=out,
        receding=receding,
        progress=options.progress(given["quiet"]),
        overwrite=overwrite,
    )
    tell(cutouts=len(catalog), refused=len(refusals), catalog=f"{out}/catalog.ecsv")
    click.echo(f"wrote {out}/catalog.ecsv and {len(catalog)} cutouts")
    for refusal in refusals[:3]:
        click.echo(f"refused {refusal.id} at z={refusal.redshift:g}: {refusal.reason}", err=True)
    if len(refusals) > 3:
        click.echo(f"refused {len(refusals)} in all, see {out}/refused.ecsv", err=True)


def _known(names: Iterable[str], catalog: str | None, z_from: float | None) -> dict[str, dict[str, Any]]:
    """Return the catalog columns and the redshift of each image, by its name."""
    known: dict[str, dict[str, Any]] = {name: {} for name in names}
    if catalog is not None:
        from galcnn.catalog import read_catalog

        table = read_catalog(catalog).table
        carried = [name for name in ("redshift", "class", "split", "ra", "dec") if name in table.colnames]
        for row in table:
            if str(row["id"]) in known:
                known[str(row["id"])] = {name: row[name] for name in carried}
    if z_from is not None:
        for facts in known.values():
            facts.setdefault("redshift", z_from)
    return known
