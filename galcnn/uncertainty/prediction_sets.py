"""Sets of classes that hold the true one as often as promised (split conformal prediction)."""

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
    """Which classes cannot be excluded.

    Attributes
    ----------
    classes : tuple of str
        In the network's order.
    coverage : float
        Promised share of galaxies whose set holds their true class, over draws of the calibration
        sample and of a galaxy like it.
    rule : {"threshold", "adaptive"}
        Score of a class: 1 - p (Sadinle et al. 2019, JASA 114, 223: the smallest sets, which may
        be empty), or the summed probability of all classes at least as probable (Romano et al.
        2020, without their random part, so that sets are a little larger than promised, and never
        empty).
    limits : tuple of float
        Highest score of a class that stays in the set; infinite where the sample is too small to
        exclude anything.
    per_class : bool
        Whether the promise holds for the galaxies of each class, not only over all.
    n : int
        Galaxies on which it was fitted.
    """

    classes: tuple[str, ...]
    coverage: float
    rule: Rule
    limits: tuple[float, ...]
    per_class: bool
    n: int

    def sets(self, prediction: Prediction) -> npt.NDArray[np.bool_]:
        """Give the classes that cannot be excluded.

        Parameters
        ----------
        prediction : galcnn.prediction.Prediction
            Calibrated as the one on which this was fitted.

        Returns
        -------
        numpy.ndarray
            bool, shape (n, n_classes); all True where there is no prediction.
        """
        if prediction.classes != self.classes:
            raise ValueError(message(f"classes {self.classes}", "", classes=prediction.classes))
        scores = _scores(prediction.probabilities, self.rule)
        return ~(scores > np.asarray(self.limits))  # NaN excludes nothing

    def words(self, prediction: Prediction) -> list[str]:
        """Give the sets as text.

        Parameters
        ----------
        prediction : galcnn.prediction.Prediction
            See `sets`.

        Returns
        -------
        list of str
            Classes joined by ``|``, the most probable first; empty text for an empty set.
        """
        order = np.argsort(-np.nan_to_num(prediction.probabilities), axis=1, kind="stable")
        return [
            "|".join(self.classes[k] for k in ranks if held[k])
            for ranks, held in zip(order, self.sets(prediction), strict=True)
        ]

    def check(self, prediction: Prediction, labels: Sequence[str]) -> dict[str, Score]:
        """Measure the coverage on galaxies that took no part in fitting.

        Parameters
        ----------
        prediction : galcnn.prediction.Prediction
            Calibrated as the one on which this was fitted.
        labels : sequence of str
            True classes, in the same order.

        Returns
        -------
        dict of str to galcnn.evaluation.Score
            ``coverage`` and ``coverage_<class>`` with 95 % Clopper-Pearson intervals, and ``size``,
            the mean number of classes in a set, with that of its mean (normal).
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
        """Give plain values; infinity, for which JSON has no word, is None.

        Returns
        -------
        dict
            `from_dict` makes the same of them.
        """
        limits = [None if np.isinf(x) else x for x in self.limits]
        return asdict(self) | {"classes": list(self.classes), "limits": limits}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ConformalSets:
        """Read what `to_dict` gave.

        Parameters
        ----------
        content : mapping
            Plain values.

        Returns
        -------
        ConformalSets
            The same as before.
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
    """Choose the limit beyond which a class is excluded.

    The limit is the k-th smallest score of the true classes, k = ceil((n + 1) coverage): a galaxy
    that is exchangeable with these is covered with a probability of at least `coverage` and at
    most coverage + 1 / (n + 1) (Vovk et al. 2005; Lei et al. 2018, theorem 2.2).

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Of galaxies that took no part in training.
    labels : sequence of str
        Their classes, in the same order.
    coverage : float
        In (0, 1).
    rule : {"threshold", "adaptive"}
        See `ConformalSets`.
    per_class : bool
        One limit for each class.

    Returns
    -------
    ConformalSets
        With its limits.

    Raises
    ------
    ValueError
        A coverage outside (0, 1), an unknown rule or class, or a galaxy without a prediction.
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
    """Which of n sorted scores, counted from 1, a new one exceeds with a chance of 1 - coverage at most."""
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
    # The most probable class is excluded by no limit: its score is that of certainty, if at all.
    np.put_along_axis(scores, order[:, :1], 0.0, axis=1)
    return scores
