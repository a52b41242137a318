"""Fooling a network: images changed, or made, until it answers what it should not.

One attack a file. An attack is called like an explainer, ``(network, images, target, *, context)``,
and gives images; `fool` runs attacks on cutouts and gives a `galcnn.explain.Synthesis` for each,
whose success an independent prediction has checked. Lazy, since Keras is slow to import.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.fooling.fooling_images import SkyAscent, SkyEvolution
    from galcnn.fooling.margins import Attack
    from galcnn.fooling.minimal import MinimalPerturbation, SmallestBudget
    from galcnn.fooling.perturbation import away_from, fool
    from galcnn.fooling.pgd import FGSM, PGD
    from galcnn.fooling.registry import attacks_by_name
    from galcnn.fooling.universal import FixedPerturbation, UniversalPerturbation
    from galcnn.fooling.visible import Visibility, visibility

__all__ = [
    "FGSM",
    "PGD",
    "Attack",
    "FixedPerturbation",
    "MinimalPerturbation",
    "SkyAscent",
    "SkyEvolution",
    "SmallestBudget",
    "UniversalPerturbation",
    "Visibility",
    "attacks_by_name",
    "away_from",
    "fool",
    "visibility",
]

_HOME = {
    "FGSM": "pgd",
    "PGD": "pgd",
    "Attack": "margins",
    "FixedPerturbation": "universal",
    "MinimalPerturbation": "minimal",
    "SkyAscent": "fooling_images",
    "SkyEvolution": "fooling_images",
    "SmallestBudget": "minimal",
    "UniversalPerturbation": "universal",
    "Visibility": "visible",
    "attacks_by_name": "registry",
    "away_from": "perturbation",
    "fool": "perturbation",
    "visibility": "visible",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galcnn.fooling.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
