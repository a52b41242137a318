"""Noise: propagated, topped up to the observation's, never counted twice."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest

from galcnn.cutout import Cutout
from galcnn.redshifting import Redshifting, redshift
from galcnn.redshifting.settings import flux_factor
from tests.redshifting.conftest import FAR, NEAR, drawn, sersic

SAME = Redshifting(bandpass="same")
WHITE = Redshifting(bandpass="same", noise="whiten")


@pytest.fixture(scope="module")
def blank():
    """A blank sky with the noise that its sigma says: neither too little nor too much for FAR."""
    frame = drawn(sersic(1, 4.0), NEAR, (400, 400), redshift=0.05)
    # Of the far sky's noise, about half is left of this after the move.
    sigma = 0.7 * FAR.sky_sigma[0] / (0.44 * 0.42 * flux_factor(0.05, 0.15) / 0.56)
    noise = np.random.default_rng(3).normal(0, sigma, frame.flux.shape)
    return replace(frame, flux=noise, sigma=np.full(frame.flux.shape, sigma))


def autocorrelation(image, lags=6):
    image = image - image.mean()
    return np.array([np.mean(image[:, : image.shape[1] - lag] * image[:, lag:]) for lag in range(lags)])


def middle(cutout):
    return cutout.flux[0][40:-40, 40:-40].astype(float)


def test_sigma_says_what_the_propagated_noise_is(blank):
    far = redshift(blank, 0.15, observation=FAR, settings=Redshifting(bandpass="same", noise="none"))
    scatter = middle(far).std()
    assert np.median(far.sigma[0][40:-40, 40:-40]) == pytest.approx(scatter, rel=0.1)
    assert 0.2 * FAR.sky_sigma[0] < scatter < 0.95 * FAR.sky_sigma[0], "else the next tests test nothing"


@pytest.mark.parametrize("settings", [SAME, WHITE], ids=["added", "whitened"])
def test_a_blank_sky_has_the_variance_of_the_observation(blank, settings):
    """The input's noise is not counted twice: added in full, the variance would be half too large."""
    far = redshift(blank, 0.15, observation=FAR, settings=settings)
    assert middle(far).std() == pytest.approx(FAR.sky_sigma[0], rel=0.03)
    assert np.median(far.sigma) == pytest.approx(FAR.sky_sigma[0], rel=0.01)


def test_neighbouring_pixels_share_noise_as_propagation_says(blank):
    from galcnn.redshifting import magnification
    from galcnn.redshifting.psf_matching import matched

    far = redshift(blank, 0.15, observation=FAR, settings=SAME)
    step = matched(blank, magnification(0.05, 0.15, ratio=2.0), observation=FAR)
    share = (np.median(step.cutout.sigma) * flux_factor(0.05, 0.15) / FAR.sky_sigma[0]) ** 2
    want = share * step.correlation()[0, 0, :6]
    want[0] = 1
    found = autocorrelation(middle(far)) / FAR.sky_sigma[0] ** 2
    assert want[1] > 0.1, "else there is nothing to see"
    np.testing.assert_allclose(found, want, atol=0.04)


def test_whitened_noise_is_nearly_independent_from_pixel_to_pixel(blank):
    quieter = replace(blank, flux=blank.flux / 2, sigma=blank.sigma / 2)
    added, white = (
        np.abs(autocorrelation(middle(redshift(quieter, 0.15, observation=FAR, settings=one)))[1:4]).max()
        for one in (SAME, WHITE)
    )
    assert white < added / 4


def test_the_photon_transfer_curve_has_the_slope_of_the_gain():
    """Variance against mean flux: 1 / electrons_per_njy."""
    means, variances = [], []
    frame = drawn(sersic(1, 4.0), NEAR, (200, 200), redshift=0.05)
    for level in (0.0, 4e3, 8e3, 16e3, 32e3):
        plain = replace(frame, flux=np.full(frame.flux.shape, level), sigma=np.full(frame.flux.shape, 1e-3))
        far = redshift(plain, 0.15, observation=FAR, settings=SAME, seed=int(level))
        values = middle(far)
        means.append(values.mean())
        variances.append(values.var())
        assert np.median(far.sigma) ** 2 == pytest.approx(values.var(), rel=0.06)
    slope, sky = np.polyfit(means, variances, 1)
    assert slope == pytest.approx(1 / FAR.electrons_per_njy[0], rel=0.05)
    assert sky == pytest.approx(FAR.sky_sigma[0] ** 2, rel=0.15)


