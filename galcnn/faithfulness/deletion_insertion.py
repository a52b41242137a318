"""Deletion and insertion of the pixels that a map ranks highest (Petsiuk et al. 2018, RISE).

Deleted pixels are not set to zero, which would be unlike any image in training. They are replaced by
blank sky with the level and noise of the image, or by the blurred image. The ranking of a map is
compared with random rankings and with a ranking by brightness, which needs no network. Pixels that the
network crops away are left out: random rankings would select them in vain, and every map would be
better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain import Explainer
from galcnn.explain.baselines import baseline_images
from galcnn.explain.explanation import Kind
from galcnn.faithfulness.controls import Light
from galcnn.faithfulness.parameter_randomisation import folded
from galcnn.faithfulness.sample import Sample, drawn, maps_of
from galcnn.model import looked_at
from galcnn.model.gradients import target_scores

Imputation = Literal["sky", "blurred"]

_Values = npt.NDArray[np.float64]
_Order = npt.NDArray[np.intp]

_FRACTIONS: _Values = (np.arange(17) / 16) ** 2


@dataclass(frozen=True, eq=False)
class DeletionInsertion:
    """Deletion and insertion curves of a method, of random rankings and of brightness.

    Attributes
    ----------
    fractions : numpy.ndarray
        Fractions of the pixels that are replaced, from 0 to 1, shape (n_fractions,).
    deletion, insertion : dict of str to numpy.ndarray
        Scores of the target for the rankings ``method``, ``random`` and ``light``, each of shape
        (n, n_fractions).
    """

    fractions: _Values
    deletion: dict[str, _Values]
    insertion: dict[str, _Values]

    def gain(self, what: Literal["deletion", "insertion"], over: Literal["random", "light"]) -> _Values:
        """Return the difference of areas from another ranking, over the mean change of the score.

        Positive values mean that the method is better; shape (n,).
        """
        curves = self.deletion if what == "deletion" else self.insertion
        own, other = area(self.fractions, curves["method"]), area(self.fractions, curves[over])
        ends = curves["method"]
        drop = float(np.mean(np.abs(ends[:, -1] - ends[:, 0])))
        difference = other - own if what == "deletion" else own - other
        return difference / drop if drop > 0 else np.full(len(own), np.nan)


def deletion_and_insertion(
    network: keras.Model,
    explainer: Explainer,
    sample: Sample,
    *,
    imputation: Imputation = "sky",
    seed: int = 0,
    references: Mapping[str, _Values] | None = None,
    maps: npt.NDArray[np.float32] | None = None,
) -> DeletionInsertion:
    """Compute deletion and insertion curves of a method.

    Parameters
    ----------
    network : keras.Model
        Network that ends in logits.
    explainer : Explainer
        The attribution method.
    sample : galcnn.faithfulness.Sample
        The galaxies.
    imputation : {"sky", "blurred"}
        Replacement of deleted pixels: blank sky, or the blurred image.
    seed : int
        Random seed of the random rankings and of the sky.
    references : mapping of str to numpy.ndarray, optional
        Result of `galcnn.faithfulness.deletion_insertion.reference_curves` for the same sample,
        imputation and seed. It saves time if several methods are compared.
    maps : numpy.ndarray, optional
        Maps of the sample, from `galcnn.faithfulness.sample.maps_of`, if they are known.

    Returns
    -------
    DeletionInsertion
        Curves at fractions (k / 16)^2, k = 0 to 16, of the pixels in the network's field of view.
        Small fractions are sampled densely because a galaxy fills a small part of its image.

    Raises
    ------
    ValueError
        If `imputation` is unknown.
    """
    if references is None:
        references = reference_curves(network, sample, imputation=imputation, seed=seed)
    maps = maps_of(network, explainer, sample) if maps is None else maps
    order = in_field(network, sample, order_of(maps, explainer.kind))
    own = _both(network, sample, [order], _blank(sample, imputation, seed))
    curves = [
        {"method": own[what], "random": references[f"{what}_random"], "light": references[f"{what}_light"]}
        for what in ("deletion", "insertion")
    ]
    return DeletionInsertion(_FRACTIONS, *curves)


def reference_curves(
    network: keras.Model, sample: Sample, *, imputation: Imputation = "sky", draws: int = 3, seed: int = 0
) -> dict[str, _Values]:
    """Compute the curves of random rankings (mean over `draws`), and of a ranking by brightness."""
    blank = _blank(sample, imputation, seed)
    light = Light()(network, sample.images, sample.targets, context=sample.context)
    orders = {
        "random": [random_order(sample, seed=seed, draw=i) for i in range(draws)],
        "light": [order_of(light, "features")],
    }
    found: dict[str, _Values] = {}
    for name, own in orders.items():
        curves = _both(network, sample, [in_field(network, sample, one) for one in own], blank)
        found |= {f"{what}_{name}": one for what, one in curves.items()}
    return found


def score_curves(
    network: keras.Model,
    sample: Sample,
    order: _Order,
    instead: npt.NDArray[np.floating[Any]],
    fractions: _Values,
) -> _Values:
    """Compute the score of the target as pixels are replaced by rank; unranked pixels are kept."""
    n, ny, nx, _ = sample.images.shape
    n_pixels = order.shape[1]
    rank = np.full((n, ny * nx), n_pixels)
    np.put_along_axis(rank, order, np.arange(n_pixels)[np.newaxis], axis=1)
    rank = rank.reshape(n, ny, nx, 1)
    scores = [
        target_scores(
            network, np.where(rank < round(share * n_pixels), instead, sample.images), sample.targets
        )
        for share in fractions
    ]
    return np.stack(scores, axis=1).astype(np.float64)


def _blank(sample: Sample, imputation: Imputation, seed: int) -> npt.NDArray[np.floating[Any]]:
    if imputation not in ("sky", "blurred"):
        raise ValueError(message("an imputation by sky or blurred", "", imputation=imputation))
    return baseline_images(imputation, sample.images, context=sample.context, blur=5.0, seed=seed)


def _both(
    network: keras.Model, sample: Sample, orders: Sequence[_Order], blank: npt.NDArray[np.floating[Any]]
) -> dict[str, _Values]:
    """Deletion and insertion curves, averaged over several rankings."""
    ways = {"deletion": (sample.images, blank), "insertion": (blank, sample.images)}
    return {
        what: np.mean(
            [score_curves(network, sample.with_images(first), one, then, _FRACTIONS) for one in orders],
            axis=0,
        )
        for what, (first, then) in ways.items()
    }


def area(fractions: _Values, curves: _Values) -> _Values:
    """Area under curves by the trapezoidal rule, shape (n,)."""
    return np.asarray(np.trapezoid(curves, fractions, axis=1))


def order_of(maps: npt.NDArray[np.floating[Any]], kind: Kind) -> _Order:
    """Rank pixels by the sum of a map over bands; maps of kind "slope" by the sum of absolute values."""
    # The sign of a slope tells the effect of more light, not whether the pixel is evidence for the target.
    values = folded(maps, signed=kind != "slope")
    return np.argsort(-values.reshape(len(maps), -1), axis=1, kind="stable")


def in_field(network: keras.Model, sample: Sample, order: _Order) -> _Order:
    """Leave out pixels outside the field of view of a functional network; keep all for other networks."""
    shape = sample.images.shape[1:3]
    seen = looked_at(network, shape)
    return order[seen.ravel()[order]].reshape(len(order), -1)


def random_order(sample: Sample, *, seed: int = 0, draw: int = 0) -> _Order:
    """Return a random ranking of the pixels of each galaxy."""
    n_pixels = int(np.prod(sample.images.shape[1:3]))
    return drawn(
        sample.images, sample.context, lambda stream: stream.permutation(n_pixels), seed, "order", draw
    )
