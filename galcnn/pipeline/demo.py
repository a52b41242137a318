"""The demo: all steps on the simulated survey, from simulated galaxies to explanations."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import Catalog, write_table
from galcnn.dataset import InputFiles
from galcnn.evaluation import confusion_matrix, evaluate
from galcnn.experiment import Experiment, train
from galcnn.experiment.settings import DataSettings
from galcnn.layers import LayerStack
from galcnn.model import NetworkSettings, TrainedModel, load_model
from galcnn.pipeline.atlas.subject import in_turn
from galcnn.pipeline.explanations import ExplainSettings, explain_files
from galcnn.pipeline.runs import classify
from galcnn.pipeline.simulated_survey import SurveySettings, write_survey
from galcnn.prediction import Prediction
from galcnn.prediction.tables import prediction_of
from galcnn.simulation import simulate_catalog
from galcnn.training import Augmentation, TrainingSettings
from galcnn.viewers import explanation_figure, save_figure

_HEADLINES = ("accuracy", "balanced_accuracy", "calibration_error")


@dataclass(frozen=True)
class DemoSettings:
    """Size of the demo.

    Attributes
    ----------
    number : int
        Number of simulated galaxies, which are split into training, validation and test set.
    new : int
        Number of further galaxies, simulated with another seed, that are classified.
    explained : int
        Number of these that are explained.
    epochs : int
        Largest number of epochs of the training.
    seed : int
        Seed of all random numbers.
    jobs : int
        Number of processes that simulate galaxies.
    """

    number: int = 3000
    new: int = 60
    explained: int = 6
    epochs: int = 16
    seed: int = 1
    jobs: int = 2


def run_demo(
    folder: str | os.PathLike[str],
    *,
    settings: DemoSettings | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
    ready: Callable[[str], None] | None = None,
) -> str:
    """Simulate galaxies, train and score a model, classify and explain new galaxies, and write all results.

    Parameters
    ----------
    folder : path-like
        Output folder for ``catalog.ecsv``, ``cutouts/``, ``model/``, ``new/``, ``results.ecsv``,
        ``layers/*-layers.fits``, ``galaxies.png`` and ``summary.md``.
    settings : DemoSettings, optional
        Size of the demo; the defaults if not given.
    progress : galcnn._runtime.progress.Progress
        Progress display of each step.
    overwrite : bool
        If True, discard earlier simulations and models in the folder and start again.
    ready : callable, optional
        If given, the model `simulated`, which ships, first classifies and explains some of the new galaxies
        (``ready.png``), and this function gets its answers as a table in Markdown.

    Returns
    -------
    str
        The summary in Markdown, also written to ``summary.md``.
    """
    chosen = settings or DemoSettings()
    out, seed = Path(folder), chosen.seed
    clock = _Clock()
    survey = simulate_catalog(chosen.number, seed=seed)
    write_survey(
        survey,
        out,
        settings=SurveySettings(seed),
        jobs=chosen.jobs,
        progress=progress,
        overwrite=overwrite,
    )
    new = _new_galaxies(chosen, out, progress, overwrite)
    clock.lap("simulate")
    if ready is not None:
        stacks = _explain(load_model("simulated"), new, chosen.explained, out, progress)
        _draw(stacks, new, out / "ready.png")
        title = "The model `simulated`, which ships with galcnn, on galaxies that it has not seen:"
        ready("\n".join([title, "", *_answers_table(stacks, new)]) + "\n")
        clock.lap("show the ready model")
    experiment = Experiment(
        DataSettings(str(out / "catalog.ecsv"), survey="galcnn simulated survey", licence="BSD-3-Clause"),
        NetworkSettings(widths=(16, 32, 64, 128), poolings=3, depth=1, stem=0),
        # No label smoothing, since the labels are exact: it would only lower the probabilities.
        TrainingSettings(
            epochs=chosen.epochs,
            batch_size=32,
            label_smoothing=0.0,
            augmentation=Augmentation(rotations="quarter"),
        ),
        seed=seed,
    )
    trained = train(experiment, out / "model", progress=progress, overwrite=overwrite)
    clock.lap("train and score")
    table = classify(trained, new, InputFiles(_paths(new, out)), progress=progress)
    table.add_column(new.labels, name="true_class", index=2)
    write_table(table, out / "results.ecsv")
    clock.lap("classify new galaxies")
    stacks = _explain(trained, new, chosen.explained, out, progress, layers=True)
    _draw(stacks, new, out / "galaxies.png")
    clock.lap("explain and draw")
    summary = _summary(trained, new, table, stacks, clock.laps)
    atomic.write_text(out / "summary.md", summary)
    return summary


def _new_galaxies(chosen: DemoSettings, out: Path, progress: Progress, overwrite: bool) -> Catalog:
    """Simulate galaxies of another seed, which neither training nor test sees; those made before are kept."""
    other = seeding.integer(chosen.seed, "new")
    sky = simulate_catalog(chosen.new, seed=other)
    return write_survey(
        sky, out / "new", settings=SurveySettings(other), progress=progress, overwrite=overwrite
    )


def _paths(new: Catalog, out: Path) -> dict[str, Path]:
    return {name: out / "new" / str(image) for name, image in zip(new.ids, new.table["image"], strict=True)}


def _explain(
    trained: TrainedModel, new: Catalog, n: int, out: Path, progress: Progress, *, layers: bool = False
) -> list[LayerStack]:
    """Explain n galaxies of the classes in turn, with a layers file each if asked for."""
    paths, shown = _paths(new, out), _one_of_each(new, n)
    made = explain_files(
        trained,
        InputFiles({name: paths[name] for name in shown}),
        ExplainSettings(),
        out={name: out / "layers" / f"{name}-layers.fits" for name in shown} if layers else None,
        progress=progress,
    )
    stacks = []
    for stack in made:
        if isinstance(stack, Exception):
            raise stack
        stacks.append(stack)
    return stacks


def _truths(new: Catalog) -> dict[str, str]:
    return dict(zip(new.ids, new.labels.tolist(), strict=True))


def _draw(stacks: list[LayerStack], new: Catalog, path: Path) -> None:
    truths = _truths(new)
    save_figure(explanation_figure(stacks, truth=[truths[s.id] for s in stacks], across=2), path)


class _Clock:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.perf_counter()

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self._last = now - self._last, now


def _one_of_each(catalog: Catalog, n: int) -> list[str]:
    """Return ids of galaxies of all classes in turn, brightest first."""
    magnitude = np.asarray(catalog.table["mag_r"], dtype=float)
    queues = []
    for name in catalog.classes:
        rows = np.flatnonzero(catalog.labels == name)
        queues.append(rows[np.argsort(magnitude[rows])].tolist())
    return [catalog.ids[row] for row in in_turn(queues)[:n]]


def _summary(
    trained: TrainedModel, new: Catalog, table: Table, stacks: list[LayerStack], laps: Mapping[str, float]
) -> str:
    card = trained.card
    counts = {side: sum(classes.values()) for side, classes in card.data["counts"].items()}
    scores = card.metrics["test"]
    probabilities = np.array([table[f"p_{name}"] for name in trained.classes]).T
    answers, truths = prediction_of(table["id"], probabilities, trained.classes), new.labels.tolist()
    lines = [
        "# galcnn demo",
        "",
        "Figures measured in this run of `galcnn demo`.",
        "",
        f"- Simulated survey: {sum(counts.values())} galaxies of {len(card.classes)} classes.",
        f"- Training {counts['train']}, validation {counts['validation']}, test {counts['test']}.",
        "- Scores on the test set, with 95 % bootstrap intervals: "
        + ", ".join(f"{name.replace('_', ' ')} {_interval(scores[name])}" for name in _HEADLINES)
        + ".",
        f"- {len(new)} new galaxies of another seed: accuracy {evaluate(answers, truths)['accuracy']}.",
        "",
        "| class | test galaxies | completeness | purity |",
        "|---|---|---|---|",
    ]
    for name in card.classes:
        recall, precision = scores[f"recall_{name}"], scores[f"precision_{name}"]
        lines.append(f"| {name} | {recall['n']} | {_interval(recall)} | {_interval(precision)} |")
    lines += ["", "Confusion matrix of the new galaxies (rows: true class, columns: predicted class):", ""]
    lines += _confusion_table(answers, truths)
    lines += ["", "Explained, with `layers/GALAXY-layers.fits`:", "", *_answers_table(stacks, new)]
    lines += ["", "Time: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in laps.items()) + "."]
    return "\n".join(lines) + "\n"


def _answers_table(stacks: list[LayerStack], new: Catalog) -> list[str]:
    truth = _truths(new)
    lines = ["| galaxy | true class | predicted class | probability |", "|---|---|---|---|"]
    for stack in stacks:
        answer, probability = stack.prediction.best[0], stack.prediction.probabilities.max()
        lines.append(f"| {stack.id} | {truth[stack.id]} | {answer} | {probability:.2f} |")
    return lines


def _confusion_table(answers: Prediction, truths: list[str]) -> list[str]:
    lines = ["| | " + " | ".join(answers.classes) + " |", "|---" * (len(answers.classes) + 1) + "|"]
    for name, row in zip(answers.classes, confusion_matrix(answers, truths), strict=True):
        lines.append(f"| **{name}** | " + " | ".join(str(n) for n in row) + " |")
    return lines


def _interval(score: Mapping[str, Any]) -> str:
    if score["value"] is None:
        return "-"
    return f"{score['value']:.3f} [{score['low']:.3f}, {score['high']:.3f}]"
