"""Conformance tests for the authors of plugins: does it do all that galcnn relies on?

Lazy, since an explainer needs Keras and a survey does not.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.testing.explainers import check_explainer
    from galcnn.testing.surveys import check_survey

__all__ = ["check_explainer", "check_survey"]

_HOME = {"check_explainer": "explainers", "check_survey": "surveys"}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galcnn.testing.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
