"""Mosaic: a large image in one or more bands, open for cutting."""

from __future__ import annotations

import functools
import os
from dataclasses import dataclass, field
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.wcs import WCS

from galcnn.files.companions import standard_deviation
from galcnn.files.fits_images import HDUChoice
from galcnn.files.flags import Meaning
from galcnn.files.planes import GRID_TOLERANCE
from galcnn.files.sentinels import Sentinel, measured
from galcnn.files.zero_points import FluxCalibration
from galcnn.mosaic.pixels import Box, Pixels
from galcnn.transforms.grid import PixelAreas, grid_offset

_FilePath = str | os.PathLike[str]


@dataclass(frozen=True)
class MosaicFile:
    """File of a mosaic, with its mask and noise map.

    Attributes
    ----------
    image : path-like
        FITS file, plain, tile-compressed, or compressed with gzip or bzip2.
    hdu : int, str, sequence of them, or None
        HDU of the image, see `galcnn.load_cutout`.
    mask : path-like or None
        Mask: another file, or the name of an HDU, read as by `galcnn.files.Companions`.
    sigma : path-like or None
        Noise map, likewise: a standard deviation or, if its name says so, (inverse) variance.
    weight : path-like or None
        Weight map, likewise: inverse variance in the counts of the image, as SWarp and DES write it. Give
        this or `sigma`.
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
        Pixels of the mask, on the grid of its band.
    meaning : galcnn.files.flags.Meaning
        Meaning of its bits.
    """

    pixels: Pixels
    meaning: Meaning

    def read(self, box: Box, band: str) -> npt.NDArray[np.bool_]:
        """Return the mask of a box, True = do not use."""
        flags = np.asarray(self.pixels.read(box))[np.newaxis]
        bad: npt.NDArray[np.bool_] = self.meaning.bad_pixels(flags, (band or None,))[0]
        return bad


@dataclass(frozen=True)
class NoiseMap:
    """A noise map and its meaning.

    Attributes
    ----------
    pixels : Pixels
        Pixels of the map, on the grid of its band.
    role : str
        ``sigma``, ``variance`` or ``inverse variance``.
    factor : float
        Factor that converts the standard deviation to the unit of the band.
    areas : galcnn.transforms.grid.PixelAreas or None
        Areas of the pixels, if they differ and the map holds surface brightness.
    """

    pixels: Pixels
    role: str
    factor: float
    areas: PixelAreas | None = None

    def read(self, box: Box) -> npt.NDArray[np.float32]:
        """Return the standard deviation of the pixels of a box."""
        y0, y1, x0, x1 = box
        part = 1.0 if self.areas is None else self.areas.relative((y1 - y0, x1 - x0), (y0, x0))
        return standard_deviation(self.pixels.read(box), self.role, self.factor * part)


@dataclass(frozen=True)
class MosaicBand:
    """One band of a mosaic.

    Attributes
    ----------
    band : str
        Name of the band.
    wcs : astropy.wcs.WCS
        WCS of its grid.
    pixels : Pixels
        Pixels of the image, in the values of the file.
    calibration : galcnn.files.zero_points.FluxCalibration
        Conversion of these values to the unit.
    mask : Flags or None
        Mask of the band.
    noise : NoiseMap or None
        Noise map of the band.
    facts : dict
        Entries for the meta of cutouts.
    missing : tuple of galcnn.files.sentinels.Sentinel
        Values in the file that stand for missing data.
    """

    band: str
    wcs: WCS
    pixels: Pixels
    calibration: FluxCalibration
    mask: Flags | None
    noise: NoiseMap | None
    facts: dict[str, object]
    missing: tuple[Sentinel, ...] = ()

    @property
    def sources(self) -> list[Pixels]:
        """Pixels of image, mask and noise map."""
        return [self.pixels, *(beside.pixels for beside in (self.mask, self.noise) if beside is not None)]

    def read(self, box: Box) -> npt.NDArray[np.float32]:
        """Return the pixels of a box in the unit of the mosaic; NaN where data are missing."""
        values = measured(np.array(self.pixels.read(box)), self.missing)  # a copy, not a part of a strip
        return self.calibration.apply(values, (box[0], box[2]))


@dataclass(frozen=True)
class Mosaic:
    """A large image in one or more bands, open for cutting; made by `open_mosaic`.

    Attributes
    ----------
    layers : tuple of MosaicBand
        Bands; the first one has the grid of the cutouts.
    unit : astropy.units.UnitBase
        Unit per pixel.
    survey : str
        Survey, if the files name it.
    meta : dict
        Meta of every cutout.
    """

    layers: tuple[MosaicBand, ...]
    unit: u.UnitBase
    survey: str
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands, in order."""
        return tuple(layer.band for layer in self.layers)

    @property
    def shape(self) -> tuple[int, int]:
        """Shape of the first band in pixels, (ny, nx)."""
        return self.layers[0].pixels.shape

    @property
    def wcs(self) -> WCS:
        """WCS of the first band."""
        return self.layers[0].wcs

    @functools.cached_property
    def grids(self) -> tuple[tuple[MosaicBand, ...], ...]:
        """Bands grouped by grid; those on the grid of the first band come first."""
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
