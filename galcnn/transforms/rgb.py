"""Colour pictures: with fixed settings that a model card records, or scaled to one image for display."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import DISPLAY
from galcnn.photometry.units import NANOMAGGY
from galcnn.transforms.background import sky_statistics
from galcnn.transforms.cropping import crop_width
from galcnn.transforms.petrosian import petrosian_radius

#: Central wavelengths of bands in nm, for the order of colours only.
_WAVELENGTHS = {
    "FUV": 154, "NUV": 232, "U": 365, "u": 355, "B": 440, "g": 480, "V": 550, "r": 620, "R": 650,
    "i": 760, "I": 800, "z": 900, "y": 1000, "Y": 1020, "J": 1240, "H": 1650, "K": 2160, "Ks": 2160,
    "j": 1240, "h": 1650, "k": 2160, "VIS": 720, "W1": 3400, "W2": 4600, "W3": 12000, "W4": 22000,
}  # fmt: skip


@dataclass(frozen=True)
class RenderStep:
    """Settings that turn three bands into a colour picture.

    Attributes
    ----------
    name : str
        Key in `RENDERS`, recorded in model cards; any other name for other settings.
    bands : tuple of str
        Bands of red, green and blue.
    scales : tuple of float
        Factors of red, green and blue, per nanomaggy in a pixel of `pixel_scale`.
    nonlinearity : float
        Softening of the asinh stretch; 0 for a linear picture.
    pixel_scale : float
        Pixel scale of the factors, arcsec; images with other pixels are scaled by surface brightness.
    substitutes : mapping of str to tuple
        Replacements of missing bands, ``band: (other band, its scale)``.
    frame : float or None
        Side of the picture in Petrosian radii of the galaxy, see `petrosian_radius`; None: the whole field.
    """

    name: str
    bands: tuple[str, str, str]
    scales: tuple[float, float, float]
    nonlinearity: float
    pixel_scale: float
    substitutes: Mapping[str, tuple[str, float]]
    frame: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values, for the meta of a cutout."""
        substitutes = {band: list(other) for band, other in self.substitutes.items()}
        lists = {"bands": list(self.bands), "scales": list(self.scales), "substitutes": substitutes}
        return asdict(self) | lists


#: Settings by name. ``sdss`` resembles the SkyServer pictures, which Galaxy Zoo showed and which are
#: made after Lupton et al. (2004) with modifications; it is not identical. The scales are those of
#: N. Wherry's programs for these pictures. Without an i band, z replaces it; its scale is
#: extrapolated from the others, which are proportional to the inverse wavelength.
RENDERS: dict[str, RenderStep] = {
    "sdss": RenderStep("sdss", ("i", "r", "g"), (4.9, 5.7, 7.8), 2.25, 0.396, {"i": ("z", 4.1)}),
}


#: Frame of a picture that is scaled to its galaxy, behind the name of a render step.
_FRAME = re.compile(r"petrosian:(?P<radii>\d+(\.\d+)?)")


def render_step(name: str) -> RenderStep:
    """Return the settings of a name such as ``sdss`` or, scaled to the galaxy, ``sdss:petrosian:4``."""
    style, colon, frame = name.partition(":")
    if style not in RENDERS:
        raise ValueError(message(f"a render step among {tuple(RENDERS)}", "", render=name))
    if not colon:
        return RENDERS[style]
    found = _FRAME.fullmatch(frame)
    if found is None or not float(found["radii"]):
        raise ValueError(
            message(
                "a frame petrosian:N, N radii wide",
                "For the pictures of Galaxy Zoo: petrosian:4.",
                frame=frame,
            )
        )
    return replace(RENDERS[style], name=name, frame=float(found["radii"]))


