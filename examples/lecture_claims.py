"""Tests of claims about training that are made in lectures, each with a criterion stated in advance.

``python examples/lecture_claims.py --out claims`` simulates 720 galaxies, trains some thousand small
networks, and writes ``claims/claims.ecsv`` and ``claims/claims.png``. An interrupted run is resumed.
``--claim momentum-small`` tests one claim. The criteria are in CLAIMS, the results in docs/lecture.md.
``--curves dropout`` plots losses against rate and width instead of verdicts.
"""

import argparse
import math
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from astropy.table import Table
from lecture.claims import (
    Claim,
    Criterion,
    claims_table,
    mean_interval,
    measure_claim,
    write_claims,
)
from lecture.trials import Trials
from matplotlib.figure import Figure

from galcnn._runtime import seeding
from galcnn._runtime.progress import bars
from galcnn.catalog import read_catalog, write_table
from galcnn.dataset import read_dataset
from galcnn.model import NetworkSettings, build_network, fit_preprocessing
from galcnn.pipeline import SurveySettings, write_survey
from galcnn.simulation import simulate_catalog
from galcnn.training import TrainingSettings, make_optimizer
from galcnn.viewers import save_figure

GALAXIES, SIDE, CLASSES = 720, 32, ("elliptical", "spiral", "edge_on", "merger")
TRAINING, DEV = 160, 120  # the other 440 are the test set
PLAIN = {"widths": (8, 16), "depth": 1, "stem": 8, "normalization": "none", "dropout": 0.0}
DEEP = PLAIN | {"widths": (8, 8, 8), "depth": 4}
#: Learning rates of plain descent and momentum, scaled in proportion to the batch size (Goyal et al. 2017).
EPOCHS, BATCH, RATE, MOMENTUM_RATE = 60, 16, 0.08, 0.016


# --- small trainings ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Training:
    """One small training. It has its own loop, since `fit` would be traced again for each training."""

    network: tuple = ()  # differences from PLAIN
    optimizer: str = "sgd"
    batch: int = BATCH
    rate: float = RATE
    epochs: int = EPOCHS
    outliers: int = 0  # training images with a wrong label
    start: int = 0  # number of the draw of initial weights

    @property
    def settings(self):
        return NetworkSettings(**(PLAIN | dict(self.network)))


@cache
def sides(seed):
    """Preprocessed images and labels of the three sets; the split depends on the seed."""
    rows = seeding.generator(seed, "split").permutation(len(DATA))
    training, dev, test = np.split(rows, (TRAINING, TRAINING + DEV))
    stretch = fit_preprocessing(DATA.images[training])
    images = stretch(DATA.images)
    return {
        name: (tf.gather(images, chosen), tf.constant(DATA.labels[chosen]))
        for name, chosen in (("training", training), ("dev", dev), ("test", test))
    }


@cache
def machine(settings, optimizer):
    """A network, its optimizer, and two traced functions: one epoch, and the evaluation."""
    network = build_network((SIDE, SIDE, 3), len(CLASSES), settings=settings)
    how = TrainingSettings(optimizer=optimizer, learning_rate=1.0, schedule="constant", weight_decay=0.0)
    rule = make_optimizer(how, updates_per_epoch=1)
    rule.build(network.trainable_variables)

    def cross_entropy(labels, logits):
        return tf.reduce_mean(keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True))

    @tf.function(reduce_retracing=True)
    def epoch(images, labels, order, batch):
        for first in tf.range(0, tf.size(order), batch):
            rows = order[first : first + batch]
            with tf.GradientTape() as tape:
                logits = network(tf.gather(images, rows), training=True)
                loss = cross_entropy(tf.gather(labels, rows), logits)
                if network.losses:
                    loss += tf.add_n(network.losses)
            rule.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    @tf.function(reduce_retracing=True)
    def score(images, labels):
        logits = network(images, training=False)
        right = tf.cast(tf.argmax(logits, axis=1, output_type=tf.int32) == labels, tf.float32)
        return cross_entropy(labels, logits), tf.reduce_mean(right)

    return network, rule, epoch, score


