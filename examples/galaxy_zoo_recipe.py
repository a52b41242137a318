"""The recipe for Galaxy Zoo 1: five seeds, and the effect of each part of it.

    python examples/galaxy_zoo_recipe.py labels.csv runs
    python examples/galaxy_zoo_recipe.py labels.csv runs --only seed-3
    python examples/galaxy_zoo_recipe.py labels.csv runs --finished

Each row of the tables is an experiment: the recipe of galaxy_zoo.toml with some settings changed, trained
in its own folder, with the settings in its card. Repeat the command to resume an interrupted run; --only
trains one experiment, and --finished prints the tables of the finished ones. All experiments but split-1 use
the same split, so that differences from the mean of the seeds are paired by galaxy. The test galaxies of
split-1 were not used for any choice.
"""

import argparse
from pathlib import Path

import numpy as np
from astropy.table import Table

from galcnn import Experiment, load_model, train
from galcnn._runtime.progress import bars
from galcnn.evaluation import bootstrap
from galcnn.experiment import read_data, read_settings
from galcnn.prediction import predict_images

RECIPE = Path(__file__).with_name("galaxy_zoo.toml")
SEEDS = {f"seed-{seed}": {"seed": seed} for seed in range(5)}
SPLIT = {"split-1": {"seed": 1, "data": {"split_seed": 1}}}
WITHOUT = {
    "without augmentation": {"training": {"augmentation": {"flips": False, "rotations": "none"}}},
    "without batch norm": {"network": {"normalization": "none"}},
    "without label smoothing": {"training": {"label_smoothing": 0.0}},
    "without the central field": {"network": {"field": 1.0}},
    "without standardisation": {"data": {"scaling": "none"}},
    "without dropout": {"network": {"dropout": 0.0}},
    "with weights of classes": {"training": {"balance": "sqrt-weights"}},
}


def laid_over(below: dict, above: dict) -> dict:
    nested = {name: laid_over(below.get(name, {}), v) for name, v in above.items() if isinstance(v, dict)}
    return below | above | nested


def experiment(labels: str, changes: dict) -> Experiment:
    """The recipe with some settings changed."""
    recipe = laid_over(read_settings(RECIPE), {"data": {"catalog": labels, "split_seed": 0}})
    return Experiment.from_dict(laid_over(recipe, changes))


def folder(name: str) -> Path:
    return arguments.runs / name.replace(" ", "-")


def tested(name: str) -> tuple[np.ndarray, np.ndarray]:
    """True and predicted class of the test galaxies of one run."""
    table = Table.read(folder(name) / "test.ecsv")
    return np.array(table["true_class"]), np.array(table["class"])


def of_single_orientations(name: str) -> np.ndarray:
    """Predicted classes of the test galaxies without averaging over orientations."""
    prepared = read_data(experiment(arguments.labels, runs[name]))
    model, test = prepared.new_model(), prepared.sides["test"]
    model.set_weights(load_model(folder(name)).model.get_weights())
    return np.array(test.classes)[predict_images(model, test.images).argmax(axis=1)]


def figures(true: np.ndarray, said: np.ndarray) -> np.ndarray:
    """Accuracy, balanced accuracy, and the completeness of each class."""
    recalls = [np.mean(said[true == kind] == kind) for kind in np.unique(true)]
    return np.array([np.mean(true == said), np.mean(recalls), *recalls])


def row(name: str, values: np.ndarray) -> str:
    return f"{name:<28}{values[0]:10.3f}{values[1]:10.3f}" + "".join(f"{value:12.2f}" for value in values[2:])


def interval(measure, true: np.ndarray) -> str:
    """Two figures with their 95 % bootstrap intervals over galaxies, stratified by class."""
    found = bootstrap(measure, np.unique(true, return_inverse=True)[1], n_bootstrap=1000)
    return "   ".join(
        f"{value:6.3f} [{low:.3f}, {high:.3f}]" for value, low, high in zip(*found, strict=True)
    )


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("labels")
parser.add_argument("runs", type=Path)
which = parser.add_mutually_exclusive_group()
which.add_argument("--only", metavar="RUN", help="train this one, and print nothing")
which.add_argument("--finished", action="store_true", help="train nothing")
arguments = parser.parse_args()
runs = SEEDS | SPLIT | WITHOUT
for name in () if arguments.finished else [arguments.only] if arguments.only else runs:
    if not (folder(name) / "card.json").exists():
        train(experiment(arguments.labels, runs[name]), folder(name), progress=bars)
if arguments.only:
    raise SystemExit

done = {name: tested(name) for name in runs if (folder(name) / "card.json").exists()}
kinds = np.unique(done["seed-0"][0])
print(f"{'test set':<28}{'accuracy':>10}{'balanced':>10}" + "".join(f"{kind:>12}" for kind in kinds))
for name, (true, said) in done.items():
    print(row(name, figures(true, said)))
true = done["seed-0"][0]
seeds = [name for name in SEEDS if name in done]
answers = [done[name][1] for name in seeds]
spread = np.array([figures(true, said) for said in answers])
print(row(f"{len(answers)} seeds: mean", spread.mean(axis=0)))
print(row("   standard deviation", spread.std(axis=0, ddof=1)))


def mean(rows: np.ndarray, answers: list[np.ndarray] = answers) -> np.ndarray:
    """Mean accuracy and balanced accuracy over trainings."""
    return np.mean([figures(true[rows], said[rows])[:2] for said in answers], axis=0)


print(f"   mean, over galaxies      {interval(mean, true)}")

print(f"\n{'minus that mean':<28}{'accuracy':<27}balanced accuracy")
changed = {"without averaging": [of_single_orientations(name) for name in seeds]}
changed |= {name: [done[name][1]] for name in WITHOUT if name in done}
for name, others in changed.items():
    print(f"{name:<28}{interval(lambda rows, others=others: mean(rows, others) - mean(rows), true)}")
