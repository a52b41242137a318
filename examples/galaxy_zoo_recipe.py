"""The default recipe on Galaxy Zoo 1: several seeds, and the effect of each part of it.

    python examples/galaxy_zoo_recipe.py labels.csv runs
    python examples/galaxy_zoo_recipe.py labels.csv runs --only seed-3
    python examples/galaxy_zoo_recipe.py labels.csv runs --finished
    python examples/galaxy_zoo_recipe.py labels.csv runs --finished --side validation

Each row of the tables is an experiment: the recipe of galaxy_zoo.toml with some settings changed, trained
in its own folder, with the settings in its card. Repeat the command to resume an interrupted run; --only
trains one experiment, and --finished prints the tables of the finished ones. All experiments but split-1 use
the same split, so that differences from the mean of the seeds are paired by galaxy. Settings are chosen by
the validation galaxies (--side validation); the test galaxies of split-1 were not used for any choice.
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
from galcnn.prediction.priors import prior_of

RECIPE = Path(__file__).with_name("galaxy_zoo.toml")
PRIORS = ("catalog", "sqrt", "uniform")
SEEDS = {f"seed-{seed}": {"seed": seed} for seed in range(5)}
SPLIT = {"split-1": {"seed": 1, "data": {"split_seed": 1}}}
CHANGES = {
    "4 x 4 cells": {"network": {"poolings": 3}},
    "three blocks": {"network": {"widths": [24, 48, 96]}},
    "residual": {"network": {"residual": True}},
    "45 epochs": {"training": {"epochs": 45}},
    "no label smoothing": {"training": {"label_smoothing": 0.0}},
    "more zoom, shifts": {"training": {"augmentation": {"zoom": 0.2, "shift": 4}}},
    "without augmentation": {"training": {"augmentation": {"flips": False, "rotations": "none"}}},
    "without batch norm": {"network": {"normalization": "none"}},
    "without the central field": {"network": {"field": 1.0}},
    "without standardisation": {"data": {"scaling": "none"}},
    "without dropout": {"network": {"dropout": 0.0}},
    "with weights of classes": {"training": {"balance": "sqrt-weights"}},
}


def laid_over(below: dict, above: dict) -> dict:
    nested = {name: laid_over(below.get(name, {}), v) for name, v in above.items() if isinstance(v, dict)}
    return below | above | nested


def experiment(changes: dict) -> Experiment:
    """The recipe with some settings changed."""
    recipe = laid_over(read_settings(RECIPE), {"data": {"catalog": arguments.labels, "split_seed": 0}})
    return Experiment.from_dict(laid_over(recipe, changes))


def folder(name: str) -> Path:
    return arguments.runs / name.replace(", ", "-").replace(" ", "-")


@cache
def galaxies(split_seed: int):
    """Galaxies of the chosen side of a split."""
    return read_data(experiment({"data": {"split_seed": split_seed}})).sides[arguments.side]


def answered(name: str, orientations: int | None = None) -> dict[str, np.ndarray]:
    """Classes that one run predicts under each prior, and the true ones."""
    trained = load_model(folder(name)).with_orientations(orientations)
    side = galaxies(trained.card.settings["data"]["split_seed"])
    prediction = Prediction(side.ids, predict_images(trained.model, side.images), trained.classes)
    found = {
        prior: prediction.with_prior(prior_of(prior, trained), trained.card.trained_prior).best
        for prior in PRIORS
    }
    found["true"] = np.array(trained.classes)[side.labels]
    return {which: np.array(classes) for which, classes in found.items()}


def figures(true: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Accuracy, balanced accuracy, and the completeness of each class."""
    recalls = [np.mean(said[true == kind] == kind) for kind in np.unique(true)]
    return np.array([np.mean(true == said), np.mean(recalls), *recalls])


def row(name: str, run: dict[str, np.ndarray]) -> str:
    """Accuracy and balanced accuracy under each prior, and recalls under that of the catalog."""
    scores = [figures(run["true"], run[prior]) for prior in PRIORS]
    told = "".join(f"  {score[0]:.3f} {score[1]:.3f}" for score in scores)
    return f"{name:<26}{told}   " + " ".join(f"{recall:.2f}" for recall in scores[0][2:])


def interval(measure, true: np.ndarray) -> str:
    """Two figures with their 95 % bootstrap intervals over galaxies, stratified by class."""
    found = bootstrap(measure, np.unique(true, return_inverse=True)[1], n_bootstrap=1000)
    return "   ".join(
        f"{value:6.3f} [{low:.3f}, {high:.3f}]" for value, low, high in zip(*found, strict=True)
    )


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("labels")
parser.add_argument("runs", type=Path)
parser.add_argument("--side", choices=["validation", "test"], default="test")
which = parser.add_mutually_exclusive_group()
which.add_argument("--only", metavar="RUN", help="train this one, and print nothing")
which.add_argument("--finished", action="store_true", help="train nothing")
arguments = parser.parse_args()
runs = SEEDS | SPLIT | CHANGES
for name in () if arguments.finished else [arguments.only] if arguments.only else runs:
    if not (folder(name) / "card.json").exists():
        train(experiment(runs[name]), folder(name), progress=bars)
if arguments.only:
    raise SystemExit

done = {name: answered(name) for name in runs if (folder(name) / "card.json").exists()}
seeds = [name for name in SEEDS if name in done]
true = done[seeds[0]]["true"]
print(f"{arguments.side + ' galaxies':<26}" + "".join(f"  {prior:<11}" for prior in PRIORS) + "   recall of")
print(f"{'accuracy, balanced':<26}" + " " * 39 + "   " + " ".join(np.unique(true)))
for name, run in done.items():
    print(row(name, run))


def mean(rows: np.ndarray, prior: str, those: list[dict[str, np.ndarray]]) -> np.ndarray:
    """Mean accuracy and balanced accuracy over trainings."""
    return np.mean([figures(true[rows], run[prior][rows])[:2] for run in those], axis=0)


ours = [done[name] for name in seeds]
print(f"\n{f'mean of {len(seeds)} seeds':<26}{'accuracy':<27}balanced accuracy          over seeds")
for prior in PRIORS:
    spread = np.std([figures(true, run[prior])[:2] for run in ours], axis=0, ddof=min(1, len(ours) - 1))
    told = interval(lambda rows, prior=prior: mean(rows, prior, ours), true)
    print(f"--prior {prior:<18}{told}   +- {spread[0]:.3f}, {spread[1]:.3f}")

print(f"\n{'minus that mean, catalog':<26}{'accuracy':<27}balanced accuracy")
changed = {"of one orientation": [answered(name, 1) for name in seeds]}
changed |= {name: [done[name]] for name in CHANGES if name in done}
for name, others in changed.items():
    told = interval(
        lambda rows, others=others: mean(rows, "catalog", others) - mean(rows, "catalog", ours), true
    )
    print(f"{name:<26}{told}")
