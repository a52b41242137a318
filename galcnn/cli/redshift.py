"""galcnn redshift."""

from __future__ import annotations

from typing import Any

import click

from galcnn.cli import options
from galcnn.cli.answers import tell
from galcnn.cli.wording import sentence


@click.command(name="redshift", cls=options.Command)
@click.argument("images", nargs=-1, metavar="[IMAGE]...")
@options.section(
    "Catalog",
    click.option(
        "--catalog", metavar="FILE", help="Table with redshifts and classes; without IMAGE, also image paths."
    ),
    options.id_column,
    options.image_column,
    click.option("--images", "folder", metavar="DIR", help="Folder of the images of the catalog."),
)
@options.one_galaxy
@options.image_files
@click.option("--redshift", "own", type=float, help="Redshift of galaxies without one in file and catalog.")
@click.option("--psf-fwhm", type=float, help="FWHM of the PSF of images without one, arcsec.")
@click.option("--linear-counts", is_flag=True, help="Accept counts without a zero point.")
@options.section(
    "Observation",
    click.option(
        "--to", "redshifts", type=float, multiple=True, required=True, help="New redshift; may be repeated."
    ),
    click.option(
        "--instrument",
        "observation",
        metavar="NAME",
        help="Survey or camera to simulate: simulated, sdss, decals, hsc, lsst, hst-acs, hst-wfc3, euclid, "
        "euclid-nisp.  [default: own pixel scale, no added noise]",
    ),
    click.option("--instrument-bands", metavar="B,B,...", help="Bands of the instrument.  [default: all]"),
    click.option(
        "--size", type=click.IntRange(min=8), help="Side length, pixels.  [default: as large as the field]"
    ),
    click.option(
        "--fill",
        type=click.Choice(["refuse", "mask", "sky"]),
        default="refuse",
        show_default=True,
        help="Pixels outside the field of the input: skip the galaxy, mask them, or add sky.",
    ),
    click.option(
        "--add-noise",
        "noise",
        type=click.Choice(["add", "whiten", "none"]),
        default="add",
        show_default=True,
        help="Add the noise of the instrument; whiten: as independent between pixels as possible.",
    ),
)
@options.section(
    "Method",
    click.option(
        "--bandpass",
        type=click.Choice(["nearest", "sed", "same"]),
        default="nearest",
        show_default=True,
        help="Input band nearest in rest-frame wavelength, fitted spectra, or band of the same name.",
    ),
    click.option(
        "--max-mismatch",
        type=float,
        default=0.1,
        show_default=True,
        help="Largest relative difference of wavelengths for nearest.",
    ),
    click.option(
        "--convention",
        type=click.Choice(["f_nu", "f_lambda", "bolometric"]),
        default="f_nu",
        show_default=True,
        help="Kind of flux: images in nJy are f_nu.",
    ),
    click.option(
        "--evolution",
        type=float,
        default=0.0,
        show_default=True,
        help="Brightening, mag per unit of redshift.",
    ),
)
@click.option(
    "--out", required=True, metavar="DIR", help="Output folder: cutouts, catalog.ecsv, skipped.ecsv."
)
@options.overwrite
@options.seed
@options.quiet
def command(
    images: tuple[str, ...], catalog: str | None, out: str, overwrite: bool, quiet: bool, **given: Any
) -> None:
    """Simulate how galaxies would look at higher redshift.

    \b
    galcnn redshift ngc1300.fits --redshift 0.0053 --to 0.3 --instrument hsc --instrument-bands r --out far
    galcnn redshift --catalog sky/catalog.ecsv --to 0.1 --to 0.2 --fill sky --size 64 --out test

    Galaxies without the needed data are skipped, with the reason. The output catalog can be used by
    galcnn classify and galcnn train.
    """
    from galcnn.catalog import read_catalog
    from galcnn.dataset import InputFiles
    from galcnn.pipeline import RedshiftSettings, redshift_files
    from galcnn.redshifting import Redshifting
    from galcnn.simulation import telescope_of

    options.check_folder(out, overwrite=overwrite)
    if not images and catalog is None:
        raise click.UsageError("Expected IMAGE... or --catalog FILE.")
    if catalog is None and (refused := options.typed("folder", "id_", "image_column")):
        raise click.UsageError(f"Expected --catalog FILE with {refused}.")
    if images and (refused := options.typed("folder", "image_column")):
        raise click.UsageError(f"Expected the images of --catalog FILE, and no IMAGE..., with {refused}.")
    if not images and given["one_galaxy"]:
        raise click.UsageError("Expected image files with --one-galaxy.")
    columns = options.chosen(id=given["id_"])
    if not images and not (given["folder"] and given["image_column"] == "image"):
        columns |= {"image": given["image_column"]}
    read = None if catalog is None else options.noted(read_catalog(catalog, columns=columns))
    seen = None if given["observation"] is None else telescope_of(given["observation"])
    if seen is not None and given["instrument_bands"]:
        seen = seen.only(options.band_names(given["instrument_bands"]) or ())
    names = ("convention", "bandpass", "max_mismatch", "evolution", "noise", "fill", "linear_counts")
    method = Redshifting(**{name: given[name] for name in names})
    size = given["size"]
    settings = RedshiftSettings(
        given["redshifts"],
        given["own"],
        seen,
        None if size is None else (size, size),
        method,
        given["seed"],
        given["psf_fwhm"],
    )
    reading = options.reading(given)
    if images or read is None:
        files = InputFiles(options.paths_by_id(images, one_galaxy=given["one_galaxy"]), **reading)
    else:
        files = InputFiles.of(read, given["folder"], **reading)
    made, skipped = redshift_files(
        files,
        out=out,
        settings=settings,
        catalog=read,
        progress=options.progress(quiet),
        overwrite=overwrite,
    )
    tell(cutouts=len(made), skipped=len(skipped), catalog=f"{out}/catalog.ecsv")
    click.echo(f"wrote {out}/catalog.ecsv and {len(made)} cutouts")
    here = click.get_current_context().command
    for one in skipped[:3]:
        click.echo(
            f"skipped {one.id} at z={one.redshift:g}: {sentence(ValueError(one.reason), here)}", err=True
        )
    if len(skipped) > 3:
        click.echo(f"skipped {len(skipped)} in all, see {out}/skipped.ecsv", err=True)
