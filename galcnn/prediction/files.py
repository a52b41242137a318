"""A model and image files -> a table, one row for each file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.dataset import InputFiles
from galcnn.errors import UnreadableImageError
from galcnn.inputs import InputSpec, blank_bands, images_from, prepare
from galcnn.prediction.prediction import Prediction
from galcnn.prediction.running import BATCH, predict_images
from galcnn.progress import Progress, silent
from galcnn.votes import cumulative_fractions, fraction_table

if TYPE_CHECKING:
    from galcnn.cutout import Cutout
    from galcnn.model import TrainedModel

__all__ = [
    "BLANK",
    "MASKED",
    "MASKED_LIMIT",
    "OUTSIDE",
    "UNANSWERED",
    "UNFIT",
    "UNREADABLE",
    "Answers",
    "Fitted",
    "classify_files",
    "faults",
    "fitted",
    "flagged",
    "predict_files",
    "prediction_table",
]

#: Bits of the column `flag`; of runs also: unlike the training set, and no number for an answer.
UNREADABLE, UNFIT, MASKED, BLANK, OUTSIDE, UNANSWERED = 1, 2, 4, 8, 16, 32
#: Share of masked pixels beyond which a galaxy is flagged `MASKED`.
MASKED_LIMIT = 0.1


def classify_files(
    trained: TrainedModel,
    files: InputFiles,
    *,
    prior: Mapping[str, float] | None = None,
    progress: Progress = silent,
) -> Table:
    """Classify image files; whatever happens to one of them, it has its row.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.dataset.InputFiles
        The images.
    prior : mapping of str to float, optional
        Expected frequency of each class; as the model was trained by default. Refused where the
        model gives vote fractions.
    progress : galcnn.progress.Progress
        Shows the files.

    Returns
    -------
    astropy.table.Table
        See `prediction_table`; of a model of vote fractions `galcnn.votes.fraction_table`, with
        `flag` and `reason`. Bounded memory: images are read batch by batch.
    """
    if prior is None and trained.votes is not None:
        logits, flags, reasons = _run(trained, files, progress)
        fractions = cumulative_fractions(logits, trained.votes)
        return flagged(fraction_table(list(files.paths), fractions, trained.votes), flags, reasons)
    answers = predict_files(trained, files, progress=progress)
    prediction = answers.prediction
    if prior is not None:
        prediction = prediction.with_prior(prior, trained.card.trained_prior)
    return prediction_table(prediction, flags=answers.flags, reasons=answers.reasons)


@dataclass(frozen=True, eq=False)
class Answers:
    """What became of image files: one row for each.

    Attributes
    ----------
    prediction : Prediction
        A row of NaN where an image could not be used.
    flags : numpy.ndarray
        int16: sum of `UNREADABLE`, `UNFIT`, `MASKED` and `BLANK`.
    reasons : tuple of str
        What the flag means here.
    """

    prediction: Prediction
    flags: npt.NDArray[np.int16]
    reasons: tuple[str, ...]


def predict_files(
    trained: TrainedModel,
    files: InputFiles,
    *,
    progress: Progress = silent,
) -> Answers:
    """Run the network on image files; whatever happens to one of them, it has its row.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.dataset.InputFiles
        The images.
    progress : galcnn.progress.Progress
        Shows the files.

    Returns
    -------
    Answers
        In the order of the files. Images are read batch by batch.
    """
    classes = trained.classes
    logits, flags, reasons = _run(trained, files, progress)
    return Answers(Prediction(tuple(files.paths), logits, classes), flags, reasons)


def _run(
    trained: TrainedModel, files: InputFiles, progress: Progress
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int16], tuple[str, ...]]:
    """Logits, flags and reasons of image files."""
    names = list(files.paths)
    logits = np.full((len(names), trained.model.output_shape[-1]), np.nan, dtype=np.float32)
    flags, reasons = np.zeros(len(names), dtype=np.int16), [""] * len(names)
    with progress("classify", len(names)) as step:
        for start in range(0, len(names), BATCH):
            loaded: list[Cutout | Exception] = []
            for name in names[start : start + BATCH]:
                step()
                try:
                    loaded.append(files.load(name))
                except (OSError, ValueError) as error:
                    loaded.append(error)
            found = fitted(loaded, trained.card.inputs, fit=files.fit)
            for row, (one, flag) in enumerate(zip(loaded, found.flags, strict=True), start=start):
                # It was read, but has no WCS to cut by or is smaller than the width.
                small = isinstance(one, ValueError) and not isinstance(one, UnreadableImageError)
                flags[row] = UNFIT if small else flag
            reasons[start : start + BATCH] = found.reasons
            if len(found.rows):
                logits[start + found.rows] = predict_images(trained.model, found.images)
    return logits, flags, tuple(reasons)


@dataclass(frozen=True, eq=False)
class Fitted:
    """What became of some galaxies before the network sees them: one flag and reason for each.

    Attributes
    ----------
    rows : numpy.ndarray
        int: those that have an image.
    images : numpy.ndarray
        Of these, shape (n, ny, nx, n_bands).
    flags : numpy.ndarray
        int16: sum of `UNREADABLE`, `UNFIT`, `MASKED` and `BLANK`.
    reasons : list of str
        What the flag means here.
    pixel_scales : numpy.ndarray
        Arcsec, of the cutouts as they were given; NaN where it is not known.
    """

    rows: npt.NDArray[np.intp]
    images: npt.NDArray[np.float32]
    flags: npt.NDArray[np.int16]
    reasons: list[str]
    pixel_scales: npt.NDArray[np.float64]


def fitted(cutouts: Sequence[Cutout | Exception], spec: InputSpec, *, fit: bool) -> Fitted:
    """Bring cutouts to what a network sees; one that cannot be is flagged.

    Parameters
    ----------
    cutouts : sequence of galcnn.cutout.Cutout or Exception
        One a galaxy; an exception says why there is no cutout.
    spec : galcnn.inputs.InputSpec
        Of the network.
    fit : bool
        Whether the pixel grid may be changed, see `galcnn.inputs.prepare`.

    Returns
    -------
    Fitted
        In this order.
    """
    flags, reasons = np.zeros(len(cutouts), dtype=np.int16), [""] * len(cutouts)
    scales = np.full(len(cutouts), np.nan)
    rows, images = [], []
    for row, cutout in enumerate(cutouts):
        if isinstance(cutout, Exception):
            flags[row], reasons[row] = UNREADABLE, str(cutout)
            continue
        if (scale := cutout.pixel_scale) is not None:
            scales[row] = scale.to_value("arcsec")
        try:
            ready = prepare(cutout, spec, fit=fit)
        except ValueError as error:
            flags[row], reasons[row] = UNFIT, str(error)
            continue
        flags[row], reasons[row] = faults(ready)
        rows.append(row)
        images.append(ready)
    stack = images_from(images) if images else np.empty((0, *spec.image_shape), dtype=np.float32)
    return Fitted(np.array(rows, dtype=np.intp), stack, flags, reasons, scales)


def faults(cutout: Cutout) -> tuple[int, str]:
    """Say what is wrong with an image that has an answer, but little to base it on.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        As the network is given it.

    Returns
    -------
    flag : int
        Sum of `MASKED` and `BLANK`.
    reason : str
        In words; empty where nothing is wrong.
    """
    flag, reasons = 0, []
    if cutout.masked_fraction > MASKED_LIMIT:
        flag |= MASKED
        reasons.append(f"{cutout.masked_fraction:.0%} of the pixels are masked and were filled with sky")
    if blank := blank_bands(cutout):
        flag |= BLANK
        reasons.append(f"nothing is seen in {', '.join(blank)}: all pixels are equal")
    return flag, "; ".join(reasons)


def prediction_table(
    prediction: Prediction,
    *,
    flags: npt.NDArray[np.int16] | None = None,
    reasons: Sequence[str] | None = None,
) -> Table:
    """Lay a prediction out as a table.

    Parameters
    ----------
    prediction : Prediction
        Of any number of galaxies.
    flags : numpy.ndarray, optional
        Sum of `UNREADABLE`, `UNFIT`, `MASKED` and `BLANK` for each galaxy.
    reasons : sequence of str, optional
        What the flag means here.

    Returns
    -------
    astropy.table.Table
        Columns `id`, `class`, ``p_<class>`` for each class, `entropy` (nats), `flag`, `reason`.
        A galaxy without a prediction has an empty class and NaN.
    """
    table = Table()
    table["id"] = np.array(prediction.ids, dtype=str)
    table["class"] = np.array(prediction.best, dtype=str)
    for name, column in zip(prediction.classes, prediction.probabilities.T, strict=True):
        table[f"p_{name}"] = column
        table[f"p_{name}"].description = f"probability of class {name}"
    table["entropy"] = prediction.entropy
    table["entropy"].description = "Shannon entropy of the probabilities, nats"
    return flagged(table, flags, reasons)


def flagged(table: Table, flags: npt.NDArray[np.int16] | None, reasons: Sequence[str] | None) -> Table:
    """Add what went wrong to a table.

    Parameters
    ----------
    table : astropy.table.Table
        One row a galaxy; gains the columns.
    flags : numpy.ndarray or None
        Sum of `UNREADABLE`, `UNFIT`, `MASKED` and `BLANK` for each galaxy; all 0 by default.
    reasons : sequence of str or None
        What the flag means here.

    Returns
    -------
    astropy.table.Table
        The same, with `flag` and `reason`.
    """
    table["flag"] = np.zeros(len(table), dtype=np.int16) if flags is None else flags
    table["flag"].description = (
        f"sum of {UNREADABLE} unreadable, {UNFIT} unfit for the model, {MASKED} over "
        f"{MASKED_LIMIT:.0%} masked, {BLANK} blank band"
    )
    table["reason"] = np.array([""] * len(table) if reasons is None else list(reasons), dtype=str)
    return table
