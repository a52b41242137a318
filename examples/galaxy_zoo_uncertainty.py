"""Uncertainty of networks of several seeds on Galaxy Zoo: calibration, sets, ensemble, warning.

First train the networks with different seeds on the same catalog and split:

    galcnn train examples/galaxy_zoo.toml --catalog labels.csv --seed 0 --out seed-0

Then run this script, which takes a few minutes:

    python examples/galaxy_zoo_uncertainty.py labels.csv seed-0 seed-1 seed-2 seed-3

Everything is fitted on the validation galaxies and measured on the test galaxies.
"""

import sys
from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter, zoom
from scipy.stats import rankdata

from galcnn.evaluation import exact_share
from galcnn.experiment import Experiment, read_data
from galcnn.model import load_model
from galcnn.model.bundle import with_embedding
from galcnn.prediction import Prediction
from galcnn.uncertainty import (
    Uncertainty,
    calibration_test,
    fit_calibration,
    fit_conformal,
    fit_out_of_distribution,
    image_measures,
)

#: Number of test galaxies for each kind of alteration.
ALTERED = 300


def of_mean(members, ids, classes):
    """Return the prediction with the mean probabilities of the members."""
    return Prediction(ids, np.log(np.maximum(Uncertainty(members).probabilities, 1e-37)), classes)


def altered(images):
    """Return altered images, which should give a warning, except for the original and rotated ones."""
    n, ny, nx, _ = images.shape
    rng = np.random.default_rng(0)

    def rescaled(factor):
        made = zoom(images, (1, factor, factor, 1), order=1)
        if factor > 1:
            y, x = (made.shape[1] - ny) // 2, (made.shape[2] - nx) // 2
            return made[:, y : y + ny, x : x + nx]
        y, x = (ny - made.shape[1]) // 2, (nx - made.shape[2]) // 2
        around = ((0, 0), (y, ny - y - made.shape[1]), (x, nx - x - made.shape[2]), (0, 0))
        return np.pad(made, around, mode="edge")

    noise = rng.normal(0, 20, images.shape)
    return {
        "as they are": images,
        "turned by 90 degrees": np.rot90(images, axes=(1, 2)),
        "blurred, sigma 2 pixels": gaussian_filter(images, (0, 2, 2, 0)),
        "blurred, sigma 6 pixels": gaussian_filter(images, (0, 6, 6, 0)),
        "twice as large": rescaled(2.0),
        "half as large": rescaled(0.5),
        "noise of 20 added": np.clip(images + noise, 0, 255),
        "noise alone": np.clip(rng.normal(60, 40, images.shape), 0, 255),
        "pixels shuffled": rng.permuted(images.reshape(n, -1, 3), axis=1).reshape(images.shape),
        "negative": 255 - images,
        "one band three times": np.repeat(images[..., :1], 3, axis=-1),
    }


