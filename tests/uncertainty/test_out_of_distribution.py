"""The out-of-distribution warning: its false alarms are as few as stated, and what lies outside is named."""

import json

import numpy as np
import pytest
from scipy import stats
from scipy.ndimage import gaussian_filter

from galcnn.model import InputSpec
from galcnn.uncertainty import (
    UncertaintyRecord,
    fit_out_of_distribution,
    image_measures,
)
from galcnn.uncertainty.calibration import Calibration
from galcnn.uncertainty.out_of_distribution import OutOfDistribution
from galcnn.uncertainty.prediction_sets import ConformalSets


def sample(n, seed, *, shift=0.0, feature_shift=0.0):
    """Skewed magnitudes, log-normal sizes that depend on them, and correlated features."""
    rng = np.random.default_rng(seed)
    magnitude = 18 - rng.gamma(2.0, 1.0, n) + shift
    size = np.exp(0.3 * (18 - magnitude) + rng.normal(0, 0.4, n))
    features = rng.normal(0, 1, (n, 5)) @ np.diag([3.0, 1.0, 1.0, 0.1, 0.1]) + feature_shift
    return {"magnitude_r": magnitude, "half_light_radius": size}, features


def test_false_alarms_are_those_stated():
    rates = []
    for seed in range(40):
        ood = fit_out_of_distribution(*sample(800, seed), *sample(299, seed + 1000), false_alarms=0.05)
        rates.append(ood.warn(*sample(2000, seed + 2000))[0].mean())
    # k = 285 of n = 299: the mean of Beta(15, 285)
    assert np.mean(rates) == pytest.approx(0.05, abs=4 * 0.0126 / np.sqrt(40) + 0.002)


def test_with_confidence_the_limit_holds_in_that_fraction_of_samples():
    """The m-th largest of n distances, where less than m successes in n trials have a probability of 5 %."""
    exceeded = []
    for seed in range(60):
        aside = sample(299, seed + 1000)
        ood = fit_out_of_distribution(*sample(800, seed), *aside, false_alarms=0.05, confidence=0.95)
        m = 1 + int(np.sum(ood.warn(*aside)[2] > ood.limit))
        assert stats.binom.cdf(m - 1, 299, 0.05) <= 0.05 < stats.binom.cdf(m, 299, 0.05)
        exceeded.append(ood.warn(*sample(4000, seed + 2000))[0].mean() > 0.05)
    assert np.sum(exceeded) <= stats.binom.ppf(0.999, 60, 0.05)
    assert OutOfDistribution.from_dict(json.loads(json.dumps(ood.to_dict()))).confidence == 0.95


def test_too_few_galaxies_for_the_confidence_keep_the_rate_in_the_mean():
    """0.95**n is at most 0.05 from n = 59: below, the largest distance is the limit."""
    for n, expected in ((58, None), (59, 0.95)):
        aside = sample(n, 2)
        ood = fit_out_of_distribution(*sample(800, 1), *aside, false_alarms=0.05, confidence=0.95)
        assert ood.confidence == expected
        assert ood.limit == ood.warn(*aside)[2].max()
    with pytest.raises(ValueError, match=r"a confidence in \(0, 1\)"):
        fit_out_of_distribution(*sample(800, 1), *sample(59, 2), false_alarms=0.05, confidence=1.0)


def test_what_lies_outside_is_named():
    ood = fit_out_of_distribution(*sample(800, 1), *sample(400, 2))
    outside, reasons, distance = ood.warn(*sample(200, 3, shift=12.0))
    assert outside.mean() > 0.95
    assert all(reason.startswith("magnitude_r") for reason in reasons if reason)
    assert (distance[outside] > ood.limit).all()
    outside, reasons, _ = ood.warn(*sample(200, 3, feature_shift=[0, 0, 0, 3.0, 0]))
    assert outside.mean() > 0.95
    assert all(r.startswith("embedding") for r in reasons)


def test_features_that_contradict_each_other_are_found_though_each_is_usual():
    """Two features with a correlation of 0.95, of which one changes its sign: each is as before."""
    rng = np.random.default_rng(0)

    def drawn(n, sign=1.0):
        one, other = rng.normal(size=(2, n))
        return {"a": one, "b": sign * (0.95 * one + np.sqrt(1 - 0.95**2) * other)}, np.zeros((n, 1))

    ood = fit_out_of_distribution(*drawn(2000), *drawn(999))
    assert ood.warn(*drawn(1000))[0].mean() < 0.025
    outside, reasons, _ = ood.warn(*drawn(1000, -1.0))
    # sqrt(2) |a| of the difference has a standard deviation of 1.4 where 0.22 is usual.
    assert outside.mean() > 0.5
    named = [why for why in reasons if why]
    assert np.mean([why.split()[0] in "ab" and "with all other measures" in why for why in named]) > 0.9