def begun(training, seed):
    """Return network and optimizer in their initial state, and the training labels."""
    network, rule, epoch, score = machine(training.settings, training.optimizer)
    fresh = build_network(
        (SIDE, SIDE, 3),
        len(CLASSES),
        settings=training.settings,
        seed=seeding.integer(seed, "start", training.start),
    )
    for variable, value in zip(network.variables, fresh.variables, strict=True):
        variable.assign(value)
    for variable in rule.variables:
        variable.assign(tf.zeros_like(variable))
    rule.learning_rate = training.rate
    images, labels = sides(seed)["training"]
    wrong = labels.numpy().copy()
    dice = seeding.generator(seed, "outliers")
    chosen = dice.permutation(TRAINING)[: training.outliers]
    wrong[chosen] = (wrong[chosen] + dice.integers(1, len(CLASSES), TRAINING)[: training.outliers]) % len(
        CLASSES
    )
    return network, epoch, score, images, tf.constant(wrong)


def curves(training, seed, *, every_epoch=False):
    """Loss and accuracy of each set after each of the last three epochs, or after all; saved in a file.

    The training set is scored with its true labels. If the loss of a training is not finite, the training
    counts from then on as one at chance level: loss ln 4, accuracy 1/4.
    """

    def measure():
        network, epoch, score, images, told = begun(training, seed)
        found = {
            f"{side}_{what}": [] for side in ("training", "dev", "test") for what in ("loss", "accuracy")
        }
        lost = False
        for number in range(training.epochs + 1):
            if number and not lost:
                order = seeding.generator(seed, "order", number).permutation(TRAINING)
                epoch(images, told, tf.constant(order), tf.constant(training.batch))
            if not every_epoch and number <= training.epochs - 3:
                continue
            for side, (seen, labels) in sides(seed).items():
                loss, accuracy = (float(value) for value in score(seen, labels))
                lost |= not math.isfinite(loss)
                found[f"{side}_loss"].append(math.log(len(CLASSES)) if lost else loss)
                found[f"{side}_accuracy"].append(1 / len(CLASSES) if lost else accuracy)
        kernels = [v.numpy().ravel() for v in network.trainable_variables if v.name == "kernel"]
        small = [np.abs(k) < 0.01 * np.abs(k).max() for k in kernels]
        return found | {"small_weights": 1.0 if lost else float(np.concatenate(small).mean())}

    told = asdict(training) | {"network": asdict(training.settings)}
    name = seeding.generator(0, repr(training)).bytes(6).hex()
    return TRIALS.once(f"{'curve' if every_epoch else 'training'}-{name}", seed, told, measure)


def last(training, seed, what, epochs=3):
    return float(np.mean(curves(training, seed)[what][-epochs:]))


# --- gradient descent on analytic functions ----------------------------------------------------------------


def descend(gradient, start, updates, *, rate, gamma=0.0, nesterov=False):
    """Path of gradient descent, plain, with momentum or with Nesterov momentum."""
    point, velocity, path = np.array(start, float), np.zeros(len(start)), [np.array(start, float)]
    for update in range(updates):
        ahead = point - gamma * velocity if nesterov else point
        velocity = gamma * velocity + rate * gradient(ahead, update)
        point = point - velocity
        path.append(point)
    return np.array(path)


def ravine(start, *, rate=0.019, gamma=0.0, nesterov=False):
    """Descend f = (100 x^2 + y^2) / 2, by default at a rate just below the limit of stability in x (0.02)."""
    return descend(
        lambda p, _: np.array([100.0, 1.0]) * p, start, 600, rate=rate, gamma=gamma, nesterov=nesterov
    )


def updates_until(values, goal):
    """Number of updates after which values stay at or below a goal."""
    above = np.flatnonzero(~(np.asarray(values) <= goal))  # NaN is above
    return int(above[-1]) + 1 if len(above) else 1


def zigzag(path):
    """Length of a path over the distance of its ends: 1 for a straight path."""
    return np.linalg.norm(np.diff(path, axis=0), axis=1).sum() / np.linalg.norm(path[-1] - path[0])


def ravine_start(seed):
    dice = seeding.generator(seed, "ravine")
    return dice.choice([-1, 1], 2) * dice.uniform(0.5, 2.0, 2)