def render(cutout: Cutout, style: str | RenderStep = "sdss", *, bands: Sequence[str] | None = None) -> Cutout:
    """Make an 8-bit colour picture from three calibrated bands.

    With c the three scaled surface brightnesses, s their sum and n the nonlinearity, the picture is
    c asinh(n s) / (n s). If a colour exceeds 1, all three are divided by it, which keeps the hue (Lupton
    et al. 2004, PASP 116, 133). The result is multiplied by 255 and rounded.

    With a frame, the cutout is first cropped about its centre to so many Petrosian radii of the galaxy, in
    the middle one of the three bands.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout in a flux unit, with WCS and with the sky removed.
    style : str or RenderStep
        ``sdss``; with a frame of four Petrosian radii ``sdss:petrosian:4``; or settings.
    bands : sequence of str, optional
        Bands for red, green and blue, instead of those of the settings.

    Returns
    -------
    galcnn.cutout.Cutout
        Picture with bands R, G, B in `galcnn.photometry.DISPLAY`, whole numbers from 0 to 255, with the
        same pixels and WCS. Masked where any of the three bands is masked; NaN where they are NaN. It has
        no sigma and PSF, since the picture is not linear. ``meta["render"]`` has the settings.

    Raises
    ------
    ValueError
        If the cutout is not calibrated, has no pixel scale, or lacks a band; with a frame also if the
        Petrosian radius cannot be measured, or the frame is larger than the cutout.

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
    step = style if isinstance(style, RenderStep) else render_step(style)
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
    record = step.to_dict() | {"bands": list(chosen), "scales": list(scales)}
    if step.frame is not None:
        radius = petrosian_radius(cutout, chosen[1])
        cutout = crop_width(cutout, step.frame * radius)
        record["petrosian_radius_arcsec"] = float(radius.to_value(u.arcsec))
    rows = [cutout.bands.index(band) for band in chosen]
    arcsec = float(scale.to_value(u.arcsec))
    to_step = float(cutout.unit.to(NANOMAGGY)) * (step.pixel_scale / arcsec) ** 2
    colours = cutout.flux[rows].astype(np.float64) * to_step * np.array(scales)[:, np.newaxis, np.newaxis]
    picture = np.rint(255 * _lupton(colours, step.nonlinearity))
    mask: npt.NDArray[np.bool_] = np.logical_or.reduce(cutout.mask[rows])
    record["from_pixel_scale"] = arcsec
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


def display_rgb(cutout: Cutout) -> npt.NDArray[np.uint8]:
    """Make a colour image of a cutout for figures, scaled by its sky noise and brightest pixels.

    One band is shown in grey; of two bands the mean is green; of more, the reddest, middle and bluest are
    used (by wavelength if all names are known, else the last, middle and first). Calibrated bands are
    divided by their wavelengths, if these are known; other bands are scaled to equal brightness.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout to show; 8-bit pictures are not rescaled.

    Returns
    -------
    numpy.ndarray
        uint8, shape (ny, nx, 3); row 0 is at the bottom as in the cutout, for ``imshow(...,
        origin="lower")``. NaN pixels are black.

    Examples
    --------
    >>> import numpy as np
    >>> picture = Cutout(np.full((3, 2, 2), 7.0), ("R", "G", "B"), unit=DISPLAY)
    >>> display_rgb(picture)[0, 0].tolist()
    [7, 7, 7]
    """
    if cutout.unit == DISPLAY:
        planes = cutout.flux if cutout.bands == ("R", "G", "B") else _three(cutout.flux)
        return _bytes(planes / 255)
    order = _by_wavelength(cutout)
    planes = cutout.flux.astype(np.float64)[order]
    planes[np.isinf(planes)] = np.nan  # infinite pixels are masked, but would spread below
    good = ~cutout.mask[order]
    planes -= sky_statistics(planes, ~good, clip="mad")[0][:, np.newaxis, np.newaxis]
    wavelengths = [_wavelength(cutout.bands[row], cutout.survey) for row in order]
    if not cutout.calibrated:
        levels = [_bright(plane[usable]) for plane, usable in zip(planes, good, strict=True)]
        planes /= np.array(levels)[:, np.newaxis, np.newaxis]
    elif all(wavelengths):  # SDSS's pictures weight g, r and i so, for balanced colours
        planes *= 620 / np.array(wavelengths, dtype=float)[:, np.newaxis, np.newaxis]
    colours = _three(planes)
    intensity = colours.mean(axis=0)
    usable: npt.NDArray[np.bool_] = np.logical_and.reduce(good)
    noise = float(sky_statistics(intensity, np.logical_not(usable), clip="mad")[1])
    white = _bright(intensity[usable])
    softening = max(3 * noise, white / 100)
    # Bright pixels stay below 1 to leave room for colours, which would be clipped to one hue.
    stretched = 0.8 * np.arcsinh(intensity / softening) / np.arcsinh(white / softening)
    ratio = np.divide(stretched, intensity, out=np.zeros_like(intensity), where=intensity != 0)
    return _bytes(_into_box(colours * ratio))


def signed_rgb(
    planes: npt.NDArray[np.floating[Any]], bands: Sequence[str], limit: float, *, survey: str = ""
) -> npt.NDArray[np.uint8]:
    """Make a colour image, uint8 (ny, nx, 3), of signed values: grey at zero, black and white at -+ limit."""
    like = Cutout(np.asarray(planes, dtype=np.float32), tuple(bands), survey=survey)
    order = [2, 1, 0] if like.bands == ("R", "G", "B") else _by_wavelength(like)
    return _bytes(0.5 + 0.5 * _three(like.flux.astype(np.float64)[order]) / limit)


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
    return np.clip(_into_box(colours * ratio), 0, 1)


def _into_box(colours: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Divide pixels brighter than 1 by their brightest colour, so that they keep their hue."""
    inside: npt.NDArray[np.float64] = colours / np.maximum(colours.max(axis=0), 1)
    return inside


def _bytes(planes: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    shown = np.where(np.isfinite(planes), np.clip(planes, 0, 1), 0)
    return np.ascontiguousarray(np.moveaxis(np.rint(255 * shown), 0, -1)).astype(np.uint8)


def _three(planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return red, green and blue of planes ordered from blue to red."""
    blue, red = planes[0], planes[-1]
    green = (blue + red) / 2 if len(planes) == 2 else planes[len(planes) // 2]
    return np.stack([red, green, blue])


def _by_wavelength(cutout: Cutout) -> list[int]:
    """Return the planes' indices from blue to red; unchanged if a name is unknown."""
    found = [_wavelength(band, cutout.survey) for band in cutout.bands]
    rows = list(range(len(found)))
    known = [w for w in found if w is not None]
    return rows if len(known) < len(found) else sorted(rows, key=lambda row: known[row])


def _wavelength(band: str, survey: str) -> float | None:
    if band in _WAVELENGTHS:
        return float(_WAVELENGTHS[band])
    space = re.fullmatch(r"F(\d{3,4})[A-Z]+\d?", band)
    if space is None:
        return None
    # HST names filters by nm for optical cameras and by tens of nm in the infrared, JWST by tens of nm.
    number = float(space[1])
    return number * 10 if "JWST" in survey or number < 200 else number


def _bright(values: npt.NDArray[np.float64]) -> float:
    """Return the white level: the 99.9th percentile, or 1 for an image without positive pixels."""
    top = float(np.quantile(values, 0.999)) if values.size else 0.0
    top = top if top > 0 else float(values.max(initial=0.0))
    return top if top > 0 else 1.0
