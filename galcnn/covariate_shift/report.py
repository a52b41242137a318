"""Tables and summary of a covariate-shift test, from the logits of its variants."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.table import QTable
from scipy.special import softmax

from galcnn.covariate_shift.distances import holm
from galcnn.covariate_shift.settings import ShiftSettings
from galcnn.evaluation import estimate
from galcnn.evaluation.intervals import Estimate, Verdict, verdict
from galcnn.evaluation.metrics import calibration_error

#: Accuracy of the oracle below which the images hold too little information to judge the variants.
ORACLE_LIMIT = 0.85

#: Variant -> logits, shape (n_seeds, n_redshifts, n_test, n_classes).
Logits = Mapping[str, npt.NDArray[np.float32]]
_Right = npt.NDArray[np.float64]


def score_table(logits: Logits, labels: npt.NDArray[np.int32], settings: ShiftSettings) -> QTable:
    """Return the scores of every variant at every redshift."""
    rows = []
    for variant, own in logits.items():
        for i, z in enumerate(settings.test_redshifts):
            found = own[:, i]
            right = (found.argmax(axis=-1) == labels).astype(float)
            accuracy = estimate(right)
            low, high = np.clip(accuracy.interval(), 0, 1)
            seeds = right.mean(axis=1)
            row: dict[str, Any] = {
                "variant": variant,
                "z": z,
                "accuracy": accuracy.mean,
                "low": low,
                "high": high,
            }
            row |= {"seed_low": seeds.min(), "seed_high": seeds.max()}
            row |= _by_class(found, labels, settings.classes)
            errors = [
                calibration_error(softmax(one.astype(float), axis=1), labels.astype(int)) for one in found
            ]
            rows.append(row | {"calibration_error": float(np.mean(errors)), "n_seeds": len(own)})
    return QTable(rows=rows)


def contrast_table(logits: Logits, labels: npt.NDArray[np.int32], settings: ShiftSettings) -> QTable:
    """Compare every two variants at every redshift, galaxy by galaxy."""
    right = _right(logits, labels)
    found: dict[tuple[str, str, float], Estimate] = {}
    for first, second in itertools.combinations(right, 2):
        for i, z in enumerate(settings.test_redshifts):
            found[first, second, z] = estimate(right[first][:, i] - right[second][:, i])
    raw = {key: one.p_value for key, one in found.items()}
    adjusted = holm(raw) if all(np.isfinite(list(raw.values()))) else raw  # NaN: one seed
    rows = []
    for (first, second, z), one in found.items():
        p_value = adjusted[first, second, z]
        said = verdict(one, (first, second), delta=settings.delta, p_value=p_value)
        low, high = one.interval()
        rows.append(
            {
                "first": first,
                "second": second,
                "z": z,
                "difference": one.mean,
                "low": low,
                "high": high,
                "p_value": one.p_value,
                "p_holm": p_value,
                "verdict": said.word,
                "text": said.text,
            }
        )
    return QTable(rows=rows)


def primary_verdict(
    logits: Logits, labels: npt.NDArray[np.int32], settings: ShiftSettings
) -> tuple[Verdict, tuple[float, ...]]:
    """Judge the primary contrast over redshifts beyond training where the oracle reaches `ORACLE_LIMIT`."""
    right = _right(logits, labels)
    first, second = settings.primary
    beyond = [i for i, z in enumerate(settings.test_redshifts) if z > settings.train_redshifts[1]]
    if "oracle" in right:
        beyond = [i for i in beyond if right["oracle"][:, i].mean() >= ORACLE_LIMIT]
    if not beyond:
        text = "No redshift beyond training at which the oracle holds 85 %: no verdict."
        return Verdict("not judged", text), ()
    one = estimate((right[first] - right[second])[:, beyond].mean(axis=1))
    said = verdict(one, settings.primary, delta=settings.delta, p_value=one.p_value)
    return said, tuple(settings.test_redshifts[i] for i in beyond)


def summary(
    scores: QTable,
    contrasts: QTable,
    primary: Verdict,
    redshifts: tuple[float, ...],
    settings: ShiftSettings,
) -> str:
    """Return the text of ``summary.md``; `redshifts` are those of the primary contrast."""
    z = settings.test_redshifts
    variants = list(dict.fromkeys(str(name) for name in scores["variant"]))
    accuracy = {
        variant: [float(row["accuracy"]) for row in scores if row["variant"] == variant]
        for variant in variants
    }
    shown = ", ".join(f"{one:g}" for one in redshifts) or "none"
    first, second = settings.primary
    named = f"Primary contrast, named in advance: {first} against {second}, mean over z = {shown}"
    lines = [
        "# Does the answer change because the galaxy is further away?",
        "",
        f"{named} (beyond training, where the oracle holds {100 * ORACLE_LIMIT:.0f} %).",
        "",
        f"**{primary.text}**",
        "",
        "## Accuracy",
        "",
        "| variant | " + " | ".join(f"z = {one:g}" for one in z) + " | -5 points at | -10 points at |",
        "|---|" + "---|" * (len(z) + 2),
    ]
    for variant in variants:
        rows = [row for row in scores if row["variant"] == variant]
        cells = [f"{row['accuracy']:.3f} [{row['low']:.3f}, {row['high']:.3f}]" for row in rows]
        falls = [_z(falls_at(z, accuracy[variant], points)) for points in (5, 10)]
        lines.append(f"| {variant} | " + " | ".join([*cells, *falls]) + " |")
    if "oracle" in variants:
        lines += ["", "## What is lost to everybody, and what to the shift", ""]
        lines += ["Points of accuracy between the first and the last redshift at which the oracle holds.", ""]
        last = max((i for i, value in enumerate(accuracy["oracle"]) if value >= ORACLE_LIMIT), default=0)
        everybody = accuracy["oracle"][0] - accuracy["oracle"][last]
        for variant in variants:
            total = accuracy[variant][0] - accuracy[variant][last]
            shift = 100 * (total - everybody)
            both = f"{100 * everybody:+.1f} that the oracle loses, too, and {shift:+.1f} by the shift"
            lines.append(f"- {variant}: {100 * total:+.1f} to z = {z[last]:g}: {both}.")
    lines += ["", f"## Every two variants (p adjusted for all {len(contrasts)} questions)", ""]
    lines += [f"- z = {row['z']:g}: {row['text']}" for row in contrasts]
    return "\n".join([*lines, "", *_caveats(settings), ""])


def falls_at(redshifts: npt.ArrayLike, accuracies: npt.ArrayLike, points: float) -> float:
    """Find the redshift at which the accuracy has fallen by some percentage points.

    Parameters
    ----------
    redshifts, accuracies : array-like
        Redshifts and accuracies of one variant; the first accuracy is the reference.
    points : float
        Decrease in percentage points.

    Returns
    -------
    float
        Redshift, interpolated linearly; NaN if the accuracy never falls by so much.

    Examples
    --------
    >>> falls_at([0.05, 0.1, 0.2], [0.9, 0.88, 0.78], 5)
    0.13
    """
    z, accuracy = np.asarray(redshifts, dtype=np.float64), np.asarray(accuracies, dtype=np.float64)
    goal = accuracy[0] - points / 100
    for i in range(1, len(z)):
        if accuracy[i] <= goal:
            share = (accuracy[i - 1] - goal) / (accuracy[i - 1] - accuracy[i])
            return float(round(z[i - 1] + share * (z[i] - z[i - 1]), 9))
    return float("nan")


def _caveats(settings: ShiftSettings) -> list[str]:
    width = "a fixed angle" if settings.width == "fixed" else "an angle in proportion to its galaxy"
    filters = "-".join(str(n) for n in settings.network.widths)
    text = (
        f"Simulated galaxies of {len(settings.classes)} classes without dust, stars, neighbours or "
        f"evolution, seen as {settings.telescope().name}, each image of {width}; one architecture of "
        f"{filters} filters, {settings.n_train} galaxies to train on. Real surveys change more than the "
        "redshift, and volunteers call faint, distant spirals smooth, so that accuracy on real labels "
        "mixes the shift with the labels."
    )
    return ["## What this does not show", "", text]


def _right(logits: Logits, labels: npt.NDArray[np.int32]) -> dict[str, _Right]:
    """1 for right and 0 for wrong predictions, shape (n_seeds, n_redshifts, n_test)."""
    return {variant: (own.argmax(axis=-1) == labels).astype(np.float64) for variant, own in logits.items()}


def _by_class(
    found: npt.NDArray[np.float32], labels: npt.NDArray[np.int32], classes: tuple[str, ...]
) -> dict[str, float]:
    guess = found.argmax(axis=-1)
    values: dict[str, float] = {}
    for i, name in enumerate(classes):
        hits = ((guess == i) & (labels == i)).sum(axis=1)
        called = (guess == i).sum(axis=1)
        values[f"completeness_{name}"] = float(np.mean(hits / max((labels == i).sum(), 1)))
        values[f"purity_{name}"] = (
            float(np.mean(hits[called > 0] / called[called > 0])) if called.any() else 0.0
        )
    balanced = float(np.mean([values[f"completeness_{name}"] for name in classes]))
    return {"balanced_accuracy": balanced} | values


def _z(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.2f}"
