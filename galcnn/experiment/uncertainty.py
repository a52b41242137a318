"""Calibration, prediction sets and out-of-distribution limit of a model, measured on held-out data."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn._runtime.progress import Progress, Step, silent
from galcnn.catalog import Catalog
from galcnn.catalog.catalog import as_numbers
from galcnn.catalog.formats import Columns, Galaxies
from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.evaluation import Score, exact_share
from galcnn.experiment.data import ExperimentData, data_of, data_of_network
from galcnn.experiment.settings import CalibrationSettings
from galcnn.model import TrainedModel
from galcnn.model.bundle import AnyModel, as_trained, with_embedding
from galcnn.model.inputs import SCALE_TOLERANCE
from galcnn.model.ready import is_shipped
from galcnn.prediction import Prediction
from galcnn.prediction.logits import BATCH
from galcnn.prediction.priors import DEFAULT_PRIOR, prior_of
from galcnn.uncertainty import (
    UncertaintyRecord,
    calibration_test,
    fit_calibration,
    fit_conformal,
    fit_out_of_distribution,
    image_measures,
    reliability,
)
from galcnn.uncertainty.calibration import departures
from galcnn.uncertainty.out_of_distribution import PIXEL_SCALE, REDSHIFT

#: Size of the images of one forward pass, in bytes. Their measures need some ten times as much memory.
_PIECE = 32_000_000
#: Most galaxies of the training and of the validation set that describe the distribution of measures and
#: embedding.
_MOST = 10_000
#: Confidence with which the rate of false alarms holds. Without it, one in eight models that promise 1 %
#: would warn of more than 1.5 % of the test galaxies, with 800 of them and as many for validation.
_CONFIDENCE = 0.95


def calibrate(
    model: AnyModel,
    *,
    catalog: Galaxies | None = None,
    columns: Columns | None = None,
    images: str | os.PathLike[str] | None = None,
    fit: bool = False,
    settings: CalibrationSettings | None = None,
    progress: Progress = silent,
) -> UncertaintyRecord:
    """Fit calibration, prediction sets and out-of-distribution limit of a model; test them.

    Calibration and sets are fitted on the validation set, the out-of-distribution limit on the training
    and validation sets. Since the validation set also selected the epoch of the weights, all results are
    measured on the test set, which was not used in training.

    A model without an experiment, such as one of `galcnn.model.import_model`, needs a labelled catalog, which
    is split here (by its column `split`, if there is one). galcnn cannot know whether the network was trained
    on some of these galaxies; if it was, the results are too good.

    Parameters
    ----------
    model : path-like or galcnn.model.TrainedModel
        Folder of a model trained by an experiment, or the model; ``uncertainty.json`` is written to its
        folder.
    catalog : path-like, Catalog, Table or DataFrame, optional
        Catalog of the experiment, if it has been moved; the path in the card by default. Without an
        experiment, a catalog with images and classes of the model.
    columns : mapping of str to str, optional
        Names of the columns `image`, `class` and `id`, of a catalog for a model without an experiment.
    images : path-like, optional
        Folder of the images, see `galcnn.dataset.InputFiles.of`, for a model without an experiment.
    fit : bool
        If True, images are resampled, cropped and padded to the model's pixel grid, for a model without an
        experiment.
    settings : CalibrationSettings, optional
        Settings; ``CalibrationSettings()`` by default.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Returns
    -------
    galcnn.uncertainty.UncertaintyRecord
        Calibration, prediction sets and out-of-distribution limit, with their measures on the test set.

    Raises
    ------
    TypeError
        If an argument has a type that is not accepted; the text says which are.
    OSError, ValueError
        If there is no such model, its card has no experiment, or the data differ from those of the
        training.
    """
    settings = settings or CalibrationSettings()
    trained = as_trained(model)
    folder, card = trained.folder, trained.card
    if folder is None:
        raise ValueError(
            message("a model in a folder, for its calibration", "Save it first: save_model(model, folder).")
        )
    if is_shipped(folder):
        raise ValueError(
            message(
                "a model of your own, whose record may be written anew",
                f"{card.name} ships with galcnn and has one. Copy {folder}, and calibrate the copy.",
                model=card.name,
            )
        )
    _ = trained.classes  # raises an error for a model of votes, before data are read
    with tempfile.TemporaryDirectory(prefix="galcnn-calibrate-") as scratch:
        if "data" in card.settings:
            if columns or images is not None or fit:
                raise ValueError(
                    message(
                        "a model without an experiment, for other columns, images or a pixel grid",
                        "The experiment of this model says how its data are read.",
                        columns=columns,
                        images=images,
                        fit=fit,
                    )
                )
            prepared = data_of(card, catalog, same=True, scratch=scratch, progress=progress)
        else:
            if catalog is None:
                raise ValueError(
                    message(
                        "a catalog with classes, for a model that galcnn did not train",
                        "Give it: --catalog.",
                        catalog=catalog,
                    )
                )
            prepared = data_of_network(
                card, catalog, columns=columns, folder=images, fit=fit, scratch=scratch, progress=progress
            )
        record = measure_uncertainty(trained, prepared, settings, progress=progress).record
    record.write(folder)
    return record


@dataclass(frozen=True, eq=False)
class Measured:
    """The uncertainty record of a model, and its calibrated answers for the test set.

    Attributes
    ----------
    record : galcnn.uncertainty.UncertaintyRecord
        The record.
    prediction : galcnn.prediction.Prediction
        Calibrated prediction of the test galaxies, for the class frequencies of the catalog.
    outside, reasons, distance : numpy.ndarray, list of str, numpy.ndarray
        Out-of-distribution warnings of the test galaxies, see `OutOfDistribution.warn`.
    """

    record: UncertaintyRecord
    prediction: Prediction
    outside: npt.NDArray[np.bool_]
    reasons: list[str]
    distance: npt.NDArray[np.float64]


def measure_uncertainty(
    trained: TrainedModel,
    prepared: ExperimentData,
    settings: CalibrationSettings,
    *,
    progress: Progress = silent,
) -> Measured:
    """Fit calibration, sets and limit on training and validation sets; measure them on the test set.

    The images are read in pieces. Of training and validation set at most 10,000 galaxies describe the
    distribution of measures and embedding. If the validation galaxies are too few for the rate of false
    alarms, it is the smallest that they can promise.
    """
    card, seed = trained.card, prepared.experiment.seed
    redshifts = _redshifts(prepared.catalog)
    sides = prepared.sides
    rows = {name: np.arange(len(side)) for name, side in sides.items()}
    rows["train"] = _some(len(sides["train"]), seed)
    with progress("calibrate", sum(map(len, rows.values()))) as step:
        seen = functools.partial(_seen, trained, with_embedding(trained), redshifts, step)
        training = _joined(seen(sides["train"], rows["train"]))
        aside = _joined(seen(sides["validation"], rows["validation"]), _some(len(sides["validation"]), seed))
        calibration = fit_calibration(aside.prediction, aside.labels, kind=settings.kind)
        sets = fit_conformal(
            calibration.apply(aside.prediction),
            aside.labels,
            coverage=settings.coverage,
            rule=settings.rule,
            per_class=settings.per_class,
        )
        ood = fit_out_of_distribution(
            training.measures,
            training.embedding,
            aside.measures,
            aside.embedding,
            false_alarms=max(settings.false_alarms, 1 / (len(aside.embedding) + 1)),
            confidence=_CONFIDENCE,
            ranges=_ranges(card.inputs.pixel_scale),
        )
        pieces, warnings = [], []
        for piece in seen(sides["test"], rows["test"]):
            pieces.append(replace(piece, measures={}, embedding=piece.embedding[:0]))
            warnings.append(ood.warn(piece.measures, piece.embedding))
    test = _joined(pieces)
    outside, reasons, distance = zip(*warnings, strict=True)
    warned = np.concatenate(outside)
    calibrated = calibration.apply(test.prediction)
    before = calibration_test(test.prediction, test.labels, seed=seed)
    after = calibration_test(calibrated, test.labels, seed=seed)
    curve = reliability(calibrated, test.labels)
    curve["departs"] = departures(curve)
    measured = {
        "n_test": len(test.labels),
        "n_validation": len(aside.labels),
        "calibration_error_before": _plain(before.error) | {"expected": before.expected, "p": before.p_value},
        "calibration_error": _plain(after.error) | {"expected": after.expected, "p": after.p_value},
        "false_alarms": _plain(exact_share(warned)) | {"asked": settings.false_alarms},
        "reliability": [dict(zip(row.colnames, map(_rounded, row), strict=True)) for row in curve],
    } | {name: _plain(score) for name, score in sets.check(calibrated, test.labels).items()}
    record = UncertaintyRecord(card.model_sha256, calibration, sets, ood, measured)
    return Measured(
        record, calibrated, warned, [text for some in reasons for text in some], np.concatenate(distance)
    )


@dataclass(frozen=True, eq=False)
class _Seen:
    """Predictions, labels and image measures of galaxies."""

    prediction: Prediction
    labels: list[str]
    measures: Mapping[str, npt.NDArray[np.float64]]
    embedding: npt.NDArray[np.float32]


def _some(n: int, seed: int) -> npt.NDArray[np.int_]:
    """Return at most `_MOST` random rows of n, in order."""
    rows = seeding.generator(seed, "calibration sample").permutation(n)[:_MOST]
    return np.sort(rows)


def _redshifts(catalog: Catalog) -> dict[str, float]:
    """Return the redshifts by id, if the catalog has them; the out-of-distribution warning uses them."""
    if REDSHIFT not in catalog.table.colnames:
        return {}
    values = as_numbers(catalog.table[REDSHIFT], REDSHIFT)
    return dict(zip(catalog.ids, values.tolist(), strict=True))


def _ranges(pixel_scale: float | None) -> dict[str, tuple[float, float]]:
    """Return the range of original pixel scales that count as in distribution."""
    if pixel_scale is None:
        return {}
    return {PIXEL_SCALE: (pixel_scale * (1 - SCALE_TOLERANCE), pixel_scale * (1 + SCALE_TOLERANCE))}


def _seen(
    trained: TrainedModel,
    answering: keras.Model,
    redshifts: Mapping[str, float],
    step: Step,
    side: Dataset,
    chosen: npt.NDArray[np.int_],
) -> Iterator[_Seen]:
    """Predict rows of a split in pieces, with probabilities for the class frequencies of the catalog."""
    card = trained.card
    prior = prior_of(DEFAULT_PRIOR, trained)
    size = max(1, min(BATCH, _PIECE // (4 * int(np.prod(side.inputs.image_shape)))))
    for first in range(0, len(chosen), size):
        rows = chosen[first : first + size]
        images, ids = side.images[rows], tuple(side.ids[row] for row in rows)
        logits, embedding = answering.predict(images, batch_size=BATCH, verbose=0)
        prediction = Prediction(ids, logits, side.classes)
        known = {REDSHIFT: np.array([redshifts[name] for name in ids])} if redshifts else {}
        yield _Seen(
            prediction if prior is None else prediction.with_prior(prior, card.trained_prior),
            [side.classes[i] for i in side.labels[rows]],
            image_measures(images, side.inputs) | known,
            embedding,
        )
        step(n=len(ids))


def _joined(pieces: Iterable[_Seen], rows: npt.NDArray[np.int_] | None = None) -> _Seen:
    """Join the pieces of a split; keep measures and embedding of these rows only, by default of all."""
    first = 0
    kept: list[_Seen] = []
    for piece in pieces:
        n = len(piece.labels)
        if rows is not None:
            own = rows[(rows >= first) & (rows < first + n)] - first
            measures = {name: values[own] for name, values in piece.measures.items()}
            piece = replace(piece, measures=measures, embedding=piece.embedding[own])
        kept.append(piece)
        first += n
    predictions = [piece.prediction for piece in kept]
    ids = tuple(name for one in predictions for name in one.ids)
    return _Seen(
        replace(predictions[0], ids=ids, logits=np.concatenate([one.logits for one in predictions])),
        [label for piece in kept for label in piece.labels],
        {name: np.concatenate([piece.measures[name] for piece in kept]) for name in kept[0].measures},
        np.concatenate([piece.embedding for piece in kept]),
    )


def _rounded(value: Any) -> Any:
    value = value.item()
    return round(value, 6) if isinstance(value, float) else value


def _plain(score: Score) -> dict[str, Any]:
    """Return a score as plain values; NaN becomes null, since JSON has no NaN."""
    figures = {"value": score.value, "low": score.low, "high": score.high}
    return {k: round(v, 6) if np.isfinite(v) else None for k, v in figures.items()} | {"n": score.n}
