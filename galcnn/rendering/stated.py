"""Calibrated bands -> 8-bit colour pictures by stated settings, whose name a model's card records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import DISPLAY, NANOMAGGY

__all__ = ["RENDERS", "RenderStep", "into_box", "render"]


@dataclass(frozen=True)
class RenderStep:
    """Settings by which three bands become a colour picture.

    Attributes
    ----------
    name : str
        The key in `RENDERS`, which a model's card records; any other for settings of your own.
    bands : tuple of str
        For red, green and blue.
    scales : tuple of float
        Brightness of red, green and blue, per nanomaggy in a pixel of `pixel_scale`.
    nonlinearity : float
        Of the asinh; 0 for a linear picture.
    pixel_scale : float
        Arcsec: other pixels are brought to the same surface brightness.
    substitutes : mapping of str to tuple
        ``band: (other band, its scale)`` for cutouts without the band.
    """

    name: str
    bands: tuple[str, str, str]
    scales: tuple[float, float, float]
    nonlinearity: float
    pixel_scale: float
    substitutes: Mapping[str, tuple[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for the meta of a cutout.

        Returns
        -------
        dict
            Lists, numbers and text.
        """
        substitutes = {band: list(other) for band, other in self.substitutes.items()}
        lists = {"bands": list(self.bands), "scales": list(self.scales), "substitutes": substitutes}
        return asdict(self) | lists


#: Steps by name. ``sdss``: like the pictures of the SkyServer, which Galaxy Zoo showed and which are
#: made after Lupton et al. (2004) with modifications: alike, not identical. The scales are those of
#: N. Wherry's programs for these pictures. Where there is no i band z stands in; its scale follows
#: from the others, which go as the inverse of the wavelength.
RENDERS: dict[str, RenderStep] = {
    "sdss": RenderStep("sdss", ("i", "r", "g"), (4.9, 5.7, 7.8), 2.25, 0.396, {"i": ("z", 4.1)}),
}


def render(cutout: Cutout, style: str | RenderStep = "sdss", *, bands: Sequence[str] | None = None) -> Cutout:
    """Make the 8-bit colour picture of three calibrated bands.

    With c the three scaled surface brightnesses, s their sum and n the nonlinearity, the picture
    is c asinh(n s) / (n s); where a colour exceeds 1 all three are divided by it, so that the
    hue stays (after Lupton et al. 2004, PASP 116, 133); times 255, rounded.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        In a flux unit, with WCS, its sky removed.
    style : str or RenderStep
        Name in `RENDERS`, or settings of your own.
    bands : sequence of str, optional
        Bands for red, green and blue in place of the step's own.

    Returns
    -------
    galcnn.cutout.Cutout
        Bands R, G, B in `galcnn.photometry.DISPLAY`, whole numbers from 0 to 255, on the same
        grid with the same WCS. Masked where any of the three bands is, NaN likewise. Sigma and
        PSF are left out, since the picture is not linear. ``meta["render"]`` has the settings.

    Raises
    ------
    ValueError
        The cutout is not calibrated, has no pixel scale, or lacks a band.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.wcs import WCS
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.396 / 3600, 0.396 / 3600]
    >>> flux = np.array([20.0, 30.0, 40.0]).reshape(3, 1, 1)
    >>> render(Cutout(flux, ("g", "r", "i"), wcs)).flux.ravel().tolist()
    [14.0, 12.0, 11.0]
    """
    step = _step(style)
    if not cutout.calibrated:
        raise ValueError(
            message(
                "an image in a unit of flux",
                "Calibrate it first: a picture's colours and brightness mean a flux.",
                unit=str(cutout.unit),
            )
        )
    scale = cutout.pixel_scale
    if scale is None:
        raise ValueError(message("a cutout with a WCS, whose pixel scale is known", "", wcs=None))
    chosen, scales = _bands_of(cutout, step, bands)
    rows = [cutout.bands.index(band) for band in chosen]
    arcsec = float(scale.to_value(u.arcsec))
    to_step = float(cutout.unit.to(NANOMAGGY)) * (step.pixel_scale / arcsec) ** 2
    colours = cutout.flux[rows].astype(np.float64) * to_step * np.array(scales)[:, np.newaxis, np.newaxis]
    picture = np.rint(255 * _lupton(colours, step.nonlinearity))
    mask: npt.NDArray[np.bool_] = np.logical_or.reduce(cutout.mask[rows])
    record = step.to_dict() | {"bands": list(chosen), "scales": list(scales), "from_pixel_scale": arcsec}
    return replace(
        cutout,
        flux=picture.astype(np.float32),
        bands=("R", "G", "B"),
        unit=DISPLAY,
        mask=mask,
        sigma=None,
        psf=None,
        meta={**cutout.meta, "render": record},
    )


def into_box(colours: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Divide pixels brighter than 1 by their brightest colour: clipped to white they would lose their hue.

    Parameters
    ----------
    colours : numpy.ndarray
        Shape (3, ny, nx).

    Returns
    -------
    numpy.ndarray
        At most 1.
    """
    inside: npt.NDArray[np.float64] = colours / np.maximum(colours.max(axis=0), 1)
    return inside


def _step(style: str | RenderStep) -> RenderStep:
    if isinstance(style, RenderStep):
        return style
    if style not in RENDERS:
        raise ValueError(message(f"a style among {tuple(RENDERS)}", "", style=style))
    return RENDERS[style]


def _bands_of(
    cutout: Cutout, step: RenderStep, bands: Sequence[str] | None
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    if bands is not None:
        chosen = list(zip(bands, step.scales, strict=False))
        wanted = tuple(bands)
    else:
        wanted = step.bands
        chosen = [
            step.substitutes[band] if band not in cutout.bands and band in step.substitutes else (band, scale)
            for band, scale in zip(step.bands, step.scales, strict=True)
        ]
    if len(wanted) != 3 or any(band not in cutout.bands for band, _ in chosen):
        raise ValueError(
            message(
                f"three bands of {cutout.bands} for red, green and blue",
                "Name them: bands=(red, green, blue).",
                bands=wanted,
            )
        )
    return tuple(band for band, _ in chosen), tuple(float(scale) for _, scale in chosen)


def _lupton(colours: npt.NDArray[np.float64], nonlinearity: float) -> npt.NDArray[np.float64]:
    radius = nonlinearity * colours.sum(axis=0)
    # asinh(x) / x is 1 at 0, where the quotient cannot be taken.
    ratio = np.divide(np.arcsinh(radius), radius, out=np.ones_like(radius), where=radius != 0)
    return np.clip(into_box(colours * ratio), 0, 1)
