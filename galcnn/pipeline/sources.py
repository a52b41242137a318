"""Where the cutouts of a catalog come from. Rows in, cutouts or errors out."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import astropy.units as u
import numpy as np

from galcnn.catalog import Catalog
from galcnn.catalog.naming import file_stems
from galcnn.cutout import Cutout
from galcnn.dataset import read_shards
from galcnn.errors import CoverageError, DownloadError, UnreadableImageError, message
from galcnn.files import files_of, load_files
from galcnn.inputs import SCALE_TOLERANCE, InputSpec, planes_from
from galcnn.mosaic import Mosaic, cut, described_cuts
from galcnn.photometry import parse_unit
from galcnn.surveys.survey import Survey

__all__ = ["CutoutSource", "FromFiles", "FromMosaic", "FromShards", "FromSurvey"]

#: Bytes on the disk beyond which a file is no cutout: read whole, a few would fill the memory.
_LARGEST_FILE = 256_000_000
_SUFFIXES = (".fits", ".fits.gz", ".fits.fz", ".fit", ".png", ".jpg", ".jpeg")


class CutoutSource(Protocol):
    """Gives the cutouts of a catalog, piece by piece.

    Attributes
    ----------
    described : str
        All that decides which cutouts these are, beside the catalog: a run that is taken up again
        with others is refused.
    portable : bool
        Whether it can be sent to another process, to read there.
    """

    @property
    def described(self) -> str: ...

    @property
    def portable(self) -> bool: ...

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Give the cutouts of some rows.

        Parameters
        ----------
        rows : sequence of int
            Of the catalog.

        Returns
        -------
        list of galcnn.cutout.Cutout or Exception
            In this order; an exception says why there is no cutout.
        """


class FromFiles:
    """A file a galaxy.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With a column `image`, or with ids that name files of `folder`.
    folder : path-like, optional
        The files that `image` names are in it, wherever they were before; without such a column, the
        file of a galaxy is its id with a suffix of FITS, PNG or JPEG, as `galcnn fetch` and
        `galcnn cut` name them.
    bands : tuple of str, optional
        Names of the planes, where their headers do not say.

    Raises
    ------
    ValueError
        Neither a column `image` nor a folder; or files of one name in several folders of the
        catalog, of which the folder could hold only one.
    """

    portable = True

    def __init__(
        self,
        catalog: Catalog,
        folder: str | os.PathLike[str] | None = None,
        *,
        bands: tuple[str, ...] | None = None,
    ) -> None:
        self._bands = bands
        self.described = f"files of {folder and os.path.realpath(folder)}, bands {bands}"
        known = "image" in catalog.table.colnames
        if folder is None and not known:
            raise ValueError(
                message("a column 'image', or a folder of images", "Say where they are: --images.")
            )
        self._paths: list[str] = [str(name) for name in catalog.table["image"]] if known else []
        if folder is not None:
            place = Path(folder)
            if not place.is_dir():
                raise FileNotFoundError(message("a folder of images", "Check the path.", images=str(folder)))
            if known:
                names = {path: Path(path).name for path in self._paths}
                if len(set(names.values())) < len(names):
                    twice = next(name for name, n in Counter(names.values()).items() if n > 1)
                    raise ValueError(
                        message(
                            "files of different names, to be found in one folder",
                            "Leave out --images: the catalog says where they are.",
                            twice=twice,
                        )
                    )
                self._paths = [str(place / names[path]) for path in self._paths]
            else:
                stems, there = file_stems(catalog.ids), {path.name for path in place.iterdir()}
                self._paths = [str(place / _named(stems[name], there)) for name in catalog.ids]

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Load the files of some rows.

        Parameters
        ----------
        rows : sequence of int
            Of the catalog.

        Returns
        -------
        list of galcnn.cutout.Cutout or Exception
            In this order.
        """
        found: list[Cutout | Exception] = []
        for row in rows:
            try:
                _check_bytes(self._paths[row])
                found.append(load_files(self._paths[row], bands=self._bands))
            except (UnreadableImageError, OSError, ValueError, MemoryError) as error:
                found.append(error)
        return found


class FromShards:
    """Images that were packed, see `galcnn.dataset.pack_images`.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        In any order; not all of the shards, and more than is in them.
    folder : path-like
        Of the shards.
    wanted : galcnn.inputs.InputSpec, optional
        Of the network. Packed images have lost their WCS: another pixel scale could not be seen
        later.

    Raises
    ------
    FileNotFoundError, ValueError
        No shards, or of another pixel scale.
    """

    portable = True

    def __init__(
        self, catalog: Catalog, folder: str | os.PathLike[str], *, wanted: InputSpec | None = None
    ) -> None:
        self._shards = read_shards(folder)
        self.inputs = self._shards[0].inputs
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
        """Read some rows, shard by shard.

        Parameters
        ----------
        rows : sequence of int
            Of the catalog.

        Returns
        -------
        list of galcnn.cutout.Cutout or Exception
            In this order. A shard that was altered is an error of its rows alone.
        """
        wanted = np.asarray(rows, dtype=np.intp)
        found: list[Cutout | Exception] = [CoverageError("not in the shards")] * len(wanted)
        for number in np.unique(self._shard_of[wanted]):
            if number < 0:
                continue
            here = np.flatnonzero(self._shard_of[wanted] == number)
            try:
                if number not in self._checked:
                    self._shards[number].check()
                    self._checked.add(int(number))
                # Open no longer than it is read: pages of an open file count as memory of ours.
                images = self._shards[number].images()[self._place_of[wanted[here]]]
            except UnreadableImageError as error:
                for place in here:
                    found[place] = error
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


class FromMosaic:
    """Cutouts of one large image.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With positions.
    mosaic : galcnn.mosaic.Mosaic
        Open as long as it is read.
    width : astropy.units.Quantity
        Side of the cutouts, an angle or pixels.
    """

    portable = False

    def __init__(self, catalog: Catalog, mosaic: Mosaic, width: u.Quantity) -> None:
        self._catalog, self._mosaic, self._width = catalog, mosaic, width
        self.described = described_cuts(mosaic, catalog, width)

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Cut some rows out.

        Parameters
        ----------
        rows : sequence of int
            Of the catalog.

        Returns
        -------
        list of galcnn.cutout.Cutout or Exception
            In this order.
        """
        found: list[Cutout | Exception] = [CoverageError("not on the mosaic")] * len(rows)
        for one in cut(self._mosaic, self._catalog.select(list(rows)), width=self._width):
            found[one.row] = one.cutout if one.cutout is not None else CoverageError(one.reason)
        return found


