"""The PSF of a survey that does not serve it: a Moffat profile of a stated width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from astropy.convolution import discretize_model
from astropy.modeling.models import Moffat2D

from galcnn.errors import message

__all__ = ["moffat_planes"]

#: Moffat index of seeing that is usual for wide surveys (as `galcnn.observing.Observation`).
BETA = 3.5
#: Widths of the profile that the image of it reaches out from its centre.
_REACH = 4.0


def moffat_planes(
    fwhm: Sequence[float], pixel_scale: float, *, beta: float = BETA
) -> npt.NDArray[np.float32]:
    """Draw a round Moffat PSF for each band, on the pixels of the cutout.

    Parameters
    ----------
    fwhm : sequence of float
        Full width at half maximum in each band, arcsec, pixel included.
    pixel_scale : float
        Arcsec per pixel.
    beta : float
        Moffat index: ``(1 + (r / a)^2)^-beta`` with ``a = fwhm / (2 sqrt(2^(1/beta) - 1))``
        (Moffat 1969, A&A 3, 455).

    Returns
    -------
    numpy.ndarray
        float32, shape (n_bands, n, n), n odd; each plane has sum 1.

    Raises
    ------
    ValueError
        A width or the pixel scale is not positive, or beta is not more than 1.

    Examples
    --------
    >>> planes = moffat_planes((1.31, 1.19), 0.25)
    >>> planes.shape, planes.sum(axis=(1, 2)).round(6).tolist()
    ((2, 43, 43), [1.0, 1.0])
    """
    if not len(fwhm) or not min(fwhm) > 0 or not pixel_scale > 0 or not beta > 1:
        raise ValueError(
            message(
                "positive widths and pixel scale, and beta > 1",
                "",
                fwhm=fwhm,
                pixel_scale=pixel_scale,
                beta=beta,
            )
        )
    reach = int(np.ceil(_REACH * max(fwhm) / pixel_scale))
    planes = []
    for width in fwhm:
        core = width / pixel_scale / (2 * np.sqrt(2 ** (1 / beta) - 1))
        profile = Moffat2D(amplitude=1, gamma=core, alpha=beta)
        plane = discretize_model(profile, (-reach, reach + 1), (-reach, reach + 1))
        planes.append(plane / plane.sum())
    return np.stack(planes).astype(np.float32)
