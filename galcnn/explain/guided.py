"""Guided backpropagation (Springenberg et al. 2014)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from galcnn.explain.rectifiers import RectifiedGradient, Rectifier

__all__ = ["GuidedBackprop"]


@dataclass(frozen=True)
class GuidedBackprop(RectifiedGradient):
    """The gradient, with only positive signals let back through each ReLU that was open.

    arXiv:1412.6806, figure 1: at a ReLU with input x the signal g becomes max(g, 0) [x > 0].
    """

    name: ClassVar[Rectifier] = "guided"
