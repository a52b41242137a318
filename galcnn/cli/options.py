"""Options that several commands share, and how their words are read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

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


def preprocessing(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that choose how images are stretched and scaled.

    Parameters
    ----------
    function : callable
        A command.

    Returns
    -------
    callable
        The same, with ``stretch``, ``scaling`` and ``per``.
    """
    scalings = ["none", "center", "scale", "standardize", "pca", "whiten"]
    for option in (
        click.option(
            "--per",
            type=click.Choice(["band", "set", "image", "image-band"]),
            help="What the mean and deviation are of.  [default: band]",
        ),
        click.option("--scaling", type=click.Choice(scalings), help="[default: standardize]"),
        click.option(
            "--stretch",
            type=click.Choice(["auto", "asinh", "lupton", "linear"]),
            help="lupton keeps colours.  [default: auto]",
        ),
    ):
        function = option(function)
    return function


def width_columns(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a width for each galaxy, which `widths` reads.

    Parameters
    ----------
    function : callable
        A command.

    Returns
    -------
    callable
        The same, with ``width_column``, ``width_factor`` and ``width_unit``.
    """
    for option in (
        click.option("--width-unit", metavar="UNIT", help="Of a column without a unit: arcsec, arcmin, deg."),
        click.option("--width-factor", type=float, default=1.0, show_default=True, help="Times the column."),
        click.option(
            "--width-column", metavar="C", help="Side in proportion to a column; --width where it is empty."
        ),
    ):
        function = option(function)
    return function


def widths(catalog: Any, given: dict[str, Any], width: Any) -> Any:
    """Give the side of the cutouts: one a galaxy by a column, else one for all.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With the column.
    given : dict
        Of `width_columns`.
    width : astropy.units.Quantity or None
        What ``--width`` says.

    Returns
    -------
    astropy.units.Quantity
        Angles or pixels.
    """
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
    """Read ``a,b,c``; None stays None.

    Parameters
    ----------
    text : str or None
        From the command line.

    Returns
    -------
    tuple of str or None
        Without empty words.
    """
    return None if text is None else tuple(part.strip() for part in text.split(",") if part.strip())


def side(text: str | None, option: str = "--width") -> Any:
    """Read ``40arcsec`` or ``64pix``.

    Parameters
    ----------
    text : str or None
        From the command line.
    option : str
        For the error.

    Returns
    -------
    astropy.units.Quantity or None
        An angle or a number of pixels.
    """
    import astropy.units as u

    pixels = (text or "").strip().lower()
    for ending in ("pixels", "pixel", "pix", "px"):
        if pixels.endswith(ending):
            return numbers(option, pixels.removesuffix(ending))[0] * u.pix
    return angle(text, option)


def angle(text: str | None, option: str = "--width") -> Any:
    """Read ``40arcsec``.

    Parameters
    ----------
    text : str or None
        From the command line.
    option : str
        For the error.

    Returns
    -------
    astropy.units.Quantity or None
        A positive angle.
    """
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
    """Read ``RA,DEC`` in degrees.

    Parameters
    ----------
    text : str or None
        From the command line.

    Returns
    -------
    astropy.coordinates.SkyCoord or None
        ICRS.
    """
    if text is None:
        return None
    from astropy.coordinates import SkyCoord

    found = numbers("--position", text)
    if len(found) != 2 or not abs(found[1]) <= 90:
        raise click.BadParameter(f"expected RA,DEC in degrees, received {text!r}", param_hint="--position")
    return SkyCoord(*found, unit="deg")


def numbers(option: str, text: str) -> tuple[float, ...]:
    """Read ``1,2.5``.

    Parameters
    ----------
    option : str
        For the error.
    text : str
        From the command line.

    Returns
    -------
    tuple of float
        In order.
    """
    try:
        found = tuple(float(part) for part in words(text) or ())
    except ValueError as error:
        raise click.BadParameter(f"expected numbers, received {text!r}", param_hint=option) from error
    if not found:
        raise click.BadParameter(f"expected numbers, received {text!r}", param_hint=option)
    return found


def whole_numbers(option: str, text: str | None) -> tuple[int, ...] | None:
    """Read ``16,32``; None stays None.

    Parameters
    ----------
    option : str
        For the error.
    text : str or None
        From the command line.

    Returns
    -------
    tuple of int or None
        In order.
    """
    if text is None:
        return None
    found = numbers(option, text)
    if not all(number.is_integer() for number in found):
        raise click.BadParameter(f"expected whole numbers, received {text!r}", param_hint=option)
    return tuple(int(number) for number in found)


def pairs(option: str, texts: Sequence[str], separator: str) -> dict[str, str]:
    """Read ``a=b`` given several times.

    Parameters
    ----------
    option : str
        For the error.
    texts : sequence of str
        From the command line.
    separator : str
        Between name and value.

    Returns
    -------
    dict of str to str
        In order.
    """
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
    """Name each image by its stem; where stems repeat by folder/stem, then by its whole path.

    Parameters
    ----------
    paths : sequence of str
        Image files, files of one galaxy joined by commas, and folders that stand for the images in them.

    Returns
    -------
    dict of str to tuple of pathlib.Path
        Id -> files, one entry a path; one that is given twice is numbered.
    """
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
    """Give a file's name without its folder and image suffixes.

    Parameters
    ----------
    path : str
        ``folder/galaxy.fits.gz``.

    Returns
    -------
    str
        ``galaxy``.
    """
    first = path if Path(path).exists() else path.partition(",")[0]  # of several files of one galaxy
    name = Path(first).name
    for suffix in (".gz", ".bz2", ".fz"):
        name = name.removesuffix(suffix)
    return Path(name).stem or name
