"""Convert Arrow tables, such as those of Parquet files, to astropy's, with all digits and missing values."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
from astropy.table import MaskedColumn, Table

from galcnn.catalog.catalog import as_str
from galcnn.errors import message

if TYPE_CHECKING:
    import pyarrow as pa


def from_arrow(table: pa.Table) -> Table:
    """Convert a table; the fields of a structure become columns, such as ``flux.g``.

    Lists of one length become columns of arrays, other lists one array per row; times become text.
    """
    import pyarrow as pa

    table = pa.table([_storage(column) for column in table.columns], names=table.column_names)
    while any(pa.types.is_struct(column.type) for column in table.columns):
        table = table.flatten()
        table = pa.table([_storage(column) for column in table.columns], names=table.column_names)
    if repeated := [name for name, number in Counter(table.column_names).items() if number > 1]:
        raise ValueError(message("names of columns that differ", "Rename one of them.", repeated=repeated))
    return Table(
        {name: _column(column) for name, column in zip(table.column_names, table.columns, strict=True)},
        copy=False,
    )


def _storage(column: Any) -> Any:
    """Return a column without dictionary, run lengths and extension types."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if isinstance(kind, pa.BaseExtensionType):
        return _storage(pa.chunked_array([c.storage for c in column.chunks], kind.storage_type))
    if pa.types.is_dictionary(kind):
        return _storage(column.cast(kind.value_type))
    if pa.types.is_run_end_encoded(kind):
        return _storage(pc.run_end_decode(column))
    return column


def _column(column: Any) -> Any:
    """Return the values of a column, masked where they are missing."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_null(kind):
        return MaskedColumn(np.zeros(len(column)), mask=True)
    if pa.types.is_decimal(kind):
        column = _whole(column) if kind.scale == 0 else column.cast(pa.float64())
    elif pa.types.is_float16(kind):
        column = column.cast(pa.float32())
    kind, missing = column.type, column.null_count
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        if not missing:
            return column.to_numpy()
        mask = pc.is_null(column).to_numpy()
        # NaN below the mask, for those who do not look at it.
        filler = False if pa.types.is_boolean(kind) else np.nan if pa.types.is_floating(kind) else 0
        return MaskedColumn(column.fill_null(filler).to_numpy(), mask=mask)
    if _is_list(kind):
        return _lists(column)
    if pa.types.is_map(kind):
        values = [None if value is None else str(dict(value)) for value in column.to_pylist()]
    elif _is_binary(kind):
        values = [None if value is None else as_str(value) for value in column.to_pylist()]
    elif _is_text(kind):
        values = column.to_pylist()
    else:  # times and dates
        values = column.cast(pa.string()).to_pylist()
    texts = np.array(["" if value is None else value for value in values], dtype=str)
    return MaskedColumn(texts, mask=[value is None for value in values]) if missing else texts


def _is_text(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_binary(kind: Any) -> bool:
    import pyarrow as pa

    types = (
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_fixed_size_binary,
        pa.types.is_binary_view,
    )
    return any(is_kind(kind) for is_kind in types)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
        or pa.types.is_large_list_view(kind)
    )


def _whole(column: Any) -> Any:
    """Convert decimals without a fraction to 64-bit integers, or to text if they are longer."""
    import pyarrow as pa

    for kind in (pa.int64(), pa.uint64(), pa.string()):
        try:
            return column.cast(kind)
        except pa.ArrowInvalid:
            continue
    raise ValueError(f"{column.type} cannot be read")


def _lists(column: Any) -> Any:
    """Return lists of numbers as arrays, of one shape if all have the same length; other lists as objects."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if len(column) == 0:
        return np.empty(0, dtype=object)
    lengths = pc.unique(pc.list_value_length(column)).to_pylist()
    flat = pc.list_flatten(column)
    if len(lengths) == 1 and lengths[0] and not pa.types.is_nested(flat.type):
        values = _column(_storage(flat))
        return values.reshape((len(column), lengths[0]))
    kind: Any = np.float64
    if _is_text(flat.type):
        kind = np.str_
    elif pa.types.is_nested(flat.type) or flat.null_count:
        kind = object
    elif pa.types.is_integer(flat.type) or pa.types.is_boolean(flat.type):
        kind = flat.type.to_pandas_dtype()
    cells = np.empty(len(column), dtype=object)
    for row, value in enumerate(column.to_pylist()):
        cells[row] = np.array(value or [], dtype=kind)
    return cells