# --- the claims: measurements for one seed -----------------------------------------------------------------


def weights_on_the_way(optimizer, seed, updates=60):
    """Weights after each full-batch update, at a rate at which plain descent begins to oscillate."""
    network, epoch, _, images, told = begun(Training(optimizer=optimizer, rate=4 * RATE), seed)
    path = []
    for update in range(updates + 1):
        if update:
            epoch(images, told, tf.range(TRAINING), tf.constant(TRAINING))
        path.append(np.concatenate([v.numpy().ravel() for v in network.trainable_variables]))
    return np.array(path)


@cache
def quarters(seed):
    """Paths of plain descent and momentum, for the quarters of weights with small and large gradients."""
    plain, momentum = (weights_on_the_way(optimizer, seed) for optimizer in ("sgd", "momentum"))
    order = np.argsort(np.abs(plain[1] - plain[0]))
    quarter = len(order) // 4
    return {
        name: (plain[:, chosen], momentum[:, chosen])
        for name, chosen in (("small", order[:quarter]), ("large", order[-quarter:]))
    }


def momentum_small(seed):
    plain, momentum = (np.abs(ravine(ravine_start(seed), gamma=gamma)[:, 1]) for gamma in (0.0, 0.9))
    far = [np.linalg.norm(path[-1] - path[0]) for path in quarters(seed)["small"]]
    return {
        "ravine": math.log2(updates_until(plain, 0.01 * plain[0]) / updates_until(momentum, 0.01 * plain[0])),
        "network": math.log2(far[1] / far[0]),
    }


def momentum_large(seed):
    plain, momentum = (ravine(ravine_start(seed), gamma=gamma)[:51, 0] for gamma in (0.0, 0.9))
    crooked = [zigzag(path) for path in quarters(seed)["large"]]
    return {
        "ravine": math.log2(np.abs(np.diff(plain)).sum() / np.abs(np.diff(momentum)).sum()),
        "network": math.log2(crooked[0] / crooked[1]),
    }


def nesterov(seed):
    # At 0.01: Nesterov's descent of x diverges at 0.0136 and more, momentum's at 0.038.
    heights = [
        ravine(ravine_start(seed), rate=0.01, gamma=0.9, nesterov=ahead) ** 2 @ [50.0, 0.5]
        for ahead in (False, True)
    ]
    until = [updates_until(height, 1e-4 * height[0]) for height in heights]
    ends = [
        last(Training(optimizer=name, rate=MOMENTUM_RATE), seed, "training_loss")
        for name in ("momentum", "nesterov")
    ]
    return {"ravine": math.log2(until[0] / until[1]), "network": math.log(ends[0] / ends[1])}


def escape(seed, starts=20):
    """A loss with two minima, the deeper one from 60 data points, the other from 40, where descents start."""
    dice = seeding.generator(seed, "wells")
    escaped = {True: 0, False: 0}
    for _ in range(starts):
        data = np.concatenate([dice.normal(1.5, 0.3, 60), dice.normal(-1.5, 0.3, 40)])
        order = dice.integers(0, 100, 2000)
        for single in escaped:

            def slope(w, update, data=data, order=order, single=single):
                apart = w - (data[order[update]] if single else data)
                return np.array([np.mean(apart * np.exp(-(apart**2) / 2))])

            escaped[single] += np.mean(descend(slope, [-1.5], 2000, rate=0.5)[-200:]) > 0
    return {"two wells": (escaped[True] - escaped[False]) / starts}


def outliers_hurt(seed):
    fall = {
        batch: last(Training(batch=batch, rate=RATE * batch / BATCH), seed, "test_accuracy")
        - last(Training(batch=batch, rate=RATE * batch / BATCH, outliers=32), seed, "test_accuracy")
        for batch in (1, BATCH)
    }
    return {"network": 100 * (fall[1] - fall[BATCH])}


