"""Score a model on a labelled catalog: figures with intervals, split by what the galaxies are."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.table import Table, vstack

from galcnn import atomic
from galcnn.catalog import Catalog, write_table
from galcnn.catalog.columns import as_numbers
from galcnn.doubt import Doubts, calibration_test
from galcnn.errors import message
from galcnn.evaluation import evaluate
from galcnn.inputs import InputFiles
from galcnn.model import load_model
from galcnn.pipeline.figures import draw_scores
from galcnn.prediction import Prediction, predict_files, prediction_table
from galcnn.progress import Progress, silent
from galcnn.viewers.figures import save_figure
from galcnn.viewers.score_figures import scores_figure

__all__ = ["EvaluationSettings", "evaluate_catalog", "score_table"]

#: A bin with fewer galaxies would give intervals that say nothing.
_LEAST = 5


@dataclass(frozen=True)
class EvaluationSettings:
    """How a model is scored.

    Attributes
    ----------
    by : tuple of str
        Columns of the catalog by which scores are split as well: a magnitude, a size, a redshift.
    n_bins : int
        Of each, with equal numbers of galaxies.
    calibrated : bool
        Whether probabilities are calibrated where the model has ``doubts.json``.
    fit : bool
        See `galcnn.inputs.InputFiles`.
    seed : int
        Of the bootstrap.
    """

    by: tuple[str, ...] = ()
    n_bins: int = 4
    calibrated: bool = True
    fit: bool = False
    seed: int = 0


def evaluate_catalog(
    folder: str | os.PathLike[str],
    catalog: Catalog,
    out: str | os.PathLike[str],
    *,
    settings: EvaluationSettings | None = None,
    progress: Progress = silent,
) -> Table:
    """Score a model on the galaxies of a catalog, and draw what came out.

    Parameters
    ----------
    folder : path-like
        Of the model.
    catalog : galcnn.catalog.Catalog
        With columns `image` and `class`. That no galaxy of it was trained on is for the caller
        to see to.
    out : path-like
        Folder: ``scores.ecsv``, ``predictions.ecsv``, ``scores.png`` (where split), and what
        `galcnn.pipeline.figures.draw_scores` gives.
    settings : EvaluationSettings, optional
        The defaults when not given.
    progress : galcnn.progress.Progress
        Shows the images.

    Returns
    -------
    astropy.table.Table
        See `score_table`; its meta holds `n_failed`, the images that could not be used, and
        `calibration`, whether the probabilities differ from frequencies by more than chance.

    Raises
    ------
    OSError, ValueError
        No such model or column, a class that it does not know, or no image that could be used.
    """
    settings = settings or EvaluationSettings()
    trained = load_model(folder)
    classes = trained.classes
    if unknown := sorted(set(catalog.classes) - set(classes)):
        raise ValueError(message(f"classes among {classes}", "Merge or drop the others.", unknown=unknown))
    columns = {name: _numbers(catalog, name) for name in settings.by}
    target = Path(out)
    atomic.check_writable(target, folder=True)
    paths = dict(zip(catalog.ids, (str(p) for p in catalog.table["image"]), strict=True))
    answers = predict_files(trained, InputFiles(paths, fit=settings.fit), progress=progress)
    prediction = answers.prediction.with_prior(trained.card.class_prior, trained.card.trained_prior)
    doubts = Doubts.read(folder, trained.card.model_sha256) if settings.calibrated else None
    if doubts is not None:
        prediction = doubts.calibration.apply(prediction)
    used = np.flatnonzero(np.isfinite(prediction.logits).all(axis=1))
    if not len(used):
        raise ValueError(f"None of {len(catalog)} images could be classified. {answers.reasons[0]}")
    labels = catalog.labels[used].tolist()
    known = prediction.select(used.tolist())
    table = score_table(
        known, labels, {k: v[used] for k, v in columns.items()}, n_bins=settings.n_bins, seed=settings.seed
    )
    table.meta |= {
        "n_failed": len(catalog) - len(used),
        "calibration": str(calibration_test(known, labels, seed=settings.seed)),
        "calibrated": doubts is not None,
    }
    if doubts is not None:
        table.meta["sets"] = {name: str(score) for name, score in doubts.sets.check(known, labels).items()}
    rows = prediction_table(prediction, flags=answers.flags, reasons=answers.reasons)
    rows.add_column(catalog.labels, name="true_class", index=1)
    with atomic.writing_folder(target) as temporary:
        write_table(table, temporary / "scores.ecsv")
        write_table(rows, temporary / "predictions.ecsv")
        draw_scores(known, labels, temporary, seed=settings.seed)
        if columns:
            save_figure(scores_figure(table), temporary / "scores.png")
    return table


def score_table(
    prediction: Prediction,
    labels: Sequence[str],
    columns: Mapping[str, npt.NDArray[np.float64]],
    *,
    n_bins: int = 4,
    seed: int = 0,
) -> Table:
    """Score all galaxies, and those of each bin of each column.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Of galaxies with known classes.
    labels : sequence of str
        Their classes, in the same order.
    columns : mapping of str to numpy.ndarray
        What they are split by; shape (n,) each. NaN is in no bin.
    n_bins : int
        Of each column, with equal numbers of galaxies where values do not repeat.
    seed : int
        Of the bootstrap.

    Returns
    -------
    astropy.table.Table
        `by` ("all" for all galaxies), `low_edge`, `high_edge`, `median` of the bin, `score` (see
        `galcnn.evaluation.evaluate`), `value`, `low`, `high`, `n`. Bins of fewer than five
        galaxies are left out.
    """
    parts = [_scored(prediction, labels, ("all", np.nan, np.nan, np.nan), seed)]
    truth = np.asarray(labels)
    for name, values in columns.items():
        finite = values[np.isfinite(values)]
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, n_bins + 1))) if len(finite) else finite
        for position, (low, high) in enumerate(pairwise(edges)):
            last = position == len(edges) - 2
            rows = np.flatnonzero((values >= low) & ((values <= high) if last else (values < high)))
            if len(rows) >= _LEAST:
                where = (name, float(low), float(high), float(np.median(values[rows])))
                parts.append(_scored(prediction.select(rows.tolist()), truth[rows].tolist(), where, seed))
    return vstack(parts)


def _scored(
    prediction: Prediction, labels: Sequence[str], where: tuple[str, float, float, float], seed: int
) -> Table:
    scores = evaluate(prediction, labels, seed=seed)
    table = Table()
    for name, value in zip(("by", "low_edge", "high_edge", "median"), where, strict=True):
        table[name] = [value] * len(scores)
    table["score"] = list(scores)
    for name in ("value", "low", "high", "n"):
        table[name] = [getattr(score, name) for score in scores.values()]
    return table


def _numbers(catalog: Catalog, name: str) -> npt.NDArray[np.float64]:
    if name not in catalog.table.colnames:
        raise ValueError(message(f"a column among {catalog.table.colnames}", "", by=name))
    return as_numbers(catalog.table[name], name)
