"""Several answers to one question: deep ensembles, and networks with dropout left on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn import seeding
from galcnn.doubt.calibration import Calibration
from galcnn.doubt.uncertainty import Uncertainty
from galcnn.errors import message
from galcnn.model import TrainedModel
from galcnn.prediction import Prediction, predict_images
from galcnn.prediction.running import BATCH

__all__ = ["ensemble", "mc_dropout"]

Images = npt.NDArray[np.float32]
_DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
)


def ensemble(
    models: Sequence[TrainedModel],
    images: Images,
    *,
    calibrations: Sequence[Calibration | None] = (),
) -> Uncertainty:
    """Ask several networks (Lakshminarayanan et al. 2017): same data, other seeds.

    Parameters
    ----------
    models : sequence of galcnn.model.TrainedModel
        At least two, of the same classes and inputs.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands), in the models' unit.
    calibrations : sequence of Calibration, optional
        One a model, applied before the mean.

    Returns
    -------
    Uncertainty
        One member a model, in the order of the first one's classes.

    Raises
    ------
    ValueError
        Fewer than two models, or other classes or inputs.
    """
    if len(models) < 2:
        raise ValueError(message("at least two models", "Train with other seeds.", models=len(models)))
    first = models[0].card
    for trained in models[1:]:
        if trained.classes != first.classes or trained.card.inputs != first.inputs:
            raise ValueError(
                message(
                    f"models of classes {first.classes} and inputs {first.inputs}",
                    "",
                    model=trained.card.name,
                    classes=trained.classes,
                    inputs=trained.card.inputs,
                )
            )
    chosen = list(calibrations) or [None] * len(models)
    members = [
        _probabilities(predict_images(trained.model, images), trained.classes, calibration)
        for trained, calibration in zip(models, chosen, strict=True)
    ]
    return Uncertainty(np.stack(members))


def mc_dropout(
    trained: TrainedModel,
    images: Images,
    *,
    n_samples: int = 20,
    seed: int = 0,
    calibration: Calibration | None = None,
) -> Uncertainty:
    """Ask one network with dropout left on (Gal & Ghahramani 2016).

    Dropout alone is on: batch normalisation keeps its statistics. The user's model is left as it
    is, seed states included: a copy is asked.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        With at least one dropout layer.
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands), in the model's unit.
    n_samples : int
        Masks, at least two. Each image has masks of its own; they depend on `seed` and on the
        place of the image among `images`.
    seed : int
        Of the masks.
    calibration : Calibration, optional
        Applied to each member.

    Returns
    -------
    Uncertainty
        One member a mask.

    Raises
    ------
    ValueError
        The model has no dropout: all members would be one.
    """
    if n_samples < 2:
        raise ValueError(message("at least two samples", "", n_samples=n_samples))
    copy = _copy_with_dropout(trained.model, seed)
    members = []
    for _ in range(n_samples):
        logits = [
            np.asarray(copy(images[start : start + BATCH], training=True))
            for start in range(0, len(images), BATCH)
        ]
        members.append(_probabilities(np.concatenate(logits), trained.classes, calibration))
    return Uncertainty(np.stack(members))


def _copy_with_dropout(model: keras.Model, seed: int) -> Any:
    """A copy for which `training` means dropout and nothing else, as one compiled function."""
    import tensorflow as tf

    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.trainable = False  # batch normalisation then infers, even in training mode
    random = [layer for layer in copy._flatten_layers() if hasattr(layer, "seed_generator")]
    if other := [layer.name for layer in random if not isinstance(layer, _DROPOUTS)]:
        raise ValueError(
            message("no random layer but dropout", "Leave it out of the saved model.", random=other)
        )
    if not random:
        raise ValueError(message("a network with dropout", "Use an ensemble of seeds.", model=model.name))
    for layer in random:
        layer.seed_generator.state.assign([seeding.integer(seed, layer.name), 0])
    return tf.function(copy, reduce_retracing=True)


def _probabilities(
    logits: npt.NDArray[np.float32], classes: Sequence[str], calibration: Calibration | None
) -> npt.NDArray[np.float64]:
    prediction = Prediction(tuple(str(i) for i in range(len(logits))), logits, tuple(classes))
    return (prediction if calibration is None else calibration.apply(prediction)).probabilities
