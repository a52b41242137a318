"""Redshifting against a plain loop of photutils, scipy, reproject and astropy that does the same steps."""

import time

import numpy as np
from astropy.cosmology import Planck18
from astropy.wcs import WCS
from photutils.psf_matching import make_wiener_kernel
from reproject import reproject_adaptive
from scipy.signal import fftconvolve

from galcnn.cutout import Cutout
from galcnn.redshifting import Redshifting, magnification, redshift
from galcnn.simulation import SIMULATED, draw, from_catalog, psf_planes, simulate_catalog
from tests.benchmarks.timing import ratio

_SETTINGS = Redshifting(bandpass="same")
_OBSERVATION = SIMULATED
_GALAXIES = 12


def _cutouts(n: int) -> list[tuple[Cutout, float]]:
    """Cutouts of 64 x 64 pixels in 3 bands, each with a redshift of its own to go to."""
    galaxies = from_catalog(simulate_catalog(n, seed=4))
    rng = np.random.default_rng(0)
    drawn = [draw(galaxy.at(0.05), seed=1, shape=(64, 64)) for galaxy in galaxies]
    # Quieter than the observation, as an input has to be.
    quiet = [
        Cutout(c.flux, c.bands, c.wcs, c.position, sigma=c.sigma / 4, psf=c.psf, redshift=0.05) for c in drawn
    ]
    return [(cutout, float(rng.uniform(0.07, 0.3))) for cutout in quiet]


def _plain(cutout: Cutout, z_to: float, rng: np.random.Generator) -> np.ndarray:
    """What an astronomer would write: shrink, match the PSF, dim, add the missing noise."""
    shrink = magnification(0.05, z_to)
    side = int(64 * shrink)
    target = psf_planes(_OBSERVATION)[0].astype(float)
    there = cutout.wcs.deepcopy()
    there.wcs.cdelt = cutout.wcs.wcs.cdelt / shrink
    there.wcs.crpix = (cutout.wcs.wcs.crpix - 32.5) * shrink + (side + 1) / 2
    dimming = (Planck18.luminosity_distance(0.05) / Planck18.luminosity_distance(z_to)).value ** 2
    factor = dimming * (1 + z_to) / 1.05
    planes = []
    for band, (flux, sigma, psf) in enumerate(zip(cutout.flux, cutout.sigma, cutout.psf, strict=True)):
        grid = WCS(naxis=2)
        grid.wcs.ctype, grid.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1e-4, 1e-4]
        grid.wcs.crpix = [(psf.shape[1] + 1) / 2] * 2
        small = grid.deepcopy()
        small.wcs.cdelt = np.array(grid.wcs.cdelt) / shrink
        shrunk_psf, _ = reproject_adaptive((psf, grid), small, psf.shape, conserve_flux=True)
        shrunk_psf = np.nan_to_num(shrunk_psf)
        kernel = make_wiener_kernel(shrunk_psf / shrunk_psf.sum(), target, regularization=1e-6)
        image, _ = reproject_adaptive((flux, cutout.wcs), there, (side, side), conserve_flux=True)
        spread, _ = reproject_adaptive((sigma**2, cutout.wcs), there, (side, side), conserve_flux=True)
        image = fftconvolve(np.nan_to_num(image), kernel, mode="same") * factor
        variance = fftconvolve(np.nan_to_num(spread), kernel**2, mode="same") * factor**2
        wanted = (
            _OBSERVATION.sky_sigma[band] ** 2 + np.clip(image, 0, None) / _OBSERVATION.electrons_per_njy[band]
        )
        missing = np.sqrt(np.clip(wanted - variance, 0, None))
        planes.append(image + missing * rng.standard_normal(image.shape))
    return np.stack(planes)


def ratios() -> dict[str, float]:
    work = _cutouts(_GALAXIES)
    rng = np.random.default_rng(1)

    def plain() -> None:
        for cutout, z_to in work:
            _plain(cutout, z_to, rng)

    def ours() -> None:
        for cutout, z_to in work:
            redshift(cutout, z_to, observation=_OBSERVATION, settings=_SETTINGS)

    return {"redshift.astropy_reproject_loop_over_galcnn": ratio(plain, ours)}


def main() -> None:
    work = _cutouts(100)
    for cutout, z_to in work[:20]:
        redshift(cutout, z_to, observation=_OBSERVATION, settings=_SETTINGS)
    wall, cpu = time.perf_counter(), time.process_time()
    for cutout, z_to in work:
        redshift(cutout, z_to, observation=_OBSERVATION, settings=_SETTINGS)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    rates = f"{len(work) / wall:.0f}; of CPU: {len(work) / cpu:.0f}"
    print(f"cutouts of 64 x 64 x 3 redshifted a second: {rates}")  # noqa: T201
    for name, value in ratios().items():
        print(f"{name}: {value:.2f}")  # noqa: T201


if __name__ == "__main__":
    main()
