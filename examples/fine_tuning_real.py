"""What fine-tuning gains on real galaxies: from scratch, from random frozen features, from a vote network.

    python examples/fine_tuning_real.py gz1 gz1/labels.csv --votes VOTES --votes-catalog gz2/labels.csv \\
        --out runs
    python examples/fine_tuning_real.py gz1 gz1/labels.csv ... --labels 50,100,200,500,1000,2000
    python examples/fine_tuning_real.py rings gz2/labels.csv --votes VOTES --out runs

VOTES is a model of vote fractions, such as that of examples/galaxy_zoo_votes.toml.

`gz1`: spirals of Galaxy Zoo 1 against the rest, in their natural frequency. Test galaxies with a near
duplicate among the pictures of the vote network are left out. `rings`: galaxies of Galaxy Zoo 2 with more
than a tenth of votes for a ring against those with none, half and half; galaxies are tested only if the vote
network was not trained on them. Each split draws the labels anew. A run that stands is not repeated, and the
table of the finished ones is printed: the area under the ROC curve (AUC) with 95 % bootstrap intervals over
test galaxies, and the gain over scratch, paired by galaxy.
"""

import argparse
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from astropy.table import Table
from sklearn.metrics import roc_auc_score

from galcnn import load_model, read_catalog, save_model, train
from galcnn._runtime import seeding
from galcnn.dataset import Dataset, read_dataset
from galcnn.dataset.leakage import near_duplicates
from galcnn.experiment import galaxies_of
from galcnn.model import TrainedModel, assemble

#: Share of votes for a ring above which a galaxy counts as one; fewer than a hundredth: as none.
RING, NONE = 0.1, 0.01
#: Number of test galaxies of gz1.
N_TEST = 600
VARIANTS = {
    "scratch": None,
    "random frozen": {"freeze": "all"},
    "votes frozen": {"freeze": "all"},
    "votes fine-tuned": {"head_epochs": 5},
}
TRAINING = {"epochs": 30, "batch_size": 16, "label_smoothing": 0.0}


def random_parent(votes, folder):
    """The vote network with new weights: the same layers, nothing learned."""
    if not (folder / "card.json").exists():
        import keras

        network = keras.models.clone_model(votes.network)
        preprocessing = keras.models.clone_model(votes.preprocessing)
        preprocessing.set_weights(votes.preprocessing.get_weights())
        save_model(TrainedModel(assemble(preprocessing, network), replace(votes.card, name="random")), folder)
    return folder


def pool(asked, votes):
    """Galaxies with the classes `positive` and `other`, and which may be tested."""
    if asked.task == "gz1":
        table = Table.read(asked.catalog)
        found = Table({"id": [str(one) for one in table["objid"]], "image": table["file"]})
        found["class"] = np.where(table["coarse"] == "spiral", "positive", "other")
        found["tested"] = ~np.isin(found["id"], copies(asked, found))
    else:
        seen = set(galaxies_of(votes.card, asked.catalog, split="train").ids)
        table = Table.read(asked.catalog)
        share = np.asarray(table["Class8.1"], float)
        kept = (share > RING) | (share < NONE)
        found = Table({"id": table["GalaxyID"][kept].astype(str), "image": table["file"][kept]})
        found["class"] = np.where(share[kept] > RING, "positive", "other")
        found["tested"] = ~np.isin(found["id"], list(seen))
    found["image"] = [str(Path(asked.catalog).resolve().parent / file) for file in found["image"]]
    return found


def copies(asked, table):
    """Ids of pictures with a near duplicate among those of the vote network."""
    kept = asked.out / "copies.txt"
    if not kept.exists():
        mine = Table({"id": table["id"], "class": table["class"]})
        folder = Path(asked.catalog).resolve().parent
        mine["image"] = [str(folder / file) for file in table["image"]]
        theirs = Table.read(asked.votes_catalog)
        other = Path(asked.votes_catalog).resolve().parent
        theirs = Table(
            {"id": theirs["GalaxyID"].astype(str), "image": [str(other / f) for f in theirs["file"]]}
        )
        theirs["class"] = np.where(np.arange(len(theirs)) % 2, "a", "b")
        sides: dict[str, Dataset] = {
            name: read_dataset(read_catalog(one), size=48) for name, one in (("gz1", mine), ("gz2", theirs))
        }
        pairs = near_duplicates(sides)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text("\n".join(sorted({pair.id for pair in pairs})))
    return kept.read_text().split()


