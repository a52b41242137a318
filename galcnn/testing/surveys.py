"""Does a survey do all that galcnn relies on?"""

from __future__ import annotations

import pickle
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import CoverageError
from galcnn.files import load_cutout, save_cutout
from galcnn.surveys.survey import RemoteSurvey, Survey

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["check_survey"]

_HALF = 0.51
_NO_BAND = "no such band"


def check_survey(
    survey: Survey, position: SkyCoord, *, width: u.Quantity, outside: SkyCoord | None = None
) -> None:
    """Check that a survey keeps the contract of `galcnn.surveys.survey`.

    For the tests of a plugin, against a local server or the real service. Checked are: names;
    shape, bands, pixel scale, centre and unit of an image; that the same question gives the same
    image, other orders of bands the same planes, and a position further on the same sky; that bad
    questions are refused; that the image can be saved and the survey sent to another process; and,
    where it asks a service, that it says what it asks and where an image is from.

    Parameters
    ----------
    survey : Survey
        Opened, with all its options.
    position : astropy.coordinates.SkyCoord
        Of a galaxy that stands out of the noise, well inside of the survey.
    width : astropy.units.Quantity
        Of the image.
    outside : astropy.coordinates.SkyCoord, optional
        A place that the survey did not observe.

    Raises
    ------
    AssertionError
        The text lists everything that is wrong.

    Examples
    --------
    >>> import astropy.units as u
    >>> from galcnn.surveys.simulated import SimulatedSurvey
    >>> survey = SimulatedSurvey(n_galaxies=20)
    >>> check_survey(survey, survey.catalog.positions[1], width=25 * u.arcsec)
    """
    faults = list(_description(survey))
    if not faults:
        cutout = survey.cutout(position, width)
        if isinstance(cutout, Cutout):
            faults += _image(survey, cutout, position, width)
        else:
            faults.append(f"cutout gives a {type(cutout).__name__}, not a Cutout")
    if not faults:  # the rest compares images, which must be right
        faults += _repeated(survey, cutout, position, width)
        faults += _moved(survey, cutout, width)
        faults += _refusals(survey, position, width, outside)
        faults += _travels(survey, cutout)
        if isinstance(survey, RemoteSurvey):
            faults += _origin(survey, cutout, position, width)
    if faults:
        shown = "".join(f"\n- {fault}" for fault in faults)
        raise AssertionError(f"{type(survey).__name__} is not what a survey must be:{shown}")


def _description(survey: Survey) -> Iterator[str]:
    if not isinstance(survey, Survey):
        yield "it lacks one of name, bands, pixel_scale, cutout"
        return
    if not isinstance(survey.name, str) or not survey.name.strip():
        yield f"name is {survey.name!r}, not a word"
    bands = survey.bands
    if not isinstance(bands, tuple) or not bands or len(set(bands)) != len(bands):
        yield f"bands are {bands!r}, not a tuple of different names"
    elif not all(isinstance(band, str) and band for band in bands):
        yield f"bands are {bands!r}, not all of them words"
    scale = survey.pixel_scale
    if (
        not isinstance(scale, u.Quantity)
        or not scale.unit.is_equivalent(u.arcsec)
        or not scale > 0 * u.arcsec
    ):
        yield f"pixel_scale is {scale!r}, not a positive angle"


def _image(survey: Survey, cutout: Cutout, position: SkyCoord, width: u.Quantity) -> Iterator[str]:
    if cutout.bands != survey.bands:
        yield f"without bands it gives {cutout.bands}, not all of them: {survey.bands}"
    if cutout.survey != survey.name:
        yield f"the cutout's survey is {cutout.survey!r}, not its name {survey.name!r}"
    sides = float((width / survey.pixel_scale).to_value(u.one))
    if max(abs(side - sides) for side in cutout.shape) > 1:
        yield f"{width} are {sides:.1f} pixels, but the shape is {cutout.shape}"
    if cutout.unit.is_equivalent(u.nJy) and cutout.unit != u.nJy:
        yield f"calibrated flux is in {cutout.unit}, not nJy"
    if cutout.position is None or cutout.position.separation(position) > 1e-3 * u.arcsec:
        yield "the cutout's position is not the one that was asked for"
    if cutout.wcs is None or cutout.pixel_scale is None:
        yield "the cutout has no WCS"
        return
    if abs(float((cutout.pixel_scale / survey.pixel_scale).to_value(u.one)) - 1) > 0.01:
        yield f"pixel_scale is {survey.pixel_scale}, but that of the image {cutout.pixel_scale}"
    x, y = (float(value) for value in cutout.wcs.world_to_pixel(position))
    off = (x - (cutout.shape[1] - 1) / 2, y - (cutout.shape[0] - 1) / 2)
    if not max(map(abs, off)) <= _HALF:
        yield f"the position is {off[0]:.2f}, {off[1]:.2f} pixels from the middle, more than half a pixel"
    if not np.isfinite(cutout.flux).any():
        yield "all pixels are NaN: raise CoverageError"
    elif np.nanmin(cutout.flux) == np.nanmax(cutout.flux):
        yield "all pixels are the same: choose the position of a galaxy"


