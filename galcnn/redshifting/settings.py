"""What a user may choose when a galaxy is put further away."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from galcnn.errors import message
from galcnn.redshifting.receding import CONVENTIONS, Convention

__all__ = ["Redshifting"]

_CHOICES = {
    "convention": CONVENTIONS,
    "bandpass": ("nearest", "sed", "same"),
    "noise": ("add", "whiten", "none"),
    "fill": ("refuse", "mask", "sky"),
}


@dataclass(frozen=True)
class Redshifting:
    """How a galaxy is put further away.

    Attributes
    ----------
    convention : {"f_nu", "f_lambda", "bolometric"}
        What the values are, see `galcnn.redshifting.flux_factor`. Cutouts in nJy are f_nu.
    bandpass : {"nearest", "sed", "same"}
        How an observation's bands are made: of the band that saw nearly the same rest-frame
        light, by spectra fitted pixel by pixel, or of the band of the same name, as if both saw
        the same rest-frame light.
    max_mismatch : float
        Largest relative difference of rest-frame wavelengths for "nearest".
    evolution : float
        Brightening in magnitudes per unit of redshift, relative to the galaxy's own redshift.
    noise : {"add", "whiten", "none"}
        Add what the observation has more than is left of the input's; or so that neighbouring
        pixels are independent, as far as that can be; or none.
    fill : {"refuse", "mask", "sky"}
        What happens where the input's field ends before the output's: an error, masked pixels, or
        sky with the input's own noise.
    linear_counts : bool
        Accept linear values without a zero point (never 8-bit pictures).
    cosmology : astropy.cosmology.FLRW or None
        Planck 2018 when None.

    Raises
    ------
    ValueError
        No such choice, or a number that is none.
    """

    convention: Convention = "f_nu"
    bandpass: Literal["nearest", "sed", "same"] = "nearest"
    max_mismatch: float = 0.1
    evolution: float = 0.0
    noise: Literal["add", "whiten", "none"] = "add"
    fill: Literal["refuse", "mask", "sky"] = "refuse"
    linear_counts: bool = False
    cosmology: Any = None

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(message(f"{name} among {choices}", "", **{name: getattr(self, name)}))
        if not (math.isfinite(self.evolution) and self.max_mismatch >= 0):
            raise ValueError(
                message(
                    "a finite evolution and a mismatch of 0 or more",
                    "",
                    evolution=self.evolution,
                    max_mismatch=self.max_mismatch,
                )
            )
