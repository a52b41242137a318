"""Calibrated probabilities, on logits whose right calibration is known."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from galcnn.prediction import Prediction
from galcnn.uncertainty import calibration_test, fit_calibration, reliability
from galcnn.uncertainty.calibration import Calibration, departures

CLASSES = ("elliptical", "merger", "spiral")


def drawn(n, *, seed=0, temperature=1.0, scale=None, bias=None, spread=2.0):
    """A prediction and classes drawn from softmax(scale * logits / temperature + bias)."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (n, 3)).astype(np.float32)
    scores = logits * (np.ones(3) if scale is None else scale) / temperature
    p = softmax(scores + (np.zeros(3) if bias is None else bias), axis=1)
    truth = (rng.random((n, 1)) > p.cumsum(axis=1)[:, :-1]).sum(axis=1)
    return Prediction(tuple(map(str, range(n))), logits, CLASSES), [CLASSES[k] for k in truth]


def test_the_temperature_is_that_of_scipys_scalar_search():
    prediction, labels = drawn(400, temperature=2.5)
    truth = prediction.positions(labels)
    logits = prediction.logits.astype(float)
    reference = minimize_scalar(
        lambda beta: (
            (beta - 1) ** 2 / (2 * 9 * 400) - log_softmax(beta * logits, axis=1)[np.arange(400), truth].mean()
        ),
        bounds=(0.01, 100),
        method="bounded",
        options={"xatol": 1e-12},
    ).x
    fitted = fit_calibration(prediction, labels)
    assert fitted.temperature == pytest.approx(1 / reference, rel=1e-5)
    assert fitted.bias == (0.0, 0.0, 0.0)


def test_planted_temperatures_and_vectors_are_found():
    for temperature in (0.5, 3.0):
        fitted = fit_calibration(*drawn(40_000, temperature=temperature))
        assert fitted.temperature == pytest.approx(temperature, rel=0.03)
    scale, bias = np.array([0.5, 1.0, 1.5]), np.array([0.6, -0.9, 0.3])
    fitted = fit_calibration(*drawn(40_000, scale=scale, bias=bias), kind="vector")
    np.testing.assert_allclose(fitted.scale, scale, atol=0.04)
    np.testing.assert_allclose(fitted.bias, bias, atol=0.04)


def test_cross_validation_chooses_the_simplest_kind_that_fits():
    """Planted kinds are found; without offsets, a temperature alone is chosen but for chance."""
    bias, scale = np.array([0.8, -1.2, 0.4]), np.array([0.4, 1.0, 1.6])
    for planted, expected in (
        ({"temperature": 2.0, "bias": bias}, "bias"),
        ({"scale": scale, "bias": bias}, "vector"),
    ):
        assert fit_calibration(*drawn(1000, seed=1, **planted), kind="auto").kind == expected
    kinds = [fit_calibration(*drawn(150, seed=s, temperature=2.0), kind="auto").kind for s in range(8)]
    assert kinds.count("temperature") >= 6
    assert fit_calibration(*drawn(1), kind="auto").kind == "temperature"
    fitted = fit_calibration(*drawn(10_000, temperature=2.0, bias=bias), kind="bias")
    assert fitted.temperature == pytest.approx(2.0, rel=0.06)
    np.testing.assert_allclose(fitted.bias, bias, atol=0.08)
    assert Calibration.from_dict(fitted.to_dict()) == fitted
    with pytest.raises(ValueError, match="a kind among"):
        fit_calibration(*drawn(30), kind="isotonic")


def test_departures_of_the_curve_are_rare_if_it_is_right_and_found_if_not():
    right = [departures(reliability(*drawn(400, seed=s))).any() for s in range(100)]
    assert sum(right) <= 12  # at most 5 % are expected; P(more than 12 of 100) = 0.2 %
    assert departures(reliability(*drawn(2000, temperature=4.0)))[-1]  # overconfident from 0.9 to 1.0


