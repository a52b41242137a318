"""Print the errors behind the tests of redshifting: python -m tests.redshifting.error_table."""

import sys
from collections.abc import Callable, Iterator
from itertools import product

import numpy as np

from galcnn.redshifting import Redshifting, magnification, redshift
from galcnn.redshifting.settings import flux_factor
from galcnn.simulation import from_catalog, simulate_catalog
from tests.redshifting.conftest import FAR, NEAR, drawn, sersic
from tests.redshifting.test_bandpass import SED, errors
from tests.redshifting.test_redshift import QUIET, centroid, half_light_radius

Row = tuple[str, float, float]


def drawn_directly() -> Iterator[Row]:
    """Against the same galaxy drawn by GalSim at the higher redshift: the worst of the grid."""
    worst = np.zeros(4)
    for z_to, index, radius in product((0.07, 0.15, 0.3, 0.6), (1, 2.5, 4), (1.5, 4.0)):
        side = 256 if radius < 2 else 384
        near = drawn(sersic(index, radius), NEAR, (side, side + 1), redshift=0.05, offset=(0.25, -0.35))
        far = redshift(near, z_to, observation=FAR, settings=QUIET)
        shrunk = sersic(index, radius).dilate(magnification(0.05, z_to)) * flux_factor(0.05, z_to)
        offset = np.array([0.25, -0.35]) * far.meta["redshifting"][-1]["magnification"]
        judge = drawn(shrunk, FAR, far.shape, offset=tuple(offset)).flux[0]
        found = (
            np.abs(far.flux[0] - judge).max() / judge.max(),
            abs(half_light_radius(far.flux[0]) / half_light_radius(judge) - 1),
            abs(far.flux.sum(dtype=float) / judge.sum(dtype=float) - 1),
            np.abs(centroid(far.flux[0]) - centroid(judge)).max(),
        )
        worst = np.maximum(worst, found)
    names = ("peak", "half-light radius", "flux", "centroid (pixels)")
    yield from zip(
        (f"drawn directly: {name}" for name in names), worst, (0.01, 0.01, 0.003, 0.05), strict=True
    )


def conserved() -> Iterator[Row]:
    """Linearity, two steps for one, flux."""
    disc = drawn(sersic(1, 4.0), NEAR, (256, 256), redshift=0.05, offset=(0.3, -0.4))
    other = drawn(sersic(4, 2.0), NEAR, (256, 256), redshift=0.05)
    far = [redshift(one, 0.2, observation=FAR, settings=QUIET).flux.astype(float) for one in (disc, other)]
    both = redshift(
        type(disc)(
            disc.flux + 2 * other.flux, disc.bands, disc.wcs, disc.position, psf=disc.psf, redshift=0.05
        ),
        0.2,
        observation=FAR,
        settings=QUIET,
    ).flux
    yield "linearity, of the peak", float(np.abs(both - far[0] - 2 * far[1]).max() / both.max()), 1e-6
    half = redshift(disc, 0.08)
    twice = redshift(half, 0.2, observation=FAR, shape=(64, 64), settings=QUIET).flux
    once = redshift(disc, 0.2, observation=FAR, shape=(64, 64), settings=QUIET).flux
    yield (
        "z1 -> z2 -> z3 against z1 -> z3, of the peak",
        float(np.abs(twice - once).max() / once.max()),
        0.003,
    )
    moved = redshift(disc, 0.2)
    ratio = moved.flux.sum(dtype=float) / disc.flux.sum(dtype=float)
    yield "flux over its factor", abs(ratio / flux_factor(0.05, 0.2) - 1), 1e-3


def spectra() -> Iterator[Row]:
    """Bandpass shift by spectra, against galaxies drawn with these spectra."""
    galaxies = [galaxy.at(0.05) for galaxy in from_catalog(simulate_catalog(18, seed=9))]
    for z_to in (0.15, 0.3):
        found, nearest = (
            errors(galaxies, z_to, SED),
            errors(galaxies, z_to, Redshifting(noise="none", max_mismatch=1)),
        )
        yield f"spectra to z = {z_to}: flux, median", float(np.median(found[:, 0])), 0.01
        yield f"spectra to z = {z_to}: flux, worst", float(found[:, 0].max()), 0.03
        yield f"spectra to z = {z_to}: peak, median", float(np.median(found[:, 1])), 0.02
        yield f"nearest band to z = {z_to}: flux, median", float(np.median(nearest[:, 0])), np.inf


def main() -> None:
    parts: tuple[Callable[[], Iterator[Row]], ...] = (drawn_directly, conserved, spectra)
    for part in parts:
        for name, value, bound in part():
            sys.stdout.write(f"{name:<48} {value:.2g}   (bound {bound:g})\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
