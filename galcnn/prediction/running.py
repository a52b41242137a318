"""A model and images -> logits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from galcnn.inputs import images_from, prepare
from galcnn.prediction.prediction import Prediction

if TYPE_CHECKING:
    from galcnn.cutout import Cutout
    from galcnn.model import TrainedModel

__all__ = ["BATCH", "predict", "predict_images"]

#: Images that a network is given at once.
BATCH = 256
_PIECE = 16 * BATCH


def predict(
    trained: TrainedModel, cutouts: Sequence[Cutout], *, ids: Sequence[str] | None = None
) -> Prediction:
    """Run the network on cutouts that fit it.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    cutouts : sequence of galcnn.cutout.Cutout
        In the model's bands, unit and shape, see `galcnn.inputs.prepare`.
    ids : sequence of str, optional
        One a cutout; their numbers by default.

    Returns
    -------
    Prediction
        In the order of the cutouts.

    Raises
    ------
    ValueError
        A cutout does not fit the model.
    """
    spec = trained.card.inputs
    fitting = [prepare(cutout, spec) for cutout in cutouts]
    names = tuple(ids) if ids is not None else tuple(str(i) for i in range(len(fitting)))
    return Prediction(names, predict_images(trained.model, images_from(fitting)), trained.classes)


def predict_images(model: Any, images: Any) -> npt.NDArray[np.float32]:
    """Run a model on images in memory.

    Parameters
    ----------
    model : keras.Model
        From calibrated images to logits.
    images : numpy.ndarray or galcnn.dataset.PackedImages
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        Logits, float32, shape (n, n_classes).
    """
    if not isinstance(images, np.ndarray):  # on disk: read piece by piece
        starts = range(0, len(images), _PIECE)
        return np.concatenate([predict_images(model, images[i : i + _PIECE]) for i in starts])
    logits: npt.NDArray[np.float32] = model.predict(images, batch_size=BATCH, verbose=0)
    return logits
