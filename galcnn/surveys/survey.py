"""Survey: what every source of calibrated images can do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import astropy.units as u
    from astropy.coordinates import SkyCoord

    from galcnn.cutout import Cutout

__all__ = ["Survey"]


@runtime_checkable
class Survey(Protocol):
    """A source of images of the sky; a plugin of the group `galcnn.surveys` makes one.

    Attributes
    ----------
    name : str
        With its data release.
    bands : tuple of str
        What it observes.
    pixel_scale : astropy.units.Quantity
        Of its images.
    """

    @property
    def name(self) -> str: ...

    @property
    def bands(self) -> tuple[str, ...]: ...

    @property
    def pixel_scale(self) -> u.Quantity: ...

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        """Give the image around a position.

        Parameters
        ----------
        position : astropy.coordinates.SkyCoord
            Centre of the image.
        width : astropy.units.Quantity
            Angular side.
        bands : tuple of str, optional
            Wanted bands in the wanted order; all by default.

        Returns
        -------
        galcnn.cutout.Cutout
            The image, its centre within half a pixel of `position`.

        Raises
        ------
        galcnn.errors.CoverageError
            The survey did not observe this position.
        galcnn.errors.DownloadError
            The service did not answer; try again later.
        """
        ...
