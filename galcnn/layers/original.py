"""Add layers to the FITS file that a cutout was made from, on the pixel grid of its image.

The transformation from image to cutout is inverted, by the two WCS if both have one, else by the
steps in ``meta["geometry"]``. How map values transform depends on their kind. With w the area shared
by an image pixel o and a cutout pixel c, in units of the area A_o of o:

- slopes in flux follow the chain rule, dS/dF_o = sum_c w dS/dF_c, since F_c contains w F_o; for
  surface brightness or display values dS/dB_o = sum_c w A_o/A_c dS/dB_c;
- amounts of logits are distributed by area, sum_c w A_o/A_c a_c, so that the sum of the map is kept;
- slopes in sigma are averaged and multiplied by sqrt(A_o/A_c), as for noise of independent pixels;
- features and slopes in the stretched image are averaged.

Averages require that at least half of the pixel is covered. Pixels outside the cutout are NaN.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.cutout import Cutout, pixel_steps
from galcnn.errors import UnreadableImageError, message
from galcnn.files.astrometry import celestial_wcs, wcs_cards
from galcnn.files.fits_images import HDUChoice, chosen_hdus
from galcnn.files.hdus import plane_indices
from galcnn.files.layout import science_hdu
from galcnn.files.sources import opened
from galcnn.layers.appending import append_hdus, numbers
from galcnn.layers.headers import FILE_TYPE
from galcnn.layers.stack import CUTOUT_HDU, LayerStack, stack_hdus
from galcnn.layers.tables import coarse_hdu
from galcnn.transforms.grid import MIN_COVERAGE, per_area, shifted_wcs

if TYPE_CHECKING:
    from galcnn.explain import Explanation


_Array = npt.NDArray[np.float64]


#: Tolerance in pixels for grids to be parallel, or identical.
_SAME = 1e-3


#: Points per side at which the grids are compared.
_POINTS = 5


@dataclass(frozen=True, eq=False)
class Placement:
    """Position of a cutout on the image that it was made from.

    Attributes
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with the grid of the maps.
    corner, shape : tuple of int
        Lower corner and shape (y, x), in image pixels, of the part that contains the cutout.
    first, step : tuple of float or None
        For parallel grids: image pixel (y, x) at the centre of the cutout's first pixel, and distance in
        image pixels between neighbouring pixels of the cutout. None if the cutout is rotated, flipped or
        in another projection.
    wcs : astropy.wcs.WCS or None
        WCS of that part of the image.
    """

    cutout: Cutout
    corner: tuple[int, int]
    shape: tuple[int, int]
    first: tuple[float, float] | None
    step: tuple[float, float] | None
    wcs: WCS | None

    def maps(self, explanation: Explanation) -> npt.NDArray[np.float32]:
        """Return the map of an explanation on the image grid."""
        values = explanation.attribution
        if self._copies():
            return self._copied(values)
        good = np.isfinite(values)
        total, covered = self._collected(np.where(good, values, 0).astype(np.float64), good)
        area = 1 / self._area()
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(covered > MIN_COVERAGE - 1e-6, total / covered, np.nan)
        shared = np.where(covered > 1e-9, total, np.nan)
        if explanation.kind == "amount":
            moved = shared * area
        elif explanation.kind == "slope" and explanation.wrt == "flux":
            moved = shared * area if per_area(self.cutout.unit) else shared
        elif explanation.kind == "slope" and explanation.wrt == "sigma":
            moved = mean * np.sqrt(area)
        else:
            moved = mean
        return moved.astype(np.float32)

    def labels(self, segmentation: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
        """Return a segmentation on the image grid; each pixel gets the label at its centre."""
        y, x = np.mgrid[: self.shape[0], : self.shape[1]].astype(np.float64)
        if self.first is not None and self.step is not None:
            y = (y + self.corner[0] - self.first[0]) / self.step[0]
            x = (x + self.corner[1] - self.first[1]) / self.step[1]
        else:
            assert self.wcs is not None  # for the type checker: without a WCS the grids are parallel
            assert self.cutout.wcs is not None
            x, y = self.cutout.wcs.world_to_pixel(self.wcs.pixel_to_world(x, y))
        with np.errstate(invalid="ignore"):
            inside = (np.abs(y - (segmentation.shape[0] - 1) / 2) < segmentation.shape[0] / 2) & (
                np.abs(x - (segmentation.shape[1] - 1) / 2) < segmentation.shape[1] / 2
            )
        labels = np.zeros(self.shape, dtype=np.int32)
        rows, columns = (np.rint(v[inside]).astype(int) for v in (y, x))
        labels[inside] = segmentation[rows, columns]
        return labels

    def _copies(self) -> bool:
        return self.step == (1.0, 1.0) and self.first is not None and all(n == int(n) for n in self.first)

    def _copied(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        assert self.first is not None  # for the type checker
        copied = np.full((len(values), *self.shape), np.nan, dtype=np.float32)
        window, part = [], []
        for n, m, first, corner in zip(values.shape[1:], self.shape, self.first, self.corner, strict=True):
            start = int(first) - corner
            window.append(slice(max(start, 0), min(start + n, m)))
            part.append(slice(window[-1].start - start, window[-1].stop - start))
        copied[:, window[0], window[1]] = values[:, part[0], part[1]]
        return copied

    def _area(self) -> float:
        """Return the area of a cutout pixel in image pixels."""
        if self.step is not None:
            return self.step[0] * self.step[1]
        assert self.wcs is not None
        own, old = self.cutout.sky_steps, pixel_steps(self.wcs, self.shape)
        assert own is not None  # it has a WCS
        return float(abs(np.linalg.det(own) / np.linalg.det(old)))

    def _collected(self, values: _Array, good: npt.NDArray[np.bool_]) -> tuple[_Array, _Array]:
        """Return, for each image pixel, the values summed with shared area as weight, and that area."""
        if self.first is not None and self.step is not None:
            along_y, along_x = (
                _shared(m, n, first - corner, step)
                for m, n, first, corner, step in zip(
                    self.shape, values.shape[1:], self.first, self.corner, self.step, strict=True
                )
            )
            return along_y @ values @ along_x.T, along_y @ good.astype(np.float64) @ along_x.T
        from reproject import reproject_exact

        both = np.concatenate([values, good.astype(np.float64)])
        means, footprint = reproject_exact(
            (both, self.cutout.wcs), self.wcs, shape_out=(len(both), *self.shape)
        )
        sums: _Array = np.nan_to_num(means) * np.nan_to_num(footprint)
        return sums[: len(values)], sums[len(values) :]


def placement(cutout: Cutout, wcs: WCS | None, shape: tuple[int, int]) -> Placement:
    """Return the position of a cutout on the image that it was made from."""
    if cutout.wcs is not None and wcs is not None:
        places = _by_wcs(cutout.wcs, wcs, cutout.shape)
        first, step = _parallel(cutout.shape, places)
        edges = _edges(cutout.shape)
        y, x = _by_wcs(cutout.wcs, wcs, cutout.shape, edges)
    else:
        first, step = _by_history(cutout.meta.get("geometry", ()), cutout.shape, shape)
        edges = _edges(cutout.shape)
        y, x = (np.array(f) + np.array(s) * e for f, s, e in zip(first, step, edges, strict=True))
    low = [max(0, int(np.floor(np.nanmin(v) + 0.5))) for v in (y, x)]
    high = [min(n, int(np.ceil(np.nanmax(v) + 0.5))) for v, n in zip((y, x), shape, strict=True)]
    if not np.isfinite([y, x]).any() or high[0] <= low[0] or high[1] <= low[1]:
        raise ValueError(
            message(
                "a cutout that lies on the image",
                "Give the file from which it was cut, --onto; one of the two WCS may be wrong.",
                rows=(float(np.min(y)), float(np.max(y))),
                columns=(float(np.min(x)), float(np.max(x))),
                shape=shape,
            )
        )
    corner, part = (low[0], low[1]), (high[0] - low[0], high[1] - low[1])
    return Placement(
        cutout, corner, part, first, step, None if wcs is None else shifted_wcs(wcs, corner, part)
    )


def _edges(shape: tuple[int, int]) -> tuple[_Array, _Array]:
    """Return points along the edges of a grid as (y, x)."""
    along = [np.linspace(-0.5, n - 0.5, 33) for n in shape]
    y = np.concatenate([along[0], along[0], np.full(33, -0.5), np.full(33, shape[0] - 0.5)])
    x = np.concatenate([np.full(33, -0.5), np.full(33, shape[1] - 0.5), along[1], along[1]])
    return y, x


def _by_wcs(
    own: WCS, wcs: WCS, shape: tuple[int, int], points: tuple[_Array, _Array] | None = None
) -> tuple[_Array, _Array]:
    """Return image pixels (y, x) at points of the cutout."""
    y, x = points if points is not None else _points(shape)
    sky = own.pixel_to_world(x, y)
    x, y = wcs.world_to_pixel(sky)
    return np.asarray(y, dtype=np.float64), np.asarray(x, dtype=np.float64)


def _points(shape: tuple[int, int]) -> tuple[_Array, _Array]:
    y, x = np.meshgrid(*(np.linspace(0, n - 1, _POINTS) for n in shape), indexing="ij")
    return y.ravel(), x.ravel()


def _parallel(
    shape: tuple[int, int], places: tuple[_Array, _Array]
) -> tuple[tuple[float, float], tuple[float, float]] | tuple[None, None]:
    """Return first pixel and step if the grids are parallel, rounded if nearly integer."""
    first, step = [], []
    for n, own, there in zip(shape, _points(shape), places, strict=True):
        if not np.isfinite(there).all():
            return None, None
        slope, start = np.polyfit(own, there, 1) if n > 1 else (1.0, there.mean())
        if slope <= 0 or np.abs(start + slope * own - there).max() > _SAME:
            return None, None
        if abs(slope - 1) * n < _SAME and abs(start - round(start)) < _SAME:
            slope, start = 1.0, float(round(start))
        first.append(float(start))
        step.append(float(slope))
    return (first[0], first[1]), (step[0], step[1])


def _by_history(
    steps: Sequence[Mapping[str, Any]], own: tuple[int, int], shape: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return first pixel and step from the steps that were applied after the image was read."""
    first, step, now = np.zeros(2), np.ones(2), tuple(shape)
    for done in steps:
        if tuple(done["from"]) != now or not {"corner", "ratio"} & set(done):
            break
        if "ratio" in done:
            ratio = np.array(done["ratio"], dtype=np.float64)
            corner = (np.array(now) - 1) / 2 - (np.array(done["shape"]) - 1) / 2 * ratio
        else:
            ratio, corner = np.ones(2), np.array(done["corner"], dtype=np.float64)
        first, step, now = first + step * corner, step * ratio, tuple(done["shape"])
    if now != tuple(own):
        raise ValueError(
            message(
                "a WCS of both, or the steps from the image to the cutout in its meta",
                "Give the file from which the cutout was made: --onto.",
                image=shape,
                cutout=own,
                geometry=list(steps),
            )
        )
    return (float(first[0]), float(first[1])), (float(step[0]), float(step[1]))


