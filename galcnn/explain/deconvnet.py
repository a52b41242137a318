"""The deconvnet, seeded at the target (Zeiler & Fergus 2013)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from galcnn.explain.rectifiers import RectifiedGradient, Rectifier

__all__ = ["Deconvnet"]


@dataclass(frozen=True)
class Deconvnet(RectifiedGradient):
    """The way back through the network with each ReLU applied to the signal itself.

    arXiv:1311.2901, section 2.1: at a ReLU the signal g becomes max(g, 0), whatever went
    forward; max-pooling routes to where the maximum was; batch normalisation is the linear map
    that it is in inference. The seed is 1 at the target; the paper's own seed, one activation
    inside the network, is that of `galcnn.explain.strongest_activations`.
    """

    name: ClassVar[Rectifier] = "deconvnet"
