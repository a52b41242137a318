"""Which galaxies to look at: the most certain answers, the worst mistakes, the least certain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from galcnn.prediction import Prediction

__all__ = ["most_confident", "most_uncertain", "worst_mistakes"]

Rows = npt.NDArray[np.int_]


def most_confident(prediction: Prediction, most: int) -> Rows:
    """Give the surest answers of each class, so that a rare class is seen, too.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Of galaxies with a prediction or without.
    most : int
        Galaxies of a class.

    Returns
    -------
    numpy.ndarray
        int, rows: those that are taken for the first class, the surest first, then of the second.

    Examples
    --------
    >>> p = Prediction(("a", "b", "c"), np.log([[0.6, 0.4], [0.9, 0.1], [0.2, 0.8]]), ("x", "y"))
    >>> most_confident(p, 1).tolist()
    [1, 2]
    """
    probabilities, best = prediction.probabilities, np.array(prediction.best, dtype=object)
    found = [np.empty(0, dtype=int)]
    for k, name in enumerate(prediction.classes):
        own = np.flatnonzero(best == name)
        found.append(own[np.argsort(-probabilities[own, k], kind="stable")[:most]])
    return np.concatenate(found)


def worst_mistakes(prediction: Prediction, labels: Sequence[str], most: int) -> Rows:
    """Give the wrong answers that cost most: the least probability of the true class first.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Of galaxies with known classes, each with a prediction.
    labels : sequence of str
        True classes, in the same order.
    most : int
        Galaxies.

    Returns
    -------
    numpy.ndarray
        int, rows; fewer where there are fewer mistakes.
    """
    truth, probabilities = prediction.positions(labels), prediction.probabilities
    cost = probabilities[np.arange(len(truth)), truth]
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != truth)
    return wrong[np.argsort(cost[wrong], kind="stable")[:most]]


def most_uncertain(prediction: Prediction, most: int) -> Rows:
    """Give the answers of the greatest entropy.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Of galaxies with a prediction or without.
    most : int
        Galaxies.

    Returns
    -------
    numpy.ndarray
        int, rows, the least certain first; none without a prediction.
    """
    entropy = prediction.entropy
    known = np.flatnonzero(np.isfinite(entropy))
    return known[np.argsort(-entropy[known], kind="stable")[:most]]
