"""Prediction sets with guaranteed coverage (split conformal prediction)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.evaluation import Score, exact_share
from galcnn.prediction import Prediction

Rule = Literal["threshold", "adaptive"]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ConformalSets:
    """Conformal prediction sets: the classes that cannot be excluded.

    Attributes
    ----------
    classes : tuple of str
        Classes, in the order of the network.
    coverage : float
        Nominal coverage: probability that the set of a galaxy contains its true class, over random
        calibration samples and new galaxies like them.
    rule : {"threshold", "adaptive"}
        Score of a class. ``threshold``: 1 - p (Sadinle et al. 2019, JASA 114, 223), which gives the
        smallest sets, some of them empty. ``adaptive``: total probability of all classes that are at
        least as probable (Romano et al. 2020, without their randomisation, so that sets are slightly
        too large and never empty).
    limits : tuple of float
        Highest score of each class that is kept in the set; infinite if the calibration sample is too
        small to exclude any class.
    per_class : bool
        If True, the coverage holds for the galaxies of each class, not only for all together.
    n : int
        Number of galaxies used in the fit.
    """

    classes: tuple[str, ...]
    coverage: float
    rule: Rule
    limits: tuple[float, ...]
    per_class: bool
    n: int

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ValueError(message("a coverage between 0 and 1", "", coverage=self.coverage))
        if np.isnan(self.limits).any() or len(self.limits) != len(self.classes):
            raise ValueError(message("a limit for each class", "", limits=self.limits))

    def sets(self, prediction: Prediction) -> npt.NDArray[np.bool_]:
        """Compute the prediction sets.

        Parameters
        ----------
        prediction : galcnn.prediction.Prediction
            Prediction, calibrated like the one used in the fit.

        Returns
        -------
        numpy.ndarray
            True for classes in the set, bool, shape (n, n_classes); all True for galaxies without a
            prediction.
        """
        if prediction.classes != self.classes:
            raise ValueError(message(f"classes {self.classes}", "", classes=prediction.classes))
        scores = _scores(prediction.probabilities, self.rule)
        return ~(scores > np.asarray(self.limits))  # NaN: no class is excluded

    def words(self, prediction: Prediction) -> list[str]:
        """Return the prediction sets as strings.

        Parameters
        ----------
        prediction : galcnn.prediction.Prediction
            Prediction, calibrated like the one used in the fit.

        Returns
        -------
        list of str
            Classes joined by ``|``, the most probable first; an empty string for an empty set.
        """
        order = np.argsort(-np.nan_to_num(prediction.probabilities), axis=1, kind="stable")
        return [
            "|".join(self.classes[k] for k in ranks if held[k])
            for ranks, held in zip(order, self.sets(prediction), strict=True)
        ]

    def check(self, prediction: Prediction, labels: Sequence[str]) -> dict[str, Score]:
        """Measure the coverage on galaxies that were not used in the fit.

        Parameters
        ----------
        prediction : galcnn.prediction.Prediction
            Prediction, calibrated like the one used in the fit.
        labels : sequence of str
            True classes, in the same order.

        Returns
        -------
        dict of str to galcnn.evaluation.Score
            ``coverage`` and ``coverage_<class>`` with 95 % Clopper-Pearson intervals, and ``size``,
            the mean number of classes per set, with a 95 % normal interval.
        """
        truth = prediction.positions(labels)
        sets = self.sets(prediction)
        covered = sets[np.arange(len(truth)), truth]
        sizes = sets.sum(axis=1)
        half = 1.959964 * sizes.std(ddof=1) / np.sqrt(len(sizes)) if len(sizes) > 1 else np.inf
        found = {"coverage": exact_share(covered)}
        for position, name in enumerate(self.classes):
            found[f"coverage_{name}"] = exact_share(covered[truth == position])
        mean = float(sizes.mean())
        return found | {"size": Score(mean, mean - half, mean + half, len(sizes))}

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of plain values; infinity, which JSON does not support, becomes None.

        Returns
        -------
        dict
            Input of `from_dict`, which restores an equal object.
        """
        limits = [None if np.isinf(x) else x for x in self.limits]
        return asdict(self) | {"classes": list(self.classes), "limits": limits}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ConformalSets:
        """Restore prediction sets from a dictionary.

        Parameters
        ----------
        content : mapping
            Dictionary from `to_dict`.

        Returns
        -------
        ConformalSets
            The prediction sets.
        """
        limits = tuple(np.inf if x is None else float(x) for x in content["limits"])
        return cls(**(dict(content) | {"classes": tuple(content["classes"]), "limits": limits}))


def fit_conformal(
    prediction: Prediction,
    labels: Sequence[str],
    *,
    coverage: float = 0.9,
    rule: Rule = "threshold",
    per_class: bool = False,
) -> ConformalSets:
    """Fit conformal prediction sets on galaxies with known classes.

    The limit is the k-th smallest score of the true classes, k = ceil((n + 1) coverage). The set of a
    galaxy that is exchangeable with these contains its true class with a probability of at least
    `coverage`, and without ties at most coverage + 1 / (n + 1) (Vovk et al. 2005; Lei et al. 2018,
    theorem 2.2).

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Prediction for galaxies that were not used in training.
    labels : sequence of str
        True classes, in the same order.
    coverage : float
        Nominal coverage, in (0, 1).
    rule : {"threshold", "adaptive"}
        Score of a class, see `ConformalSets`.
    per_class : bool
        If True, fit a limit for each class; if False, one limit for all classes.

    Returns
    -------
    ConformalSets
        Prediction sets with the fitted limits.

    Raises
    ------
    ValueError
        If `coverage` is outside (0, 1), the rule or a class is unknown, or a galaxy has no prediction.
    """
    if not 0 < coverage < 1:
        raise ValueError(message("a coverage in (0, 1)", "", coverage=coverage))
    if rule not in get_args(Rule):
        raise ValueError(message(f"a rule among {get_args(Rule)}", "", rule=rule))
    truth = prediction.positions(labels)
    own = _scores(prediction.probabilities, rule)[np.arange(len(truth)), truth]
    groups = [truth == k for k in range(len(prediction.classes))] if per_class else [truth >= 0]
    limits = [_limit(own[group], coverage) for group in groups]
    if not per_class:
        limits *= len(prediction.classes)
    return ConformalSets(prediction.classes, coverage, rule, tuple(limits), per_class, len(truth))


def conformal_rank(n: int, coverage: float) -> int:
    """Rank, from 1, of the sorted score that a new one exceeds with probability 1 - coverage at most."""
    return int(np.ceil((n + 1) * coverage - 1e-9))


def _limit(scores: Floats, coverage: float) -> float:
    rank = conformal_rank(len(scores), coverage)
    return float(np.sort(scores)[rank - 1]) if rank <= len(scores) else float("inf")


def _scores(probabilities: Floats, rule: Rule) -> Floats:
    if rule == "threshold":
        return 1.0 - probabilities
    order = np.argsort(-probabilities, axis=1, kind="stable")
    summed = np.take_along_axis(probabilities, order, axis=1).cumsum(axis=1)
    scores = np.empty_like(summed)
    np.put_along_axis(scores, order, summed, axis=1)
    # The most probable class is never excluded: its score is 0.
    np.put_along_axis(scores, order[:, :1], 0.0, axis=1)
    return scores