def test_one_in_a_hundred_sets_like_the_training_is_called_unlike_at_most():
    ood = fit_out_of_distribution(*sample(1000, 1), *sample(5000, 2))
    found = [ood.set_test(ood.counts(*sample(100, seed + 10))) for seed in range(300)]
    assert sum(one.unlike for one in found) <= 9  # P(more of 300 at 1 %) = 0.1 %
    assert np.mean([one.p_value <= 0.2 for one in found]) < 0.27  # not only at its level
    assert all(one.unlike == (one.p_value <= 0.01) for one in found)
    moved = ood.set_test(ood.counts(*sample(100, 5, shift=1.0)))
    assert moved.unlike
    assert moved.differences[0][0] in ("magnitude_r", "half_light_radius")
    assert "100 galaxies as a set are unlike those of the training" in str(moved)
    assert ood.set_test(ood.counts(*sample(49, 5, shift=1.0))) is None


def test_the_distance_of_sets_is_that_of_kolmogorov_and_smirnov_and_parts_add_up():
    """The bins can only lower the distance, by less than the fraction in one of them."""
    aside = sample(400, 2)
    ood = fit_out_of_distribution(*sample(1000, 1), *aside)
    own = sample(200, 3, shift=1.5)
    test = ood.set_test(ood.counts(*own))
    for name, distance in test.differences:
        if name != "embedding":
            exact = stats.ks_2samp(own[0][name], aside[0][name]).statistic
            assert exact - 0.05 <= distance <= exact + 1e-12
    halves = [
        ({k: v[part] for k, v in own[0].items()}, own[1][part]) for part in (slice(80), slice(80, None))
    ]
    one, other = (ood.counts(*half) for half in halves)
    assert ood.set_test({name: one[name] + other[name] for name in one}) == test
    again = OutOfDistribution.from_dict(json.loads(json.dumps(ood.to_dict())))
    assert again.set_test(ood.counts(*own)) == test
    np.testing.assert_allclose(again.warn(*own)[2], ood.warn(*own)[2])


def test_records_of_an_older_galcnn_judge_each_feature_alone_and_no_sets():
    new = fit_out_of_distribution(*sample(800, 1), *sample(400, 2))
    content = new.to_dict()
    for name in ("center", "precision", "weights", "bins"):
        del content[name]
    old = OutOfDistribution.from_dict(content)
    measures, features = sample(60, 3)
    deviations = new.deviations(measures, features)
    expected = np.max([deviations[name] for name in (*measures, "embedding")], axis=0)
    np.testing.assert_allclose(old.warn(measures, features)[2], expected)
    assert old.set_test(old.counts(measures, features)) is None


