"""Mosaic: one large image of the sky in one or more bands, open for cutting."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.files.companions import standard_deviation
from galcnn.files.fits_images import HDUChoice
from galcnn.files.headers import bad_pixels
from galcnn.files.planes import GRID_TOLERANCE
from galcnn.files.zero_points import FluxCalibration
from galcnn.mosaic.pixels import Box, Pixels
from galcnn.transforms.grid import grid_offset

_FilePath = str | os.PathLike[str]


@dataclass(frozen=True)
class MosaicFile:
    """Where a mosaic is, and what lies beside it.

    Attributes
    ----------
    image : path-like
        FITS; plain, tile-compressed, or packed by gzip or bzip2.
    hdu : int, str, sequence of them, or None
        Where in it, see `galcnn.load_cutout`.
    mask : path-like or None
        Another file or the name of an HDU. Flags whose bits are known (HSC and LSST, Legacy
        Surveys, JWST) count as they are meant; of others, all that is not 0 must not be used.
    sigma : path-like or None
        Likewise: the standard deviation or, where its name says so, (inverse) variance.
    weight : path-like or None
        Likewise: weights that are the inverse variance in the numbers of the image, as SWarp and
        DES write them. Give this or `sigma`.
    """

    image: _FilePath
    hdu: HDUChoice | None = None
    mask: _FilePath | None = None
    sigma: _FilePath | None = None
    weight: _FilePath | None = None


@dataclass(frozen=True)
class Flags:
    """A mask and the meaning of its bits.

    Attributes
    ----------
    pixels : Pixels
        Of the grid of its band.
    header : astropy.io.fits.Header
        Says what the bits mean.
    """

    pixels: Pixels
    header: fits.Header

    def read(self, box: Box, band: str) -> npt.NDArray[np.bool_]:
        """Tell which pixels of a box must not be used."""
        flags = np.asarray(self.pixels.read(box))[np.newaxis]
        bad: npt.NDArray[np.bool_] = bad_pixels(flags, self.header, (band,))[0]
        return bad


@dataclass(frozen=True)
class NoiseMap:
    """A noise map and its meaning.

    Attributes
    ----------
    pixels : Pixels
        Of the grid of its band.
    role : str
        ``sigma``, ``variance`` or ``inverse variance``.
    factor : float
        To the unit of the band.
    """

    pixels: Pixels
    role: str
    factor: float

    def read(self, box: Box) -> npt.NDArray[np.float32]:
        """Give the standard deviation of the pixels of a box."""
        return standard_deviation(self.pixels.read(box), self.role, self.factor)


@dataclass(frozen=True)
class MosaicBand:
    """One band of a mosaic.

    Attributes
    ----------
    band : str
        Its name.
    wcs : astropy.wcs.WCS
        Of its grid.
    pixels : Pixels
        Numbers of the file.
    calibration : galcnn.files.zero_points.FluxCalibration
        From them to the unit.
    mask : Flags or None
        Which of them must not be used.
    noise : NoiseMap or None
        Where it is known.
    facts : dict
        For the meta of a cutout.
    """

    band: str
    wcs: WCS
    pixels: Pixels
    calibration: FluxCalibration
    mask: Flags | None
    noise: NoiseMap | None
    facts: dict[str, object]

    @property
    def sources(self) -> list[Pixels]:
        """All that is read for this band."""
        return [self.pixels, *(beside.pixels for beside in (self.mask, self.noise) if beside is not None)]

    def read(self, box: Box) -> npt.NDArray[np.float32]:
        """Give the pixels of a box in the unit of the mosaic."""
        return self.calibration.apply(self.pixels.read(box))


@dataclass(frozen=True)
class Mosaic:
    """A large image in one or more bands, open for cutting; made by `open_mosaic`.

    Attributes
    ----------
    layers : tuple of MosaicBand
        One a band; the first has the grid that cutouts are on.
    unit : astropy.units.UnitBase
        Per pixel.
    survey : str
        As far as the files say.
    meta : dict
        What every cutout of it has in its meta.
    """

    layers: tuple[MosaicBand, ...]
    unit: u.UnitBase
    survey: str
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def bands(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(layer.band for layer in self.layers)

    @property
    def shape(self) -> tuple[int, int]:
        """Pixels as (ny, nx) of the first band."""
        return self.layers[0].pixels.shape

    @property
    def wcs(self) -> WCS:
        """Of the first band."""
        return self.layers[0].wcs

    @functools.cached_property
    def grids(self) -> tuple[tuple[MosaicBand, ...], ...]:
        """The bands by grid; those on the grid of the first one come first."""
        groups: list[list[MosaicBand]] = []
        for layer in self.layers:
            for group in groups:
                if _one_grid(group[0], layer):
                    group.append(layer)
                    break
            else:
                groups.append([layer])
        return tuple(tuple(group) for group in groups)


def _one_grid(one: MosaicBand, other: MosaicBand) -> bool:
    shape = one.pixels.shape
    return shape == other.pixels.shape and grid_offset(one.wcs, other.wcs, shape) <= GRID_TOLERANCE
