"""Comparison of optimizers on the same data and seeds, each with its best learning rate of a few."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import write_table
from galcnn.errors import did_you_mean, message
from galcnn.experiment.data import ExperimentData, read_data
from galcnn.experiment.settings import Experiment
from galcnn.training import fit, make_optimizer
from galcnn.training.callbacks import LossRecord, eager_logits, epochs_shown
from galcnn.training.checkpoint import Checkpoint, changed_keys
from galcnn.viewers import save_figure
from galcnn.viewers.plots.training import Curve, comparison_figure

#: Default contenders: name -> keys of ``[training]``.
CONTENDERS: Mapping[str, Mapping[str, Any]] = {
    "batch": {"batch_size": "all", "optimizer": "sgd", "learning_rate": 0.1},
    "stochastic": {"batch_size": 1, "optimizer": "sgd", "learning_rate": 0.003},
    "mini-batch": {"batch_size": 32, "optimizer": "sgd", "learning_rate": 0.03},
    "momentum": {"batch_size": 32, "optimizer": "momentum", "learning_rate": 0.01},
    "nesterov": {"batch_size": 32, "optimizer": "nesterov", "learning_rate": 0.01},
    "adam": {"batch_size": 32, "optimizer": "adam", "learning_rate": 0.003},
}
#: Defaults of comparisons: constant learning rate and plain cross-entropy.
_DEFAULTS = {"schedule": "constant", "label_smoothing": 0.0}
#: Ratio of neighbouring learning rates.
_FACTOR = 10**0.5
#: Every run has the same number of epochs, so that seeds can be compared.
_WHOLE = {"patience": None, "tolerance": None}


@dataclass(frozen=True)
class Comparison:
    """Settings of a comparison of trainings.

    Attributes
    ----------
    experiments : mapping of str to galcnn.experiment.Experiment
        Name of the contender -> experiment; all with the same data and network settings.
    seeds : tuple of int
        Seeds of weights, order and augmentation; each contender is trained once with each. The seed of
        the split is that of the experiment.
    rates : int
        Largest number of learning rates that are tried per contender, with the first seed: its own, and
        others in steps of half a decade, towards smaller validation losses. With 1, its own is kept.
    """

    experiments: Mapping[str, Experiment]
    seeds: tuple[int, ...] = (0, 1, 2)
    rates: int = 5

    def __post_init__(self) -> None:
        seeds = self.seeds
        whole = all(isinstance(seed, int) and seed >= 0 for seed in seeds)
        if not seeds or not whole or len(set(seeds)) < len(seeds) or not self.experiments:
            raise ValueError(
                message(
                    "contenders, and distinct seeds of 0 or more", "", seeds=seeds, n=len(self.experiments)
                )
            )
        if not isinstance(self.rates, int) or self.rates < 1:
            raise ValueError(message("a number of learning rates, 1 or more", "", rates=self.rates))
        data = [(one.data, one.network, one.start) for one in self.experiments.values()]
        if any(other != data[0] for other in data):
            raise ValueError(
                message(
                    "one data set, one network and one start",
                    "Contenders may differ in keys of [training] only.",
                    n=len(data),
                )
            )
        if data[0][0].votes is not None:
            raise ValueError(message("an experiment of classes", "Leave out [data.votes].", votes="votes"))
        for name, experiment in self.experiments.items():
            if experiment.training.patience is not None or experiment.training.tolerance is not None:
                raise ValueError(
                    message("runs of all their epochs", "Leave out patience and tolerance.", contender=name)
                )


def comparison_from(content: Mapping[str, Any]) -> Comparison:
    """Make a comparison from the sections of an experiment and a section ``compare``."""
    base = {name: value for name, value in content.items() if name != "compare"}
    section = content.get("compare", {})
    known = ("seeds", "rates", "contenders")
    if unknown := sorted(set(section) - set(known)):
        raise ValueError(
            message("seeds, rates and contenders in compare", did_you_mean(unknown[0], known), keys=unknown)
        )
    contenders = section.get("contenders", CONTENDERS)
    if not isinstance(contenders, Mapping) or not all(isinstance(c, Mapping) for c in contenders.values()):
        raise ValueError(
            message("a section for each contender", "Write [compare.contenders.NAME].", contenders=contenders)
        )
    for name in contenders:
        if Path(name).name != name or name.startswith("."):
            raise ValueError(message("names of contenders that can name files", "", contender=name))
    # Full-batch gradient descent in chunks does not allow batch normalisation.
    network = {"normalization": "group"} | dict(base.get("network", {}))
    training = _DEFAULTS | dict(base.get("training", {})) | _WHOLE
    experiments = {
        name: Experiment.from_dict(base | {"network": network, "training": training | dict(changes)})
        for name, changes in contenders.items()
    }
    rates = section.get("rates", Comparison.rates)
    return Comparison(experiments, tuple(section.get("seeds", (0, 1, 2))), rates)


def compare(
    comparison: Comparison,
    out: str | os.PathLike[str],
    *,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Table:
    """Train every contender at its best learning rate with every seed, and plot the validation losses.

    The learning rate is searched with the first seed: the contender's own, and others in steps of half a
    decade, until both neighbours of the best have a larger validation loss or `rates` have been tried, each
    in a training of all epochs. A rate at which the loss becomes NaN or infinite is not chosen. Contenders
    are compared on the validation set, which also chose their rates; the test set is not used. Completed
    runs are not repeated, and interrupted runs resume from their checkpoints.

    Parameters
    ----------
    comparison : Comparison
        Experiments and seeds.
    out : path-like
        Output folder: ``runs/`` (one JSON file per run), ``rates.ecsv`` (one row per learning rate tried),
        ``curves.ecsv`` (one row per epoch and run), ``summary.ecsv`` and ``comparison.png``.
    progress : galcnn._runtime.progress.Progress
        Progress display.
    overwrite : bool
        If True, overwrite existing results.

    Returns
    -------
    astropy.table.Table
        Summary with one row per contender: median, minimum and maximum over seeds of the training loss at the
        end, and of the least validation loss and the validation accuracy of that epoch; `learning_rate`, the
        number `rates_tried`, and `enclosed`: whether both neighbours of the rate were tried.

    Raises
    ------
    OSError, ValueError
        If the input is invalid, or `out` holds runs of other settings or data.
    FloatingPointError
        If the loss of a contender becomes NaN or infinite, at all rates or with one of the seeds; the message
        names it.
    """
    folder = Path(out)
    own = ("runs", "rates.ecsv", "curves.ecsv", "summary.ecsv", "comparison.png")
    claim = atomic.claim(folder, what="one of galcnn compare", own=own, overwrite=overwrite)
    prepared = read_data(next(iter(comparison.experiments.values())), progress=progress)
    runs: dict[str, list[dict[str, Any]]] = {}
    tried: dict[str, dict[float, float]] = {}
    for name, experiment in comparison.experiments.items():

        def run(
            rate: float, seed: int, name: str = name, experiment: Experiment = experiment
        ) -> dict[str, Any]:
            training = replace(experiment.training, learning_rate=rate)
            file = f"{name}-rate{rate:.3g}-seed{seed}"
            return _run(prepared, name, replace(experiment, training=training), seed, claim, progress, file)

        first = comparison.seeds[0]
        best, tried[name] = _search(_rate_of(experiment), lambda rate: run(rate, first), comparison.rates)  # noqa: B023
        runs[name] = [run(best, seed) for seed in comparison.seeds]
        for done in runs[name]:
            if done["error"]:
                raise FloatingPointError(done["error"])
    write_table(_rates(tried, runs), folder / "rates.ecsv")
    write_table(_curves(runs), folder / "curves.ecsv")
    summary = _summary(runs, tried)
    write_table(summary, folder / "summary.ecsv")
    curves = {name: [_curve(run) for run in of_name] for name, of_name in runs.items()}
    save_figure(comparison_figure(curves, loss="validation loss"), folder / "comparison.png")
    return summary


def _rate_of(experiment: Experiment) -> float:
    """Return the learning rate of a contender: its own, or that of its optimizer."""
    if experiment.training.learning_rate is not None:
        return experiment.training.learning_rate
    rate = make_optimizer(
        replace(experiment.training, schedule="constant"), updates_per_epoch=1
    ).learning_rate
    return float(np.float32(rate))


def _search(
    start: float, run: Callable[[float], Mapping[str, Any]], budget: int
) -> tuple[float, dict[float, float]]:
    """Return the learning rate of least validation loss, and the losses of all that were tried."""
    losses: dict[int, float] = {}
    step = 0
    while True:
        done = run(start * _FACTOR**step)
        losses[step] = np.inf if done["error"] else min(done["columns"]["val_loss"])
        best = min(losses, key=lambda tried: (losses[tried], abs(tried)))
        beside = [one for one in (best + 1, best - 1) if one not in losses]
        if not np.isfinite(losses[best]):  # all diverge: only smaller rates help
            beside = [min(losses) - 1]
        if len(losses) == budget or not beside:
            return start * _FACTOR**best, {start * _FACTOR**one: losses[one] for one in sorted(losses)}
        step = beside[0]


def _run(
    prepared: ExperimentData,
    name: str,
    experiment: Experiment,
    seed: int,
    claim: atomic.Claim,
    progress: Progress,
    stem: str,
) -> dict[str, Any]:
    """Return the result of one run; train if it does not exist yet. A loss that is lost is its `error`."""
    file = f"runs/{stem}.json"
    path = claim.folder / file
    told = {
        "network": experiment.to_dict()["network"],
        "training": json.loads(json.dumps(experiment.training.to_dict())),
        "seed": seed,
        "data_sha256": prepared.dataset.sha256(),
        "split_seed": experiment.seed,
    }
    if claim.written(file):
        done: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if changed := changed_keys(done["settings"], told):
            raise ValueError(
                message(
                    "the settings with which this run was made",
                    "Choose another folder, or start again: overwrite=True.",
                    changed=changed,
                    run=str(path),
                )
            )
        return done
    claim.mark()
    sides = prepared.sides
    record = LossRecord(sides["train"], sides["validation"])
    checkpoint = Checkpoint(path.with_suffix(".checkpoint.npz"), identity=told)
    model = prepared.new_model(seed)
    epochs, n_images = experiment.training.epochs, len(sides["train"])
    done = {"settings": told, "columns": None, "validation_accuracy": None, "error": None}
    try:
        with epochs_shown(
            progress, f"{stem} epoch", epochs, n_images=n_images, checkpoint=checkpoint
        ) as shown:
            fit(
                model,
                sides["train"],
                sides["validation"],
                settings=experiment.training,
                start=experiment.start,
                seed=seed,
                callbacks=[record, shown, checkpoint],
            )
    except FloatingPointError as error:
        done["error"] = f"Contender {name!r}, seed {seed}: {error}"
    except ValueError as error:
        raise ValueError(f"Contender {name!r}, seed {seed}: {error}") from error
    else:
        # With the weights of the best epoch.
        answers = eager_logits(model, sides["validation"].images).argmax(axis=1)
        done["validation_accuracy"] = float(np.mean(answers == sides["validation"].labels))
        done["columns"] = record.curves()
    atomic.write_json(path, done)
    checkpoint.path.unlink(missing_ok=True)
    return done


def _curve(run: Mapping[str, Any]) -> Curve:
    updates, seconds, loss = (np.array(run["columns"][name]) for name in ("updates", "seconds", "val_loss"))
    return updates, seconds, loss


def _curves(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    rows = [
        (name, run["settings"]["seed"], epoch, *figures)
        for name, of_name in runs.items()
        for run in of_name
        for epoch, figures in enumerate(
            zip(*(run["columns"][key] for key in ("updates", "seconds", "loss", "val_loss")), strict=True)
        )
    ]
    return Table(
        rows=rows, names=("contender", "seed", "epoch", "updates", "seconds", "loss", "validation_loss")
    )


def _rates(
    tried: Mapping[str, Mapping[float, float]], runs: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Table:
    """Return one row per learning rate tried; an infinite loss was NaN or infinite in training."""
    rows = [
        (name, rate, loss, rate == runs[name][0]["settings"]["training"]["learning_rate"])
        for name, losses in tried.items()
        for rate, loss in losses.items()
    ]
    return Table(rows=rows, names=("contender", "learning_rate", "least_validation_loss", "chosen"))


def _summary(
    runs: Mapping[str, Sequence[Mapping[str, Any]]], tried: Mapping[str, Mapping[float, float]]
) -> Table:
    """Summarise each contender by median, minimum and maximum over seeds."""
    rows = []
    for name, of_name in runs.items():
        columns = [run["columns"] for run in of_name]
        figures = {
            "loss": [c["loss"][-1] for c in columns],
            "least_validation_loss": [min(c["val_loss"]) for c in columns],
            "validation_accuracy": [run["validation_accuracy"] for run in of_name],
        }
        rate = of_name[0]["settings"]["training"]["learning_rate"]
        row: dict[str, Any] = {
            "contender": name,
            "learning_rate": rate,
            "rates_tried": len(tried[name]),
            "enclosed": min(tried[name]) < rate < max(tried[name]),
            "seeds": len(of_name),
            "epochs": len(columns[0]["loss"]) - 1,
            "updates": int(columns[0]["updates"][-1]),
            "seconds": round(float(np.median([c["seconds"][-1] for c in columns])), 3),
        }
        for key, values in figures.items():
            row |= {key: np.median(values), f"{key}_low": min(values), f"{key}_high": max(values)}
        rows.append(row)
    return Table(rows=rows)
