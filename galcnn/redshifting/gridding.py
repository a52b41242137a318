"""Gridding: convolve an image and read it off on other pixels, in one linear step.

The sky behind well-sampled pixels is known between them, too (Shannon 1949): its transform is
that of the samples below half a cycle per pixel. So an image times a transfer function can be read
off anywhere, and where that function holds the new pixel's box, what is read off is the flux that
falls into a new pixel: averaged, not picked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.fft

__all__ = ["Gridding", "Transfer"]

_Array = npt.NDArray[np.float64]
_Floats = npt.NDArray[np.floating]
_Complex = npt.NDArray[np.complex128]

#: A transfer function of the frequencies ky and kx, cycles per input pixel.
Transfer = Callable[[_Array, _Array], npt.NDArray[np.inexact]]


@dataclass(frozen=True, eq=False)
class Gridding:
    """From one grid of pixels to a parallel one with the same middle, through a transfer function.

    Attributes
    ----------
    old, new : tuple of int
        Pixels (ny, nx) of the two grids.
    magnification : float
        Size of a thing in new pixels over its size in old pixels.
    transfer : Transfer
        What happens to each frequency on the way; real or Hermitian, 1 at zero.
    reach : float
        Old pixels beyond which the kernel is nothing; so much of nothing is put around the image.
    limit : float
        Frequency, cycles per old pixel, beyond which the transfer function is nothing; at most 0.5.
    """

    old: tuple[int, int]
    new: tuple[int, int]
    magnification: float
    transfer: Transfer
    reach: float
    limit: float = 0.5

    def apply(self, planes: _Array) -> _Array:
        """Grid images.

        Parameters
        ----------
        planes : numpy.ndarray
            Shape (n, ny, nx) of the old grid, without NaN; nothing lies around them.

        Returns
        -------
        numpy.ndarray
            Shape (n, ny, nx) of the new grid: values per old pixel, at the new places.
        """
        return self._read_off(planes, self._band_of(self.limit), self._values)

    def apply_squared(self, planes: _Array) -> _Array:
        """Grid variances of independent pixels: by the square of the kernel.

        Exact but for variance that changes within two pixels: frequencies beyond half a cycle per
        old pixel are left out.

        Parameters
        ----------
        planes : numpy.ndarray
            Variances, shape (n, ny, nx) of the old grid.

        Returns
        -------
        numpy.ndarray
            Shape (n, ny, nx) of the new grid.
        """
        return self._read_off(planes, self._band_of(min(2 * self.limit, 0.5)), self._squared)

    def correlation(self) -> _Array:
        """Give the autocorrelation of new pixels where old ones are independent, with variance 1.

        Returns
        -------
        numpy.ndarray
            Of the new grid's shape; lag zero, the variance, comes first and lags wrap around.
        """
        ky, kx = self._band_of(self.limit)
        power = np.abs(self._values) ** 2
        lags = [np.fft.fftfreq(n, 1 / n) / self.magnification for n in self.new]
        return self._sum(power, (ky, kx), lags[0], lags[1])

    @cached_property
    def _padded(self) -> tuple[int, int]:
        margin = int(np.ceil(self.reach))
        ny, nx = (scipy.fft.next_fast_len(n + margin, real=True) for n in self.old)
        return (ny + ny % 2, nx + nx % 2)

    @cached_property
    def _values(self) -> _Complex:
        ky, kx = self._band_of(self.limit)
        return np.asarray(self.transfer(ky / self._padded[0], kx / self._padded[1]), dtype=np.complex128)

    @cached_property
    def _squared(self) -> _Complex:
        """Transform of the squared kernel: it has twice the band of the kernel."""
        ky, kx = self._band_of(self.limit)
        sides = [scipy.fft.next_fast_len(4 * int(np.abs(k).max()) + 2) for k in (ky, kx)]
        spectrum = np.zeros((sides[0], sides[1] // 2 + 1), dtype=np.complex128)
        spectrum[np.ix_(ky.astype(int), kx.astype(int))] = self._values
        kernel = scipy.fft.irfft2(spectrum, s=sides) * (sides[0] * sides[1] / np.prod(self._padded))
        squared = scipy.fft.rfft2(kernel**2) * (np.prod(self._padded) / (sides[0] * sides[1]))
        wide_y, wide_x = self._band_of(min(2 * self.limit, 0.5))
        values: _Complex = squared[np.ix_(wide_y.astype(int), wide_x.astype(int))]
        return values

    def _band_of(self, limit: float) -> tuple[_Array, _Array]:
        """Whole numbers of cycles over the padded image up to a limit; for x, not the negative ones."""
        ny, nx = self._padded
        y, x = (int(np.ceil(limit * n)) for n in (ny, nx))
        along_y = np.arange(-y, y) if y == ny // 2 else np.arange(-y, y + 1)
        return along_y.astype(np.float64), np.arange(x + 1, dtype=np.float64)

    def _read_off(self, planes: _Array, band: tuple[_Array, _Array], values: _Complex) -> _Array:
        rows, columns = (k.astype(int) for k in band)
        # The padding's rows are zero, and columns beyond the band are not looked at.
        along_x = scipy.fft.rfft(planes, n=self._padded[1], axis=2)[:, :, columns]
        spectra = scipy.fft.fft(along_x, n=self._padded[0], axis=1)[:, rows]
        places = [
            (n - 1) / 2 + (np.arange(m) - (m - 1) / 2) / self.magnification
            for n, m in zip(self.old, self.new, strict=True)
        ]
        return self._sum(spectra * values, band, places[0], places[1])

    def _sum(
        self, spectra: npt.NDArray[np.inexact], band: tuple[_Array, _Array], y: _Floats, x: _Floats
    ) -> _Array:
        """Inverse transform at any places; the negative half along x is the conjugate of the other."""
        (ky, kx), (ny, nx) = band, self._padded
        twice = np.where((kx == 0) | (kx == nx // 2), 1.0, 2.0)
        rows = np.exp(2j * np.pi / ny * np.outer(y, ky)) @ (spectra * twice)
        phase = 2 * np.pi / nx * np.outer(kx, x)
        result: _Array = (rows.real @ np.cos(phase) - rows.imag @ np.sin(phase)) / (ny * nx)
        return result
