"""Explanations: what in the image moved a logit. One method a file; lazy, since Keras is slow to import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.explain.cam import CAM
    from galcnn.explain.explaining import explain
    from galcnn.explain.explanation import Context, Explainer, Explanation, Target
    from galcnn.explain.saliency import Saliency

__all__ = ["CAM", "Context", "Explainer", "Explanation", "Saliency", "Target", "explain"]

_HOME = {
    "CAM": "cam",
    "Context": "explanation",
    "Explainer": "explanation",
    "Explanation": "explanation",
    "Saliency": "saliency",
    "Target": "explanation",
    "explain": "explaining",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galcnn.explain.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
