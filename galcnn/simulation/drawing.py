"""Draw simulated galaxies as cutouts of an observation."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord

from galcnn._runtime import seeding
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import Observation
from galcnn.simulation.components import components
from galcnn.simulation.dust import optical_depth
from galcnn.simulation.galaxy import Galaxy
from galcnn.simulation.spectra import bandpass, galsim
from galcnn.simulation.telescope import SIMULATED, add_noise, psf_planes, tangent_wcs

if TYPE_CHECKING:
    from collections.abc import Sequence


#: Flux, sigma and pixel position (x, y) of a galaxy.
Exposure = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], tuple[float, float]]

#: Galaxies are drawn out to this many half-light radii, with companion and tails.
_REACH = 16.0

#: Minimum distance in pixels to which galaxies are drawn, for the wings of the PSF.
_LEAST_REACH = 48.0


def draw(
    galaxy: Galaxy,
    *,
    seed: int,
    observation: Observation = SIMULATED,
    shape: tuple[int, int] = (64, 64),
    noise: bool = True,
) -> Cutout:
    """Draw one galaxy as a cutout of an observation.

    The centre of the galaxy is within half a pixel of the middle of the image, at an offset that depends
    on its id. North is up, east to the left.

    Parameters
    ----------
    galaxy : Galaxy
        Galaxy to draw.
    seed : int
        Seed of noise and sub-pixel offset. Both depend on `seed` and the galaxy's id, noise also on the band.
    observation : Observation
        Pixel scale, bands, PSF and depth. Passbands are those of the same names in
        `galcnn.simulation.spectra.BANDS`.
    shape : tuple of int
        Shape of the cutout in pixels, (ny, nx).
    noise : bool
        If True, add noise. `sigma` is that of the observation in either case.

    Returns
    -------
    Cutout
        Cutout in nJy with WCS, sigma and PSF.

    Raises
    ------
    ValueError
        If a band has no passband, or the shape is not two positive whole numbers.
    ImportError
        If GalSim is not installed.

    Examples
    --------
    >>> galaxy = Galaxy("a", 150, 2, 0.05, "elliptical", 16.0, 2.0, 0.8, 30, "E", sersic_n=1)
    >>> cutout = draw(galaxy, seed=1, shape=(96, 96), noise=False)
    >>> round(float(cutout.flux[1].sum() / galaxy.flux("r")), 3)
    1.0
    """
    flux, sigma, centre = expose(galaxy, seed=seed, observation=observation, shape=shape, noise=noise)
    return as_cutout(galaxy, flux, sigma, centre, observation=observation, seed=seed)


def expose(
    galaxy: Galaxy, *, seed: int, observation: Observation, shape: tuple[int, int], noise: bool = True
) -> Exposure:
    """Draw one galaxy as arrays, which are cheaper to send between processes than a Cutout."""
    check_shape(shape)
    shift = seeding.generator(seed, "offset", galaxy.id).uniform(-0.5, 0.5, 2)
    centre = ((shape[1] - 1) / 2 + float(shift[0]), (shape[0] - 1) / 2 + float(shift[1]))
    model = model_image(galaxy, observation=observation, shape=shape, centre=centre)
    flux, sigma = add_noise(model, observation=observation, seed=seed, key=galaxy.id)
    return (flux if noise else model.astype(np.float32)), sigma, centre


def as_cutout(
    galaxy: Galaxy,
    flux: npt.NDArray[np.float32],
    sigma: npt.NDArray[np.float32],
    centre: tuple[float, float],
    *,
    observation: Observation,
    seed: int,
) -> Cutout:
    """Make a Cutout from the arrays and the pixel position of `expose`."""
    position = SkyCoord(galaxy.ra * u.deg, galaxy.dec * u.deg, frame="icrs")
    return Cutout(
        flux,
        observation.bands,
        wcs=tangent_wcs(position, centre, pixel_scale=observation.pixel_scale, shape=flux.shape[1:]),
        position=position,
        survey=observation.name,
        sigma=sigma,
        psf=psf_planes(observation),
        redshift=galaxy.redshift,
        meta={"id": galaxy.id, "class": galaxy.morphology, "origin": "galcnn.simulation", "seed": seed},
    )


def model_image(
    galaxy: Galaxy,
    *,
    observation: Observation,
    shape: tuple[int, int],
    centre: tuple[float, float],
) -> npt.NDArray[np.float64]:
    """Return the noiseless image of a galaxy at any position on a pixel grid, shape (n_bands, ny, nx)."""
    # `centre` is (x, y) in pixels, counted from 0. Components with the same spectrum are convolved together,
    # once per PSF, and scaled by the flux of that spectrum in each band. The PSF is achromatic within a
    # band, so no chromatic integration is needed.
    gs = galsim()
    planes = np.zeros((len(observation.bands), *shape))
    scale = float(observation.pixel_scale.to_value(u.arcsec))
    bounds = _bounds(galaxy, scale, shape, centre)
    if bounds is None:
        return planes
    parts = functools.cache(functools.partial(components, galaxy))
    drawn: dict[tuple[str, float, float], npt.NDArray[np.float64]] = {}
    x0, x1, y0, y1 = bounds
    for plane, band, fwhm in zip(planes, observation.bands, observation.psf_fwhm, strict=True):
        bandpass(band)  # raise an error for an unknown band even if no flux falls there
        dust = optical_depth(galaxy, band)
        by_sed: dict[str, list[Any]] = {}
        shares: dict[str, float] = {}
        for profile, sed, share in parts(dust):
            by_sed.setdefault(sed, []).append(profile * share)
            shares[sed] = shares.get(sed, 0.0) + share
        for sed, flux in galaxy.sed_fluxes(band).items():
            if (sed, fwhm, dust) not in drawn:
                image = gs.ImageD(gs.BoundsI(x0, x1 - 1, y0, y1 - 1), scale=scale)
                seen = gs.Convolve(gs.Sum(by_sed[sed]), gs.Moffat(observation.psf_beta, fwhm=fwhm))
                # The FWHM of an Observation includes the pixel, so the image is not convolved with it again.
                _check_transform(seen, galaxy, scale)
                seen.drawImage(image, method="no_pixel", center=gs.PositionD(*centre))
                drawn[sed, fwhm, dust] = image.array
            plane[y0:y1, x0:x1] += drawn[sed, fwhm, dust] * (flux / shares[sed])
    return planes


def check_shape(shape: Sequence[int]) -> None:
    """Raise an error if a shape (ny, nx) is not two positive whole numbers."""
    if len(shape) != 2 or not all(isinstance(side, int | np.integer) and side > 0 for side in shape):
        raise ValueError(message("a shape of two positive whole numbers (ny, nx)", "", shape=shape))


def reach_pixels(galaxy: Galaxy, scale: float) -> float:
    """Return the distance in pixels of `scale` arcsec beyond which a galaxy is not drawn."""
    return max(_LEAST_REACH, _REACH * galaxy.half_light_radius / scale)


def _check_transform(seen: Any, galaxy: Galaxy, scale: float) -> None:
    """Raise an error if GalSim would need gigabytes for an FFT, about which it only warns."""
    side = galsim().Image.good_fft_size(seen.getGoodImageSize(scale))
    if side * max(1.0, seen.maxk * scale / np.pi) > seen.gsparams.maximum_fft_size:
        raise ValueError(
            message(
                "a galaxy with a half-light radius of a few hundred pixels at most",
                "Give larger pixels, or put it further away with Galaxy.at.",
                id=galaxy.id,
                half_light_radius=galaxy.half_light_radius,
                pixel_scale=scale,
            )
        )


def _bounds(
    galaxy: Galaxy, scale: float, shape: tuple[int, int], centre: tuple[float, float]
) -> tuple[int, int, int, int] | None:
    """Return the part of the grid that a galaxy reaches, (x0, x1, y0, y1) with ends excluded, or None."""
    reach = reach_pixels(galaxy, scale)
    low = [max(0, int(np.floor(place - reach))) for place in centre]
    high = [
        min(side, int(np.ceil(place + reach)) + 1) for place, side in zip(centre, shape[::-1], strict=True)
    ]
    if low[0] >= high[0] or low[1] >= high[1]:
        return None
    return low[0], high[0], low[1], high[1]
