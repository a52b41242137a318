"""The logits of galaxies, and the quantities computed from them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn._runtime.representation import names, summary
from galcnn.errors import message
from galcnn.prediction.flags import flagged

#: Number of galaxies in a short representation.
_FIRST = 4


@dataclass(frozen=True, eq=False)
class Prediction:
    """The logits of galaxies, with class probabilities.

    Attributes
    ----------
    ids : tuple of str
        Identifiers, one per galaxy.
    logits : numpy.ndarray
        Logits of the network, float32, shape (n, n_classes); NaN for galaxies without a prediction.
    classes : tuple of str
        Classes, in the order of the logits.
    adjustment : tuple of float
        Value per class that is added to the logits before the softmax: logarithm of the ratio of new
        to old class prior, see `with_prior`. Zeros by default.

    Examples
    --------
    >>> import numpy as np
    >>> p = Prediction(("a",), np.log([[0.25, 0.75]]), ("elliptical", "spiral"))
    >>> p.probabilities.round(2).tolist(), p.best
    ([[0.25, 0.75]], ('spiral',))
    """

    ids: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    adjustment: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        logits = np.array(self.logits, dtype=np.float32)
        if logits.shape != (len(self.ids), len(self.classes)):
            raise ValueError(
                message(
                    f"logits of shape {(len(self.ids), len(self.classes))} (ids, classes)",
                    "",
                    shape=logits.shape,
                )
            )
        logits.flags.writeable = False
        adjustment = tuple(float(x) for x in self.adjustment) or (0.0,) * len(self.classes)
        if len(adjustment) != len(self.classes):
            raise ValueError(message("one adjustment per class", "", adjustment=adjustment))
        object.__setattr__(self, "ids", tuple(str(name) for name in self.ids))
        object.__setattr__(self, "logits", logits)
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "adjustment", adjustment)

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        first = self.select(range(min(len(self), _FIRST)))
        told = [
            f"{name}: {best} {chances.max():.3f}" if best else f"{name}: no prediction"
            for name, best, chances in zip(first.ids, first.best, first.probabilities, strict=True)
        ]
        more = " ..." if len(self) > _FIRST else ""
        return summary(
            "Prediction",
            f"of {len(self)} galaxies in {len(self.classes)} classes: {names(self.classes)}",
            ", ".join(told) + more,
        )

    def _repr_html_(self) -> str:
        html: str = self.to_table()._repr_html_()
        return html

    def to_table(
        self, *, flags: npt.NDArray[np.int16] | None = None, reasons: Sequence[str] | None = None
    ) -> Table:
        """Return the prediction as a table.

        Parameters
        ----------
        flags : numpy.ndarray, optional
            Flags, int16, shape (n,): sums of `UNREADABLE`, `UNFIT`, `MASKED`, `BLANK`, `OUTSIDE`,
            `UNANSWERED` and `CHANGED`. Zeros by default.
        reasons : sequence of str, optional
            Reasons for the flags, one per galaxy. Empty by default.

        Returns
        -------
        astropy.table.Table
            One row per galaxy. Columns `id`, `class`, ``p_<class>`` for each class, `entropy` (nats),
            `flag`, `reason`. Without a prediction, the class is empty and the numbers are NaN.
        """
        table = Table()
        table["id"] = np.array(self.ids, dtype=str)
        table["class"] = np.array(self.best, dtype=str)
        for name, column in zip(self.classes, self.probabilities.T, strict=True):
            table[f"p_{name}"] = column
            table[f"p_{name}"].description = f"probability of class {name}"
        table["entropy"] = self.entropy
        table["entropy"].description = "Shannon entropy of the probabilities, nats"
        return flagged(table, flags, reasons)

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Softmax of the adjusted logits, float64, shape (n, n_classes); NaN if a logit is not finite."""
        scores = self.logits.astype(np.float64) + np.asarray(self.adjustment)
        scores[~np.isfinite(self.logits).all(axis=1)] = np.nan
        scores = scores - scores.max(axis=1, keepdims=True, initial=-np.inf)
        exponentials = np.exp(scores)
        probabilities: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return probabilities

    @property
    def best(self) -> tuple[str, ...]:
        """Most probable class of each galaxy; an empty string if there is no prediction."""
        known = np.atleast_1d(np.isfinite(self.logits).all(axis=1))
        positions = np.argmax(self.logits + np.asarray(self.adjustment), axis=1)
        return tuple(self.classes[i] if ok else "" for i, ok in zip(positions, known, strict=True))

    @property
    def entropy(self) -> npt.NDArray[np.float64]:
        """Shannon entropy of the probabilities in nats, from 0 (certain) to ln(n_classes), shape (n,)."""
        return shannon_entropy(self.probabilities)

    def positions(self, labels: Sequence[str]) -> npt.NDArray[np.int_]:
        """Return the indices of the true classes.

        Parameters
        ----------
        labels : sequence of str
            True classes, one per galaxy.

        Returns
        -------
        numpy.ndarray
            Index of each label in `classes`, int, shape (n,).

        Raises
        ------
        ValueError
            If there are no galaxies, the number of labels differs, a class is unknown, or a galaxy has
            no prediction.
        """
        place = {name: i for i, name in enumerate(self.classes)}
        unknown = sorted({str(name) for name in labels} - set(place))
        if unknown:
            raise ValueError(
                message(f"classes among {self.classes}", "Merge or drop the others.", unknown=unknown)
            )
        if len(labels) != len(self) or not len(labels):
            raise ValueError(message(f"one label for each of {len(self)} galaxies", "", n_labels=len(labels)))
        failed = int(np.sum(~np.isfinite(self.logits).all(axis=1)))
        if failed:
            raise ValueError(message("a prediction for each galaxy", "Drop the failed ones.", failed=failed))
        return np.array([place[str(name)] for name in labels], dtype=int)

    def select(self, rows: Sequence[int]) -> Prediction:
        """Return the prediction of some of the galaxies.

        Parameters
        ----------
        rows : sequence of int
            Row numbers of the galaxies.

        Returns
        -------
        Prediction
            Prediction of these galaxies, in the order of `rows`.
        """
        return replace(self, ids=tuple(self.ids[i] for i in rows), logits=self.logits[list(rows)])

    def with_prior(self, new: Mapping[str, float], old: Mapping[str, float]) -> Prediction:
        """Return the prediction under another class prior.

        The probabilities of a network hold for a population with the class frequencies of its training,
        `old`. By Bayes' theorem p_new(c | image) is proportional to p_old(c | image) new(c) / old(c)
        (Saerens et al. 2002, Neural Computation 14, 21; logit adjustment of Menon et al. 2021).

        Parameters
        ----------
        new : mapping of str to float
            Expected frequency of each class; will be normalised.
        old : mapping of str to float
            Frequency of each class in the training loss, including class weights; will be normalised.

        Returns
        -------
        Prediction
            The same logits with another `adjustment`.

        Raises
        ------
        ValueError
            If a class is missing or unknown, or a frequency is not positive and finite.
        """
        shifts = log_prior(new, self.classes) - log_prior(old, self.classes)
        return replace(self, adjustment=tuple(shifts.tolist()))


def shannon_entropy(probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the Shannon entropy along the last axis, in nats."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(probabilities == 0, 0.0, probabilities * np.log(probabilities))
    entropy: npt.NDArray[np.float64] = -terms.sum(axis=-1)
    return entropy + 0.0  # turns -0.0 into 0.0


def log_prior(prior: Mapping[str, float], classes: Sequence[str]) -> npt.NDArray[np.float64]:
    """Return the logarithms of normalised class frequencies, in the order of `classes`."""
    if set(prior) != set(classes) or not all(np.isfinite(p) and p > 0 for p in prior.values()):
        near = (difflib.get_close_matches(name, classes, n=1) for name in prior if name not in classes)
        meant = next((names[0] for names in near if names), None)
        remedy = "Name every class once." if meant is None else f"Did you mean {meant!r}?"
        raise ValueError(
            message(f"a positive frequency for each of {tuple(classes)}", remedy, prior=dict(prior))
        )
    values = np.array([prior[name] for name in classes], dtype=np.float64)
    logs: npt.NDArray[np.float64] = np.log(values / values.sum())
    return logs
