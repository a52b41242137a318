"""Dust lanes of edge-on galaxies: an exponential disc of dust as a screen in front of disc and bulge."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.simulation.galaxy import EXPONENTIAL, Galaxy
from galcnn.simulation.spectra import bandpass, galsim

#: Rest-frame wavelength (nm) of `Galaxy.dust_depth`, and the power of the wavelength with which the optical
#: depth changes (Charlot & Fall 2000, ApJ 539, 718).
REFERENCE, POWER = 550.0, -0.7
#: Scale height of the dust in those of the stars (Xilouris et al. 1999, A&A 344, 868).
HEIGHT = 0.5

#: Half the length of the drawn screen and the side of its pixels, in half-light radii of the disc.
_REACH, _STEP = 4.0, 0.025
#: Half the length and the number of steps of a line of sight, in scale lengths and steps.
_DEEP, _STEPS = 8.0, 401


def optical_depth(galaxy: Galaxy, band: str) -> float:
    """Return the optical depth of the dust disc in a band, through its centre if it were seen face-on."""
    if galaxy.dust_depth == 0:
        return 0.0
    rest = float(bandpass(band).effective_wavelength) / (1 + galaxy.redshift)
    return float(galaxy.dust_depth * (rest / REFERENCE) ** POWER)


def depth_along(
    x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], *, height: float, inclination: float
) -> npt.NDArray[np.float64]:
    """Return the optical depth along lines of sight through an exponential disc of dust.

    Positions are on the sky, the major axis along x, in units of the scale length; so is the scale height.
    The depth through the centre is 1 face-on (inclination 0 deg), and 1 / height edge-on.
    """
    tilt = math.radians(inclination)
    along = np.linspace(-_DEEP, _DEEP, _STEPS)
    total = np.zeros(np.broadcast_shapes(x.shape, y.shape))
    for s in along:
        radius = np.hypot(x, y * math.cos(tilt) + s * math.sin(tilt))
        above = np.abs(y * math.sin(tilt) - s * math.cos(tilt))
        total += np.exp(-radius - above / height)
    found: npt.NDArray[np.float64] = total * (along[1] - along[0]) / (2 * height)
    return found


def behind_dust(profile: Any, galaxy: Galaxy, depth: float) -> Any:
    """Return a profile, of the disc or bulge, of which exp(-optical depth) is seen."""
    gs = galsim()
    screen = _screen(galaxy.inclination, HEIGHT * galaxy.thickness)
    scale = _STEP * galaxy.half_light_radius
    image = profile.drawImage(nx=screen.shape[1], ny=screen.shape[0], scale=scale, method="no_pixel")
    absorbed = image.array * -np.expm1(-depth * screen)
    # What is absorbed is subtracted: the profile keeps its light beyond the screen.
    return profile - gs.InterpolatedImage(gs.Image(absorbed), scale=scale, flux=float(absorbed.sum()))


@functools.lru_cache(maxsize=4)
def _screen(inclination: float, height: float) -> npt.NDArray[np.float64]:
    """Return the optical depth, in pixels, of a disc of dust of unit depth whose centre is in the middle."""
    flat = math.cos(math.radians(inclination))
    x, y = (
        np.arange(0.5, math.ceil(side / _STEP), dtype=np.float64) * (_STEP * EXPONENTIAL)
        for side in (_REACH, _REACH * flat + 0.5)
    )
    quarter = depth_along(x[np.newaxis], y[:, np.newaxis], height=height, inclination=inclination)
    return np.block([[quarter[::-1, ::-1], quarter[::-1]], [quarter[:, ::-1], quarter]])
