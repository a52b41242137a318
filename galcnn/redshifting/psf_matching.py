"""Resample an image to the pixel grid of an observation and match its PSF."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import Observation
from galcnn.redshifting.noise import digest
from galcnn.redshifting.transfer import (
    Gridding,
    moffat_limit,
    moffat_transfer,
    pixel_transfer,
    psf_transfer,
    wiener_ratio,
)
from galcnn.transforms.grid import MIN_COVERAGE, stacked_psfs

_Array = npt.NDArray[np.float64]

#: Largest amplification of a frequency of the input; a PSF that needs more is an error.
_LARGEST_GAIN = 1.05
#: Largest error of the PSF relative to the peak of the observation's PSF.
_LARGEST_RESIDUAL = 0.02


@dataclass(frozen=True, eq=False)
class Matched:
    """A cutout on its new grid, with what determines the correlation of its noise.

    Attributes
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with flux per new pixel, not dimmed.
    griddings : tuple of galcnn.redshifting.transfer.Gridding
        Resampling of each band.
    residual : tuple of float
        Upper limit of the PSF error over the PSF's peak, for each band; 0 without an observation.
    """

    cutout: Cutout
    griddings: tuple[Gridding, ...]
    residual: tuple[float, ...]

    def correlation(self) -> _Array:
        """Return the autocorrelation of the sky noise in each band, shape (n_bands, ny, nx)."""
        lags = np.stack([gridding.correlation() for gridding in self.griddings])
        own: _Array = lags / lags[:, :1, :1]
        return own


def matched(
    cutout: Cutout,
    magnification: float,
    *,
    observation: Observation | None = None,
    shape: tuple[int, int] | None = None,
    fill: Literal["refuse", "mask", "sky"] = "refuse",
    seed: int = 0,
) -> Matched:
    """Shrink an image about its middle and match the PSF of an observation."""
    # Uses the Wiener ratio of the transfer functions (Boucaud et al. 2016, 1609.02006). Without an
    # observation the pixel scale is kept, the PSF shrinks with the image, and new pixels are averages. Flux
    # is conserved; a new pixel at least half covered by unmasked pixels has the mean of that part.
    shape = shape or _filled(cutout.shape, magnification)
    if min(shape) < 1:
        raise ValueError(
            message(
                "a galaxy that still fills a pixel", "Choose a lower redshift.", magnification=magnification
            )
        )
    lacking = [m / magnification > n + 1e-6 for n, m in zip(cutout.shape, shape, strict=True)]
    if any(lacking) and fill == "refuse":
        need = tuple(int(np.ceil(m / magnification - 1e-6)) for m in shape)
        raise ValueError(
            message(
                f"an input of at least {need} pixels (ny, nx) for an output of {shape}",
                "Use a larger field or a smaller output, or fill the rest (fill=...).",
                input=cutout.shape,
                magnification=round(magnification, 4),
            )
        )
    plans = _plans(cutout, magnification, observation)
    if any(lacking) and fill == "sky":
        cutout = _with_sky(cutout, shape, magnification, max(plan.reach for plan in plans), seed)
        plans = [replace(plan, reach=0.0) for plan in plans]  # the added sky covers the kernel
    return _gridded(cutout, shape, magnification, plans)


@dataclass(frozen=True, eq=False)
class _Plan:
    """Parameters of the resampling of one band."""

    key: tuple[bytes, float]
    psf: npt.NDArray[np.float32] | None
    fwhm: float  # of the observation, in old pixels; 0 without an observation
    beta: float
    limit: float
    reach: float
    magnification: float
    residual: float = 0.0

    def transfer(self, ky: _Array, kx: _Array) -> npt.NDArray[np.inexact]:
        if self.psf is not None and self.fwhm:
            return wiener_ratio(moffat_transfer(self.fwhm, self.beta, ky, kx), psf_transfer(self.psf, ky, kx))
        # Replace one pixel's box by another's; a smaller box is not deconvolved.
        side = max(1.0, 1 / self.magnification)
        return pixel_transfer(side, ky, kx) / pixel_transfer(1.0, ky, kx)


def _plans(cutout: Cutout, magnification: float, observation: Observation | None) -> list[_Plan]:
    plans = [_plan(cutout, i, magnification, observation) for i in range(len(cutout.bands))]
    if observation is None:
        return plans
    residuals: dict[tuple[bytes, float], float] = {}
    for plan, band in zip(plans, cutout.bands, strict=True):
        if plan.key not in residuals:
            residuals[plan.key] = _checked_residual(plan, band, observation.name)
    return [replace(plan, residual=residuals[plan.key]) for plan in plans]


def _plan(cutout: Cutout, i: int, magnification: float, observation: Observation | None) -> _Plan:
    psf = None if cutout.psf is None else cutout.psf[i]
    if observation is None:
        own = b"" if psf is None else psf.tobytes()
        return _Plan((own, 0.0), psf, 0.0, 0.0, 0.5, 8 + 8 / magnification, magnification)
    if psf is None:
        raise ValueError(
            message(
                "the PSF of the input",
                "Give the cutout a PSF; for files, its FWHM in arcsec (psf_fwhm=...).",
                band=cutout.bands[i],
            )
        )
    there = float(observation.pixel_scale.to_value(u.arcsec))
    fwhm = observation.psf_fwhm[i] / there / magnification
    limit = min(0.5, moffat_limit(fwhm, observation.psf_beta))
    return _Plan((psf.tobytes(), fwhm), psf, fwhm, observation.psf_beta, limit, 4 * fwhm, magnification)


def _checked_residual(plan: _Plan, band: str, name: str) -> float:
    """Return the largest possible PSF error over its peak; raise an error if the PSF must be sharpened."""
    assert plan.psf is not None
    # To the corners of the input's frequencies and beyond, where it contains no signal.
    ky = np.linspace(-1.0, 1.0, 41) * min(1.0, 2 * plan.limit)
    kx = ky[len(ky) // 2 :]  # the transform of a real image is symmetric
    inside = (np.abs(ky) <= plan.limit)[:, np.newaxis] & (kx <= plan.limit)
    wanted = moffat_transfer(plan.fwhm, plan.beta, ky, kx)
    present = psf_transfer(plan.psf, ky, kx)
    ratio = np.where(inside, wiener_ratio(wanted, present), 0)
    gain = float(np.abs(ratio).max())
    residual = float(np.abs(ratio * present - wanted).sum() / wanted.sum())
    if gain > _LARGEST_GAIN or residual > _LARGEST_RESIDUAL:
        raise ValueError(
            message(
                f"an input whose PSF, shrunk with the galaxy, is sharper than {name}'s and well sampled",
                "Choose a higher redshift, a sharper input or a broader observation.",
                band=band,
                fwhm_wanted_in_input_pixels=round(plan.fwhm, 3),
                gain=round(gain, 3),
                psf_residual=round(residual, 3),
            )
        )
    return residual


def _filled(shape: tuple[int, int], magnification: float) -> tuple[int, int]:
    ny, nx = (int(n * magnification + 1e-6) for n in shape)
    return ny, nx


def _with_sky(
    cutout: Cutout, shape: tuple[int, int], magnification: float, reach: float, seed: int
) -> Cutout:
    """Extend an image by sky that has the noise near its edges."""
    if cutout.sigma is None:
        raise ValueError(message("sigma, whose sky is filled in", "Load it, or fill='mask'.", sigma=None))
    sides = [
        n + 2 * max(0, int(np.ceil((m / magnification - n) / 2 + reach)))
        for n, m in zip(cutout.shape, shape, strict=True)
    ]
    corner = [(side - n) // 2 for side, n in zip(sides, cutout.shape, strict=True)]
    window = (slice(corner[0], corner[0] + cutout.shape[0]), slice(corner[1], corner[1] + cutout.shape[1]))
    flux, sigma, mask = (np.empty((len(cutout.bands), *sides), kind) for kind in ("f4", "f4", "?"))
    for i, band in enumerate(cutout.bands):
        edge = _edge(cutout.sigma[i])
        sky = float(np.nanmedian(edge)) if np.isfinite(edge).any() else float("nan")
        if not np.isfinite(sky):
            raise ValueError(message("sigma known near the edges", "Use fill='mask'.", band=band))
        noise = seeding.generator(seed, "sky", digest(cutout), band).standard_normal(sides)
        flux[i], sigma[i], mask[i] = sky * noise, sky, False
        flux[i][window], sigma[i][window], mask[i][window] = cutout.flux[i], cutout.sigma[i], cutout.mask[i]
    return replace(cutout, flux=flux, sigma=sigma, mask=mask, wcs=None)


def _edge(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.concatenate([plane[0], plane[-1], plane[:, 0], plane[:, -1]])


def _gridded(cutout: Cutout, shape: tuple[int, int], magnification: float, plans: list[_Plan]) -> Matched:
    n_bands = len(plans)
    flux, coverage = np.empty((n_bands, *shape)), np.empty((n_bands, *shape))
    variance = None if cutout.sigma is None else np.empty((n_bands, *shape))
    enough = np.empty((n_bands, *shape), dtype=bool)
    griddings: list[Gridding | None] = [None] * n_bands
    psfs: list[npt.NDArray[np.float32] | None] = [None] * n_bands
    good = ~cutout.mask
    clean = np.where(good, cutout.flux, 0.0).astype(np.float64)
    for key in dict.fromkeys(plan.key for plan in plans):
        rows = [i for i, plan in enumerate(plans) if plan.key == key]
        plan = plans[rows[0]]
        gridding = Gridding(cutout.shape, shape, magnification, plan.transfer, plan.reach, plan.limit)
        holes = not good[rows].all()
        layers = [clean[rows], np.ones((1, *cutout.shape)), good[rows] if holes else clean[:0]]
        results = gridding.apply(np.concatenate(layers))
        flux[rows], whole = results[: len(rows)], results[len(rows)]
        coverage[rows] = results[len(rows) + 1 :] if holes else whole
        enough[rows] = _inside(cutout.shape, shape, magnification) & (coverage[rows] > MIN_COVERAGE * whole)
        if variance is not None and cutout.sigma is not None:
            spread = np.where(good[rows], cutout.sigma[rows], 0.0).astype(np.float64) ** 2
            variance[rows] = np.clip(gridding.apply_squared(spread), 0, None)
        own = None if plan.psf is None else _psf(plan)
        for i in rows:
            psfs[i], griddings[i] = own, gridding
    area = magnification**-2
    with np.errstate(invalid="ignore", divide="ignore"):
        values = np.where(enough, flux * area / coverage, np.nan)
        sigma = None if variance is None else np.where(enough, np.sqrt(variance) * area / coverage, np.nan)
    made = replace(
        cutout,
        flux=values.astype(np.float32),
        mask=~enough,
        sigma=None if sigma is None else sigma.astype(np.float32),
        psf=stacked_psfs([None if psf is None else psf[np.newaxis] for psf in psfs]),
        wcs=None,
    )
    used = tuple(gridding for gridding in griddings if gridding is not None)
    return Matched(made, used, tuple(plan.residual for plan in plans))


def _inside(old: tuple[int, int], new: tuple[int, int], magnification: float) -> npt.NDArray[np.bool_]:
    """Return True where the centre of a new pixel lies in the old field."""
    along = [
        np.abs(np.arange(m) - (m - 1) / 2) < n / 2 * magnification for n, m in zip(old, new, strict=True)
    ]
    inside: npt.NDArray[np.bool_] = np.logical_and.outer(along[0], along[1])
    return inside


def _psf(plan: _Plan) -> npt.NDArray[np.float32]:
    """Return the PSF of the output: that of the input after the same resampling."""
    assert plan.psf is not None
    if plan.fwhm:
        ny = nx = 2 * int(np.ceil(4 * plan.fwhm * plan.magnification)) + 1
    else:
        ny, nx = (2 * int(np.ceil(n * plan.magnification / 2)) + 1 for n in plan.psf.shape)
    own = (int(plan.psf.shape[0]), int(plan.psf.shape[1]))
    gridding = Gridding(own, (ny, nx), plan.magnification, plan.transfer, plan.reach, plan.limit)
    plane = gridding.apply(plan.psf[np.newaxis].astype(np.float64))[0]
    unit_sum: npt.NDArray[np.float32] = (plane / plane.sum()).astype(np.float32)
    return unit_sum
