"""What is done to an image once it is read: zero point, sky, dust, width."""

from __future__ import annotations

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import DISPLAY, ab_flux
from galcnn.transforms import correct_extinction, crop_width, remove_sky

__all__ = ["Treatment", "calibrate", "treat"]


@dataclass(frozen=True)
class Treatment:
    """Steps from a file's image to that of a galaxy alone, each left out by default.

    Attributes
    ----------
    zero_point : float or None
        AB magnitude of a number 1, where the file does not state it, see `calibrate`.
    sky : bool
        Whether the level of the sky is subtracted, see `galcnn.transforms.remove_sky`.
    ebv : float or None
        E(B-V), see `galcnn.transforms.correct_extinction`.
    system : str or None
        Photometric system of the bands, where the survey does not tell.
    width : astropy.units.Quantity or None
        Side of the central field that is kept, last of all.
    """

    zero_point: float | None = None
    sky: bool = False
    ebv: float | None = None
    system: str | None = None
    width: u.Quantity | None = None


def treat(cutout: Cutout, treatment: Treatment) -> Cutout:
    """Apply the steps of a treatment in their order.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    treatment : Treatment
        What to do.

    Returns
    -------
    galcnn.cutout.Cutout
        A new one, or `cutout` itself where there is nothing to do.

    Raises
    ------
    ValueError
        A step does not fit the image.
    """
    if treatment.zero_point is not None:
        cutout = calibrate(cutout, treatment.zero_point)
    if treatment.sky:
        cutout = remove_sky(cutout)
    if treatment.ebv is not None:
        cutout = correct_extinction(cutout, treatment.ebv, system=treatment.system)
    if treatment.width is not None:
        cutout = crop_width(cutout, treatment.width)
    return cutout


def calibrate(cutout: Cutout, zero_point: float) -> Cutout:
    """Turn counts into nJy by a zero point that the user knows.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Uncalibrated, linear.
    zero_point : float
        AB magnitude of a source of a number 1 in the image.

    Returns
    -------
    galcnn.cutout.Cutout
        In nJy.

    Raises
    ------
    ValueError
        It is calibrated already, or a picture.

    Examples
    --------
    >>> from galcnn.photometry import UNCALIBRATED
    >>> counts = Cutout(np.ones((1, 2, 2)), ("r",), unit=UNCALIBRATED)
    >>> round(float(calibrate(counts, 22.5).flux[0, 0, 0]), 3)
    3631.0
    """
    if cutout.calibrated or cutout.unit == DISPLAY:
        raise ValueError(
            message(
                "an image of counts, for the zero point",
                "Leave the zero point out.",
                unit=str(cutout.unit),
                calibration=cutout.meta.get("calibration"),
            )
        )
    factor = ab_flux(zero_point)
    said = {"calibration": f"zero point given: {zero_point:g} AB", "zero_point_ab": float(zero_point)}
    return replace(
        cutout,
        flux=(cutout.flux * factor).astype(np.float32),
        sigma=None if cutout.sigma is None else (cutout.sigma * factor).astype(np.float32),
        unit=u.nJy,
        meta={**cutout.meta, **said},
    )
