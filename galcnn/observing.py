"""Observation: how a survey looks at the sky (pixel scale, bands, PSF, depth)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np

from galcnn.errors import message

__all__ = ["SDSS", "Observation"]


@dataclass(frozen=True)
class Observation:
    """How a survey looks at the sky, band by band.

    Attributes
    ----------
    name : str
        Of the survey and its release.
    bands : tuple of str
        Names of the bands.
    pixel_scale : astropy.units.Quantity
        Angle on the sky of one pixel.
    psf_fwhm : tuple of float
        Full width at half maximum of the PSF in each band, arcsec, pixel included.
    depth : tuple of float
        AB magnitude of a point source detected at 5 sigma in each band, background-limited, with
        the PSF as weights.
    electrons_per_njy : tuple of float
        Detected electrons for a flux of 1 nJy over the whole exposure, for source noise.
    psf_beta : float
        Moffat index of the PSF.
    source : str
        Where the figures come from.

    Examples
    --------
    >>> import astropy.units as u
    >>> obs = Observation("toy", ("r",), 0.2 * u.arcsec, (0.8,), (25.0,), (10.0,))
    >>> round(obs.sky_sigma[0], 2)
    9.78
    """

    name: str
    bands: tuple[str, ...]
    pixel_scale: u.Quantity
    psf_fwhm: tuple[float, ...]
    depth: tuple[float, ...]
    electrons_per_njy: tuple[float, ...]
    psf_beta: float = 3.5
    source: str = "stated by the user"

    def __post_init__(self) -> None:
        scale = u.Quantity(self.pixel_scale)
        if not scale.unit.is_equivalent(u.arcsec) or not scale.isscalar or not scale > 0 * u.arcsec:
            raise ValueError(message("a positive angle per pixel", "", pixel_scale=self.pixel_scale))
        if not self.bands or len(set(self.bands)) != len(self.bands):
            raise ValueError(message("unique names of bands, at least one", "", bands=self.bands))
        for name in ("psf_fwhm", "depth", "electrons_per_njy"):
            values = getattr(self, name)
            if len(values) != len(self.bands) or not all(np.isfinite(values)):
                raise ValueError(message(f"{len(self.bands)} finite values of {name}", "", **{name: values}))
        if not self.psf_beta > 1 or min(self.psf_fwhm) <= 0 or min(self.electrons_per_njy) <= 0:
            raise ValueError(
                message(
                    "psf_beta > 1, psf_fwhm > 0 and electrons_per_njy > 0",
                    "",
                    psf_beta=self.psf_beta,
                    psf_fwhm=self.psf_fwhm,
                    electrons_per_njy=self.electrons_per_njy,
                )
            )

    @property
    def sky_sigma(self) -> tuple[float, ...]:
        """Noise of the empty sky in each band, nJy per pixel.

        The noise-equivalent area of a PSF is 1 / sum(psf^2); for a Moffat profile of core alpha
        the integral is (beta - 1)^2 / (pi alpha^2 (2 beta - 1)) (King 1983, PASP 95, 163). A
        source at the depth has 5 times the noise of that area.
        """
        scale = float(self.pixel_scale.to_value(u.arcsec))
        sigmas = []
        for fwhm, depth in zip(self.psf_fwhm, self.depth, strict=True):
            alpha = fwhm / (2 * np.sqrt(2 ** (1 / self.psf_beta) - 1))
            density = (self.psf_beta - 1) ** 2 / (np.pi * alpha**2 * (2 * self.psf_beta - 1))
            limit = 3631e9 * 10 ** (-0.4 * depth)
            sigmas.append(float(limit / 5 * np.sqrt(density) * scale))
        return tuple(sigmas)

    def only(self, bands: tuple[str, ...]) -> Observation:
        """Give the same observation in some of its bands.

        Parameters
        ----------
        bands : tuple of str
            Wanted bands, in the wanted order.

        Returns
        -------
        Observation
            With these bands alone.

        Raises
        ------
        ValueError
            A band is not observed.
        """
        missing = [band for band in bands if band not in self.bands]
        if missing or not bands:
            raise ValueError(message(f"bands among {self.bands}", "", bands=bands))
        order = [self.bands.index(band) for band in bands]
        return replace(
            self,
            bands=tuple(bands),
            psf_fwhm=tuple(self.psf_fwhm[i] for i in order),
            depth=tuple(self.depth[i] for i in order),
            electrons_per_njy=tuple(self.electrons_per_njy[i] for i in order),
        )


#: One exposure like those of the Sloan Digital Sky Survey. The figures are rounded typical ones,
#: chosen to fit together: in r the noise is that of SDSS's median sky, within 10 %.
SDSS = Observation(
    name="SDSS",
    bands=("g", "r", "i"),
    pixel_scale=0.396 * u.arcsec,
    psf_fwhm=(1.44, 1.32, 1.26),
    depth=(23.13, 22.70, 22.20),
    electrons_per_njy=(0.27, 0.26, 0.20),
    source="rounded typical figures, not measured from a release",
)
