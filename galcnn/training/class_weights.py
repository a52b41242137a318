"""Class imbalance: weights, sampling and the class prior that they imply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.dataset import Dataset
from galcnn.errors import message

Mirror = npt.NDArray[np.int32]


Balance = Literal["none", "weights", "sqrt-weights", "sampling"]


#: Exponent of the inverse class frequency in the weight of a class.
BALANCES: Mapping[str, float] = {"none": 0.0, "weights": 1.0, "sqrt-weights": 0.5, "sampling": 1.0}


def class_frequency(dataset: Dataset, mirror: Mirror | None = None) -> dict[str, float]:
    """Return the fraction of each class.

    Parameters
    ----------
    dataset : galcnn.dataset.Dataset
        Labelled images.
    mirror : numpy.ndarray, optional
        Index of the mirror class of each class, if half of the images are mirrored in training.

    Returns
    -------
    dict of str to float
        Class -> fraction; the sum is 1.
    """
    counts = np.array(list(dataset.counts.values()), dtype=float)
    shown = counts if mirror is None else (counts + counts[mirror]) / 2
    return {name: float(n) / len(dataset) for name, n in zip(dataset.classes, shown, strict=True)}


def class_weights(
    dataset: Dataset, balance: Balance, mirror: Mirror | None = None
) -> npt.NDArray[np.float32]:
    """Return the weight of each class, normalised to a mean of 1 over galaxies."""
    power = 0.0 if balance == "sampling" else _power(balance)
    frequency = _positive_frequency(dataset, mirror)
    weights = frequency**-power
    return (weights / np.sum(weights * frequency)).astype(np.float32)


def balanced_rows(dataset: Dataset, seed: int) -> npt.NDArray[np.intp]:
    """Draw as many rows of each class as of the largest class, each row at least once."""
    largest = max(dataset.counts.values())
    rows = []
    for position, name in enumerate(dataset.classes):
        own = np.flatnonzero(dataset.labels == position)
        rng = seeding.generator(seed, "resample", name)
        whole = [rng.permutation(own) for _ in range(-(-largest // len(own)))]
        rows.append(np.concatenate(whole)[:largest])
    return np.concatenate(rows)


def trained_prior(dataset: Dataset, balance: Balance, mirror: Mirror | None = None) -> dict[str, float]:
    """Return the class prior of the weighted loss: frequency times weight, normalised.

    Parameters
    ----------
    dataset : galcnn.dataset.Dataset
        Training set.
    balance : {"none", "weights", "sqrt-weights", "sampling"}
        Method by which classes were balanced.
    mirror : numpy.ndarray, optional
        See `class_frequency`.

    Returns
    -------
    dict of str to float
        Class -> prior; the sum is 1. The class frequencies for ``none``, equal for ``weights``.
    """
    shares = _positive_frequency(dataset, mirror) ** (1 - _power(balance))
    return {name: float(p) for name, p in zip(dataset.classes, shares / shares.sum(), strict=True)}


def _power(balance: str) -> float:
    if balance not in BALANCES:
        raise ValueError(message(f"balance among {tuple(BALANCES)}", "", balance=balance))
    return BALANCES[balance]


def _positive_frequency(dataset: Dataset, mirror: Mirror | None) -> npt.NDArray[np.float64]:
    empty = [name for name, n in dataset.counts.items() if n == 0]
    if empty:
        raise ValueError(
            message(
                "training images of every class",
                "Merge or drop the class: --merge, --drop.",
                classes_without=empty,
            )
        )
    return np.array(list(class_frequency(dataset, mirror).values()))
