"""DS9: the commands that lay a file out in frames, as words of a command line or of SAMP.

Checked against DS9 8.4: a frame for each science image, map and difference; images in grey by
asinh at 99.5 %, maps in blue and red about zero; the mask over the images, outlines of the galaxy
over the maps and of the first map of features over the images; all frames matched on the sky.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from galcnn.viewers.contents import Layer
from galcnn.viewers.plots.panels import colour_limit

#: Words of one command; those behind ``file``, ``mask load``, ``contour load`` are paths.
Command = tuple[str, ...]
#: Roles that have a frame.
DRAWN = ("science", "map", "difference")
#: Frames that fit a screen.
_MOST = 36
#: DS9's own, told apart with every common colour blindness; white in the middle.
_SIGNED = "h5_bluered"


def drawn_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Choose the layers that have a frame; of a file without an image also what was made of it."""
    parts = () if any(layer.role == "science" for layer in layers) else ("image", "start")
    return [layer for layer in layers if layer.role in DRAWN or layer.cards.get("PART") in parts][:_MOST]


def scene(
    path: str, layers: Sequence[Layer], contours: Mapping[str, str], *, empty: bool = True
) -> Iterator[Command]:
    """Lay the layers of a file out in frames."""
    shown = drawn_layers(layers)
    masks = [layer for layer in layers if layer.role == "mask"]
    yield ("tile", "yes")
    for layer in shown:
        if layer is not shown[0] or not empty:
            yield ("frame", "new")
        yield ("file", f"{path}[{layer.name}]")
        if layer.role in ("science", "synthesis"):
            yield from (("cmap", "grey"), ("scale", "asinh"), ("scale", "mode", "99.5"))
            if mask := _mask_of(layer, masks):
                yield from (("mask", "color", "red"), ("mask", "transparency", "60"))
                yield ("mask", "load", f"{path}[{mask.name}]")
        else:
            limit = f"{colour_limit(layer.data.astype(np.float64)):.6g}"
            yield from (("cmap", _SIGNED), ("scale", "linear"), ("scale", "limits", f"-{limit}", limit))
        if layer.name in contours:
            yield ("contour", "load", contours[layer.name])
    yield ("frame", "first")
    matched = [("match", "frame", "wcs")] if shown and shown[0].wcs is not None else []
    yield from (*matched, ("zoom", "to", "fit"), *matched)  # what fits depends on the turn, and is shared


def command_line(commands: Sequence[Command]) -> str:
    """Write commands as words behind ``ds9`` in a shell, a line a frame."""
    lines: list[list[str]] = [[]]
    for first, *rest in commands:
        if first == "frame" and lines[-1]:
            lines.append([])
        lines[-1] += [f"-{first}", *(shlex.quote(word) for word in rest)]
    return " \\\n  ".join(" ".join(words) for words in lines)


def samp_words(command: Command) -> str:
    """Write a command as DS9 takes it by SAMP and XPA."""
    if command[:2] == ("mask", "load"):  # the other way round there
        command = ("file", "mask", command[2])
    paths = command[0] == "file" or command[1:2] == ("load",)
    words = list(command)
    if paths:
        words[-1] = f"{{{words[-1]}}}"
    return " ".join(words)


def plain_path(path: str) -> bool:
    """Tell whether DS9 takes a path by its name: brackets and braces mean something to it.

    Parameters
    ----------
    path : str
        Any.

    Returns
    -------
    bool
        False: link to it under a plain name.

    Examples
    --------
    >>> plain_path("/data/my layers.fits"), plain_path("/data/[1]/layers.fits")
    (True, False)
    """
    return re.fullmatch(r"[\w ./+,:=@%~-]+", path, re.ASCII) is not None


def _mask_of(layer: Layer, masks: Sequence[Layer]) -> Layer | None:
    """The mask of a science layer: that of its band, or the one for all."""
    if not masks or masks[0].data.shape != layer.data.shape:
        return None
    band = layer.cards.get("BAND")
    return next(
        (mask for mask in masks if mask.cards.get("BAND") == band), masks[0] if len(masks) == 1 else None
    )
