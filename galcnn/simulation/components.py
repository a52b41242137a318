"""Components of simulated galaxies, each as a GalSim profile of unit flux."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.simulation.dust import behind_dust
from galcnn.simulation.galaxy import EXPONENTIAL, Galaxy
from galcnn.simulation.spectra import galsim

#: Sersic profiles other than exponential ones are truncated at this many half-light radii. Half-light
#: radius and flux are those of the truncated profile. Without truncation the wings of a large
#: de Vaucouleurs galaxy would need FFTs of thousands of pixels.
TRUNCATION = 8.0

#: Side of a drawn pattern in pixels, and half its side in half-light radii of the main body.
_PATTERN_PIXELS = 128
_ARMS_REACH = 3.5
_TIDES_REACH = 6.0

#: Sharpness of an arm; its profile across is exp(sharpness * (cos(azimuth) - 1)).
_ARM_SHARPNESS = 3.0


def components(galaxy: Galaxy, dust: float = 0.0) -> list[tuple[Any, str, float]]:
    """Return the components of a galaxy that have flux, behind dust of an optical depth (face-on)."""
    # Each is a GalSim profile of flux 1, or less behind dust (arcsec; x to the west, y to the north), the
    # name of its spectrum and its share of the rest-frame r-band flux.
    builders = (_body, _bulge, _bar, _arms, _knots, _companion, _tides)
    turn = (galaxy.position_angle + 90) * galsim().degrees
    found = []
    for build, (sed, share) in zip(builders, galaxy.shares, strict=True):
        if share > 0:
            profile = build(galaxy)
            if dust > 0 and build in (_body, _bulge):
                profile = behind_dust(profile, galaxy, dust)
            found.append((profile.rotate(turn), sed, share))
    return found


def arm_pattern(galaxy: Galaxy) -> npt.NDArray[np.float64]:
    """Return the surface brightness of the spiral arms in the plane of the disc."""
    # An exponential disc times a pattern that repeats along logarithmic spirals, azimuth = phase +
    # ln(r / start) / tan(pitch). The major axis is along x, which spans +-3.5 half-light radii.
    x, y = _grid(_ARMS_REACH)
    radius = np.hypot(x, y) + 1e-9
    start = galaxy.bar_length if galaxy.bar_fraction > 0 else 0.25
    wound = np.log(radius / start) / math.tan(math.radians(galaxy.pitch_angle))
    azimuth = np.arctan2(y, x) - math.radians(galaxy.arm_phase) - wound
    ridge = np.exp(_ARM_SHARPNESS * (np.cos(galaxy.n_arms * azimuth) - 1))
    # Arms fade in at their start and fade out before the edge of the grid, so that no box is visible.
    inner = -np.expm1(-((radius / start) ** 4))
    outer = np.exp(-((radius / (0.8 * _ARMS_REACH)) ** 8))
    pattern: npt.NDArray[np.float64] = ridge * inner * outer * np.exp(-EXPONENTIAL * 0.8 * radius)
    return pattern


def tidal_pattern(galaxy: Galaxy) -> npt.NDArray[np.float64]:
    """Return the surface brightness of the tidal feature on the sky."""
    # Tails and a bridge are drawn as chains of Gaussians, not simulated dynamically; they resemble those of
    # Toomre & Toomre (1972, ApJ 178, 623). The major axis of the main body is along x, which spans +-6 of
    # its half-light radii.
    along = np.linspace(0, 1, 48)
    angle = math.radians(galaxy.companion_angle)
    swing = math.radians(galaxy.tidal_swing)
    companion = galaxy.companion_distance * np.exp(1j * angle)
    reach = galaxy.tidal_length
    # Complex numbers are points in the plane: x + i y.
    tail = (0.6 + reach * along) * np.exp(1j * (angle + np.pi + swing * along))
    far = companion + (0.3 + 0.6 * reach * along) * np.exp(1j * (angle + swing * along))
    bridge = companion * along * np.exp(1j * 0.25 * np.sign(swing) * np.sin(np.pi * along))
    fade = (1 - along) ** 0.7
    points = np.concatenate([tail, far, bridge])
    weights = np.concatenate([0.5 * fade, 0.3 * fade, np.full(along.size, 0.15)])
    widths = np.concatenate([0.14 + 0.14 * along, 0.12 + 0.10 * along, np.full(along.size, 0.13)])
    axis = _axis(_TIDES_REACH)
    across_x = np.exp(-0.5 * ((axis - points.real[:, None]) / widths[:, None]) ** 2)
    across_y = np.exp(-0.5 * ((axis - points.imag[:, None]) / widths[:, None]) ** 2)
    across_y *= (weights / widths**2)[:, None]
    # No matrix product, since BLAS adds in an order that depends on the number of threads.
    pattern: npt.NDArray[np.float64] = np.einsum("py,px->yx", across_y, across_x)
    return pattern


def _body(galaxy: Galaxy) -> Any:
    if galaxy.morphology == "edge_on":
        gs = galsim()
        return gs.InclinedSersic(
            galaxy.sersic_n,
            galaxy.inclination * gs.degrees,
            half_light_radius=galaxy.half_light_radius,
            scale_h_over_r=galaxy.thickness,
        )
    return _spheroid(galaxy.sersic_n, galaxy.half_light_radius, galaxy.axis_ratio)


def _bulge(galaxy: Galaxy) -> Any:
    # The bulge is rounder than its disc: an oblate spheroid of intrinsic axis ratio 0.6.
    flattening = math.sqrt(0.36 + 0.64 * galaxy.axis_ratio**2)
    return _spheroid(galaxy.bulge_n, galaxy.bulge_size * galaxy.half_light_radius, flattening)


def _bar(galaxy: Galaxy) -> Any:
    gs = galsim()
    # The bar ends at about twice the half-light radius of the Gaussian, or 2.4 sigma.
    bar = gs.Gaussian(half_light_radius=0.5 * galaxy.bar_length * galaxy.half_light_radius * math.sqrt(0.22))
    bar = bar.shear(q=0.22, beta=galaxy.arm_phase * gs.degrees)
    return _inclined(bar, galaxy.axis_ratio)


def _arms(galaxy: Galaxy) -> Any:
    return _inclined(_picture(arm_pattern(galaxy), _ARMS_REACH, galaxy), galaxy.axis_ratio)


def _knots(galaxy: Galaxy) -> Any:
    gs = galsim()
    radius = galaxy.half_light_radius
    rng = gs.BaseDeviate(galaxy.structure_seed)
    envelope = gs.Gaussian(half_light_radius=0.9 * radius)
    # Star-forming regions have two sizes: large ones, and three times as many small ones.
    large = gs.RandomKnots(galaxy.n_knots, profile=envelope, rng=rng)
    small = gs.RandomKnots(3 * galaxy.n_knots, profile=envelope, rng=rng)
    knots = 0.6 * gs.Convolve(large, gs.Gaussian(half_light_radius=0.15 * radius))
    knots += 0.4 * gs.Convolve(small, gs.Gaussian(half_light_radius=0.06 * radius))
    return _inclined(knots, galaxy.axis_ratio).shift(galaxy.knot_offset * radius, 0)


def _companion(galaxy: Galaxy) -> Any:
    gs = galsim()
    # Equal surface brightness, so the fainter body has the smaller radius.
    main = galaxy.shares[0][1]
    radius = galaxy.half_light_radius * math.sqrt(galaxy.companion_fraction / main)
    body = _spheroid(galaxy.companion_n, radius, galaxy.companion_axis_ratio)
    angle = math.radians(galaxy.companion_angle)
    distance = galaxy.companion_distance * galaxy.half_light_radius
    turned = body.rotate((galaxy.companion_angle + galaxy.tidal_swing) * gs.degrees)
    return turned.shift(distance * math.cos(angle), distance * math.sin(angle))


def _tides(galaxy: Galaxy) -> Any:
    return _picture(tidal_pattern(galaxy), _TIDES_REACH, galaxy)


def _spheroid(index: float, radius: float, axis_ratio: float) -> Any:
    """Return a Sersic profile whose half-light radius along the major axis (x) is `radius`."""
    gs = galsim()
    circular = radius * math.sqrt(axis_ratio)
    if index == 1:
        profile = gs.Exponential(half_light_radius=circular)
    else:
        profile = gs.Sersic(index, half_light_radius=circular, trunc=TRUNCATION * circular)
    return profile.shear(q=axis_ratio, beta=0 * gs.degrees)


def _inclined(profile: Any, axis_ratio: float) -> Any:
    """Incline a flat profile; GalSim keeps its surface brightness, so its flux is restored."""
    return profile.transform(1, 0, 0, axis_ratio) / axis_ratio


def _picture(pattern: npt.NDArray[np.float64], reach: float, galaxy: Galaxy) -> Any:
    gs = galsim()
    scale = 2 * reach * galaxy.half_light_radius / _PATTERN_PIXELS
    # The patterns are smooth and vanish at their edges, so GalSim need not compute these values.
    return gs.InterpolatedImage(
        gs.Image(pattern), scale=scale, flux=1, calculate_stepk=False, calculate_maxk=False
    )


def _axis(reach: float) -> npt.NDArray[np.float64]:
    # GalSim's origin is the true centre of an image, here half a pixel from the nearest pixels.
    outermost = reach * (1 - 1 / _PATTERN_PIXELS)
    return np.linspace(-outermost, outermost, _PATTERN_PIXELS, dtype=np.float64)


def _grid(reach: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    axis = _axis(reach)
    x, y = np.meshgrid(axis, axis)
    return x, y
