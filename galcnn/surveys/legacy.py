"""The DESI Legacy Imaging Surveys (DECaLS, BASS, MzLS; Dey et al. 2019, AJ 157, 168), by their viewer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import astropy.units as u

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.surveys.checking import Wanted, received, wanted
from galcnn.surveys.download import address, get
from galcnn.surveys.legacy_images import read_image, read_psf
from galcnn.surveys.limits import Limits

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["LegacySurvey"]

#: Bands of the releases. `filters` gives those of another layer.
LAYERS: Mapping[str, tuple[str, ...]] = {
    "ls-dr10": ("g", "r", "i", "z"),
    "ls-dr10-south": ("g", "r", "i", "z"),
    "ls-dr9": ("g", "r", "z"),
    "ls-dr9-north": ("g", "r", "z"),
    "ls-dr9-south": ("g", "r", "z"),
    "ls-dr8": ("g", "r", "z"),
}
_ARCSEC = 0.262
#: The service gives no more pixels a side, and does not say so.
_MOST = 3000


@dataclass(frozen=True)
class LegacySurvey:
    """Cutouts of the DESI Legacy Imaging Surveys, in nJy, with sigma, mask and PSF.

    Pixels are asked for at their native size alone: the service keeps the surface brightness of
    others and says nothing of it. The sky is subtracted by the survey.

    Attributes
    ----------
    layer : str
        Release, as the viewer names it.
    filters : str
        Bands of a layer that galcnn does not know, a letter each.
    psf : bool
        Whether to fetch the PSF too, one more request.
    server : str
        Address of the viewer.
    limits : Limits
        Of time and size.

    Examples
    --------
    >>> import astropy.units as u
    >>> from astropy.coordinates import SkyCoord
    >>> survey = LegacySurvey(psf=False)
    >>> survey.requests(SkyCoord(150.1, 2.2, unit="deg"), 30 * u.arcsec, ("g", "r"))[0]
    'https://www.legacysurvey.org/viewer/fits-cutout?ra=150.1&dec=2.2&layer=ls-dr10&pixscale=0.262&size=115&bands=gr&invvar=1&maskbits=1'
    """

    layer: str = "ls-dr10"
    filters: str = ""
    psf: bool = True
    server: str = "https://www.legacysurvey.org/viewer"
    limits: Limits = field(default=Limits(), repr=False)

    def __post_init__(self) -> None:
        if not self.filters and self.layer not in LAYERS:
            raise ValueError(
                message(
                    f"a layer of {', '.join(LAYERS)}",
                    "Name the bands of another by filters.",
                    layer=self.layer,
                )
            )
        if len(set(self.filters)) != len(self.filters):
            raise ValueError(message("each band once", "", filters=self.filters))
        address(self.server)

    @property
    def name(self) -> str:
        """With the layer."""
        return f"Legacy Surveys {self.layer}"

    @property
    def bands(self) -> tuple[str, ...]:
        """Of the layer."""
        return tuple(self.filters) or LAYERS[self.layer]

    @property
    def pixel_scale(self) -> u.Quantity:
        """Native, 0.262 arcsec."""
        return _ARCSEC * u.arcsec

    def requests(
        self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """Give the addresses that `cutout` would ask for.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side.
        bands : tuple of str, optional
            Wanted bands; all by default.

        Returns
        -------
        tuple of str
            Image, then PSF.
        """
        return self._addresses(wanted(self, position, width=width, bands=bands, most=_MOST))

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Give the image around a position.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side, at most 3000 pixels.
        bands : tuple of str, optional
            Wanted bands in the wanted order; all by default.

        Returns
        -------
        galcnn.cutout.Cutout
            nJy. NaN where nothing was observed; masked where saturated, or masked in every exposure.

        Raises
        ------
        galcnn.errors.CoverageError
            A band was not observed here.
        galcnn.errors.DownloadError
            The service did not answer, or not with what was asked for.
        ValueError
            A band is not of the layer, or the width is no angle or too large.
        """
        want = wanted(self, position, width=width, bands=bands, most=_MOST)
        asked = self._addresses(want)
        answers = [get(asked[0], limits=self.limits, accept=(200, 404))]
        cutout = read_image(answers[0], want)
        facts: dict[str, Any] = {
            "release": self.layer,
            "calibration": "nanomaggies, AB zero point 22.5, native pixels",
            "zero_point_ab": 22.5,
            "sky": "subtracted by the survey",
            "psf_source": "none",
        }
        found = received(cutout, want, survey=self.name, answers=answers, facts=facts)
        if not self.psf:
            return found
        answers.append(get(asked[1], limits=self.limits))
        facts |= {"psf_source": "coadd-psf of the survey", "requests": [one.provenance for one in answers]}
        return replace(found, psf=read_psf(answers[1], want), meta={**found.meta, **facts})

    def _addresses(self, want: Wanted) -> tuple[str, ...]:
        letters = "".join(want.bands)
        place = {"ra": want.ra, "dec": want.dec, "layer": self.layer}
        size = {"pixscale": _ARCSEC, "size": want.side, "bands": letters}
        server = self.server.rstrip("/")
        image = address(f"{server}/fits-cutout", {**place, **size, "invvar": 1, "maskbits": 1})
        if not self.psf:
            return (image,)
        return image, address(f"{server}/coadd-psf/", {**place, "bands": letters})
