"""Training of an experiment: from its catalog to an evaluated and saved model."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from astropy.table import Table

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import (
    Catalog,
    cumulative_fractions,
    fraction_table,
    read_catalog,
    write_catalog,
    write_table,
)
from galcnn.catalog.catalog import NOTES, as_numbers, as_text
from galcnn.catalog.formats import Galaxies, column_names, image_columns
from galcnn.catalog.names import LEFT_OUT
from galcnn.catalog.votes import observed_fractions
from galcnn.diagnostics import GradientHealth
from galcnn.errors import message, wrong_type
from galcnn.evaluation import Score, evaluate
from galcnn.evaluation.votes import evaluate_votes
from galcnn.experiment.data import ExperimentData, read_data
from galcnn.experiment.settings import Experiment, read_settings
from galcnn.experiment.starting import parent_record
from galcnn.experiment.uncertainty import Measured, measure_uncertainty
from galcnn.model import Card, TrainedModel, load_model, save_model
from galcnn.model.build import NETWORK
from galcnn.model.bundle import refuse_foreign_folder
from galcnn.model.devices import devices_used, is_chief, make_strategy
from galcnn.model.pretrained import Parent
from galcnn.model.profile import cost_of
from galcnn.prediction import OUTSIDE, Prediction, predict_images
from galcnn.prediction.calibration import UNCERTAINTY_FILE
from galcnn.prediction.priors import sqrt_prior
from galcnn.training import StartSettings, class_frequency, fit, trained_prior, training_batches
from galcnn.training.callbacks import epochs_shown
from galcnn.training.checkpoint import Checkpoint, changed_keys
from galcnn.training.fine_tuning import count_frozen
from galcnn.training.workers import summed_over_workers
from galcnn.uncertainty import UncertaintyRecord


def train(
    experiment: Experiment | Galaxies,
    out: str | os.PathLike[str],
    *,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    start: str | os.PathLike[str] | StartSettings | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
    callbacks: Sequence[keras.callbacks.Callback] = (),
    tensorboard: str | os.PathLike[str] | None = None,
) -> TrainedModel:
    """Train a model, evaluate it on the test set, and save it.

    An interrupted training resumes from ``OUT.checkpoint.npz`` beside the model folder; a completed one
    is not repeated. The result equals that of an uninterrupted training: to the bit on the CPU if the
    experiment is `deterministic`, otherwise to rounding.

    Parameters
    ----------
    experiment : Experiment, path-like, Catalog, Table or DataFrame
        Experiment, or the path of its TOML file; or a catalog with the columns `image` and `class`, from
        which an experiment is made. A catalog in memory is written beside the model, ``OUT.catalog.ecsv``;
        another file of this name is replaced only if `overwrite`.
    out : path-like
        Model folder: ``model.keras``, ``card.json``, ``history.csv`` (one row per epoch), ``test.ecsv``
        (predictions of the test galaxies, calibrated if there is a record, with their true classes or
        votes), ``uncertainty.json`` (record of `galcnn.experiment.calibrate`, unless the experiment
        disables it or the labels are votes), ``left_out.ecsv`` (id and reason of galaxies whose images
        cannot be read, if any) and, if the experiment sets `health`, ``health.csv``
        (``OUT.health.csv`` during training).
    settings : mapping, optional
        Settings that replace those of the experiment, as in its TOML file: section -> key -> value, such
        as ``{"data": {"label": "morphology"}, "training": {"epochs": 20}}``.
    start : path-like, str or galcnn.training.StartSettings, optional
        Model from which the training starts, like the section ``[start]``: a model folder, the name of
        a model that ships with galcnn, the file of a Keras network, or another one, see
        `galcnn.model.pretrained.resolve`.
    progress : galcnn._runtime.progress.Progress
        Progress display.
    overwrite : bool
        If True, overwrite an existing model and restart. Otherwise a model of another experiment is
        refused.
    callbacks : sequence of keras.callbacks.Callback
        Additional callbacks, see `galcnn.training.fit`.
    tensorboard : path-like, optional
        Output folder of the health record for TensorBoard; needs the extra ``galcnn[tensorboard]`` and
        `health`.

    Returns
    -------
    galcnn.model.TrainedModel
        Trained model as saved; its card contains the scores.

    Raises
    ------
    TypeError
        If `experiment` is none of these.
    OSError, ValueError
        If the input is invalid, or `out` holds a model or checkpoint of other settings or data.
    FloatingPointError
        If the loss becomes NaN or infinite. The best weights so far are in the checkpoint, if an epoch
        was completed.
    """
    if not isinstance(out, str | os.PathLike):
        raise wrong_type("the path of the model folder to write", out=out)
    refuse_foreign_folder(out, overwrite=overwrite)
    if start is not None:
        given = asdict(start) if isinstance(start, StartSettings) else {"model": os.fspath(start)}
        settings = {**(settings or {}), "start": given}
    experiment, catalog = _experiment(experiment, out, settings or {})
    content = None if catalog is None else _checked_content(catalog, catalog_of(out), overwrite=overwrite)
    if experiment.deterministic:
        tf.config.experimental.enable_op_determinism()
    strategy = make_strategy(experiment.devices)
    prepared = read_data(experiment, catalog=catalog, progress=progress)
    checkpoint = Checkpoint(checkpoint_of(out), identity=_told(experiment, prepared.parent))
    if overwrite:
        checkpoint.path.unlink(missing_ok=True)
    finished = None if overwrite else _finished(out, prepared)
    _refuse_unlike_workers(finished is not None, out, strategy)
    if content is not None:
        with atomic.writing(catalog_of(out)) as temporary:
            temporary.write_bytes(content)
    if finished is not None:
        _calibrate_finished(finished, prepared, strategy, progress)
        return finished
    training = prepared.sides["train"]
    shared = strategy.num_replicas_in_sync > 1
    looking = _health(prepared, out, tensorboard)
    epochs, n_images = experiment.training.epochs, len(training)
    with (
        strategy.scope(),
        epochs_shown(progress, "train epoch", epochs, n_images=n_images, checkpoint=checkpoint) as shown,
    ):
        model = prepared.new_model(synchronized=shared)
        history = fit(
            model,
            training,
            prepared.sides["validation"],
            settings=experiment.training,
            start=experiment.start,
            seed=experiment.seed,
            callbacks=[*callbacks, *looking, shown, checkpoint],
        )
    n_frozen = count_frozen(model.get_layer(NETWORK))
    if shared or prepared.network_settings() != prepared.network_settings(averaged=True):
        model = prepared.averaged(model)  # this model is evaluated and saved
    extra = {"health.csv": lambda path: write_table(looking[0].table(), path)} if looking else {}
    saved = _score_and_save(
        prepared,
        model,
        history,
        out,
        extra=extra,
        parent=parent_record(
            prepared.parent, experiment, prepared.catalog, prepared.sides, n_frozen, progress=progress
        ),
        overwrite=overwrite,
        strategy=strategy,
        progress=progress,
    )
    if is_chief(strategy):
        for beside in (checkpoint.path, health_log_of(out)):
            beside.unlink(missing_ok=True)
    return saved


def _experiment(
    given: Experiment | Galaxies, out: str | os.PathLike[str], settings: Mapping[str, Mapping[str, Any]]
) -> tuple[Experiment, Catalog | None]:
    """Return the experiment that was given, or make one of its file or of a catalog.

    A catalog in memory is returned too, with the whole paths of its images.
    """
    catalog = None
    if isinstance(given, Experiment):
        content = given.to_dict()
        if not settings:
            return given, None
    elif isinstance(given, str | os.PathLike) and Path(given).suffix.lower() in (".toml", ".json"):
        content = read_settings(given)
    elif isinstance(given, str | os.PathLike):
        content = {"data": {"catalog": os.fspath(given)}}
    else:
        try:
            catalog = read_catalog(given)
        except TypeError:
            raise wrong_type(
                "an Experiment or the path of its TOML file, or a catalog: a path to a table, an astropy "
                "Table, a pandas DataFrame or a Catalog",
                experiment=given,
            ) from None
        content = {"data": {"catalog": str(catalog_of(out))}}
        if "image" in catalog.table.colnames and catalog.table["image"].ndim > 1:
            names = image_columns(catalog.table)
            for name, column in zip(names, np.asarray(catalog.table["image"]).T, strict=True):
                catalog.table[name] = column
            content["data"]["image_column"] = names
    experiment = Experiment.from_dict(_merged(content, settings))
    if catalog is not None:
        table = catalog.table
        for name in {*column_names(experiment.data.image_column)} & {*table.colnames}:
            texts = as_text(table[name], name)
            whole = [str(Path.cwd() / text) if text else "" for text in texts.ravel()]
            table[name] = np.array(whole, dtype=str).reshape(texts.shape)
    return experiment, catalog


def _checked_content(catalog: Catalog, path: Path, *, overwrite: bool) -> bytes | None:
    """Return the content of the file of a catalog, or None if it exists; another file there is refused."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".", suffix=path.suffix) as file:
        write_catalog(catalog, file.name)  # in the same folder, since paths in it are relative
        content = Path(file.name).read_bytes()
    if path.is_file() and path.read_bytes() == content:
        return None
    atomic.check_writable(path, overwrite=overwrite)
    return content


