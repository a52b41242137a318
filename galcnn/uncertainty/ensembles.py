"""Deep ensembles and MC dropout, and the disagreement of their members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.model import TrainedModel
from galcnn.model.weights import give_weights
from galcnn.prediction import Prediction, predict_images
from galcnn.prediction.calibration import Calibration
from galcnn.prediction.logits import BATCH
from galcnn.prediction.prediction import shannon_entropy

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Probabilities of several networks, or of one network with several dropout masks.

    Attributes
    ----------
    members : numpy.ndarray
        Probabilities, float64, shape (n_members, n, n_classes); NaN where there is no prediction.

    Examples
    --------
    >>> import numpy as np
    >>> two = Uncertainty(np.array([[[1.0, 0.0]], [[0.0, 1.0]]]))
    >>> float(two.entropy[0] - two.mutual_information[0])  # each is certain, but they disagree
    0.0
    """

    members: Floats

    def __post_init__(self) -> None:
        members = np.array(self.members, dtype=np.float64)
        if members.ndim != 3 or len(members) < 2:
            raise ValueError(
                message(
                    "probabilities of at least two members (members, n, classes)", "", shape=members.shape
                )
            )
        members.flags.writeable = False
        object.__setattr__(self, "members", members)

    @property
    def probabilities(self) -> Floats:
        """Mean probabilities over the members, shape (n, n_classes)."""
        mean: Floats = self.members.mean(axis=0)
        return mean

    @property
    def std(self) -> Floats:
        """Sample standard deviation of the probabilities over the members, shape (n, n_classes)."""
        std: Floats = self.members.std(axis=0, ddof=1)
        return std

    @property
    def entropy(self) -> Floats:
        """Entropy of the mean probabilities in nats, shape (n,): the total uncertainty."""
        return shannon_entropy(self.probabilities)

    @property
    def mutual_information(self) -> Floats:
        """Entropy of the mean minus mean entropy, in nats, shape (n,): the disagreement of the members.

        This is the information that the true class would give about the network (Houlsby et al. 2011,
        BALD, equation 2). The mean entropy is the uncertainty that all members share, for example
        because an image is blurred.
        """
        disagreement: Floats = np.maximum(self.entropy - shannon_entropy(self.members).mean(axis=0), 0.0)
        return disagreement


Images = npt.NDArray[np.float32]

_DROPOUTS = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.AlphaDropout,
    keras.layers.GaussianDropout,
)


class DropoutSampler:
    """A copy of a network with only its dropout layers in training mode (Gal & Ghahramani 2016)."""

    def __init__(self, model: keras.Model) -> None:
        import tensorflow as tf

        copy = keras.models.clone_model(model)
        give_weights(copy, model)
        copy.trainable = False  # batch normalisation then uses its moving statistics, even in training mode
        random = [layer for layer in copy._flatten_layers() if hasattr(layer, "seed_generator")]
        if other := [layer.name for layer in random if not isinstance(layer, _DROPOUTS)]:
            raise ValueError(
                message("no random layer but dropout", "Leave it out of the saved model.", random=other)
            )
        if not random:
            raise ValueError(message("a network with dropout", "Use an ensemble of seeds.", model=model.name))
        self._layers = [layer.name for layer in random]

        def masked(image: tf.Tensor, seeds: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
            for layer, seed in zip(random, tf.unstack(seeds, len(random)), strict=True):
                state = layer.seed_generator.state
                state.assign(tf.cast(tf.stack([seed, 0]), state.dtype))
            return copy(tf.repeat(image[tf.newaxis], n, axis=0), training=True)

        self._masked = tf.function(masked, reduce_retracing=True)

    def logits(
        self, images: Images, ids: Sequence[str], *, n_samples: int, seed: int = 0
    ) -> npt.NDArray[np.float32]:
        """Compute logits, shape (n_samples, n, n_classes); masks depend on `seed` and image id only."""
        if n_samples < 2:
            raise ValueError(message("at least two samples", "", n_samples=n_samples))
        found = []
        for image, name in zip(images, ids, strict=True):
            parts = []
            for start in range(0, n_samples, BATCH):
                key = (name, start) if start else (name,)
                seeds = np.array([seeding.integer(seed, *key, layer) for layer in self._layers])
                parts.append(np.asarray(self._masked(image, seeds, min(BATCH, n_samples - start))))
            found.append(np.concatenate(parts))
        return np.stack(found, axis=1)


def ensemble(
    models: Sequence[TrainedModel],
    images: Images,
    *,
    calibrations: Sequence[Calibration | None] = (),
) -> Uncertainty:
    """Predict with a deep ensemble: models trained alike with different seeds.

    See Lakshminarayanan et al. (2017).

    Parameters
    ----------
    models : sequence of galcnn.model.TrainedModel
        At least two models with the same classes and input specification.
    images : numpy.ndarray
        Images, shape (n, ny, nx, n_bands), in the models' unit.
    calibrations : sequence of Calibration, optional
        One calibration per model (or None for a model without one), applied to its logits.

    Returns
    -------
    Uncertainty
        Probabilities with one member per model, in the order of `models`.

    Raises
    ------
    ValueError
        If there are fewer than two models, or their classes or inputs differ.
    """
    if len(models) < 2:
        raise ValueError(message("at least two models", "Train with other seeds.", models=len(models)))
    check_alike(models)
    chosen = list(calibrations) or [None] * len(models)
    members = [
        _probabilities(predict_images(trained.model, images), trained.classes, calibration)
        for trained, calibration in zip(models, chosen, strict=True)
    ]
    return Uncertainty(np.stack(members))


def check_alike(models: Sequence[TrainedModel]) -> None:
    """Check that models have the same classes, votes and inputs; raise ValueError if not."""
    first = models[0].card
    for trained in models[1:]:
        card = trained.card
        if (card.classes, card.votes, card.inputs) != (first.classes, first.votes, first.inputs):
            raise ValueError(
                message(
                    f"models of classes {first.classes} and inputs {first.inputs}",
                    "",
                    model=card.name,
                    classes=card.classes,
                    inputs=card.inputs,
                )
            )


def mc_dropout(
    trained: TrainedModel,
    images: Images,
    *,
    n_samples: int = 20,
    seed: int = 0,
    calibration: Calibration | None = None,
) -> Uncertainty:
    """Predict with dropout active at inference (MC dropout).

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        Model with at least one dropout layer.
    images : numpy.ndarray
        Images, shape (n, ny, nx, n_bands), in the model's unit.
    n_samples : int
        Number of dropout masks per image, at least two. Masks depend on `seed` and on the position of
        the image in `images`.
    seed : int
        Random seed of the masks.
    calibration : Calibration, optional
        Calibration applied to the logits of each member.

    Returns
    -------
    Uncertainty
        Probabilities with one member per mask.

    Raises
    ------
    ValueError
        If the model has no dropout layer or other random layers, or `n_samples` is below two.
    """
    ids = [str(i) for i in range(len(images))]
    drawn = DropoutSampler(trained.model).logits(images, ids, n_samples=n_samples, seed=seed)
    return Uncertainty(np.stack([_probabilities(one, trained.classes, calibration) for one in drawn]))


def _probabilities(
    logits: npt.NDArray[np.float32], classes: Sequence[str], calibration: Calibration | None
) -> npt.NDArray[np.float64]:
    prediction = Prediction(tuple(str(i) for i in range(len(logits))), logits, tuple(classes))
    return (prediction if calibration is None else calibration.apply(prediction)).probabilities
