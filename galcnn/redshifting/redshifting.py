"""Redshift a cutout: the image of a galaxy as it would appear at a higher redshift."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, overload

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from galcnn.cutout import Cutout
from galcnn.errors import message, wrong_type
from galcnn.files.conversion import as_cutouts, is_one
from galcnn.photometry import DISPLAY, Observation
from galcnn.redshifting.bandpass import shifted, source_bands
from galcnn.redshifting.noise import digest, noised
from galcnn.redshifting.psf_matching import matched
from galcnn.redshifting.settings import Redshifting, default_cosmology, flux_factor, magnification
from galcnn.transforms.grid import icrs_steps, pixel_sides

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.io import fits
    from astropy.nddata import NDData


#: Largest relative difference of the sides of a pixel that counts as square.
_SQUARE = 0.02
_F_LAMBDA = u.erg / u.s / u.cm**2 / u.AA


@overload
def redshift(
    cutout: Cutout | str | os.PathLike[str] | NDData | fits.HDUList,
    z_to: float,
    *,
    observation: Observation | None = None,
    shape: tuple[int, int] | None = None,
    settings: Redshifting | None = None,
    seed: int = 0,
) -> Cutout: ...
@overload
def redshift(
    cutout: Iterable[Any],
    z_to: float,
    *,
    observation: Observation | None = None,
    shape: tuple[int, int] | None = None,
    settings: Redshifting | None = None,
    seed: int = 0,
) -> list[Cutout]: ...
def redshift(
    cutout: Any,
    z_to: float,
    *,
    observation: Observation | None = None,
    shape: tuple[int, int] | None = None,
    settings: Redshifting | None = None,
    seed: int = 0,
) -> Cutout | list[Cutout]:
    """Return the image of a galaxy as it would appear at a higher redshift.

    Size scales with 1 / D_A, flux with 1 / D_L^2 and a power of (1 + z) given by the convention. There is no
    evolution unless set. With an observation, the image has its pixels, PSF and noise; without one, the
    pixel scale is kept, the PSF shrinks with the galaxy, and no noise is added.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout, path-like, NDData or HDUList, or several
        Cutout with a redshift, sky subtracted, in nJy (`Redshifting.linear_counts` allows other units). An
        observation also needs a WCS, PSF and sigma. Other images are converted, see
        `galcnn.files.as_cutout`.
    z_to : float
        New redshift, not below that of the galaxy.
    observation : galcnn.photometry.Observation, optional
        Observation at the new redshift.
    shape : tuple of int, optional
        Shape of the result in pixels, (ny, nx); by default as many as the field fills.
    settings : Redshifting, optional
        Settings; by default ``Redshifting()``.
    seed : int
        Seed of noise and filled sky. Random numbers depend on the seed, the image and `z_to`, not on the
        order of images or on processes.

    Returns
    -------
    galcnn.cutout.Cutout or list of it
        Cutout at `z_to`, or one per image if several are given; the middle of the field stays in the
        middle. ``meta["redshifting"]`` records the steps.

    Raises
    ------
    TypeError
        If `cutout` is not an image, or `z_to` not a number.
    ValueError
        If the redshift is unknown or unphysical, or the input lacks what the output needs; the text says
        what.

    Notes
    -----
    The transforms assume that the input is well sampled and that its noise is independent between pixels.
    Propagated noise is correlated between neighbouring pixels of the output, see `Redshifting.noise`.

    Examples
    --------
    >>> import numpy as np
    >>> near = Cutout(np.pad(np.ones((1, 8, 8)), ((0, 0), (28, 28), (28, 28))), ("r",), redshift=0.1)
    >>> far = redshift(near, 0.3)
    >>> far.shape, round(float(far.flux.sum() / near.flux.sum()), 4)
    ((26, 26), 0.1043)
    """
    if not isinstance(z_to, int | float | np.number):
        raise wrong_type("a redshift as a number", z_to=z_to)
    z_to = float(z_to)  # numpy.float64 rounds differently
    settings = settings or Redshifting()
    found = [
        _redshift(one, z_to, observation=observation, shape=shape, settings=settings, seed=seed)
        for one in as_cutouts(cutout)
    ]
    return found[0] if is_one(cutout) else found


def _redshift(
    cutout: Cutout,
    z_to: float,
    *,
    observation: Observation | None,
    shape: tuple[int, int] | None,
    settings: Redshifting,
    seed: int,
) -> Cutout:
    z_from = _checked(cutout, z_to, settings)
    ratio = _pixel_ratio(cutout, observation)
    scale = magnification(z_from, z_to, ratio=ratio, cosmology=settings.cosmology)
    if observation is None and z_to == z_from and shape in (None, cutout.shape):
        return cutout
    sources = _sources(cutout, z_from, z_to, observation, settings)
    convention = settings.convention
    if observation is not None and settings.bandpass == "sed":
        convention = "bolometric"  # the spectra include the rest of the factor
        step, error = shifted(
            cutout, z_to, scale, observation=observation, shape=shape, fill=settings.fill, seed=seed
        )
    else:
        picked = cutout.planes([cutout.bands.index(source) for source, _ in sources.values()], tuple(sources))
        step = matched(picked, scale, observation=observation, shape=shape, fill=settings.fill, seed=seed)
        error = {}
    factor = flux_factor(z_from, z_to, convention=convention, cosmology=settings.cosmology)
    factor *= 10 ** (0.4 * settings.evolution * (z_to - z_from))
    moved = _dimmed(step.cutout, factor)
    key = f"{digest(cutout)} {z_to:.9g}"
    if observation is not None and settings.noise != "none":
        whiten = step.correlation() if settings.noise == "whiten" else None
        moved = noised(moved, observation, seed=seed, key=key, whiten=whiten)
    facts: dict[str, Any] = {
        "z_from": z_from,
        "z_to": z_to,
        "magnification": scale,
        "flux_factor": factor,
        "convention": settings.convention,
        "cosmology": (settings.cosmology or default_cosmology()).name,
        "evolution": settings.evolution,
        "observation": None if observation is None else observation.name,
        "bandpass": "same" if observation is None else settings.bandpass,
        "bands": {band: [source, round(off, 4)] for band, (source, off) in sources.items()},
        "bandpass_error": {band: round(value, 4) for band, value in error.items()},
        "psf_residual": [round(value, 5) for value in step.residual],
        "noise": "none" if observation is None else settings.noise,
        "fill": settings.fill,
        "seed": seed,
    }
    return replace(
        moved,
        wcs=_wcs(cutout, moved.shape, scale, ratio),
        position=cutout.position,
        survey=cutout.survey if observation is None else f"{observation.name} (redshifted)",
        redshift=z_to,
        meta={**cutout.meta, "redshifting": [*cutout.meta.get("redshifting", []), facts]},
    )


def _checked(cutout: Cutout, z_to: float, settings: Redshifting) -> float:
    unit = cutout.unit
    if unit == DISPLAY:
        raise ValueError(
            message(
                "a flux, or linear counts",
                "A JPEG or PNG image holds no flux: use the FITS image of the galaxy.",
                unit=str(unit),
            )
        )
    z_from = cutout.redshift
    if z_from is None:
        raise ValueError(
            message("a galaxy with a known redshift", "Give the cutout its redshift (redshift=...).")
        )
    if not (0 < z_from <= z_to and math.isfinite(z_to)):
        raise ValueError(
            message(
                "0 < the galaxy's redshift <= z_to",
                "A galaxy cannot be brought nearer: the image holds no finer detail.",
                redshift=z_from,
                z_to=z_to,
            )
        )
    allowed = _conventions(unit)
    if any(allowed.values()):
        right = allowed.get(settings.convention, True)
    else:
        right = settings.linear_counts
    if not right:
        raise ValueError(
            message(
                "a convention that fits the unit: f_nu for nJy, f_lambda for flux per wavelength",
                "Load the file with its zero point (zero_point=...), or accept counts in the settings "
                "(linear_counts=True).",
                unit=str(unit),
                convention=settings.convention,
            )
        )
    return float(z_from)


@functools.cache  # comparing units in astropy takes as long as drawing the noise
def _conventions(unit: u.UnitBase) -> dict[str, bool]:
    return {"f_nu": unit.is_equivalent(u.nJy), "f_lambda": unit.is_equivalent(_F_LAMBDA)}


def _pixel_ratio(cutout: Cutout, observation: Observation | None) -> float:
    """Return the pixel scale of the cutout over that of the observation."""
    if observation is None:
        return 1.0
    if not cutout.calibrated:
        raise ValueError(
            message(
                "a cutout in nJy, whose noise can be compared",
                "Load the file with its zero point (zero_point=...), or leave out observation=...",
                unit=str(cutout.unit),
            )
        )
    if cutout.pixel_scale is None:
        raise ValueError(
            message(
                "an image with a WCS, whose pixel scale is known",
                "Use another file, or leave out observation=... to keep pixels and noise.",
                wcs=None,
            )
        )
    y_side, x_side = pixel_sides(cutout)
    if not abs(x_side / y_side - 1) <= _SQUARE:
        raise ValueError(
            message(
                "square pixels",
                "Resample the image first: galcnn.transforms.resample.",
                pixel_scale=f"{x_side:.4f} arcsec along x, {y_side:.4f} along y",
            )
        )
    return float((cutout.pixel_scale / observation.pixel_scale).to_value(u.one))


def _sources(
    cutout: Cutout, z_from: float, z_to: float, observation: Observation | None, settings: Redshifting
) -> dict[str, tuple[str, float]]:
    """Return the source of each output band: input band and rest-frame wavelength mismatch."""
    if observation is None:
        return {band: (band, 0.0) for band in cutout.bands}
    if settings.bandpass == "same":
        missing = [band for band in observation.bands if band not in cutout.bands]
        if missing:
            raise ValueError(
                message(
                    f"bands {observation.bands}", "Choose other bands of the observation.", bands=cutout.bands
                )
            )
        return {band: (band, 0.0) for band in observation.bands}
    if settings.bandpass == "sed":
        return source_bands(observation.bands, z_to, cutout.bands, z_from, np.inf)
    return source_bands(observation.bands, z_to, cutout.bands, z_from, settings.max_mismatch)


def _dimmed(cutout: Cutout, factor: float) -> Cutout:
    sigma = None if cutout.sigma is None else (cutout.sigma * factor).astype(np.float32)
    return replace(cutout, flux=(cutout.flux * factor).astype(np.float32), sigma=sigma)


def _wcs(cutout: Cutout, shape: tuple[int, int], scale: float, ratio: float) -> WCS | None:
    """Return a tangential WCS with the old orientation and the new pixels, exact at the galaxy's position."""
    old = cutout.wcs
    if old is None:
        return None
    middle_old, middle_new = ([(n - 1) / 2 for n in size[::-1]] for size in (cutout.shape, shape))
    if cutout.position is None:
        anchor, sky = np.array(middle_old), old.pixel_to_world(*middle_old).icrs
    else:
        anchor, sky = _pixel_of(old, cutout.position), _icrs(cutout.position)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.crval = [sky.ra.deg, sky.dec.deg]
    wcs.wcs.crpix = (anchor - middle_old) * scale + middle_new + 1
    wcs.wcs.cd = icrs_steps(old, cutout.shape) / 3600 / ratio
    wcs.wcs.set()
    wcs.array_shape = shape
    return wcs


def _pixel_of(wcs: WCS, position: SkyCoord) -> npt.NDArray[np.float64]:
    """Return the pixel (x, y) of a position; astropy's general function would take a fifth of the time."""
    if wcs.wcs.radesys == "ICRS":
        sky = _icrs(position)
        world = [sky.ra.deg, sky.dec.deg] if wcs.wcs.lng == 0 else [sky.dec.deg, sky.ra.deg]
        return np.array(wcs.all_world2pix(*world, 0), dtype=np.float64)
    return np.array(wcs.world_to_pixel(position), dtype=np.float64)


def _icrs(position: SkyCoord) -> SkyCoord:
    return position if position.frame.name == "icrs" else position.icrs
