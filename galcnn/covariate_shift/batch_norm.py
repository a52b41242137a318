"""Adaptive batch normalisation: layer statistics recomputed on the images to be classified."""

from __future__ import annotations

import warnings
from dataclasses import replace

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model import TrainedModel, network_layers
from galcnn.model.forward import forward, outputs
from galcnn.model.graph import NetworkLayer
from galcnn.model.weights import give_weights

_BATCH = 64
#: Number of images below which the moments of a layer are mostly noise (Schneider et al. 2020, fig. 3).
_FEW = 32
#: Ratio of a class's share among the predictions to that in training above which a warning is given.
_SKEW = 3.0


class AdaptationWarning(UserWarning):
    """The images used for adaptation are too few, or their classes differ too much from training."""


def adapt_batchnorm(
    trained: TrainedModel, images: npt.NDArray[np.float32], *, source_weight: float = 0.0
) -> TrainedModel:
    """Replace the statistics of all batch-normalisation layers by those of new, unlabelled images.

    Layers are adapted in the order of the forward pass, because the input of a layer depends on the
    statistics of the layers before it. Moments are computed over all images and pixels together;
    averages of the variances of batches would be too small.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model. It is not changed.
    images : numpy.ndarray
        Images from `galcnn.model.images_from`, shape (n, ny, nx, n_bands), in the model's unit.
    source_weight : float
        Weight of the statistics from training, from 0 (AdaBN, Li et al. 2016, arXiv:1603.04779) to 1
        (no change). Schneider et al. 2020 (arXiv:2006.16971) use N / (N + n).

    Returns
    -------
    galcnn.model.TrainedModel
        A new model. Its card records `source_weight`, the number of images and the hash of the
        original model; the metrics of the original model are left out.

    Raises
    ------
    ValueError
        If the network has no batch normalisation, there are no images, or `source_weight` is outside
        [0, 1].

    Warns
    -----
    AdaptationWarning
        If there are fewer than 32 images, or a class is predicted more than three times as often as
        it occurs in training. If the class frequencies differ, adaptation does harm (Su et al. 2023,
        arXiv:2302.05155).
    """
    if not 0 <= source_weight <= 1:
        raise ValueError(message("a source_weight from 0 to 1", "", source_weight=source_weight))
    if images.ndim != 4 or len(images) == 0:
        raise ValueError(message("images of shape (n, ny, nx, n_bands)", "", shape=images.shape))
    if not _normalisations(trained.network):
        raise ValueError(
            message(
                "a network with batch normalisation",
                "Other normalisations hold no statistics: there is nothing to adapt.",
                layers=[layer.name for layer in trained.network.layers][:8],
            )
        )
    _warn(trained, images)
    model = keras.models.clone_model(trained.model)
    give_weights(model, trained.model)
    adapted = TrainedModel(model, trained.card)
    stretched = keras.ops.convert_to_numpy(adapted.preprocessing(images, training=False))
    for step in _normalisations(adapted.network):
        mean, variance = _moments(adapted.network, step, stretched)
        for variable, new in ((step.layer.moving_mean, mean), (step.layer.moving_variance, variance)):
            old = keras.ops.convert_to_numpy(variable)
            variable.assign((source_weight * old + (1 - source_weight) * new).astype(old.dtype))
    note = {"n_images": len(images), "source_weight": source_weight, "of": trained.card.model_sha256}
    card = replace(
        trained.card,
        data={**trained.card.data, "batchnorm_adapted": note},
        metrics={},
        model_sha256="",
    )
    return TrainedModel(model, card)


def _normalisations(network: keras.Model) -> list[NetworkLayer]:
    kind = keras.layers.BatchNormalization
    return [step for step in network_layers(network).values() if isinstance(step.layer, kind)]


def _moments(
    network: keras.Model, step: NetworkLayer, images: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean and population variance of each channel of the input of a layer, over all images."""
    # Batches are combined exactly, including the scatter of their means (Chan et al. 1983, eq. 2.1).
    (source,) = step.sources
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    for start in range(0, len(images), _BATCH):
        chunk = images[start : start + _BATCH]
        values = chunk if source == "input" else forward(network, chunk)[1][source]
        moved = np.moveaxis(keras.ops.convert_to_numpy(values), step.layer.axis, -1)
        flat = np.asarray(moved.reshape(-1, moved.shape[-1]), dtype=np.float64)
        own = flat.mean(axis=0)
        total = count + len(flat)
        squares = squares + ((flat - own) ** 2).sum(axis=0) + (own - mean) ** 2 * (count * len(flat) / total)
        mean = mean + (own - mean) * (len(flat) / total)
        count = total
    return mean, squares / count


def _warn(trained: TrainedModel, images: npt.NDArray[np.float32]) -> None:
    if len(images) < _FEW:
        warnings.warn(
            f"Batch-norm statistics of {len(images)} images are noisy: use {_FEW} or more.",
            AdaptationWarning,
            stacklevel=3,
        )
    prior = np.array([trained.card.class_prior.get(name, np.nan) for name in trained.classes])
    if not np.isfinite(prior).all():
        return
    answers = outputs(trained.model, images).argmax(axis=1)
    share = np.bincount(answers, minlength=len(prior)) / len(images)
    skewed = [
        name for name, now, then in zip(trained.classes, share, prior, strict=True) if now > _SKEW * then
    ]
    if skewed:
        warnings.warn(
            f"{', '.join(skewed)} is predicted {_SKEW:g} times as often as in training, or more: "
            "if the class frequencies differ, and not only the images, adapting reduces the accuracy.",
            AdaptationWarning,
            stacklevel=3,
        )
