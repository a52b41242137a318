"""Features and probabilities of many galaxies, as a run has written them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from galcnn.doubt import Uncertainty
from galcnn.errors import message
from galcnn.prediction import BLANK, MASKED, UNFIT, UNREADABLE

__all__ = ["Embedded", "read_embedded"]

_TABLE = "table.parquet"
#: Nothing, or not enough, was seen of these. (One unlike the training set is seen well, and may be the very
#: one that is looked for.)
_UNSEEN = UNREADABLE | UNFIT | MASKED | BLANK


@dataclass(frozen=True, eq=False)
class Embedded:
    """What a network made of some galaxies.

    Attributes
    ----------
    ids : tuple of str
        One a galaxy.
    features : numpy.ndarray
        float32, shape (n, n_features): what the last layer reads; not finite where there is no answer.
    classes : tuple of str
        Of the probabilities.
    members : numpy.ndarray
        Probabilities, float64, shape (n_members, n, n_classes): of one model, or of several.
    flags : numpy.ndarray
        int, shape (n,): see `galcnn.prediction` and `galcnn.pipeline.classifying.OUTSIDE`.
    """

    ids: tuple[str, ...]
    features: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    members: npt.NDArray[np.float64]
    flags: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        n = len(self.ids)
        shapes = self.features.shape[:1], self.members.shape[1:], self.flags.shape
        if self.features.ndim != 2 or shapes != ((n,), (n, len(self.classes)), (n,)):
            raise ValueError(message(f"features, probabilities and flags of {n} galaxies", "", shapes=shapes))
        if len(set(self.ids)) != n:
            raise ValueError(
                message("unique ids", "Two rows are one galaxy.", n=n, different=len(set(self.ids)))
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """Where galaxies were seen: not unreadable, unfit, masked or blank, and with finite features."""
        seen: npt.NDArray[np.bool_] = (self.flags & _UNSEEN) == 0
        return seen & np.isfinite(self.features).all(axis=1) & np.isfinite(self.members).all(axis=(0, 2))

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Mean over the models, shape (n, n_classes)."""
        return self.members[0] if len(self.members) == 1 else Uncertainty(self.members).probabilities

    def row_of(self, id_: str) -> int:
        """Find a galaxy.

        Parameters
        ----------
        id_ : str
            Its id.

        Returns
        -------
        int
            Its row.

        Raises
        ------
        ValueError
            There is no such galaxy, or it has no features.
        """
        if id_ not in self.ids:
            raise ValueError(
                message("an id of the table", "Check its spelling.", id=id_, the_first=list(self.ids[:3]))
            )
        row = self.ids.index(id_)
        if not np.isfinite(self.features[row]).all():
            raise ValueError(message("a galaxy that the network has seen", "See its reason.", id=id_))
        return row


def read_embedded(tables: Sequence[str | os.PathLike[str]]) -> Embedded:
    """Read the table of a run with embeddings, or those of several models on one catalog.

    Parameters
    ----------
    tables : sequence of path-like
        Folders of `galcnn run --embeddings`, or their ``table.parquet``. Features are those of the first;
        probabilities are those of each, as of an ensemble.

    Returns
    -------
    Embedded
        In the order of the first table.

    Raises
    ------
    FileNotFoundError
        There is no table.
    ValueError
        One without embeddings or probabilities, or tables of other galaxies or classes.
    """
    files = [Path(table) / _TABLE if Path(table).is_dir() else Path(table) for table in tables]
    read = [_read(file, embedded=number == 0) for number, file in enumerate(files)]
    first = read[0]
    names = [name for name in first.column_names if name.startswith("p_")]
    if not names:
        raise ValueError(
            message("columns p_<class>", "A model of vote fractions has none.", table=str(files[0]))
        )
    for file, table in zip(files[1:], read[1:], strict=True):
        same = table["id"].equals(first["id"])
        if not same or [name for name in table.column_names if name.startswith("p_")] != names:
            raise ValueError(
                message(
                    "tables of the same galaxies and classes",
                    "Run each model on one catalog.",
                    table=str(file),
                    first=str(files[0]),
                )
            )
    column = first["embedding"].combine_chunks()
    features = column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1)
    members = np.stack([np.column_stack([table[name].to_numpy() for name in names]) for table in read])
    flags = np.bitwise_or.reduce([table["flag"].to_numpy().astype(np.int64) for table in read])
    classes = tuple(name.removeprefix("p_") for name in names)
    return Embedded(tuple(first["id"].to_pylist()), features, classes, members, flags)


def _read(file: Path, *, embedded: bool) -> pa.Table:
    if not file.exists():
        raise FileNotFoundError(
            message("a folder or table of galcnn run", "Check the path, or let it finish.", missing=str(file))
        )
    try:
        schema = pq.read_schema(file)
    except pa.ArrowInvalid as error:
        raise ValueError(
            message("a Parquet table of galcnn run", "", path=str(file), error=str(error))
        ) from error
    wanted = {"id", "flag"} | ({"embedding"} if embedded else set())
    if missing := wanted - set(schema.names):
        raise ValueError(
            message(
                f"columns {sorted(wanted)}",
                "Run galcnn run --embeddings." if "embedding" in missing else "It is no table of galcnn run.",
                path=str(file),
                missing=sorted(missing),
            )
        )
    if embedded and not pa.types.is_fixed_size_list(schema.field("embedding").type):
        raise ValueError(
            message("embeddings of one width", "", path=str(file), type=str(schema.field("embedding").type))
        )
    columns = [name for name in schema.names if name in wanted or name.startswith("p_")]
    return pq.read_table(file, columns=columns)
