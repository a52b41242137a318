"""Classification of LSDB catalogs (HATS format), partition by partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from astropy.table import QTable

from galcnn.catalog import Catalog
from galcnn.catalog.catalog import HEALPIX
from galcnn.cutout import Cutout
from galcnn.errors import CoverageError, message
from galcnn.pipeline import Work

if TYPE_CHECKING:
    import lsdb
    import pyarrow as pa


def classify_catalog(catalog: lsdb.Catalog, work: Work, *, id_column: str = "id") -> lsdb.Catalog:
    """Classify every galaxy of an LSDB catalog, partition by partition.

    Parameters
    ----------
    catalog : lsdb.Catalog
        Catalog with a column of identifiers, and with a column `image` if `work` has no other source of
        cutouts.
    work : galcnn.pipeline.Work
        Model, source of cutouts, and settings.
    id_column : str
        Column with the identifiers, which must be unique within a partition.

    Returns
    -------
    lsdb.Catalog
        Lazy catalog with the columns of identifier and position, and those of
        `galcnn.pipeline.classify_batch`. ``write_catalog`` computes it and writes it in HATS format,
        partition by partition.

    Raises
    ------
    ValueError
        If there is no such column.

    Notes
    -----
    The names of the columns are determined with the model by a Dask task. With a
    ``dask.distributed.Client``, this process does not load the model.
    """
    import dask

    if id_column not in catalog.columns:
        raise ValueError(message("a column with identifiers", "Give id_column.", id_column=id_column))
    info = catalog.hc_structure.catalog_info
    names = {"id": id_column, "ra": info.ra_column, "dec": info.dec_column}
    columns = [*names.values(), *(["image"] if "image" in catalog.columns else [])]
    kept = catalog.meta[list(names.values())]
    told = dask.delayed(_no_answers)(work).compute()
    meta = pd.concat([kept, told.set_index(kept.index)], axis=1)
    return catalog[columns].map_partitions(_classified, work=work, names=names, meta=meta)


def _classified(frame: pd.DataFrame, *, work: Work, names: Mapping[str, str]) -> pd.DataFrame:
    """Classify a partition; its index, the HEALPix cell, is kept."""
    kept = frame[list(names.values())]
    if not len(frame):
        return pd.concat([kept, _no_answers(work).set_index(frame.index)], axis=1)
    table = QTable()
    table["id"] = np.asarray(frame[names["id"]].astype(str), dtype=str)
    for name in ("ra", "dec"):
        table[name] = np.asarray(frame[names[name]], dtype=float)
    if "image" in frame:
        table["image"] = np.asarray(frame["image"].astype(str), dtype=str)
    return pd.concat([kept, _frame(work.answer(Catalog(table))).set_index(frame.index)], axis=1)


def _no_answers(work: Work) -> pd.DataFrame:
    """Return the columns of the predictions without rows."""
    nobody = Catalog(QTable({"id": ["nobody"], "ra": [0.0], "dec": [0.0]}))
    return _frame(work.answer(nobody, _Nothing())).iloc[:0]


def _frame(table: pa.Table) -> pd.DataFrame:
    """Return the predictions as a data frame, without identifier and position."""
    import pyarrow as pa

    there = [name for name in table.column_names if name not in ("id", "ra", "dec", HEALPIX)]
    for place, field in enumerate(table.schema):
        if pa.types.is_fixed_size_list(field.type):  # pandas readers support variable-size lists only
            table = table.set_column(
                place, field.name, table[field.name].cast(pa.list_(field.type.value_type))
            )
    return table.select(there).to_pandas(types_mapper=pd.ArrowDtype)


class _Nothing:
    described, portable = "nothing", False

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        return [CoverageError("nothing") for _ in rows]
