"""Figures of loss surfaces: one scale for all, the path, and what is infinite."""

import numpy as np
import pytest

from galcnn.diagnostics.surface import Surface
from galcnn.viewers import landscape_figure


def surface(height=1.0, plane="random", path=None):
    x = np.linspace(-1, 1, 9)
    loss = height * (x**2 + 2 * x[:, np.newaxis] ** 2) + 0.1
    facts = {"explained_1": 0.8, "explained_2": 0.1} if plane == "trajectory" else {}
    return Surface(x, x, loss, loss / 10, plane, facts, np.empty((0, 2)) if path is None else path)


def test_surfaces_share_colours_and_axis():
    figure = landscape_figure({"low": surface(), "high": surface(100.0)})
    planes, below = figure.axes[:2], figure.axes[2:4]
    for axes in planes:
        assert axes.collections[0].get_clim() == pytest.approx((0.1, 300.1))
    assert below[0].get_ylim() == below[1].get_ylim()
    assert "roughness 0.000" in planes[0].get_title()
    row, column = below[0].lines[:2]
    np.testing.assert_allclose(row.get_ydata(), surface().loss[4])
    np.testing.assert_allclose(column.get_ydata(), surface().loss[:, 4])
    assert row.get_linestyle() != column.get_linestyle()


def test_the_path_of_a_training_and_its_variance():
    path = np.array([[-0.9, 0.1], [-0.4, 0.3], [0.0, 0.0]])
    axes = landscape_figure({"m": surface(plane="trajectory", path=path)}).axes[0]
    np.testing.assert_array_equal(np.array(axes.lines[0].get_xydata()), path)
    assert "80% of the variance" in axes.get_xlabel()
    assert "10% of the variance" in axes.get_ylabel()


def test_infinite_losses_are_grey():
    bad = surface()
    bad.loss[0, :3] = np.inf
    mesh = landscape_figure({"m": bad}).axes[0].collections[0]
    assert np.ma.getmaskarray(mesh.get_array()).sum() == 3
    bad.loss[:] = np.inf
    with pytest.raises(ValueError, match="a finite loss anywhere"):
        landscape_figure({"m": bad})


def test_a_line_shows_loss_and_errors_and_its_barrier():
    alpha = np.linspace(0, 1, 5)
    loss = np.array([[0.2, 0.9, 1.4, 0.8, 0.4]])
    line = Surface(alpha, np.zeros(1), loss, loss / 4, "between")
    figure = landscape_figure({"a to b": line})
    (axes,) = figure.axes
    assert "barrier 1.100 nat" in axes.get_title()
    np.testing.assert_allclose(axes.lines[0].get_ydata(), loss[0])
    np.testing.assert_allclose(axes.lines[1].get_ydata(), loss[0] / 4)
    with pytest.raises(ValueError, match="all planes, or all lines"):
        landscape_figure({"line": line, "plane": surface()})
