"""DS9 commands that show a file in frames, for the command line or SAMP.

Checked with DS9 8.4. Each science image, map and difference has a frame: images in grey with
asinh scale at 99.5 %, maps in blue and red symmetric about zero. The mask is drawn over images,
contours of the galaxy over maps, and contours of the first map of features over images. All frames
are matched on the sky.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from galcnn.viewers.contents import Layer
from galcnn.viewers.plots.panels import colour_limit

#: Words of one command; those after ``file``, ``mask load`` and ``contour load`` are paths.
Command = tuple[str, ...]
#: Roles of layers that get a frame.
DRAWN = ("science", "map", "difference")
#: Maximum number of frames on a screen.
_MOST = 36
#: Built-in colour map of DS9, safe for colour-blind readers, white in the middle.
_SIGNED = "h5_bluered"


def drawn_layers(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers that get a frame; for a file without science image also those of syntheses."""
    parts = () if any(layer.role == "science" for layer in layers) else ("image", "start")
    return [layer for layer in layers if layer.role in DRAWN or layer.cards.get("PART") in parts][:_MOST]


def scene(
    path: str, layers: Sequence[Layer], contours: Mapping[str, str], *, empty: bool = True
) -> Iterator[Command]:
    """Yield the commands that show the layers of a file in frames."""
    shown = drawn_layers(layers)
    masks = [layer for layer in layers if layer.role == "mask"]
    yield ("tile", "yes")
    for layer in shown:
        if layer is not shown[0] or not empty:
            yield ("frame", "new")
        yield ("file", f"{path}[{layer.hdu}]")
        if layer.plane:
            yield ("cube", str(layer.plane))
        if layer.role in ("science", "synthesis"):
            yield from (("cmap", "grey"), ("scale", "asinh"), ("scale", "mode", "99.5"))
            if mask := _mask_of(layer, masks):
                yield from (("mask", "color", "red"), ("mask", "transparency", "60"))
                yield ("mask", "load", f"{path}[{mask.hdu}]")
        else:
            limit = f"{colour_limit(layer.data.astype(np.float64)):.6g}"
            yield from (("cmap", _SIGNED), ("scale", "linear"), ("scale", "limits", f"-{limit}", limit))
        if layer.name in contours:
            yield ("contour", "load", contours[layer.name])
    yield ("frame", "first")
    matched = [("match", "frame", "wcs")] if shown and shown[0].wcs is not None else []
    yield from (*matched, ("zoom", "to", "fit"), *matched)  # the zoom depends on the rotation and is shared


def command_line(commands: Sequence[Command]) -> str:
    """Return commands as arguments of ``ds9`` in a shell, one line per frame."""
    lines: list[list[str]] = [[]]
    for first, *rest in commands:
        if first == "frame" and lines[-1]:
            lines.append([])
        lines[-1] += [f"-{first}", *(shlex.quote(word) for word in rest)]
    return " \\\n  ".join(" ".join(words) for words in lines)


def samp_words(command: Command) -> str:
    """Return a command in the syntax that DS9 accepts over SAMP and XPA."""
    if command[:2] == ("mask", "load"):  # SAMP needs the reverse order
        command = ("file", "mask", command[2])
    paths = command[0] == "file" or command[1:2] == ("load",)
    words = list(command)
    if paths:
        words[-1] = f"{{{words[-1]}}}"
    return " ".join(words)


def plain_path(path: str) -> bool:
    """Return True if DS9 accepts a path literally; brackets and braces have a meaning in DS9.

    Parameters
    ----------
    path : str
        Path of a file.

    Returns
    -------
    bool
        If False, use a link with a plain name.

    Examples
    --------
    >>> plain_path("/data/my layers.fits"), plain_path("/data/[1]/layers.fits")
    (True, False)
    """
    return re.fullmatch(r"[\w ./+,:=@%~-]+", path, re.ASCII) is not None


def _mask_of(layer: Layer, masks: Sequence[Layer]) -> Layer | None:
    """Return the mask of a science layer: that of its band, or the only one; DS9 loads no plane of a cube."""
    masks = [mask for mask in masks if not mask.plane]
    if not masks or masks[0].data.shape != layer.data.shape:
        return None
    band = layer.cards.get("BAND")
    return next(
        (mask for mask in masks if mask.cards.get("BAND") == band), masks[0] if len(masks) == 1 else None
    )
