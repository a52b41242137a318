"""Side files of layers: one FITS file per layer, contours, regions, a picture and a DS9 script."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from galcnn._runtime import atomic
from galcnn.catalog.names import file_stems
from galcnn.dataset import InputFiles
from galcnn.errors import UnreadableImageError
from galcnn.files.sources import opened
from galcnn.layers import LayerStack, read_stacks
from galcnn.layers.syntheses import first_syntheses, holds_syntheses, read_syntheses
from galcnn.transforms import crop
from galcnn.viewers.contents import Layer, Window, holds_layers, layers_of, window_of
from galcnn.viewers.ds9 import command_line, drawn_layers, scene
from galcnn.viewers.isophotes import isophotes
from galcnn.viewers.plots.adversarial import MOST_ROWS, adversarial_figure
from galcnn.viewers.plots.explanations import explanation_figure, sky_figure
from galcnn.viewers.plots.network import class_model_figure, filter_image_figure
from galcnn.viewers.plots.panels import layer_figure
from galcnn.viewers.plots.sheets import Entry, sheet_figure
from galcnn.viewers.plots.style import save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from galcnn.explain import Synthesis


#: Contour levels as fractions of the largest absolute value of a map.
_SHARES = (-0.75, -0.5, -0.25, 0.25, 0.5, 0.75)


@dataclass(frozen=True, eq=False)
class Outline:
    """Contour line.

    Attributes
    ----------
    level : float
        Value along the line.
    points : numpy.ndarray
        Shape (n, 2), as (x, y) in layer pixels from 0. The first point is repeated at the end of a
        closed line.
    """

    level: float
    points: npt.NDArray[np.float64]


def outlines(layer: Layer, window: Window = (slice(None), slice(None))) -> tuple[Outline, ...]:
    """Return the contours of a layer; of a science image, its isophotes."""
    from skimage.measure import find_contours

    part = layer.data[window].astype(np.float64)
    known = np.isfinite(part)
    if min(part.shape) < 2 or not known.any():
        return ()
    corner = np.array([window[1].start or 0, window[0].start or 0])
    if layer.role == "science":
        return tuple(Outline(one.level, one.points[:, ::-1] + corner) for one in isophotes(part, known))
    peak = float(np.abs(part[known]).max())
    levels = tuple(share * peak for share in _SHARES) if peak > 0 else ()
    return tuple(
        Outline(level, line[:, ::-1] + corner)
        for level in levels
        for line in find_contours(part, level, mask=known)
    )


def contour_text(lines: Sequence[Outline], wcs: WCS | None, *, color: str = "green") -> str:
    """Return contours in DS9's format (``.ctr``)."""
    head = ["# Contour file format: DS9 version 7.5"]
    head += [f"global color={color} width=1 dash=no dashlist=8 3", "image" if wcs is None else "icrs"]
    body = []
    for line in lines:
        points = "\n".join(f" {x:.13g} {y:.13g}" for x, y in _placed(line.points, wcs))
        body.append(f"level={line.level:.9g}\n(\n{points}\n)")
    return "\n".join([*head, *body]) + "\n"


def region_text(lines: Sequence[Outline], wcs: WCS | None, *, color: str = "green") -> str:
    """Return contours as DS9 regions (``.reg``): polygons, or segments if they end at an edge."""
    rows = ["# Region file format: DS9 version 4.1", f"global color={color} width=1"]
    rows.append("image" if wcs is None else "icrs")
    for line in lines:
        closed = len(line.points) > 3 and bool((line.points[0] == line.points[-1]).all())
        points = _placed(line.points[:-1] if closed else line.points, wcs)
        numbers = ",".join(f"{value:.13g}" for value in points.ravel())
        shape = "polygon" if closed else "# segment"
        rows.append(f"{shape}({numbers}){' # ' if closed else ' '}text={{{line.level:.4g}}}")
    return "\n".join(rows) + "\n"


def _placed(points: npt.NDArray[np.float64], wcs: WCS | None) -> npt.NDArray[np.float64]:
    """Return points as written to files: degrees in ICRS, or pixels from 1."""
    if wcs is None:
        return points + 1
    sky = wcs.pixel_to_world(points[:, 0], points[:, 1]).icrs
    return np.stack([sky.ra.deg, sky.dec.deg], axis=1)


_SCRIPT = """#!/bin/sh
# Opens the layers in DS9. Further words go to DS9, e.g.  sh ds9.sh -saveimage png picture.png -exit
cd "$(dirname "$0")" || exit 1
exec ds9 {words} "$@"
"""


#: Colours of the contours of the galaxy and of a map.
_COLORS = {"science": "green", "map": "yellow"}


