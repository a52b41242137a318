"""Target: a weighted sum of logits, which is what an explanation explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from galcnn.errors import message


@dataclass(frozen=True)
class Target:
    """What is explained: a weighted sum of logits.

    Attributes
    ----------
    name : str
        Short; it ends in the names of FITS layers.
    weights : tuple of float
        One a class, not all zero.

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

    @classmethod
    def of_class(cls, name: str, classes: Sequence[str]) -> Target:
        """Target the logit of one class.

        Parameters
        ----------
        name : str
            The class.
        classes : sequence of str
            The model's classes, in its order.

        Returns
        -------
        Target
            Weight 1 on `name`.
        """
        position = _position(name, classes)
        return cls(name, tuple(float(i == position) for i in range(len(classes))))

    @classmethod
    def margin(cls, name: str, other: str, classes: Sequence[str]) -> Target:
        """Target the logit of one class minus that of another.

        The normaliser of the softmax cancels in the difference, so this is also the logarithm
        of the ratio of their probabilities.

        Parameters
        ----------
        name, other : str
            Two classes.
        classes : sequence of str
            The model's classes, in its order.

        Returns
        -------
        Target
            Weight 1 on `name` and -1 on `other`.
        """
        plus, minus = _position(name, classes), _position(other, classes)
        return cls(
            f"{name}-{other}", tuple(float(i == plus) - float(i == minus) for i in range(len(classes)))
        )

    @classmethod
    def parse(cls, text: str, classes: Sequence[str]) -> Target:
        """Read a target as users type it: ``spiral``, or ``spiral-elliptical`` for a margin.

        Parameters
        ----------
        text : str
            One class, or two joined by a minus sign.
        classes : sequence of str
            The model's classes, in its order.

        Returns
        -------
        Target
            A class whose own name holds a minus sign wins over a margin.
        """
        if text in classes or "-" not in text:
            return cls.of_class(text, classes)
        for i in (i for i, letter in enumerate(text) if letter == "-"):
            if text[:i] in classes and text[i + 1 :] in classes:
                return cls.margin(text[:i], text[i + 1 :], classes)
        return cls.of_class(text, classes)


def _position(name: str, classes: Sequence[str]) -> int:
    if name not in classes:
        raise ValueError(message(f"a class among {tuple(classes)}", "Check the spelling.", target=name))
    return list(classes).index(name)
