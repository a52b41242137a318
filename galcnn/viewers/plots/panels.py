"""Contents of single panels: colour cutouts with compass and scale bar, signed maps with colour bars."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.transforms import display_rgb
from galcnn.viewers.isophotes import isophotes
from galcnn.viewers.plots.style import NO_DATA, RIGHT, SIGNED, SMALL, TITLE, WRONG, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from galcnn.cutout import Cutout
    from galcnn.explain import Explanation, Synthesis
    from galcnn.prediction import Prediction


#: Round numbers for the length of a scale bar.
_STEPS = (1.0, 2.0, 5.0)


#: Arcsec in a degree and in an arcmin; shorter bars are labelled in arcsec.
_ANGLES = ((3600.0, "°"), (60.0, "\N{PRIME}"))


_BAR_SHARE = 0.3


_COMPASS_SHARE = 0.13


def scale_bar(cutout: Cutout) -> tuple[float, float, str]:
    """Return length in arcsec, length in pixels and label of a bar, at most 0.3 of the width."""
    scale = cutout.pixel_scale
    if scale is None:
        raise ValueError(message("a cutout with a WCS", "", wcs=None))
    arcsec = float(scale.to_value(u.arcsec))
    longest = _BAR_SHARE * cutout.shape[1] * arcsec
    size, sign = next((size, sign) for size, sign in (*_ANGLES, (1.0, "″")) if longest >= size or size == 1)
    decade = 10.0 ** np.floor(np.log10(longest / size))
    length = float(max(step * decade for step in _STEPS if step * decade * size <= longest))
    return length * size, length * size / arcsec, f"{length:g}{sign}"


def compass(cutout: Cutout) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return unit vectors (x, y) to North and East at the centre of a cutout."""
    from astropy.wcs.utils import pixel_to_skycoord

    ny, nx = cutout.shape
    x, y = (nx - 1) / 2, (ny - 1) / 2
    centre = pixel_to_skycoord(x, y, cutout.wcs).icrs
    # Only pixels are converted to the sky: the inverse does not converge for every distortion.
    steps = [
        centre.spherical_offsets_to(pixel_to_skycoord(x + dx, y + dy, cutout.wcs).icrs)
        for dx, dy in ((0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5))
    ]
    sky = np.array([[east.to_value(u.arcsec), north.to_value(u.arcsec)] for east, north in steps])
    to_pixels = np.linalg.inv(np.stack([sky[0] - sky[1], sky[2] - sky[3]], axis=1))
    east, north = (to_pixels / np.linalg.norm(to_pixels, axis=0)).T
    return north, east


def draw_scale_bar(axes: Axes, cutout: Cutout) -> None:
    """Draw the scale bar in the lower left corner."""
    ny, nx = cutout.shape
    _, pixels, label = scale_bar(cutout)
    left, low = 0.05 * nx - 0.5, 0.06 * ny - 0.5
    axes.plot(
        [left, left + pixels], [low, low], color="white", lw=1.8, solid_capstyle="butt", path_effects=_edge(3)
    )
    _write(axes, label, (left + pixels / 2, low + 0.02 * ny), va="bottom")


def draw_compass(axes: Axes, cutout: Cutout) -> None:
    """Draw arrows to North and East in the lower right corner."""
    ny, nx = cutout.shape
    arm = _COMPASS_SHARE * min(nx, ny)
    arrows = [arm * direction for direction in compass(cutout)]
    # Includes the letters beyond the tips, so that all fits in the corner at any angle.
    reach = np.array([[0.0, 0.0], *(1.35 * arrow for arrow in arrows)])
    origin = np.array([0.95 * nx - 0.5 - reach[:, 0].max(), 0.06 * ny - 0.5 - reach[:, 1].min()])
    for letter, arrow in zip("NE", arrows, strict=True):
        axes.annotate(
            "",
            xy=tuple(origin + arrow),
            xytext=tuple(origin),
            arrowprops={
                "arrowstyle": "-|>,head_length=0.25,head_width=0.13",
                "color": "white",
                "lw": 1,
                "shrinkA": 0,
                "shrinkB": 0,
                "path_effects": _edge(2),
            },
        )
        x, y = origin + 1.35 * arrow
        _write(axes, letter, (float(x), float(y)), va="center")


