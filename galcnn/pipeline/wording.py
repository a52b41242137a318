"""Where the cutouts of a catalog come from, in words: what a command line says and a worker is sent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import astropy.units as u

from galcnn.errors import message

if TYPE_CHECKING:
    from galcnn.catalog import Catalog
    from galcnn.inputs import InputSpec
    from galcnn.pipeline.sources import CutoutSource

__all__ = ["SourceSettings"]


@dataclass(frozen=True)
class SourceSettings:
    """Where the cutouts of a catalog come from; files of its column `image` by default.

    Attributes
    ----------
    images : str or None
        Folder of files, see `galcnn.pipeline.sources.FromFiles`.
    shards : str or None
        Folder of packed images, see `galcnn.pipeline.sources.FromShards`.
    mosaic : tuple of str
        Files of a mosaic that they are cut out of.
    survey : str or None
        A survey that is asked for them.
    width : str or None
        Side of the cutouts of a mosaic or survey: ``40 arcsec``, ``64 pix``.
    bands : tuple of str or None
        Wanted bands, or names of the planes where the files name none; not of shards.
    at_once : int
        Requests to a survey at the same time.
    """

    images: str | None = None
    shards: str | None = None
    mosaic: tuple[str, ...] = ()
    survey: str | None = None
    width: str | None = None
    bands: tuple[str, ...] | None = None
    at_once: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "mosaic", tuple(self.mosaic))
        names = ("images", "shards", "mosaic", "survey")
        given = {name: getattr(self, name) for name in names if getattr(self, name)}
        if len(given) > 1:
            raise ValueError(message("one source of cutouts", "Leave out the others.", **given))
        if bool(self.mosaic or self.survey) != bool(self.width):
            raise ValueError(message("a width with a mosaic or survey alone", "", width=self.width))
        if self.shards and self.bands:
            raise ValueError(message("no bands of shards, which know theirs", "", bands=self.bands))

    def absolute(self) -> SourceSettings:
        """Give the same with absolute paths, for workers that run elsewhere.

        Returns
        -------
        SourceSettings
            Of the same files.
        """
        images, shards = (path and str(Path(path).resolve()) for path in (self.images, self.shards))
        mosaic = tuple(str(Path(file).resolve()) for file in self.mosaic)
        return replace(self, images=images, shards=shards, mosaic=mosaic)

    @contextlib.contextmanager
    def open(self, catalog: Catalog, wanted: InputSpec | None = None) -> Iterator[CutoutSource]:
        """Open it for the rows of a catalog.

        Parameters
        ----------
        catalog : galcnn.catalog.Catalog
            The galaxies.
        wanted : galcnn.inputs.InputSpec, optional
            Of the network; shards of another pixel scale are refused.

        Yields
        ------
        galcnn.pipeline.sources.CutoutSource
            Open until the block is left.
        """
        from galcnn.mosaic import open_mosaic
        from galcnn.pipeline.sources import FromFiles, FromMosaic, FromShards, FromSurvey
        from galcnn.surveys.survey import open_survey

        if self.mosaic:
            with open_mosaic(list(self.mosaic), bands=self.bands) as mosaic:
                yield FromMosaic(catalog, mosaic, u.Quantity(self.width))
        elif self.survey:
            survey, side = open_survey(self.survey), u.Quantity(self.width)
            yield FromSurvey(catalog, survey, side, bands=self.bands, at_once=self.at_once)
        elif self.shards:
            yield FromShards(catalog, self.shards, wanted=wanted)
        else:
            yield FromFiles(catalog, self.images, bands=self.bands)