def export(
    path: str | os.PathLike[str], folder: str | os.PathLike[str], *, overwrite: bool = False
) -> list[Path]:
    """Write the side files of a file with layers.

    Parameters
    ----------
    path : path-like
        Layers file, or image file to which layers were added.
    folder : path-like
        Output folder. It receives, for each image <NAME>, ``<NAME>.fits`` with that layer alone and its
        picture ``<NAME>.png``; for science images and maps with contours ``<NAME>.ctr`` and ``<NAME>.reg``;
        ``layers.png`` if there are layers of galcnn; ``changes.png``, ``class_models.png`` and
        ``filter_images.png`` if there are attacks or dreams, class models or filter images; and
        ``ds9.sh``, which opens `path` in DS9. Names that are not valid file names are
        changed as in `galcnn.catalog.names`. The folder must be new, empty, or from an earlier export.
    overwrite : bool
        If True, replace files of these names in a folder with other content.

    Returns
    -------
    list of pathlib.Path
        Files that were written.

    Raises
    ------
    FileNotFoundError, galcnn.errors.UnreadableImageError
        If the file does not exist or has no images.
    """
    layers, out = layers_of(path), Path(folder)
    claim = atomic.claim(out, what="one of galcnn view", inputs=[path], overwrite=overwrite)
    explained = any("LAYERFMT" in layer.cards for layer in layers)
    figures = {"layers": layers_figure(path)} if explained else {}
    figures |= syntheses_figures({Path(path).stem: _syntheses(path)})
    claim.mark()
    stems = file_stems(layer.name for layer in layers)
    by_name = {layer.name: layer for layer in layers}
    written = _single_files(path, {out / f"{stem}.fits": by_name[name] for name, stem in stems.items()})
    lines = _lines(layers)
    for name, own in lines.items():
        color = _COLORS.get(by_name[name].role, "green")
        for suffix, text in (("ctr", contour_text), ("reg", region_text)):
            file = out / f"{stems[name]}.{suffix}"
            atomic.write_text(file, text(own, by_name[name].wcs, color=color))
            written.append(file)
    window = window_of(layers)
    for layer in layers:
        signed = layer.role in ("map", "coarse", "difference") or layer.cards.get("WRT") == "stretched"
        part = layer.data if layer.data.shape != layers[0].data.shape else layer.data[window]
        figure = layer_figure(part, layer.name, str(layer.cards.get("BUNIT", "")), signed=signed)
        save_figure(figure, out / f"{stems[layer.name]}.png", dpi=120)
        written.append(out / f"{stems[layer.name]}.png")
    for name, figure in figures.items():
        if out / f"{name}.png" in written:
            name += "-of-galcnn"  # a layer has this name
        save_figure(figure, out / f"{name}.png")
        written.append(out / f"{name}.png")
    there = os.path.relpath(Path(path).resolve(), out.resolve())
    contours = {name: f"{stems[over]}.ctr" for name, over in _overlays(layers, lines).items()}
    atomic.write_text(
        out / "ds9.sh", _SCRIPT.format(words=command_line(list(scene(there, layers, contours))))
    )
    return [*written, out / "ds9.sh"]


def contour_files(layers: Sequence[Layer], folder: Path) -> dict[str, Path]:
    """Write the contours that DS9 draws over its frames; return their files by layer."""
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
    """Draw the galaxy beside its maps, one row per stack of a file."""
    window, stacks = window_of(layers_of(path)), read_stacks(path)
    maps = [explanation for stack in stacks for explanation in stack.explanations]
    contours = next((one.method for one in maps if one.kind == "features"), None)
    return explanation_figure([_part(stack, window) for stack in stacks], contours=contours)


def map_figure(path: str | os.PathLike[str], method: str) -> Figure:
    """Draw one map of a file, large, with sky coordinates."""
    window, stacks = window_of(layers_of(path)), read_stacks(path)
    having = [stack for stack in stacks if any(one.method == method for one in stack.explanations)]
    return sky_figure(_part((having or stacks)[0], window), method)


def files_figure(
    images: Mapping[str, tuple[Path, ...]], *, method: str | None = None, **reading: Any
) -> tuple[Figure, dict[str, str]]:
    """Draw one layers file large, files of attacks, dreams or class models, or many images side by side.

    Return the figure, and the ids of images that cannot be read with the reason. `images` are files by id,
    `method` is the only map that is drawn of a layers file, and `reading` holds parameters of
    `galcnn.dataset.InputFiles` for files without layers.
    """
    first = next(iter(images.values()))
    if all(len(paths) == 1 and holds_syntheses(paths[0]) for paths in images.values()):
        made = first_syntheses({name: paths[0] for name, paths in images.items()}, MOST_ROWS)
        return next(iter(syntheses_figures(made).values())), {}
    if len(images) == len(first) == 1 and (method or holds_layers(first[0])):
        return map_figure(first[0], method) if method else layers_figure(first[0]), {}
    plain, entries, left_out = InputFiles(images, **reading), list[Entry](), dict[str, str]()
    for name, paths in images.items():
        try:
            with plain.named(name):
                if len(paths) == 1 and holds_layers(paths[0]):
                    stack = read_stacks(paths[0])[0]
                    entries.append(Entry.answered(stack.cutout, stack.prediction))
                else:
                    entries.append(Entry(plain.load(name), name))
        except (OSError, ValueError) as error:
            if len(images) == 1:
                raise
            left_out[name] = str(error)
    if not entries:
        raise UnreadableImageError(f"No image can be read. {next(iter(left_out.values()))}")
    return sheet_figure(entries), left_out


