"""Transfer functions, and gridding: an image convolved and read off on other pixels in one linear step.

Frequencies are in cycles per input pixel, along y and x. An effective PSF has the pixel in it, so
that an image is the true sky convolved with it and sampled, and the transform of a pixel's box is
only needed where one pixel is replaced by another.

The sky behind well-sampled pixels is known between them, too (Shannon 1949): its transform is
that of the samples below half a cycle per pixel. So an image times a transfer function can be read
off anywhere, and where that function holds the new pixel's box, what is read off is the flux that
falls into a new pixel: averaged, not picked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import scipy.fft
from scipy.special import gamma, kv

_Array = npt.NDArray[np.float64]
_Complex = npt.NDArray[np.complex128]

#: Below this share of a PSF's transfer at zero, its inverse is held back (Wiener 1949).
_FLOOR = 1e-3
#: Transfer below which a frequency is left out.
_NOTHING = 1e-4
#: Ends of the table of a Moffat's transfer, in units of 1 / (2 pi alpha).
_LAST, _STEPS = 40.0, 1 << 14
_Floats = npt.NDArray[np.floating]

#: A transfer function of the frequencies ky and kx, cycles per input pixel.
Transfer = Callable[[_Array, _Array], npt.NDArray[np.inexact]]


def psf_transfer(psf: npt.NDArray[np.float32], ky: _Array, kx: _Array) -> _Complex:
    """Transform a drawn PSF; its middle pixel is its centre, so that it moves nothing."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in psf.shape)
    along_y = np.exp(-2j * np.pi * np.outer(ky, rows))
    along_x = np.exp(-2j * np.pi * np.outer(columns, kx))
    transfer: _Complex = along_y @ psf.astype(np.float64) @ along_x
    return transfer


def moffat_transfer(fwhm: float, beta: float, ky: _Array, kx: _Array) -> _Array:
    """Give the transfer function of a Moffat PSF in closed form."""
    # The Hankel transform of the profile (Moffat 1969, A&A 3, 455; Trujillo et al. 2001,
    # astro-ph/0109067): 2 (q / 2)^(beta - 1) K_{beta - 1}(q) / Gamma(beta - 1) with q = 2 pi alpha k.
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    q = 2 * np.pi * alpha * np.hypot(ky[:, np.newaxis], kx[np.newaxis, :])
    values: _Array = np.interp(q, *_moffat_table(beta), right=0.0)
    return values


def moffat_limit(fwhm: float, beta: float) -> float:
    """Give the frequency beyond which nothing is left of what a Moffat PSF lets through."""
    q, values = _moffat_table(beta)
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    return float(q[np.argmax(values < _NOTHING)] / (2 * np.pi * alpha))


def pixel_transfer(side: float, ky: _Array, kx: _Array) -> _Array:
    """Give the transfer function of a square pixel."""
    box: _Array = np.outer(np.sinc(side * ky), np.sinc(side * kx))
    return box


def wiener_ratio(wanted: npt.NDArray[np.inexact], present: _Complex) -> _Complex:
    """Give what turns one transfer function into another, held back where nothing is left."""
    held_back = np.conj(present) * (1 + _FLOOR**2) / (np.abs(present) ** 2 + _FLOOR**2)
    return np.asarray(wanted * held_back, dtype=np.complex128)


@functools.lru_cache(maxsize=16)
def _moffat_table(beta: float) -> tuple[_Array, _Array]:
    # Finer where the function bends: the steps grow with q.
    q = _LAST * np.linspace(0, 1, _STEPS) ** 2
    with np.errstate(invalid="ignore"):
        values = 2 * (q / 2) ** (beta - 1) * kv(beta - 1, q) / gamma(beta - 1)
    values[0] = 1.0
    return q, values


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
        """Grid images."""
        return self._read_off(planes, self._band_of(self.limit), self._values)

    def apply_squared(self, planes: _Array) -> _Array:
        """Grid variances of independent pixels: by the square of the kernel."""
        # Exact but for variance that changes within two pixels: frequencies beyond half a cycle per
        # old pixel are left out.
        return self._read_off(planes, self._band_of(min(2 * self.limit, 0.5)), self._squared)

    def correlation(self) -> _Array:
        """Give the autocorrelation of new pixels where old ones are independent, with variance 1."""
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
