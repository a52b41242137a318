"""LSDB: a function for `map_partitions` over catalogs in HATS, the road to 1e9 galaxies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from astropy.table import QTable

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.errors import CoverageError, message
from galcnn.pipeline import HEALPIX, Work, answer_work

if TYPE_CHECKING:
    import lsdb
    import pyarrow as pa


def classify_catalog(catalog: lsdb.Catalog, work: Work, *, id_column: str = "id") -> lsdb.Catalog:
    """Classify every galaxy of an LSDB catalog, partition by partition.

    Parameters
    ----------
    catalog : lsdb.Catalog
        With a column that names each galaxy, and a column `image` where `work` names no source.
    work : galcnn.pipeline.Work
        What is done.
    id_column : str
        The names; unique within a partition.

    Returns
    -------
    lsdb.Catalog
        Nothing is computed yet but its columns: those of the identifier and the position, and the
        answers, see `galcnn.pipeline.classify_batch`. ``write_catalog`` writes it as
        HATS, partition by partition.

    Raises
    ------
    ValueError
        There is no such column.

    Notes
    -----
    The columns are asked of the model where the tasks are done: with a ``dask.distributed.Client``
    this process loads no model.
    """
    import dask

    if id_column not in catalog.columns:
        raise ValueError(message("a column with identifiers", "Say id_column.", id_column=id_column))
    info = catalog.hc_structure.catalog_info
    names = {"id": id_column, "ra": info.ra_column, "dec": info.dec_column}
    columns = [*names.values(), *(["image"] if "image" in catalog.columns else [])]
    kept = catalog.meta[list(names.values())]
    told = dask.delayed(_no_answers)(work).compute()
    meta = pd.concat([kept, told.set_index(kept.index)], axis=1)
    return catalog[columns].map_partitions(_classified, work=work, names=names, meta=meta)


def _classified(frame: pd.DataFrame, *, work: Work, names: Mapping[str, str]) -> pd.DataFrame:
    """What is done to a partition; its index, the place on the sky, stays."""
    kept = frame[list(names.values())]
    if not len(frame):
        return pd.concat([kept, _no_answers(work).set_index(frame.index)], axis=1)
    table = QTable()
    table["id"] = np.asarray(frame[names["id"]].astype(str), dtype=str)
    for name in ("ra", "dec"):
        table[name] = np.asarray(frame[names[name]], dtype=float)
    if "image" in frame:
        table["image"] = np.asarray(frame["image"].astype(str), dtype=str)
    return pd.concat([kept, _frame(answer_work(work, Catalog(table))).set_index(frame.index)], axis=1)


def _no_answers(work: Work) -> pd.DataFrame:
    """The columns of answers, without a row."""
    nobody = Catalog(QTable({"id": ["nobody"], "ra": [0.0], "dec": [0.0]}))
    return _frame(answer_work(work, nobody, _Nothing())).iloc[:0]


def _frame(table: pa.Table) -> pd.DataFrame:
    """The answers alone: identifier and position stay those of the frame they belong to."""
    import pyarrow as pa

    there = [name for name in table.column_names if name not in ("id", "ra", "dec", HEALPIX)]
    for place, field in enumerate(table.schema):
        if pa.types.is_fixed_size_list(field.type):  # pandas' readers know lists of one kind alone
            table = table.set_column(
                place, field.name, table[field.name].cast(pa.list_(field.type.value_type))
            )
    return table.select(there).to_pandas(types_mapper=pd.ArrowDtype)


class _Nothing:
    described, portable = "nothing", False

    def read(self, rows: Sequence[int]) -> list[Cutout | Exception]:
        return [CoverageError("nothing") for _ in rows]
