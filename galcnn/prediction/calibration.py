"""The calibration of a model's logits, and the file in the model folder that stores it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

import numpy as np

from galcnn.errors import message, without_content
from galcnn.prediction.prediction import Prediction

if TYPE_CHECKING:
    from galcnn.model import TrainedModel

Kind = Literal["temperature", "bias", "vector"]
#: File name in a model folder, and version of its format. Content: `galcnn.uncertainty.UncertaintyRecord`.
UNCERTAINTY_FILE, UNCERTAINTY_FORMAT = "uncertainty.json", 1

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Calibration:
    """Calibration of a network's logits: ``scale * logits + bias``.

    Attributes
    ----------
    kind : {"temperature", "bias", "vector"}
        Temperature scaling has one factor 1/T for all classes, which does not change the most
        probable class (Guo et al. 2017, section 4.2); ``bias`` adds an offset for each class
        (bias-corrected temperature scaling, Alexandari et al. 2020, ICML, section 3); vector scaling
        has a factor and an offset for each class.
    scale, bias : tuple of float
        Factor and offset of each class; fitted offsets sum to zero.
    n : int
        Number of galaxies used in the fit.
    """

    kind: Kind
    scale: tuple[float, ...]
    bias: tuple[float, ...]
    n: int

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(message(f"a kind among {get_args(Kind)}", "", kind=self.kind))
        object.__setattr__(self, "scale", tuple(float(x) for x in self.scale))
        object.__setattr__(self, "bias", tuple(float(x) for x in self.bias))
        finite = np.isfinite([*self.scale, *self.bias]).all()
        if len(self.scale) != len(self.bias) or not finite or min(self.scale, default=0.0) <= 0:
            raise ValueError(
                message(
                    "a positive factor and a finite offset per class", "", scale=self.scale, bias=self.bias
                )
            )

    @property
    def temperature(self) -> float:
        """Temperature T, above 1 for an overconfident network; NaN for vector scaling."""
        return 1.0 / self.scale[0] if self.kind != "vector" else float("nan")

    def __str__(self) -> str:
        if self.kind == "vector":
            return "vector scaling"
        offsets = " and an offset for each class" if self.kind == "bias" else ""
        return f"T = {self.temperature:.2f}{offsets}"

    def apply(self, prediction: Prediction) -> Prediction:
        """Calibrate a prediction.

        Parameters
        ----------
        prediction : galcnn.prediction.Prediction
            Prediction of the model for which the calibration was fitted, under any class prior.

        Returns
        -------
        galcnn.prediction.Prediction
            Prediction with calibrated logits; its adjustment to a class prior is kept.
        """
        if len(self.scale) != len(prediction.classes):
            raise ValueError(
                message(f"a prediction of {len(self.scale)} classes", "", classes=prediction.classes)
            )
        logits = prediction.logits.astype(np.float64) * self.scale + self.bias
        return replace(prediction, logits=logits.astype(np.float32))

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of plain values.

        Returns
        -------
        dict
            Input of `from_dict`, which restores an equal object.
        """
        return asdict(self) | {"scale": list(self.scale), "bias": list(self.bias)}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Calibration:
        """Restore a calibration from a dictionary.

        Parameters
        ----------
        content : mapping
            Dictionary from `to_dict`.

        Returns
        -------
        Calibration
            The calibration.
        """
        return cls(content["kind"], tuple(content["scale"]), tuple(content["bias"]), int(content["n"]))


def calibration_of(trained: TrainedModel) -> Calibration | None:
    """Return the calibration in the folder of a model; None without a folder or a record."""
    folder = getattr(trained, "folder", None)
    if folder is None:
        return None
    return read_uncertainty(
        folder, trained.card.model_sha256, lambda content: Calibration.from_dict(content["calibration"])
    )


def read_uncertainty(
    folder: str | os.PathLike[str], model_sha256: str, make: Callable[[Mapping[str, Any]], _Made]
) -> _Made | None:
    """Make an object of the content of ``uncertainty.json``, which must be of this model; None without it."""
    path = Path(folder) / UNCERTAINTY_FILE
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if int(content["format"]) > UNCERTAINTY_FORMAT:
            raise ValueError(
                message(f"format {UNCERTAINTY_FORMAT} or older", "Update galcnn.", format=content["format"])
            )
        found, of = make(content), str(content["model_sha256"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            message(
                "uncertainty.json as galcnn calibrate wrote it",
                "Run it again.",
                path=str(path),
                error=without_content(error),
            )
        ) from error
    if of != model_sha256:
        raise ValueError(message("the record of this model", "Run galcnn calibrate again.", path=str(path)))
    return found