def test_temperature_changes_no_answer_and_a_fit_of_the_calibrated_gives_one():
    prediction, labels = drawn(2000, temperature=3.0)
    for kind in ("temperature", "vector"):
        fitted = fit_calibration(prediction, labels, kind=kind)
        again = fit_calibration(fitted.apply(prediction), labels, kind=kind)
        np.testing.assert_allclose(again.scale, 1.0, atol=2e-2)
        np.testing.assert_allclose(again.bias, 0.0, atol=2e-2)
    assert fit_calibration(prediction, labels).apply(prediction).best == prediction.best


def test_a_prior_is_kept_apart_from_the_calibration():
    """Fitted under the catalog's prior, a model trained with weights answers for any prior."""
    prediction, labels = drawn(40_000, temperature=2.0, bias=np.log([0.5, 0.1, 0.4]))
    adjusted = prediction.with_prior(
        dict(zip(CLASSES, [0.5, 0.1, 0.4], strict=True)), dict.fromkeys(CLASSES, 1 / 3)
    )
    fitted = fit_calibration(adjusted, labels)
    assert fitted.temperature == pytest.approx(2.0, rel=0.03)
    assert fitted.apply(adjusted).adjustment == adjusted.adjustment


def test_classes_that_a_sample_parts_without_mistake_give_finite_figures():
    logits = np.repeat(np.eye(3, dtype=np.float32) * 4, 5, axis=0)
    prediction = Prediction(tuple(map(str, range(15))), logits, CLASSES)
    labels = list(np.repeat(CLASSES, 5))
    assert 0.05 < fit_calibration(prediction, labels).temperature < 1
    vector = fit_calibration(prediction, labels, kind="vector")
    assert max(vector.scale) < 20
    assert max(np.abs(vector.bias)) < 20


def test_p_values_are_uniform_for_right_probabilities_and_small_for_wrong_ones():
    p = np.array([calibration_test(*drawn(300, seed=s), seed=s, n_draws=99).p_value for s in range(60)])
    assert 0.35 < p.mean() < 0.65
    assert 0 < np.mean(p <= 0.1) < 0.25
    wrong = calibration_test(*drawn(300, temperature=4.0), n_draws=199)
    assert wrong.p_value == pytest.approx(1 / 200)
    assert wrong.error.value > 3 * wrong.expected


def test_reliability_by_hand():
    logits = np.log([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35], [0.35, 0.65]]).astype(np.float32)
    prediction = Prediction(("a", "b", "c", "d"), logits, ("elliptical", "spiral"))
    table = reliability(prediction, ["elliptical", "spiral", "elliptical", "spiral"], n_bins=10)
    assert table["n"].tolist() == [2, 2]
    assert table["accuracy"].tolist() == [1.0, 0.5]
    np.testing.assert_allclose(table["confidence"], [0.65, 0.95], atol=1e-6)
    np.testing.assert_allclose(table["low_edge"], [0.6, 0.9])
    assert table["high"][0] == 1.0
    assert 0.3 < table["low"][0] < 0.4  # Wilson: 2 of 2


def test_records_and_refusals():
    fitted = fit_calibration(*drawn(200), kind="vector")
    assert Calibration.from_dict(fitted.to_dict()) == fitted
    prediction, labels = drawn(20)
    with pytest.raises(ValueError, match="one label for each of 20"):
        fit_calibration(prediction, labels[:-1])
    with pytest.raises(ValueError, match="unknown=\\['galaxy'\\]"):
        fit_calibration(prediction, ["galaxy", *labels[1:]])
    with pytest.raises(ValueError, match="Expected a kind among"):
        Calibration("platt", (1.0,), (0.0,), 3)
    with pytest.raises(ValueError, match="a prediction of 2 classes"):
        Calibration("vector", (1.0, 1.0), (0.0, 0.0), 3).apply(prediction)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["scale", "bias"])
def test_numbers_that_are_not_finite_are_refused(name, value):
    whole = Calibration("vector", (1.0, 2.0), (0.0, 0.5), 40).to_dict()
    with pytest.raises(ValueError, match="a positive factor and a finite offset"):
        Calibration.from_dict(whole | {name: [1.0, value]})
