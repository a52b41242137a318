"""galcnn catalog: convert, match and split tables of galaxies."""

from __future__ import annotations

from typing import Any

import click

from galcnn._runtime import atomic
from galcnn.cli import options


def _named(function: Any) -> Any:
    """Add the options for the names of known columns."""
    for name, *words in (("split", "--split"), ("redshift", "--redshift"), ("class", "--label")):
        function = click.option(*words, f"{name}_", metavar="C", help=f"Column with the {name}.")(function)
    return options.sky_columns(options.catalog_image(function))


def _out(function: Any) -> Any:
    """Add the options --out and --overwrite."""
    text = "Output table: .ecsv, .csv, .fits, .vot, .xml or .parquet."
    return click.option("--out", required=True, metavar="FILE", help=text)(options.overwrite(function))


@click.group(name="catalog")
def command() -> None:
    """Convert, match and split catalogs of galaxies.

    \b
    galcnn catalog convert galaxies.csv --id objid --out galaxies.parquet
    galcnn catalog match galaxies.fits catalogs/ngc_galaxies.ecsv --radius 2arcsec --out both.ecsv
    galcnn catalog split galaxies.csv --by sky-region --neighbours 1arcmin --out split.csv

    Every command checks ids (which must be unique), positions, redshifts and splits. The command
    galcnn info FILE shows what is in a catalog.
    """


@command.command(name="convert", cls=options.Command)
@click.argument("catalog")
@_out
@_named
def convert(catalog: str, out: str, overwrite: bool, **given: Any) -> None:
    """Write a catalog in another format; units and digits are kept."""
    _check_out(out, catalog, overwrite=overwrite)
    _write(_read(catalog, given), out)


@command.command(name="match", cls=options.Command)
@click.argument("catalog")
@click.argument("other")
@click.option("--radius", required=True, metavar="ANGLE", help="Largest separation of a match, e.g. 2arcsec.")
@click.option(
    "--one-to-one/--nearest",
    default=True,
    show_default=True,
    help="Match each galaxy of OTHER at most once, closest pairs first, or any number of times.",
)
@_out
@_named
def match(
    catalog: str, other: str, radius: str, one_to_one: bool, out: str, overwrite: bool, **given: Any
) -> None:
    """Match a catalog to OTHER by position, and join the columns.

    The options name the columns of CATALOG; OTHER must have columns id, ra and dec.
    """
    from galcnn.catalog import cross_match, join_match, read_catalog

    _check_out(out, catalog, other, overwrite=overwrite)
    first, second = _read(catalog, given), options.noted(read_catalog(other))
    found = cross_match(first, second, radius=options.angle(radius, "--radius"), one_to_one=one_to_one)
    click.echo(f"{len(found)} of {len(first)} galaxies matched")
    _write(join_match(first, second, found), out)


@command.command(name="split", cls=options.Command)
@click.argument("catalog")
@click.option(
    "--by",
    default="auto",
    show_default=True,
    metavar="GROUPS",
    help="Groups that stay in one split: object, sdss-field, sky-region or a column.",
)
@click.option(
    "--neighbours",
    metavar="ANGLE",
    help="Keep neighbours within this angle in the same split.  [default: 1arcmin for sky-region]",
)
@click.option(
    "--nside", type=int, default=16, show_default=True, help="HEALPix nside of sky regions (nested)."
)
@click.option(
    "--fractions",
    type=(float, float, float),
    default=(0.7, 0.15, 0.15),
    show_default=True,
    metavar="T V T",
    help="Fractions of training, validation and test.",
)
@options.seed
@_out
@_named
def split(
    catalog: str,
    by: str,
    neighbours: str | None,
    nside: int,
    fractions: tuple[float, float, float],
    seed: int,
    out: str,
    overwrite: bool,
    **given: Any,
) -> None:
    """Split a catalog into train, validation and test, by groups."""
    from galcnn.catalog.catalog import SPLITS
    from galcnn.dataset import split_catalog

    _check_out(out, catalog, overwrite=overwrite)
    within = options.angle(neighbours, "--neighbours")
    read = _read(catalog, given)
    if "split" in read.table.colnames:
        raise click.UsageError("Expected a table without a column 'split', which would stay as it is.")
    dealt = split_catalog(read, by=by, fractions=fractions, seed=seed, radius=within, nside=nside)
    sides = dealt.table["split"].tolist()
    click.echo(", ".join(f"{sides.count(side)} {side}" for side in SPLITS))
    _write(dealt, out)


def _check_out(out: str, *catalogs: str, overwrite: bool) -> None:
    """Raise an error, before the work, if a table cannot be written or is one that is read."""
    from galcnn.catalog.formats import table_file, table_format

    table_format(out)
    atomic.check_writable(out, inputs=[table_file(path)[0] for path in catalogs], overwrite=overwrite)


def _read(path: str, given: dict[str, Any]) -> Any:
    from galcnn.catalog import read_catalog

    image = given.pop("image_column")
    return options.noted(read_catalog(path, columns=options.chosen(image=image, **given)))


def _write(catalog: Any, out: str) -> None:
    from galcnn.catalog import write_catalog

    write_catalog(catalog, out)
    click.echo(f"wrote {out}: {len(catalog)} galaxies")
