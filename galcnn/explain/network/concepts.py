"""Concept sensitivity, TCAV (Kim et al. 2018): does a target rise along the direction of a concept?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.explain.network.activations import activations, layer_gradients
from galcnn.model import Target, feature_maps

#: Fewest examples of a concept.
_FEWEST = 8


@dataclass(frozen=True)
class ConceptSensitivity:
    """Sensitivity of a target to a concept at a network layer, beside that to random concepts.

    Attributes
    ----------
    concept : str
        Name of the concept.
    target : Target
        Target.
    network_layer : str
        Network layer.
    score : float
        TCAV score: fraction of the images whose target rises along the concept's direction.
    slope : float
        Mean change of the target per unit length of the activations along that direction.
    p_value : float
        Fraction of random concepts, with this one, whose effect is as large, of either sign. The effect is
        the mean rise along the normal of the plane before it is scaled to unit length: the better the plane
        separates the labels, the longer is the normal.
    accuracy : float
        Fraction of examples on the right side of the plane that was fitted to the others (leave one out).
        Near 0.5, the layer does not separate the concept, and its direction means nothing.
    random_scores : tuple of float
        Scores of the random concepts.
    """

    concept: str
    target: Target
    network_layer: str
    score: float
    slope: float
    p_value: float
    accuracy: float
    random_scores: tuple[float, ...]


def concept_sensitivity(
    network: keras.Model,
    images: npt.NDArray[np.float32],
    target: Target | Sequence[Target],
    examples: npt.NDArray[np.float32],
    others: npt.NDArray[np.float32],
    *,
    concept: str = "concept",
    network_layer: str = "",
    paired: bool = False,
    n_random: int = 199,
    seed: int = 0,
) -> ConceptSensitivity:
    """Measure the sensitivity of a target to a concept that is given by example images.

    The method is that of arXiv:1711.11279. The direction of the concept is normal to the plane that separates
    the activations of examples with and without it, here by ridge regression of standardised activations,
    averaged over the cells of a feature map. Random concepts are the same examples with labels drawn at
    random, so that the p-value is exact if the examples do not differ: a permutation test.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model that ends in logits.
    images : numpy.ndarray
        Images for which the target is asked, for example of one class, shape (n, ny, nx, n_bands).
    target : Target or sequence of Target
        One target for all images, or one per image.
    examples, others : numpy.ndarray
        Images with and without the concept, shape (n, ny, nx, n_bands); at least 8 of each.
    concept : str
        Name of the concept.
    network_layer : str
        Name of a network layer, see `galcnn.model.network_layers`; by default the last feature maps. If only
        averages and a Dense layer follow it, all images have one slope and the score is 0 or 1.
    paired : bool
        If True, row i of `others` is row i of `examples` without the concept. Labels are then exchanged
        within pairs only, which finds smaller effects.
    n_random : int
        Number of random concepts; the smallest p-value is 1 / (n_random + 1).
    seed : int
        Seed of the random concepts.

    Returns
    -------
    ConceptSensitivity
        Score, slope, p-value and accuracy.

    Raises
    ------
    ValueError
        If there are too few examples, pairs of unequal numbers, or the network layer does not exist.
    """
    if min(len(examples), len(others)) < _FEWEST or (paired and len(examples) != len(others)) or n_random < 1:
        raise ValueError(
            message(
                f"at least {_FEWEST} images with the concept and without it, as many of each if they are "
                "pairs, and one or more random concepts",
                "",
                examples=len(examples),
                others=len(others),
                paired=paired,
                n_random=n_random,
            )
        )
    name = network_layer or feature_maps(network).name
    found = activations(network, np.concatenate([examples, others]), layers=[name])[name]
    features = _over_cells(found, np.mean)
    slopes = _over_cells(layer_gradients(network, images, target, layers=[name])[name], np.sum)
    labels = np.where(np.arange(len(features)) < len(examples), 1.0, -1.0)
    drawn = _random_labels(labels, len(examples) if paired else 0, n_random, seed)
    normals, accuracy = _normals(features, np.column_stack([labels, drawn]))
    along = slopes @ normals
    scores, effects = (along > 0).mean(axis=0), along.mean(axis=0)
    # Rounding must not decide between labels that are equal.
    as_large = np.abs(effects[1:]) >= abs(effects[0]) * (1 - 1e-9)
    length = float(np.linalg.norm(normals[:, 0]))
    return ConceptSensitivity(
        concept,
        target if isinstance(target, Target) else target[0],
        name,
        float(scores[0]),
        float(effects[0]) / length if length else 0.0,
        float((1 + as_large.sum()) / (1 + n_random)),
        accuracy,
        tuple(scores[1:].tolist()),
    )


def _over_cells(values: npt.NDArray[np.floating[Any]], combine: Any) -> npt.NDArray[np.float64]:
    """Combine the cells of feature maps; rows of units are kept."""
    cells = tuple(range(1, values.ndim - 1))
    whole = values.astype(np.float64)
    combined: npt.NDArray[np.float64] = combine(whole, axis=cells) if cells else whole
    return combined


def _random_labels(
    labels: npt.NDArray[np.float64], n_pairs: int, n_random: int, seed: int
) -> npt.NDArray[np.float64]:
    """Permute labels, or exchange them within pairs; shape (n_examples, n_random)."""
    stream = seeding.generator(seed, "concepts")
    if n_pairs:
        signs = stream.choice([-1.0, 1.0], size=(n_pairs, n_random))
        return np.concatenate([signs, -signs])
    return np.column_stack([stream.permutation(labels) for _ in range(n_random)])


def _normals(
    features: npt.NDArray[np.float64], labels: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], float]:
    """Return normals of separating planes, one column per column of labels, and the first's accuracy."""
    scale = features.std(axis=0)
    kept = scale > 0
    x = np.divide(features - features.mean(axis=0), scale, out=np.zeros_like(features), where=kept)
    n = len(x)
    centred = labels - labels.mean(axis=0)
    inverse = np.linalg.inv(x @ x.T + n * np.eye(n))
    normals = np.divide(
        (x.T @ inverse @ centred).T, scale, where=kept, out=np.zeros((labels.shape[1], len(scale)))
    )
    # Leave-one-out predictions of ridge regression with an intercept, from the hat matrix.
    hat = x @ x.T @ inverse + 1 / n
    left_out = ((hat @ labels)[:, 0] - np.diag(hat) * labels[:, 0]) / (1 - np.diag(hat))
    return normals.T, float(np.mean(np.sign(left_out) == labels[:, 0]))
