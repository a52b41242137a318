"""Tables of a run: astropy's of a batch, parts of Parquet, and the one table that they become."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Table

from galcnn import atomic
from galcnn.catalog import Catalog
from galcnn.catalog.catalog import as_numbers
from galcnn.doubt.out_of_distribution import REDSHIFT
from galcnn.prediction import UNFIT, UNREADABLE

__all__ = ["HEALPIX", "catalog_sha256", "join_parts", "sky_columns", "to_arrow", "write_part"]

#: HATS' spatial index: the nested HEALPix cell at order 29.
HEALPIX = "_healpix_29"


def catalog_sha256(catalog: Catalog) -> str:
    """Hash all of a catalog that decides what a run makes of it.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Any.

    Returns
    -------
    str
        Of ids, positions, images and redshifts, those that there are.
    """
    digest = hashlib.sha256()
    for name in catalog.ids:
        digest.update(name.encode() + b"\0")
    positions = catalog.positions
    if positions is not None:
        digest.update(np.ascontiguousarray(positions.ra.deg).tobytes())
        digest.update(np.ascontiguousarray(positions.dec.deg).tobytes())
    if "image" in catalog.table.colnames:
        for name in catalog.table["image"]:
            digest.update(str(name).encode() + b"\0")
    if REDSHIFT in catalog.table.colnames:  # the domain warning asks for it
        digest.update(as_numbers(catalog.table[REDSHIFT], REDSHIFT).tobytes())
    return digest.hexdigest()


def sky_columns(catalog: Catalog) -> dict[str, npt.NDArray[Any]]:
    """Give the columns that tell where galaxies are.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Any.

    Returns
    -------
    dict of str to numpy.ndarray
        `ra` and `dec` in degrees and ``_healpix_29``; none where the catalog has no positions.
    """
    positions = catalog.positions
    if positions is None:
        return {}
    import astropy.units as u
    from astropy_healpix import HEALPix

    cells = HEALPix(nside=2**29, order="nested").lonlat_to_healpix(positions.ra, positions.dec)
    ra, dec = positions.ra.to_value(u.deg), positions.dec.to_value(u.deg)
    return {"ra": ra, "dec": dec, HEALPIX: np.asarray(cells, dtype=np.int64)}


def to_arrow(table: Table, beside: Mapping[str, npt.NDArray[Any]]) -> pa.Table:
    """Turn the table of a batch into one of Arrow.

    Parameters
    ----------
    table : astropy.table.Table
        See `galcnn.pipeline.classifying.classify_batch`.
    beside : mapping of str to numpy.ndarray
        Columns that go behind `id`, see `sky_columns`.

    Returns
    -------
    pyarrow.Table
        Arrays of a row are fixed-size lists of float32.
    """
    columns: dict[str, Any] = {}
    for name in table.colnames:
        values = np.asarray(table[name])
        if values.ndim == 2:
            flat = pa.array(np.ascontiguousarray(values, dtype=np.float32).ravel())
            columns[name] = pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
        else:
            columns[name] = pa.array(values.tolist(), pa.string()) if values.dtype.kind == "U" else values
        if name == "id":
            columns |= beside
    return pa.table(columns)


def write_part(part: Path, table: Table, beside: Mapping[str, npt.NDArray[Any]]) -> None:
    """Write the table of a batch as Parquet, whole or not at all.

    Parameters
    ----------
    part : pathlib.Path
        The file.
    table : astropy.table.Table
        See `to_arrow`.
    beside : mapping of str to numpy.ndarray
        See `to_arrow`.
    """
    with atomic.writing(part) as temporary:
        pq.write_table(to_arrow(table, beside), temporary)


def join_parts(parts: Sequence[Path], target: Path) -> dict[str, int]:
    """Write the parts one behind the other, a row group each; count what failed or is in doubt.

    Parameters
    ----------
    parts : sequence of pathlib.Path
        Of one schema, in order; one is in memory at a time.
    target : pathlib.Path
        Written whole or not at all.

    Returns
    -------
    dict of str to int
        ``failed``, the rows without an image, and ``flagged``, all whose flag is not 0.
    """
    counts = {"failed": 0, "flagged": 0}
    schema = pq.read_schema(parts[0])
    texts = [column.name for column in schema if pa.types.is_string(column.type)]
    longest = dict.fromkeys(texts, 1)
    for part in parts:
        table = pq.read_table(part, columns=texts)
        for name in texts:
            longest[name] = max(longest[name], pc.max(pc.utf8_length(table[name])).as_py() or 0)
    # What astropy's reader asks for, so that it need not guess.
    told = {f"table::len::{name}": str(length) for name, length in longest.items()}
    with (
        atomic.writing(target) as temporary,
        pq.ParquetWriter(temporary, schema.with_metadata(told)) as writer,
    ):
        for part in parts:
            table = pq.read_table(part)
            flags = table["flag"].to_numpy()
            counts["failed"] += int(np.sum((flags & (UNREADABLE | UNFIT)) > 0))
            counts["flagged"] += int(np.sum(flags > 0))
            writer.write_table(table.replace_schema_metadata(told))
    return counts
