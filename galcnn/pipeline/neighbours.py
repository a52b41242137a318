"""Nearest neighbours of a galaxy, by the embeddings of a run or of an image file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table
from sklearn.neighbors import NearestNeighbors

from galcnn.dataset import InputFiles
from galcnn.errors import message
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
        Classes, in the order of the columns of `probabilities`.
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
        table["class"] = np.array([self.classes[i] for i in shares.argmax(axis=1)], dtype=str)
        table["p"] = shares.max(axis=1)
        table["p"].description = "probability of the class"
        return table


def read_embedded(table: str | os.PathLike[str]) -> Embedded:
    """Read the table of a run with embeddings.

    Parameters
    ----------
    table : path-like
        Output folder of ``galcnn classify --embeddings``, or its ``table.parquet``.

    Returns
    -------
    Embedded
        Embeddings and probabilities, in the order of the table.

    Raises
    ------
    FileNotFoundError
        If there is no table.
    ValueError
        If the table has no embeddings or no class probabilities.
    """
    file = Path(table) / TABLE if Path(table).is_dir() else Path(table)
    read = _read(file)
    numbers = [name for name in read.column_names if name not in ("id", "embedding")]
    classes = classes_of(Table({name: read[name].to_numpy() for name in numbers}))
    if not classes:
        raise ValueError(message("columns p_<class>", "A model of vote fractions has none.", table=str(file)))
    column = read["embedding"].combine_chunks()
    return Embedded(
        tuple(read["id"].to_pylist()),
        column.flatten().to_numpy(zero_copy_only=False).reshape(len(column), -1),
        classes,
        np.column_stack([read[f"p_{name}"].to_numpy() for name in classes]),
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
            message("embeddings of one length", "", path=str(file), type=str(schema.field("embedding").type))
        )
    numbers = [field.name for field in schema if pa.types.is_floating(field.type)]
    return pq.read_table(file, columns=[*wanted, *numbers])


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
        Neighbours, nearest first. Columns `rank` (from 1), `id`, `distance`, `class` (most probable
        class) and `p` (its probability).

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
    settings = ClassifySettings(calibrated=False, embeddings=True, fit=fit, render=render)
    shown = ",".join(os.fspath(path) for path in paths)
    answer = classify_batch(
        ready, [InputFiles({shown: paths}, **dict(reading or {})).load(shown)], [shown], settings=settings
    )[0]
    if answer["flag"] & NO_ANSWER:
        raise ValueError(f"{shown}: {answer['reason']}")
    features: npt.NDArray[np.float32] = np.asarray(answer["embedding"], dtype=np.float32)
    return features