def _shared(n_old: int, n_own: int, first: float, step: float) -> _Array:
    """Return the length that each image pixel (row) shares with each cutout pixel (column)."""
    middle = first + step * np.arange(n_own)
    old = np.arange(n_old)[:, np.newaxis]
    upper = np.minimum(middle + step / 2, old + 0.5)
    lower = np.maximum(middle - step / 2, old - 0.5)
    shared: _Array = np.clip(upper - lower, 0, None)
    return shared


def write_into(
    stack: LayerStack,
    original: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    append: bool = False,
    hdu: HDUChoice | None = None,
) -> None:
    """Write the maps of a stack into the FITS file of the image that its cutout was made from.

    Parameters
    ----------
    stack : LayerStack
        Stack whose cutout was cropped, resampled, binned or rotated from the image.
    original : path-like
        FITS file of the image; not compressed as a whole.
    out : path-like, optional
        New file with all bytes of `original`, followed by the layers. An existing file is replaced.
    append : bool
        If True, add the layers to `original` itself instead of `out`. Existing HDUs are not changed by a
        single byte, and the file is replaced atomically.
    hdu : int, str or sequence of them, optional
        HDU or HDUs of the image, see `galcnn.load_cutout`.

    Raises
    ------
    FileNotFoundError
        If `original` does not exist.
    galcnn.errors.UnreadableImageError
        If `original` is not a plain FITS file with an image, is damaged, or is a layers file (for which
        use `append_stack`).
    ValueError
        If the cutout does not lie on the image, its position cannot be determined, or not exactly one
        of `out` and `append` is given.

    Notes
    -----
    Each map has the shape and the WCS of the image, with NaN outside the cutout and values transformed
    as described in `galcnn.layers.original`; if the cutout is a plain part of the image they are
    bit-identical. The segmentation is written too, and coarse maps on the WCS of their cells; syntheses
    are not. `read_stacks` reads the layers, and `galcnn.load_cutout` still reads the image.
    """
    path = Path(original)
    if (out is None) != append:
        raise ValueError(message("either out or append=True", "", out=out, append=append))
    if out is not None and Path(out).resolve() == path.resolve():
        raise ValueError(message("another file than the original", "Use append=True.", out=str(out)))
    with opened(path) as (hdulist, _):
        if hdulist[0].header.get("FILETYPE") == FILE_TYPE:
            raise UnreadableImageError(
                message(
                    "the image file that the cutout was made from, not a layers file",
                    "Leave out --onto; --append --out adds to a layers file (in Python: append_stack).",
                    path=str(path),
                )
            )
        image = _Image.of(hdulist, hdu)
        taken = [one.name for one in hdulist]
        number = max(numbers(hdulist), default=0) + 1
    place = placement(stack.cutout, image.wcs, image.shape)
    hdus = stack_hdus(_moved(stack, place), number=number, taken=taken, where=(CUTOUT_HDU, image.places))
    hdus = _with_coarse(hdus, stack)
    append_hdus(path, _whole(hdus, place, image), out=path if out is None else out)


