"""All figures of a folder: learning curves, scores, and contact sheets of galaxies."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog.formats import read_scalars
from galcnn.dataset import InputFiles
from galcnn.dataset.reader import ImagePath
from galcnn.errors import UnreadableImageError, message
from galcnn.evaluation import most_confident, most_uncertain, worst_mistakes
from galcnn.pipeline import TABLE, images_of_table, rows_sheet
from galcnn.prediction import Prediction
from galcnn.prediction.tables import prediction_in
from galcnn.report.sources import Known, known_of
from galcnn.viewers import learning_figure, save_figure
from galcnn.viewers.plots.scores import draw_scores

_HISTORY = "history.csv"
#: Tables of predictions of `galcnn train`, `galcnn evaluate` and `galcnn classify`.
_TABLES = ("test.ecsv", "predictions.ecsv", TABLE)
_ACROSS, _ROWS = 8, 4
_HEADINGS = {
    "confident": "The surest answers of each class",
    "worst": "The worst mistakes: least probability of the true class",
    "uncertain": "The least certain answers",
}


def draw_run(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    known: Known | None = None,
    seed: int = 0,
    progress: Progress = silent,
    overwrite: bool = False,
) -> tuple[list[Path], str]:
    """Draw all figures of a folder.

    Parameters
    ----------
    folder : path-like
        Folder of `galcnn train`, `galcnn evaluate` or `galcnn classify`, or a table of `galcnn classify`.
    out : path-like
        Output folder. Figures of an earlier run are replaced.
    known : Known, optional
        Catalog, true classes and images. By default the true classes are those of the column
        `true_class`, and the images those of the training or of the run.
    seed : int
        Seed of the bootstrap.
    progress : galcnn._runtime.progress.Progress
        Progress display.
    overwrite : bool
        If True, replace files of these names in a folder with other content.

    Returns
    -------
    written : list of pathlib.Path
        Files that were written: ``learning.png`` if there is a training history, the figures of
        `draw_scores` if the true classes are known, and those of `draw_sheets` if there are images.
    trouble : str
        Why there are no contact sheets; else empty.

    Raises
    ------
    FileNotFoundError, ValueError
        If the folder has nothing to draw, or the catalog or the images of `known` cannot be read.
    """
    source, target, known = Path(folder), Path(out), known or Known()
    history, table = source / _HISTORY, _table_in(source)
    answers = None if table is None else answers_of(table)
    if not history.is_file() and answers is None:
        raise ValueError(
            message(
                f"a folder with {_HISTORY} or one of the tables {_TABLES}, or a table of class predictions",
                "Give the output of galcnn train, evaluate or classify.",
                folder=str(source),
            )
        )
    images, trouble = ({}, "") if table is None or answers is None else _images(table, answers[0].ids, known)
    true = _true_classes(known) if known.label else {}
    atomic.claim(target, what="one of galcnn report --figures", overwrite=overwrite).mark()
    written = []
    if history.is_file():
        save_figure(learning_figure(Table.read(history)), target / "learning.png")
        written.append(target / "learning.png")
    if answers is None:
        return written, trouble
    prediction, labels = answers
    if labels is None and true:
        labels = [true.get(name, "") for name in prediction.ids]
    if labels is not None:
        rows = _known(prediction, labels).tolist()
        if rows:
            right = [labels[row] for row in rows]
            written += draw_scores(prediction.select(rows), right, target, seed=seed)
    if images:
        written += draw_sheets(prediction, target, images=images, labels=labels, progress=progress)
    return written, trouble


def _images(table: Path, ids: Sequence[str], known: Known) -> tuple[Mapping[str, ImagePath], str]:
    """Return the image files by id, and why there are none unless the user said where they are."""
    columns = {"image": known.image_column, "id": known.id}
    try:
        files, _ = images_of_table(
            table,
            ids,
            catalog=known.catalog,
            images=known.images,
            columns={name: column for name, column in columns.items() if column},
        )
    except (OSError, ValueError) as error:
        if known.images or known.catalog:
            raise
        return {}, str(error)
    return files.paths, ""


def _true_classes(known: Known) -> dict[str, str]:
    table = known_of(known)[0].table
    return dict(zip(map(str, table["id"]), map(str, table["true_class"]), strict=True))


def draw_sheets(
    prediction: Prediction,
    folder: Path,
    *,
    images: Mapping[str, ImagePath],
    labels: Sequence[str] | None = None,
    progress: Progress = silent,
) -> list[Path]:
    """Draw contact sheets of confident, uncertain and wrong predictions; unreadable images are skipped."""
    rows = [row for row, name in enumerate(prediction.ids) if name in images]
    seen = prediction.select(rows)
    most = _ACROSS * _ROWS
    chosen = {"confident": most_confident(seen, _ACROSS), "uncertain": most_uncertain(seen, most)}
    true = {} if labels is None else {seen.ids[i]: labels[row] for i, row in enumerate(rows)}
    known = _known(seen, [true.get(name, "") for name in seen.ids])
    if len(known):
        part = worst_mistakes(seen.select(known.tolist()), [true[seen.ids[i]] for i in known], most)
        chosen["worst"] = known[part]
    files, table = InputFiles(images), seen.to_table()
    written = []
    with progress("draw contact sheets", len(chosen)) as step:
        for name, places in chosen.items():
            step()
            try:
                sheet = rows_sheet(table[places], files, true=true, heading=_HEADINGS[name], across=_ACROSS)
            except UnreadableImageError:  # no image of the chosen galaxies can be read
                continue
            save_figure(sheet.figure, folder / f"{name}.png")
            written.append(folder / f"{name}.png")
    return written


def _known(prediction: Prediction, labels: Sequence[str]) -> npt.NDArray[np.intp]:
    """Return the galaxies with a prediction and a true class."""
    return np.flatnonzero(np.isfinite(prediction.logits).all(axis=1) & (np.array(labels, dtype=str) != ""))


def _table_in(folder: Path) -> Path | None:
    """Return the table of predictions in a folder, or the table itself."""
    names = [folder] if folder.is_file() else [folder / name for name in _TABLES]
    return next((name for name in names if name.is_file()), None)


def answers_of(path: Path) -> tuple[Prediction, list[str] | None] | None:
    """Read class probabilities, and true classes if known; None without class probabilities."""
    table = read_scalars(path, texts={"id", "class", "true_class", "reason"})
    prediction = prediction_in(table)
    if prediction is None:
        return None
    labels = [str(name) for name in table["true_class"]] if "true_class" in table.colnames else None
    return prediction, labels
