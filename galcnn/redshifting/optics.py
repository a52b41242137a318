"""Transfer functions: what a PSF, a pixel and their ratio do to each spatial frequency.

Frequencies are in cycles per input pixel, along y and x. An effective PSF has the pixel in it, so
that an image is the true sky convolved with it and sampled, and the transform of a pixel's box is
only needed where one pixel is replaced by another.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
from scipy.special import gamma, kv

__all__ = ["moffat_limit", "moffat_transfer", "pixel_transfer", "psf_transfer", "wiener_ratio"]

_Array = npt.NDArray[np.float64]
_Complex = npt.NDArray[np.complex128]

#: Below this share of a PSF's transfer at zero, its inverse is held back (Wiener 1949).
_FLOOR = 1e-3
#: Transfer below which a frequency is left out.
_NOTHING = 1e-4
#: Ends of the table of a Moffat's transfer, in units of 1 / (2 pi alpha).
_LAST, _STEPS = 40.0, 1 << 14


def psf_transfer(psf: npt.NDArray[np.float32], ky: _Array, kx: _Array) -> _Complex:
    """Transform a drawn PSF; its middle pixel is its centre, so that it moves nothing.

    Parameters
    ----------
    psf : numpy.ndarray
        Shape (py, px), sum 1.
    ky, kx : numpy.ndarray
        Frequencies, cycles per pixel of the PSF.

    Returns
    -------
    numpy.ndarray
        complex128, shape (len(ky), len(kx)); 1 at zero.
    """
    rows, columns = (np.arange(n) - (n - 1) / 2 for n in psf.shape)
    along_y = np.exp(-2j * np.pi * np.outer(ky, rows))
    along_x = np.exp(-2j * np.pi * np.outer(columns, kx))
    transfer: _Complex = along_y @ psf.astype(np.float64) @ along_x
    return transfer


def moffat_transfer(fwhm: float, beta: float, ky: _Array, kx: _Array) -> _Array:
    """Give the transfer function of a Moffat PSF in closed form.

    Parameters
    ----------
    fwhm : float
        Pixels.
    beta : float
        Index, above 1.
    ky, kx : numpy.ndarray
        Frequencies, cycles per pixel.

    Returns
    -------
    numpy.ndarray
        ``2 (q / 2)**(beta - 1) K_{beta - 1}(q) / Gamma(beta - 1)`` with q = 2 pi alpha k: the
        Hankel transform of the profile (Moffat 1969, A&A 3, 455; Trujillo et al. 2001,
        astro-ph/0109067).
    """
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    q = 2 * np.pi * alpha * np.hypot(ky[:, np.newaxis], kx[np.newaxis, :])
    values: _Array = np.interp(q, *_moffat_table(beta), right=0.0)
    return values


def moffat_limit(fwhm: float, beta: float) -> float:
    """Give the frequency beyond which nothing is left of what a Moffat PSF lets through.

    Parameters
    ----------
    fwhm : float
        Pixels.
    beta : float
        Index, above 1.

    Returns
    -------
    float
        Cycles per pixel at which the transfer is 1e-4.
    """
    q, values = _moffat_table(beta)
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    return float(q[np.argmax(values < _NOTHING)] / (2 * np.pi * alpha))


def pixel_transfer(side: float, ky: _Array, kx: _Array) -> _Array:
    """Give the transfer function of a square pixel.

    Parameters
    ----------
    side : float
        Of the pixel, in input pixels.
    ky, kx : numpy.ndarray
        Frequencies, cycles per input pixel.

    Returns
    -------
    numpy.ndarray
        Product of two sinc functions.
    """
    box: _Array = np.outer(np.sinc(side * ky), np.sinc(side * kx))
    return box


def wiener_ratio(wanted: npt.NDArray[np.inexact], present: _Complex) -> _Complex:
    """Give what turns one transfer function into another, held back where nothing is left.

    Parameters
    ----------
    wanted, present : numpy.ndarray
        Transfer functions on the same frequencies.

    Returns
    -------
    numpy.ndarray
        ``wanted conj(present) / (|present|^2 + floor^2)``, made 1 at zero frequency.
    """
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
