"""Comparison of optimizers on the same data and seeds: loss against updates and against time."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from galcnn.training import fit
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
    """

    experiments: Mapping[str, Experiment]
    seeds: tuple[int, ...] = (0, 1, 2)

    def __post_init__(self) -> None:
        seeds = self.seeds
        whole = all(isinstance(seed, int) and seed >= 0 for seed in seeds)
        if not seeds or not whole or len(set(seeds)) < len(seeds) or not self.experiments:
            raise ValueError(
                message(
                    "contenders, and distinct seeds of 0 or more", "", seeds=seeds, n=len(self.experiments)
                )
            )
        data = [(experiment.data, experiment.network) for experiment in self.experiments.values()]
        if any(other != data[0] for other in data):
            raise ValueError(
                message(
                    "one data set and one network",
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
    if unknown := sorted(set(section) - {"seeds", "contenders"}):
        raise ValueError(
            message(
                "seeds and contenders in compare",
                did_you_mean(unknown[0], ("seeds", "contenders")),
                keys=unknown,
            )
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
    return Comparison(experiments, tuple(section.get("seeds", (0, 1, 2))))


def compare(
    comparison: Comparison,
    out: str | os.PathLike[str],
    *,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Table:
    """Train every contender with every seed, and plot the losses.

    Completed runs are not repeated, and interrupted runs resume from their checkpoints.

    Parameters
    ----------
    comparison : Comparison
        Experiments and seeds.
    out : path-like
        Output folder: ``runs/`` (one JSON file per run), ``curves.ecsv`` (one row per epoch and run),
        ``summary.ecsv`` and ``comparison.png``.
    progress : galcnn._runtime.progress.Progress
        Progress display.
    overwrite : bool
        If True, overwrite existing results.

    Returns
    -------
    astropy.table.Table
        Summary with one row per contender: median, minimum and maximum over seeds.

    Raises
    ------
    OSError, ValueError
        If the input is invalid, or `out` holds runs of other settings or data.
    FloatingPointError
        If the loss of a contender becomes NaN or infinite; the message names it.
    """
    folder = Path(out)
    own = ("runs", "curves.ecsv", "summary.ecsv", "comparison.png")
    claim = atomic.claim(folder, what="one of galcnn compare", own=own, overwrite=overwrite)
    prepared = read_data(next(iter(comparison.experiments.values())), progress=progress)
    runs: dict[str, list[dict[str, Any]]] = {}
    for name, experiment in comparison.experiments.items():
        runs[name] = [_run(prepared, name, experiment, seed, claim, progress) for seed in comparison.seeds]
    write_table(_curves(runs), folder / "curves.ecsv")
    summary = _summary(runs)
    write_table(summary, folder / "summary.ecsv")
    curves = {name: [_curve(run) for run in of_name] for name, of_name in runs.items()}
    save_figure(comparison_figure(curves), folder / "comparison.png")
    return summary


def _run(
    prepared: ExperimentData,
    name: str,
    experiment: Experiment,
    seed: int,
    claim: atomic.Claim,
    progress: Progress,
) -> dict[str, Any]:
    """Return the result of one run; train if it does not exist yet."""
    file = f"runs/{name}-seed{seed}.json"
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
    try:
        epochs, n_images = experiment.training.epochs, len(sides["train"])
        with epochs_shown(
            progress, f"{name} {seed} epoch", epochs, n_images=n_images, checkpoint=checkpoint
        ) as shown:
            fit(
                model,
                sides["train"],
                sides["validation"],
                settings=experiment.training,
                seed=seed,
                callbacks=[record, shown, checkpoint],
            )
    except (FloatingPointError, ValueError) as error:
        raise type(error)(f"Contender {name!r}, seed {seed}: {error}") from error
    right = eager_logits(model, sides["test"].images).argmax(axis=1) == sides["test"].labels
    done = {"settings": told, "columns": record.curves(), "test_accuracy": float(np.mean(right))}
    atomic.write_json(path, done)
    checkpoint.path.unlink(missing_ok=True)
    return done


def _curve(run: Mapping[str, Any]) -> Curve:
    updates, seconds, loss = (np.array(run["columns"][name]) for name in ("updates", "seconds", "loss"))
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


def _summary(runs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Table:
    """Summarise each contender by median, minimum and maximum over seeds."""
    rows = []
    for name, of_name in runs.items():
        columns = [run["columns"] for run in of_name]
        figures = {
            "loss": [c["loss"][-1] for c in columns],
            "least_validation_loss": [min(c["val_loss"]) for c in columns],
            "test_accuracy": [run["test_accuracy"] for run in of_name],
        }
        row: dict[str, Any] = {
            "contender": name,
            "seeds": len(of_name),
            "epochs": len(columns[0]["loss"]) - 1,
            "updates": int(columns[0]["updates"][-1]),
            "seconds": round(float(np.median([c["seconds"][-1] for c in columns])), 3),
        }
        for key, values in figures.items():
            row |= {key: np.median(values), f"{key}_low": min(values), f"{key}_high": max(values)}
        rows.append(row)
    return Table(rows=rows)