def _merged(content: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings in which those of the second replace those of the first."""
    merged = dict(content)
    for key, value in settings.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


def _health(
    prepared: ExperimentData, out: str | os.PathLike[str], tensorboard: str | os.PathLike[str] | None
) -> list[GradientHealth]:
    """Return the callback that measures gradients of the first batch, if the experiment sets `health`."""
    experiment = prepared.experiment
    if experiment.health is None:
        if tensorboard is not None:
            raise ValueError(
                message(
                    "a record of the gradients for --tensorboard",
                    "Add --set health=50.",
                    tensorboard=str(tensorboard),
                )
            )
        return []
    batches = training_batches(prepared.sides["train"], experiment.training, experiment.seed)
    first = next(iter(batches.beginning_at(0)))
    log = health_log_of(out)
    return [GradientHealth(first, every=experiment.health, log=log, tensorboard=tensorboard)]


def catalog_of(out: str | os.PathLike[str]) -> Path:
    """Return the file of a catalog that was in memory."""
    path = Path(out).resolve()
    return path.with_name(f"{path.name}.catalog.ecsv")


def health_log_of(out: str | os.PathLike[str]) -> Path:
    """Return the file of the health record during a training."""
    path = Path(out).resolve()
    return path.with_name(f"{path.name}.health.csv")


def checkpoint_of(out: str | os.PathLike[str]) -> Path:
    """Return the file of the checkpoint during a training."""
    path = Path(out).resolve()
    return path.with_name(f"{path.name}.checkpoint.npz")


def _told(experiment: Experiment, parent: Parent | None) -> dict[str, Any]:
    """Return the settings that must be equal to resume; paths of the data and devices may differ."""
    content = experiment.to_dict()
    for name in ("catalog", "images", "shards", "cache_megabytes", "max_unreadable"):
        del content["data"][name]
    del content["devices"], content["health"], content["calibration"]
    if parent is not None:
        content["start"]["model"] = parent.sha256 or parent.name
    return content


def _finished(out: str | os.PathLike[str], prepared: ExperimentData) -> TrainedModel | None:
    """Load the model in a folder, if any; it must be of this experiment."""
    if not (Path(out) / "card.json").exists():
        return None
    trained = load_model(out)
    card = trained.card
    try:
        stands = _told(Experiment.from_dict(card.settings), None)
        if card.parent:
            stands["start"]["model"] = card.parent["sha256"] or card.parent["name"]
    except ValueError:  # written by an older galcnn, or without an experiment
        stands = dict(card.settings)
    now = _told(prepared.experiment, prepared.parent) | {"data_sha256": prepared.dataset.sha256()}
    if changed := changed_keys(stands | {"data_sha256": card.data.get("sha256")}, now):
        raise ValueError(
            message(
                "the experiment of the existing model, or a new folder",
                "Choose another --out, or train again: --overwrite.",
                changed=changed,
                model=str(out),
            )
        )
    return trained


def _refuse_unlike_workers(
    finished: bool, out: str | os.PathLike[str], strategy: tf.distribute.Strategy
) -> None:
    """Check that all workers or none have the finished model; otherwise some would wait for ever."""
    if devices_used(strategy)["strategy"] != "workers":
        return
    n_finished = int(summed_over_workers(np.array([finished], np.int32), strategy)[0])
    if n_finished not in (0, strategy.num_replicas_in_sync):
        raise ValueError(
            message(
                "the model of this experiment on all workers, or on none",
                "Copy it to all workers, remove it, or use --overwrite.",
                model=str(out),
                n_workers_with_it=n_finished,
            )
        )


def _score_and_save(
    prepared: ExperimentData,
    model: keras.Model,
    history: Mapping[str, Sequence[float]],
    out: str | os.PathLike[str],
    *,
    extra: Mapping[str, Callable[[Path], None]],
    parent: Mapping[str, Any],
    overwrite: bool,
    strategy: tf.distribute.Strategy,
    progress: Progress,
) -> TrainedModel:
    card = Card(
        **_answers(prepared),
        inputs=prepared.dataset.inputs,
        data=_describe(prepared),
        settings=prepared.experiment.to_dict(),
        cost=cost_of(model.get_layer(NETWORK), prepared.dataset.inputs.pixel_scale),
        versions=_versions(),
        devices=devices_used(strategy),
        parent=parent,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    measured = None
    if _calibrates(prepared):
        calibration = prepared.experiment.calibration
        measured = measure_uncertainty(TrainedModel(model, card), prepared, calibration, progress=progress)
        extra = {**extra, UNCERTAINTY_FILE: functools.partial(_write_record, measured.record)}
    scored = score(prepared, model, measured)
    metrics = {
        "n_test": len(scored.table),
        "epochs": len(history["loss"]),
        "calibrated": measured is not None,
    }
    card = replace(card, metrics=metrics | _metrics(scored))
    if not is_chief(strategy):  # only the first worker writes
        return TrainedModel(model, card)
    return save_model(
        TrainedModel(model, card),
        out,
        extra={
            "history.csv": lambda path: write_table(_history(history), path),
            "test.ecsv": lambda path: write_table(scored.table, path),
            **_left_out(prepared.dataset.left_out),
            **extra,
        },
        overwrite=overwrite,
    )


def _write_record(record: UncertaintyRecord, path: Path) -> None:
    """Write a record into the folder of a model, whose card is written already."""
    replace(record, model_sha256=Card.read(path.with_name("card.json")).model_sha256).write(path.parent)


def _calibrates(prepared: ExperimentData) -> bool:
    """Return True if the experiment ends with a calibration; there is none of vote fractions."""
    return prepared.experiment.calibration.enabled and prepared.dataset.votes is None


def _calibrate_finished(
    trained: TrainedModel, prepared: ExperimentData, strategy: tf.distribute.Strategy, progress: Progress
) -> None:
    """Write the uncertainty record of a finished model that has none."""
    assert trained.folder is not None  # for the type checker
    if is_chief(strategy) and _calibrates(prepared) and not (trained.folder / UNCERTAINTY_FILE).exists():
        settings = prepared.experiment.calibration
        measure_uncertainty(trained, prepared, settings, progress=progress).record.write(trained.folder)


def _left_out(reasons: Mapping[str, str]) -> dict[str, Callable[[Path], None]]:
    """Return the table of galaxies whose images cannot be read, if there are any."""
    if not reasons:
        return {}
    table = Table({"id": list(reasons), "reason": list(reasons.values())})
    return {LEFT_OUT: lambda path: write_table(table, path)}


def _describe(prepared: ExperimentData) -> dict[str, Any]:
    data, dataset, catalog = prepared.experiment.data, prepared.dataset, prepared.catalog
    content: dict[str, Any] = {
        "survey": data.survey,
        "licence": data.licence,
        "sha256": dataset.sha256(),
        "split_by": data.split_by,
        "masked_fraction": round(dataset.masked_fraction, 6),
        "n_left_out": len(dataset.left_out),
        "catalog_notes": list(catalog.table.meta.get(NOTES, ())),
        "counts": {name: side.counts for name, side in prepared.sides.items()},
    }
    training = catalog.select(np.asarray(catalog.table["split"]) == "train").table
    for column in ("redshift", "mag_r"):
        if column in training.colnames:
            values = as_numbers(training[column], column)
            if np.isfinite(values).any():
                content[f"{column}_range"] = [float(np.nanmin(values)), float(np.nanmax(values))]
    return content


def _metrics(scored: Scored) -> dict[str, Any]:
    """Return the scores as plain values; NaN becomes null, since JSON has no NaN."""

    def plain(value: float) -> float | None:
        return round(value, 6) if np.isfinite(value) else None

    sides = {"test": scored.scores} | ({"test_sqrt": scored.sqrt} if scored.sqrt else {})
    figures = {
        side: {
            name: {"value": plain(s.value), "low": plain(s.low), "high": plain(s.high), "n": s.n}
            for name, s in scores.items()
        }
        for side, scores in sides.items()
    }
    return {"interval": scored.interval} | figures


def _history(history: Mapping[str, Sequence[float]]) -> Table:
    epochs = np.arange(1, len(history["loss"]) + 1)
    return Table({"epoch": epochs} | {name: list(values) for name, values in history.items()})


def _versions() -> dict[str, str]:
    packages = ("galcnn", "tensorflow", "keras", "numpy", "astropy")
    return {name: importlib.metadata.version(name) for name in packages} | {
        "python": platform.python_version()
    }


@dataclass(frozen=True, eq=False)
class Scored:
    """Results of a trained model on the test set.

    Attributes
    ----------
    scores : mapping of str to galcnn.evaluation.Score
        Scores from `galcnn.evaluation.evaluate` or `evaluate_votes`.
    interval : str
        Description of the intervals of the scores.
    table : astropy.table.Table
        Predictions of the test galaxies with their true classes or vote fractions.
    sqrt : mapping of str to galcnn.evaluation.Score
        Scores under the class prior ``sqrt``; those of `scores` are under ``catalog``. Empty for votes.
    """

    scores: Mapping[str, Score]
    interval: str
    table: Table
    sqrt: Mapping[str, Score] = field(default_factory=dict)


def score(prepared: ExperimentData, model: keras.Model, measured: Measured | None = None) -> Scored:
    """Evaluate a model on the test set: its calibrated answers, if they have been measured."""
    if measured is not None:
        return _classes(prepared, measured.prediction, measured)
    logits = predict_images(model, prepared.sides["test"].images)
    return (_classes if prepared.dataset.votes is None else _votes)(prepared, logits)


def _answers(prepared: ExperimentData) -> dict[str, Any]:
    """Return the fields of a card that say what the model answers: classes and priors, or votes."""
    if prepared.dataset.votes is not None:
        return {"classes": (), "votes": prepared.dataset.votes}
    catalog, trained = _priors(prepared)
    return {"classes": prepared.dataset.classes, "class_prior": catalog, "trained_prior": trained}


def _priors(prepared: ExperimentData) -> tuple[dict[str, float], dict[str, float]]:
    """Return the class frequencies of the training set, and those in the loss."""
    training, settings = prepared.sides["train"], prepared.experiment.training
    mirror = settings.augmentation.mirror_of(training.classes)
    return class_frequency(training), trained_prior(training, settings.balance, mirror)


def _classes(prepared: ExperimentData, answer: Any, measured: Measured | None = None) -> Scored:
    test, (catalog, trained) = prepared.sides["test"], _priors(prepared)
    labels = [test.classes[i] for i in test.labels]
    raw = answer if measured else Prediction(test.ids, answer, test.classes)
    prediction = raw.with_prior(catalog, trained)
    if measured is None:
        table = prediction.to_table()
    else:
        flags = np.where(measured.outside, OUTSIDE, 0).astype(np.int16)
        table = prediction.to_table(flags=flags, reasons=measured.reasons)
        table["distance"] = measured.distance.astype(np.float32)
        table["set"] = np.array(measured.record.sets.words(prediction), dtype=str)
    table.add_column(labels, name="true_class", index=1)
    scores, balanced = (
        evaluate(prediction.with_prior(prior, trained), labels, seed=prepared.experiment.seed)
        for prior in (catalog, sqrt_prior(catalog))
    )
    interval = "95 % bootstrap, stratified by class; Wilson for a share of 0 or 1"
    return Scored(scores, interval, table, balanced)


def _votes(prepared: ExperimentData, logits: Any) -> Scored:
    votes, test = prepared.dataset.votes, prepared.sides["test"]
    assert votes is not None
    predicted, observed = cumulative_fractions(logits, votes), observed_fractions(test.labels, votes)
    baseline = np.nanmean(observed_fractions(prepared.sides["train"].labels, votes), axis=0)
    scores = evaluate_votes(predicted, observed, votes, baseline=baseline, seed=prepared.experiment.seed)
    table = fraction_table(test.ids, predicted, votes)
    for answer, values in zip(votes.answers, observed.T, strict=True):
        table[f"true_{answer}"] = values
    return Scored(scores, "95 % bootstrap", table)