def test_few_photons_are_poisson():
    """Whole electrons, skewed: the third moment of a Poisson number is its mean."""
    few = replace(FAR, electrons_per_njy=(1.0,), depth=(34.0,))
    frame = drawn(sersic(1, 4.0), NEAR, (400, 400), redshift=0.05)
    level = 2.0 / (flux_factor(0.05, 0.15)) * (0.6 * 2) ** 2 / 4
    plain = replace(frame, flux=np.full(frame.flux.shape, level), sigma=np.full(frame.flux.shape, 1e-6))
    values = middle(redshift(plain, 0.15, observation=few, settings=SAME))
    mean = values.mean()
    assert values.var() == pytest.approx(mean, rel=0.1)
    assert np.mean((values - mean) ** 3) == pytest.approx(mean, rel=0.25)


def test_the_same_seed_gives_the_same_noise_and_another_object_other_noise(blank):
    def noise(cutout, seed=0, z=0.15):
        far = redshift(cutout, z, observation=FAR, settings=SAME, seed=seed)
        quiet = redshift(cutout, z, observation=FAR, settings=Redshifting(bandpass="same", noise="none"))
        return (far.flux - quiet.flux)[0, :200, :200].ravel()

    other = replace(blank, flux=blank.flux[:, ::-1])
    first = noise(blank)
    np.testing.assert_array_equal(first, noise(blank))
    for different in (noise(blank, seed=1), noise(other), noise(blank, z=0.1501)):
        n = min(len(first), len(different))
        assert abs(np.corrcoef(first[:n], different[:n])[0, 1]) < 0.03


def test_an_input_noisier_than_the_observation_is_refused(blank):
    loud = replace(blank, sigma=blank.sigma * 3)
    with pytest.raises(ValueError, match="Choose a shallower observation"):
        redshift(loud, 0.15, observation=FAR, settings=SAME)


def test_sky_that_is_filled_in_cannot_be_told_from_the_sky_of_the_input():
    """A classifier on border pixels stays at chance, and the seam has no edge."""
    frame = drawn(sersic(1, 4.0), NEAR, (64, 64), redshift=0.05)
    settings = Redshifting(bandpass="same", fill="sky")
    inner, outer = [], []
    for i in range(150):
        noise = np.random.default_rng(i).normal(0, 4.0, frame.flux.shape)
        sky = replace(frame, flux=noise, sigma=np.full(frame.flux.shape, 4.0))
        far = redshift(sky, 0.15, observation=FAR, shape=(80, 80), settings=settings, seed=i)
        assert not far.mask.any()
        inner.append(far.flux[0, 36:44, 36:44].ravel())
        outer.append(far.flux[0, 1:9, 36:44].ravel())
    rows = np.concatenate([inner, outer])
    features = np.concatenate([rows, rows**2], axis=1) / FAR.sky_sigma[0]
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    labels = np.repeat([-1.0, 1.0], len(inner))
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[:200], order[200:]
    # Ridge regression as a linear classifier.
    gram = features[train].T @ features[train] + 100 * np.eye(features.shape[1])
    weights = np.linalg.solve(gram, features[train].T @ labels[train])
    accuracy = np.mean(np.sign(features[test] @ weights) == labels[test])
    assert abs(accuracy - 0.5) < 3 * 0.5 / np.sqrt(len(test))
    assert np.std(outer) == pytest.approx(np.std(inner), rel=0.03)
    assert np.std(inner) == pytest.approx(FAR.sky_sigma[0], rel=0.03)


def test_a_plain_field_without_noise_keeps_its_seam_clean():
    frame = drawn(sersic(1, 2.0), NEAR, (64, 64), redshift=0.05, sigma=1e-6)
    far = redshift(
        frame,
        0.15,
        observation=FAR,
        shape=(80, 80),
        settings=Redshifting(bandpass="same", fill="sky", noise="none"),
    )
    assert np.abs(far.flux[0, :4]).max() < 1e-3 * far.flux.max()
    assert isinstance(far, Cutout)
    assert far.pixel_scale.to_value(u.arcsec) == pytest.approx(0.2)
