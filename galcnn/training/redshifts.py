"""Redshifting as augmentation: galaxies are shown at higher redshifts, drawn again in every epoch."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.cutout import Cutout
from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.model import images_from
from galcnn.photometry import DISPLAY, Observation
from galcnn.redshifting import Redshifting, redshift
from galcnn.simulation import telescope_of

#: Redshifts that are tried to find the lowest possible one, as fractions of the range above the start.
_TRIES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7)


@dataclass(frozen=True)
class RandomRedshift:
    """Random redshifts of training images, and the observation that is simulated.

    Attributes
    ----------
    between : tuple of float
        Lowest and highest redshift, drawn uniformly for each galaxy in each epoch.
    observation : str or mapping
        Survey of the training images: ``simulated``, or a preset of galcnn.photometry.instruments. In a
        file, also the fields of a `galcnn.photometry.Observation` (pixel scale in arcsec). Its pixel
        scale must be that of the images.
    share : float
        Fraction of the images that are redshifted, in (0, 1]. An image also stays unchanged if the drawn
        redshift is below the lowest one at which the galaxy can be shown: its own, or the one at
        which the observation's PSF and noise are reached.
    bandpass : {"nearest", "sed", "same"}
        Band that is taken for a redshifted band. See `galcnn.redshifting.Redshifting`.
    max_mismatch : float
        Largest relative difference of rest-frame wavelengths with bandpass ``nearest``.
    fill : {"refuse", "mask", "sky"}
        What fills the edge of a field that is too small. By default it is sky noise; files with a
        field wider than `size` are better.

    Examples
    --------
    >>> RandomRedshift((0.1, 0.25), "lsst", bandpass="same").seen_as(("g", "r")).bands
    ('g', 'r')
    """

    between: tuple[float, float]
    observation: str | Mapping[str, Any]
    share: float = 0.5
    bandpass: Literal["nearest", "sed", "same"] = "nearest"
    max_mismatch: float = 0.1
    fill: Literal["refuse", "mask", "sky"] = "sky"

    def __post_init__(self) -> None:
        low, high = self.between
        if not (0 < low < high < math.inf and 0 < self.share <= 1):
            raise ValueError(
                message(
                    "redshifts 0 < low < high, a share in (0, 1]", "", between=self.between, share=self.share
                )
            )
        self.settings()
        self._seen()

    def settings(self) -> Redshifting:
        """Return the settings of the redshifting.

        Returns
        -------
        galcnn.redshifting.Redshifting
            Settings with noise added and without evolution.
        """
        return Redshifting(bandpass=self.bandpass, max_mismatch=self.max_mismatch, fill=self.fill)

    def seen_as(self, bands: tuple[str, ...]) -> Observation:
        """Return the observation in the bands of the images.

        Parameters
        ----------
        bands : tuple of str
            Bands of the images.

        Returns
        -------
        galcnn.photometry.Observation
            Observation with these bands.

        Raises
        ------
        ValueError
            If the observation lacks a band.
        """
        return self._seen().only(bands)

    def _seen(self) -> Observation:
        if isinstance(self.observation, str):
            return telescope_of(self.observation)
        return _observation(self.observation)


class RedshiftedImages:
    """Images of a training set at random redshifts, which depend on (seed, epoch, galaxy) alone."""

    def __init__(self, dataset: Dataset, draws: RandomRedshift, seed: int) -> None:
        self.dataset, self.draws, self.seed = dataset, draws, seed
        self.observation = _checked(dataset, draws)
        self._nearest = np.array([self._nearest_of(name) for name in dataset.ids])

    def redshifts(self, epoch: int, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float64]:
        """Draw a redshift for each row; NaN if the image stays unchanged."""
        low, high = self.draws.between
        drawn = np.full(len(rows), np.nan)
        for i, row in enumerate(rows):
            chance = seeding.generator(self.seed, "redshift", int(epoch), self.dataset.ids[row]).random(2)
            z = low + (high - low) * chance[1]
            if chance[0] < self.draws.share and z >= self._nearest[row]:
                drawn[i] = z
        return drawn

    def images(self, epoch: int, rows: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.float32]:
        """Return the images of some rows in an epoch, shape (n, ny, nx, n_bands)."""
        found = np.array(self.dataset.images[rows], dtype=np.float32)
        for i, z in enumerate(self.redshifts(epoch, rows)):
            if np.isfinite(z):
                found[i] = images_from([self.moved(self.dataset.ids[rows[i]], float(z))])[0]
        return found

    def moved(self, name: str, z: float) -> Cutout:
        """Return the cutout of one galaxy at a redshift."""
        assert self.dataset.cutouts is not None
        return redshift(
            self.dataset.cutouts[name],
            z,
            observation=self.observation,
            shape=self.dataset.inputs.shape,
            settings=self.draws.settings(),
            seed=self.seed,
        )

    def _nearest_of(self, name: str) -> float:
        """Return the lowest redshift at which a galaxy can be shown, after a test at the highest one."""
        assert self.dataset.cutouts is not None
        own, (low, high) = self.dataset.cutouts[name].redshift, self.draws.between
        if own is not None and own >= high:
            return math.inf
        start = low if own is None else max(low, own)
        try:
            self.moved(name, high)
        except ValueError as error:
            raise ValueError(f"Galaxy {name} at z = {high:g}: {error}") from error
        for share in _TRIES:
            with contextlib.suppress(ValueError):
                self.moved(name, z := start + share * (high - start))
                return z
        return high


def _checked(dataset: Dataset, draws: RandomRedshift) -> Observation:
    inputs = dataset.inputs
    if inputs.unit == DISPLAY.name:
        raise ValueError(
            message(
                "calibrated images to redshift",
                "An 8-bit picture cannot be dimmed: train on FITS images, or leave redshift out.",
                unit=inputs.unit,
            )
        )
    if dataset.cutouts is None:
        raise ValueError(
            message(
                "a data set with the cutouts behind its images: their PSF, sigma and redshift",
                "Give them: replace(dataset, cutouts={id: cutout}).",
                cutouts=None,
            )
        )
    observation = draws.seen_as(inputs.bands)
    there = float(observation.pixel_scale.to_value(u.arcsec))
    if inputs.pixel_scale is None or abs(inputs.pixel_scale / there - 1) > 0.02:
        raise ValueError(
            message(
                f"images with the pixels of {observation.name}, {there:g} arcsec",
                "Name the survey that the training images are of, or give the fields of its observation.",
                pixel_scale=inputs.pixel_scale,
            )
        )
    return observation


def _observation(content: Mapping[str, Any]) -> Observation:
    known = {one.name for one in fields(Observation)}
    if unknown := sorted(set(content) - known):
        raise ValueError(
            message(f"fields of an observation: {', '.join(sorted(known))}", "", unknown=unknown)
        )
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in content.items()}
    try:
        return Observation(**(values | {"pixel_scale": float(values["pixel_scale"]) * u.arcsec}))
    except (TypeError, KeyError) as error:
        raise ValueError(
            message("all fields of an observation", "", given=sorted(content), error=str(error))
        ) from error
