"""Where North is and how long an arcsec: compass and scale bar of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.viewers.style import SMALL

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from galcnn.cutout import Cutout

__all__ = ["compass", "draw_compass", "draw_scale_bar", "scale_bar"]

#: Steps of a scale bar.
_STEPS = (1.0, 2.0, 5.0)
#: Arcsec in a degree and in an arcmin; a shorter bar is in arcsec.
_ANGLES = ((3600.0, "°"), (60.0, "\N{PRIME}"))
_BAR_SHARE = 0.3
_COMPASS_SHARE = 0.13


def scale_bar(cutout: Cutout) -> tuple[float, float, str]:
    """Choose a scale bar: the largest round angle below 0.3 of the width.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        With a WCS.

    Returns
    -------
    tuple of float, float and str
        Length in arcsec and in pixels, and its label: 1, 2 or 5 times a power of ten, in arcsec,
        arcmin or degrees.

    Raises
    ------
    ValueError
        The cutout has no WCS.
    """
    scale = cutout.pixel_scale
    if scale is None:
        raise ValueError(message("a cutout with a WCS", "", wcs=None))
    arcsec = float(scale.to_value(u.arcsec))
    longest = _BAR_SHARE * cutout.shape[1] * arcsec
    size, sign = next((size, sign) for size, sign in (*_ANGLES, (1.0, "″")) if longest >= size or size == 1)
    decade = 10.0 ** np.floor(np.log10(longest / size))
    length = float(max(step * decade for step in _STEPS if step * decade * size <= longest))
    return length * size, length * size / arcsec, f"{length:g}{sign}"


def compass(cutout: Cutout) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Give the directions of North and East at the centre of a cutout.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        With a WCS, of either parity and any celestial frame.

    Returns
    -------
    tuple of numpy.ndarray
        Two unit vectors (x, y) in pixels, for right ascension and declination in ICRS.
    """
    from astropy.wcs.utils import pixel_to_skycoord

    ny, nx = cutout.shape
    x, y = (nx - 1) / 2, (ny - 1) / 2
    centre = pixel_to_skycoord(x, y, cutout.wcs).icrs
    # From pixels to the sky only: the way back does not converge for every distortion.
    steps = [
        centre.spherical_offsets_to(pixel_to_skycoord(x + dx, y + dy, cutout.wcs).icrs)
        for dx, dy in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))
    ]
    sky = np.array([[east.to_value(u.arcsec), north.to_value(u.arcsec)] for east, north in steps])
    to_pixels = np.linalg.inv(np.stack([sky[0] - sky[1], sky[2] - sky[3]], axis=1))
    east, north = (to_pixels / np.linalg.norm(to_pixels, axis=0)).T
    return north, east


def draw_scale_bar(axes: Axes, cutout: Cutout) -> None:
    """Draw the scale bar into the lower left corner.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        With the picture of the cutout.
    cutout : galcnn.cutout.Cutout
        With a WCS.
    """
    ny, nx = cutout.shape
    _, pixels, label = scale_bar(cutout)
    left, low = 0.05 * nx - 0.5, 0.06 * ny - 0.5
    axes.plot(
        [left, left + pixels], [low, low], color="white", lw=1.8, solid_capstyle="butt", path_effects=_edge(3)
    )
    _write(axes, label, (left + pixels / 2, low + 0.02 * ny), va="bottom")


def draw_compass(axes: Axes, cutout: Cutout) -> None:
    """Draw arrows to North and East into the lower right corner.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        With the picture of the cutout.
    cutout : galcnn.cutout.Cutout
        With a WCS.
    """
    ny, nx = cutout.shape
    arm = _COMPASS_SHARE * min(nx, ny)
    arrows = [arm * direction for direction in compass(cutout)]
    # The letters stand beyond the tips; all of it fits the lower right corner whatever the angle.
    reach = np.array([[0.0, 0.0], *(1.35 * arrow for arrow in arrows)])
    origin = np.array([0.95 * nx - 0.5 - reach[:, 0].max(), 0.06 * ny - 0.5 - reach[:, 1].min()])
    for letter, arrow in zip("NE", arrows, strict=True):
        axes.annotate(
            "",
            xy=tuple(origin + arrow),
            xytext=tuple(origin),
            arrowprops={
                "arrowstyle": "-|>,head_length=0.25,head_width=0.13",
                "color": "white",
                "lw": 1,
                "shrinkA": 0,
                "shrinkB": 0,
                "path_effects": _edge(2),
            },
        )
        x, y = origin + 1.35 * arrow
        _write(axes, letter, (float(x), float(y)), va="center")


def _write(axes: Axes, text: str, place: tuple[float, float], *, va: str) -> None:
    axes.text(*place, text, color="white", ha="center", va=va, fontsize=SMALL, path_effects=_edge(1.5))


def _edge(width: float) -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground="black")]
