"""Accuracy under attack as a function of its epsilon (largest allowed change)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.stats import binom_conf_interval
from astropy.table import Table

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn.adversarial import FGSM, PGD, away_from
from galcnn.adversarial.margins import pixel_scale
from galcnn.adversarial.perturbation import boxed, prepared_alike
from galcnn.catalog import read_table, write_table
from galcnn.dataset import InputFiles
from galcnn.dataset.reader import MAX_UNREADABLE, LeftOut, write_left_out
from galcnn.errors import message
from galcnn.evaluation import bootstrap
from galcnn.model import Target
from galcnn.model.forward import outputs
from galcnn.pipeline.attacks import OWN

if TYPE_CHECKING:
    from galcnn.model import TrainedModel


_ANSWERS, _CURVE = "answers.ecsv", "robustness.ecsv"
_BATCH = 64

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Robustness:
    """Settings of a robustness curve.

    Attributes
    ----------
    attack : PGD or FGSM
        The attack; its `epsilon` is replaced by each of `epsilons`.
    epsilons : tuple of float
        Largest allowed changes of a pixel, above zero and increasing, in the unit of the attack.
    seed : int
        Seed of the random changes of the same size, and of the bootstrap.
    """

    attack: PGD | FGSM
    epsilons: tuple[float, ...]
    seed: int = 0

    def __post_init__(self) -> None:
        epsilons = tuple(float(epsilon) for epsilon in self.epsilons)
        rising = all(a < b for a, b in pairwise(epsilons))
        if not epsilons or epsilons[0] <= 0 or not rising or not np.isfinite(epsilons[-1]):
            raise ValueError(message("finite epsilons above zero, increasing", "", epsilons=epsilons))
        object.__setattr__(self, "epsilons", epsilons)


def robustness_curve(
    trained: TrainedModel,
    files: InputFiles,
    labels: Sequence[str],
    robustness: Robustness,
    folder: str | os.PathLike[str],
    *,
    max_unreadable: float = MAX_UNREADABLE,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Table:
    """Measure the accuracy under attack as a function of epsilon.

    Every galaxy is attacked away from its true class. A galaxy that is misclassified at one epsilon counts
    as misclassified at all larger ones, whose allowed changes include the smaller. For comparison, the
    accuracy under random changes of the same size is given: random signs for the maximum norm, random
    directions for the L2 norm.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.dataset.InputFiles
        Images of galaxies that the model was not trained on.
    labels : sequence of str
        True classes, one per galaxy.
    robustness : Robustness
        Attack and epsilons.
    folder : path-like
        Output folder for the curve, ``robustness.ecsv``, and the results of each galaxy at each epsilon,
        ``answers.ecsv``, and ``left_out.ecsv``, if images cannot be used. An interrupted run continues
        with the next epsilon; a folder with another curve is refused.
    max_unreadable : float
        Largest fraction of galaxies that are left out since their image cannot be read or does not fit.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per batch and epsilon.
    overwrite : bool
        If True, discard earlier results in the folder and start again.

    Returns
    -------
    astropy.table.Table
        One row per epsilon, the first without change. Columns `epsilon`, `accuracy`, `low`, `high` (95 %
        bootstrap interval, stratified by class; Wilson's interval if all or none are right),
        `random_accuracy`, `random_low`, `random_high`, and `n` (number of galaxies used). ``meta`` has
        `left_out`: ids of the others, with the reason.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        If more files cannot be read or do not fit the model, or a class is unknown.
    """
    names = list(files.paths)
    if len(labels) != len(names):
        raise ValueError(message(f"one label for each of {len(names)} galaxies", "", n_labels=len(labels)))
    classes = dict(zip(names, map(str, labels), strict=True))
    for label in set(classes.values()):
        Target.of_class(label, trained.classes)
    asked: dict[str, Any] = {
        "model": trained.card.name,
        "model_sha256": trained.card.model_sha256,
        "attack": robustness.attack.name,
        "settings": {key: value for key, value in asdict(robustness.attack).items() if key != "epsilon"},
        "epsilons": list(robustness.epsilons),
        "seed": robustness.seed,
        "galaxies": hashlib.sha256(json.dumps([names, list(labels)]).encode()).hexdigest(),
    }
    claim = atomic.claim(
        folder,
        json.dumps(asked),
        what="one with the same model, galaxies, attack and epsilons",
        own=OWN,
        inputs=files.paths.values(),
        overwrite=overwrite,
    )
    claim.mark()
    path = claim.folder / _ANSWERS
    if claim.written(_ANSWERS):
        answers = Table(read_table(path))
    else:
        left_out = _unusable(trained, files, max_unreadable, progress)
        names = [name for name in names if name not in left_out]
        answers = Table({"id": names, "class": [classes[name] for name in names]}, meta=asked)
        answers.meta["left_out"] = dict(left_out)
        write_left_out(left_out, claim.folder)
    names = [str(name) for name in answers["id"]]
    truth = np.array([trained.classes.index(classes[name]) for name in names])
    done = [epsilon for epsilon in robustness.epsilons if f"held_{epsilon:g}" in answers.colnames]
    todo = robustness.epsilons[len(done) :]
    pieces = range(0, len(names), _BATCH)
    with progress("attack", len(todo) * len(pieces)) as step:
        for epsilon in todo:
            attack = boxed(replace(robustness.attack, epsilon=epsilon), trained)
            assert isinstance(attack, PGD | FGSM)
            columns = []
            for start in pieces:
                piece = slice(start, start + _BATCH)
                columns.append(_tried(trained, files, names[piece], truth[piece], attack, robustness.seed))
                step(f"{epsilon:g}")
            right, held, random = (np.concatenate(column) for column in zip(*columns, strict=True))
            if "right" not in answers.colnames:
                answers["right"] = right
            before = [answers[name] for name in answers.colnames if name.startswith("held_")]
            answers[f"held_{epsilon:g}"] = held & (before[-1] if before else answers["right"])
            answers[f"random_{epsilon:g}"] = random
            write_table(answers, path)
    table = _curve(answers, truth, robustness)
    table.meta = dict(answers.meta)
    write_table(table, claim.folder / _CURVE)
    return table


def _unusable(
    trained: TrainedModel, files: InputFiles, max_unreadable: float, progress: Progress
) -> dict[str, str]:
    """Return the galaxies that cannot be used, with the reason; no image stays in memory."""
    left_out = LeftOut(len(files), max_unreadable)
    with progress("read images", len(files)) as step:
        for name, one in files.each_prepared(files.ids, trained.card.inputs):
            step()
            if isinstance(one, Exception):
                left_out.add(name, one)
    return left_out


def _tried(
    trained: TrainedModel,
    files: InputFiles,
    names: Sequence[str],
    truth: npt.NDArray[np.int_],
    attack: PGD | FGSM,
    seed: int,
) -> tuple[Bools, Bools, Bools]:
    """Tell which galaxies are classified correctly as they are, under attack, and under a random change."""
    cutouts = [files.prepared(name, trained.card.inputs) for name in names]
    seen = prepared_alike(trained, cutouts, names)
    images, context = seen.images, seen.context
    targets = [away_from(trained.classes[label], trained.classes) for label in truth]
    made = attack(trained.model, images, targets, context=context)
    draws = []
    for name, image in zip(names, images, strict=True):
        stream = seeding.generator(seed, "random change", name)
        draw = stream.normal(size=image.shape)
        if getattr(attack, "norm", "linf") == "linf":
            draws.append(np.sign(draw))
        else:
            draws.append(draw / np.linalg.norm(draw))
    change = attack.epsilon * np.stack(draws) * pixel_scale(trained.model, images, context, attack.unit)
    low = -np.inf if attack.lower is None else attack.lower
    high = np.inf if attack.upper is None else attack.upper
    random = np.clip(images + change, low, high).astype(np.float32)
    right, held, random_right = (
        np.argmax(outputs(trained.model, shown), axis=1) == truth for shown in (images, made, random)
    )
    return right, held, random_right


def _curve(answers: Table, truth: npt.NDArray[np.int_], robustness: Robustness) -> Table:
    held = [answers["right"], *(answers[f"held_{epsilon:g}"] for epsilon in robustness.epsilons)]
    random = [answers["right"], *(answers[f"random_{epsilon:g}"] for epsilon in robustness.epsilons)]
    flags = np.stack([np.asarray(column, dtype=float) for column in (*held, *random)], axis=1)
    values, low, high = bootstrap(lambda rows: flags[rows].mean(axis=0), truth, seed=robustness.seed)
    # The bootstrap interval of an accuracy of 0 or 1 has no width: Wilson's is used, as in `evaluate`.
    certain = (values == 0) | (values == 1)
    wilson = binom_conf_interval(values * len(truth), len(truth), 0.95, interval="wilson")
    low = np.where(certain, np.minimum(wilson[0], values), low)
    high = np.where(certain, np.maximum(wilson[1], values), high)
    n = len(held)
    return Table(
        {
            "epsilon": [0.0, *robustness.epsilons],
            "accuracy": values[:n],
            "low": low[:n],
            "high": high[:n],
            "random_accuracy": values[n:],
            "random_low": low[n:],
            "random_high": high[n:],
            "n": np.full(n, len(truth)),
        }
    )
