"""Figures of trainings and scores draw the data they are given; style tells curves apart in grey."""

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from galcnn.evaluation import rankings
from galcnn.evaluation.ranking import GRID
from galcnn.viewers import learning_figure, roc_figure
from galcnn.viewers.plots.scores import precision_recall_figure
from galcnn.viewers.plots.style import COLOURS, line, marked
from galcnn.viewers.plots.training import best_epoch
from tests.evaluation.test_ranking import sample


def history():
    loss = np.array([3.0, 2.0, 1.5, 1.0])
    return Table(
        {
            "epoch": [1, 2, 3, 4],
            "loss": loss,
            "val_loss": [3.0, 2.5, 2.0, 2.1],
            "accuracy": 1 - loss / 4,
            "val_accuracy": [0.2, 0.3, 0.5, 0.4],
            "learning_rate": [1e-3, 1e-3, 1e-4, 1e-5],
        }
    )


def test_learning_curves_show_the_history_and_the_epoch_that_was_kept():
    figure = learning_figure(history())
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy", "learning rate"]
    for axes, name in zip(figure.axes, ("loss", "accuracy", "learning_rate"), strict=True):
        drawn = {one.get_label(): one for one in axes.lines}
        np.testing.assert_array_equal(drawn["training"].get_ydata(), history()[name])
        if f"val_{name}" in history().colnames:
            np.testing.assert_array_equal(drawn["validation"].get_ydata(), history()[f"val_{name}"])
        assert list(drawn["weights kept: epoch 3"].get_xdata()) == [3, 3]
    assert figure.axes[2].get_yscale() == "log"


def test_a_rate_of_zero_alone_is_drawn_on_a_linear_axis():
    figure = learning_figure(Table({"epoch": [1], "loss": [1.0], "val_loss": [2.0], "learning_rate": [0.0]}))
    figure.draw_without_rendering()  # a warning of matplotlib is an error
    assert figure.axes[1].get_ylabel() == "learning rate"
    assert figure.axes[1].get_yscale() == "linear"


def test_penalties_do_not_decide_which_epoch_was_kept():
    table = history()
    table["val_cross_entropy"] = [4.0, 1.0, 3.0, 3.0]
    assert best_epoch(table) == 2
    table["val_cross_entropy"] = [np.nan, np.inf, 3.0, 3.0]
    assert best_epoch(table) == 3
    with pytest.raises(ValueError, match="loss on a validation set"):
        best_epoch(Table({"epoch": [1], "loss": [1.0]}))


@pytest.mark.parametrize(
    ("draw", "curve"), [(roc_figure, "roc"), (precision_recall_figure, "precision_recall")]
)
def test_ranking_figures_draw_curve_band_and_area(draw, curve):
    prediction, labels = sample(150)
    ranked = rankings(prediction, labels, n_bootstrap=30)
    figure = draw(ranked)
    for axes, one in zip(figure.axes, ranked, strict=True):
        own = getattr(one, curve)
        np.testing.assert_array_equal(axes.lines[-1].get_xydata(), np.stack([own.x, own.y], axis=1))
        (band,) = axes.collections
        corners = band.get_paths()[0].vertices
        for edge in (own.low, own.high):
            for x, y in zip(GRID[::10], edge[::10], strict=True):
                assert np.hypot(*(corners - [x, y]).T).min() < 1e-9
        assert axes.get_title().split("\n")[0] == f"{one.name} (n = {one.n})"
        assert str(own.area) in axes.get_title()
    with pytest.raises(ValueError, match="a class with galaxies"):
        draw(())


def test_many_classes_stand_in_rows_and_no_title_is_cut():
    prediction, labels = sample(150)
    figure = roc_figure(rankings(prediction, labels, n_bootstrap=5) * 2)
    figure.draw_without_rendering()
    assert len({round(axes.get_position().y0, 3) for axes in figure.axes}) == 2
    for axes in figure.axes:
        box = axes.get_tightbbox()
        assert box.y1 <= figure.bbox.y1 + 1
        assert box.y0 >= -1


def simulated(colour, kind):
    """How a colour looks to a colour-blind eye: Viénot, Brettel & Mollon (1999), linear RGB."""
    linear = np.array(to_rgb(colour)) ** 2.2
    to_lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.02996, 0.18431, 1.46709]])
    reduced = np.eye(3)
    if kind == "protan":
        reduced[0] = [0, 2.02344, -2.52581]
    else:
        reduced[1] = [0.494207, 0, 1.24827]
    return np.clip(np.linalg.inv(to_lms) @ reduced @ to_lms @ linear, 0, 1) ** (1 / 2.2)


@pytest.mark.parametrize("kind", ["protan", "deutan"])
def test_colours_are_told_apart_by_a_colour_blind_eye(kind):
    seen = [simulated(colour, kind) for colour in COLOURS]
    for i, one in enumerate(seen):
        for other in seen[:i]:
            assert np.linalg.norm(one - other) > 0.12


def test_curves_are_told_apart_in_grey():
    styles = [str(line(i)["linestyle"]) for i in range(len(COLOURS))]
    assert len(set(styles)) == len(COLOURS)
    assert len({marked(i)["marker"] for i in range(9)}) == 9
    axes = Figure().subplots()
    for i in range(9):
        axes.plot([0, 1], [i, i], **marked(i))  # what matplotlib takes
