"""Built-in survey: a simulated patch of sky with known truth; needs no network."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import CoverageError, message
from galcnn.photometry import Observation
from galcnn.simulation import SIMULATED, Galaxy, from_catalog, psf_planes, simulate_catalog
from galcnn.simulation.drawing import model_image, reach_pixels
from galcnn.simulation.population import CENTRE, patch_radius
from galcnn.simulation.telescope import add_noise, tangent_wcs
from galcnn.surveys.checks import wanted

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.wcs import WCS

    from galcnn.catalog import Catalog


@dataclass(frozen=True)
class SimulatedSurvey:
    """Images of a simulated patch of sky.

    The patch is a disc around RA 150 deg, Dec +2 deg; with the default 600 galaxies its radius is
    16.7 arcmin. Galaxies are at least an arcminute apart. All images show the same galaxies. The noise
    differs between requests, but the same request (centre, size, band) always gives the same image,
    centred exactly. Pixels beyond the edge of the patch are NaN. ``meta["galaxies"]`` lists the ids of
    the galaxies whose centres lie in the image.

    Attributes
    ----------
    seed : int
        Seed of the galaxies and of the noise.
    n_galaxies : int
        Number of galaxies, which also sets the size of the patch.
    observation : Observation
        Telescope model: bands, pixel scale, PSF and noise.

    Examples
    --------
    >>> import astropy.units as u
    >>> survey = SimulatedSurvey()
    >>> where = survey.catalog.positions[1]
    >>> cutout = survey.cutout(where, 12.8 * u.arcsec, ("r",))
    >>> cutout.flux.shape, cutout.meta["galaxies"], survey.catalog.labels[1]
    ((1, 32, 32), ['sim1-000001'], np.str_('spiral'))
    """

    seed: int = 1
    n_galaxies: int = 600
    observation: Observation = SIMULATED

    @property
    def name(self) -> str:
        return self.observation.name

    @property
    def bands(self) -> tuple[str, ...]:
        return self.observation.bands

    @property
    def pixel_scale(self) -> u.Quantity:
        return self.observation.pixel_scale

    @property
    def radius(self) -> u.Quantity:
        """Radius of the patch in arcmin."""
        return patch_radius(self.n_galaxies).to(u.arcmin)

    @functools.cached_property
    def catalog(self) -> Catalog:
        """Galaxies of the patch with their true properties, see `simulate_catalog`."""
        return simulate_catalog(self.n_galaxies, seed=self.seed)

    def cutout(self, position: SkyCoord, width: u.Quantity, bands: tuple[str, ...] | None = None) -> Cutout:
        # A larger image would only add NaN.
        most = round(float((2 * self.radius / self.pixel_scale).to_value(u.one)))
        want = wanted(self, position, width=width, bands=bands, most=most)
        observation, side = self.observation.only(want.bands), want.side
        if position.separation(CENTRE) > self.radius:
            raise CoverageError(
                message(
                    f"a position within {self.radius:.1f} of {CENTRE.to_string('hmsdms')}",
                    "Choose a galaxy of the survey's catalog.",
                    position=position.to_string("hmsdms"),
                )
            )
        middle = ((side - 1) / 2, (side - 1) / 2)
        wcs = tangent_wcs(position, middle, pixel_scale=observation.pixel_scale, shape=(side, side))
        model = np.zeros((len(observation.bands), side, side))
        shown = []
        for galaxy, x, y in self._near(position, wcs, side):
            model += model_image(galaxy, observation=observation, shape=(side, side), centre=(x, y))
            if min(x, y) >= -0.5 and max(x, y) < side - 0.5:
                shown.append(galaxy.id)
        # Precise enough to tell requests apart, and coarse enough to survive a change of frame.
        key = f"{position.icrs.ra.deg:.7f} {position.icrs.dec.deg:.7f} {side}"
        flux, sigma = add_noise(model, observation=observation, seed=self.seed, key=key)
        flux[:, self._beyond(wcs, side)] = np.nan
        return Cutout(
            flux,
            observation.bands,
            wcs=wcs,
            position=position,
            survey=self.name,
            sigma=sigma,
            psf=psf_planes(observation),
            meta={
                "origin": "galcnn.simulation",
                "seed": self.seed,
                "n_galaxies": self.n_galaxies,
                "galaxies": shown,
            },
        )

    @functools.cached_property
    def _galaxies(self) -> list[Galaxy]:
        return from_catalog(self.catalog)

    def _near(self, position: SkyCoord, wcs: WCS, side: int) -> list[tuple[Galaxy, float, float]]:
        """Return galaxies that may contribute light to the image, with their pixel positions (x, y)."""
        positions = self.catalog.positions
        assert positions is not None  # always present; for the type checker
        separation = positions.separation(position).to_value(u.arcsec)
        scale = float(self.pixel_scale.to_value(u.arcsec))
        reach = np.array([reach_pixels(galaxy, scale) for galaxy in self._galaxies])
        near = np.flatnonzero(separation / scale < side / np.sqrt(2) + reach)
        x, y = wcs.world_to_pixel(positions[near])
        return [(self._galaxies[row], float(x[i]), float(y[i])) for i, row in enumerate(near)]

    def _beyond(self, wcs: WCS, side: int) -> npt.NDArray[np.bool_]:
        y, x = np.mgrid[:side, :side]
        beyond: npt.NDArray[np.bool_] = wcs.pixel_to_world(x, y).separation(CENTRE) > self.radius
        return beyond