def pictures(n, seed, *, factor=1.0):
    """Coloured disks with noise as of one telescope: 8-bit, each band with its own noise and sky."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:32, :32] - 15.5
    made = np.empty((n, 32, 32, 3))
    for image in made:
        width, angle, squeeze = rng.uniform(2, 4) * factor, rng.uniform(0, np.pi), rng.uniform(0.5, 1)
        along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        disk = np.exp(-np.hypot(along, across / squeeze) / width)
        image[:] = disk[..., None] * rng.uniform(60, 220) * rng.uniform(0.6, 1.1, 3)
    smooth = gaussian_filter(rng.normal(0, 1, made.shape), (0, 0.7, 0.7, 0))
    return np.clip(np.round(made + 20 + 10 * smooth), 0, 255).astype(np.float32)


#: Images of another kind, made of usual ones, that are found one by one ...
FOUND = {
    "greyscale": lambda images: np.repeat(np.round(images.mean(axis=-1, keepdims=True)), 3, axis=-1),
    "one band three times": lambda images: np.repeat(images[..., 1:2], 3, axis=-1),
    "negative": lambda images: 255 - images,
    "white noise added": lambda images: images + np.random.default_rng(1).normal(0, 15, images.shape),
    "blurred": lambda images: gaussian_filter(images, (0, 2, 2, 0)),
    "noise alone": lambda images: np.random.default_rng(1).uniform(0, 255, images.shape),
    "without noise": lambda images: pictures_without_noise(images),
}
#: ... or only as a set.
FOUND_AS_A_SET = {
    "another pixel scale": lambda images: pictures(len(images), 77, factor=1.5),
    "slightly blurred": lambda images: gaussian_filter(images, (0, 0.5, 0.5, 0)),
    "bands swapped": lambda images: images[..., ::-1] * np.array([1.1, 1.0, 0.9]),
}


def pictures_without_noise(images):
    """Smooth galaxies on a sky of zeros, as simulations are drawn."""
    return np.clip(gaussian_filter(images, (0, 1.5, 1.5, 0)) - 30, 0, None)


@pytest.fixture(scope="module")
def of_pictures():
    spec = InputSpec(("R", "G", "B"), "display", (32, 32))

    def seen(images):
        images = np.asarray(images, dtype=np.float32)
        return image_measures(images, spec), np.zeros((len(images), 1))

    return seen, fit_out_of_distribution(*seen(pictures(600, 1)), *seen(pictures(400, 2)))


def test_false_alarms_on_pictures_of_the_same_kind_are_as_few_as_promised(of_pictures):
    seen, ood = of_pictures
    training, (measures, features) = seen(pictures(600, 1)), seen(pictures(900, 3))
    rng, shares = np.random.default_rng(0), []
    for _ in range(20):
        order = rng.permutation(900)
        aside, new = (
            ({name: values[rows] for name, values in measures.items()}, features[rows])
            for rows in (order[:450], order[450:])
        )
        shares.append(fit_out_of_distribution(*training, *aside).warn(*new)[0].mean())
    assert np.mean(shares) < 0.02  # 0.01 promised
    assert not ood.set_test(ood.counts(*seen(pictures(100, 4)))).unlike


@pytest.mark.parametrize("name", [*FOUND, *FOUND_AS_A_SET])
def test_pictures_of_another_kind_are_found(of_pictures, name):
    seen, ood = of_pictures
    changed = seen((FOUND | FOUND_AS_A_SET)[name](pictures(100, 4)))
    assert ood.set_test(ood.counts(*changed)).unlike
    if name in FOUND:
        assert ood.warn(*changed)[0].mean() >= 0.95


def test_measures_of_noise_and_colours_by_hand():
    """White noise of one and of several bands, equal bands, and sky; shares of variance by scale."""
    rng = np.random.default_rng(0)
    white = rng.normal(0, 2.0, (1, 128, 128, 3)) + 10.0
    spec = InputSpec(("g", "r", "z"), "display", (128, 128))
    found = image_measures(white.astype(np.float32), spec)
    for name in ("sharpness", "texture_2", "texture_4", "colour_g_r", "noise_colour_r_z"):
        assert found[name][0] == pytest.approx(0.0, abs=0.03)
    assert found["noise_g"][0] == pytest.approx(np.log10(2.0), abs=0.03)
    assert found["sky_r"][0] == pytest.approx(np.arcsinh(5.0), abs=0.05)
    for k, size in enumerate((1, 2, 4, 8)):  # 3/4 of the variance within cells, the rest of each quarter ...
        assert found[f"power_{size}"][0] == pytest.approx(np.log10(0.75 * 0.25**k), abs=0.06)
    assert found["brightest"][0] == pytest.approx(-2 * np.log10(128))
    grey = image_measures(np.repeat(white[..., :1], 3, axis=-1).astype(np.float32), spec)
    assert grey["colour_g_r"][0] == grey["noise_colour_r_z"][0] == -6.0
    mixed = white.copy()
    mixed[..., 1] = 0.5 * (white[..., 0] + white[..., 1])  # variance 1/2, covariance 1/2 with the first
    found = image_measures(mixed.astype(np.float32), spec)
    assert found["colour_g_r"][0] == pytest.approx(np.log10(1 - 2 * 0.5 / 1.5), abs=0.03)


def test_a_feature_that_is_missing_is_not_judged():
    ood = fit_out_of_distribution(*sample(800, 1), *sample(400, 2))
    measures, features = sample(3, 5, shift=12.0)
    assert not ood.warn({"magnitude_r": [np.nan] * 3}, features)[0].any()
    assert not ood.warn({}, features)[0].any()
    assert ood.warn(measures, features)[0].all()


def test_mahalanobis_by_hand():
    training = {}, np.array([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]] * 30)
    ood = fit_out_of_distribution(*training, *training, false_alarms=0.1)
    n = 120
    along = np.sqrt((3.0**2 / (2 * 9 * 60 / (n - 1)) * 2) / 2)  # one variance is 2 * 9 * 30 / (n - 1)
    found = ood.deviations({}, np.array([[3.0, 0.0], [0.0, 1.0], [0.0, 0.0]]))["embedding"]
    variances = np.array([2 * 9 * 30 / (n - 1), 2 * 1 * 30 / (n - 1)])
    np.testing.assert_allclose(
        found, [np.sqrt(9 / variances[0] / 2), np.sqrt(1 / variances[1] / 2), 0], atol=1e-9
    )
    assert found[0] == pytest.approx(along)


def test_refusals_and_a_feature_without_spread():
    with pytest.raises(ValueError, match="at least 99 galaxies set aside"):
        fit_out_of_distribution(*sample(100, 1), *sample(50, 2))
    measures, features = sample(100, 1)
    ood = fit_out_of_distribution(measures | {"pixel_scale": np.full(100, 0.4)}, features, *sample(200, 2))
    assert "pixel_scale" not in ood.features


def test_measures_of_a_gaussian_galaxy():
    spec = InputSpec(("g", "r"), "nJy", (65, 65), 0.5)
    y, x = np.mgrid[:65, :65] - 32
    sigma, fluxes, noise = 5.0, np.array([2e5, 4e5]), 10.0
    shape = np.exp(-(x**2 + y**2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    rng = np.random.default_rng(0)
    image = shape[..., np.newaxis] * fluxes + rng.normal(0, noise, (65, 65, 2)) + 55.0
    found = image_measures(image[np.newaxis].astype(np.float32), spec)
    assert found["magnitude_g"][0] == pytest.approx(31.4 - 2.5 * np.log10(2e5), abs=0.02)
    assert found["magnitude_r"][0] == pytest.approx(31.4 - 2.5 * np.log10(4e5), abs=0.02)
    half = sigma * np.sqrt(2 * np.log(2))
    assert found["half_light_radius"][0] == pytest.approx(half * 0.5, abs=0.5 * 0.7)  # within a pixel
    expected = 0.5 * 4e5 / (noise * np.sqrt(np.pi) * half)
    assert 10 ** found["signal_to_noise"][0] == pytest.approx(expected, rel=0.15)
    smooth = [gaussian_filter(rng.normal(size=(400, 400)), width, mode="wrap") for width in (0, 1.5, 3.0)]
    spec = InputSpec(("r",), "nJy", (400, 400), 0.5)
    found = image_measures(np.stack(smooth)[..., np.newaxis].astype(np.float32), spec)["sharpness"]
    rho = np.array([0.0, *np.exp(-1 / (4 * np.array([1.5, 3.0]) ** 2))])  # of smoothed white noise
    np.testing.assert_allclose(found, np.log10(1 - rho), atol=0.06)
    spec = InputSpec(("g", "r"), "nJy", (65, 65), 0.5)
    blank = image_measures(np.zeros((1, 65, 65, 2), dtype=np.float32), spec)
    assert all(np.isfinite(v).all() for v in blank.values())


def test_beyond_the_range_of_what_all_images_share_there_is_always_a_warning():
    ood = fit_out_of_distribution(*sample(800, 1), *sample(400, 2), ranges={"pixel_scale": (0.39, 0.41)})
    assert OutOfDistribution.from_dict(ood.to_dict()).ranges == ood.ranges
    measures, features = sample(4, 3)
    measures = {name: np.full(4, ood.features[name][0]) for name in measures}  # medians: not far out
    outside, reasons, distance = ood.warn(measures | {"pixel_scale": [0.4, 0.05, np.nan, 0.5]}, features * 0)
    assert outside.tolist() == [False, True, False, True]
    assert reasons[1] == "pixel_scale is 0.05, the training set's 0.39 to 0.41"
    assert (distance < ood.limit).all()
    assert not ood.warn(measures, features * 0)[0].any()


def test_uncertainty_records_are_kept_beside_their_model_alone(tmp_path):
    sets = ConformalSets(("a", "b"), 0.9, "threshold", (0.4, np.inf), True, 30)
    record = UncertaintyRecord(
        "hash",
        Calibration("temperature", (0.5, 0.5), (0.0, 0.0), 30),
        sets,
        fit_out_of_distribution(*sample(200, 1), *sample(200, 2)),
    )
    assert UncertaintyRecord.read(tmp_path, "hash") is None
    path = record.write(tmp_path)
    again = UncertaintyRecord.read(tmp_path, "hash")
    assert again.calibration == record.calibration
    assert again.sets == sets
    probe = sample(50, 4, shift=2.0)
    np.testing.assert_array_equal(
        again.out_of_distribution.warn(*probe)[2], record.out_of_distribution.warn(*probe)[2]
    )
    assert isinstance(again.out_of_distribution, OutOfDistribution)
    with pytest.raises(ValueError, match="the record of this model"):
        UncertaintyRecord.read(tmp_path, "other")
    path.write_text(path.read_text().replace('"format": 1', '"format": 9'))
    with pytest.raises(ValueError, match=r"format=9\. Update galcnn"):
        UncertaintyRecord.read(tmp_path, "hash")
    path.write_text("{")
    with pytest.raises(ValueError, match=r"uncertainty.json as galcnn calibrate wrote it"):
        UncertaintyRecord.read(tmp_path, "hash")


def test_a_record_of_senseless_numbers_is_refused():
    whole = fit_out_of_distribution(*sample(200, 1), *sample(100, 2)).to_dict()
    for change in ({"limit": float("nan")}, {"limit": -1.0}, {"false_alarms": 1.0}):
        with pytest.raises(ValueError, match="a limit from 0, and false alarms"):
            OutOfDistribution.from_dict(whole | change)
    with pytest.raises(ValueError, match="finite medians"):
        OutOfDistribution.from_dict(whole | {"mean": [float("nan")] * len(whole["mean"])})