def _write(axes: Axes, text: str, place: tuple[float, float], *, va: str) -> None:
    axes.text(*place, text, color="white", ha="center", va=va, fontsize=SMALL, path_effects=_edge(1.5))


def _edge(width: float, color: str = "black") -> list[Any]:
    from matplotlib.patheffects import withStroke

    return [withStroke(linewidth=width, foreground=color)]


#: Percentile of |map| at the end of the colour scale, so that a few large values do not dominate it.
_PERCENTILE = 99.5


_LONGEST = 200


#: Width in points of a probability with its sign, or of "true:".
_NUMBER_WIDTH = 45


#: Length of a line below a map, in letters and in points of an 8-point title.
_LINE, _LINE_POINTS = 46, 215.0


_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def draw_cutout(axes: Axes, cutout: Cutout) -> None:
    """Draw a cutout in colour, with compass and scale bar if it has a WCS."""
    draw_image(axes, display_rgb(cutout))
    axes.set_axis_off()
    if cutout.wcs is None:
        return
    draw_scale_bar(axes, cutout)
    draw_compass(axes, cutout)


def draw_map(axes: Axes, explanation: Explanation, cutout: Cutout, *, labelled: bool = True) -> Any:
    """Draw a map summed over its bands in signed colours, with isophotes and the network's field of view."""
    values = summed(explanation)
    drawn = draw_signed(axes, values)
    draw_isophotes(axes, cutout, labelled=labelled)
    if not np.nan_to_num(values).any():  # such as Score-CAM where every feature map speaks against the target
        axes.text(
            0.5,
            0.03,
            "zero everywhere",
            transform=axes.transAxes,
            ha="center",
            va="bottom",
            fontsize=SMALL - 1,
        )
    draw_field(axes, explanation.field, cutout.shape)
    axes.set_xlim(-0.5, values.shape[1] - 0.5)
    axes.set_ylim(-0.5, values.shape[0] - 0.5)
    return drawn


def draw_meaning(axes: Axes, explanation: Explanation) -> None:
    """Write below the colour bar of a map what it means, its `wrt`, and how its bands are combined."""
    seen = {"stretched": "stretched, as the network sees it", "flux": "flux", "sigma": "noise (flux, sigma)"}
    bands = explanation.bands
    planes = f"signed sum over {', '.join(bands)}" if len(bands) > 1 else f"one map, band {bands[0]}"
    if bands == ("all",):
        planes = "one map for all bands"
    lines = textwrap.wrap(" ".join(explanation.meaning.split()), _LINE, max_lines=3, placeholder="…")
    lines += [f"wrt {seen[explanation.wrt]}", planes]
    axes.text(
        0.5,
        -0.29,
        "\n".join(drawable(line, _LINE_POINTS) for line in lines),
        transform=axes.transAxes,
        ha="center",
        va="top",
        fontsize=SMALL - 1,
        linespacing=1.25,
        parse_math=False,
    )


def draw_contours(axes: Axes, explanation: Explanation) -> None:
    """Draw contours of a map: solid where it raises the target, dashed where it lowers it."""
    values = summed(explanation)
    peak = float(np.nanmax(np.abs(values), initial=0))
    if peak > 0:
        levels = peak * np.array([-0.75, -0.5, -0.25, 0.25, 0.5, 0.75])
        styles = ["dashed"] * 3 + ["solid"] * 3
        axes.contour(values, levels=levels, colors="white", linestyles=styles, linewidths=0.7)


