"""Where a network puts an image: the features that its last layer reads."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from galcnn.model import TrainedModel
from galcnn.model.network import LOGITS
from galcnn.prediction import predict_images

__all__ = ["embed", "with_embedding"]


def with_embedding(trained: TrainedModel) -> keras.Model:
    """Give a model that answers with its logits and the features that they are made from.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        Shares its layers; left as it is.

    Returns
    -------
    keras.Model
        From images in the model's unit to (logits, features), dropout off.
    """
    network = trained.network
    both = keras.Model(network.inputs, [network.get_layer(LOGITS).output, network.get_layer(LOGITS).input])
    inputs = trained.model.inputs[0]
    return keras.Model(inputs, both(trained.preprocessing(inputs)))


def embed(trained: TrainedModel, images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Give the features from which the logits are made.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        Left as it is.
    images : numpy.ndarray or galcnn.dataset.PackedImages
        Shape (n, ny, nx, n_bands), in the model's unit.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_features): what enters the layer `logits`, dropout off.
    """
    both = with_embedding(trained)
    return predict_images(keras.Model(both.inputs, both.outputs[1]), images)
