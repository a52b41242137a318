"""Uncertainty of networks of several seeds on Galaxy Zoo: calibration, sets, ensemble, warning.

First train the networks with different seeds on the same catalog and split:

    galcnn train examples/galaxy_zoo.toml --catalog labels.csv --seed 0 --out seed-0

Then run this script, which takes a few minutes:

    python examples/galaxy_zoo_uncertainty.py labels.csv seed-0 seed-1 seed-2 seed-3

Further arguments are folders of other pictures, such as those of another survey or the galaxies that the
training left out. Everything is fitted on the validation galaxies and measured on the test galaxies.
"""

import io
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter, zoom
from scipy.stats import rankdata

from galcnn.evaluation import exact_share
from galcnn.experiment import Experiment, read_data
from galcnn.model import load_model
from galcnn.model.bundle import with_embedding
from galcnn.prediction import Prediction
from galcnn.simulation import simulate, simulate_catalog
from galcnn.transforms import render
from galcnn.uncertainty import (
    Uncertainty,
    UncertaintyRecord,
    calibration_test,
    fit_calibration,
    fit_conformal,
    fit_out_of_distribution,
    image_measures,
)

#: Number of test galaxies for each kind of alteration, and in each set that is judged as a whole.
ALTERED, SET = 100, 100
#: Number of random splits.
SPLITS = 200


def of_mean(members, ids, classes):
    """Return the prediction with the mean probabilities of the members."""
    return Prediction(ids, np.log(np.maximum(Uncertainty(members).probabilities, 1e-37)), classes)


def altered(images):
    """Return altered images, which should give a warning, except for the original and rotated ones."""
    n, ny, nx, _ = images.shape
    rng = np.random.default_rng(0)
    white = rng.normal(0, 1, images.shape)
    smooth = gaussian_filter(white, (0, 2, 2, 0))

    def rescaled(factor):
        made = zoom(images, (1, factor, factor, 1), order=1)
        if factor > 1:
            y, x = (made.shape[1] - ny) // 2, (made.shape[2] - nx) // 2
            return made[:, y : y + ny, x : x + nx]
        y, x = (ny - made.shape[1]) // 2, (nx - made.shape[2]) // 2
        around = ((0, 0), (y, ny - y - made.shape[1]), (x, nx - x - made.shape[2]), (0, 0))
        return np.pad(made, around, mode="edge")

    return {
        "as they are": images,
        "turned by 90 degrees": np.rot90(images, axes=(1, 2)),
        "greyscale": np.repeat(np.round(images.mean(axis=-1, keepdims=True)), 3, axis=-1),
        "greyscale, as JPEG": jpeg(np.repeat(images.mean(axis=-1, keepdims=True), 3, axis=-1), 90),
        "one band three times": np.repeat(images[..., :1], 3, axis=-1),
        "negative": 255 - images,
        "bands in reverse order": images[..., ::-1],
        "blurred, sigma 1 pixel": gaussian_filter(images, (0, 1, 1, 0)),
        "blurred, sigma 2 pixels": gaussian_filter(images, (0, 2, 2, 0)),
        "blurred, sigma 6 pixels": gaussian_filter(images, (0, 6, 6, 0)),
        "twice as large": rescaled(2.0),
        "1.5 times as large": rescaled(1.5),
        "half as large": rescaled(0.5),
        "noise of 10 added": np.clip(images + 10 * white, 0, 255),
        "smooth noise of 10 added": np.clip(images + 10 * smooth / smooth.std(), 0, 255),
        "1.5 times as bright": np.clip(1.5 * images, 0, 255),
        "JPEG of quality 50": jpeg(images, 50),
        "noise alone": np.clip(60 + 40 * white, 0, 255),
        "pixels shuffled": rng.permuted(images.reshape(n, -1, 3), axis=1).reshape(images.shape),
    }


def jpeg(images, quality):
    """Return 8-bit images as they are read back from JPEG files."""
    read = []
    for image in images:
        file = io.BytesIO()
        Image.fromarray(np.clip(np.round(image), 0, 255).astype(np.uint8)).save(file, "JPEG", quality=quality)
        read.append(np.asarray(Image.open(file)))
    return np.stack(read)


def simulated(n, spec):
    """Return simulated galaxies in the colours of SDSS's pictures."""
    cutouts = simulate(simulate_catalog(n, seed=5), seed=5, shape=spec.shape)
    return np.stack([np.moveaxis(render(cutout, "sdss").flux, 0, -1) for cutout in cutouts])


