"""Sources of the cutouts of a catalog: shards, mosaics and surveys; for files see `InputFiles`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.catalog import Catalog
from galcnn.catalog.names import image_stem
from galcnn.cutout import Cutout
from galcnn.dataset.reader import InputFiles
from galcnn.dataset.shards import read_shards
from galcnn.errors import CoverageError, NoReaderError, UnreadableImageError, error_of_file, message
from galcnn.files.conversion import listed
from galcnn.files.fits_images import HDUChoice
from galcnn.files.loading import ZeroPoint
from galcnn.model import InputSpec, planes_from
from galcnn.model.inputs import SCALE_TOLERANCE, cutouts_like
from galcnn.mosaic import Mosaic, cut, open_mosaic
from galcnn.mosaic.writing import described_cuts
from galcnn.photometry import parse_unit
from galcnn.surveys import Survey, open_survey


class CutoutSource(Protocol):
    """Source of the cutouts of a catalog, read in groups of rows.

    Attributes
    ----------
    described : str
        Description of the source. A run cannot be resumed with a source of another description.
    portable : bool
        If True, the source can be sent to another process and read there.
    """

    @property
    def described(self) -> str: ...

    @property
    def portable(self) -> bool: ...

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Return the cutout of each row, or the exception if it cannot be read."""


class FromImages:
    """Images at hand: cutouts, paths, NDData, HDULists or arrays, see `galcnn.files.as_cutout`.

    An array has the bands, first, and the unit of a network's input specification.
    """

    portable = False

    def __init__(self, images: Any, wanted: InputSpec) -> None:
        self._images, self._wanted = listed(images), wanted
        self.described = f"{len(self._images)} images in memory"

    def __len__(self) -> int:
        return len(self._images)

    @property
    def ids(self) -> list[str]:
        """Names of the files without suffix if all differ, else numbers from 0."""
        paths = [one for one in self._images if isinstance(one, str | os.PathLike)]
        stems = [image_stem(path) for path in paths]
        if len(set(stems)) == len(self._images):
            return stems
        return [str(i) for i in range(len(self._images))]

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Convert each image, or return the exception."""
        found: list[Cutout | Exception] = []
        for row in rows:
            try:
                found += cutouts_like([self._images[row]], self._wanted)
            except Exception as error:  # noqa: BLE001  any exception is this galaxy's result
                found.append(error_of_file(error, "a readable image"))
        return found


class FromShards:
    """Cutouts from packed images, see `galcnn.dataset.pack_images`."""

    portable = True

    def __init__(
        self, catalog: Catalog, folder: str | os.PathLike[str], *, wanted: InputSpec | None = None
    ) -> None:
        self._shards = read_shards(folder)
        self.inputs = self._shards[0].inputs
        # Packed images have no WCS, so the pixel scale cannot be checked later.
        asked, own = wanted and wanted.pixel_scale, self.inputs.pixel_scale
        if wanted is not None and asked and own and not np.isclose(own, asked, rtol=SCALE_TOLERANCE):
            raise ValueError(
                message(
                    f"shards with pixels of {wanted.pixel_scale} arcsec, as the network was trained on",
                    "Pack again with --size.",
                    pixel_scale=self.inputs.pixel_scale,
                )
            )
        self.described = f"shards {[shard.sha256 for shard in self._shards]}"
        self._unit, self._checked = parse_unit(self.inputs.unit), set[int]()
        self._shard_of = np.full(len(catalog), -1, dtype=np.int32)
        self._place_of = np.zeros(len(catalog), dtype=np.int32)
        rows = {name: row for row, name in enumerate(catalog.ids)}
        for number, shard in enumerate(self._shards):
            for place, name in enumerate(shard.ids):
                if (row := rows.get(name)) is not None:
                    self._shard_of[row], self._place_of[row] = number, place

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Return the cutout of each row, or an exception."""
        wanted = np.asarray(rows, dtype=np.intp)
        found: list[Cutout | Exception] = [CoverageError("not in the shards")] * len(wanted)
        for number in np.unique(self._shard_of[wanted]):
            if number < 0:
                continue
            here = np.flatnonzero(self._shard_of[wanted] == number)
            try:
                images = self._images(int(number), self._place_of[wanted[here]])
            except Exception as error:  # noqa: BLE001  any exception is the result of these galaxies
                for place in here:
                    found[place] = error_of_file(error, "a readable shard", "Pack again.")
                continue
            shard = self._shards[number]
            for place, planes in zip(here, planes_from(images), strict=True):
                why = shard.failed.get(shard.ids[self._place_of[wanted[place]]])
                found[place] = (
                    Cutout(planes, self.inputs.bands, survey="shards", unit=self._unit)
                    if why is None
                    else UnreadableImageError(why)
                )
        return found

    def inputs_of(
        self, rows: Sequence[int], spec: InputSpec
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]] | None:
        """Return images of the rows, and which of them are inputs of a network as they are.

        The others are for `read`: without image, with pixels that are no numbers, or blank in a band. None if
        the network has other inputs.
        """
        own = replace(self.inputs, pixel_scale=spec.pixel_scale, render=spec.render)
        if own != spec:
            return None
        wanted = np.asarray(rows, dtype=np.intp)
        images = np.zeros((len(wanted), *self.inputs.image_shape), dtype=np.float32)
        good = np.zeros(len(wanted), dtype=np.bool_)
        for number in np.unique(self._shard_of[wanted]):
            shard = self._shards[number]
            here = np.flatnonzero(self._shard_of[wanted] == number)
            places = self._place_of[wanted[here]]
            try:
                found = self._images(int(number), places) if number >= 0 else None
            except Exception:  # noqa: BLE001  `read` tells it
                found = None
            if found is None:
                continue
            images[here] = found
            seen = (found.min(axis=(1, 2)) < found.max(axis=(1, 2))).all(axis=1)
            whole = np.isfinite(found).all(axis=(1, 2, 3))
            good[here] = seen & whole & [shard.ids[place] not in shard.failed for place in places]
        return images, good

    def _images(self, number: int, places: npt.NDArray[np.int32]) -> npt.NDArray[Any]:
        """Read images of a shard, which is checked first."""
        if number not in self._checked:
            self._shards[number].check()
            self._checked.add(number)
        # Closed right after reading: pages of an open mapped file count as memory of the process.
        return self._shards[number].images()[places]


