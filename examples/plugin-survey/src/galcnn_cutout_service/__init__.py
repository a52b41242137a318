"""Example package with a survey for galcnn: a service that cuts one FITS image per band.

The service is asked ``SERVER?ra=..&dec=..&size=..&band=..`` and returns one FITS image that states
its unit or zero point. Copy this package for a service of your own. galcnn provides the requests
(limits, pauses, retries), the FITS reader and the checks; you provide the address and the
properties of the survey.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import astropy.units as u

from galcnn.errors import BadResponseError, CoverageError, UnreadableImageError
from galcnn.files import load_cutout
from galcnn.surveys import Limits, address, fits_bytes, get, received, wanted

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

    from galcnn.cutout import Cutout

__all__ = ["CutoutService"]


@dataclass(frozen=True)
class CutoutService:
    """Images of a cutout service.

    Attributes
    ----------
    filters : str
        Bands of the service, one letter per band.
    arcsec : float
        Pixel scale of the images in arcsec.
    server : str
        Address of the service.
    limits : Limits
        Limits of time and size.
    """

    filters: str = "gri"
    arcsec: float = 0.4
    server: str = "https://cutouts.example.org/cutout"
    limits: Limits = field(default=Limits(), repr=False)

    name = "cutout-service DR1"

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands of the service."""
        return tuple(self.filters)

    @property
    def pixel_scale(self) -> u.Quantity:
        """Pixel scale of the images."""
        return self.arcsec * u.arcsec

    def requests(
        self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """Return the addresses that `cutout` would request, for ``galcnn fetch --dry-run``."""
        want = wanted(self, position, width=width, bands=bands)
        place = {"ra": want.ra, "dec": want.dec, "size": want.side}
        return tuple(address(self.server, {**place, "band": band}) for band in want.bands)

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Return the image around a position."""
        want = wanted(self, position, width=width, bands=bands)
        # Status 404 means that the service has no image here.
        answers = [
            get(url, limits=self.limits, accept=(200, 404)) for url in self.requests(position, width, bands)
        ]
        if any(answer.status == 404 for answer in answers):
            raise CoverageError(
                f"Expected a position in {self.name}. Received: {position.to_string('hmsdms')}."
            )
        try:
            image = load_cutout([fits_bytes(answer) for answer in answers], bands=want.bands)
        except UnreadableImageError as error:
            raise BadResponseError(str(error)) from error
        facts = {"release": "DR1", "psf_source": "none", "sky": "as the service gives it"}
        return received(image, want, survey=self.name, answers=answers, facts=facts)
