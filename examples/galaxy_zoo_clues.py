"""Which information outside the galaxy does a Galaxy Zoo network use, and which could a retrained one use?

    python examples/galaxy_zoo_clues.py MODEL labels.csv [galaxies of a class]

Uses spirals and ellipticals of the model's test set. Three tests, with 95 % bootstrap intervals:

1. Neighbours are replaced by sky pixels, and for comparison as many sky pixels by others. How many
   predictions change?
2. Every galaxy is replaced by the same disc of sky. Can its class be predicted from the rest of the
   image, by the network, or by a new head trained on its features? The latter shows what a retrained
   network could use. Then more information is removed: neighbours; texture (only the values of sky pixels
   remain, in random order); values (each band is scaled to the same level and noise).
3. Every galaxy is pasted on the background of another galaxy of its own class, or of the other class.
   How many predictions change?
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from galaxy_zoo_where import interval, sample
from scipy.stats import rankdata

from galcnn import Cutout, TrainedModel, predict
from galcnn.evaluation import Regions
from galcnn.explain import activations
from galcnn.model import feature_maps, images_from, looked_at

rng = np.random.default_rng(1)


def painted(cutout: Cutout, there: np.ndarray, sky: np.ndarray) -> Cutout:
    """Replace pixels by random sky pixels, all bands of a pixel together to preserve the colours."""
    flux = cutout.flux.copy()
    taken = rng.choice(np.flatnonzero(sky), int(there.sum()))
    flux[:, there] = cutout.flux.reshape(len(flux), -1)[:, taken]
    return replace(cutout, flux=flux)


def levelled(cutout: Cutout) -> Cutout:
    """Scale every band to the same level and noise."""
    level, noise = (f(cutout.flux, axis=(1, 2), keepdims=True) for f in (np.mean, np.std))
    return replace(cutout, flux=(cutout.flux - level) / noise * 3 + 8)


def auc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: probability that a positive has a higher score than a negative."""
    ranks, n = rankdata(score), positive.sum()
    return (ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n))


def features(trained: TrainedModel, images: list[Cutout]) -> np.ndarray:
    """Input of the classification head: the mean of each of the last feature maps."""
    layer = feature_maps(trained.network).name
    seen = np.asarray(trained.preprocessing(images_from(images), training=False))
    return activations(trained.network, seen, layers=[layer])[layer].mean(axis=(1, 2))


def new_head(x: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Ridge regression of the class on features, with tenfold cross-validation."""
    x = np.c_[(x - x.mean(axis=0)) / (x.std(axis=0) + 1e-6), np.ones(len(x))]
    tenth, score = rng.permutation(len(x)) % 10, np.zeros(len(x))
    for k in range(10):
        own, rest = x[tenth == k], x[tenth != k]
        score[tenth == k] = own @ np.linalg.solve(
            rest.T @ rest + 30 * np.eye(x.shape[1]), rest.T @ (2.0 * truth[tenth != k] - 1)
        )
    return score


def neighbours(
    trained: TrainedModel, cutouts: list[Cutout], regions: list[Regions], seen: np.ndarray
) -> None:
    crowded = [k for k, parts in enumerate(regions) if (parts.neighbours & seen).sum() >= 20]
    before = predict(trained, [cutouts[k] for k in crowded])
    print(f"{seen.mean():.0%} of a picture in sight; {len(crowded)} galaxies with neighbours there:")
    print("answers that change, by how much probabilities move")
    for name in ("neighbours", "as much sky"):
        changed = []
        for k in crowded:
            parts = regions[k]
            there = parts.neighbours & seen
            if name == "as much sky":
                chosen = rng.permutation(np.flatnonzero(parts.sky & seen))[: there.sum()]
                there = np.zeros_like(seen)
                there.flat[chosen] = True
            changed.append(painted(cutouts[k], there, parts.sky))
        after = predict(trained, changed)
        flips = (np.array(before.best) != np.array(after.best)).astype(float)
        moved = np.abs(after.probabilities - before.probabilities).max(axis=1)
        print(f"  painted over {name:<15}{interval(np.mean, flips)}   {interval(np.mean, moved)}", flush=True)


def main(folder: Path, labels: Path, number: int) -> None:
    trained, cutouts, regions, classes = sample(folder, labels, number, ("spiral", "elliptical"))
    seen = looked_at(trained.network, trained.card.inputs.shape)
    neighbours(trained, cutouts, regions, seen)

    y, x = np.indices(regions[0].sky.shape)
    distance = np.hypot(y - y.max() / 2, x - x.max() / 2)
    reach = np.array([distance[parts.galaxy].max() for parts in regions])
    disc = distance <= np.percentile(reach, 90)
    kept = [k for k in range(len(cutouts)) if not (regions[k].galaxy & ~disc).any()]
    spiral, everywhere = classes[kept] == "spiral", np.ones_like(disc)
    left = {"the whole image": [cutouts[k] for k in kept]}
    left["its background"] = [painted(cutouts[k], disc, regions[k].sky & ~disc) for k in kept]
    left["without neighbours"] = [
        painted(one, regions[k].neighbours, regions[k].sky & ~disc)
        for one, k in zip(left["its background"], kept, strict=True)
    ]
    left["values of its sky"] = [painted(cutouts[k], everywhere, regions[k].sky & ~disc) for k in kept]
    left["texture of its sky"] = [levelled(one) for one in left["without neighbours"]]
    left["neither (control)"] = [levelled(one) for one in left["values of its sky"]]
    print(f"\nspiral or elliptical? {len(kept)} galaxies, AUC (0.5 is chance), ", end="")
    print(f"{disc.mean():.0%} of the picture painted over, {disc[seen].mean():.0%} of what is in sight")
    print(f"  {'seen':<22}{'the network':<20}a new head")
    order = [trained.classes.index(name) for name in ("spiral", "elliptical")]
    for name, images in left.items():
        margin = predict(trained, images).logits[:, order] @ [1.0, -1.0]
        head = new_head(features(trained, images), spiral)
        print(f"  {name:<22}{interval(auc, margin, spiral):<20}{interval(auc, head, spiral)}", flush=True)

    noise = np.array([cutouts[k].flux[:, regions[k].sky].std() for k in kept])
    print(f"  {'noise of its sky':<22}one number alone: {interval(auc, -noise, spiral)};", end="")
    print(f" {noise[spiral].mean():.1f} around spirals, {noise[~spiral].mean():.1f} around ellipticals")

    def pasted(row: int, other: int) -> Cutout:
        there, flux = regions[kept[row]].galaxy, left["its background"][other].flux.copy()
        flux[:, there] = cutouts[kept[row]].flux[:, there]
        return replace(cutouts[kept[row]], flux=flux)

    own = predict(trained, [pasted(k, k) for k in range(len(kept))])
    print("\npasted on the background of another: answers that change, by how much spiral - elliptical moves")
    for name in ("of its own class", "of the other class"):
        changed = []
        for k in range(len(kept)):
            alike = (spiral == spiral[k]) == (name == "of its own class")
            changed.append(pasted(k, int(rng.choice(np.flatnonzero(alike & (np.arange(len(kept)) != k))))))
        after = predict(trained, changed)
        flips = (np.array(own.best) != np.array(after.best)).astype(float)
        towards = (after.logits - own.logits)[:, order] @ [1.0, -1.0] * np.where(spiral, -1, 1)
        print(f"  {name:<20}{interval(np.mean, flips)}   {interval(np.mean, towards)} to the other class")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 100)
