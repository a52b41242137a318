"""Score a model on a labelled catalog: scores with intervals, also in bins of other quantities."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.table import Table, vstack

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog, write_table
from galcnn.catalog.catalog import as_numbers
from galcnn.dataset import InputFiles
from galcnn.errors import message
from galcnn.evaluation import confusion_matrix, evaluate, rankings
from galcnn.evaluation.ranking import ranking_table
from galcnn.pipeline.classification import ClassifySettings, open_classifier
from galcnn.pipeline.runs import RunSettings, chunked, classified
from galcnn.prediction import Prediction
from galcnn.uncertainty import calibration_test, image_measures, reliability
from galcnn.viewers import roc_figure, save_figure
from galcnn.viewers.plots.scores import (
    confusion_figure,
    precision_recall_figure,
    reliability_figure,
    scores_figure,
)

#: Names of the output files.
_OWN = (
    "scores.*",
    "predictions.ecsv",
    "confusion.png",
    "reliability.*",
    "roc.png",
    "precision_recall.png",
    "ranking.ecsv",
)
#: Smallest number of galaxies in a bin; with fewer, the intervals would be meaningless.
_LEAST = 5


@dataclass(frozen=True)
class EvaluationSettings:
    """Settings of an evaluation.

    Attributes
    ----------
    by : tuple of str
        Quantities to bin the galaxies by, besides the scores of all: columns of the catalog (a magnitude,
        a size, a redshift), or measures of the images, see `galcnn.uncertainty.image_measures`.
    n_bins : int
        Number of bins of each quantity, with equal numbers of galaxies.
    calibrated : bool
        If True, calibrate the probabilities if the model has ``uncertainty.json``.
    fit : bool
        If True, images are resampled, cropped and padded to the model's pixel grid, see
        `galcnn.model.prepare`.
    seed : int
        Seed of the bootstrap.
    render : str or None
        Rendering step, see `galcnn.model.TrainedModel.with_render`.
    """

    by: tuple[str, ...] = ()
    n_bins: int = 4
    calibrated: bool = True
    fit: bool = False
    seed: int = 0
    render: str | None = None


def evaluate_catalog(
    folder: str | os.PathLike[str],
    catalog: Catalog,
    out: str | os.PathLike[str],
    *,
    files: InputFiles | None = None,
    settings: EvaluationSettings | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Table:
    """Score a model on the galaxies of a catalog, and draw the results.

    Parameters
    ----------
    folder : path-like
        Model folder.
    catalog : galcnn.catalog.Catalog
        Catalog with columns `image` and `class`. The caller must ensure that the model was not trained
        on these galaxies.
    out : path-like
        Output folder for ``scores.ecsv``, ``predictions.ecsv`` (table of `galcnn.pipeline.classify` with
        `true_class`), ``scores.png`` (if binned), and the files of `galcnn.pipeline.draw_scores`.
    files : galcnn.dataset.InputFiles, optional
        Image files of the galaxies, in the order of the catalog; by default those in its column `image`.
    settings : EvaluationSettings, optional
        Settings; the defaults if not given.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per image.
    overwrite : bool
        If True, replace files of these names, also in a folder with other content.

    Returns
    -------
    astropy.table.Table
        One row per score and bin. Columns `by` ("all" for all galaxies), `low_edge`, `high_edge` and
        `median` of the bin, `score` (see `galcnn.evaluation.evaluate`), `value`, `low`, `high` (95 %
        interval) and `n`. Bins of fewer than five galaxies are left out. ``meta`` holds `n_failed`
        (number of images that could not be used) and `calibration` (test whether the probabilities
        differ from the observed frequencies by more than chance).

    Raises
    ------
    OSError, ValueError
        If there is no such model or column, a class is unknown to the model, or no image can be used.
    """
    settings = settings or EvaluationSettings()
    ready = open_classifier(folder)
    trained = ready.trained
    classes = trained.classes
    if unknown := sorted(set(catalog.classes) - set(classes)):
        raise ValueError(message(f"classes among {classes}", "Merge or drop the others.", unknown=unknown))
    own = image_measures(np.zeros((1, *trained.card.inputs.image_shape), np.float32), trained.card.inputs)
    if missing := sorted(set(settings.by) - set(catalog.table.colnames) - set(own)):
        there = [*catalog.table.colnames, *own]
        raise ValueError(message(f"columns of the catalog or measures among {there}", "", by=missing))
    claim = atomic.claim(out, what="one of galcnn evaluate", own=_OWN, overwrite=overwrite)
    asked = ClassifySettings(
        prior="catalog", calibrated=settings.calibrated, fit=settings.fit, render=settings.render
    )
    measures = [name for name in settings.by if name not in catalog.table.colnames]
    source = InputFiles.of(catalog) if files is None else files
    columns = {
        name: np.full(len(catalog), np.nan) if name in measures else as_numbers(catalog.table[name], name)
        for name in settings.by
    }
    logits, tables = [], []
    run, chunks = RunSettings(asked), chunked(len(catalog), RunSettings.chunk)
    with progress("classify", len(catalog)) as step:
        done = classified([ready], catalog, source, run, chunks)
        for chunk, answers in zip(chunks, done, strict=True):
            logits.append(answers.logits[0])
            tables.append(answers.table)
            if measures and len(answers.found.rows):
                measured = image_measures(answers.found.images, trained.card.inputs)
                for name in measures:
                    columns[name][chunk.start + answers.found.rows] = measured[name]
            for _ in answers.table:
                step()
    rows = vstack(tables, metadata_conflicts="silent")
    prediction = ready.prediction(catalog.ids, np.concatenate(logits), asked)
    record = ready.uncertainty if settings.calibrated else None
    used = np.flatnonzero(np.isfinite(prediction.logits).all(axis=1))
    if not len(used):
        raise ValueError(f"None of {len(catalog)} images could be classified. {rows['reason'][0]}")
    labels = catalog.labels[used].tolist()
    known = prediction.select(used.tolist())
    table = score_table(
        known, labels, {k: v[used] for k, v in columns.items()}, n_bins=settings.n_bins, seed=settings.seed
    )
    table.meta |= {
        "n_failed": len(catalog) - len(used),
        "calibration": str(calibration_test(known, labels, seed=settings.seed)),
        "calibrated": record is not None,
    }
    if record is not None:
        table.meta["sets"] = {name: str(score) for name, score in record.sets.check(known, labels).items()}
    rows.add_column(catalog.labels, name="true_class", index=1)
    with claim.writing() as temporary:
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
    """Score all galaxies, and those in each bin of each column; NaN values are in no bin."""
    parts = [_scored(prediction, labels, seed)]
    truth = np.asarray(labels)
    for name, values in columns.items():
        finite = values[np.isfinite(values)]
        edges = np.unique(np.quantile(finite, np.linspace(0, 1, n_bins + 1))) if len(finite) else finite
        for position, (low, high) in enumerate(pairwise(edges)):
            last = position == len(edges) - 2
            rows = np.flatnonzero((values >= low) & ((values <= high) if last else (values < high)))
            if len(rows) >= _LEAST:
                chosen, median = prediction.select(rows.tolist()), float(np.median(values[rows]))
                parts.append(
                    _scored(chosen, truth[rows].tolist(), seed, name, float(low), float(high), median)
                )
    return vstack(parts)


def _scored(
    prediction: Prediction,
    labels: Sequence[str],
    seed: int,
    by: str = "all",
    low_edge: float = np.nan,
    high_edge: float = np.nan,
    median: float = np.nan,
) -> Table:
    scores = evaluate(prediction, labels, seed=seed)
    where = {"by": by, "low_edge": low_edge, "high_edge": high_edge, "median": median}
    table = Table({name: [value] * len(scores) for name, value in where.items()})
    table["score"] = list(scores)
    for name in ("value", "low", "high", "n"):
        table[name] = [getattr(score, name) for score in scores.values()]
    return table


def draw_scores(prediction: Prediction, labels: Sequence[str], folder: Path, *, seed: int = 0) -> list[Path]:
    """Draw confusion matrix, reliability diagram, ROC and precision-recall curves.

    Parameters
    ----------
    prediction : galcnn.prediction.Prediction
        Predictions of galaxies with known classes; none may be missing.
    labels : sequence of str
        True classes, in the same order.
    folder : pathlib.Path
        Output folder for ``confusion.png``, ``reliability.png`` and ``reliability.ecsv``, and, if at
        least two classes occur, ``roc.png``, ``precision_recall.png`` and ``ranking.ecsv``.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    list of pathlib.Path
        Files that were written.
    """
    bins, ranked = reliability(prediction, labels), rankings(prediction, labels, seed=seed)
    figures = {
        "confusion.png": confusion_figure(confusion_matrix(prediction, labels), prediction.classes),
        "reliability.png": reliability_figure(bins),
    }
    tables = {"reliability.ecsv": bins}
    if ranked:
        figures |= {"roc.png": roc_figure(ranked), "precision_recall.png": precision_recall_figure(ranked)}
        tables["ranking.ecsv"] = ranking_table(ranked)
    for name, figure in figures.items():
        save_figure(figure, folder / name)
    for name, table in tables.items():
        write_table(table, folder / name)
    return [folder / name for name in (*figures, *tables)]
