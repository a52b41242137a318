"""Options that several commands share, and how their words are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, bars, silent

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

_IMAGE = re.compile(r"\.(fits?|fits?\.(gz|fz|bz2)|jpe?g|png)$", re.IGNORECASE)

seed: Decorator = click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="The same seed gives the same result.",
)
overwrite: Decorator = click.option(
    "--overwrite", is_flag=True, help="Replace what stands where this command writes; else it is refused."
)
quiet: Decorator = click.option("--quiet", is_flag=True, help="No progress bars.")
device: Decorator = click.option(
    "--device", metavar="NAME", default="auto", show_default=True, help="auto, cpu, gpu or gpu:N."
)
bands: Decorator = click.option(
    "--bands", metavar="B,B,...", help="Names of the planes, e.g. r or g,r,i, where the header does not say."
)
fit: Decorator = click.option(
    "--fit", is_flag=True, help="Resample, crop and pad each image to the model's pixel grid."
)
grid: Decorator = click.option(
    "--grid",
    metavar="BAND",
    help="Of files of one galaxy, joined by commas: bring the others to the pixel grid of this band.",
)
width: Decorator = click.option(
    "--width", metavar="ANGLE", help="Use the central field of this side, e.g. 40arcsec; needs a WCS."
)
split: Decorator = click.option(
    "--split",
    type=click.Choice(["test", "all"]),
    default="test",
    show_default=True,
    help="Galaxies of the catalog that the model was not trained on, or all.",
)
render: Decorator = click.option(
    "--render",
    metavar="NAME",
    help="Step that turns calibrated FITS into 8-bit colour pictures like those of the training: sdss.",
)
size: Decorator = click.option(
    "--size", type=click.IntRange(min=8), help="Bring images to SIZE x SIZE pixels."
)
target: Decorator = click.option(
    "--target", help="A class, or CLASS-CLASS for a margin.  [default: the predicted class]"
)
replicas: Decorator = click.option(
    "--replicas", type=click.IntRange(min=2), help="Devices of mirrored.  [default: all]"
)
table_out: Decorator = click.option(
    "--out", metavar="TABLE", help="Ends in .ecsv, .csv, .fits, .vot or .parquet."
)
#: Columns of a catalog that is itself what a command works on ...
id_column: Decorator = click.option("--id", "id_", metavar="C", help="Column with the identifier.")
image_column: Decorator = click.option(
    "--image-column", metavar="C", default="image", show_default=True, help="Column with the paths."
)
#: ... and of one that --catalog names beside something else.
catalog_id: Decorator = click.option(
    "--id", "id_", metavar="C", help="Column of the catalog with the identifier."
)
catalog_image: Decorator = click.option(
    "--image-column", metavar="C", help="Column of the catalog with the paths.  [default: image]"
)


def _joined(*options: Decorator) -> Decorator:
    """Several options as one, which stand in the help in this order."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


#: Columns of the galaxies that a model is tried on, which `chosen` reads.
model_columns: Decorator = _joined(
    click.option("--image-column", metavar="C", help="[default: as in the training, else image]"),
    click.option("--label", metavar="C", help="Its classes.  [default: as in the training, else class]"),
    click.option("--id", "id_", metavar="C", help="[default: as in the training]"),
)
#: Columns of galaxies on the sky: ``id_``, ``ra`` and ``dec``.
sky_columns: Decorator = _joined(
    id_column,
    click.option("--ra", metavar="C", help="Column with the right ascension.  [default: ra]"),
    click.option("--dec", metavar="C", help="Column with the declination.  [default: dec]"),
)
#: The same with ``label``, which `read_sky_catalog` reads.
labelled_sky_columns: Decorator = _joined(
    sky_columns,
    click.option("--label", "--class", metavar="C", help="Column with the class.  [default: class]"),
)
#: How images are stretched and scaled.
preprocessing: Decorator = _joined(
    click.option(
        "--stretch",
        type=click.Choice(["auto", "asinh", "lupton", "linear"]),
        help="lupton keeps colours.  [default: auto]",
    ),
    click.option(
        "--scaling",
        type=click.Choice(["none", "center", "scale", "standardize", "pca", "whiten"]),
        help="[default: standardize]",
    ),
    click.option(
        "--per",
        type=click.Choice(["band", "set", "image", "image-band"]),
        help="What the mean and deviation are of.  [default: band]",
    ),
)
#: A width for each galaxy, which `widths` reads.
width_columns: Decorator = _joined(
    click.option(
        "--width-column", metavar="C", help="Side in proportion to a column; --width where it is empty."
    ),
    click.option("--width-factor", type=float, default=1.0, show_default=True, help="Times the column."),
    click.option("--width-unit", metavar="UNIT", help="Of a column without a unit: arcsec, arcmin, deg."),
)


def progress(quiet: bool) -> Progress:
    """Give bars, unless they are not wanted."""
    return silent if quiet else bars


def chosen(**columns: str | None) -> dict[str, str]:
    """Give the columns that were named, by what galcnn calls them; an underscore behind a name goes."""
    return {known.rstrip("_"): column for known, column in columns.items() if column}


def read_sky_catalog(path: str, given: dict[str, Any]) -> Any:
    """Read a catalog by the words of `labelled_sky_columns`."""
    from galcnn.catalog import read_catalog

    columns = chosen(id=given["id_"], ra=given["ra"], dec=given["dec"], class_=given["label"])
    return read_catalog(path, columns=columns)


def check_folder(path: str, *, overwrite: bool) -> None:
    """Refuse a folder that holds anything but what galcnn wrote, before the work."""
    atomic.check_writable(path, folder=True, own=(), overwrite=overwrite)


