"""A model that is ready to classify, loaded once a process, and what is asked of it."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt

from galcnn.doubt import Doubts
from galcnn.doubt.embedding import with_embedding
from galcnn.doubt.ensembles import DropoutSampler, check_alike
from galcnn.errors import message
from galcnn.model import Card, TrainedModel, load_model
from galcnn.pipeline.settings import ClassifySettings
from galcnn.prediction import Prediction, prior_of
from galcnn.votes import cumulative_fractions

__all__ = ["Classifier", "ClassifySettings", "Models", "open_classifier", "open_classifiers"]


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

    @functools.cached_property
    def sampler(self) -> DropoutSampler:
        """The same model with dropout left on."""
        return DropoutSampler(self.trained.model)

    def prediction(
        self, ids: Sequence[str], logits: npt.NDArray[np.float32], settings: ClassifySettings
    ) -> Prediction:
        """Read logits under the prior that is asked for, calibrated where that was measured.

        Parameters
        ----------
        ids : sequence of str
            One a galaxy.
        logits : numpy.ndarray
            Shape (n, n_classes).
        settings : ClassifySettings
            What is asked for.

        Returns
        -------
        galcnn.prediction.Prediction
            Of these galaxies.
        """
        found = Prediction(tuple(ids), logits, self.trained.classes)
        if (prior := prior_of(settings.prior, self.trained)) is not None:
            found = found.with_prior(prior, self.trained.card.trained_prior)
        calibrate = self.doubts is not None and settings.calibrated
        return self.doubts.calibration.apply(found) if calibrate and self.doubts is not None else found

    def shares(self, logits: npt.NDArray[np.float32], settings: ClassifySettings) -> npt.NDArray[np.float64]:
        """Turn logits into probabilities of the classes, or into vote fractions.

        Parameters
        ----------
        logits : numpy.ndarray
            Shape (n, n_classes) or (n, n_answers).
        settings : ClassifySettings
            What is asked for.

        Returns
        -------
        numpy.ndarray
            Of the same shape.
        """
        if self.trained.votes is not None:
            return cumulative_fractions(logits, self.trained.votes)
        return self.prediction([str(i) for i in range(len(logits))], logits, settings).probabilities


#: A model folder, or one that is loaded; several are an ensemble.
Models = str | os.PathLike[str] | Classifier | Sequence[str | os.PathLike[str] | Classifier]


def open_classifiers(model: Models) -> tuple[Classifier, ...]:
    """Load one model, or several that are asked together.

    Parameters
    ----------
    model : path-like or Classifier, or sequence of them
        Folders. Workers of a pipeline are given these paths, never a pickled model.

    Returns
    -------
    tuple of Classifier
        Shared by all who ask for the same.

    Raises
    ------
    FileNotFoundError, ValueError
        See `open_classifier`; or no model, or several of other classes or inputs.
    """
    several = model if isinstance(model, Sequence) and not isinstance(model, str) else [model]
    found = tuple(one if isinstance(one, Classifier) else open_classifier(one) for one in several)
    if not found:
        raise ValueError(message("at least one model", "", models=0))
    check_alike([one.trained for one in found])
    return found


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


@functools.lru_cache(maxsize=16)
def _loaded(folder: str, sha256: str, stamp: str) -> Classifier:
    del stamp  # of the key alone
    trained = load_model(folder)
    return Classifier(trained, Doubts.read(folder, sha256), with_embedding(trained))
