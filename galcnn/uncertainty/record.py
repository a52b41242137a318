"""All that was measured of a model's doubt, as ``doubts.json`` in its folder."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn.errors import message
from galcnn.uncertainty.calibration import Calibration
from galcnn.uncertainty.out_of_distribution import Domain
from galcnn.uncertainty.prediction_sets import ConformalSets

#: Its file in a model folder.
DOUBTS = "doubts.json"

_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Doubts:
    """Calibration, sets and domain of one model. The card stays as training wrote it.

    Attributes
    ----------
    model_sha256 : str
        Of the ``model.keras`` that they were fitted on.
    calibration : Calibration
        Of its logits.
    sets : ConformalSets
        Of its calibrated probabilities.
    domain : Domain
        Of its training set.
    measured : mapping
        Each figure on the test set, which took no part: value and interval.
    """

    model_sha256: str
    calibration: Calibration
    sets: ConformalSets
    domain: Domain
    measured: Mapping[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Say what was measured, in words.

        Returns
        -------
        list of str
            One a promise, each with its figure on the test set.
        """
        found, sets = self.measured, self.sets

        def figure(name: str) -> str:
            one = found[name]
            return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"

        temperature = self.calibration.temperature
        what = f"T = {temperature:.2f}" if self.calibration.kind == "temperature" else "vector"
        p = [found[name]["p"] for name in ("calibration_error_before", "calibration_error")]
        each = " for each class" if sets.per_class else ""
        return [
            f"calibration: {what}, fitted on {self.calibration.n} galaxies",
            f"    error before  {figure('calibration_error_before')}, p = {p[0]:.3f} of right probabilities",
            f"    error after   {figure('calibration_error')}, p = {p[1]:.3f}",
            f"sets: {sets.coverage:.0%} promised{each}, {figure('coverage')} measured",
            f"    classes in a set  {figure('size')}",
            f"domain: {self.domain.false_alarms:.1%} false alarms promised, {figure('false_alarms')} given",
            f"measured on {found['n_test']} test galaxies; 95 % intervals",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, as ``doubts.json`` holds them.

        Returns
        -------
        dict
            Of all attributes.
        """
        return {
            "format": _FORMAT,
            "model_sha256": self.model_sha256,
            "calibration": self.calibration.to_dict(),
            "sets": self.sets.to_dict(),
            "domain": self.domain.to_dict(),
            "measured": dict(self.measured),
        }

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``doubts.json``, whole or not at all.

        Parameters
        ----------
        folder : path-like
            Of the model.

        Returns
        -------
        pathlib.Path
            The file.
        """
        path = Path(folder) / DOUBTS
        atomic.write_json(path, self.to_dict())
        return path

    @classmethod
    def read(cls, folder: str | os.PathLike[str], model_sha256: str) -> Doubts | None:
        """Read what belongs to a model.

        Parameters
        ----------
        folder : path-like
            Of the model.
        model_sha256 : str
            From its card.

        Returns
        -------
        Doubts or None
            None where nothing was measured yet.

        Raises
        ------
        ValueError
            It is no such file, comes from a newer galcnn, or belongs to another model.
        """
        path = Path(folder) / DOUBTS
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            if int(content["format"]) > _FORMAT:
                raise ValueError(f"format {content['format']}: update galcnn")
            doubts = cls(
                str(content["model_sha256"]),
                Calibration.from_dict(content["calibration"]),
                ConformalSets.from_dict(content["sets"]),
                Domain.from_dict(content["domain"]),
                content["measured"],
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                message(
                    "doubts.json as galcnn calibrate wrote it",
                    "Run it again.",
                    path=str(path),
                    error=f"{type(error).__name__}: {error}",
                )
            ) from error
        if doubts.model_sha256 != model_sha256:
            raise ValueError(
                message("doubts of this very model", "Run galcnn calibrate again.", path=str(path))
            )
        return doubts