def drawn(asked, found, n, split):
    """A catalog of n labels, a fifth of them for validation, and test galaxies."""
    order = seeding.generator(split, "fine-tuning", asked.task).permutation(len(found))
    found = found[order]
    if asked.task == "rings":  # half and half
        names, tested = ("positive", "other"), found["tested"]
        labels = [row for name in names for row in found[~tested & (found["class"] == name)][: n // 2]]
        sides = [found[tested & (found["class"] == name)] for name in names]
        test = [row for side in sides for row in side[: min(map(len, sides))]]
    else:
        test = list(found[np.flatnonzero(found["tested"])[-N_TEST:]])
        held = {row["id"] for row in test}
        labels = [row for row in found if row["id"] not in held][:n]
    parts = [*("validation" if i % 5 == 0 else "train" for i in range(len(labels))), *["test"] * len(test)]
    rows = [*labels, *test]
    table = Table({name: [row[name] for row in rows] for name in ("id", "image", "class")})
    # Every class in each part: the labels are sorted by class first.
    first = np.argsort(table["class"][: len(labels)], kind="stable")
    table["split"] = np.array(parts)
    table["split"][first] = parts[: len(labels)]
    return table


def run(asked, votes, found, variant, n, split):
    """Train one variant on one split; return its test table."""
    out = asked.out / f"{asked.task}-{n}-{split}-{variant.replace(' ', '-')}"
    if not (out / "test.ecsv").exists():
        table = drawn(asked, found, n, split)
        settings = {"seed": split, "training": TRAINING, "calibration": {"enabled": False}}
        settings["data"] = {"size": votes.card.inputs.shape[0]}
        if VARIANTS[variant] is not None:
            parent = random_parent(votes, asked.out / "random") if "random" in variant else asked.votes
            settings["start"] = {"model": str(parent), **VARIANTS[variant]}
        train(read_catalog(table), out, settings=settings)
    return Table.read(out / "test.ecsv")


def auc(rows, tables):
    """Mean AUC over splits, of resampled rows of each."""
    return np.mean(
        [
            roc_auc_score(one["true_class"][i] == "positive", one["p_positive"][i])
            for i, one in zip(rows, tables, strict=True)
        ]
    )


def interval(statistic, tables, n=500):
    """95 % bootstrap interval over test galaxies, within each class of each split."""
    rng = np.random.default_rng(0)

    def resampled(table):
        sides = [np.flatnonzero(np.asarray(table["true_class"]) == name) for name in ("positive", "other")]
        return np.concatenate([rng.choice(side, len(side)) for side in sides])

    values = [statistic([resampled(one) for one in tables]) for _ in range(n)]
    return np.quantile(values, [0.025, 0.975])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["gz1", "rings"])
    parser.add_argument("catalog")
    parser.add_argument("--votes", required=True, help="model of the votes of Galaxy Zoo 2")
    parser.add_argument("--votes-catalog")
    parser.add_argument("--labels", default=None)
    parser.add_argument("--splits", type=int, default=None)
    parser.add_argument("--finished", action="store_true", help="print the finished runs, train none")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    numbers = [int(one) for one in (asked.labels or ("200" if asked.task == "gz1" else "240")).split(",")]
    splits = range(asked.splits or (3 if asked.task == "gz1" else 5))
    votes = load_model(asked.votes)
    found = pool(asked, votes)
    counts = {name: int(np.sum(found["class"] == name)) for name in ("positive", "other")}
    print(
        f"{asked.task}: {counts}, {int(np.sum(~found['tested']))} that the vote network knows are not tested"
    )
    for n in numbers:
        done = {}
        for split in splits:
            for variant in VARIANTS:
                out = asked.out / f"{asked.task}-{n}-{split}-{variant.replace(' ', '-')}"
                if not asked.finished or (out / "test.ecsv").exists():
                    done[variant, split] = run(asked, votes, found, variant, n, split)
        print(f"{n} labels")
        for variant in VARIANTS:
            there = [split for split in splits if (variant, split) in done]
            if not there:
                continue
            tables = [done[variant, split] for split in there]
            each = [auc([slice(None)], [one]) for one in tables]
            low, high = interval(partial(auc, tables=tables), tables)
            told = f"  {variant:<18} AUC {np.mean(each):.3f} [{low:.3f}, {high:.3f}], splits "
            told += ", ".join(f"{one:.3f}" for one in each)
            both = [split for split in there if ("scratch", split) in done]
            if variant != "scratch" and both:
                mine, base = ([done[name, split] for split in both] for name in (variant, "scratch"))
                gain = auc([slice(None)] * len(both), mine) - auc([slice(None)] * len(both), base)
                ends = interval(lambda rows, a=mine, b=base: auc(rows, a) - auc(rows, b), mine)
                told += f"; minus scratch {gain:+.3f} [{ends[0]:+.3f}, {ends[1]:+.3f}]"
            print(told)


if __name__ == "__main__":
    main()
