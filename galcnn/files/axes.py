"""Axes of an image HDU: the two on the sky, the one that counts bands, and those of one pixel.

CTYPEn names the axes where a header has it (FITS 4.0, sections 8.3 and 8.4). Without it the first two axes of
FITS are the sky, unless their lengths say otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt
from astropy.io import fits

from galcnn.errors import UnreadableImageError, message

#: Longest first axis that is taken for colours (grey with opacity, RGB, RGBA), where the others are longer.
_MOST_COLOURS = 4
#: Images at most so wide, with more planes than pixels, may be colours last (or in the middle).
_NARROW = 16
_BANDS_FIRST = "Write the bands first: numpy.moveaxis(data, -1, 0)."
_KINDS = (
    ("sky", r"RA|DEC|[A-Z]LON|[A-Z]LAT|[A-Z]{2}L[NT]"),
    ("spectral", r"FREQ|WAVN|VRAD|WAVE(LENGTH)?|VOPT|ZOPT|AWAV|VELO(CITY)?|BETA|FELO|LAMBDA|SPECTRAL"),
    ("spectral", r"ENER(GY)?|PHOTON"),
    ("Stokes", r"STOKES"),
    ("time", r"TIME|UTC|TAI|TT|MJD"),
    ("Faraday", r"RM|FDEP|FARADAY"),
)
#: Units of an axis of a spectrum, if its CTYPE is none of these.
_SPECTRAL_UNITS = re.compile(
    r"(angstroms?|a|[numk]?m|micron?s?|([kmgt]?)hz|[kmgt]?ev|(k?m|cm)[ /.]*s(\*\*|\^)?(-1)?)", re.IGNORECASE
)
_CARDS = re.compile(r"(CTYPE|CRPIX|CRVAL|CDELT|CUNIT|CNAME|CROTA|NAXIS)(\d)")
_MATRIX = re.compile(r"(CD|PC)(\d)_(\d)|(PC)00(\d)00(\d)")
_PARAMETERS = re.compile(r"(PV|PS)(\d)(_\d+)")

#: Position of a plane: one element for each axis of the HDU, None for the two on the sky.
PlaneIndex = tuple[int | None, ...]


@dataclass(frozen=True)
class ImageAxes:
    """Meaning of the axes of an image, in the order of numpy.

    Attributes
    ----------
    shape : tuple of int
        Shape of the HDU.
    sky : tuple of int
        Axes of rows and columns.
    bands : int or None
        Axis of the planes; None for one plane.
    kind : str
        What CTYPE says of the axis of the planes: spectral, Stokes, time, or nothing.
    note : str
        What was taken for what, if the header does not say it.
    """

    shape: tuple[int, ...]
    sky: tuple[int, int]
    bands: int | None = None
    kind: str = ""
    note: str = ""

    @property
    def plane_shape(self) -> tuple[int, int]:
        """Shape of a plane, (ny, nx)."""
        return (self.shape[self.sky[0]], self.shape[self.sky[1]])

    @property
    def indices(self) -> tuple[PlaneIndex, ...]:
        """Position of each plane."""
        n_planes = 1 if self.bands is None else self.shape[self.bands]
        return tuple(
            tuple(None if i in self.sky else k if i == self.bands else 0 for i in range(len(self.shape)))
            for k in range(n_planes)
        )

    def planes(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the pixels as planes, shape (n_planes, ny, nx)."""
        first = [i for i in range(len(self.shape)) if i not in (*self.sky, self.bands)]
        order = [*first, *([] if self.bands is None else [self.bands]), *self.sky]
        return data.transpose(order).reshape(-1, *self.plane_shape)

    def sky_header(self, header: fits.Header) -> fits.Header:
        """Return a header in which the axes on the sky are the first two, as `celestial_wcs` reads them."""
        n = len(self.shape)
        new = {n - self.sky[1]: 1, n - self.sky[0]: 2}
        if new == {1: 1, 2: 2}:
            return header
        renumbered = fits.Header()
        for card in header.cards:
            keyword = _renumbered(card.keyword, new)
            if keyword:
                renumbered.append((keyword, card.value, card.comment))
        return renumbered


def at(index: PlaneIndex, rows: slice, columns: slice) -> tuple[int | slice, ...]:
    """Return the index of a part of a plane in the HDU.

    Examples
    --------
    >>> at((0, None, None), slice(2, 4), slice(5, 9)), at((None, None, 1), slice(2, 4), slice(5, 9))
    ((0, slice(2, 4, None), slice(5, 9, None)), (slice(2, 4, None), slice(5, 9, None), 1))
    """
    sky: Iterator[slice] = iter((rows, columns))
    return tuple(next(sky) if one is None else one for one in index)


def kind_of_hdu(hdu: Any) -> str:
    """Return the name of astropy's class of an HDU."""
    return str(getattr(hdu, "kind", type(hdu).__name__))