def _syntheses(path: str | os.PathLike[str]) -> tuple[Synthesis, ...]:
    """Return the syntheses of a file of syntheses or of a layers file."""
    if holds_syntheses(path):
        return read_syntheses(path)[:MOST_ROWS]
    if holds_layers(path):
        return tuple(one for stack in read_stacks(path) for one in stack.syntheses)[:MOST_ROWS]
    return ()


def syntheses_figures(made: Mapping[str, Sequence[Synthesis]]) -> dict[str, Figure]:
    """Draw attacks and dreams before and after, class models, and filter images: one figure of each kind."""
    changed: dict[str, list[Synthesis]] = {}
    models: dict[str, list[Synthesis]] = {}
    filters: list[Synthesis] = []
    for name, several in made.items():
        for one in several:
            if one.method == "filter_image":
                filters.append(one)
            elif one.wrt == "stretched" or not one.start.any():
                blur = float(one.settings.get("blur") or 0)
                smooth = f", smoothed by {blur:g} px" if blur else ""
                models.setdefault(f"from {one.settings.get('start', 'zero')}{smooth}", []).append(one)
            else:
                changed.setdefault(name, []).append(one)
    figures = {"changes": adversarial_figure(changed)} if changed else {}
    if models:
        figures["class_models"] = class_model_figure(models)
    return figures | ({"filter_images": filter_image_figure(filters)} if filters else {})


def _part(stack: LayerStack, window: Window) -> LayerStack:
    """Return the part of a stack that its maps cover, if its image is larger."""
    rows, columns = (slice(*w.indices(n)) for w, n in zip(window, stack.cutout.shape, strict=True))
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    if shape == stack.cutout.shape or min(shape) < 1:
        return stack
    return replace(
        stack,
        cutout=crop(stack.cutout, shape, corner=(rows.start, columns.start)),
        explanations=tuple(
            replace(
                e,
                attribution=e.attribution[:, rows, columns],
                coarse=None,
                field=None if e.field is None else _shifted(e.field, rows.start, columns.start, shape),
            )
            for e in stack.explanations
        ),
        syntheses=(),
        segmentation=None,
    )


def _shifted(
    field: tuple[int, int, int, int], row: int, column: int, shape: tuple[int, int]
) -> tuple[int, int, int, int] | None:
    """Return the field of view on a part of the image; None if nothing of it is left."""
    y0, y1 = (min(max(y - row, 0), shape[0]) for y in field[:2])
    x0, x1 = (min(max(x - column, 0), shape[1]) for x in field[2:])
    return (y0, y1, x0, x1) if y0 < y1 and x0 < x1 else None


def _single_files(path: str | os.PathLike[str], files: Mapping[Path, Layer]) -> list[Path]:
    with opened(path) as (hdulist, _):
        for file, layer in files.items():
            hdu = hdulist[int(layer.hdu) if layer.hdu.isdigit() else layer.hdu]
            header, data = hdu.header.copy(), hdu.data
            if layer.plane:
                data = data[layer.plane - 1]
                for key in ("CTYPE3", "CRPIX3", "CRVAL3", "CDELT3"):
                    header.remove(key, ignore_missing=True)
            alone = fits.PrimaryHDU(data, header)
            alone.add_checksum()
            with atomic.writing(file) as temporary, open(temporary, "wb") as handle:
                fits.HDUList([alone]).writeto(handle, output_verify="exception")
    return list(files)


def _lines(layers: Sequence[Layer]) -> dict[str, tuple[Outline, ...]]:
    """Return the contours of science images and maps, by layer; only where maps have values."""
    window = window_of(layers)
    found = {}
    for layer in drawn_layers(layers):
        if layer.role != "difference" and (own := outlines(layer, window)):
            found[layer.name] = own
    return found


def _overlays(layers: Sequence[Layer], lines: dict[str, tuple[Outline, ...]]) -> dict[str, str]:
    """Return whose contours are drawn over each layer: the galaxy over maps, features over images."""
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
