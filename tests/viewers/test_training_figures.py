"""The figures of health draw what was recorded."""

import numpy as np
import pytest
from astropy.table import Table

from galcnn.viewers import health_figure
from galcnn.viewers.plots.training import initialisation_figure
from tests.diagnostics.test_gradient_signs import LAYERS, planted


def test_each_layer_is_a_line_and_each_sign_a_mark():
    from galcnn.diagnostics import diagnose

    table = planted("update_ratio", 50, "network/b", 0.8)
    figure = health_figure(table, diagnose(table))
    gradient, update, weights, *_, loss = figure.axes
    assert len(gradient.lines) == len(LAYERS) + 1
    np.testing.assert_allclose(update.lines[1].get_ydata()[2:], 0.8)
    np.testing.assert_allclose(weights.lines[0].get_ydata(), 1)
    np.testing.assert_allclose(loss.lines[0].get_ydata(), 0.7)
    assert list(gradient.lines[-1].get_xdata()) == [50, 50]
    with pytest.raises(ValueError, match="at least one measurement"):
        health_figure(Table())


def test_points_are_measured_and_lines_are_theory():
    table = Table({"layer": [1, 2], "variance": [1.0, 0.4], "variance_theory": [1.0, 0.5]})
    table["gradient"], table["gradient_theory"] = [0.6, 1.0], [0.5, 1.0]
    forth, back = initialisation_figure({"relu": table}).axes
    np.testing.assert_allclose(forth.lines[0].get_ydata(), [1.0, 0.5])
    np.testing.assert_allclose(back.lines[1].get_ydata(), [0.6, 1.0])
    with pytest.raises(ValueError, match="at least one table"):
        initialisation_figure({})
