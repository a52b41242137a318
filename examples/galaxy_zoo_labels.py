"""Active learning on Galaxy Zoo, and the purity of the nearest neighbours of a galaxy.

galcnn classify model --catalog labels.csv --image-column file --id objid --embeddings --out run
python examples/galaxy_zoo_labels.py run model/test.ecsv

Uses only galaxies of the network's test set, also for the search of neighbours. The learning curves are for
a logistic regression on fixed features, the standardised embeddings of the network, trained on the galaxies
labelled so far; the next galaxies are chosen by its uncertainty. For each seed, the galaxies are split at
random into a pool and a test set of equal size, and the score is the balanced accuracy on the latter. The
curves therefore show the benefit of chosen labels for the last layer of a network trained on such galaxies,
not for a training from scratch.
"""

import sys
import warnings
from dataclasses import replace

import numpy as np
from astropy.table import Table
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neighbors import NearestNeighbors

from galcnn.pipeline import label_next, read_embedded

warnings.filterwarnings("ignore", category=ConvergenceWarning)
SEEDS, BEGIN, STEP, ROUNDS = 10, 20, 20, 8
STRATEGIES = ("random", "entropy", "margin", "k-center", "diverse")

run, test_set = sys.argv[1:3]
known_class = {str(row["id"]): str(row["true_class"]) for row in Table.read(test_set)}
embedded = read_embedded(run)
labels = np.array([known_class.get(name, "") for name in embedded.ids])
keep = np.flatnonzero(embedded.usable & (labels != ""))


def interval(values):
    """Mean and its standard error over seeds."""
    return np.mean(values), np.std(values, ddof=1) / np.sqrt(len(values))


def among(rows, features):
    """Select galaxies by row."""
    return replace(
        embedded,
        ids=tuple(embedded.ids[i] for i in rows),
        features=features[rows],
        probabilities=embedded.probabilities[rows],
        flags=embedded.flags[rows],
    )


def neighbours(k=10, n_boot=1000):
    """Print the share of the k nearest neighbours with the same class, compared with chance, by class."""
    x = embedded.features[keep].astype(float)
    index = NearestNeighbors(n_neighbors=k + 1, metric="cosine", algorithm="brute").fit(x)
    places = np.concatenate([index.kneighbors(part, return_distance=False) for part in np.array_split(x, 20)])
    same = np.array(
        [
            np.mean(labels[keep[[j for j in row if j != i][:k]]] == labels[keep[i]])
            for i, row in enumerate(places)
        ]
    )
    rng = np.random.default_rng(0)
    print(f"precision@{k} of {len(keep)} galaxies, 95 % bootstrap over galaxies, and of a random pick:")
    for name in sorted(set(labels[keep])):
        values = same[labels[keep] == name]
        means = rng.choice(values, (n_boot, len(values))).mean(axis=1)
        chance = (np.sum(labels[keep] == name) - 1) / (len(keep) - 1)
        low, high = np.quantile(means, [0.025, 0.975])
        print(
            f"  {name:<14} {values.mean():.3f} [{low:.3f}, {high:.3f}]  chance {chance:.3f}  n={len(values)}"
        )


def curve(strategy, seed):
    """Balanced accuracy after each round; the probabilities of the head determine the next choice."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(keep)
    pool, test = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    x = embedded.features.astype(float)
    x = (x - x[keep].mean(axis=0)) / (x[keep].std(axis=0) + 1e-9)
    classes = sorted(set(labels[keep]))
    known = list(rng.permutation(pool)[:BEGIN])
    scores = []
    for round_ in range(ROUNDS + 1):
        head = LogisticRegression(C=0.1, max_iter=300).fit(x[known], labels[known])
        scores.append(balanced_accuracy_score(labels[test], head.predict(x[test])))
        if round_ == ROUNDS:
            return scores
        p = np.zeros((len(embedded), len(classes)))
        p[:, [classes.index(c) for c in head.classes_]] = head.predict_proba(x)
        now = replace(among(pool, x.astype(np.float32)), classes=tuple(classes), probabilities=p[pool])
        asked = label_next(
            now, STEP, strategy=strategy, labelled=[embedded.ids[i] for i in known], seed=100 * seed + round_
        )
        row_of = {name: i for i, name in zip(pool, now.ids, strict=True)}
        known += [row_of[str(name)] for name in asked["id"]]
    return scores


neighbours()
found = {name: np.array([curve(name, seed) for seed in range(SEEDS)]) for name in STRATEGIES}
print(f"\nbalanced accuracy by number of labels, mean of {SEEDS} seeds:")
print("  labels     " + " ".join(f"{BEGIN + STEP * k:>6}" for k in range(ROUNDS + 1)))
for name, scores in found.items():
    print(f"  {name:<10} " + " ".join(f"{value:6.3f}" for value in scores.mean(axis=0)))
print("\nmean over the curve less that of random, paired by seed (mean, standard error):")
for name in STRATEGIES[1:]:
    gain, error = interval(found[name][:, 1:].mean(axis=1) - found["random"][:, 1:].mean(axis=1))
    print(f"  {name:<10} {gain:+.3f} +- {error:.3f}")
