"""Calibration, prediction sets and out-of-distribution limit of a model: its ``uncertainty.json``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn._runtime.representation import names, summary
from galcnn.prediction.calibration import (
    UNCERTAINTY_FILE,
    UNCERTAINTY_FORMAT,
    Calibration,
    read_uncertainty,
)
from galcnn.uncertainty.out_of_distribution import OutOfDistribution
from galcnn.uncertainty.prediction_sets import ConformalSets, smallest_sample


@dataclass(frozen=True, eq=False)
class UncertaintyRecord:
    """Calibration, prediction sets and out-of-distribution limit of one model, stored apart from its card.

    Attributes
    ----------
    model_sha256 : str
        SHA-256 of the ``model.keras`` for which they were fitted.
    calibration : Calibration
        Calibration of the logits.
    sets : ConformalSets
        Prediction sets from the calibrated probabilities.
    out_of_distribution : OutOfDistribution
        Distribution of the training set.
    measured : mapping
        Calibration errors, coverage and false alarms measured on the test set, with intervals.
    """

    model_sha256: str
    calibration: Calibration
    sets: ConformalSets
    out_of_distribution: OutOfDistribution
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        sets, found = self.sets, self.measured
        kind = self.calibration.kind
        told = f"{kind} calibration fitted on {self.calibration.n} galaxies"
        if kind != "vector":
            told += f", T = {self.calibration.temperature:.2f}"
        measured = [
            f"{name.replace('_', ' ')} {found[name]['value']:.3f}"
            for name in ("calibration_error", "coverage", "false_alarms")
            if name in found and found[name]["value"] is not None
        ]
        return summary(
            "UncertaintyRecord",
            told,
            f"sets of {sets.coverage:.0%} coverage, {self.out_of_distribution.false_alarms:.1%} false alarms",
            f"measured on {found['n_test']} test galaxies: {names(measured)}" if measured else "",
        )

    def lines(self) -> list[str]:
        """Return a summary of the measurements.

        Returns
        -------
        list of str
            Lines of text: settings, and what was measured on the test set with 95 % intervals.
        """
        found, sets = self.measured, self.sets

        def figure(name: str) -> str:
            one = found[name]
            return f"{one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"

        p = [found[name]["p"] for name in ("calibration_error_before", "calibration_error")]
        each = " for each class" if sets.per_class else ""
        ood = self.out_of_distribution
        promised, asked = ood.false_alarms, found["false_alarms"].get("asked", ood.false_alarms)
        few = f" ({asked:.1%} needs {smallest_sample(asked)} validation galaxies)" if promised > asked else ""
        sure = "" if ood.confidence is None else f" with {ood.confidence:.0%} confidence"
        rate = f"{promised:.1%} false alarms promised{few}{sure}"
        curve = [
            f"    confidence {row['low_edge']:.1f} to {row['high_edge']:.1f}: {row['accuracy']:.3f} right "
            f"[{row['low']:.3f}, {row['high']:.3f}], {row['confidence']:.3f} said, {row['n']} galaxies"
            f"{'; more than chance' if row['departs'] else ''}"
            for row in found.get("reliability", ())
        ]
        return [
            f"calibration: {self.calibration}, fitted on {self.calibration.n} galaxies",
            f"    error before  {figure('calibration_error_before')}, p = {p[0]:.3f} of right probabilities",
            f"    error after   {figure('calibration_error')}, p = {p[1]:.3f}",
            *curve,
            f"sets: {sets.coverage:.0%} promised{each}, {figure('coverage')} measured",
            f"    classes in a set  {figure('size')}",
            f"out of distribution: {rate}, {figure('false_alarms')} given",
            f"measured on {found['n_test']} test galaxies; 95 % intervals",
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return the content of ``uncertainty.json``.

        Returns
        -------
        dict
            Plain values of all attributes, and the format version.
        """
        return {
            "format": UNCERTAINTY_FORMAT,
            "model_sha256": self.model_sha256,
            "calibration": self.calibration.to_dict(),
            "sets": self.sets.to_dict(),
            "out_of_distribution": self.out_of_distribution.to_dict(),
            "measured": dict(self.measured),
        }

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``uncertainty.json`` atomically.

        Parameters
        ----------
        folder : path-like
            Model folder.

        Returns
        -------
        pathlib.Path
            Path of the file.
        """
        path = Path(folder) / UNCERTAINTY_FILE
        atomic.write_json(path, self.to_dict())
        return path

    @classmethod
    def read(cls, folder: str | os.PathLike[str], model_sha256: str) -> UncertaintyRecord | None:
        """Read ``uncertainty.json`` of a model.

        Parameters
        ----------
        folder : path-like
            Model folder.
        model_sha256 : str
            SHA-256 of the model, from its card.

        Returns
        -------
        UncertaintyRecord or None
            Content of the file; None if it does not exist.

        Raises
        ------
        ValueError
            If the file is invalid, was written by a newer galcnn, or belongs to another model.
        """
        return read_uncertainty(
            folder,
            model_sha256,
            lambda content: cls(
                str(content["model_sha256"]),
                Calibration.from_dict(content["calibration"]),
                ConformalSets.from_dict(content["sets"]),
                OutOfDistribution.from_dict(content["out_of_distribution"]),
                content["measured"],
            ),
        )
