"""The out-of-distribution warning: its false alarms are as few as stated, and what lies outside is named."""

import numpy as np
import pytest
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


def test_what_lies_outside_is_named():
    ood = fit_out_of_distribution(*sample(800, 1), *sample(400, 2))
    outside, reasons, distance = ood.warn(*sample(200, 3, shift=12.0))
    assert outside.mean() > 0.95
    assert all(reason.startswith("magnitude_r") for reason in reasons if reason)
    assert (distance[outside] > ood.limit).all()
    outside, reasons, _ = ood.warn(*sample(200, 3, feature_shift=[0, 0, 0, 3.0, 0]))
    assert outside.mean() > 0.95
    assert all(r.startswith("embedding") for r in reasons)


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
    with pytest.raises(ValueError, match="format 9: update galcnn"):
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