@dataclass(frozen=True)
class _Image:
    """Image of the original: grid, WCS and HDU numbers."""

    shape: tuple[int, int]
    wcs: WCS | None
    places: str

    @classmethod
    def of(cls, hdulist: fits.HDUList, hdu: HDUChoice | None) -> _Image:
        first = science_hdu(hdulist) if hdu is None else None
        if first is not None:
            places = ""
        else:
            chosen = [one for one, _ in chosen_hdus(hdulist, hdu, None)]
            first = chosen[0]
            places = " ".join(str(i) for i, one in enumerate(hdulist) if any(one is c for c in chosen))
        _, shape = plane_indices(first)
        wcs, _ = celestial_wcs(first.header, shape, hdulist)
        return cls(shape, wcs, places)


def _moved(stack: LayerStack, place: Placement) -> LayerStack:
    """Return the stack on the part of the image that contains the cutout."""
    blank = Cutout(np.zeros((1, *place.shape), np.float32), ("all",), wcs=place.wcs)
    explanations = [
        replace(explanation, attribution=place.maps(explanation), coarse=None, field=None)
        for explanation in stack.explanations
    ]
    labels = None if stack.segmentation is None else place.labels(stack.segmentation)
    return replace(stack, cutout=blank, explanations=tuple(explanations), syntheses=(), segmentation=labels)