def batch_of_outliers(seed):
    found = {}
    for outliers in (16, 32):
        right = [
            last(Training(batch=batch, rate=RATE * batch / BATCH, outliers=outliers), seed, "test_accuracy")
            for batch in (3 * outliers // 8, 3 * outliers // 2, min(6 * outliers, TRAINING))
        ]
        found |= {
            f"{outliers} outliers: than smaller": 100 * (right[1] - right[0]),
            f"{outliers} outliers: than larger": 100 * (right[1] - right[2]),
        }
    return found


def overfitting(seed):
    gap = {}
    for batch in (1, BATCH):
        trained = Training(batch=batch, rate=RATE * batch / BATCH)
        gap[batch] = last(trained, seed, "test_loss") - last(trained, seed, "training_loss")
    return {"network": gap[BATCH] - gap[1]}


def high_rate(seed):
    good, high = Training(), Training(rate=10 * RATE)
    return {
        "training loss": last(high, seed, "training_loss") - last(good, seed, "training_loss"),
        "test accuracy": 100 * (last(good, seed, "test_accuracy") - last(high, seed, "test_accuracy")),
    }


def sensitive_start(seed):
    """160 updates with full batches and with mini-batches, from two initialisations each."""
    apart = []
    for batch, epochs in ((TRAINING, 160), (BATCH, 16)):
        ends = [last(Training(batch=batch, epochs=epochs, start=k), seed, "training_loss", 1) for k in (0, 1)]
        apart.append(abs(math.log(ends[0] / ends[1])))
    return {"network": apart[0] - apart[1]}


def saddle(seed):
    """Descend f = x^2/2 - y^2/2 + y^4/4 from y = 1e-4 to 1e-2, near the ridge of its saddle, and from 0.5."""
    dice = seeding.generator(seed, "saddle")
    x, y = dice.uniform(0.5, 1.0), 10 ** dice.uniform(-4, -2)

    def until(start):
        path = descend(lambda p, _: np.array([p[0], p[1] ** 3 - p[1]]), start, 2000, rate=0.1)
        return updates_until(path[:, 0] ** 2 / 2 + (path[:, 1] ** 2 - 1) ** 2 / 4, 0.01)

    return {"saddle": math.log2(until((x, y)) / until((x, 0.5)))}


def sparser(seed, **penalty):
    plain, with_it = Training(), Training(network=tuple(penalty.items()))
    return {"network": 100 * (curves(with_it, seed)["small_weights"] - curves(plain, seed)["small_weights"])}


RATES, WIDTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9), ((8, 16), (16, 32))


def dropping(width, rate):
    return Training(network=(("widths", width), ("dropout", rate)))


def dropout(seed):
    found = {}
    for width in WIDTHS:
        high, low = dropping(width, 0.9), dropping(width, 0.2)
        for side in ("training", "dev"):
            found[f"width {width[-1]}: {side}"] = last(high, seed, f"{side}_loss") - last(
                low, seed, f"{side}_loss"
            )
    return found


def dropout_curves(seeds):
    """Plot the final training and dev losses against rate and width: mean over seeds, 95 % interval."""
    rows = []
    for width in WIDTHS:
        for rate in RATES:
            row = {"width": width[-1], "rate": rate}
            for side in ("training", "dev"):
                ends = [last(dropping(width, rate), seed, f"{side}_loss") for seed in seeds]
                low, high = mean_interval(ends)
                row |= {side: float(np.mean(ends)), f"{side}_low": low, f"{side}_high": high}
            rows.append(row)
    return Table(rows=rows, meta={"seeds": len(seeds)})


def dropout_figure(table):
    figure = Figure(figsize=(6.4, 2.9), layout="constrained")
    for axes, width in zip(figure.subplots(1, len(WIDTHS), sharey=True), WIDTHS, strict=True):
        of_width = table[table["width"] == width[-1]]
        for side, colour, marker in (("training", "#0072B2", "o"), ("dev", "#D55E00", "s")):
            ends = [of_width[side] - of_width[f"{side}_low"], of_width[f"{side}_high"] - of_width[side]]
            axes.errorbar(
                of_width["rate"],
                of_width[side],
                ends,
                color=colour,
                marker=marker,
                ms=4,
                capsize=2,
                label=side,
            )
        axes.axhline(math.log(len(CLASSES)), color="0.5", lw=0.8, ls="--")  # knows nothing
        axes.set(title=f"last width {width[-1]}", xlabel="dropout rate")
    figure.axes[0].set_ylabel("loss at the end [nat]")
    figure.axes[0].legend(frameon=False)
    return figure


