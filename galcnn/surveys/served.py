"""Base classes of surveys that ask a service: requests are checked before they are sent."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar

import astropy.units as u

from galcnn.errors import message
from galcnn.surveys.checks import Wanted, wanted
from galcnn.surveys.http import Limits, address, speaking
from galcnn.surveys.survey import RemoteSurvey

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

    from galcnn.cutout import Cutout


class ServedSurvey(RemoteSurvey):
    """Survey that checks a request, then builds its addresses or fetches its images."""

    #: Largest side that the service provides, in pixels.
    most: ClassVar[int]
    limits: Limits

    def requests(
        self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None
    ) -> tuple[str, ...]:
        return self._requests(wanted(self, position, width=width, bands=bands, most=self.most))

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        want = wanted(self, position, width=width, bands=bands, most=self.most)
        with speaking(self.name):  # whatever is wrong with an answer concerns this galaxy only
            return self._cutout(want)

    @abstractmethod
    def _requests(self, want: Wanted) -> tuple[str, ...]:
        """Return the addresses in the order of the requests."""

    @abstractmethod
    def _cutout(self, want: Wanted) -> Cutout:
        """Fetch the images and check them."""


class NamedBands(ServedSurvey):
    """Service with many collections: the user names the bands, separated by commas, and the pixel scale."""

    #: Name of the option with the band names, and the service's term for them.
    option: ClassVar[str] = "filters"
    named: ClassVar[str] = "bands"
    arcsec: float

    def __post_init__(self) -> None:
        if not self.bands or len(set(self.bands)) != len(self.bands):
            stated = {self.option: getattr(self, self.option)}
            raise ValueError(message(f"names of {self.named}, each once", "", **stated))
        if not self.arcsec > 0:
            raise ValueError(message("a positive pixel scale", "", arcsec=self.arcsec))
        address(self.server)

    @property
    def bands(self) -> tuple[str, ...]:
        names = str(getattr(self, self.option)).split(",")
        return tuple(name.strip() for name in names if name.strip())

    @property
    def pixel_scale(self) -> u.Quantity:
        return self.arcsec * u.arcsec