class FromMosaic:
    """Cutouts from a mosaic."""

    portable = False

    def __init__(self, catalog: Catalog, mosaic: Mosaic, width: u.Quantity) -> None:
        self._catalog, self._mosaic, self._width = catalog, mosaic, width
        self.described = described_cuts(mosaic, catalog, width)

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Cut out some rows."""
        found: list[Cutout | Exception] = [CoverageError("not on the mosaic")] * len(rows)
        for one in cut(self._mosaic, self._catalog.select(list(rows)), width=self._width):
            found[one.row] = one.cutout or one.error or CoverageError(one.reason)
        return found


class FromSurvey:
    """Cutouts requested from a survey, several at a time."""

    portable = False

    def __init__(
        self,
        catalog: Catalog,
        survey: Survey,
        width: u.Quantity,
        *,
        bands: tuple[str, ...] | None = None,
        jobs: int = 4,
    ) -> None:
        positions = catalog.positions
        if positions is None:
            raise ValueError(message("a catalog with positions", "Name their columns: --ra, --dec."))
        self._positions, self._survey, self._width, self._bands = positions, survey, width, bands
        self._jobs = jobs
        self.described = f"survey {survey.name}, width {width}, bands {bands}"

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Request the cutout of each row."""
        with ThreadPoolExecutor(self._jobs) as pool:
            return list(pool.map(self._ask, rows))

    def _ask(self, row: int) -> Cutout | Exception:
        try:
            return self._survey.cutout(self._positions[row], self._width, self._bands)
        except Exception as error:  # noqa: BLE001  any exception is this galaxy's result
            ends = isinstance(error, MemoryError | NoReaderError)
            return error_of_file(error, "an image") if ends else error