def early_stopping(seed):
    done = curves(Training(), seed, every_epoch=True)
    above = 100 * (np.array(done["dev_accuracy"]) - done["test_accuracy"])
    return {"network": above[np.argmax(done["dev_accuracy"])] - above[len(above) // 2 :].mean()}


def batch_norm(seed):
    """Mean training loss over the first 20 epochs, each network at the best of three rates."""
    best = {
        norm: min(
            np.mean(curves(trained, seed, every_epoch=True)["training_loss"])
            for trained in (
                Training((("normalization", norm),), rate=rate, epochs=20)
                for rate in (RATE / 4, RATE, 4 * RATE)
            )
        )
        for norm in ("none", "batch")
    }
    return {"network": best["none"] - best["batch"]}


ACTIVATIONS = {"relu": "he_normal", "tanh": "glorot_normal", "sigmoid": "glorot_normal"}


def activation(seed):
    """Ratio of initial gradients of the first and last of 13 convolutions, and the result of training."""
    shares, ends = {}, {}
    for name in ("relu", "sigmoid"):
        network = (*DEEP.items(), ("activation", name), ("initializer", ACTIVATIONS[name]))
        training = Training(network=network, rate=RATE / 4)
        built, _, _, images, told = begun(training, seed)
        with tf.GradientTape() as tape:
            logits = built(images, training=False)
            loss = tf.reduce_mean(
                keras.losses.sparse_categorical_crossentropy(told, logits, from_logits=True)
            )
        kernels = [v for v in built.trainable_variables if v.name == "kernel" and len(v.shape) == 4]
        sizes = [
            float(keras.ops.std(slope))
            for slope in tape.gradient(loss, [kernels[0].value, kernels[-1].value])
        ]
        shares[name], ends[name] = sizes[0] / sizes[1], last(training, seed, "training_loss")
    return {
        "gradient at the start": math.log10(shares["relu"] / shares["sigmoid"]),
        "training loss": ends["sigmoid"] - ends["relu"],
    }


LOG2 = "factors of 2"
CLAIMS = (
    Claim(
        "momentum-small",
        "Momentum speeds small gradients",
        {
            "ravine": Criterion("updates along the flat axis, plain by momentum", 1.0, LOG2),
            "network": Criterion("way of the weights with small gradients, momentum by plain", 1.0, LOG2),
        },
        momentum_small,
    ),
    Claim(
        "momentum-large",
        "Momentum damps large gradients",
        {
            "ravine": Criterion("length of the path across, plain by momentum", 0.14, LOG2),
            "network": Criterion("zigzag of the weights with large gradients, plain by momentum", 0.14, LOG2),
        },
        momentum_large,
    ),
    Claim(
        "nesterov",
        "Nesterov gains on momentum",
        {
            "ravine": Criterion("updates to a height of 1e-4 at rate 0.01, momentum by Nesterov", 0.14, LOG2),
            "network": Criterion("last training loss, momentum by Nesterov", 0.05, "ln"),
        },
        nesterov,
    ),
    Claim(
        "sgd-escapes",
        "Plain SGD escapes better",
        {"two wells": Criterion("share that leaves the poorer well, single images less full batch", 0.1)},
        escape,
    ),
    Claim(
        "sgd-outliers",
        "Plain SGD is hurt by outliers",
        {"network": Criterion("fall of test accuracy by 20 % wrong labels, batch 1 less 16", 2.0, "points")},
        outliers_hurt,
    ),
    Claim(
        "batch-outliers",
        "Mini-batches should be about 1.5 times the number of outliers",
        {
            f"{n} outliers: than {word}": Criterion(f"test accuracy, 1.5 times less {other}", 1.0, "points")
            for n in (16, 32)
            for word, other in (("smaller", "a quarter of it"), ("larger", "four times it, or all"))
        },
        batch_of_outliers,
    ),
    Claim(
        "batch-overfits",
        "Mini-batches overfit more than SGD",
        {"network": Criterion("test less training loss, batch 16 less 1", 0.05, "nat")},
        overfitting,
    ),
    Claim(
        "high-rate",
        "A high learning rate ends worse",
        {
            "training loss": Criterion("tenfold rate less the rate", 0.05, "nat"),
            "test accuracy": Criterion("the rate less tenfold rate", 1.0, "points"),
        },
        high_rate,
    ),
    Claim(
        "gd-start",
        "Gradient descent is sensitive to its start",
        {"network": Criterion("ln of the losses from two starts, full batch less mini-batches", 0.05, "ln")},
        sensitive_start,
    ),
    Claim(
        "gd-saddle",
        "Gradient descent is slow at saddles",
        {"saddle": Criterion("updates from beside the saddle by those from the flank", 1.0, LOG2)},
        saddle,
    ),
    Claim(
        "l2-sparser",
        "L2 makes weights sparser",
        {"network": Criterion("weights below 1 % of the largest, l2 = 0.01 less none", 5.0, "points")},
        lambda seed: sparser(seed, l2=0.01),
    ),
    Claim(
        "l1-sparser",
        "L1 makes weights sparser (to compare)",
        {"network": Criterion("weights below 1 % of the largest, l1 = 0.001 less none", 5.0, "points")},
        lambda seed: sparser(seed, l1=0.001),
    ),
    Claim(
        "dropout-high",
        "Dropout too high underfits",
        {
            f"width {width[-1]}: {side}": Criterion(f"{side} loss, dropout 0.9 less 0.2", delta, "nat")
            for width in WIDTHS
            for side, delta in (("training", 0.1), ("dev", 0.05))
        },
        dropout,
    ),
    Claim(
        "early-stopping",
        "Early stopping picks an optimistic dev score",
        {"network": Criterion("dev less test accuracy, best epoch less the later half", 1.0, "points")},
        early_stopping,
    ),
    Claim(
        "batch-norm",
        "Batch norm speeds learning",
        {"network": Criterion("mean training loss of 20 epochs, without less with", 0.1, "nat")},
        batch_norm,
    ),
    Claim(
        "activation",
        "The activation function matters for vanishing gradients",
        {
            "gradient at the start": Criterion("first by last convolution, ReLU by sigmoid", 1.0, "log10"),
            "training loss": Criterion("last training loss, sigmoid less ReLU", 0.1, "nat"),
        },
        activation,
    ),
)


def survey(folder):
    """The simulated galaxies, written on first use."""
    if not (folder / "catalog.ecsv").exists():
        catalog = simulate_catalog(GALAXIES, seed=0, classes=CLASSES)
        write_survey(catalog, folder, settings=SurveySettings(seed=0, size=SIDE), progress=bars)
    return read_dataset(
        read_catalog(folder / "catalog.ecsv"), shards=folder / "shards", progress=bars
    ).cached(1000)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("claims"))
    parser.add_argument("--claim", action="append", choices=[claim.key for claim in CLAIMS])
    parser.add_argument("--curves", choices=["dropout"], help="in place of the claims")
    parser.add_argument("--seeds", type=int, default=6, help="2 or more; more can follow")
    return parser.parse_args()


if __name__ == "__main__":
    given = arguments()
    TRIALS = Trials(given.out / "trainings")
    DATA = survey(given.out / "sky")
    if given.curves:
        curve = dropout_curves(range(given.seeds))
        curve.pprint_all()
        write_table(curve, given.out / "dropout.ecsv")
        save_figure(dropout_figure(curve), given.out / "dropout.png")
        raise SystemExit
    wanted = [claim for claim in CLAIMS if not given.claim or claim.key in given.claim]
    for seeds in range(2, given.seeds + 1):  # seed by seed: what is interrupted says something of all
        effects = {
            claim.key: measure_claim(claim, range(seeds), given.out / "effects", progress=bars)
            for claim in wanted
        }
    table = claims_table(wanted, effects)
    for row in table:
        print(
            f"{row['key']:<15} {row['part']:<28} {row['mean']:+8.3f} [{row['low']:+.3f}, {row['high']:+.3f}] "
            f"{row['unit']:<12} > {row['delta']:g}: {row['part_verdict']:<12} -> {row['verdict']}"
        )
    if wanted == list(CLAIMS):
        print(f"wrote {write_claims(table, given.out)} and its figure")
