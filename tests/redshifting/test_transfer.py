"""Transfer functions against GalSim's, photutils' and the shift theorem."""

import galsim
import numpy as np
import pytest
from photutils.psf_matching import make_wiener_kernel

from galcnn.redshifting.transfer import (
    Gridding,
    moffat_limit,
    moffat_transfer,
    pixel_transfer,
    psf_transfer,
    wiener_ratio,
)

K = np.linspace(-0.5, 0.5, 41)


@pytest.mark.parametrize("beta", [2.5, 3.5, 4.765])
@pytest.mark.parametrize("fwhm", [2.5, 8.0])
def test_the_moffat_is_galsims(beta, fwhm):
    theirs = galsim.Moffat(beta, fwhm=fwhm)
    want = [[theirs.kValue(2 * np.pi * kx, 2 * np.pi * ky).real for kx in K] for ky in K]
    # GalSim's own table of the transform is good to some 1e-4.
    np.testing.assert_allclose(moffat_transfer(fwhm, beta, K, K), want, atol=2e-4)
    assert moffat_transfer(fwhm, beta, np.zeros(1), np.zeros(1)) == 1
    edge = np.array([moffat_limit(fwhm, beta)])
    assert moffat_transfer(fwhm, beta, edge, np.zeros(1)) == pytest.approx(1e-4, rel=0.02)


def test_a_drawn_psf_has_the_transform_of_its_profile():
    plane = galsim.Moffat(3.5, fwhm=3).drawImage(nx=81, ny=81, scale=1, method="no_pixel", dtype=float).array
    own = psf_transfer((plane / plane.sum()).astype(np.float32), K, K)
    np.testing.assert_allclose(own, moffat_transfer(3, 3.5, K, K), atol=2e-3)
    assert np.abs(own.imag).max() < 1e-6, "a centred, symmetric PSF moves nothing"


def test_a_psf_on_an_even_grid_moves_nothing_either():
    plane = galsim.Gaussian(fwhm=3).drawImage(nx=40, ny=40, scale=1, method="no_pixel").array
    assert np.abs(psf_transfer(plane / plane.sum(), K, K).imag).max() < 1e-6


def test_a_pixel_is_two_sincs():
    box = pixel_transfer(2.0, np.array([0.0, 0.25, 0.5]), np.array([0.0]))
    np.testing.assert_allclose(box[:, 0], [1, 2 / np.pi, 0], atol=1e-12)


def test_the_ratio_is_photutils_wiener_kernel():
    y, x = np.indices((51, 51)) - 25
    narrow, broad = (np.exp(-(x**2 + y**2) / (2 * s**2)) for s in (1.5, 3.0))
    narrow, broad = narrow / narrow.sum(), broad / broad.sum()
    theirs = make_wiener_kernel(narrow, broad, regularization=1e-6)
    k = np.fft.fftfreq(51)
    ratio = wiener_ratio(psf_transfer(broad.astype("f4"), k, k), psf_transfer(narrow.astype("f4"), k, k))
    ours = np.fft.fftshift(np.fft.ifft2(ratio).real)
    np.testing.assert_allclose(ours / ours.sum(), theirs / theirs.sum(), atol=2e-4 * theirs.max())


def kernel_of(gridding):
    """What each old pixel gives to each new one: shape (old y, old x, new y, new x)."""
    ny, nx = gridding.old
    return gridding.apply(np.eye(ny * nx).reshape(-1, ny, nx)).reshape(ny, nx, *gridding.new)


def blur(ky, kx):
    return moffat_transfer(6.0, 3.5, ky, kx)


@pytest.mark.parametrize("shape", [(44, 45), (45, 44)])
def test_nothing_happens_without_a_transfer(shape):
    image = np.random.default_rng(0).normal(size=(2, *shape))
    same = Gridding(shape, shape, 1.0, lambda ky, kx: np.ones((len(ky), len(kx))), reach=4)
    np.testing.assert_allclose(same.apply(image), image, atol=1e-12)
    # The variance ends at once at the edges, which is too sudden for its transform.
    variance = same.apply_squared(np.ones((1, *shape)))[0]
    np.testing.assert_allclose(variance[8:-8, 8:-8], 1, atol=0.02)


@pytest.mark.parametrize(("old", "new"), [((24, 25), (12, 11)), ((25, 24), (8, 9))])
def test_variance_goes_through_the_square_of_the_kernel(old, new):
    gridding = Gridding(old, new, 0.4, blur, reach=30, limit=0.4)
    kernel = kernel_of(gridding)
    variance = np.random.default_rng(1).uniform(0.5, 2, old)
    want = np.einsum("abyx,ab->yx", kernel**2, variance)
    np.testing.assert_allclose(gridding.apply_squared(variance[np.newaxis])[0], want, rtol=1e-4)


def test_the_correlation_is_that_of_the_kernel():
    gridding = Gridding((60, 60), (16, 16), 0.4, blur, reach=30, limit=0.4)
    kernel = kernel_of(gridding)
    want = [np.sum(kernel[:, :, 8, 8] * kernel[:, :, 8, 8 + lag]) for lag in range(4)]
    np.testing.assert_allclose(gridding.correlation()[0, :4], want, rtol=1e-3, atol=1e-7)
