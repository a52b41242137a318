"""Side files of layers: one FITS file a layer, contours, regions, a picture, and a script that starts DS9."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from astropy.io import fits

from galcnn import atomic
from galcnn.catalog.names import file_stems
from galcnn.files import load_cutout
from galcnn.files.sources import opened
from galcnn.layers import LayerStack, read_stacks
from galcnn.transforms import crop
from galcnn.viewers.contents import Layer, Window, holds_layers, layers_of, window_of
from galcnn.viewers.ds9 import command_line, drawn_layers, scene
from galcnn.viewers.figures import explanation_figure, save_figure
from galcnn.viewers.outlines import Outline, contour_text, outlines, region_text
from galcnn.viewers.sheets import Entry, sheet_figure
from galcnn.viewers.sky_figure import sky_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["contour_files", "export", "layers_figure", "map_figure", "sheet_of"]

_SCRIPT = """#!/bin/sh
# Opens the layers in DS9. Further words go to DS9, e.g.  sh ds9.sh -saveimage png picture.png -exit
cd "$(dirname "$0")" || exit 1
exec ds9 {words} "$@"
"""
#: Of the outlines of the galaxy and of a map.
_COLORS = {"science": "green", "map": "yellow"}


def export(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], *, overwrite: bool = False
) -> list[Path]:
    """Write the side files of a file with layers.

    Parameters
    ----------
    path : path-like
        A layers file, or the file of an image that has gained layers.
    folder : path-like
        Gets, for each image <NAME>: ``<NAME>.fits``, that layer alone; for science images and maps
        with contours ``<NAME>.ctr`` and ``<NAME>.reg``, see `galcnn.viewers.outlines`; where there
        are explanations ``layers.png``; and ``ds9.sh``, which opens `path` in DS9. Names that are
        no file names are changed as in `galcnn.catalog.names`. A folder
        of an older export may be written to again, any other must be empty.
    overwrite : bool
        Whether to replace files of these names in a folder of something else.

    Returns
    -------
    list of pathlib.Path
        What was written.

    Raises
    ------
    FileNotFoundError, galcnn.errors.UnreadableImageError
        There is no such file, or it has no images.
    """
    layers, out = layers_of(path), Path(folder)
    claim = atomic.claim(out, what="one of galcnn view", inputs=[path], overwrite=overwrite)
    explained = any("LAYERFMT" in layer.cards for layer in layers)
    figure = layers_figure(path) if explained else None
    claim.mark()
    stems = file_stems(layer.name for layer in layers)
    written = _single_files(path, {out / f"{stem}.fits": name for name, stem in stems.items()})
    lines = _lines(layers)
    by_name = {layer.name: layer for layer in layers}
    for name, own in lines.items():
        color = _COLORS.get(by_name[name].role, "green")
        for suffix, text in (("ctr", contour_text), ("reg", region_text)):
            file = out / f"{stems[name]}.{suffix}"
            atomic.write_text(file, text(own, by_name[name].wcs, color=color))
            written.append(file)
    if figure is not None:
        save_figure(figure, out / "layers.png")
        written.append(out / "layers.png")
    there = os.path.relpath(Path(path).resolve(), out.resolve())
    contours = {name: f"{stems[over]}.ctr" for name, over in _overlays(layers, lines).items()}
    atomic.write_text(
        out / "ds9.sh", _SCRIPT.format(words=command_line(list(scene(there, layers, contours))))
    )
    return [*written, out / "ds9.sh"]


def contour_files(layers: Sequence[Layer], folder: Path) -> dict[str, Path]:
    """Write the contours that DS9 draws over its frames.

    Parameters
    ----------
    layers : sequence of Layer
        Of a file.
    folder : pathlib.Path
        Gets the files.

    Returns
    -------
    dict of str to pathlib.Path
        Layer with a frame -> contours over it.
    """
    lines = _lines(layers)
    by_name = {layer.name: layer for layer in layers}
    files, stems = {}, file_stems(by_name)
    for name, over in _overlays(layers, lines).items():
        file = folder / f"{stems[over]}.ctr"
        if not file.exists():
            color = _COLORS.get(by_name[over].role, "green")
            file.write_text(contour_text(lines[over], by_name[over].wcs, color=color), encoding="utf-8")
        files[name] = file
    return files


def layers_figure(path: str | os.PathLike[str]) -> Figure:
    """Draw a file with layers: the galaxy beside its maps, a row a stack.

    Parameters
    ----------
    path : path-like
        A layers file, or the file of an image that has gained layers: of that image the part
        that the maps cover is drawn.

    Returns
    -------
    matplotlib.figure.Figure
        See `galcnn.viewers.figures.explanation_figure`.
    """
    window, stacks = window_of(layers_of(path)), read_stacks(path)
    maps = [explanation for stack in stacks for explanation in stack.explanations]
    contours = next((one.method for one in maps if one.kind == "features"), None)
    return explanation_figure([_part(stack, window) for stack in stacks], contours=contours)


def map_figure(path: str | os.PathLike[str], method: str) -> Figure:
    """Draw one map of a file with layers, large and with coordinates on the sky.

    Parameters
    ----------
    path : path-like
        See `layers_figure`.
    method : str
        Of the map.

    Returns
    -------
    matplotlib.figure.Figure
        See `galcnn.viewers.sky_figure.sky_figure`.

    Raises
    ------
    ValueError
        No map of this method.
    """
    window, stacks = window_of(layers_of(path)), read_stacks(path)
    having = [stack for stack in stacks if any(one.method == method for one in stack.explanations)]
    return sky_figure(_part((having or stacks)[0], window), method)


def sheet_of(images: Mapping[str, tuple[Path, ...]]) -> Figure:
    """Draw many files side by side.

    Parameters
    ----------
    images : mapping of str to tuple of pathlib.Path
        Name -> files: a layers file, which says what a network answers, or any image.

    Returns
    -------
    matplotlib.figure.Figure
        See `galcnn.viewers.sheets.sheet_figure`.

    Raises
    ------
    OSError, galcnn.errors.UnreadableImageError
        A file cannot be read.
    ValueError
        Too many files.
    """
    entries = []
    for name, paths in images.items():
        if len(paths) == 1 and holds_layers(paths[0]):
            stack = read_stacks(paths[0])[0]
            entries.append(Entry.answered(stack.cutout, stack.prediction))
        else:
            entries.append(Entry(load_cutout(paths), name))
    return sheet_figure(entries)


def _part(stack: LayerStack, window: Window) -> LayerStack:
    """Of a stack beside a large image what its maps cover."""
    rows, columns = (slice(*w.indices(n)) for w, n in zip(window, stack.cutout.shape, strict=True))
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    if shape == stack.cutout.shape or min(shape) < 1:
        return stack
    return replace(
        stack,
        cutout=crop(stack.cutout, shape, corner=(rows.start, columns.start)),
        explanations=tuple(
            replace(e, attribution=e.attribution[:, rows, columns], coarse=None) for e in stack.explanations
        ),
        syntheses=(),
        segmentation=None,
    )


def _single_files(path: str | os.PathLike[str], files: Mapping[Path, str]) -> list[Path]:
    with opened(path) as (hdulist, _):
        for file, name in files.items():
            hdu = hdulist[int(name) if name.isdigit() else name]
            alone = fits.PrimaryHDU(hdu.data, hdu.header)
            alone.add_checksum()
            with atomic.writing(file) as temporary, open(temporary, "wb") as handle:
                fits.HDUList([alone]).writeto(handle, output_verify="exception")
    return list(files)


def _lines(layers: Sequence[Layer]) -> dict[str, tuple[Outline, ...]]:
    """Contours of each science image and map that has any; in large images where the maps are."""
    window = window_of(layers)
    found = {}
    for layer in drawn_layers(layers):
        if layer.role != "difference" and (own := outlines(layer, window)):
            found[layer.name] = own
    return found


def _overlays(layers: Sequence[Layer], lines: dict[str, tuple[Outline, ...]]) -> dict[str, str]:
    """Over maps the galaxy, in the reddest band; over images the first map of features."""
    galaxy = [layer.name for layer in layers if layer.role == "science" and layer.name in lines]
    features = [
        layer.name
        for layer in layers
        if layer.role == "map" and layer.cards.get("KIND") == "features" and layer.name in lines
    ]
    over = {}
    for layer in drawn_layers(layers):
        chosen = features[:1] if layer.role == "science" else galaxy[-1:]
        if chosen:
            over[layer.name] = chosen[0]
    return over
