"""Prediction sets with guaranteed coverage (split conformal prediction)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.evaluation import Score, exact_share
from galcnn.prediction import Prediction

Rule = Literal["threshold", "adaptive"]
Floats = npt.NDArray[np.float64]

#: Largest number of galaxies whose logits are kept for other class priors: the standard deviation of the
#: coverage over samples of this size is 0.4 %.
_MOST = 5000
#: Decimals of these logits.
_DECIMALS = 4


@dataclass(frozen=True)
class ConformalSets:
    """Conformal prediction sets: the classes that cannot be excluded.

    The coverage holds for galaxies with the class frequencies of the prediction, see
    `galcnn.prediction.Prediction.with_prior`. If these differ from those in the fit, the limits are computed
    anew: the scores of the calibration galaxies under the new prior, each weighted by the ratio of the new to
    the old frequency of its class (Tibshirani et al. 2019; Podkopaev & Ramdas 2021, section 3.1).

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
    adjustment : tuple of float
        Adjustment of the prediction used in the fit to its class prior; zeros by default.
    logits : tuple of tuple of float
        Logits of the prediction used in the fit, rounded; of 5,000 random galaxies if there are more. If
        empty, there are no sets under another class prior.
    truth : tuple of int
        True classes of these galaxies.
    """

    classes: tuple[str, ...]
    coverage: float
    rule: Rule
    limits: tuple[float, ...]
    per_class: bool
    n: int
    adjustment: tuple[float, ...] = ()
    logits: tuple[tuple[float, ...], ...] = field(default=(), repr=False)
    truth: tuple[int, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not 0 < self.coverage < 1:
            raise ValueError(message("a coverage between 0 and 1", "", coverage=self.coverage))
        if np.isnan(self.limits).any() or len(self.limits) != len(self.classes):
            raise ValueError(message("a limit for each class", "", limits=self.limits))
        n_classes, n_truth = len(self.classes), len(self.truth)
        if np.shape(self.logits) not in {(n_truth, n_classes)} - {(0, n_classes)} | {(0,)}:
            raise ValueError(message("logits and a true class of each galaxy", "", n_true_classes=n_truth))
        object.__setattr__(self, "adjustment", tuple(self.adjustment) or (0.0,) * n_classes)

    def limits_of(self, prediction: Prediction) -> Floats | None:
        """Return the highest score of each class that is kept in the set, under the prior of a prediction.

        Parameters
        ----------
        prediction : galcnn.prediction.Prediction
            Prediction, calibrated like the one used in the fit, under any class prior.

        Returns
        -------
        numpy.ndarray or None
            Limits, float64, shape (n_classes,); None under another class prior than that of the fit if no
            logits were kept.
        """
        if prediction.classes != self.classes:
            raise ValueError(message(f"classes {self.classes}", "", classes=prediction.classes))
        shift = np.subtract(prediction.adjustment, self.adjustment)
        shift -= shift.max()  # a common value does not change probabilities
        if np.allclose(shift, 0, atol=1e-9):
            return np.asarray(self.limits)
        if not self.logits:
            return None
        ids = tuple(map(str, range(len(self.truth))))
        sample = Prediction(ids, np.asarray(self.logits), self.classes, prediction.adjustment)
        truth = np.asarray(self.truth)
        weights = np.ones(len(self.classes)) if self.per_class else np.exp(shift)
        return _limits(sample.probabilities, truth, weights, self.rule, self.coverage, self.per_class)

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
        limits = self.limits_of(prediction)
        if limits is None:
            raise ValueError(
                message(
                    "the class prior of the fit",
                    "Run galcnn calibrate again: it keeps what other priors need.",
                    adjustment=prediction.adjustment,
                )
            )
        scores = _scores(prediction.probabilities, self.rule)
        return ~(scores > limits)  # NaN: no class is excluded

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
        lists = {name: list(getattr(self, name)) for name in ("classes", "adjustment", "truth")}
        return asdict(self) | lists | {"limits": limits, "logits": list(map(list, self.logits))}

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
        lists = {name: tuple(content[name]) for name in ("classes", "adjustment", "truth") if name in content}
        logits = tuple(map(tuple, content.get("logits", ())))
        return cls(**(dict(content) | lists | {"limits": limits, "logits": logits}))


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
    truth, weights = prediction.positions(labels), np.ones(len(prediction.classes))
    limits = _limits(prediction.probabilities, truth, weights, rule, coverage, per_class)
    rows = np.arange(len(truth))
    if len(truth) > _MOST:
        rows = np.sort(seeding.generator(0, "conformal").permutation(rows)[:_MOST])
    logits = prediction.logits[rows].astype(np.float64).round(_DECIMALS)
    return ConformalSets(
        prediction.classes,
        coverage,
        rule,
        tuple(limits.tolist()),
        per_class,
        len(truth),
        prediction.adjustment,
        tuple(map(tuple, logits.tolist())),
        tuple(truth[rows].tolist()),
    )


def conformal_rank(n: int, coverage: float) -> int:
    """Rank, from 1, of the sorted score that a new one exceeds with probability 1 - coverage at most."""
    return int(np.ceil((n + 1) * coverage - 1e-9))


def tolerated(n: int, false_alarms: float, confidence: float) -> int:
    """Number m of n scores such that the m-th largest is exceeded by at most this share, with confidence.

    The share is distributed as Beta(m, n + 1 - m), which is above `false_alarms` with the probability of less
    than m successes in n trials. 0 if even the largest score is not high enough.
    """
    from scipy.stats import binom

    return int(binom.ppf(1 - confidence, n, false_alarms))


def smallest_sample(false_alarms: float) -> int:
    """Smallest sample whose largest score is exceeded with probability `false_alarms` at most."""
    return int(np.ceil(1 / false_alarms - 1e-9)) - 1


def _limits(
    probabilities: Floats,
    truth: npt.NDArray[np.int_],
    weights: Floats,
    rule: Rule,
    coverage: float,
    per_class: bool,
) -> Floats:
    """Return the limit of each class from calibration galaxies, each with the weight of its class."""
    own = _scores(probabilities, rule)[np.arange(len(truth)), truth]
    limits = np.full(len(weights), np.inf)
    for k, weight in enumerate(weights):
        among = truth == k if per_class else truth >= 0
        order = np.argsort(own[among])
        total = np.append(0.0, weights[truth[among]][order].cumsum())
        # The galaxy to classify counts as one more, with an infinite score.
        rank = int(np.searchsorted(total, coverage * (total[-1] + weight) * (1 - 1e-12)))
        if rank < len(total):
            limits[k] = own[among][order][max(rank, 1) - 1]
    return limits


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
