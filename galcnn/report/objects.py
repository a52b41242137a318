"""Content of the page for one galaxy: pictures, maps, sky coordinates and provenance."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from PIL import Image

from galcnn.files import load_cutout
from galcnn.layers import read_stacks
from galcnn.transforms import crop, display_rgb
from galcnn.viewers.plots.panels import colour_limit, summed
from galcnn.viewers.plots.style import NO_DATA, SIGNED

if TYPE_CHECKING:
    from astropy.wcs import WCS

    from galcnn.cutout import Cutout
    from galcnn.explain import Explanation
    from galcnn.layers import LayerStack


#: Side of a thumbnail in pixels, and thumbnails per side of a sheet. Sheets are small, since visible
#: rows may come from anywhere in the table after sorting.
SIDE, ACROSS = 64, 5
_BACKGROUND = 236
#: Integers that encode the largest value of a map and a missing value.
_TOP, _NONE = 32767, -32768
#: Number of colours; odd, so that zero has its own.
_COLOURS = 255
#: Maximum error in pixels of positions interpolated in the sky grid.
_SKY_ERROR = 0.01
_NODES = (2, 3, 5, 9, 17, 33)


def thumbnail(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return a thumbnail of an image with row 0 at the bottom; the thumbnail has row 0 at the top."""
    ny, nx = rgb.shape[:2]
    shape = tuple(max(1, round(SIDE * n / max(ny, nx))) for n in (ny, nx))
    image = Image.fromarray(np.ascontiguousarray(rgb[::-1]))
    if (ny, nx) != shape:
        how = Image.Resampling.BOX if max(ny, nx) > SIDE else Image.Resampling.NEAREST
        image = image.resize((shape[1], shape[0]), how)
    tile = np.full((SIDE, SIDE, 3), _BACKGROUND, dtype=np.uint8)
    top, left = ((SIDE - n) // 2 for n in shape)
    tile[top : top + shape[0], left : left + shape[1]] = np.asarray(image)
    return tile


class Sheets:
    """Writer of thumbnails, `ACROSS` x `ACROSS` per file; keeps one sheet in memory."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self._folder, self._tiles, self._written = folder, list[npt.NDArray[np.uint8]](), 0

    def add(self, tile: npt.NDArray[np.uint8]) -> int:
        """Add a thumbnail, row by row from the top left, and return its number."""
        number = self._written * ACROSS**2 + len(self._tiles)
        self._tiles.append(tile)
        if len(self._tiles) == ACROSS**2:
            self.close()
        return number

    def close(self) -> None:
        """Write the last sheet, even if it is not full."""
        if not self._tiles:
            return
        sheet = np.full((ACROSS * SIDE, ACROSS * SIDE, 3), _BACKGROUND, dtype=np.uint8)
        for place, tile in enumerate(self._tiles):
            y, x = (SIDE * n for n in divmod(place, ACROSS))
            sheet[y : y + SIDE, x : x + SIDE] = tile
        Image.fromarray(sheet).save(self._folder / f"{self._written:04d}.png")
        self._tiles, self._written = [], self._written + 1


def picture(rgb: npt.NDArray[np.uint8], binning: int = 1) -> str:
    """Return an image with row 0 at the bottom as a data URL."""
    if binning > 1:
        planes = [binned(plane, binning) for plane in np.moveaxis(rgb.astype(np.float64), -1, 0)]
        rgb = np.rint(np.stack(planes, axis=-1)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb[::-1])).save(file, format="PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def binned(values: npt.NDArray[np.float64], binning: int) -> npt.NDArray[np.float64]:
    """Return the mean of the finite values in blocks of pixels, from the first row and column."""
    if binning == 1:
        return values
    ny, nx = (-(-n // binning) for n in values.shape)
    padded = np.full((ny * binning, nx * binning), np.nan)
    padded[: values.shape[0], : values.shape[1]] = values
    blocks = padded.reshape(ny, binning, nx, binning)
    known = np.isfinite(blocks)
    number = known.sum(axis=(1, 3))
    total = np.where(known, blocks, 0).sum(axis=(1, 3))
    mean: npt.NDArray[np.float64] = np.divide(total, number, out=np.full((ny, nx), np.nan), where=number > 0)
    return mean


def encoded(values: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Return a map as base64 text, row 0 at the top: int16, little-endian, to be multiplied by `scale`."""
    known = np.isfinite(values)
    peak = float(np.abs(values[known]).max(initial=0)) or 1.0
    steps = np.where(known, np.rint(np.where(known, values, 0) / peak * _TOP), _NONE).astype("<i2")
    data = base64.b64encode(np.ascontiguousarray(steps[::-1]).tobytes()).decode("ascii")
    return {"data": data, "scale": peak / _TOP, "limit": colour_limit(values)}


def colours() -> dict[str, Any]:
    """Return the colours of signed maps, as in the figures."""
    from matplotlib import colormaps
    from matplotlib.colors import to_rgb

    table = colormaps[SIGNED](np.linspace(0, 1, _COLOURS), bytes=True)[:, :3]
    return {"signed": table.tolist(), "none": [round(255 * value) for value in to_rgb(NO_DATA)]}


def sky_grid(wcs: WCS | None, shape: tuple[int, int], binning: int = 1) -> list[list[list[float]]] | None:
    """Return unit vectors (ICRS) on a grid from the lower left corner, fine enough to interpolate."""
    if wcs is None:
        return None
    for n in _NODES:
        nodes = _directions(wcs, shape, binning, np.linspace(0, 1, n))
        middle = _directions(wcs, shape, binning, (np.arange(n - 1) + 0.5) / (n - 1))
        if not (np.isfinite(nodes).all() and np.isfinite(middle).all()):
            return None
        guess = (nodes[1:, 1:] + nodes[1:, :-1] + nodes[:-1, 1:] + nodes[:-1, :-1]) / 4
        guess /= np.linalg.norm(guess, axis=-1, keepdims=True)
        pixel = np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))) * np.pi / 180 * binning
        if np.linalg.norm(guess - middle, axis=-1).max() <= _SKY_ERROR * pixel:
            break
    else:
        return None
    listed: list[list[list[float]]] = np.round(nodes, 13).tolist()
    return listed


