"""Transfer functions, and resampling through them: convolution and new pixels in one linear step.

Frequencies are in cycles per input pixel along y and x. An effective PSF includes the pixel, so an image is
the true sky convolved with it and sampled; the transform of a pixel's box is only needed to replace one
pixel by another.

Well-sampled pixels determine the convolved sky between them as well (Shannon 1949): its transform is that
of the samples below half a cycle per pixel. An image times a transfer function can therefore be evaluated
anywhere. If that function includes the box of the new pixel, the result is the flux averaged over a new
pixel.
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

#: Relative transfer of a PSF below which its inverse is damped (Wiener 1949).
_FLOOR = 1e-3
#: Transfer below which a frequency is ignored.
_NOTHING = 1e-4
#: Range and size of the table of a Moffat's transfer, in units of 1 / (2 pi alpha).
_LAST, _STEPS = 40.0, 1 << 14
_Floats = npt.NDArray[np.floating]

#: A transfer function of the frequencies ky and kx, in cycles per input pixel.
Transfer = Callable[[_Array, _Array], npt.NDArray[np.inexact]]


def psf_transfer(psf: npt.NDArray[np.float32], ky: _Array, kx: _Array) -> _Complex:
    """Return the transfer function of a PSF image; its middle is taken as its centre, so nothing shifts."""
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in psf.shape)
    along_y = np.exp(-2j * np.pi * np.outer(ky, rows))
    along_x = np.exp(-2j * np.pi * np.outer(columns, kx))
    transfer: _Complex = along_y @ psf.astype(np.float64) @ along_x
    return transfer


def moffat_transfer(fwhm: float, beta: float, ky: _Array, kx: _Array) -> _Array:
    """Return the transfer function of a Moffat PSF in closed form."""
    # The Hankel transform of the profile (Moffat 1969, A&A 3, 455; Trujillo et al. 2001,
    # astro-ph/0109067): 2 (q / 2)^(beta - 1) K_{beta - 1}(q) / Gamma(beta - 1) with q = 2 pi alpha k.
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    q = 2 * np.pi * alpha * np.hypot(ky[:, np.newaxis], kx[np.newaxis, :])
    values: _Array = np.interp(q, *_moffat_table(beta), right=0.0)
    return values


def moffat_limit(fwhm: float, beta: float) -> float:
    """Return the frequency beyond which the transfer of a Moffat PSF is negligible."""
    q, values = _moffat_table(beta)
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    return float(q[np.argmax(values < _NOTHING)] / (2 * np.pi * alpha))


def pixel_transfer(side: float, ky: _Array, kx: _Array) -> _Array:
    """Return the transfer function of a square pixel."""
    box: _Array = np.outer(np.sinc(side * ky), np.sinc(side * kx))
    return box


def wiener_ratio(wanted: npt.NDArray[np.inexact], present: _Complex) -> _Complex:
    """Return the ratio of two transfer functions, damped where `present` is negligible."""
    held_back = np.conj(present) * (1 + _FLOOR**2) / (np.abs(present) ** 2 + _FLOOR**2)
    return np.asarray(wanted * held_back, dtype=np.complex128)


@functools.lru_cache(maxsize=16)
def _moffat_table(beta: float) -> tuple[_Array, _Array]:
    # Finer where the function is curved: steps grow with q.
    q = _LAST * np.linspace(0, 1, _STEPS) ** 2
    with np.errstate(invalid="ignore"):
        values = 2 * (q / 2) ** (beta - 1) * kv(beta - 1, q) / gamma(beta - 1)
    values[0] = 1.0
    return q, values


@dataclass(frozen=True, eq=False)
class Gridding:
    """Resampling to a parallel grid with the same middle, through a transfer function.

    Attributes
    ----------
    old, new : tuple of int
        Shapes of the two grids in pixels, (ny, nx).
    magnification : float
        Size of an object in new pixels over its size in old pixels.
    transfer : Transfer
        Transfer function; real or Hermitian, 1 at frequency zero.
    reach : float
        Distance in old pixels beyond which the kernel is negligible; the image is padded by it.
    limit : float
        Frequency, in cycles per old pixel, beyond which the transfer is negligible; at most 0.5.
    """

    old: tuple[int, int]
    new: tuple[int, int]
    magnification: float
    transfer: Transfer
    reach: float
    limit: float = 0.5

    def apply(self, planes: _Array) -> _Array:
        """Resample images, shape (n, ny, nx)."""
        return self._read_off(planes, self._band_of(self.limit), self._values)

    def apply_squared(self, planes: _Array) -> _Array:
        """Resample variances of independent pixels, with the squared kernel."""
        # Exact unless the variance changes within two pixels: frequencies above half a cycle per old pixel
        # are ignored.
        return self._read_off(planes, self._band_of(min(2 * self.limit, 0.5)), self._squared)

    def correlation(self) -> _Array:
        """Return the autocorrelation of new pixels if old ones are independent with variance 1."""
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
        """Transform of the squared kernel, which reaches twice as high in frequency as the kernel."""
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
        """Return integer cycles over the padded image up to a limit; for x, only those not negative."""
        ny, nx = self._padded
        y, x = (int(np.ceil(limit * n)) for n in (ny, nx))
        along_y = np.arange(-y, y) if y == ny // 2 else np.arange(-y, y + 1)
        return along_y.astype(np.float64), np.arange(x + 1, dtype=np.float64)

    def _read_off(self, planes: _Array, band: tuple[_Array, _Array], values: _Complex) -> _Array:
        rows, columns = (k.astype(int) for k in band)
        # Rows of the padding are zero, and columns beyond the limit are not needed.
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
        """Evaluate the inverse transform at any positions; negative kx are conjugates of positive ones."""
        (ky, kx), (ny, nx) = band, self._padded
        twice = np.where((kx == 0) | (kx == nx // 2), 1.0, 2.0)
        rows = np.exp(2j * np.pi / ny * np.outer(y, ky)) @ (spectra * twice)
        phase = 2 * np.pi / nx * np.outer(kx, x)
        result: _Array = (rows.real @ np.cos(phase) - rows.imag @ np.sin(phase)) / (ny * nx)
        return result