def _repeated(survey: Survey, cutout: Cutout, position: SkyCoord, width: u.Quantity) -> Iterator[str]:
    again = survey.cutout(position, width)
    if not np.array_equal(again.flux, cutout.flux, equal_nan=True):
        yield "the same question gives another image"
    if not np.array_equal(survey.cutout(position.galactic, width).shape, cutout.shape):
        yield "the same position in galactic coordinates gives another shape"
    for order in ([*survey.bands[::-1]], [survey.bands[-1]]):
        some = survey.cutout(position, width, tuple(order))
        if some.bands != tuple(order):
            yield f"asked for the bands {tuple(order)} it gives {some.bands}"
            continue
        planes = cutout.flux[[cutout.bands.index(band) for band in order]]
        if not np.array_equal(some.flux, planes, equal_nan=True):
            yield f"asked for the bands {tuple(order)} it gives other pixels than when asked for all"


def _moved(survey: Survey, cutout: Cutout, width: u.Quantity) -> Iterator[str]:
    """Compare with an image a quarter of the way towards a corner: the sky stays where it is."""
    ny, nx = cutout.shape
    assert cutout.wcs is not None  # `_image` was content
    shifted = survey.cutout(cutout.wcs.pixel_to_world(nx // 2 + nx // 4, ny // 2 + ny // 4), width)
    assert shifted.wcs is not None
    y, x = np.mgrid[: shifted.shape[0], : shifted.shape[1]]
    column, row = np.round(np.stack(cutout.wcs.world_to_pixel(shifted.wcs.pixel_to_world(x, y)))).astype(int)
    shared = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    if not shared.any():
        yield "an image a quarter of the width further on shows none of the same sky"
        return
    band = int(
        np.nanargmax(np.nanstd(cutout.flux, axis=(1, 2)) / np.nanmedian(np.abs(cutout.flux), axis=(1, 2)))
    )
    seen = cutout.flux[band][row[shared], column[shared]]
    plane = shifted.flux[band]
    true = _correlation(plane[shared], seen)
    flipped = {
        "upside down": plane[::-1],
        "mirrored": plane[:, ::-1],
        "turned by 180 degrees": plane[::-1, ::-1],
    }
    for how, other in flipped.items():
        if not true > _correlation(other[shared], seen):
            yield f"an image further on fits better when it is {how}: the WCS is not that of the pixels"
            return


def _correlation(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    good = np.isfinite(one) & np.isfinite(other)
    if good.sum() < 3 or one[good].std() == 0 or other[good].std() == 0:
        return 0.0
    return float(np.corrcoef(one[good].astype(float), other[good].astype(float))[0, 1])


def _refusals(
    survey: Survey, position: SkyCoord, width: u.Quantity, outside: SkyCoord | None
) -> Iterator[str]:
    two = position.directional_offset_by([0, 90] * u.deg, 1 * u.arcsec)
    questions: list[tuple[str, type[Exception], Callable[[], object]]] = [
        ("an unknown band", ValueError, lambda: survey.cutout(position, width, (_NO_BAND,))),
        ("no band", ValueError, lambda: survey.cutout(position, width, ())),
        ("a width of 0", ValueError, lambda: survey.cutout(position, 0 * u.arcsec)),
        ("a width in metres", ValueError, lambda: survey.cutout(position, 1 * u.m)),
        ("two positions", ValueError, lambda: survey.cutout(two, width)),
    ]
    if outside is not None:
        questions.append(("a place outside", CoverageError, lambda: survey.cutout(outside, width)))
    for what, kind, ask in questions:
        try:
            ask()
        except kind:
            continue
        except Exception as error:  # noqa: BLE001  the wrong kind of error is what is looked for
            yield f"{what} raises {type(error).__name__}, not {kind.__name__}: {error}"
        else:
            yield f"{what} is answered: raise {kind.__name__}"


def _travels(survey: Survey, cutout: Cutout) -> Iterator[str]:
    try:
        twin = pickle.loads(pickle.dumps(survey))
        if (twin.name, twin.bands) != (survey.name, survey.bands):
            yield "sent to another process it is another survey"
    except Exception as error:  # noqa: BLE001  whatever a stranger's class raises
        yield f"it cannot be sent to another process: {type(error).__name__}: {error}"
    if re.search(r" at 0x[0-9a-f]+", repr(survey)):
        yield f"its repr differs from run to run: {survey!r}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cutout.fits"
        try:
            save_cutout(cutout, path)
        except (TypeError, ValueError) as error:
            yield f"the cutout cannot be saved: {error}"
            return
        if not np.array_equal(load_cutout(path).flux, cutout.flux, equal_nan=True):
            yield "a saved cutout is another one"


def _origin(survey: RemoteSurvey, cutout: Cutout, position: SkyCoord, width: u.Quantity) -> Iterator[str]:
    said = survey.requests(position, width)
    if not isinstance(said, tuple) or not said or not all(str(one).startswith("http") for one in said):
        yield f"requests gives {said!r}, not a tuple of addresses"
    elif not all(str(one).startswith(survey.server.rstrip("/")) for one in said):
        yield f"requests go to other places than its server {survey.server}"
    made = cutout.meta.get("requests", [])
    if not made or not all({"url", "time", "sha256"} <= set(one) for one in made):
        yield 'meta["requests"] does not give url, time and sha256 of each answer'
    if cutout.psf is not None and not cutout.meta.get("psf_source"):
        yield 'meta["psf_source"] does not say where the PSF is from'