def _directions(
    wcs: WCS, shape: tuple[int, int], binning: int, at: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return unit vectors at fractions of height and width."""
    y, x = np.meshgrid(at * shape[0] * binning - 0.5, at * shape[1] * binning - 0.5, indexing="ij")
    found = np.asarray(wcs.pixel_to_world(x, y).icrs.cartesian.xyz.value)
    return np.moveaxis(found, 0, -1)


#: Maximum side of a picture and its maps in pixels; larger ones are cut to the maps, then binned.
LARGEST = 512

Shown = tuple[dict[str, Any], npt.NDArray[np.uint8]]


def object_of_image(paths: Sequence[str | os.PathLike[str]]) -> Shown:
    """Return content and thumbnail of a galaxy with an image only."""
    cutout = load_cutout(paths)
    rgb = display_rgb(cutout)
    origin = {"input": ",".join(Path(path).name for path in paths)}
    return {"pictures": [_picture(cutout, rgb, origin)], "maps": []}, thumbnail(rgb)


def object_of_layers(paths: Sequence[Path]) -> Shown:
    """Return content and thumbnail of a galaxy with layers files."""
    stacks = [stack for path in paths for stack in read_stacks(path)]
    models = {str(stack.provenance.get("model_sha256", "")) for stack in stacks}
    maps: list[dict[str, Any]] = []
    drawn: list[tuple[Cutout, tuple[slice, slice], dict[str, Any]]] = []
    small: npt.NDArray[np.uint8] | None = None
    for stack in stacks:
        window = _window(stack)
        place = next(
            (k for k, (one, w, _) in enumerate(drawn) if w == window and _same(one, stack.cutout)), -1
        )
        if place < 0:
            place, cutout = len(drawn), _part(stack.cutout, window)
            rgb = display_rgb(cutout)
            small = thumbnail(rgb) if small is None else small
            corner = (window[0].start, window[1].start)
            drawn.append((stack.cutout, window, _picture(cutout, rgb, stack.provenance, corner=corner)))
        model = str(stack.provenance.get("model", "")) if len(models) > 1 else ""
        maps += [_map(one, window) | {"picture": place, "model": model} for one in stack.explanations]
    assert small is not None  # every layers file has a stack
    return {"pictures": [content for _, _, content in drawn], "maps": maps}, small


def _picture(
    cutout: Cutout,
    rgb: npt.NDArray[np.uint8],
    origin: Mapping[str, Any],
    *,
    corner: tuple[int, int] = (0, 0),
) -> dict[str, Any]:
    binning = _binning(cutout.shape)
    ny, nx = (-(-n // binning) for n in cutout.shape)
    scale = cutout.pixel_scale
    return {
        "png": picture(rgb, binning),
        "shape": [ny, nx],
        "corner": list(corner),
        "binning": binning,
        "sky": sky_grid(cutout.wcs, (ny, nx), binning),
        "pixel_scale": None if scale is None else float(scale.to_value(u.arcsec)) * binning,
        "facts": _facts(cutout, origin),
    }


def _map(explanation: Explanation, window: tuple[slice, slice]) -> dict[str, Any]:
    planes = [("all bands", summed(explanation)[window])]
    if len(explanation.bands) > 1:
        cut = explanation.attribution[:, *window].astype(np.float64)
        planes += list(zip(explanation.bands, cut, strict=True))
    binning = _binning(planes[0][1].shape)
    delta = explanation.delta
    facts = {
        "meaning": explanation.meaning,
        "with respect to": explanation.wrt,
        "score": f"{explanation.score:.5g}",
        "score less that of the baseline": "" if delta is None else _difference(explanation),
        "error of the sum (delta)": "" if delta is None else f"{delta:.3g}",
        "network layer": explanation.network_layer,
        "seed": "" if explanation.seed is None else str(explanation.seed),
        "settings": ", ".join(f"{key} = {value}" for key, value in explanation.settings.items()),
    }
    return {
        "method": explanation.method,
        "target": explanation.target.name,
        "unit": explanation.unit_label,
        "planes": [{"band": band} | encoded(binned(values, binning)) for band, values in planes],
        "facts": {key: value for key, value in facts.items() if value},
    }


def _difference(explanation: Explanation) -> str:
    baseline = explanation.baseline_score
    return "" if baseline is None else f"{explanation.score - baseline:.5g}"


def _facts(cutout: Cutout, provenance: Mapping[str, Any]) -> dict[str, str]:
    scale, place = cutout.pixel_scale, cutout.position
    facts = {
        "file": str(provenance.get("input", "")),
        "survey": "" if cutout.survey == "unknown" else cutout.survey,
        "bands": ", ".join(cutout.bands),
        "unit": str(cutout.unit),
        "pixel scale": "" if scale is None else f"{scale.to_value(u.arcsec):.4g} arcsec",
        "position": "" if place is None else place.icrs.to_string("hmsdms", precision=2),
        "redshift": "" if cutout.redshift is None else f"{cutout.redshift:.5g}",
        "masked": f"{cutout.masked_fraction:.1%}" if cutout.masked_fraction else "",
        "model": str(provenance.get("model", "")),
    }
    return {key: value for key, value in facts.items() if value}


def _window(stack: LayerStack) -> tuple[slice, slice]:
    """Return the whole cutout, or in a large image the part covered by maps."""
    ny, nx = stack.cutout.shape
    if max(ny, nx) <= LARGEST or not stack.explanations:
        return slice(0, ny), slice(0, nx)
    known = np.any([np.isfinite(one.attribution).any(axis=0) for one in stack.explanations], axis=0)
    ends = [np.flatnonzero(known.any(axis=axis))[[0, -1]] for axis in (1, 0)] if known.any() else []
    if not ends:
        return slice(0, ny), slice(0, nx)
    return slice(int(ends[0][0]), int(ends[0][1]) + 1), slice(int(ends[1][0]), int(ends[1][1]) + 1)


def _part(cutout: Cutout, window: tuple[slice, slice]) -> Cutout:
    rows, columns = window
    shape = (rows.stop - rows.start, columns.stop - columns.start)
    return cutout if shape == cutout.shape else crop(cutout, shape, corner=(rows.start, columns.start))


def _binning(shape: tuple[int, ...]) -> int:
    return max(1, -(-max(shape) // LARGEST))


def _same(one: Cutout, other: Cutout) -> bool:
    return one is other or (
        one.flux.shape == other.flux.shape and np.array_equal(one.flux, other.flux, equal_nan=True)
    )
