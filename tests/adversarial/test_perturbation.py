"""attack(): galaxies in, Syntheses out; an independent prediction of what FITS holds checks success."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.io import fits
from scipy import stats

from galcnn.adversarial import (
    FGSM,
    PGD,
    MinimalPerturbation,
    SkyAscent,
    SmallestEpsilon,
    attack,
    away_from,
    visibility,
)
from galcnn.adversarial.perturbation import boxed
from galcnn.cutout import Cutout
from galcnn.explain import Synthesis
from galcnn.layers import read_syntheses, write_syntheses
from galcnn.model import Target
from galcnn.prediction import predict
from tests.conftest import toy_images

NOISE = 3.0


def some_cutouts(n=4, *, mask=False):
    images, _ = toy_images(n, seed=9)
    psf = np.ones((2, 3, 3)) / 9
    cutouts = []
    for i, image in enumerate(images):
        flux = np.moveaxis(image, -1, 0).copy()
        masked = np.zeros(flux.shape, bool)
        if mask:
            masked[:, 2, 3] = True
            flux[:, 2, 3] = 1e4 + i
        cutouts.append(Cutout(flux, ("g", "r"), mask=masked, sigma=np.full(flux.shape, NOISE), psf=psf))
    return cutouts


ATTACKS = [
    FGSM(2.0),
    PGD(2.0, steps=8),
    PGD(3.0, light="psf", flux="conserved", steps=8),
    SmallestEpsilon(PGD(steps=8, start="image"), 0.05),
    MinimalPerturbation(bisections=1, iterations=15),
    SkyAscent(0.9, 0.05, 100),
]


def test_success_is_what_an_independent_prediction_of_the_written_file_says(trained, tmp_path):
    cutouts = some_cutouts(mask=True)
    before = [weights.copy() for weights in trained.model.get_weights()]
    results = attack(trained, cutouts, attacks=ATTACKS, ids=["a", "b", "c", "d"])
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.model.get_weights(), strict=True))
    answers = predict(trained, cutouts).best
    won = 0
    for cutout, answer, made in zip(cutouts, answers, results, strict=True):
        write_syntheses(tmp_path / "a.fits", made)
        for used, one in zip(ATTACKS, read_syntheses(tmp_path / "a.fits"), strict=True):
            assert one.method == used.name
            seen = predict(trained, [replace(cutout, flux=one.image)])
            np.testing.assert_allclose(seen.logits[0], one.logits, atol=1e-4)
            if not used.from_sky:
                np.testing.assert_array_equal(one.start, cutout.flux)
                assert one.target == away_from(answer, trained.classes)
                assert one.success == (seen.best[0] != answer)
            else:
                wanted = 1 - seen.probabilities[0][np.argmin(one.target.weights)]
                assert one.success == (wanted >= 0.9)
                assert not np.allclose(one.start, cutout.flux)
            np.testing.assert_array_equal(one.image[cutout.mask], cutout.flux[cutout.mask])
            np.testing.assert_allclose(one.sigma[~cutout.mask], NOISE, rtol=1e-6)
            won += one.success
    assert won >= 12, "of 24"


def test_limits_hold_for_what_is_returned(trained):
    cutouts = some_cutouts(mask=True)
    (linf, psf) = zip(*attack(trained, cutouts, attacks=ATTACKS[1:3]), strict=True)
    for one, cutout in zip(linf, cutouts, strict=True):
        assert np.abs(one.perturbation_in_sigma).max() <= 2 + 1e-4
        assert visibility(one).largest_sigma == pytest.approx(2, rel=1e-4)
        assert not one.perturbation[cutout.mask].any()
    for one in psf:
        change = one.perturbation.astype(float)
        assert np.all(np.abs(change.sum((1, 2))) <= 1e-4 * np.abs(change).sum((1, 2)))
        assert np.abs(one.perturbation_in_sigma).max() <= 3 + 1e-4


def test_a_target_sends_all_there(trained):
    target = Target.of_class("round", trained.classes)
    for (one,) in attack(
        trained, some_cutouts(), attacks=[MinimalPerturbation(bisections=1, iterations=20)], target=target
    ):
        assert one.success
        assert one.logits[0] > one.logits[1]
        if one.start_logits[0] > one.start_logits[1]:
            assert not one.perturbation.any(), "it is one already"
        else:
            assert one.logits[0] - one.logits[1] < 0.01 * (one.start_logits[1] - one.start_logits[0])


def test_what_does_not_fit_is_refused(trained):
    cutouts = some_cutouts(2)
    with pytest.raises(ValueError, match="one for each of 2 cutouts"):
        attack(trained, cutouts, attacks=ATTACKS[:1], target=[Target("t", (1, 0))])
    with pytest.raises(ValueError, match="all with sigma, or all without"):
        attack(trained, [cutouts[0], replace(cutouts[1], sigma=None)], attacks=ATTACKS[:1])
    with pytest.raises(ValueError, match="the noise of every pixel"):
        attack(trained, [replace(cutouts[1], sigma=None)], attacks=ATTACKS[:1])


def test_pictures_stay_within_what_pictures_hold(trained):
    pictures = replace(
        trained, card=replace(trained.card, inputs=replace(trained.card.inputs, unit="display"))
    )
    assert boxed(PGD(), pictures) == PGD(lower=0.0, upper=255.0)
    assert boxed(SmallestEpsilon(), pictures).pgd.upper == 255.0
    assert boxed(PGD(lower=10), pictures) == PGD(lower=10)
    assert boxed(PGD(), trained) == PGD()


# What an astronomer sees.


def a_synthesis(change, sigma=None, **fields):
    start = np.full((2, 20, 20), 100.0)
    values = ("g", "r"), "pgd", Target("t", (1.0,)), "flux", "nJy", 0.0, 0.0, True
    return Synthesis(start + change, start, *values, sigma=sigma, **fields)


def test_visibility_by_value():
    sigma = np.full((2, 20, 20), 2.0)
    seen = visibility(a_synthesis(np.full((2, 20, 20), 1.0), sigma))
    assert (seen.degrees, seen.rms, seen.largest) == (800, 1, 1)
    assert (seen.rms_sigma, seen.largest_sigma, seen.chi_square) == (0.5, 0.5, 0.25)
    assert seen.norm_sigma == pytest.approx(np.sqrt(800) / 2)
    np.testing.assert_allclose(seen.magnitudes, -2.5 * np.log10(1.01), rtol=1e-4)
    assert seen.moved_magnitude == pytest.approx(31.4 - 2.5 * np.log10(800), abs=1e-3)
    assert seen.excess_sigma == pytest.approx(stats.norm.isf(stats.chi2.sf(1000, 800)))
    assert seen.visible


def test_visibility_is_what_a_test_of_noisy_residuals_finds():
    rng = np.random.default_rng(0)
    change = rng.normal(size=(2, 20, 20)) * 0.4
    seen = visibility(a_synthesis(change, np.ones((2, 20, 20))))
    totals = [np.sum((rng.normal(size=change.shape) + change) ** 2) for _ in range(400)]
    expected = stats.norm.isf(stats.chi2.sf(np.mean(totals), change.size))
    assert seen.excess_sigma == pytest.approx(expected, abs=0.2)


def test_far_beyond_any_probability_it_still_grows():
    sizes = [
        visibility(a_synthesis(np.full((2, 20, 20), k), np.ones((2, 20, 20)))).excess_sigma
        for k in (1.0, 1.4, 2.0, 30.0)
    ]
    assert np.all(np.isfinite(sizes))
    assert np.all(np.diff(sizes) > 0)
    near = visibility(a_synthesis(np.full((2, 20, 20), 1.2), np.ones((2, 20, 20))))
    spread = 2 / (9 * 800)
    hilferty = (np.cbrt(1 + 1.44) - (1 - spread)) / np.sqrt(spread)
    assert near.excess_sigma == pytest.approx(hilferty, rel=0.01)


def test_without_noise_or_calibration_it_says_so():
    seen = visibility(a_synthesis(np.ones((2, 20, 20))))
    assert np.isnan(seen.chi_square)
    assert not seen.visible
    picture = replace(a_synthesis(np.ones((2, 20, 20))), unit="display")
    assert np.isnan(visibility(picture).moved_magnitude)


def test_masked_pixels_are_not_counted():
    sigma = np.full((2, 20, 20), 2.0)
    sigma[:, 0] = 0
    change = np.full((2, 20, 20), 1.0)
    change[:, 1] = np.nan
    seen = visibility(a_synthesis(change, sigma))
    assert seen.degrees == 2 * 18 * 20
    assert seen.chi_square == 0.25


# Layers.


def test_the_layers_hold_the_difference_ten_times_and_in_sigma(tmp_path):
    rng = np.random.default_rng(1)
    sigma = rng.uniform(1, 2, (2, 20, 20)).astype("float32")
    sigma[0, 3, 3] = 0
    made = a_synthesis(rng.normal(size=(2, 20, 20)), sigma)
    plain = a_synthesis(rng.normal(size=(2, 20, 20)))
    write_syntheses(tmp_path / "a.fits", [made, plain])
    with fits.open(tmp_path / "a.fits") as hdulist:
        difference = hdulist["DIFF_PGD_T_R"].data
        np.testing.assert_array_equal(hdulist["DIFF10_PGD_T_R"].data, np.float32(10) * difference)
        np.testing.assert_array_equal(hdulist["DIFFSIG_PGD_T_R"].data, difference / sigma[1])
        assert np.isnan(hdulist["DIFFSIG_PGD_T_G"].data[3, 3])
        assert "BUNIT" not in hdulist["DIFFSIG_PGD_T_R"].header
        assert hdulist["DIFF10_PGD_T_R"].header["BUNIT"] == "nJy"
        assert sum(hdu.name.startswith("NOISE_") for hdu in hdulist) == 2
    again = read_syntheses(tmp_path / "a.fits")
    np.testing.assert_array_equal(again[0].sigma, sigma)
    assert again[1].sigma is None
    with pytest.raises(ValueError, match="sigma of the image's shape"):
        replace(made, sigma=np.ones((1, 20, 20)))
