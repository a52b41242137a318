"""The default recipe on Galaxy Zoo 1: several seeds, and the effect of each part of it.

    python examples/galaxy_zoo_recipe.py labels.csv runs
    python examples/galaxy_zoo_recipe.py labels.csv runs --only seed-3
    python examples/galaxy_zoo_recipe.py labels.csv runs --finished
    python examples/galaxy_zoo_recipe.py labels.csv runs --finished --side validation

Each run is an experiment: the recipe of galaxy_zoo.toml, trained in its own folder, with the settings in its
card. The five seeds have a split each, so that together they are tested on more galaxies, mergers above all.
Each change of a setting is trained with seeds 0 and 1, and compared with the recipe on the same galaxies.
Answers are those of `galcnn classify`: calibrated, of eight orientations. Repeat the command to resume an
interrupted run; --only trains one experiment, and --finished prints the tables of the finished ones. Settings
are chosen by the validation galaxies (--side validation).
"""

import argparse
from functools import cache
from pathlib import Path

import numpy as np

from galcnn import Experiment, Prediction, load_model, train
from galcnn._runtime.progress import bars
from galcnn.evaluation import bootstrap
from galcnn.experiment import read_data, read_settings
from galcnn.prediction import predict_images
from galcnn.prediction.calibration import calibration_of
from galcnn.prediction.priors import prior_of

RECIPE = Path(__file__).with_name("galaxy_zoo.toml")
PRIORS = ("catalog", "sqrt", "uniform")
SEEDS = {f"seed-{seed}": {"seed": seed} for seed in range(5)}
CHANGES = {
    "30 epochs": {"training": {"epochs": 30}},
    "asinh stretch": {"data": {"stretch": "asinh"}},
    "4 x 4 cells": {"network": {"poolings": 3}},
    "three blocks": {"network": {"widths": [24, 48, 96]}},
    "residual": {"network": {"residual": True}},
    "no label smoothing": {"training": {"label_smoothing": 0.0}},
    "without augmentation": {"training": {"augmentation": {"flips": False, "rotations": "none"}}},
    "without batch norm": {"network": {"normalization": "none"}},
    "without the central field": {"network": {"field": 1.0}},
    "without dropout": {"network": {"dropout": 0.0}},
    "with weights of classes": {"training": {"balance": "sqrt-weights"}},
}


def laid_over(below: dict, above: dict) -> dict:
    nested = {name: laid_over(below.get(name, {}), v) for name, v in above.items() if isinstance(v, dict)}
    return below | above | nested


def experiment(changes: dict) -> Experiment:
    """The recipe with some settings changed."""
    recipe = laid_over(read_settings(RECIPE), {"data": {"catalog": arguments.labels}})
    return Experiment.from_dict(laid_over(recipe, changes))


def folder(name: str) -> Path:
    return arguments.runs / name.replace(", ", "-").replace(" ", "-")


@cache
def galaxies(seed: int):
    """Galaxies of the chosen side of the split of a seed."""
    return read_data(experiment({"seed": seed})).sides[arguments.side]


@cache
def answered(name: str, orientations: int | None = None) -> dict[str, np.ndarray]:
    """Galaxies of one run, their true classes, and those that it predicts under each prior."""
    trained = load_model(folder(name))
    side = galaxies(trained.card.settings["seed"])
    model = trained.with_orientations(orientations).model
    prediction = Prediction(side.ids, predict_images(model, side.images), trained.classes)
    calibration = calibration_of(trained)
    if calibration is not None:
        prediction = calibration.apply(prediction)
    found = {
        prior: prediction.with_prior(prior_of(prior, trained), trained.card.trained_prior).best
        for prior in PRIORS
    }
    found |= {"galaxy": side.ids, "true": np.array(trained.classes)[side.labels]}
    return {which: np.array(values) for which, values in found.items()}