class FromSurvey:
    """Cutouts that a survey is asked for, several at once.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With positions.
    survey : galcnn.surveys.Survey
        See `galcnn.surveys.open_survey`.
    width : astropy.units.Quantity
        Angular side of the cutouts.
    bands : tuple of str, optional
        Wanted bands; all by default.
    at_once : int
        Galaxies that are asked for at the same time.

    Raises
    ------
    ValueError
        The catalog has no positions.
    """

    portable = False

    def __init__(
        self,
        catalog: Catalog,
        survey: Survey,
        width: u.Quantity,
        *,
        bands: tuple[str, ...] | None = None,
        at_once: int = 4,
    ) -> None:
        positions = catalog.positions
        if positions is None:
            raise ValueError(message("a catalog with positions", "Name its columns ra, dec."))
        self._positions, self._survey, self._width, self._bands = positions, survey, width, bands
        self._at_once = at_once
        self.described = f"survey {survey.name}, width {width}, bands {bands}"

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Ask for some rows.

        Parameters
        ----------
        rows : sequence of int
            Of the catalog.

        Returns
        -------
        list of galcnn.cutout.Cutout or Exception
            In this order. A service that is down, or refuses, is an error of its rows alone.
        """
        with ThreadPoolExecutor(self._at_once) as pool:
            return list(pool.map(self._ask, rows))

    def _ask(self, row: int) -> Cutout | Exception:
        try:
            return self._survey.cutout(self._positions[row], self._width, self._bands)
        except (CoverageError, DownloadError, UnreadableImageError, ValueError, OSError) as error:
            return error


def _check_bytes(path: str) -> None:
    for file in files_of(path):
        if (size := Path(file).stat().st_size) > _LARGEST_FILE:
            raise UnreadableImageError(
                message(
                    f"a cutout of at most {_LARGEST_FILE // 10**6} MB",
                    "Of a large image: --mosaic.",
                    path=path,
                    megabytes=size // 10**6,
                )
            )


def _named(stem: str, there: set[str]) -> str:
    return next((stem + suffix for suffix in _SUFFIXES if stem + suffix in there), f"{stem}.fits")
