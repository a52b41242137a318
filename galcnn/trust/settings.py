"""How a report of trust is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import get_args

from galcnn.errors import message
from galcnn.trust.attacking import Attack
from galcnn.trust.removing import Imputation

__all__ = ["TrustSettings"]


@dataclass(frozen=True)
class TrustSettings:
    """How maps are tested.

    Attributes
    ----------
    target : str or None
        See `galcnn.explain.Target.parse`; the predicted class of each galaxy by default.
    imputation : {"sky", "blurred"}
        What deleted pixels become.
    noise : float
        By how many sigma pixels move for maximal sensitivity.
    moves : int
        Of maximal sensitivity.
    draws : int
        Of the noise that significance is measured with; three or more.
    attack : galcnn.trust.Attack
        On the maps.
    layers : int
        Galaxies whose maps, ratios and adjusted p-values are written as FITS layers.
    seed : int
        Of everything that is drawn.
    """

    target: str | None = None
    imputation: Imputation = "sky"
    noise: float = 1.0
    moves: int = 8
    draws: int = 16
    attack: Attack = field(default_factory=Attack)
    layers: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        words = get_args(Imputation)
        if (
            self.draws < 3
            or self.moves < 1
            or self.noise <= 0
            or self.layers < 0
            or self.imputation not in words
        ):
            raise ValueError(
                message(
                    f"three draws, a move, noise above 0 and an imputation among {words}",
                    "",
                    draws=self.draws,
                    moves=self.moves,
                    noise=self.noise,
                    layers=self.layers,
                    imputation=self.imputation,
                )
            )
