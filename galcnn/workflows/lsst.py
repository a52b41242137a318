"""Classification as a task of the LSST pipelines, from the catalog and cutouts of a patch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import astropy.units as u
import lsst.pex.config as pex
import lsst.pipe.base as pipe
import lsst.pipe.base.connectionTypes as types
import numpy as np
import numpy.typing as npt
from astropy.table import QTable, Table

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.pipeline import Work

_PATCH = ("tract", "patch", "skymap")


class MorphologyConnections(pipe.PipelineTaskConnections, dimensions=_PATCH):  # type: ignore[call-arg]
    """Input and output datasets of a patch."""

    galaxies = types.Input(
        doc="Galaxies, one a row.",
        name="galaxies",
        storageClass="ArrowAstropy",
        dimensions=_PATCH,
    )
    cutouts = types.Input(
        doc="Their images in nJy, shape (n, n_bands, ny, nx); NaN where a pixel is not to be used.",
        name="galaxy_cutouts",
        storageClass="NumpyArray",
        dimensions=_PATCH,
    )
    morphology = types.Output(
        doc="One row a galaxy, in the same order.",
        name="galaxy_morphology",
        storageClass="ArrowTable",
        dimensions=_PATCH,
    )


class MorphologyConfig(  # type: ignore[call-arg]
    pipe.PipelineTaskConfig, pipelineConnections=MorphologyConnections
):
    """Configuration: model, names of columns, and settings of the classification."""

    model = pex.Field(doc="Model folder; several are joined by commas.", dtype=str)
    idColumn = pex.Field(doc="Column with the identifier.", dtype=str, default="objectId")
    raColumn = pex.Field(doc="Column with the right ascension, deg.", dtype=str, default="coord_ra")
    decColumn = pex.Field(doc="Column with the declination, deg.", dtype=str, default="coord_dec")
    prior = pex.Field(doc="See galcnn classify.", dtype=str, default="catalog")
    calibrated = pex.Field(doc="Use uncertainty.json of the model.", dtype=bool, default=True)
    embeddings = pex.Field(doc="Keep the features that the last layer reads.", dtype=bool, default=False)
    chunk = pex.Field(doc="Galaxies at once.", dtype=int, default=512)


class MorphologyTask(pipe.PipelineTask):
    """Classify the galaxies of a patch: one row per galaxy, even if it has no usable image."""

    ConfigClass = MorphologyConfig
    _DefaultName = "galaxyMorphology"

    def run(self, galaxies: Table, cutouts: npt.NDArray[np.floating[Any]]) -> pipe.Struct:
        """Classify the galaxies of a patch.

        Parameters
        ----------
        galaxies : astropy.table.Table
            One row per galaxy, with the columns named in the config.
        cutouts : numpy.ndarray
            Images in nJy, shape (n, n_bands, ny, nx), with the bands in the order of the model; NaN for
            pixels that must not be used.

        Returns
        -------
        lsst.pipe.base.Struct
            Struct with `morphology`, a `pyarrow.Table` with the columns of `galcnn.pipeline.run_catalog`.
        """
        asked = self.config
        words = {
            name: getattr(asked, name) for name in ("model", "prior", "calibrated", "embeddings", "chunk")
        }
        work = Work.from_words(words)
        table = QTable({"id": np.asarray(galaxies[asked.idColumn]).astype(str)})
        for name, column in (("ra", asked.raColumn), ("dec", asked.decColumn)):
            table[name] = u.Quantity(galaxies[column], u.deg)
        return pipe.Struct(morphology=work.answer(Catalog(table), _Planes(cutouts, work.card.inputs.bands)))


class _Planes:
    """Source of cutouts from an array in memory."""

    described, portable = "planes", False

    def __init__(self, planes: npt.NDArray[np.floating[Any]], bands: tuple[str, ...]) -> None:
        self._planes, self._bands = planes, bands

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        """Return the cutouts of some rows."""
        found: list[Cutout | Exception] = []
        for row in rows:
            try:
                found.append(
                    Cutout(np.asarray(self._planes[row], dtype=np.float32), self._bands, survey="lsst")
                )
            except (IndexError, ValueError) as error:
                found.append(error)
        return found
