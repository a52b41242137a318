"""Synthesis: an image optimised for a target. Does not import Keras."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from galcnn._runtime.representation import names, pixels, summary
from galcnn.errors import message
from galcnn.explain.explanation import read_only
from galcnn.model import Target

#: Space of an image: calibrated flux (or display values), or the stretched image that the network sees.
Space = Literal["stretched", "flux"]
SPACES: tuple[Space, ...] = ("stretched", "flux")


@dataclass(frozen=True, eq=False)
class Synthesis:
    """Image optimised for a target: a class model, filter visualisation, DeepDream image or attack.

    `score`, `start_score` and the logits are not taken from the optimisation: they come from a separate
    prediction of `image` and `start` as stored here, in float32.

    Attributes
    ----------
    image : numpy.ndarray
        Resulting image, float32, shape (n_bands, ny, nx).
    start : numpy.ndarray
        Start image (a galaxy, noise or zeros), float32, shape of `image`.
    bands : tuple of str
        Band of each plane.
    method : str
        Name of the method: ``class_model``, ``filter_image`` ...
    target : Target
        Target that was maximised: weights of the logits or, with a `network_layer`, of the
        channels of that layer.
    wrt : {"stretched", "flux"}
        Space of the pixels: the stretched image that the network sees, or the flux (or display
        values) before the preprocessing.
    unit : str
        Unit of the pixels: ``nJy`` or ``display``; empty for stretched images.
    score, start_score : float
        Value of the target for `image` and for `start`.
    success : bool
        True if the separate prediction confirms that the method reached its goal, see the method.
    logits, start_logits : tuple of float
        Logits of `image` and `start`, one per class; may be empty.
    settings : mapping
        Settings of the method.
    seed : int or None
        Seed, if random numbers were drawn.
    network_layer : str
        Network layer of the target's channels; empty for the logits.
    sigma : numpy.ndarray or None
        Noise of the pixels of `start`, float32, shape of `image`; None if it is not known.

    Raises
    ------
    ValueError
        If the fields are inconsistent.

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

    def __repr__(self) -> str:
        return summary(
            "Synthesis",
            f"for {self.target.name} by {self.method}: {names(self.bands)}, {pixels(self.image.shape[1:])}, "
            f"in {self.unit or 'stretched values'}",
            f"score {self.start_score:.4g} -> {self.score:.4g}, success: {self.success}",
        )

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
        """Difference `image` - `start`, float32, shape of `image`; NaN where either is NaN."""
        with np.errstate(invalid="ignore", over="ignore"):
            return self.image - self.start

    @property
    def perturbation_in_sigma(self) -> npt.NDArray[np.float32] | None:
        """Perturbation divided by sigma, NaN where sigma is not positive; None without sigma."""
        if self.sigma is None:
            return None
        usable = self.sigma > 0
        return np.divide(self.perturbation, self.sigma, out=np.full_like(self.sigma, np.nan), where=usable)

    @property
    def gain(self) -> float:
        """Increase of the target, `score` - `start_score`."""
        return self.score - self.start_score