@dataclass(frozen=True)
class SourceSettings:
    """Settings of the source of cutouts; by default the files in column `image` of the catalog.

    Attributes
    ----------
    images : str or None
        Folder of image files, see `galcnn.dataset.InputFiles.of`.
    shards : str or None
        Folder of packed images, see `galcnn.dataset.pack_images`.
    mosaic : tuple of str
        Files of the mosaic from which cutouts are made.
    survey : str or None
        Name of the survey from which cutouts are requested.
    width : str or None
        Side of the cutouts, such as ``40 arcsec`` or ``64 pix``; required with `mosaic` and `survey`.
        For files, the angular side of the central field that is read; the whole field by default.
    bands : tuple of str or None
        Bands to read, or names of the planes if the files do not name them. Not allowed with `shards`.
    jobs : int
        Number of simultaneous requests to a survey.
    grid : str or None
        Band to whose pixel grid the other files of a galaxy are resampled.
    hdu : int, str or sequence of them, or None
        HDU of the image in each file, see `galcnn.files.load_cutout`.
    zero_points : float, mapping of str to float, or None
        AB magnitude of a value of 1 of files that do not state it, see `galcnn.dataset.InputFiles`.
    pixel_scale : str or None
        Angle per pixel of image files without a WCS, such as ``0.4 arcsec``.
    strict : bool
        If True, files and mosaics whose checksums do not match are not read.
    server : str or None
        URL to use instead of the server of the survey.
    survey_options : mapping of str to str, or None
        Options of the survey, see `galcnn.surveys.open_survey`.
    """

    images: str | None = None
    shards: str | None = None
    mosaic: tuple[str, ...] = ()
    survey: str | None = None
    width: str | None = None
    bands: tuple[str, ...] | None = None
    jobs: int = 4
    grid: str | None = None
    hdu: HDUChoice | None = None
    zero_points: ZeroPoint | None = None
    pixel_scale: str | None = None
    strict: bool = False
    server: str | None = None
    survey_options: Mapping[str, str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "mosaic", tuple(self.mosaic))
        names = ("images", "shards", "mosaic", "survey")
        given = {name: getattr(self, name) for name in names if getattr(self, name)}
        if len(given) > 1:
            raise ValueError(message("one source of cutouts", "Leave out the others.", **given))
        if (self.mosaic or self.survey) and not self.width:
            raise ValueError(
                message(
                    "a width with a mosaic or survey", "Give --width, such as 40arcsec.", width=self.width
                )
            )
        if self.shards and self.bands:
            raise ValueError(
                message("no bands with shards, whose bands are known", "Leave out --bands.", bands=self.bands)
            )
        if self.shards and self.width:
            raise ValueError(
                message("no width with shards", "Leave out --width, or pack other cutouts.", width=self.width)
            )
        if self.shards or self.mosaic or self.survey:
            of_files = {
                "grid": self.grid,
                "hdu": self.hdu,
                "zero_points": self.zero_points,
                "pixel_scale": self.pixel_scale,
                "strict": (self.strict and not self.mosaic) or None,
            }
            if given := {name: value for name, value in of_files.items() if value is not None}:
                raise ValueError(message(f"{', '.join(given)} with image files only", "", **given))
        if (self.server or self.survey_options) and not self.survey:
            raise ValueError(message("a survey with its server and options", "", survey=self.survey))

    def absolute(self) -> SourceSettings:
        """Return the settings with absolute paths, for workers in other directories.

        Returns
        -------
        SourceSettings
            Settings of the same files.
        """
        images, shards = (path and str(Path(path).resolve()) for path in (self.images, self.shards))
        mosaic = tuple(str(Path(file).resolve()) for file in self.mosaic)
        return replace(self, images=images, shards=shards, mosaic=mosaic)

    @contextlib.contextmanager
    def open(self, catalog: Catalog, wanted: InputSpec | None = None) -> Iterator[CutoutSource]:
        """Open the source for the rows of a catalog.

        Parameters
        ----------
        catalog : galcnn.catalog.Catalog
            Catalog of the galaxies.
        wanted : galcnn.model.InputSpec, optional
            Input specification of the network; shards of another pixel scale are refused.

        Yields
        ------
        galcnn.dataset.sources.CutoutSource
            Source, open until the end of the block.
        """
        if self.mosaic:
            with open_mosaic(list(self.mosaic), bands=self.bands, strict=self.strict) as mosaic:
                yield FromMosaic(catalog, mosaic, u.Quantity(self.width))
        elif self.survey:
            survey = open_survey(self.survey, server=self.server, options=self.survey_options)
            width = u.Quantity(self.width)
            yield FromSurvey(catalog, survey, width, bands=self.bands, jobs=self.jobs)
        elif self.shards:
            yield FromShards(catalog, self.shards, wanted=wanted)
        else:
            side = None if self.width is None else u.Quantity(self.width)
            yield InputFiles.of(
                catalog,
                self.images,
                bands=self.bands,
                grid=self.grid,
                width=side,
                hdu=self.hdu,
                zero_points=self.zero_points,
                pixel_scale=None if self.pixel_scale is None else u.Quantity(self.pixel_scale),
                strict=self.strict,
            )
