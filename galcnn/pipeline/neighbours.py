"""Nearest neighbours of a galaxy, by the embeddings of a run or of an image file."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy.table import Table
from sklearn.neighbors import NearestNeighbors

from galcnn.catalog.formats import FORMATS, read_table
from galcnn.dataset import InputFiles
from galcnn.errors import message, without_content
from galcnn.pipeline.classification import ClassifySettings, classify_batch, open_classifier
from galcnn.pipeline.runs import MANIFEST, TABLE
from galcnn.prediction import BLANK, MASKED
from galcnn.prediction.flags import NO_ANSWER
from galcnn.prediction.tables import classes_of

_DISAGREEMENT = "mutual_information"


#: Flags of galaxies that are left out: no usable image, or too little of it. (Galaxies that are out of
#: distribution stay: they may be just what is searched for.)
_UNSEEN = NO_ANSWER | MASKED | BLANK


@dataclass(frozen=True, eq=False)
class Embedded:
    """Embeddings and probabilities of the galaxies of a run.

    Attributes
    ----------
    ids : tuple of str
        Identifiers, one per galaxy; unique.
    features : numpy.ndarray
        Features that the last layer reads, float32, shape (n, n_features); NaN for galaxies without a
        prediction.
    classes : tuple of str
        Classes, in the order of the columns of `probabilities`; none for a table of embeddings alone.
    probabilities : numpy.ndarray
        Class probabilities, float64, shape (n, n_classes).
    flags : numpy.ndarray
        Flags, int, shape (n,), see `galcnn.prediction`.
    mutual_information : numpy.ndarray or None
        Disagreement between the models of an ensemble or between dropout samples, float64, shape (n,),
        in nats.
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
                message("unique ids", "Remove the repeated rows.", n=n, different=len(set(self.ids)))
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """True for galaxies that are readable, fit, not masked or blank, and have finite features."""
        seen: npt.NDArray[np.bool_] = (self.flags & _UNSEEN) == 0
        return seen & np.isfinite(self.features).all(axis=1) & np.isfinite(self.probabilities).all(axis=1)

    def row_of(self, id_: str) -> int:
        """Return the row of a galaxy."""
        if id_ not in self.ids:
            raise ValueError(
                message("an id of the table", "Check its spelling.", id=id_, the_first=list(self.ids[:3]))
            )
        row = self.ids.index(id_)
        if not np.isfinite(self.features[row]).all():
            raise ValueError(
                message("a galaxy with an embedding", "The column reason says why it has none.", id=id_)
            )
        return row

    def ranked(self, rows: npt.NDArray[np.intp], by: str, values: npt.NDArray[np.float64]) -> Table:
        """Return a table of some galaxies in the given order, with the column `by`."""
        shares = self.probabilities[rows]
        table = Table()
        table["rank"] = np.arange(1, len(rows) + 1)
        table["id"] = np.array([self.ids[i] for i in rows], dtype=str)
        table[by] = values
        if self.classes:
            table["class"] = np.array([self.classes[i] for i in shares.argmax(axis=1)], dtype=str)
            table["p"] = shares.max(axis=1)
            table["p"].description = "probability of the class"
        return table


def read_embedded(table: str | os.PathLike[str]) -> Embedded:
    """Read embeddings: those of a run, or a table of another program.

    Parameters
    ----------
    table : path-like
        Output folder of ``galcnn classify --embeddings``, or its ``table.parquet``; the table of ``galcnn
        embed``; a table with a column `id` and a column `embedding` of vectors, or a column for each feature,
        numbered, such as ``feat_0``, ``feat_1`` ... (Parquet, ECSV, FITS, VOTable or CSV); or a file
        ``.npy``: an array of fields `id` and `embedding`, or a plain one of shape (n, n_features), whose ids
        are the numbers of the rows.

    Returns
    -------
    Embedded
        Embeddings in the order of the table, and the class probabilities ``p_<class>`` and flags, if it has
        them.

    Raises
    ------
    FileNotFoundError
        If there is no table.
    ValueError
        If the table has no ids or no embeddings of one length, or ids are repeated.
    """
    file = Path(table) / TABLE if Path(table).is_dir() else Path(table)
    if not file.exists():
        raise FileNotFoundError(
            message(
                "a folder or table of galcnn classify, or a table of embeddings",
                "Check the path, or let it finish.",
                missing=str(file),
            )
        )
    columns = _columns(file)
    features = _features_in(columns, file)
    if "id" not in columns:
        raise ValueError(message("a table with a column 'id'", "", path=str(file), columns=sorted(columns)))
    n = len(features)
    numbers = {name: one for name, one in columns.items() if one.ndim == 1 and one.dtype.kind in "fiu"}
    classes = classes_of(Table(numbers))
    shares = [columns[f"p_{name}"].astype(np.float64) for name in classes]
    return Embedded(
        tuple(str(one) for one in columns["id"]),
        features.astype(np.float32),
        classes,
        np.column_stack(shares) if shares else np.empty((n, 0)),
        columns["flag"].astype(np.int64) if "flag" in columns else np.zeros(n, dtype=np.int64),
        columns.get(_DISAGREEMENT),
    )


