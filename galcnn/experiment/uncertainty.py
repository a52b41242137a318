"""Calibration, prediction sets and out-of-distribution limit of a model, measured on held-out data."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog
from galcnn.catalog.catalog import SPLITS, as_numbers
from galcnn.catalog.formats import Columns, Galaxies
from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.evaluation import Score, exact_share
from galcnn.experiment.data import data_of, data_of_network
from galcnn.model import TrainedModel
from galcnn.model.bundle import AnyModel, as_trained, with_embedding
from galcnn.model.inputs import SCALE_TOLERANCE
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
)
from galcnn.uncertainty.calibration import Kind
from galcnn.uncertainty.out_of_distribution import PIXEL_SCALE, REDSHIFT
from galcnn.uncertainty.prediction_sets import Rule


@dataclass(frozen=True)
class CalibrationSettings:
    """Settings of calibration, prediction sets and out-of-distribution warning.

    Attributes
    ----------
    calibration : {"temperature", "vector"}
        Method of calibration, see `galcnn.uncertainty.calibration.Calibration`.
    coverage : float
        Coverage of the prediction sets, see `galcnn.uncertainty.prediction_sets.ConformalSets`.
    rule : {"threshold", "adaptive"}
        Rule of the prediction sets.
    per_class : bool
        If True, the coverage holds for each class.
    false_alarms : float
        False alarm rate of the out-of-distribution warning, see the class `OutOfDistribution`.
    """

    calibration: Kind = "temperature"
    coverage: float = 0.9
    rule: Rule = "threshold"
    per_class: bool = False
    false_alarms: float = 0.01


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
    folder = trained.folder
    if folder is None:
        raise ValueError(
            message("a model in a folder, for its calibration", "Save it first: save_model(model, folder).")
        )
    _ = trained.classes  # raises an error for a model of votes, before data are read
    card = trained.card
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
        prepared = data_of(card, catalog, same=True, progress=progress)
    else:
        if catalog is None:
            raise ValueError(
                message(
                    "a catalog with classes, for a model that galcnn did not train",
                    "Give it: --catalog.",
                    catalog=catalog,
                )
            )
        prepared = data_of_network(card, catalog, columns=columns, folder=images, fit=fit, progress=progress)
    answering = with_embedding(trained)
    redshifts = _redshifts(prepared.catalog)
    training, aside, test = (_seen(trained, answering, prepared.sides[name], redshifts) for name in SPLITS)
    calibration = fit_calibration(aside.prediction, aside.labels, kind=settings.calibration)
    sets = fit_conformal(
        calibration.apply(aside.prediction),
        aside.labels,
        coverage=settings.coverage,
        rule=settings.rule,
        per_class=settings.per_class,
    )
    ood = fit_out_of_distribution(
        *training.measured,
        *aside.measured,
        false_alarms=settings.false_alarms,
        ranges=_ranges(card.inputs.pixel_scale),
    )
    calibrated = calibration.apply(test.prediction)
    outside, *_ = ood.warn(*test.measured)
    before = calibration_test(test.prediction, test.labels, seed=prepared.experiment.seed)
    after = calibration_test(calibrated, test.labels, seed=prepared.experiment.seed)
    checked = sets.check(calibrated, test.labels)
    measured = {
        "n_test": len(test.labels),
        "n_validation": len(aside.labels),
        "calibration_error_before": _plain(before.error) | {"expected": before.expected, "p": before.p_value},
        "calibration_error": _plain(after.error) | {"expected": after.expected, "p": after.p_value},
        "false_alarms": _plain(exact_share(outside)),
    } | {name: _plain(score) for name, score in checked.items()}
    record = UncertaintyRecord(card.model_sha256, calibration, sets, ood, measured)
    record.write(folder)
    return record


@dataclass(frozen=True, eq=False)
class _Seen:
    """Predictions, labels and image measures of one split."""

    prediction: Prediction
    labels: list[str]
    measured: tuple[Mapping[str, npt.NDArray[np.float64]], npt.NDArray[np.float32]]


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
    trained: TrainedModel, answering: keras.Model, side: Dataset, redshifts: Mapping[str, float]
) -> _Seen:
    """Predict one split, with probabilities for the class frequencies of the catalog."""
    images = side.images[:]
    logits, embedding = answering.predict(images, batch_size=BATCH, verbose=0)
    prediction = Prediction(side.ids, logits, side.classes)
    card = trained.card
    if (prior := prior_of(DEFAULT_PRIOR, trained)) is not None:
        prediction = prediction.with_prior(prior, card.trained_prior)
    known = {REDSHIFT: np.array([redshifts[name] for name in side.ids])} if redshifts else {}
    return _Seen(
        prediction,
        [side.classes[i] for i in side.labels],
        (image_measures(images, side.inputs) | known, embedding),
    )


def _plain(score: Score) -> dict[str, Any]:
    """Return a score as plain values; NaN becomes null, since JSON has no NaN."""
    figures = {"value": score.value, "low": score.low, "high": score.high}
    return {k: round(v, 6) if np.isfinite(v) else None for k, v in figures.items()} | {"n": score.n}
