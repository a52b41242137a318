"""Target of an explanation: a weighted sum of logits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn._runtime.representation import names, summary
from galcnn.errors import did_you_mean, message, wrong_type

#: Maximum number of weights that are shown.
_SHOWN = 10


@dataclass(frozen=True)
class Target:
    """Target of an explanation: a weighted sum of logits.

    Attributes
    ----------
    name : str
        Short name, which becomes part of the names of FITS HDUs.
    weights : tuple of float
        Weight of each class, in the order of the logits; not all zero.

    Examples
    --------
    >>> Target.of_class("spiral", ("elliptical", "spiral")).weights
    (0.0, 1.0)
    >>> Target.margin("spiral", "elliptical", ("elliptical", "spiral")).weights
    (-1.0, 1.0)
    """

    name: str
    weights: tuple[float, ...]

    def __post_init__(self) -> None:
        weights = tuple(float(w) for w in self.weights)
        if not weights or not all(np.isfinite(weights)) or not any(weights):
            raise ValueError(message("finite weights, not all zero", "", target=self.name, weights=weights))
        object.__setattr__(self, "weights", weights)

    def __repr__(self) -> str:
        if len(self.weights) <= _SHOWN:
            return f"Target(name={self.name!r}, weights={self.weights})"
        some = [f"{place}: {weight:g}" for place, weight in enumerate(self.weights) if weight]
        return summary("Target", f"{self.name!r}: {len(self.weights)} weights, not 0: {names(some)}")

    @classmethod
    def of_class(cls, name: str, classes: Sequence[str]) -> Target:
        """Target the logit of one class.

        Parameters
        ----------
        name : str
            Name of the class.
        classes : sequence of str
            Classes of the model, in the order of the logits.

        Returns
        -------
        Target
            Target with weight 1 for `name` and 0 for the other classes.
        """
        position = _position(name, classes)
        return cls(name, tuple(float(i == position) for i in range(len(classes))))

    @classmethod
    def margin(cls, name: str, other: str, classes: Sequence[str]) -> Target:
        """Target the logit of one class minus that of another.

        The normalisation of the softmax cancels in the difference, which is therefore also the
        logarithm of the ratio of the two probabilities.

        Parameters
        ----------
        name, other : str
            Names of the two classes.
        classes : sequence of str
            Classes of the model, in the order of the logits.

        Returns
        -------
        Target
            Target with weight 1 for `name` and -1 for `other`.
        """
        plus, minus = _position(name, classes), _position(other, classes)
        return cls(
            f"{name}-{other}", tuple(float(i == plus) - float(i == minus) for i in range(len(classes)))
        )

    @classmethod
    def of_prediction(cls, scores: npt.ArrayLike, classes: Sequence[str]) -> Target:
        """Target the margin of a prediction: the predicted class against the runner-up.

        The logit of one class may rise although another class takes over; the margin is positive as
        long as the prediction is the same with respect to these two classes.

        Parameters
        ----------
        scores : array-like
            Logits or probabilities of one galaxy, shape (n_classes,).
        classes : sequence of str
            Classes of the model, in the order of the scores.

        Returns
        -------
        Target
            Margin of the class of the largest score over that of the second largest; for a model of
            one class, the class.

        Examples
        --------
        >>> Target.of_prediction([0.2, 0.1, 0.7], ("elliptical", "spiral", "merger")).name
        'merger-elliptical'
        """
        first, *others = np.argsort(-np.asarray(scores, dtype=np.float64), kind="stable")
        if not others:
            return cls.of_class(classes[first], classes)
        return cls.margin(classes[first], classes[others[0]], classes)

    @classmethod
    def parse(cls, text: str, classes: Sequence[str]) -> Target:
        """Create a target from text: ``spiral``, or ``spiral-elliptical`` for a margin.

        Parameters
        ----------
        text : str
            Name of a class, or of two classes joined by a minus sign.
        classes : sequence of str
            Classes of the model, in the order of the logits.

        Returns
        -------
        Target
            Target of the class or the margin. A class whose name contains a minus sign takes
            precedence over a margin.
        """
        if text in classes or "-" not in text:
            return cls.of_class(text, classes)
        for i in (i for i, letter in enumerate(text) if letter == "-"):
            if text[:i] in classes and text[i + 1 :] in classes:
                return cls.margin(text[:i], text[i + 1 :], classes)
        return cls.of_class(text, classes)


#: What is accepted as a target: name, margin (``spiral-elliptical``) or number of a class, a `Target`, or
#: an array or tensor: a class number, or one weight for each class.
AnyTarget = Target | str | int | npt.NDArray[Any]


def as_target(target: AnyTarget, classes: Sequence[str]) -> Target:
    """Convert a class name, a margin, a class number, weights or a target to a target of these classes."""
    if hasattr(target, "__array__"):  # of NumPy, TensorFlow and Keras alike
        values = np.asarray(target)
        if values.ndim == 1 and values.dtype.kind == "f":
            return _of_weights(values, classes)
        if values.ndim == 0 and values.dtype.kind in "iuU":
            target = values.item()
    if isinstance(target, str):
        return Target.parse(target, classes)
    if isinstance(target, int | np.integer) and not isinstance(target, bool):
        if not 0 <= target < len(classes):
            raise ValueError(message(f"a class number from 0 to {len(classes) - 1}", "", target=int(target)))
        return Target.of_class(classes[target], classes)
    if not isinstance(target, Target):
        raise wrong_type(
            "a target: the name or number of a class, weights of floats, a Target or None", target=target
        )
    if len(target.weights) != len(classes):
        raise ValueError(message(f"a target with one weight for each of {tuple(classes)}", "", target=target))
    return target


def as_targets(
    target: AnyTarget | Sequence[AnyTarget] | None, classes: Sequence[str], n: int
) -> list[Target] | None:
    """Convert one target for all images, or one per image, to one per image; None stays None."""
    if target is None:
        return None
    if hasattr(target, "__array__"):
        values = np.asarray(target)
        if values.ndim > (values.dtype.kind == "f"):  # a row of floats holds the weights of one target
            target = list(values)
    if isinstance(target, Sequence) and not isinstance(target, str):
        if len(target) != n:
            raise ValueError(
                message(f"one target, or one for each of {n} cutouts", "", n_targets=len(target))
            )
        return [as_target(one, classes) for one in target]
    return [as_target(target, classes)] * n


def _of_weights(weights: npt.NDArray[np.floating[Any]], classes: Sequence[str]) -> Target:
    """Make a target of weights; one class with weight 1 gives its name."""
    if len(weights) == len(classes) and np.count_nonzero(weights) == 1 and weights.max() == 1:
        return Target.of_class(classes[int(np.argmax(weights))], classes)
    return as_target(Target("weights", tuple(weights.tolist())), classes)


def _position(name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise ValueError(
            message(
                f"a class among {tuple(classes)}",
                did_you_mean(name, classes, "Give one of these, or CLASS-CLASS for a margin."),
                target=name,
            )
        )
    return list(classes).index(name)