def _with_coarse(hdus: Sequence[Any], stack: LayerStack) -> list[Any]:
    """Add coarse maps, which keep their own WCS."""
    if stack.cutout.wcs is None:
        return list(hdus)
    used = {hdu.name for hdu in hdus}
    like = next((hdu for hdu in hdus if "METHOD" in hdu.header), None)
    coarse = []
    for explanation in stack.explanations:
        if explanation.coarse is None or like is None:
            continue
        hdu = coarse_hdu(explanation, used, stack.cutout.wcs)
        if "CTYPE1" not in hdu.header:
            continue
        for card in ("LAYERFMT", "STACK", "OBJECT", "MODEL", "MODELSHA"):
            if card in like.header:
                hdu.header[card] = (like.header[card], like.header.comments[card])
        for card in ("CELL1_Y", "CELL1_X", "STEP_Y", "STEP_X"):
            del hdu.header[card]  # these count pixels of the cutout
        coarse.append(hdu)
    both = [*hdus[:-1], *coarse, hdus[-1]]
    both[-1].header["NHDU"] = len(both)
    both[-1].add_checksum()
    for hdu in coarse:
        hdu.add_checksum()
    return both


def _whole(hdus: Sequence[Any], place: Placement, image: _Image) -> Iterator[Any]:
    """Yield the layers on the whole image one by one, to save memory."""
    cards = wcs_cards(image.wcs)
    rows, columns = (slice(c, c + n) for c, n in zip(place.corner, place.shape, strict=True))
    for hdu in hdus:
        if hdu.is_image and hdu.data.shape == place.shape and "FIELD_Y" not in hdu.header:
            fill = 0 if hdu.data.dtype.kind == "i" else np.nan
            data = np.full(image.shape, fill, dtype=hdu.data.dtype)
            data[rows, columns] = hdu.data
            header = hdu.header.copy()
            header.update(cards)
            whole = fits.ImageHDU(data, header)
            whole.add_checksum()
            yield whole
        else:
            yield hdu
