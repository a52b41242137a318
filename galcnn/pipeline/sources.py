"""Where the cutouts of a catalog come from: files, a mosaic, a survey. Rows in, cutouts or errors out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import astropy.units as u

from galcnn.catalog import Catalog
from galcnn.catalog.naming import file_stems
from galcnn.cutout import Cutout
from galcnn.errors import CoverageError, DownloadError, UnreadableImageError, message
from galcnn.files import load_files
from galcnn.mosaic import Mosaic, cut, described_cuts
from galcnn.surveys.survey import Survey

__all__ = ["CutoutFiles", "CutoutSource", "FromMosaic", "FromSurvey"]

_SUFFIXES = (".fits", ".fits.gz", ".fits.fz", ".fit", ".png", ".jpg", ".jpeg")


class CutoutSource(Protocol):
    """Gives the cutouts of a catalog, piece by piece.

    Attributes
    ----------
    described : str
        All that decides which cutouts these are, beside the catalog: a run that is taken up again
        with others is refused.
    """

    @property
    def described(self) -> str: ...

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


class CutoutFiles:
    """A file a galaxy.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With a column `image`, or with ids that name files of `folder`.
    folder : path-like, optional
        Relative paths of `image` are below it; without such a column, the file of a galaxy is its
        id with a suffix of FITS, PNG or JPEG, as `galcnn fetch` and `galcnn cut` name them.
    bands : tuple of str, optional
        Names of the planes, where their headers do not say.

    Raises
    ------
    ValueError
        Neither a column `image` nor a folder.
    """

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
                self._paths = [str(place / Path(name).name) for name in self._paths]
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
                found.append(load_files(self._paths[row], bands=self._bands))
            except (UnreadableImageError, OSError, ValueError) as error:
                found.append(error)
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
    """Cutouts that a survey is asked for, one after the other.

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

    Raises
    ------
    ValueError
        The catalog has no positions.
    """

    def __init__(
        self,
        catalog: Catalog,
        survey: Survey,
        width: u.Quantity,
        *,
        bands: tuple[str, ...] | None = None,
    ) -> None:
        positions = catalog.positions
        if positions is None:
            raise ValueError(message("a catalog with positions", "Name its columns ra, dec."))
        self._positions, self._survey, self._width, self._bands = positions, survey, width, bands
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
        found: list[Cutout | Exception] = []
        for row in rows:
            try:
                found.append(self._survey.cutout(self._positions[row], self._width, self._bands))
            except (CoverageError, DownloadError, UnreadableImageError, ValueError, OSError) as error:
                found.append(error)
        return found


def _named(stem: str, there: set[str]) -> str:
    return next((stem + suffix for suffix in _SUFFIXES if stem + suffix in there), f"{stem}.fits")
