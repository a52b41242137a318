"""What a FITS header says of its pixels: unit and zero point. Nothing is guessed.

A rule of calibration is one function ``(header, pixels) -> Calibration | None``; the first that
knows the file wins. A file that no rule knows keeps the unit it states, or none.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.files import zero_points
from galcnn.files.naming import card_text
from galcnn.files.zero_points import Pixels, Scale, stated_unit
from galcnn.photometry import UNCALIBRATED, ab_magnitude

__all__ = ["Calibration", "calibration_of", "flux_unit"]


@dataclass(frozen=True)
class Calibration:
    """What turns the numbers of a file into `unit`.

    Attributes
    ----------
    unit : astropy.units.UnitBase
        nJy where the header is certain; else what it states, or uncalibrated.
    factor : float
        Times the number in the file.
    source : str
        The cards this rests on.
    asinh : tuple of float or None
        Softening and offset by which the numbers are asinh-scaled, before the factor.
    """

    unit: u.UnitBase
    factor: float
    source: str
    asinh: tuple[float, float] | None = field(default=None, repr=False)

    def apply(self, raw: npt.NDArray[np.generic]) -> npt.NDArray[np.float32]:
        """Turn numbers of the file into values.

        Parameters
        ----------
        raw : numpy.ndarray
            Of any real kind.

        Returns
        -------
        numpy.ndarray
            float32, in `unit`; infinite beyond its range.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            if self.asinh is None and self.factor == 1:
                return raw.astype(np.float32)
            values = raw.astype(np.float64)
            if self.asinh is not None:
                values = zero_points.linear(values, *self.asinh)
            return (values * self.factor).astype(np.float32)

    def facts(self) -> dict[str, object]:
        """Give what the meta of a cutout says of this.

        Returns
        -------
        dict
            The cards, and the AB magnitude of a number 1 in the file.
        """
        if self.unit != u.nJy:
            return {"calibration": self.source}
        return {"calibration": self.source, "zero_point_ab": round(ab_magnitude(self.factor), 6)}


def calibration_of(
    header: fits.Header, pixel_scale: float | None, values: npt.NDArray[np.generic] | None = None
) -> Calibration:
    """Find unit and factor of an image.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image, with what it inherits from the primary header.
    pixel_scale : float or None
        Arcsec, of the WCS: resampled pixels of a survey are no flux, and surface brightness
        needs it.
    values : numpy.ndarray, optional
        The numbers in the file: some headers contradict themselves, and the noise decides.

    Returns
    -------
    Calibration
        To nJy where the header is certain.

    Examples
    --------
    >>> calibration_of(fits.Header({"BUNIT": "nanomaggy"}), None)
    Calibration(unit=Unit("nJy"), factor=3631.0, source='BUNIT = nanomaggy')
    >>> calibration_of(fits.Header({"BUNIT": "ELECTRONS/S"}), None).unit
    Unit("electron / s")
    """
    text = card_text(header, "BUNIT")
    unit = stated_unit(text)
    kept = UNCALIBRATED if unit is None or unit == u.dimensionless_unscaled else unit
    own = flux_unit(header)
    if own is not None:
        return own
    pixels = Pixels(pixel_scale, values)
    for rule in zero_points.RULES:
        scale = rule(header, pixels)
        if scale is not None:
            return _calibration(scale, kept)
    if kept == UNCALIBRATED:
        return Calibration(kept, 1.0, f"none: BUNIT = {text}" if text else "none: no BUNIT")
    return Calibration(kept, 1.0, f"none: BUNIT = {text}, no AB zero point")


def flux_unit(header: fits.Header) -> Calibration | None:
    """Apply the first rule of calibration: BUNIT is a unit of flux density.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.

    Returns
    -------
    Calibration or None
        None where BUNIT is none.
    """
    text = card_text(header, "BUNIT")
    unit = stated_unit(text)
    if unit is not None and unit.is_equivalent(u.nJy / u.pix):
        unit = unit * u.pix
    if unit is None or not unit.is_equivalent(u.nJy):
        return None
    # 15 digits: unit conversion gives 3631.0000000000005 nJy for a nanomaggy.
    return Calibration(u.nJy, float(f"{unit.to(u.nJy):.15g}"), f"BUNIT = {text}")


def _calibration(scale: Scale, kept: u.UnitBase) -> Calibration:
    if scale.njy is None:
        return Calibration(kept, 1.0, f"none: {scale.source}")
    return Calibration(u.nJy, scale.njy, scale.source, scale.asinh)
