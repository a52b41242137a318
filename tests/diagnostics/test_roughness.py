"""Roughness of surfaces that are known."""

import numpy as np
import pytest

from galcnn.diagnostics import departure_from_convexity
from galcnn.diagnostics.surface import curvatures, variation

X, Y = np.meshgrid(np.linspace(-1, 1, 41), np.linspace(-1, 1, 41))


def test_curvatures_of_a_quadratic_are_those_of_its_hessian():
    a, b, c = 3.0, -1.0, 0.7
    step = X[0, 1] - X[0, 0]
    found = curvatures(a * X**2 / 2 + b * Y**2 / 2 + c * X * Y) / step**2
    ways = np.array([[1, 0], [0, 1], [1, 1], [1, -1]]) / np.array([[1], [1], [2**0.5], [2**0.5]])
    expected = [way @ np.array([[a, c], [c, b]]) @ way for way in ways]
    np.testing.assert_allclose(found, np.broadcast_to(expected, found.shape), rtol=1e-8)
    np.testing.assert_allclose(curvatures(X[0] ** 2)[0, :, 0] / step**2, 2.0, rtol=1e-9)


@pytest.mark.parametrize(
    ("surface", "expected"),
    [
        (X**2 + 5 * Y**2, 0.0),
        (np.hypot(X, Y), 0.0),  # convex, though not smooth
        (np.logaddexp(3 * X, -2 * Y), 0.0),
        (X**2 - Y**2, 0.5),
        (X * Y, 0.5),
        (-(X**2) - Y**2, 1.0),
        (3 * X - Y + 7, 0.0),
        (np.ones_like(X), 0.0),
        (2 * X**2 - Y**2, 1 / 4),
    ],
)
def test_departure_from_convexity_in_closed_form(surface, expected):
    assert departure_from_convexity(surface) == pytest.approx(expected, abs=2e-6)


def test_waves_curve_down_as_much_as_up():
    assert departure_from_convexity(np.cos(2 * np.pi * X) * np.cos(2 * np.pi * Y)) == pytest.approx(
        0.5, abs=0.03
    )
    assert departure_from_convexity(np.cos(4 * np.pi * X[0])) == pytest.approx(0.5, abs=0.03)


def test_neither_number_changes_when_the_loss_is_scaled_and_shifted():
    rng = np.random.default_rng(0)
    rough = rng.normal(size=(15, 15))
    for number in (departure_from_convexity, variation):
        assert number(1e3 * rough - 7) == pytest.approx(number(rough), rel=1e-9)
        assert number(rough.T) == pytest.approx(number(rough), rel=1e-9)


def test_ripples_on_a_bowl_are_rougher_the_higher_they_are():
    bowl, ripples = X**2 + Y**2, np.sin(9 * X) * np.sin(11 * Y)
    for number, heights in ((departure_from_convexity, (0, 0.03, 0.1, 0.3, 1)), (variation, (0, 0.3, 1, 3))):
        found = [number(bowl + height * ripples) for height in heights]
        assert np.all(np.diff(found) > 0), (number.__name__, found)


def test_a_finer_grid_gives_the_same_roughness():
    def of(n):
        x, y = np.meshgrid(np.linspace(-1, 1, n), np.linspace(-1, 1, n))
        surface = x**2 + y**2 + 0.1 * np.sin(6 * x) * np.sin(5 * y)
        return departure_from_convexity(surface), variation(surface)

    np.testing.assert_allclose(of(41), of(121), rtol=0.1)


def test_variation_counts_runs_through_the_range():
    x = np.linspace(0, 1, 241)
    assert variation(x) == 1
    assert variation(np.abs(x - 0.5)) == pytest.approx(2)
    for waves in (1, 2, 5):
        assert variation(np.cos(2 * np.pi * waves * x)) == pytest.approx(2 * waves, rel=1e-3)
    assert variation(X) == 1  # columns are flat and do not count
    assert np.isnan(variation(np.ones(5)))


def test_infinite_losses_are_left_out():
    surface = X**2 - Y**2
    surface[0, 0] = np.inf
    assert departure_from_convexity(surface) == pytest.approx(0.5, abs=1e-6)
    assert variation(surface) == pytest.approx(2.0)
    assert np.isnan(departure_from_convexity(np.full((3, 3), np.inf)))


@pytest.mark.parametrize("shape", [(2,), (2, 5), (5, 2), (3, 3, 3)])
def test_too_few_points_are_refused(shape):
    with pytest.raises(ValueError, match="at least 3 points"):
        curvatures(np.zeros(shape))