def draw_colour_bar(axes: Axes, drawn: Any, explanation: Explanation, *, below: float = 0.085) -> None:
    """Draw the colour bar below a map, labelled with its unit and power of ten."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    exponent = int(np.floor(np.log10(drawn.norm.vmax)))
    exponent = 0 if -2 <= exponent <= 2 else exponent
    bar = axes.figure.colorbar(
        drawn,
        cax=axes.inset_axes((0.04, -below, 0.92, 0.045)),
        orientation="horizontal",
        ticks=MaxNLocator(5, symmetric=True),
        format=FuncFormatter(lambda value, _: f"{value / 10.0**exponent:g}".replace("-", "\N{MINUS SIGN}")),
    )
    power = f"10{str(exponent).translate(_RAISED)} " if exponent else ""
    bar.set_label(power + drawable(explanation.unit_label), fontsize=SMALL, parse_math=False)
    bar.ax.tick_params(labelsize=SMALL)


def answer_title(
    name: str, prediction: Prediction, true: str | None = None, *, points: float = 155.0
) -> tuple[str, str]:
    """Return the title and colour that state a prediction and, if known, the true class."""
    name, narrow = drawable(name, points), points - _NUMBER_WIDTH
    best = prediction.best[0]
    if not best:
        return f"{name}\nno prediction", "black"
    answer = f"{drawable(best, narrow)} {prediction.probabilities[0].max():.2f}"
    if true is None:
        return f"{name}\n{answer}", "black"
    answer += " ✓" if best == true else f"\n✗ true: {drawable(true, narrow)}"
    return f"{name}\n{answer}", RIGHT if best == true else WRONG


def summed(explanation: Explanation) -> npt.NDArray[np.float64]:
    """Return the sum of a map over its bands; NaN where no band has a value."""
    planes = explanation.attribution.astype(np.float64)
    known = np.isfinite(planes)
    total: npt.NDArray[np.float64] = np.where(known, planes, 0).sum(axis=0)
    return np.where(known.any(axis=0), total, np.nan)


def colour_limit(values: npt.NDArray[np.float64]) -> float:
    """Return the value at the ends of a signed colour scale.

    Parameters
    ----------
    values : numpy.ndarray
        Map of any shape.

    Returns
    -------
    float
        Positive value: the 99.5th percentile of the absolute values, their maximum if that is zero, or 1
        for a map of zeros.

    Examples
    --------
    >>> import numpy as np
    >>> colour_limit(np.linspace(-100, 200, 301)).__round__(1)
    198.5
    """
    sizes = np.abs(values[np.isfinite(values)])
    if not sizes.any():
        return 1.0
    return float(np.percentile(sizes, _PERCENTILE)) or float(sizes.max())


def drawable(text: str, points: float = 155.0) -> str:
    """Return a text that fits an 8-point title: one line, shortened, with characters of the font only."""
    from matplotlib.font_manager import FontProperties, findfont, get_font
    from matplotlib.textpath import text_to_path

    properties = FontProperties(size=TITLE)
    font = get_font(findfont(properties))
    line = " ".join(text.split())[:_LONGEST]
    line = "".join(c if c.isprintable() and font.get_char_index(ord(c)) else "?" for c in line)
    shown = line
    while line and text_to_path.get_text_width_height_descent(shown, properties, ismath=False)[0] > points:
        line = line[:-1]
        shown = line.rstrip() + "…"
    return shown


def layer_figure(values: npt.NDArray[Any], name: str, unit: str, *, signed: bool) -> Figure:
    """Draw one layer of a file with a colour bar: signed, or in grey with an asinh scale."""
    from matplotlib.colors import AsinhNorm

    figure = new_figure(3.4, 3.2)
    axes = figure.add_subplot()
    shown = np.asarray(values, dtype=np.float64)
    if signed:
        drawn = draw_signed(axes, shown)
    else:
        known = shown[np.isfinite(shown)]
        low, middle, high = np.percentile(known, (0.5, 50, 99.8)) if known.size else (0.0, 0.0, 1.0)
        step = max(float(middle - low), 1e-3 * float(high - low)) or 1.0
        norm = AsinhNorm(linear_width=step, vmin=float(low), vmax=float(max(high, low + step)))
        drawn = draw_image(axes, np.where(np.isfinite(shown), shown, np.nan), cmap="gray", norm=norm)
    axes.set_facecolor(NO_DATA)
    title(axes, name, 190)
    draw_bar(figure, drawn, [axes], unit)
    return figure


def draw_isophotes(axes: Axes, cutout: Cutout, *, labelled: bool = True) -> None:
    """Draw isophotes of the galaxy, each level labelled once with its fraction of the light."""
    light = cutout.flux.sum(axis=0, dtype=np.float64)
    labels: dict[float, npt.NDArray[np.float64]] = {}
    for one in isophotes(light, ~cutout.mask.any(axis=0) & np.isfinite(light)):
        axes.plot(one.points[:, 1], one.points[:, 0], color="0.25", linewidth=0.5)
        if len(one.points) > len(labels.get(one.share, ())):
            labels[one.share] = one.points
    for share, points in labels.items() if labelled else ():
        y, x = points[np.argmax(points[:, 0])]
        axes.annotate(
            f"{share:.0%}",
            (x, y),
            xytext=(0, 0.5),
            textcoords="offset points",
            color="0.25",
            ha="center",
            va="bottom",
            fontsize=SMALL - 2,
            annotation_clip=True,
            path_effects=_edge(1, "white"),
        )


def draw_field(axes: Axes, field: tuple[int, int, int, int] | None, shape: tuple[int, int]) -> None:
    """Draw the outline of the network's field of view, and hatch what lies outside."""
    from matplotlib.patches import Rectangle

    if field is None:
        return
    (y0, y1, x0, x1), (ny, nx) = field, shape
    outside = ((0, 0, nx, y0), (0, y1, nx, ny - y1), (0, y0, x0, y1 - y0), (x1, y0, nx - x1, y1 - y0))
    for x, y, width, height in outside:
        if width and height:
            place = (x - 0.5, y - 0.5)
            hatched = Rectangle(
                place, width, height, fill=False, hatch="/////", edgecolor="0.55", linewidth=0
            )
            axes.add_patch(hatched)
    place = (x0 - 0.5, y0 - 0.5)
    axes.add_patch(Rectangle(place, x1 - x0, y1 - y0, fill=False, edgecolor="black", linewidth=0.8))