#: Key of the metadata of a table that says which encoder made it.
ENCODER = "galcnn:encoder"


def encoder_of(file: Path) -> dict[str, Any] | None:
    """Return what a table of galcnn embed says of its encoder; None for other files."""
    if not file.is_file() or FORMATS.get(file.suffix.lower()) != "parquet":
        return None
    try:
        content = (pq.read_schema(file).metadata or {}).get(ENCODER.encode(), b"null")
    except pa.ArrowInvalid:
        return None
    found: dict[str, Any] | None = json.loads(content)
    return found


#: Name of a column of one feature: a prefix and a number.
_NUMBERED = re.compile(r"(?P<prefix>.*?)(?P<number>\d+)")


def _columns(file: Path) -> dict[str, npt.NDArray[Any]]:
    """Read the columns of a table of embeddings by name."""
    if file.suffix.lower() == ".npy":
        try:
            read = np.load(file, allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise ValueError(
                message(
                    "an array of numbers",
                    "Save it by numpy.save.",
                    path=str(file),
                    error=without_content(error),
                )
            ) from error
        if read.dtype.names:
            return {name: read[name] for name in read.dtype.names}
        return {"id": np.arange(len(read)).astype(str), "embedding": read}
    if FORMATS.get(file.suffix.lower()) != "parquet":
        table = Table(read_table(file, texts=["id"]))
        return {name: np.ma.filled(np.ma.asarray(table[name]), _fill(table[name])) for name in table.colnames}
    try:
        arrow = pq.read_table(file)
    except pa.ArrowException as error:
        raise ValueError(
            message("a Parquet table with embeddings", "", path=str(file), error=without_content(error))
        ) from error
    return {name: _values(arrow[name], name, file) for name in arrow.column_names}


def _fill(column: Any) -> Any:
    return np.nan if np.asarray(column).dtype.kind == "f" else None


def _values(column: pa.ChunkedArray, name: str, file: Path) -> npt.NDArray[Any]:
    """Return a column of Arrow; lists of one length as rows."""
    whole = column.combine_chunks()
    kind = whole.type
    if not (pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        return np.asarray(whole.to_numpy(zero_copy_only=False))
    lengths = set(pc.list_value_length(whole).to_pylist())
    if len(lengths) > 1 or None in lengths:
        if name != "embedding":
            return np.array(whole.to_pylist(), dtype=object)
        raise ValueError(
            message("embeddings of one length", "", path=str(file), lengths=sorted(map(str, lengths)))
        )
    return np.asarray(whole.flatten().to_numpy(zero_copy_only=False)).reshape(len(whole), -1)


def _features_in(columns: Mapping[str, npt.NDArray[Any]], file: Path) -> npt.NDArray[Any]:
    """Return the embeddings of a table, shape (n, n_features): one column of vectors, or numbered columns."""
    if "embedding" in columns:
        found = columns["embedding"]
        if found.ndim != 2 or found.dtype.kind not in "fiu" or not found.shape[1]:
            raise ValueError(
                message(
                    "embeddings of one length, numbers",
                    "",
                    path=str(file),
                    shape=found.shape,
                    type=found.dtype,
                )
            )
        return found
    groups: dict[str, dict[int, str]] = {}
    for name, values in columns.items():
        if (one := _NUMBERED.fullmatch(name)) and values.ndim == 1 and values.dtype.kind == "f":
            groups.setdefault(one["prefix"], {})[int(one["number"])] = name
    whole = [one for one in groups.values() if len(one) > 1 and max(one) - min(one) + 1 == len(one)]
    if len(whole) != 1:
        raise ValueError(
            message(
                "a column 'embedding', or one numbered column for each feature, such as feat_0, feat_1 ...",
                "Run galcnn classify --embeddings.",
                path=str(file),
                columns=list(columns)[:10],
            )
        )
    return np.column_stack([columns[whole[0][number]] for number in sorted(whole[0])])


#: Distance measures between two feature vectors.
METRICS = ("cosine", "euclidean")


def nearest(
    embedded: Embedded,
    query: str | npt.ArrayLike,
    *,
    n: int = 10,
    metric: str = "cosine",
) -> Table:
    """Find the nearest neighbours of a galaxy in the feature space of the network.

    Parameters
    ----------
    embedded : Embedded
        The galaxies to search. Galaxies without a usable image are left out, see `Embedded.usable`.
    query : str or array-like
        Id of one of these galaxies, which is not returned as its own neighbour; or features of another
        galaxy from the same model, shape (n_features,).
    n : int
        Largest number of neighbours.
    metric : {"cosine", "euclidean"}
        Distance measure: one minus the cosine of the angle between two feature vectors, or their
        Euclidean distance.

    Returns
    -------
    astropy.table.Table
        Neighbours, nearest first. Columns `rank` (from 1), `id`, `distance` and, if there are probabilities,
        `class` (most probable class) and `p` (its probability).

    Raises
    ------
    ValueError
        If there is no such galaxy or metric, the features have another shape, or no other galaxy is
        usable.
    """
    if metric not in METRICS:
        raise ValueError(message(f"a metric among {METRICS}", "", metric=metric))
    if n < 1:
        raise ValueError(message("at least one neighbour", "", n=n))
    rows = np.flatnonzero(embedded.usable)
    if isinstance(query, str):
        row = embedded.row_of(query)
        features, rows = embedded.features[row], rows[rows != row]
    else:
        features = np.asarray(query, dtype=np.float32)
        if features.shape != embedded.features.shape[1:] or not np.isfinite(features).all():
            raise ValueError(
                message(
                    f"{embedded.features.shape[1]} finite features",
                    "Compute them with the model of the run.",
                    shape=features.shape,
                )
            )
    if not len(rows):
        raise ValueError(message("another galaxy with an embedding in the table", "", n=len(embedded)))
    index = NearestNeighbors(n_neighbors=min(n, len(rows)), metric=metric, algorithm="brute")
    # float64, because 1 - cosine of nearly parallel vectors loses half of the digits.
    found, places = index.fit(embedded.features[rows].astype(np.float64)).kneighbors(
        features[np.newaxis].astype(np.float64)
    )
    table = embedded.ranked(rows[places[0]], "distance", np.maximum(found[0], 0.0))
    table["distance"].description = f"{metric} distance of features"
    if isinstance(query, str):
        table.meta["query"] = query
    table.meta["metric"] = metric
    return table


def features_of_files(
    paths: Sequence[str | os.PathLike[str]],
    model: str | os.PathLike[str],
    table: str | os.PathLike[str],
    *,
    fit: bool = False,
    render: str | None = None,
    reading: Mapping[str, Any] | None = None,
) -> npt.NDArray[np.float32]:
    """Compute the features of an image with the model of a run.

    Parameters
    ----------
    paths : sequence of path-like
        Image file, or several files of one galaxy.
    model : path-like
        Model folder; for an ensemble, that of its first model.
    table : path-like
        Output folder of the run, or its table. The ``manifest.json`` beside it is used to check the
        model and to repeat the rendering.
    fit : bool
        If True, resample, crop and pad the image to the model's pixel grid.
    render : str, optional
        Rendering of the image; that of the run by default.
    reading : mapping of str to Any, optional
        Parameters of `galcnn.dataset.InputFiles`, such as `bands`.

    Returns
    -------
    numpy.ndarray
        Features, float32, shape (n_features,).

    Raises
    ------
    ValueError
        If the first model of the run was another one, or the image does not fit the model.
    galcnn.errors.UnreadableImageError, FileNotFoundError
        If the image cannot be read.
    """
    ready = open_classifier(model)
    place = Path(table) if Path(table).is_dir() else Path(table).parent
    if (place / MANIFEST).exists():
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        render = render or manifest["settings"]["render"]
        stated = manifest["model_sha256"].split(",")[0]
        if stated != ready.trained.card.model_sha256:
            raise ValueError(
                message(
                    "the model of the run",
                    "Features of two models cannot be compared: name the model of the run by --model.",
                    model_sha256=ready.trained.card.model_sha256[:12],
                    of_the_run=stated[:12],
                )
            )
    elif (stated := encoder_of(Path(table))) and stated["sha256"] != ready.trained.card.model_sha256:
        raise ValueError(
            message(
                "the model that made the table",
                "Features of two networks cannot be compared. Add the image to the catalog of galcnn embed.",
                model_sha256=ready.trained.card.model_sha256[:12],
                of_the_table=f"{stated['encoder']} {stated['sha256'][:12]}",
            )
        )
    settings = ClassifySettings(calibrated=False, embeddings=True, fit=fit, render=render)
    shown = ",".join(os.fspath(path) for path in paths)
    answer = classify_batch(
        ready, [InputFiles({shown: paths}, **dict(reading or {})).load(shown)], [shown], settings=settings
    )[0]
    if answer["flag"] & NO_ANSWER:
        raise ValueError(f"{shown}: {answer['reason']}")
    features: npt.NDArray[np.float32] = np.asarray(answer["embedding"], dtype=np.float32)
    return features