def check_table(path: str | None, *, inputs: Sequence[Any] = (), overwrite: bool) -> None:
    """Refuse a table of a format that galcnn does not write, or one that is there, before the work."""
    from galcnn.catalog.formats import table_format

    if path:
        table_format(path)
        atomic.check_writable(path, inputs=inputs, overwrite=overwrite)


def check_figure(path: str, *, inputs: Sequence[Any], overwrite: bool) -> None:
    """Refuse a figure of another format, or one that is there, before the work and not after it."""
    if Path(path).suffix.lower() not in (".png", ".pdf"):
        raise click.UsageError(f"Expected a figure ending in .png or .pdf. Received: {path!r}.")
    atomic.check_writable(path, inputs=inputs, overwrite=overwrite)


def widths(catalog: Any, given: dict[str, Any], width: Any) -> Any:
    """Give the side of the cutouts: one a galaxy by a column, else one for all."""
    if given["width_column"]:
        import astropy.units as u

        from galcnn.surveys.requests import widths_of

        if width is not None and width.unit == u.pix:
            raise click.UsageError("Expected --width as an angle beside --width-column.")
        unit = u.Unit(given["width_unit"]) if given["width_unit"] else None
        factor = given["width_factor"]
        return widths_of(catalog, given["width_column"], factor=factor, unit=unit, default=width)
    if given["width_unit"] or given["width_factor"] != 1:
        raise click.UsageError("Expected --width-factor and --width-unit with --width-column C.")
    if width is None:
        raise click.UsageError("Expected --width or --width-column C.")
    return width


def words(text: str | None) -> tuple[str, ...] | None:
    """Read ``a,b,c``; None stays None."""
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def side(text: str | None, option: str = "--width") -> Any:
    """Read ``40arcsec`` or ``64pix``."""
    import astropy.units as u

    pixels = (text or "").strip().lower()
    for ending in ("pixels", "pixel", "pix", "px"):
        if pixels.endswith(ending):
            return numbers(option, pixels.removesuffix(ending))[0] * u.pix
    return angle(text, option)


def angle(text: str | None, option: str = "--width") -> Any:
    """Read ``40arcsec``."""
    if text is None:
        return None
    import astropy.units as u
    import numpy as np

    try:
        found = u.Quantity(text)
    except (TypeError, ValueError) as error:
        raise click.BadParameter(f"expected an angle, received {text!r}", param_hint=option) from error
    if not found.unit.is_equivalent(u.arcsec) or not 0 * u.arcsec < found < np.inf * u.arcsec:
        raise click.BadParameter(f"expected a positive angle, received {text!r}", param_hint=option)
    return found


def sky_position(text: str | None) -> Any:
    """Read ``RA,DEC`` in degrees."""
    if text is None:
        return None
    from astropy.coordinates import SkyCoord

    found = numbers("--position", text)
    if len(found) != 2 or not abs(found[1]) <= 90:
        raise click.BadParameter(f"expected RA,DEC in degrees, received {text!r}", param_hint="--position")
    return SkyCoord(*found, unit="deg")


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Read ``1,2.5``."""
    try:
        found = tuple(float(part) for part in words(text) or ())
    except ValueError as error:
        raise click.BadParameter(f"expected numbers, received {text!r}", param_hint=option) from error
    if not found:
        raise click.BadParameter(f"expected numbers, received {text!r}", param_hint=option)
    return found


def whole_numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Read ``16,32``; None stays None."""
    if text is None:
        return None
    found = numbers(option, text)
    if not all(number.is_integer() for number in found):
        raise click.BadParameter(f"expected whole numbers, received {text!r}", param_hint=option)
    return tuple(int(number) for number in found)


def pairs(option: str, texts: Sequence[str], separator: str) -> dict[str, str]:
    """Read ``a=b`` given several times."""
    result = {}
    for text in texts:
        name, found, value = text.partition(separator)
        if not found or not name or not value:
            raise click.BadParameter(f"expected NAME{separator}VALUE, received {text!r}", param_hint=option)
        if name in result:
            raise click.BadParameter(
                f"expected {name!r} once, received it again in {text!r}", param_hint=option
            )
        result[name] = value
    return result


def paths_by_id(paths: Sequence[str]) -> dict[str, tuple[Path, ...]]:
    """Name each image by its stem; where stems repeat by folder/stem, then by its whole path."""
    from galcnn.catalog.catalog import image_paths

    files = [file for path in paths for file in _images_of(path)]
    names = [stem(path) for path in files]
    for longer in (lambda path: f"{Path(path).resolve().parent.name}/{stem(path)}", str):
        repeated = {name for name, n in Counter(names).items() if n > 1}
        names = [longer(path) if name in repeated else name for name, path in zip(names, files, strict=True)]
    return dict(zip(_numbered(names), map(image_paths, files), strict=True))


def _numbered(names: Sequence[str]) -> list[str]:
    """One name a file, whatever was given twice."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return numbered


def _images_of(path: str) -> list[str]:
    if not Path(path).is_dir():
        return [path]
    images = [str(file) for file in sorted(Path(path).glob("[!.]*")) if _IMAGE.search(file.name)]
    if not images:
        raise click.UsageError(
            f"Expected images (FITS, JPEG, PNG) in a folder. Received: {path!r}, with none."
        )
    return images


def stem(path: str) -> str:
    """Give a file's name without its folder and image suffixes."""
    first = path if Path(path).exists() else path.partition(",")[0]  # of several files of one galaxy
    name = Path(first).name
    for suffix in (".gz", ".bz2", ".fz"):
        name = name.removesuffix(suffix)
    return Path(name).stem or name
