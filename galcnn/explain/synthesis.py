"""Synthesis: an image made for a target. A noun; no Keras here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain.explanation import read_only
from galcnn.model import Target

#: Where an image was made: in calibrated flux (or display values), or in what the network sees.
Space = Literal["stretched", "flux"]
SPACES: tuple[Space, ...] = ("stretched", "flux")


@dataclass(frozen=True, eq=False)
class Synthesis:
    """An image made for a target: a class model, a filter visualisation, a dream, an attack.

    What was found on the way is not trusted: `score`, `start_score` and the logits are those of
    an independent prediction of the image and of the start as they are stored here, in float32.

    Attributes
    ----------
    image : numpy.ndarray
        float32, shape (n_bands, ny, nx): what was made.
    start : numpy.ndarray
        float32, shape of `image`: what it was made from. A galaxy, noise, or zeros.
    bands : tuple of str
        One a plane.
    method : str
        How it was made: ``class_model``, ``filter_image`` ...
    target : Target
        What was to grow: weights over the logits, or, with a `network_layer`, over the channels
        of that layer.
    wrt : {"stretched", "flux"}
        Whether the pixels are what the network sees or what its preprocessing eats.
    unit : str
        Of the pixels: ``nJy``, ``display``; empty for stretched ones.
    score, start_score : float
        Value of the target for `image` and for `start`.
    success : bool
        Whether the independent prediction confirms what the method was to reach; the method
        says what that is.
    logits, start_logits : tuple of float
        Of both images, one a class; may be empty where there is no classifier.
    settings : mapping
        Of the method.
    seed : int or None
        Where random numbers were drawn.
    network_layer : str
        The layer whose channels the target weighs; empty for the logits.
    sigma : numpy.ndarray or None
        float32, shape of `image`: the noise of the start in each pixel, where it is known.

    Raises
    ------
    ValueError
        A field does not fit the others.

    Examples
    --------
    >>> import numpy as np
    >>> made = np.ones((1, 4, 4)), np.zeros((1, 4, 4))
    >>> target = Target.of_class("spiral", ("elliptical", "spiral"))
    >>> synthesis = Synthesis(*made, ("r",), "class_model", target, "stretched", "", 5.0, 1.0, True)
    >>> float(synthesis.perturbation.sum()), synthesis.gain
    (16.0, 4.0)
    """

    image: npt.NDArray[np.float32]
    start: npt.NDArray[np.float32]
    bands: tuple[str, ...]
    method: str
    target: Target
    wrt: Space
    unit: str
    score: float
    start_score: float
    success: bool
    logits: tuple[float, ...] = ()
    start_logits: tuple[float, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seed: int | None = None
    network_layer: str = ""
    sigma: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        image, start = read_only(self.image), read_only(self.start)
        bands = tuple(self.bands)
        wrong = image.ndim != 3 or image.shape != start.shape or len(bands) != len(image)
        if wrong or len(set(bands)) != len(bands):
            raise ValueError(
                message(
                    "image and start of shape (n_bands, ny, nx), each band named once",
                    "",
                    image=image.shape,
                    start=start.shape,
                    bands=bands,
                )
            )
        sigma = None if self.sigma is None else read_only(self.sigma)
        if sigma is not None and sigma.shape != image.shape:
            raise ValueError(message("sigma of the image's shape", "", sigma=sigma.shape, image=image.shape))
        if self.wrt not in SPACES:
            raise ValueError(message(f"wrt among {SPACES}", "", wrt=self.wrt))
        weighs_logits = not self.network_layer and self.logits
        if len(self.logits) != len(self.start_logits) or (
            weighs_logits and len(self.logits) != len(self.target.weights)
        ):
            raise ValueError(
                message(
                    "as many logits of the start as of the image, and as weights of the target",
                    "",
                    logits=self.logits,
                    start_logits=self.start_logits,
                    weights=self.target.weights,
                )
            )
        values = {"image": image, "start": start, "bands": bands, "settings": dict(self.settings)}
        values["sigma"] = sigma
        values["logits"] = tuple(float(value) for value in self.logits)
        values["start_logits"] = tuple(float(value) for value in self.start_logits)
        values["success"] = bool(self.success)
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def perturbation(self) -> npt.NDArray[np.float32]:
        """What was added to the start, float32, shape of the image; NaN where either has no value."""
        with np.errstate(invalid="ignore", over="ignore"):
            return self.image - self.start

    @property
    def perturbation_in_sigma(self) -> npt.NDArray[np.float32] | None:
        """The perturbation over the noise, NaN where there is none; None where it is not known."""
        if self.sigma is None:
            return None
        usable = self.sigma > 0
        return np.divide(self.perturbation, self.sigma, out=np.full_like(self.sigma, np.nan), where=usable)

    @property
    def gain(self) -> float:
        """By how much the target has grown."""
        return self.score - self.start_score
