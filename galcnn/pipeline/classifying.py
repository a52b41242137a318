"""The core of every pipeline: cutouts -> one row each, by a model that is loaded once a process."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.cutout import Cutout
from galcnn.doubt import Doubts
from galcnn.doubt.embedding import with_embedding
from galcnn.doubt.measures import image_measures
from galcnn.errors import message
from galcnn.model import Card, TrainedModel, load_model
from galcnn.prediction import Prediction, prediction_table, prior_of
from galcnn.prediction.files import Fitted, fitted
from galcnn.prediction.running import BATCH

__all__ = ["OUTSIDE", "Classifier", "ClassifySettings", "classify_batch", "open_classifier"]

#: Bit of the column `flag` beside those of `galcnn.prediction`: unlike the training set.
OUTSIDE = 16


@dataclass(frozen=True)
class ClassifySettings:
    """What a row holds.

    Attributes
    ----------
    prior : str
        See `galcnn.prediction.prior_of`.
    calibrated : bool
        Whether ``doubts.json`` of the model is used where it is there: calibrated probabilities,
        sets of classes, and the domain warning.
    embeddings : bool
        Whether the features that the last layer reads are kept.
    fit : bool
        Whether the pixel grid of a cutout may be changed, see `galcnn.inputs.prepare`.
    render : str or None
        See `galcnn.model.TrainedModel.with_render`.
    """

    prior: str = "as-trained"
    calibrated: bool = True
    embeddings: bool = False
    fit: bool = False
    render: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give plain values.

        Returns
        -------
        dict
            Of the attributes.
        """
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model that is ready to classify.

    Attributes
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    doubts : galcnn.doubt.Doubts or None
        What was measured of its doubt.
    answering : keras.Model
        See `galcnn.doubt.embedding.with_embedding`.
    """

    trained: TrainedModel
    doubts: Doubts | None
    answering: keras.Model


def open_classifier(folder: str | os.PathLike[str]) -> Classifier:
    """Load a model, once a process for each content of its folder.

    Parameters
    ----------
    folder : path-like
        Of the model. Workers of a pipeline are given this path, never a pickled model.

    Returns
    -------
    Classifier
        Shared by all who ask for the same.

    Raises
    ------
    FileNotFoundError, ValueError
        See `galcnn.model.load_model` and `galcnn.doubt.Doubts.read`.
    """
    path = Path(folder).resolve()
    doubts = path / "doubts.json"
    stamp = doubts.read_text(encoding="utf-8") if doubts.exists() else ""
    sha256 = Card.read(path / "card.json").model_sha256 if (path / "card.json").exists() else ""
    return _loaded(str(path), sha256, stamp)


@functools.lru_cache(maxsize=2)
def _loaded(folder: str, sha256: str, stamp: str) -> Classifier:
    del stamp  # of the key alone
    trained = load_model(folder)
    return Classifier(trained, Doubts.read(folder, sha256), with_embedding(trained))


def classify_batch(
    model: str | os.PathLike[str] | Classifier,
    cutouts: Sequence[Cutout | Exception] | npt.NDArray[np.float32],
    ids: Sequence[str],
    *,
    settings: ClassifySettings | None = None,
) -> Table:
    """Classify a batch of galaxies; whatever happens to one of them, it has its row.

    Parameters
    ----------
    model : path-like or Classifier
        A model folder, loaded once a process, or what `open_classifier` gave.
    cutouts : sequence of galcnn.cutout.Cutout or Exception, or numpy.ndarray
        One a galaxy; an exception says why there is no cutout. Or images as the network is given
        them, shape (n, ny, nx, n_bands).
    ids : sequence of str
        One a galaxy.
    settings : ClassifySettings, optional
        The defaults when not given.

    Returns
    -------
    astropy.table.Table
        Columns of `galcnn.prediction.prediction_table`; where the model has ``doubts.json``, `set`
        (classes that cannot be excluded, joined by ``|``) and `distance` (from the training set, in
        robust deviations; `flag` has the bit `OUTSIDE` beyond its limit); and `embedding`, float32
        (n, n_features), if wanted.

    Raises
    ------
    ValueError
        Another number of ids than of cutouts, or images of another shape.
    """
    settings = settings or ClassifySettings()
    ready = model if isinstance(model, Classifier) else open_classifier(model)
    trained = ready.trained.with_render(settings.render)
    if len(ids) != len(cutouts):
        raise ValueError(message(f"an id for each of {len(cutouts)} galaxies", "", n_ids=len(ids)))
    found = _usable(trained, cutouts, fit=settings.fit)
    rows, images, flags, reasons = found.rows, found.images, found.flags, found.reasons
    n = len(ids)
    width = ready.answering.output_shape[1][-1]
    logits = np.full((n, len(trained.classes)), np.nan, dtype=np.float32)
    features = np.full((n, width), np.nan, dtype=np.float32)
    if len(rows):
        logits[rows], features[rows] = ready.answering.predict(images, batch_size=BATCH, verbose=0)
    prediction = Prediction(tuple(ids), logits, trained.classes)
    if (prior := prior_of(settings.prior, trained)) is not None:
        prediction = prediction.with_prior(prior, trained.card.trained_prior)
    doubts = ready.doubts if settings.calibrated else None
    extra: dict[str, Any] = {}
    if doubts is not None:
        prediction = doubts.calibration.apply(prediction)
        extra["set"] = np.array(doubts.sets.words(prediction), dtype=str)
        extra["distance"] = np.full(n, np.nan, dtype=np.float32)
        if len(rows):
            measures = image_measures(images, trained.card.inputs)
            outside, words, distance = doubts.domain.warn(measures, features[rows])
            extra["distance"][rows] = distance
            for row, out, why in zip(rows, outside, words, strict=True):
                if out:
                    flags[row] |= OUTSIDE
                    reasons[row] = "; ".join(text for text in (reasons[row], why) if text)
    if settings.embeddings:
        extra["embedding"] = features
    table = prediction_table(prediction, flags=flags, reasons=reasons)
    for name, values in extra.items():
        table[name] = values
    return table


def _usable(
    trained: TrainedModel, cutouts: Sequence[Cutout | Exception] | npt.NDArray[np.float32], *, fit: bool
) -> Fitted:
    """Images that are given as such are taken as they are."""
    spec = trained.card.inputs
    if not isinstance(cutouts, np.ndarray):
        return fitted(cutouts, spec, fit=fit)
    if cutouts.shape[1:] != spec.image_shape:
        raise ValueError(message(f"images of shape {spec.image_shape}", "", shape=cutouts.shape[1:]))
    n = len(cutouts)
    images = np.asarray(cutouts, dtype=np.float32)
    return Fitted(np.arange(n), images, np.zeros(n, dtype=np.int16), [""] * n)
