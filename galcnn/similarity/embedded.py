"""Features and probabilities of many galaxies, as a run has written them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from galcnn.errors import message
from galcnn.pipeline.runs import TABLE
from galcnn.prediction import BLANK, MASKED, UNFIT, UNREADABLE

__all__ = ["Embedded", "read_embedded"]

_DISAGREEMENT = "mutual_information"
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
    probabilities : numpy.ndarray
        float64, shape (n, n_classes).
    flags : numpy.ndarray
        int, shape (n,): see `galcnn.prediction` and `galcnn.pipeline.classification`.
    mutual_information : numpy.ndarray or None
        float64, shape (n,), nats: disagreement of several models, or of dropout samples.
    """

    ids: tuple[str, ...]
    features: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float64]
    flags: npt.NDArray[np.int64]
    mutual_information: npt.NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        shapes = self.features.shape[:1], self.probabilities.shape, self.flags.shape
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
        return seen & np.isfinite(self.features).all(axis=1) & np.isfinite(self.probabilities).all(axis=1)

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

    def ranked(self, rows: npt.NDArray[np.intp], by: str, values: npt.NDArray[np.float64]) -> Table:
        """Lay some galaxies out in their order.

        Parameters
        ----------
        rows : numpy.ndarray
            Of the galaxies, the first one first.
        by : str
            Name of what they are ordered by.
        values : numpy.ndarray
            Of it, shape of `rows`.

        Returns
        -------
        astropy.table.Table
            `rank` from 1, `id`, `by`, `class` (the most probable one) and `p`, its probability.
        """
        shares = self.probabilities[rows]
        table = Table()
        table["rank"] = np.arange(1, len(rows) + 1)
        table["id"] = np.array([self.ids[i] for i in rows], dtype=str)
        table[by] = values
        table["class"] = np.array([self.classes[i] for i in shares.argmax(axis=1)], dtype=str)
        table["p"] = shares.max(axis=1)
        table["p"].description = "probability of the class"
        return table


def read_embedded(table: str | os.PathLike[str]) -> Embedded:
    """Read the table of a run with embeddings.

    Parameters
    ----------
    table : path-like
        Folder of `galcnn classify --embeddings`, or its ``table.parquet``.

    Returns
    -------
    Embedded
        In the order of the table.

    Raises
    ------
    FileNotFoundError
        There is no table.
    ValueError
        It is without embeddings or probabilities.
    """
    file = Path(table) / TABLE if Path(table).is_dir() else Path(table)
    read = _read(file)
    names = [name for name in read.column_names if name.startswith("p_")]
    if not names:
        raise ValueError(message("columns p_<class>", "A model of vote fractions has none.", table=str(file)))
    column = read["embedding"].combine_chunks()
    return Embedded(
        tuple(read["id"].to_pylist()),
        column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1),
        tuple(name.removeprefix("p_") for name in names),
        np.column_stack([read[name].to_numpy() for name in names]),
        read["flag"].to_numpy().astype(np.int64),
        read[_DISAGREEMENT].to_numpy() if _DISAGREEMENT in read.column_names else None,
    )


def _read(file: Path) -> pa.Table:
    if not file.exists():
        raise FileNotFoundError(
            message(
                "a folder or table of galcnn classify", "Check the path, or let it finish.", missing=str(file)
            )
        )
    try:
        schema = pq.read_schema(file)
    except pa.ArrowInvalid as error:
        raise ValueError(
            message("a Parquet table of galcnn classify", "", path=str(file), error=str(error))
        ) from error
    wanted = {"id", "flag", "embedding"}
    if missing := wanted - set(schema.names):
        raise ValueError(
            message(
                f"columns {sorted(wanted)}",
                "Run galcnn classify --embeddings."
                if "embedding" in missing
                else "It is no table of galcnn classify.",
                path=str(file),
                missing=sorted(missing),
            )
        )
    if not pa.types.is_fixed_size_list(schema.field("embedding").type):
        raise ValueError(
            message("embeddings of one width", "", path=str(file), type=str(schema.field("embedding").type))
        )
    wanted |= {_DISAGREEMENT}
    columns = [name for name in schema.names if name in wanted or name.startswith("p_")]
    return pq.read_table(file, columns=columns)
