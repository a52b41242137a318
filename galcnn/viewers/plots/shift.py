"""Figures of the covariate-shift test: accuracy, classes and drift against redshift."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from galcnn.errors import message
from galcnn.viewers.plots.style import MARKERS, SMALL, TITLE, finish, legend, new_figure

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.figure import Figure


#: Label, colour, line style and marker of each variant.
_VARIANTS: dict[str, tuple[str, str, Any, str]] = {
    "none": ("no normalisation", "#000000", "-", "o"),
    "batch": ("batch norm, frozen", "#D55E00", "-", "s"),
    "batch_adapted": ("batch norm, adapted", "#D55E00", "--", "D"),
    "batch_adapted_skewed": ("... to skewed classes", "#E69F00", ":", "P"),
    "group": ("group norm", "#0072B2", "-", "^"),
    "standardised": ("images standardised", "#009E73", "-.", "v"),
    "oracle": ("oracle", "#999999", (0, (5, 1)), "X"),
    "augmented": ("trained on redshifted images", "#56B4E9", "-", "*"),
}


def accuracy_figure(scores: QTable, train_redshifts: tuple[float, float]) -> Figure:
    """Draw accuracy and calibration error against redshift; bands span the lowest to the highest seed."""
    figure = new_figure(7.2, 3.2)
    left, right = figure.subplots(1, 2)
    for variant, rows in _by_variant(scores).items():
        look = _look(variant)
        z = np.array(rows["z"])
        left.plot(z, rows["accuracy"], label=_name(variant), **look)
        left.fill_between(
            z, rows["seed_low"], rows["seed_high"], color=look["color"], alpha=0.15, linewidth=0
        )
        right.plot(z, rows["calibration_error"], **look)
    for axes, what in ((left, "accuracy"), (right, "calibration error")):
        axes.axvspan(*train_redshifts, color="0.92", zorder=0)
        finish(axes, "redshift", what)
    n_classes = sum(name.startswith("completeness_") for name in scores.colnames)
    left.axhline(1 / n_classes, color="0.6", linewidth=0.8)
    left.annotate(
        "chance",
        (0.01, 1 / n_classes),
        xycoords=("axes fraction", "data"),
        ha="left",
        va="bottom",
        fontsize=SMALL,
        color="0.4",
    )
    left.set_ylim(0, 1.02)
    right.set_ylim(bottom=0)
    legend(figure, left)
    return figure


def class_figure(scores: QTable, classes: tuple[str, ...]) -> Figure:
    """Draw completeness and purity of each class against redshift."""
    figure = new_figure(1.8 * len(classes) + 0.4, 3.8)
    panels = figure.subplots(2, len(classes), sharex=True, sharey=True, squeeze=False)
    for row, what in enumerate(("completeness", "purity")):
        for axes, name in zip(panels[row], classes, strict=True):
            for variant, rows in _by_variant(scores).items():
                axes.plot(rows["z"], rows[f"{what}_{name}"], label=_name(variant), **_look(variant))
            finish(axes, "redshift" if row else "", what if name == classes[0] else "")
            axes.set_ylim(0, 1.02)
            if row == 0:
                axes.set_title(name.replace("_", " "), fontsize=TITLE)
    legend(figure, panels[0, 0])
    return figure


def drift_figure(table: QTable) -> Figure:
    """Draw the distance of inputs and layers from the training distribution, by redshift."""
    from matplotlib import colormaps

    variants = list(dict.fromkeys(str(variant) for variant in table["variant"]))
    if not variants:
        raise ValueError(message("a table with rows", "", n_rows=len(table)))
    figure = new_figure(3.6 * len(variants), 3.2)
    panels = figure.subplots(1, len(variants), sharey=True, squeeze=False)[0]
    redshifts = sorted({float(z) for z in table["z"]})
    colours = colormaps["viridis"](np.linspace(0, 0.85, len(redshifts)))
    for axes, variant in zip(panels, variants, strict=True):
        own = table[np.asarray(table["variant"]) == variant]
        layers = list(dict.fromkeys(str(layer) for layer in own["layer"]))
        for z, colour in zip(redshifts, colours, strict=True):
            rows = own[np.asarray(own["z"]) == z]
            found = {str(row["layer"]): float(row["distance"]) for row in rows}
            marker = MARKERS[redshifts.index(z) % len(MARKERS)]
            drawn = [found[layer] for layer in layers]
            axes.plot(drawn, color=colour, marker=marker, markersize=4, linewidth=1.2, label=f"z = {z:g}")
        axes.set_xticks(range(len(layers)), layers, rotation=90)
        axes.set_title(_name(variant), fontsize=TITLE)
        finish(axes)
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("sliced Wasserstein distance\nfrom training (std. dev.)", fontsize=TITLE)
    legend(figure, panels[0], loc="outside right center", columns=1)
    return figure


def _by_variant(scores: QTable) -> dict[str, QTable]:
    variants = np.asarray(scores["variant"])
    return {str(variant): scores[variants == variant] for variant in dict.fromkeys(variants.tolist())}


def _look(variant: str) -> dict[str, Any]:
    _, colour, style, marker = _VARIANTS.get(variant, ("", "#CC79A7", "-", "p"))
    return {"color": colour, "linestyle": style, "marker": marker, "markersize": 4, "linewidth": 1.2}


def _name(variant: str) -> str:
    return _VARIANTS[variant][0] if variant in _VARIANTS else variant
