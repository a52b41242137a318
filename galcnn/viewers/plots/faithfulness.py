"""Figures of faithfulness tests: verdicts, similarity under randomisation, deletion and insertion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.viewers.plots.panels import colour_limit, draw_image, draw_signed, drawable, label_row, title
from galcnn.viewers.plots.style import SMALL, TITLE, finish, legend, line, new_figure

if TYPE_CHECKING:
    from astropy.table import QTable
    from matplotlib.figure import Figure


#: Colour and sign of each verdict; lighter versions of the Okabe & Ito colours.
_VERDICTS = {
    "passes": ("#A6D9C5", "\N{CHECK MARK}"),
    "fails": ("#F0B48F", "\N{BALLOT X}"),
    "undecided": ("#F2EBB3", "?"),
    "not judged": ("#F4F4F4", "n/a"),
}


def fragility_figure(
    ids: Sequence[str],
    images: tuple[npt.NDArray[Any], npt.NDArray[Any]],
    maps: Mapping[str, tuple[npt.NDArray[Any], npt.NDArray[Any]]],
    *,
    share: float,
) -> Figure:
    """Draw maps before and after an attack that keeps the class, with a dot on each of their top pixels.

    `images` are the preprocessed images before and after, shape (n, ny, nx, n_bands); `maps` are those of
    the first galaxies by method, shape (n, ny, nx); `share` is the fraction of top pixels.
    """
    n = len(next(iter(maps.values()))[0])
    figure = new_figure(1.5 * 2 * n + 0.4, 1.75 * (1 + len(maps)))
    grid = figure.subplots(1 + len(maps), 2 * n, squeeze=False)
    for galaxy in range(n):
        planes = [one[galaxy].mean(axis=-1) for one in images]
        low, high = np.percentile(planes[0], (1, 99.7))
        for when, plane in enumerate(planes):
            axes = grid[0, 2 * galaxy + when]
            draw_image(axes, plane, cmap="gray", vmin=low, vmax=max(high, low + 1e-9))
            title(axes, f"{ids[galaxy]}\n{('before', 'after the attack')[when]}", 100)
        for panels, (before, after) in zip(grid[1:], maps.values(), strict=True):
            pair = np.stack([before[galaxy], after[galaxy]])
            limit = colour_limit(pair)
            for axes, values in zip(panels[2 * galaxy : 2 * galaxy + 2], pair, strict=True):
                draw_signed(axes, values, limit)
                size = np.abs(values)
                if size.max() > size.min():
                    y, x = np.nonzero(size >= np.quantile(size, 1 - share))
                    axes.plot(x, y, ".", color="black", markersize=1.5)
    for name, panels in zip(maps, grid[1:], strict=True):
        label_row(panels[0], name)
    label_row(grid[0, 0], "as the network sees it")
    return figure


def verdict_figure(table: QTable, *, recommended: Sequence[str] = ()) -> Figure:
    """Draw a table of methods and criteria with their verdicts, values and intervals.

    The names of recommended methods are bold and say so.
    """
    from matplotlib.patches import Patch, Rectangle

    methods, criteria = _order(table, "method"), _order(table, "criterion")
    figure = new_figure(2.0 + 0.95 * len(methods), 1.4 + 0.42 * len(criteria))
    axes = figure.add_subplot()
    ticks = {}
    for row in table:
        x, y = methods.index(str(row["method"])), criteria.index(str(row["criterion"]))
        colour, text = _VERDICTS[str(row["verdict"])]
        axes.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor="white"))
        ticks[y] = f"{row['criterion']} {'>' if row['passes'] == 'above' else '<'} {row['limit']:g}"
        if np.isfinite(row["value"]):
            text += f" {row['value']:.2f}\n[{row['low']:.2f}, {row['high']:.2f}]"
        axes.text(x, y, text, ha="center", va="center", fontsize=SMALL - 1)
    axes.set_xlim(-0.5, len(methods) - 0.5)
    axes.set_ylim(len(criteria) - 0.5, -0.5)
    names = [drawable(name) + ("\nrecommended" if name in recommended else "") for name in methods]
    axes.set_xticks(range(len(methods)), names, rotation=30, ha="left")
    for name, label in zip(methods, axes.get_xticklabels(), strict=True):
        label.set_fontweight("bold" if name in recommended else "normal")
    axes.set_yticks(range(len(criteria)), [ticks[y] for y in range(len(criteria))])
    axes.xaxis.tick_top()
    axes.tick_params(labelsize=TITLE, length=0)
    axes.spines[:].set_visible(False)
    figure.legend(
        handles=[
            Patch(facecolor=colour, label=f"{sign}  {word}") for word, (colour, sign) in _VERDICTS.items()
        ],
        loc="outside lower center",
        ncols=len(_VERDICTS),
        fontsize=TITLE,
        frameon=False,
    )
    return figure


def similarity_figure(table: QTable) -> Figure:
    """Draw the similarity of maps as the weights of the network are randomised."""
    methods = _order(table, "method")
    measures = {
        "rank": "rank correlation of |map|",
        "signed_rank": "|rank correlation| of signed map",
        "ssim": "SSIM of |map|",
        "signed_ssim": "SSIM of signed map",
    }
    figure = new_figure(11, 5.6)
    panels = figure.subplots(2, 4, sharex=True, sharey=True)
    for row, mode in enumerate(("cascading", "independent")):
        for axes, (measure, heading) in zip(panels[row], measures.items(), strict=True):
            for number, method in enumerate(methods):
                own = table[
                    (table["method"] == method) & (table["mode"] == mode) & (table["measure"] == measure)
                ]
                x = np.arange(len(own))
                look = line(number)
                axes.plot(x, own["value"], label=method, linewidth=1.2, **look)
                axes.fill_between(x, own["low"], own["high"], color=look["color"], alpha=0.15, linewidth=0)
            stages = list(dict.fromkeys(str(name) for name in table["stage"]))
            axes.set_xticks(range(len(stages)), stages, rotation=90)
            axes.set_title(heading, fontsize=TITLE)
            finish(axes)
        panels[row, 0].set_ylabel(mode, fontsize=TITLE)
    figure.supxlabel("randomised from the output down (cascading) or alone (independent)", fontsize=TITLE)
    legend(figure, panels[0, 0], loc="outside right upper", columns=1)
    return figure


def deletion_insertion_figure(table: QTable) -> Figure:
    """Draw the score against the fraction of deleted or inserted pixels."""
    methods = _order(table, "method")
    figure = new_figure(8.4, 3.9)
    panels = figure.subplots(1, 2, sharey=True)
    for axes, what in zip(panels, ("deletion", "insertion"), strict=True):
        for order, colour in (("random", "0.6"), ("light", "0")):
            own = _curve(table, methods[0], what, order)
            axes.plot(own["fraction"], own["score"], color=colour, linewidth=2.2, label=order)
        for number, method in enumerate(methods):
            own = _curve(table, method, what, "method")
            axes.plot(own["fraction"], own["score"], label=method, linewidth=1.2, **line(number))
        axes.set_xscale("function", functions=(np.sqrt, np.square))
        axes.set_xticks([0, 0.01, 0.05, 0.1, 0.25, 0.5, 1])
        finish(axes, f"share of the pixels, {what}")
    panels[0].set_ylabel("mean score of the target (logits)", fontsize=TITLE)
    legend(figure, panels[0], loc="outside right upper", columns=1)
    return figure


def _order(table: QTable, column: str) -> list[str]:
    if not len(table):
        raise ValueError(message("a table with rows", "", n_rows=0))
    return list(dict.fromkeys(str(name) for name in table[column]))


def _curve(table: QTable, method: str, what: str, order: str) -> QTable:
    return table[(table["method"] == method) & (table["curve"] == what) & (table["order"] == order)]
