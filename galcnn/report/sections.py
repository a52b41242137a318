"""Galaxies to look at first: worst mistakes, most uncertain, most unlike the training set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from galcnn.evaluation import worst_mistakes
from galcnn.prediction import Prediction
from galcnn.prediction.flags import NO_ANSWER
from galcnn.prediction.tables import prediction_of
from galcnn.report.sources import Rows

#: Maximum number of galaxies per section.
MOST = 24


@dataclass(frozen=True)
class Section:
    """Selected galaxies, the most extreme first.

    Attributes
    ----------
    key : str
        Key of the section in the page.
    title : str
        Heading of the section.
    ranking : str
        Criterion of the ranking, or the reason why there are no galaxies.
    rows : tuple of int
        Row numbers in the report.
    column : str
        Column that is shown for each galaxy.
    """

    key: str
    title: str
    ranking: str
    rows: tuple[int, ...] = ()
    column: str = ""


def sections_of(rows: Rows, set_test: str = "") -> tuple[Section, ...]:
    """Return the sections of the report; `set_test` says whether all galaxies are unlike the training set."""
    return (_mistakes(rows), _uncertain(rows), _unlike(rows, set_test))


def confusion_of(rows: Rows) -> list[list[int]]:
    """Return the number of galaxies by true and predicted class."""
    classes, truth, best = rows.classes, rows["true_class"], rows["class"]
    counts = [[0] * len(classes) for _ in classes]
    if truth is None or best is None:
        return []
    for true, said in zip(truth.values, best.values, strict=True):
        if true in classes and said in classes:
            counts[classes.index(true)][classes.index(said)] += 1
    return counts if any(map(any, counts)) else []


def _mistakes(rows: Rows) -> Section:
    title, truth, best = "Worst mistakes", rows["true_class"], rows["class"]
    if truth is None or best is None or not any(truth.values):
        return Section(
            "mistakes",
            title,
            "No true classes are known. The folder of galcnn train has those of its test set; for others "
            "give a catalog, and its column of classes with --label.",
        )
    known = _answered(rows)
    if known is None:
        return Section("mistakes", title, "None of the galaxies with a known class has probabilities.")
    prediction, labels, places = known
    worst = worst_mistakes(prediction, labels, len(labels))
    if not len(worst):
        return Section("mistakes", title, "None: all predictions with a known true class are correct.")
    chosen = tuple(places[row] for row in worst[:MOST])
    ranking = f"{len(worst)} wrong predictions; those with the smallest probability of the true class first."
    return Section("mistakes", title, ranking, chosen)


def _answered(rows: Rows) -> tuple[Prediction, list[str], list[int]] | None:
    """Return the galaxies with probabilities and a true class of the model, and their rows."""
    truth, columns = rows["true_class"], [rows[f"p_{name}"] for name in rows.classes]
    assert truth is not None  # for the type checker
    values = np.array([column.values for column in columns if column is not None], dtype=float).T
    if values.shape != (len(rows.ids), len(rows.classes)):
        return None
    whole = np.isfinite(values).all(axis=1)
    places = [row for row, true in enumerate(truth.values) if whole[row] and true in rows.classes]
    if not places:
        return None
    prediction = prediction_of([rows.ids[row] for row in places], values[places], rows.classes)
    return prediction, [truth.values[row] for row in places], places


def _uncertain(rows: Rows) -> Section:
    title = "Most uncertain"
    if rows["entropy"] is None:
        return Section("uncertain", title, "The table has no column entropy.")
    chosen = _largest(rows, "entropy")
    return Section("uncertain", title, "Largest entropy of the probabilities first.", chosen, "entropy")


def _unlike(rows: Rows, set_test: str) -> Section:
    title = "Most unlike the training set"
    if rows["distance"] is None:
        return Section(
            "unlike",
            title,
            "The table has no column distance: run galcnn calibrate on the model before galcnn classify.",
        )
    ranking = "Largest distance from the training images first, in robust deviations."
    if set_test:
        ranking = f"{set_test[0].upper()}{set_test[1:]}. {ranking}"
    return Section("unlike", title, ranking, _largest(rows, "distance"), "distance")


def _largest(rows: Rows, name: str) -> tuple[int, ...]:
    column, flags = rows[name], rows["flag"]
    assert column is not None  # for the type checker
    values: list[tuple[Any, int]] = [
        (-value, row)
        for row, value in enumerate(column.values)
        if value is not None and not (flags is not None and (flags.values[row] or 0) & NO_ANSWER)
    ]
    return tuple(row for _, row in sorted(values)[:MOST])