def draw_signed(axes: Axes, values: npt.NDArray[Any], limit: float | None = None) -> Any:
    """Draw a map in signed colours, white at zero, grey where NaN."""
    from matplotlib import colormaps

    end = colour_limit(np.asarray(values, dtype=np.float64)) if limit is None else limit
    colours = colormaps[SIGNED].with_extremes(bad=NO_DATA)
    return draw_image(axes, values, cmap=colours, vmin=-end, vmax=end)


def draw_image(axes: Axes, values: npt.NDArray[Any], **look: Any) -> Any:
    """Draw an image without ticks or interpolation, row 0 at the bottom."""
    drawn = axes.imshow(values, origin="lower", interpolation="nearest", **look)
    axes.set_xticks([])
    axes.set_yticks([])
    return drawn


def likeliest(logits: Sequence[float], classes: Sequence[str]) -> tuple[str, float]:
    """Return the most probable class and its probability."""
    values = np.array(logits)
    shares = np.exp(values - values.max())
    best = int(np.argmax(values))
    return classes[best], float(shares[best] / shares.sum())


def synthesis_unit(synthesis: Synthesis) -> str:
    """Return the unit of the pixels of a synthesis, for labels."""
    return "of 255" if synthesis.unit == "display" else synthesis.unit


def draw_bar(figure: Figure, drawn: Any, axes: Sequence[Axes], label: str) -> None:
    """Draw one colour bar to the right of a row of panels."""
    bar = figure.colorbar(drawn, ax=list(axes), shrink=0.8, aspect=14, pad=0.008)
    bar.set_label(label, fontsize=SMALL, parse_math=False)
    bar.ax.tick_params(labelsize=SMALL)
    bar.ax.yaxis.get_offset_text().set_fontsize(SMALL)


def title(axes: Axes, text: str, points: float = 155.0, *, color: str = "black") -> None:
    """Write an 8-point title, each line shortened to fit."""
    lines = "\n".join(drawable(line, points) for line in text.split("\n"))
    axes.set_title(lines, fontsize=TITLE, parse_math=False, color=color)


def label_row(axes: Axes, text: str) -> None:
    """Write the label of a row to the left of its first panel."""
    axes.text(
        -0.08,
        0.5,
        text,
        transform=axes.transAxes,
        rotation=90,
        ha="right",
        va="center",
        fontsize=SMALL,
        parse_math=False,
    )
