"""Windows of the bands of a mosaic: pixels, mask and sigma, padded beyond the edge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.mosaic.mosaic import Layer
from galcnn.mosaic.pixels import Box

__all__ = ["Planes", "Window", "read_window"]


@dataclass(frozen=True)
class Window:
    """The square of pixels that is cut out.

    Attributes
    ----------
    corner : tuple of int
        First row and column on the mosaic, (y, x); negative beyond the edge.
    side : int
        Pixels.
    box : tuple of int
        The part of it on the mosaic.
    """

    corner: tuple[int, int]
    side: int
    box: Box

    @property
    def part(self) -> tuple[slice, slice]:
        """Where in the window the part on the mosaic is."""
        (bottom, left), (y0, y1, x0, x1) = self.corner, self.box
        return slice(y0 - bottom, y1 - bottom), slice(x0 - left, x1 - left)

    @property
    def whole(self) -> bool:
        """Whether all of it is on the mosaic."""
        y0, y1, x0, x1 = self.box
        return y1 - y0 == self.side and x1 - x0 == self.side


@dataclass(frozen=True)
class Planes:
    """What a window shows.

    Attributes
    ----------
    flux : numpy.ndarray
        float32, shape (n_bands, side, side); NaN beyond the edge.
    mask : numpy.ndarray or None
        bool; None where no band has one.
    sigma : numpy.ndarray or None
        float32; None where not every band has one.
    """

    flux: npt.NDArray[np.float32]
    mask: npt.NDArray[np.bool_] | None
    sigma: npt.NDArray[np.float32] | None

    def coverage(self, mask: npt.NDArray[np.bool_]) -> float:
        """Tell how much was measured.

        Parameters
        ----------
        mask : numpy.ndarray
            Of the cutout: all that is not a number, and what `mask` says.

        Returns
        -------
        float
            Share of the pixels, over all bands, that hold a number.
        """
        holes = mask if self.mask is None else ~np.isfinite(self.flux)
        return 1 - int(np.count_nonzero(holes)) / self.flux.size


def read_window(layers: Sequence[Layer], window: Window) -> Planes:
    """Read a window of all bands.

    Parameters
    ----------
    layers : sequence of Layer
        Of one grid.
    window : Window
        Of this grid.

    Returns
    -------
    Planes
        Copies: the files may be closed.
    """
    if len(layers) == 1 and window.whole and len(layers[0].sources) == 1:  # nothing to put together
        return Planes(layers[0].read(window.box)[np.newaxis], None, None)
    box, part = window.box, window.part
    shape = (len(layers), window.side, window.side)
    flux = _empty(shape, window.whole)
    for plane, layer in zip(flux, layers, strict=True):
        plane[part] = layer.read(box)
    mask = sigma = None
    if any(layer.mask is not None for layer in layers):
        mask = np.zeros(shape, dtype=np.bool_)
        for plane, layer in zip(mask, layers, strict=True):
            if layer.mask is not None:
                plane[part] = layer.mask.read(box, layer.band)
    if all(layer.noise is not None for layer in layers):
        sigma = _empty(shape, window.whole)
        for plane, layer in zip(sigma, layers, strict=True):
            if layer.noise is not None:
                plane[part] = layer.noise.read(box)
        # Without weight nothing was measured.
        unmeasured = [layer.noise is not None and layer.noise.role == "inverse variance" for layer in layers]
        if any(unmeasured):
            holes = np.isnan(sigma) & np.array(unmeasured)[:, np.newaxis, np.newaxis]
            mask = holes if mask is None else mask | holes
    return Planes(flux, mask, sigma)


def _empty(shape: tuple[int, int, int], whole: bool) -> npt.NDArray[Any]:
    return np.empty(shape, np.float32) if whole else np.full(shape, np.nan, np.float32)