def pictures(folder, spec):
    """Return the pictures of a folder, resampled to the shape of the training images."""
    found = []
    for path in sorted(Path(folder).iterdir()):
        picture = Image.open(path).convert("RGB").resize(spec.shape[::-1], Image.Resampling.LANCZOS)
        found.append(np.asarray(picture))
    return np.stack(found)


def again(training, *aside):
    """Exchange validation and test galaxies at random: false alarms, and sets called unlike by mistake."""
    measures = {name: np.concatenate([part[0][name] for part in aside]) for name in aside[0][0]}
    embedding, rng = np.concatenate([part[1] for part in aside]), np.random.default_rng(2)

    def rows(chosen):
        return {name: values[chosen] for name, values in measures.items()}, embedding[chosen]

    shares, unlike = [], []
    for _ in range(SPLITS):
        one, other = np.array_split(rng.permutation(len(embedding)), 2)
        ood = fit_out_of_distribution(*training, *rows(one), false_alarms=0.01, confidence=0.95)
        shares.append(ood.warn(*rows(other))[0].mean())
        unlike += [ood.set_test(ood.counts(*rows(part))).unlike for part in (other[:SET], other[-SET:])]
    print(
        f"{SPLITS} random splits of validation and test set: {np.mean(shares):.4f} false alarms on average,"
    )
    print(
        f"more than 0.015 in {np.mean(np.array(shares) > 0.015):.2f} of the splits; {sum(unlike)} of", end=" "
    )
    print(f"{len(unlike)} sets of {SET} called unlike at a level of 0.01")


def warnings(trained, sides, others):
    """Warn of the test galaxies, altered ones, simulated ones and the pictures in other folders."""
    card, test = trained.card, sides["test"]
    ood = UncertaintyRecord.read(trained.folder, card.model_sha256).out_of_distribution
    answering = with_embedding(trained)
    print(f"\nout-of-distribution warning of {card.name}: {ood.false_alarms:.1%} false alarms promised")
    print(f"{'':<32} share with a warning [95 %]; sets of {SET} found at a level of 1 %; main reason")

    def judge(name, images):
        images = np.ascontiguousarray(images, dtype=np.float32)
        seen = image_measures(images, card.inputs), answering.predict(images, batch_size=256, verbose=0)[1]
        outside, reasons, _ = ood.warn(*seen)
        why = [reason.partition(" ")[0] for reason in reasons if reason]
        sets = []
        for first in range(0, len(images) - SET + 1, SET):
            rows = slice(first, first + SET)
            sets.append(ood.set_test(ood.counts({k: v[rows] for k, v in seen[0].items()}, seen[1][rows])))
        most = max(set(why), key=why.count) if why else ""
        found = f"{sum(one.unlike for one in sets)} of {len(sets)}"
        print(f"{name:<32} {exact_share(outside)}  {found:<10} {most}", flush=True)

    pixels = test.images[:][np.random.default_rng(1).permutation(len(test))]
    judge("test galaxies", pixels)
    for name, images in altered(pixels[:ALTERED]).items():
        judge(name, images)
    judge("simulated galaxies", simulated(ALTERED, card.inputs))
    for folder in others:
        judge(Path(folder).name, pictures(folder, card.inputs))

    def seen_of(side):
        answer = answering.predict(side.images[:], batch_size=256, verbose=0)
        return image_measures(side.images[:], card.inputs), answer[1]

    again(seen_of(sides["train"]), *(seen_of(side) for side in (sides["validation"], test)))


def main(catalog, arguments):
    folders = [name for name in arguments if (Path(name) / "card.json").is_file()]
    others = [name for name in arguments if name not in folders]
    models = [load_model(folder) for folder in folders]
    card = models[0].card
    experiment = Experiment.from_dict(card.settings)
    experiment = replace(experiment, data=replace(experiment.data, catalog=catalog))
    sides = read_data(experiment).sides
    labels = {name: [side.classes[k] for k in side.labels] for name, side in sides.items()}
    held, test = sides["validation"], sides["test"]
    rows, uncalibrated, calibrated = [], [], []

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
            logits, _ = answering.predict(side.images[:], batch_size=256, verbose=0)
            predictions[side.ids] = Prediction(side.ids, logits, side.classes)
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
    warnings(models[0], sides, others)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