def axes_of(hdu: Any) -> ImageAxes:
    """Return the meaning of the axes of an image HDU, without reading pixels."""
    shape = tuple(getattr(hdu, "shape", None) or ())
    if not hdu.is_image or len(shape) < 2 or 0 in shape:
        raise UnreadableImageError(
            message(
                "an HDU with an image of two axes, or three with the bands first",
                "Name another.",
                hdu=hdu.name,
                kind=kind_of_hdu(hdu),
                shape=shape,
            )
        )
    n = len(shape)
    kinds = [_kind(hdu.header.get(f"CTYPE{n - i}"), hdu.header.get(f"CUNIT{n - i}")) for i in range(n)]
    sky, note = _sky(shape, kinds)
    rest = [i for i in range(n) if i not in sky and shape[i] > 1]
    if len(rest) > 1:
        raise UnreadableImageError(
            message(
                "an image of two axes, or three with the bands first",
                "Write one of its cubes, or one image, to a file.",
                hdu=hdu.name,
                shape=shape,
                ctype=[str(hdu.header.get(f"CTYPE{n - i}", "")) for i in range(n)],
            )
        )
    bands = rest[0] if rest else None
    return ImageAxes(shape, sky, bands, "" if bands is None else kinds[bands], note)


def refuse_no_image(axes: ImageAxes, hdu: Any, *, named: bool) -> None:
    """Raise an error for one row or column, and for planes of a spectrum that nothing names as bands."""
    one_pixel_of_the_sky = axes.plane_shape == (1, 1) and "CTYPE1" in hdu.header
    if 1 in axes.plane_shape and not one_pixel_of_the_sky:
        raise UnreadableImageError(
            message(
                "an image of several rows and columns",
                "A spectrum, a profile or a list of values is no image.",
                hdu=hdu.name,
                shape=axes.shape,
            )
        )
    n_planes, side = len(axes.indices), min(axes.plane_shape)
    if side < n_planes and side <= _NARROW and not named:
        raise UnreadableImageError(
            message(
                f"axes that are certain, not {n_planes} planes only {side} pixels wide",
                _BANDS_FIRST,
                hdu=hdu.name,
                shape=axes.shape,
            )
        )
    if axes.kind and not named:
        raise UnreadableImageError(
            message(
                f"one plane for each band, not a {axes.kind} axis",
                "Write one plane, or the sum of several, to a file; or name every plane as a band: --bands.",
                hdu=hdu.name,
                shape=axes.shape,
            )
        )


def _sky(shape: tuple[int, ...], kinds: list[str]) -> tuple[tuple[int, int], str]:
    """Return the axes of rows and columns, and a note if their lengths decided."""
    n = len(shape)
    named = [i for i in range(n) if kinds[i] == "sky"]
    long = [i for i in range(n) if shape[i] > 1]
    colours = (
        len(long) == 3 and long[2] == n - 1 and shape[-1] <= _MOST_COLOURS < min(shape[i] for i in long[:2])
    )
    if len(named) == 2:
        if colours and named[1] == n - 1:
            raise UnreadableImageError(
                message(
                    "axes that are certain; axis 1 is on the sky by its CTYPE, and colours by its length",
                    _BANDS_FIRST,
                    shape=shape,
                )
            )
        return (named[0], named[1]), ""
    if colours:
        note = f"NAXIS1 = {shape[-1]} is taken for bands: colours last"
        return (long[0], long[1]), note
    if (
        n > 2
        and len(long) == 2
        and min(shape[i] for i in long) > _MOST_COLOURS
        and (long[0], long[1]) != (n - 2, n - 1)
    ):
        return (long[0], long[1]), f"axes of one pixel are left out: shape {shape}"
    return (n - 2, n - 1), ""


def _kind(ctype: object, unit: object) -> str:
    word = str(ctype or "").strip().upper().split("-")[0].split(" ")[0]
    known = next((kind for kind, pattern in _KINDS if re.fullmatch(pattern, word)), "")
    return known or ("spectral" if _SPECTRAL_UNITS.fullmatch(str(unit or "").strip()) else "")


def _renumbered(keyword: str, new: dict[int, int]) -> str:
    """Return a keyword with the new numbers of axes; empty if it is of an axis that is left out."""
    if found := _CARDS.fullmatch(keyword):
        number = new.get(int(found[2]))
        return f"{found[1]}{number}" if number else ""
    if found := _MATRIX.fullmatch(keyword):
        name, i, j = (part for part in found.groups() if part is not None)
        return f"{name}{new[int(i)]}_{new[int(j)]}" if {int(i), int(j)} <= set(new) else ""
    if found := _PARAMETERS.fullmatch(keyword):
        number = new.get(int(found[2]))
        return f"{found[1]}{number}{found[3]}" if number else ""
    return keyword
