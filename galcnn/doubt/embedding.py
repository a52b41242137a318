"""Where a network puts an image: the features that its last layer reads."""

from __future__ import annotations

import keras
import numpy as np
import numpy.typing as npt

from galcnn.model import TrainedModel
from galcnn.model.network import LOGITS
from galcnn.prediction import predict_images

__all__ = ["embed"]


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
    network = trained.network
    features = keras.Model(network.inputs, network.get_layer(LOGITS).input)
    inputs = trained.model.inputs
    return predict_images(keras.Model(inputs, features(trained.preprocessing(inputs[0]))), images)
