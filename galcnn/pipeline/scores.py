"""Score a model on a labelled catalog: scores with intervals, also in bins of other quantities."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from astropy.table import Table, vstack

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog, write_table
from galcnn.catalog.catalog import as_numbers, as_text
from galcnn.catalog.formats import read_scalars
from galcnn.dataset import InputFiles
from galcnn.errors import message
from galcnn.evaluation import evaluate, exact_share
from galcnn.pipeline.classification import ClassifySettings, open_classifier
from galcnn.pipeline.runs import RunSettings, chunked, classified
from galcnn.prediction import Prediction
from galcnn.prediction.tables import prediction_in
from galcnn.uncertainty import calibration_test, image_measures
from galcnn.viewers import save_figure
from galcnn.viewers.plots.scores import draw_scores, scores_figure

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


def evaluate_catalog(
    folder: str | os.PathLike[str],
    catalog: Catalog,
    out: str | os.PathLike[str],
    *,
    files: InputFiles | None = None,
    settings: ClassifySettings | None = None,
    by: Sequence[str] = (),
    n_bins: int = 4,
    seed: int = 0,
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
        `true_class`), ``scores.png`` (if binned), and the files of `draw_scores`: confusion
        matrix, reliability diagram, and, if at least two classes occur, ROC and precision-recall curves.
    files : galcnn.dataset.InputFiles, optional
        Image files of the galaxies, in the order of the catalog; by default those in its column `image`.
    settings : ClassifySettings, optional
        Settings of the classification; the defaults if not given.
    by : sequence of str
        Quantities to bin the galaxies by, besides the scores of all: columns of the catalog (a magnitude,
        a size, a redshift), or measures of the images, see `galcnn.uncertainty.image_measures`.
    n_bins : int
        Number of bins of each quantity, with equal numbers of galaxies.
    seed : int
        Seed of the bootstrap.
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
    settings = settings or ClassifySettings()
    ready = open_classifier(folder, orientations=settings.orientations)
    spec, classes = ready.inputs(settings), ready.trained.classes
    if unknown := sorted(set(catalog.classes) - set(classes)):
        raise ValueError(message(f"classes among {classes}", "Merge or drop the others.", unknown=unknown))
    own = image_measures(np.zeros((1, *spec.image_shape), np.float32), spec)
    if missing := sorted(set(by) - set(catalog.table.colnames) - set(own)):
        there = [*catalog.table.colnames, *own]
        raise ValueError(message(f"columns of the catalog or measures among {there}", "", by=missing))
    ready.check(settings)
    claim = atomic.claim(out, what="one of galcnn evaluate", own=_OWN, overwrite=overwrite)
    source = InputFiles.of(catalog) if files is None else files
    measures = [name for name in by if name not in catalog.table.colnames]
    columns = {
        name: np.full(len(catalog), np.nan) if name in measures else as_numbers(catalog.table[name], name)
        for name in by
    }
    logits, tables = [], []
    run, chunks = RunSettings(settings), chunked(len(catalog), RunSettings.chunk)
    with progress("classify", len(catalog)) as step:
        done = classified([ready], catalog, source, run, chunks)
        for chunk, answers in zip(chunks, done, strict=True):
            logits.append(answers.logits[0])
            tables.append(answers.table)
            if measures and len(answers.found.rows):
                measured = image_measures(answers.found.images, spec)
                for name in measures:
                    columns[name][chunk.start + answers.found.rows] = measured[name]
            step(n=len(answers.table))
    rows = vstack(tables, metadata_conflicts="silent")
    prediction = ready.prediction(catalog.ids, np.concatenate(logits), settings)
    record = ready.uncertainty if settings.calibrated else None
    used = np.flatnonzero(np.isfinite(prediction.logits).all(axis=1))
    if not len(used):
        raise ValueError(f"None of {len(catalog)} images could be classified. {rows['reason'][0]}")
    labels = catalog.labels[used].tolist()
    known = prediction.select(used.tolist())
    table = score_table(known, labels, {k: v[used] for k, v in columns.items()}, n_bins=n_bins, seed=seed)
    table.meta |= {"n_failed": len(catalog) - len(used), "calibrated": record is not None}
    if record is not None and record.sets.limits_of(known) is not None:
        table.meta["sets"] = {name: str(score) for name, score in record.sets.check(known, labels).items()}
    rows.add_column(catalog.labels, name="true_class", index=1)
    return _finished(claim, table, rows, known, labels, seed=seed)


def evaluate_predictions(
    predictions: Table | str | os.PathLike[str],
    catalog: Catalog,
    out: str | os.PathLike[str],
    *,
    by: Sequence[str] = (),
    n_bins: int = 4,
    seed: int = 0,
    overwrite: bool = False,
) -> Table:
    """Score a table of predictions on the galaxies of a catalog, and draw the results.

    Parameters
    ----------
    predictions : astropy.table.Table or path-like
        Table with the columns `id` and ``p_<class>`` for each class, of `galcnn.pipeline.classify` or any
        other program. Sets in a column `set` are scored, too.
    catalog : galcnn.catalog.Catalog
        Catalog with the columns `id` and `class`. Galaxies without a row in the table count as failed.
    out : path-like
        Output folder, see `evaluate_catalog`.
    by : sequence of str
        Quantities to bin the galaxies by, besides the scores of all: columns of the catalog or the table.
    n_bins, seed : int
        See `evaluate_catalog`.
    overwrite : bool
        See `evaluate_catalog`.

    Returns
    -------
    astropy.table.Table
        See `evaluate_catalog`.

    Raises
    ------
    OSError, ValueError
        If there is no such table or column, the table has no probabilities or an id twice, a class is
        unknown to the table, or none of its galaxies is in the catalog.
    """
    if isinstance(predictions, Table):
        table = predictions
    else:
        table = read_scalars(predictions, texts={"id", "class", "true_class", "reason", "set"})
    prediction = prediction_in(table) if "id" in table.colnames else None
    if prediction is None:
        raise ValueError(
            message("a table with the columns id and p_<class> for each class", "", columns=table.colnames)
        )
    if len(place := {name: row for row, name in enumerate(prediction.ids)}) < len(prediction):
        raise ValueError(message("a table with one row per galaxy", "", n_rows=len(table), n_ids=len(place)))
    if missing := sorted(set(by) - {*catalog.table.colnames, *table.colnames}):
        there = sorted({*catalog.table.colnames, *table.colnames})
        raise ValueError(message(f"columns of the catalog or the table among {there}", "", by=missing))
    claim = atomic.claim(out, what="one of galcnn evaluate", own=_OWN, overwrite=overwrite)
    answered = np.asarray(np.isfinite(prediction.logits).all(axis=1))
    pairs = [(i, place[name]) for i, name in enumerate(catalog.ids) if name in place]
    pairs = [(i, row) for i, row in pairs if answered[row]]
    if not pairs:
        raise ValueError(
            message(
                "predictions of galaxies of the catalog, with the same ids",
                "Name the column of the ids: --id.",
                catalog=catalog.ids[:3],
                table=prediction.ids[:3],
            )
        )
    galaxies, own = (list(rows) for rows in zip(*pairs, strict=True))
    labels, known, rows = catalog.labels[galaxies].tolist(), prediction.select(own), table[own]
    columns = {
        name: as_numbers(catalog.table[name], name)[galaxies]
        if name in catalog.table.colnames
        else as_numbers(rows[name], name)
        for name in by
    }
    scores = score_table(known, labels, columns, n_bins=n_bins, seed=seed)
    scores.meta["n_failed"] = len(catalog) - len(galaxies)
    if "set" in table.colnames:
        held = [as_text(rows["set"], "set")[i].split("|") for i in range(len(rows))]
        covered = exact_share(np.array([name in one for name, one in zip(labels, held, strict=True)]))
        scores.meta["sets"] = {"coverage": str(covered)}
    rows["true_class"] = labels
    return _finished(claim, scores, rows, known, labels, seed=seed)


def _finished(
    claim: atomic.Claim,
    scores: Table,
    rows: Table,
    prediction: Prediction,
    labels: Sequence[str],
    *,
    seed: int,
) -> Table:
    """Write scores, predictions and figures."""
    scores.meta["calibration"] = str(calibration_test(prediction, labels, seed=seed))
    with claim.writing() as temporary:
        write_table(scores, temporary / "scores.ecsv")
        write_table(rows, temporary / "predictions.ecsv")
        draw_scores(prediction, labels, temporary, seed=seed)
        if (scores["by"] != "all").any():
            save_figure(scores_figure(scores), temporary / "scores.png")
    return scores


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
