"""What the page shows of one galaxy: pictures, maps, the sky, and where it comes from."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.files import load_cutout
from galcnn.layers import read_stacks
from galcnn.report.pictures import binned, encoded, picture, sky_grid, thumbnail
from galcnn.transforms import crop, display_rgb
from galcnn.viewers.plots.panels import summed, unit_label

if TYPE_CHECKING:
    from galcnn.cutout import Cutout
    from galcnn.explain.explanation import Explanation
    from galcnn.layers import LayerStack

__all__ = ["LARGEST", "object_of_image", "object_of_layers"]

#: Pixels a side of a picture and its maps, at most: larger ones are cut to where the maps are, then binned.
LARGEST = 512

Shown = tuple[dict[str, Any], npt.NDArray[np.uint8]]


def object_of_image(paths: Sequence[str | os.PathLike[str]]) -> Shown:
    """Show a galaxy of which there is an image alone.

    Parameters
    ----------
    paths : sequence of path-like
        Its file, or files of one galaxy.

    Returns
    -------
    content : dict
        `pictures`, one, and `maps`, none.
    thumbnail : numpy.ndarray
        See `galcnn.report.pictures.thumbnail`.

    Raises
    ------
    galcnn.errors.UnreadableImageError, OSError
        It cannot be read.
    """
    cutout = load_cutout(paths)
    rgb = display_rgb(cutout)
    origin = {"input": ",".join(Path(path).name for path in paths)}
    return {"pictures": [_picture(cutout, rgb, origin)], "maps": []}, thumbnail(rgb)


def object_of_layers(paths: Sequence[Path]) -> Shown:
    """Show a galaxy by its layers files.

    Parameters
    ----------
    paths : sequence of pathlib.Path
        Of the same galaxy.

    Returns
    -------
    content : dict
        `pictures`: each cutout that the maps are of; `maps`, each with the number of its picture.
    thumbnail : numpy.ndarray
        Of the first cutout.

    Raises
    ------
    galcnn.errors.UnreadableImageError, OSError
        A file cannot be read.
    """
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
    assert small is not None  # a file of layers has a stack
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
        "unit": unit_label(explanation),
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
    """All of a cutout; of a large image what the maps cover."""
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
