"""Networks that end in logits, and what is known of a trained one (model and card).

Lazy: a card can be read without the seconds that Keras takes to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.model.build import NetworkSettings, assemble, build_network
    from galcnn.model.bundle import (
        TrainedModel,
        load_model,
        refuse_foreign_folder,
        save_model,
        with_embedding,
    )
    from galcnn.model.card import Card

__all__ = [
    "Card",
    "NetworkSettings",
    "TrainedModel",
    "assemble",
    "build_network",
    "load_model",
    "refuse_foreign_folder",
    "save_model",
    "with_embedding",
]

_HOME = {"Card": "card", "NetworkSettings": "build", "assemble": "build", "build_network": "build"}


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module(f"galcnn.model.{_HOME.get(name, 'bundle')}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
