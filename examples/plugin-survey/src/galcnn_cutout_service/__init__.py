"""A survey for galcnn in a package of its own: a service that cuts one FITS image a band.

The service is asked ``SERVER?ra=..&dec=..&size=..&band=..`` and answers with one FITS image that
states its unit or zero point. Copy this package for a service of your own: what galcnn gives is
the asking (limits, pauses, tries), the reading of FITS, and the checking; what is yours is the
address and what the survey is.
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
    """Images of one cutout service.

    Attributes
    ----------
    filters : str
        Its bands, a letter each.
    arcsec : float
        Its pixel scale.
    server : str
        Its address.
    limits : Limits
        Of time and size.
    """

    filters: str = "gri"
    arcsec: float = 0.4
    server: str = "https://cutouts.example.org/cutout"
    limits: Limits = field(default=Limits(), repr=False)

    name = "cutout-service DR1"

    @property
    def bands(self) -> tuple[str, ...]:
        """What the service has."""
        return tuple(self.filters)

    @property
    def pixel_scale(self) -> u.Quantity:
        """Of its images."""
        return self.arcsec * u.arcsec

    def requests(
        self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        """Give the addresses that `cutout` would ask for, for ``galcnn fetch --dry-run``."""
        want = wanted(self, position, width=width, bands=bands)
        place = {"ra": want.ra, "dec": want.dec, "size": want.side}
        return tuple(address(self.server, {**place, "band": band}) for band in want.bands)

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Give the image around a position."""
        want = wanted(self, position, width=width, bands=bands)
        # 404 is how this service says that it has no image here.
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
