"""Checks of requests and of what services return: bytes, pixels, bands, position and coverage."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.wcs import WCS

from galcnn.cutout import LARGEST_SIDE, Cutout
from galcnn.errors import BadResponseError, CoverageError, message
from galcnn.files.astrometry import pixel_of
from galcnn.surveys.http import Answer, Limits
from galcnn.transforms.grid import icrs_steps

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

    from galcnn.surveys.survey import Survey


_BLOCK = 2880
#: Largest size of a decompressed file in bytes, and for each byte of a large compressed one. Images of the
#: sky become a tenth of their size at most, and blank ones a thousandth.
_PLAIN, _PLAIN_PER_BYTE = 1 << 27, 16
#: Decimal places of positions in degrees: conversions between frames change a microarcsecond.
_DIGITS = 10
#: Half a pixel, plus the rounding error of float32 header cards.
_HALF = 0.51
#: Largest relative difference of a side of a pixel, and cosine of its angle.
_SCALE = 1e-2
#: Largest angle between north and the y axis where north was asked to be up, degrees: a pixel over 100.
_TURN = 0.6


@dataclass(frozen=True)
class Wanted:
    """Checked request for one cutout.

    Attributes
    ----------
    position : astropy.coordinates.SkyCoord
        Position of the centre.
    side : int
        Side of the image in pixels.
    bands : tuple of str
        Bands in the requested order.
    pixel_scale : astropy.units.Quantity
        Angle per pixel.
    """

    position: SkyCoord
    side: int
    bands: tuple[str, ...]
    pixel_scale: u.Quantity

    @property
    def ra(self) -> float:
        """Right ascension of the centre, degrees, ICRS."""
        return round(float(self.position.icrs.ra.deg), _DIGITS)

    @property
    def dec(self) -> float:
        """Declination of the centre, degrees, ICRS."""
        return round(float(self.position.icrs.dec.deg), _DIGITS)

    @property
    def wcs(self) -> WCS:
        """WCS of the requested image: gnomonic, north up, centred on the position."""
        wcs = WCS(naxis=2)
        step = float(self.pixel_scale.to_value(u.deg))
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.radesys = "ICRS"
        wcs.wcs.cunit = ["deg", "deg"]
        wcs.wcs.crval = [self.ra, self.dec]
        wcs.wcs.crpix = [(self.side + 1) / 2, (self.side + 1) / 2]
        wcs.wcs.cdelt = [-step, step]
        wcs.array_shape = (self.side, self.side)
        return wcs


def wanted(
    survey: Survey,
    position: SkyCoord,
    *,
    width: u.Quantity,
    bands: Sequence[str] | None = None,
    most: int = LARGEST_SIDE,
) -> Wanted:
    """Check a request before it is sent.

    Parameters
    ----------
    survey : Survey
        Survey with bands and pixel scale.
    position : astropy.coordinates.SkyCoord
        Position of the centre; a single one.
    width : astropy.units.Quantity
        Angular side, rounded to whole pixels.
    bands : sequence of str, optional
        Requested bands. By default all bands of the survey.
    most : int
        Largest side that the survey provides, in pixels.

    Returns
    -------
    Wanted
        The request in pixels.

    Raises
    ------
    ValueError
        If the position is not one finite position, the width is no positive angle, the image is too large,
        or a band does not exist.
    """
    if not position.isscalar:
        raise ValueError(message("one sky position", "", n_positions=position.size))
    if not np.isfinite([position.icrs.ra.deg, position.icrs.dec.deg]).all():
        raise ValueError(message("a finite sky position", "", position=position.to_string()))
    angle = u.Quantity(width)
    if not angle.unit.is_equivalent(u.arcsec) or not angle.isscalar or not 0 < angle.value < np.inf:
        raise ValueError(message("a positive angle", "Give the width in arcsec.", width=width))
    names = survey.bands if bands is None else tuple(bands)
    if not names or len(set(names)) != len(names) or set(names) - set(survey.bands):
        raise ValueError(message(f"bands among {survey.bands}, each once", "", bands=names))
    side = max(1, round(float((angle / survey.pixel_scale).to_value(u.one))))
    if side > most:
        largest = (most * survey.pixel_scale).to(u.arcsec)
        raise ValueError(
            message(f"a width of at most {largest:.1f}", "The survey gives no more.", width=width)
        )
    return Wanted(position, side, names, survey.pixel_scale)


def fits_bytes(answer: Answer) -> bytes:
    """Return the bytes of a FITS file from an answer.

    Parameters
    ----------
    answer : Answer
        Answer of a service.

    Returns
    -------
    bytes
        Content of the FITS file, decompressed if it was gzipped.

    Raises
    ------
    galcnn.errors.BadResponseError
        If the answer is empty, a text or a web page, or is truncated.
    """
    content = answer.content
    if content.startswith(b"\x1f\x8b"):
        content = _unpacked(content, answer)
    if answer.status != 200 or not content.startswith(b"SIMPLE  ="):
        raise BadResponseError(answer.refusal("a FITS file", "Try again later, or check the request."))
    if len(content) % _BLOCK:
        raise BadResponseError(
            message(
                f"a FITS file, whose length is a multiple of {_BLOCK}",
                "Try again later: it ends too early.",
                url=answer.url,
                size_bytes=len(content),
            )
        )
    return content


def received(
    cutout: Cutout,
    want: Wanted,
    *,
    survey: str,
    answers: Sequence[Answer],
    facts: Mapping[str, Any],
    north_up: bool = False,
    mirrored: bool = False,
) -> Cutout:
    """Check a received image against the request and record its provenance.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Image made from the answers.
    want : Wanted
        The request.
    survey : str
        Name of the survey with its data release.
    answers : sequence of Answer
        All answers that were used.
    facts : mapping
        Entries for `meta`, such as release, source of the PSF and treatment of the sky.
    north_up : bool
        True if the service was asked for an image with north up, east to the left.
    mirrored : bool
        True if images may be mirrored, as those of a folder or of an archive's cameras.

    Returns
    -------
    galcnn.cutout.Cutout
        The image with position, survey and meta: `requests` with address, time and SHA-256 of each
        answer, and `coverage`, the fraction of finite pixels by band.

    Raises
    ------
    galcnn.errors.BadResponseError
        If shape, bands, centre, pixel scale along x or y, orientation or parity differ from the request.
    galcnn.errors.CoverageError
        If a band has no finite pixel near the position.
    """
    url = answers[0].url
    shape = (want.side, want.side)
    if cutout.shape != shape or cutout.bands != want.bands:
        raise BadResponseError(
            message(
                f"{shape} pixels in the bands {want.bands}",
                "Try again later; the service may have changed.",
                shape=cutout.shape,
                bands=cutout.bands,
                url=url,
            )
        )
    _check_place(cutout, want, url)
    _check_grid(cutout, want, url, north_up=north_up, mirrored=mirrored)
    finite = np.isfinite(cutout.flux)
    coverage = {band: round(float(plane.mean()), 4) for band, plane in zip(want.bands, finite, strict=True)}
    first, reach = want.side // 2, max(1, want.side // 16)
    near = finite[:, max(0, first - reach) : first + reach + 1, max(0, first - reach) : first + reach + 1]
    bare = [band for band, plane in zip(want.bands, near, strict=True) if not plane.any()]
    if bare:
        raise CoverageError(
            message(
                f"a position that {survey} has observed",
                "Leave the galaxy out, or these bands.",
                position=want.position.to_string("hmsdms"),
                not_covered=bare,
            )
        )
    kept = {key: value for key, value in cutout.meta.items() if key not in ("path", "position_source")}
    meta = {**kept, **facts, "requests": [answer.provenance for answer in answers], "coverage": coverage}
    return replace(cutout, position=want.position, survey=survey, meta=meta)


def _check_place(cutout: Cutout, want: Wanted, url: str) -> None:
    if cutout.wcs is None:
        raise BadResponseError(message("an image with a WCS", "Try again later.", url=url))
    middle = (want.side - 1) / 2
    x, y = pixel_of(cutout.wcs, want.position)
    offset = (round(x - middle, 2), round(y - middle, 2))
    if not max(map(abs, offset)) <= _HALF:
        raise BadResponseError(
            message(
                "the position in the middle, within half a pixel",
                "Try again later; the service may have changed.",
                off_by_pixels=offset,
                url=url,
            )
        )


def _check_grid(cutout: Cutout, want: Wanted, url: str, *, north_up: bool, mirrored: bool) -> None:
    """Raise an error for pixels of another size along x or y, oblique or mirrored ones, or another north."""
    wished = float(want.pixel_scale.to_value(u.arcsec))
    # East and north of a step along x and along y, in wanted pixels.
    assert cutout.wcs is not None  # for the type checker: it was checked
    steps = icrs_steps(cutout.wcs, cutout.shape) / wished
    sides = np.linalg.norm(steps, axis=0)
    parity, turn = np.linalg.det(steps), np.degrees(np.arctan2(steps[0, 1], steps[1, 1]))
    oblique = abs(steps[:, 0] @ steps[:, 1])
    # Far from its reference point a tangent plane is stretched, by 1 in 10^4 within a degree.
    fits = max(abs(sides - 1)) <= _SCALE and oblique <= _SCALE and (mirrored or parity < 0)
    shown = np.round(sides * wished, 5).tolist()
    if not fits or (north_up and not abs(turn) <= _TURN):
        raise BadResponseError(
            message(
                f"square pixels of {wished:g} arcsec, as on the sky{', north up' if north_up else ''}",
                "Try again later; the service may have changed.",
                pixel_scale_arcsec=shown[0] if shown[0] == shown[1] else tuple(shown),
                mirrored=bool(parity > 0),
                y_axis_deg_from_north_to_east=round(float(turn), 2),
                url=url,
            )
        )


def _unpacked(content: bytes, answer: Answer) -> bytes:
    limit = min(max(_PLAIN, _PLAIN_PER_BYTE * len(content)), Limits().size)
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as packed:
            plain = packed.read(limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        said = f"{type(error).__name__}: {error}"
        raise BadResponseError(
            message("a whole gzip file", "Try again later.", url=answer.url, error=said)
        ) from error
    if len(plain) > limit:
        raise BadResponseError(message(f"an image of at most {limit} bytes", "", url=answer.url))
    return plain
