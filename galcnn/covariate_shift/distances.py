"""Drift: distance between the feature distributions of two samples, with a permutation test.

Each measure takes features, one row per galaxy. If both samples come from the same population, the
p-value is uniform for any kind of features.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args

import keras
import numpy as np
import numpy.typing as npt
from astropy.table import QTable
from scipy.spatial.distance import cdist, pdist

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.model import TrainedModel, network_layers
from galcnn.model.forward import forward, outputs, upright

Measure = Literal["moments", "sliced_wasserstein", "mmd", "classifier"]
MEASURES: tuple[str, ...] = get_args(Measure)

_Array = npt.NDArray[np.float64]
_Key = TypeVar("_Key", bound=Hashable)
#: Function from labels, shape (n_permutations, n), to one value per permutation.
_Statistic = Callable[[npt.NDArray[np.bool_]], _Array]

_PROJECTIONS = 64
_FOLDS = 5
#: Weight of the ridge penalty, in units of the mean variance of a feature times the number of galaxies.
_RIDGE = 0.1


@dataclass(frozen=True)
class Drift:
    """Distance between two samples, with the result of a permutation test.

    Attributes
    ----------
    measure : str
        One of `MEASURES`.
    value : float
        ``moments``: root mean square over features of the difference of means, in standard deviations
        of the pooled sample. ``sliced_wasserstein``: mean Wasserstein distance over directions, in the
        same unit. ``mmd``: unbiased estimate of the squared discrepancy, which may be negative.
        ``classifier``: balanced accuracy of telling the samples apart, about 0.5 by chance.
    p_value : float
        Fraction of permutations with a statistic at least as large, counting the original labels, so
        that it is never 0.
    n_reference, n_sample : int
        Number of galaxies in each sample.
    permutations : int
        Number of permutations.
    """

    measure: str
    value: float
    p_value: float
    n_reference: int
    n_sample: int
    permutations: int


def drift(
    reference: npt.ArrayLike,
    sample: npt.ArrayLike,
    *,
    measure: Measure = "mmd",
    permutations: int = 499,
    seed: int = 0,
) -> Drift:
    """Measure the distance between two samples, and test whether it exceeds chance.

    Parameters
    ----------
    reference, sample : array-like
        Finite features, shapes (n, n_features) and (m, n_features), of at least four galaxies each.
    measure : {"moments", "sliced_wasserstein", "mmd", "classifier"}
        Differences of the means and second moments of each feature; Wasserstein distance along random
        directions (Rabin et al. 2012); maximum mean discrepancy with a Gaussian kernel whose width is
        the median distance (Gretton et al. 2012, JMLR 13, 723); or a cross-validated linear
        classifier (Lopez-Paz & Oquab 2017, arXiv:1610.06545).
    permutations : int
        Number of permutations; the smallest possible p-value is 1 / (permutations + 1).
    seed : int
        Random seed of permutations, directions and folds.

    Returns
    -------
    Drift
        Distance and p-value.

    Raises
    ------
    ValueError
        If the samples have different numbers of features, too few galaxies or non-finite values, or
        an option is invalid.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> near, far = rng.normal(size=(60, 3)), rng.normal(1.0, 1.0, size=(40, 3))
    >>> drift(near, far).p_value
    0.002
    """
    near, far = _checked(reference, sample)
    if measure not in MEASURES or permutations < 1:
        raise ValueError(
            message(f"a measure among {MEASURES}", "", measure=measure, permutations=permutations)
        )
    pooled = np.concatenate([near, far])
    pooled = pooled[:, pooled.std(axis=0) > 0]
    if pooled.shape[1] == 0:
        return Drift(measure, 0.5 if measure == "classifier" else 0.0, 1.0, len(near), len(far), permutations)
    pooled = (pooled - pooled.mean(axis=0)) / pooled.std(axis=0)
    own = np.arange(len(pooled)) >= len(near)
    rng = seeding.generator(seed, "permutation")
    labels = np.stack([own, *(rng.permutation(own) for _ in range(permutations))])
    statistic, value = _STATISTICS[measure](pooled, seeding.generator(seed, "drift", measure), own)
    found = statistic(labels)
    p_value = (1 + np.sum(found[1:] >= found[0] * (1 - 1e-12))) / (1 + permutations)
    shown = float(found[0]) if value is None else value
    return Drift(measure, shown, float(p_value), len(near), len(far), permutations)


def holm(p_values: Mapping[_Key, float]) -> dict[_Key, float]:
    """Adjust p-values for multiple tests.

    Parameters
    ----------
    p_values : mapping of hashable to float
        p-value of each test.

    Returns
    -------
    dict of hashable to float
        p-values adjusted by the step-down method (Holm 1979, Scand. J. Statist. 6, 65), in the same
        order.

    Examples
    --------
    >>> holm({"a": 0.01, "b": 0.04, "c": 0.03})
    {'a': 0.03, 'b': 0.06, 'c': 0.06}
    """
    adjusted: dict[_Key, float] = {}
    largest = 0.0
    for i, name in enumerate(sorted(p_values, key=lambda name: p_values[name])):
        largest = max(largest, min(1.0, (len(p_values) - i) * p_values[name]))
        adjusted[name] = largest
    return {name: adjusted[name] for name in p_values}


def _checked(reference: npt.ArrayLike, sample: npt.ArrayLike) -> tuple[_Array, _Array]:
    near, far = (np.asarray(one, dtype=np.float64) for one in (reference, sample))
    if near.ndim != 2 or far.ndim != 2 or near.shape[1] != far.shape[1]:
        raise ValueError(
            message("two samples of shape (n, n_features)", "", reference=near.shape, sample=far.shape)
        )
    if min(len(near), len(far)) < 4:
        raise ValueError(
            message("at least four galaxies in each sample", "", n_reference=len(near), n_sample=len(far))
        )
    if not (np.isfinite(near).all() and np.isfinite(far).all()):
        raise ValueError(message("finite features", "Leave out galaxies without them.", finite=False))
    return near, far


def _moments(
    pooled: _Array, rng: np.random.Generator, own: npt.NDArray[np.bool_]
) -> tuple[_Statistic, float | None]:
    """Mean square of the standardised differences of means and second moments."""
    del rng
    features = np.concatenate([pooled, pooled**2], axis=1)
    spread = features.std(axis=0)
    features = features[:, spread > 0] / spread[spread > 0]

    def statistic(labels: npt.NDArray[np.bool_]) -> _Array:
        return np.asarray(np.mean(_mean_differences(labels, features) ** 2, axis=1))

    value = float(np.sqrt(np.mean(_mean_differences(own[np.newaxis], pooled) ** 2)))
    return statistic, value


def _sliced(
    pooled: _Array, rng: np.random.Generator, own: npt.NDArray[np.bool_]
) -> tuple[_Statistic, float | None]:
    """Area between the two cumulative distributions, averaged over random directions."""
    del own
    directions = rng.standard_normal((pooled.shape[1], _PROJECTIONS))
    projected = pooled @ (directions / np.linalg.norm(directions, axis=0))
    order = np.argsort(projected, axis=0, kind="stable")
    gaps = np.diff(np.take_along_axis(projected, order, axis=0), axis=0)

    def statistic(labels: npt.NDArray[np.bool_]) -> _Array:
        found = np.empty(len(labels))
        for i, one in enumerate(labels):
            weights = np.where(one, 1 / one.sum(), -1 / (~one).sum())
            found[i] = np.mean(np.sum(np.abs(np.cumsum(weights[order], axis=0)[:-1]) * gaps, axis=0))
        return found

    return statistic, None


def _mmd(
    pooled: _Array, rng: np.random.Generator, own: npt.NDArray[np.bool_]
) -> tuple[_Statistic, float | None]:
    del rng, own
    median = float(np.median(pdist(pooled)))
    kernel = np.exp(-cdist(pooled, pooled, "sqeuclidean") / (2 * max(median, 1e-12) ** 2))
    np.fill_diagonal(kernel, 0.0)

    def statistic(labels: npt.NDArray[np.bool_]) -> _Array:
        far = labels.astype(np.float64)
        near = 1 - far
        m, n = far.sum(axis=1), near.sum(axis=1)
        within = np.sum(near @ kernel * near, axis=1) / (n * (n - 1))
        within += np.sum(far @ kernel * far, axis=1) / (m * (m - 1))
        return np.asarray(within - 2 * np.sum(near @ kernel * far, axis=1) / (n * m))

    return statistic, None


def _classifier(
    pooled: _Array, rng: np.random.Generator, own: npt.NDArray[np.bool_]
) -> tuple[_Statistic, float | None]:
    """Cross-validated ridge regression of the label; the held-out prediction is linear in the labels."""
    n = len(pooled)
    fold = rng.permutation(n) % _FOLDS
    features = np.concatenate([pooled, np.ones((n, 1))], axis=1)
    hat = np.zeros((n, n))
    ridge = _RIDGE * n * np.eye(features.shape[1])
    ridge[-1, -1] = 1e-9
    for held in range(_FOLDS):
        train, test = fold != held, fold == held
        gram = features[train].T @ features[train] + ridge
        hat[np.ix_(test, train)] = features[test] @ np.linalg.solve(gram, features[train].T)

    def statistic(labels: npt.NDArray[np.bool_]) -> _Array:
        signs = _balanced(labels)
        return np.asarray(np.mean(signs * (signs @ hat.T), axis=1))

    signs = _balanced(own[np.newaxis])[0]
    told = np.sign(hat @ signs) == np.sign(signs)
    return statistic, float(np.mean([told[own].mean(), told[~own].mean()]))


def _balanced(labels: npt.NDArray[np.bool_]) -> _Array:
    """Labels as signed weights with zero sum, so that both samples have the same weight."""
    share = labels.mean(axis=1, keepdims=True)
    signs: _Array = np.where(labels, 0.5 / share, -0.5 / (1 - share))
    return signs


def _mean_differences(labels: npt.NDArray[np.bool_], features: _Array) -> _Array:
    far = labels.astype(np.float64)
    near = 1 - far
    return np.asarray(
        far @ features / far.sum(axis=1, keepdims=True) - near @ features / near.sum(axis=1, keepdims=True)
    )


_STATISTICS: Mapping[str, Callable[..., tuple[_Statistic, float | None]]] = {
    "moments": _moments,
    "sliced_wasserstein": _sliced,
    "mmd": _mmd,
    "classifier": _classifier,
}


_BATCH = 64


def model_features(
    trained: TrainedModel, images: npt.NDArray[np.float32], *, layers: Sequence[str] | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """Summarise the preprocessed images (key ``input``) and the output of each network layer."""
    stretched = outputs(trained.preprocessing, images)
    return {"input": summarised(stretched)} | layer_features(trained.network, stretched, layers=layers)


def layer_features(
    network: keras.Model, images: npt.NDArray[np.float32], *, layers: Sequence[str] | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """Summarise the output of network layers, by default those with weights, see `summarised`."""
    found: dict[str, list[npt.NDArray[np.float64]]] = {}
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        _, seen = forward(network, batch)
        for name in _weighted(network, seen) if layers is None else layers:
            found.setdefault(name, []).append(
                summarised(keras.ops.convert_to_numpy(upright(seen[name], batch)))
            )
    return {name: np.concatenate(parts) for name, parts in found.items()}


def summarised(maps: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """Return mean and standard deviation of each channel, shape (n, 2 * n_channels); 2D arrays unchanged."""
    values: npt.NDArray[np.float64] = np.asarray(maps, dtype=np.float64)
    if values.ndim == 2:
        return values
    axes = tuple(range(1, values.ndim - 1))
    return np.concatenate([values.mean(axis=axes), values.std(axis=axes)], axis=1)


def _weighted(network: keras.Model, seen: dict[str, object]) -> list[str]:
    layers = network_layers(network)
    return [
        name
        for name in seen
        if name in layers and layers[name].layer.weights and not isinstance(layers[name].layer, keras.Model)
    ]


def drift_table(
    trained: TrainedModel,
    reference: npt.NDArray[np.float32],
    images: npt.NDArray[np.float32],
    *,
    measure: Measure = "mmd",
    layers: Sequence[str] | None = None,
    seed: int = 0,
) -> QTable:
    """Measure the drift between reference images and new images at the input and in each network layer."""
    near, far = (model_features(trained, one, layers=layers) for one in (reference, images))
    found = {
        name: drift(near[name], far[name], measure=measure, permutations=999, seed=seed) for name in near
    }
    adjusted = holm({name: one.p_value for name, one in found.items()})
    rows = [(name, one.value, one.p_value, adjusted[name]) for name, one in found.items()]
    return QTable(
        rows=rows,
        names=("layer", "value", "p_value", "p_holm"),
        meta={"measure": measure, "n_reference": len(reference), "n_images": len(images)},
    )
