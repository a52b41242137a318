"""Resample a cutout onto the grid of another with reproject, to put bands of several cameras on one grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.transforms.grid import (
    MIN_COVERAGE,
    SAME_GRID,
    grid_offset,
    per_area,
    pixel_areas,
    recorded,
    stacked_psfs,
)

#: Largest step m in `_noise` for which weights are squared exactly; above it they are averaged.
_EXACT_NOISE = 6

_Array = npt.NDArray[np.float64]
_Psf = npt.NDArray[np.float32]
_Project = Callable[[_Array], tuple[_Array, _Array]]


def align(cutout: Cutout, reference: Cutout) -> Cutout:
    """Resample a cutout onto the grid of another, whatever its scale, rotation, parity or distortion.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with a WCS.
    reference : galcnn.cutout.Cutout
        Cutout that has the wanted grid.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout on the WCS of `reference`. Each new pixel is the sum of the old ones within it, weighted
        by exact areas on the sphere (`reproject.reproject_exact`), so that flux is conserved. Masked
        pixels are ignored: a new pixel with at least half of its area unmasked is the mean of that part
        times its area; others are NaN and masked. `sigma` is propagated as for independent pixels; the
        correlation of new pixels that share an old one is not recorded. The PSF is rotated and scaled
        likewise, with sum 1. If the grids are equal, `cutout` itself.

    Raises
    ------
    ValueError
        If one of them has no WCS, or they do not overlap.

    Examples
    --------
    >>> from astropy.wcs import WCS
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [-1e-4, 1e-4], [2.5, 2.5]
    >>> wide = wcs.deepcopy()
    >>> wide.wcs.cdelt, wide.wcs.crpix = [2e-4, 2e-4], [1.5, 1.5]  # mirrored, too
    >>> fine, coarse = Cutout(np.ones((4, 4)), ("g",), wcs), Cutout(np.ones((2, 2)), ("r",), wide)
    >>> align(fine, coarse).flux.round(4).tolist()
    [[[4.0, 4.0], [4.0, 4.0]]]
    """
    from reproject import reproject_exact

    old, new = _wcs_of(cutout), _wcs_of(reference)
    if cutout.shape == reference.shape and grid_offset(old, new, reference.shape) < SAME_GRID:
        return cutout
    good = ~cutout.mask
    surface = per_area(cutout.unit)
    area_old = np.ones(cutout.shape) if surface else pixel_areas(old, cutout.shape)
    area_new = np.ones(reference.shape) if surface else pixel_areas(new, reference.shape)

    def project(planes: _Array) -> tuple[_Array, _Array]:
        shape = (len(planes), *reference.shape)
        values, footprint = reproject_exact((planes, old), new, shape_out=shape)
        return np.nan_to_num(values), np.nan_to_num(footprint)

    n = len(cutout.bands)
    brightness = np.where(good, cutout.flux, 0.0) / area_old
    values, footprint = project(np.concatenate([brightness, good.astype(np.float64)]))
    share = values[n:]  # unmasked fraction of what the old image covers
    enough = share * footprint[n:] > MIN_COVERAGE - 1e-6
    if not enough.any():
        raise ValueError(
            message(
                "images that overlap",
                "Check both WCS: one may be wrong, or the files show different galaxies.",
                bands=cutout.bands,
                reference=reference.bands,
            )
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        flux = np.where(enough, values[:n] / share * area_new, np.nan)
        sigma = None
        if cutout.sigma is not None:
            spread = _noise(
                np.where(good, cutout.sigma, 0.0) / area_old, (old, new), reference.shape, project
            )
            sigma = np.where(enough, spread / share * area_new, np.nan).astype(np.float32)
    step = {"step": "align", "from": list(cutout.shape), "shape": list(reference.shape)}
    step |= {"onto": list(reference.bands)}
    return replace(
        cutout,
        flux=flux.astype(np.float32),
        mask=~enough,
        sigma=sigma,
        psf=None if cutout.psf is None else _turned_psf(cutout.psf, old, new, cutout.shape),
        wcs=new,
        meta=recorded(cutout.meta, "geometry", step),
    )


def combine(cutouts: Sequence[Cutout], *, reference: str) -> Cutout:
    """Put the bands of several cutouts of one galaxy on one grid.

    Parameters
    ----------
    cutouts : sequence of galcnn.cutout.Cutout
        Cutouts in the same unit; each band occurs once.
    reference : str
        Band whose grid is kept; the others are resampled onto it, see `align`.

    Returns
    -------
    galcnn.cutout.Cutout
        All bands in order. The position is that of the reference cutout, the redshift the first one
        known. Sigma and PSF are kept if all bands have them (PSFs only if their sides have the same
        parity). The meta of each cutout is in ``meta["parts"]``.

    Raises
    ------
    ValueError
        If a band occurs twice, no band is `reference`, units differ, or `align` raises it.
    """
    bands = [band for cutout in cutouts for band in cutout.bands]
    if len(set(bands)) != len(bands):
        raise ValueError(message("each band once", "Name the bands of each file.", bands=bands))
    base = next((cutout for cutout in cutouts if reference in cutout.bands), None)
    if base is None:
        raise ValueError(
            message(f"a reference band among {tuple(bands)}", "Name one of these.", reference=reference)
        )
    units = {str(cutout.unit) for cutout in cutouts}
    if len(units) > 1:
        raise ValueError(message("bands in one unit", "Calibrate them first.", units=sorted(units)))
    parts = [align(cutout, base) for cutout in cutouts]
    sigmas = [part.sigma for part in parts if part.sigma is not None]
    sigma = np.concatenate(sigmas) if len(sigmas) == len(parts) else None
    psf = stacked_psfs([part.psf for part in parts])
    notes = []
    if sigmas and sigma is None:
        notes.append("sigma left out: not known for all bands")
    if psf is None and any(part.psf is not None for part in parts):
        notes.append("PSF left out: not known for all bands, or their middles lie differently on the pixels")
    surveys = list(dict.fromkeys(part.survey for part in parts))
    return replace(
        base,
        flux=np.concatenate([part.flux for part in parts]),
        bands=tuple(bands),
        survey=" + ".join(surveys),
        mask=np.concatenate([part.mask for part in parts]),
        sigma=sigma,
        psf=psf,
        redshift=next((part.redshift for part in parts if part.redshift is not None), None),
        meta={
            "reference_band": reference,
            "parts": [dict(part.meta) | {"bands": list(part.bands)} for part in parts],
            **({"notes": notes} if notes else {}),
        },
    )


def _wcs_of(cutout: Cutout) -> WCS:
    if cutout.wcs is None:
        raise ValueError(
            message(
                "cutouts with a WCS, to resample them to one grid",
                "Use files with a WCS.",
                bands=cutout.bands,
                wcs=None,
            )
        )
    return cutout.wcs


def _corners(shape: tuple[int, int]) -> tuple[_Array, _Array]:
    x, y = np.meshgrid(np.arange(shape[1] + 1) - 0.5, np.arange(shape[0] + 1) - 0.5)
    return x, y


def _noise(sigma: _Array, grids: tuple[WCS, WCS], shape: tuple[int, int], project: _Project) -> _Array:
    """Return the square root of the sum of squared weights times variances."""
    # Projecting sigma gives sums of w s. If only every m-th pixel is kept, with m so large that a new
    # pixel never overlaps two of them, it gives single w s, whose squares can be added. Where that would
    # take many projections, the squared weights are averaged: for a new side of s old pixels their sum is
    # (s - 1/3)^2 / s^4 on average over all phases of two parallel grids.
    old, new = grids
    x, y = old.world_to_pixel(new.pixel_to_world(*_corners(shape)))
    every = int(np.floor(max(_widest(x), _widest(y)))) + 2
    if every > _EXACT_NOISE:
        side = np.sqrt(pixel_areas(new, shape) / np.median(pixel_areas(old, sigma.shape[1:])))
        variance, _ = project(sigma**2)
        averaged: _Array = np.sqrt(variance) * (side - 1 / 3) / side**2
        return averaged
    total = np.zeros((len(sigma), *shape))
    for row in range(every):
        for column in range(every):
            alone = np.zeros_like(sigma)
            alone[:, row::every, column::every] = sigma[:, row::every, column::every]
            total += project(alone)[0] ** 2
    root: _Array = np.sqrt(total)
    return root


def _widest(corners: _Array) -> float:
    """Return the extent of the widest new pixel along one axis of the old grid."""
    four = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, :-1], corners[1:, 1:]])
    return float(np.nanmax(four.max(axis=0) - four.min(axis=0)))


def _turned_psf(psf: npt.NDArray[np.float32], old: WCS, new: WCS, shape: tuple[int, int]) -> _Psf:
    """Transform the PSF by the linear part of the map between the grids, at the middle of the old one."""
    from reproject import reproject_exact

    middle = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2])
    steps = middle + np.array([[0.5, 0], [-0.5, 0], [0, 0.5], [0, -0.5]])
    moved = np.stack(new.world_to_pixel(old.pixel_to_world(*steps.T)), axis=1)
    turn = np.stack([moved[0] - moved[1], moved[2] - moved[3]], axis=1)  # new pixels per old one
    n_old = np.array(psf.shape[:0:-1])  # (x, y)
    n_new = np.ceil(np.abs(turn) @ n_old - 1e-9).astype(int)
    n_new += (n_new - n_old) % 2  # odd stays odd: the middle of the PSF stays on a pixel
    size = (int(n_new[1]), int(n_new[0]))
    grids = _kernel_wcs(np.eye(2), n_old), _kernel_wcs(np.linalg.inv(turn), n_new)
    planes, _ = reproject_exact((psf.astype(np.float64), grids[0]), grids[1], shape_out=(len(psf), *size))
    planes = np.nan_to_num(planes)
    unit_sum: _Psf = (planes / planes.sum(axis=(1, 2), keepdims=True)).astype(np.float32)
    return unit_sum


def _kernel_wcs(matrix: _Array, size: npt.NDArray[np.int64]) -> WCS:
    """Return a tangent-plane WCS about the middle of a kernel; old pixels are 1 arcsec wide."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crpix = (size + 1) / 2
    wcs.wcs.cd = matrix / 3600
    return wcs