def figures(true: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Accuracy, balanced accuracy, and the completeness of each class."""
    recalls = [np.mean(said[true == kind] == kind) for kind in np.unique(true)]
    return np.array([np.mean(true == said), np.mean(recalls), *recalls])


def row(name: str, run: dict[str, np.ndarray]) -> str:
    """Accuracy and balanced accuracy under each prior, and recalls under that of the catalog."""
    scores = [figures(run["true"], run[prior]) for prior in PRIORS]
    told = "".join(f"  {score[0]:.3f} {score[1]:.3f}" for score in scores)
    return f"{name:<35}{told}   " + " ".join(f"{recall:.2f}" for recall in scores[0][2:])


def interval(measure, runs: list[dict[str, np.ndarray]]) -> str:
    """Two figures with their 95 % bootstrap intervals over galaxies, stratified by class.

    A galaxy may be in several runs: it is then drawn for all of them at once.
    """
    ids, first, of = np.unique(
        np.concatenate([run["galaxy"] for run in runs]), return_index=True, return_inverse=True
    )
    kinds = np.concatenate([run["true"] for run in runs])[first]
    ends = np.cumsum([len(run["galaxy"]) for run in runs])
    starts = [0, *ends[:-1]]

    def drawn(chosen: np.ndarray) -> np.ndarray:
        times = np.bincount(chosen, minlength=len(ids))[of]
        rows = [np.repeat(np.arange(a, b) - a, times[a:b]) for a, b in zip(starts, ends, strict=True)]
        return measure(rows)

    found = bootstrap(drawn, np.unique(kinds, return_inverse=True)[1], n_bootstrap=1000)
    return "   ".join(
        f"{value:6.3f} [{low:.3f}, {high:.3f}]" for value, low, high in zip(*found, strict=True)
    )


def mean(rows: list[np.ndarray], runs: list[dict[str, np.ndarray]], prior: str) -> np.ndarray:
    """Mean accuracy and balanced accuracy over runs, of these rows of each."""
    each = [figures(run["true"][i], run[prior][i])[:2] for i, run in zip(rows, runs, strict=True)]
    return np.mean(each, axis=0)


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("labels")
parser.add_argument("runs", type=Path)
parser.add_argument("--side", choices=["validation", "test"], default="test")
which = parser.add_mutually_exclusive_group()
which.add_argument("--only", metavar="RUN", help="train this one, and print nothing")
which.add_argument("--finished", action="store_true", help="train nothing")
arguments = parser.parse_args()
changed = {f"{name}, seed-{seed}": what | {"seed": seed} for name, what in CHANGES.items() for seed in (0, 1)}
runs = SEEDS | changed
for name in () if arguments.finished else [arguments.only] if arguments.only else runs:
    if not (folder(name) / "card.json").exists():
        train(experiment(runs[name]), folder(name), progress=bars)
if arguments.only:
    raise SystemExit

done = {name: answered(name) for name in runs if (folder(name) / "card.json").exists()}
seeds = [name for name in SEEDS if name in done]
print(f"{arguments.side + ' galaxies':<35}" + "".join(f"  {prior:<11}" for prior in PRIORS) + "   recall of")
print(f"{'accuracy, balanced':<35}" + " " * 39 + "   " + " ".join(np.unique(done[seeds[0]]["true"])))
for name, run in done.items():
    print(row(name, run))

ours = [done[name] for name in seeds]
print(f"\n{f'mean of {len(seeds)} seeds':<35}{'accuracy':<27}balanced accuracy          over seeds")
for prior in PRIORS:
    each = [figures(run["true"], run[prior])[:2] for run in ours]
    spread = np.std(each, axis=0, ddof=min(1, len(ours) - 1))
    told = interval(lambda rows, prior=prior: mean(rows, ours, prior), ours)
    print(f"--prior {prior:<27}{told}   +- {spread[0]:.3f}, {spread[1]:.3f}")

print(f"\n{'minus the same seeds, catalog':<35}{'accuracy':<27}balanced accuracy")
pairs = {"of one orientation": [(done[name], answered(name, 1)) for name in seeds]}
for change in CHANGES:
    both = [(done[seed], done[f"{change}, {seed}"]) for seed in seeds if f"{change}, {seed}" in done]
    pairs |= {change: both} if both else {}
for change, both in pairs.items():
    base, other = map(list, zip(*both, strict=True))
    told = interval(
        lambda rows, base=base, other=other: mean(rows, other, "catalog") - mean(rows, base, "catalog"), base
    )
    print(f"{change:<35}{told}")