def main(catalog, folders):
    models = [load_model(folder) for folder in folders]
    card = models[0].card
    experiment = Experiment.from_dict(card.settings)
    experiment = replace(experiment, data=replace(experiment.data, catalog=catalog))
    sides = read_data(experiment).sides
    labels = {name: [side.classes[k] for k in side.labels] for name, side in sides.items()}
    held, test = sides["validation"], sides["test"]
    rows, uncalibrated, calibrated, seen = [], [], [], {}

    def line(name, prediction):
        measured = calibration_test(prediction, labels["test"])
        right = np.array(prediction.best) == np.array(labels["test"])
        error, p = measured.error, measured.p_value
        rows.append(
            f"{name:<32} {error.value:.3f} [{error.low:.3f}, {error.high:.3f}]  "
            f"{measured.expected:.3f}  {p:.3f}  {right.mean():.3f}"
        )
        print(rows[-1], flush=True)

    head = f"calibration of {len(test)} test galaxies"
    print(f"{head:<32} error [95 %]          right  p      accuracy")
    for trained, folder in zip(models, folders, strict=True):
        answering = with_embedding(trained)
        predictions = {}
        for side in (held, test):
            logits, features = answering.predict(side.images[:], batch_size=256, verbose=0)
            predictions[side.ids] = Prediction(side.ids, logits, side.classes)
            seen.setdefault(side.ids, features)  # embeddings of the first model
        before, own = predictions[test.ids], predictions[held.ids]
        name = folder.rstrip("/").rpartition("/")[2]
        line(name, before)
        temperature = fit_calibration(own, labels["validation"])
        for kind, fitted in (
            (f"temperature {temperature.temperature:.2f}", temperature),
            ("vector", fit_calibration(own, labels["validation"], kind="vector")),
        ):
            line(f"  {kind}", fitted.apply(before))
        uncalibrated.append([one.probabilities for one in (own, before)])
        calibrated.append([temperature.apply(one).probabilities for one in (own, before)])
    if len(models) > 1:
        for name, members in (("ensemble", uncalibrated), ("ensemble of calibrated", calibrated)):
            own = of_mean(np.stack([one for one, _ in members]), held.ids, held.classes)
            mean = of_mean(np.stack([one for _, one in members]), test.ids, test.classes)
            line(name, mean)
            if members is uncalibrated:
                line("  temperature", fit_calibration(own, labels["validation"]).apply(mean))
        several = Uncertainty(np.stack([one[1] for one in calibrated]))
        wrong = np.array(mean.best) != np.array(labels["test"])
        print("\nwho is wrong: probability that a wrong answer has more of it than a right one")
        more = several.mutual_information
        for name, values in (("entropy", several.entropy), ("mutual information", more)):
            ranks = rankdata(values)
            n, m = wrong.sum(), (~wrong).sum()
            print(f"{name:<32} {(ranks[wrong].sum() - n * (n + 1) / 2) / (n * m):.3f}")
    classes, names = test.classes, labels
    aside, new = (
        Prediction(side.ids, np.log(np.maximum(p, 1e-37)), classes)
        for side, p in zip((held, test), calibrated[0], strict=True)
    )
    print(f"\nsets of {folders[0]} that are to hold the true class, on {len(test)} test galaxies")
    for rule, per_class in (("threshold", False), ("adaptive", False), ("threshold", True)):
        for coverage in (0.8, 0.9, 0.95):
            promise = {"coverage": coverage, "rule": rule, "per_class": per_class}
            found = fit_conformal(aside, names["validation"], **promise).check(new, names["test"])
            own = "  ".join(f"{c} {found[f'coverage_{c}'].value:.2f}" for c in classes)
            kind = f"{rule}, per class" if per_class else rule
            print(f"{kind:<22} {coverage:.2f}  {found['coverage']}  size {found['size'].value:.2f}  {own}")
    answering, train = with_embedding(models[0]), sides["train"].images[:]
    embedding = answering.predict(train, batch_size=256, verbose=0)[1]

    def of(images):
        return image_measures(images, card.inputs)

    ood = fit_out_of_distribution(of(train), embedding, of(held.images[:]), seen[held.ids], false_alarms=0.01)
    outside = ood.warn(of(test.images[:]), seen[test.ids])[0]
    print(f"\ndomain warning of {folders[0]}: limit {ood.limit:.1f}, 1 % false alarms promised")
    print(f"{'test galaxies warned of':<32} {exact_share(outside)}")
    some = np.random.default_rng(1).permutation(len(test))[:ALTERED]
    for name, images in altered(test.images[:][some]).items():
        images = np.ascontiguousarray(images, dtype=np.float32)
        features = answering.predict(images, batch_size=256, verbose=0)[1]
        outside, reasons, _ = ood.warn(of(images), features)
        why = [reason.partition(" ")[0] for reason in reasons if reason]
        most = max(set(why), key=why.count) if why else ""
        print(f"{name:<32} {exact_share(outside)}  {most}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
