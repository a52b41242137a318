"""Preflight checks of a network and its data before training."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn._runtime import seeding
from galcnn.dataset import Dataset
from galcnn.dataset.leakage import near_duplicates, shared_images
from galcnn.model.forward import forward
from galcnn.training import Augmentation, TrainingSettings, training_batches
from galcnn.training.callbacks import eager_logits
from galcnn.training.training import compile_model

#: Largest difference between the loss at the start and ln K.
_AT_START = 0.1


_STILL = Augmentation(flips=False, rotations="none")


_QUIET = 1e-6  # smallest gradient of a band, relative to that of the strongest band


@dataclass(frozen=True)
class Check:
    """Result of one check.

    Attributes
    ----------
    name : str
        Name of the check.
    passed : bool
        True if the check passed.
    value : float
        Measured value.
    expected : str
        Expected value or range.
    meaning : str
        Interpretation of the result.
    """

    name: str
    passed: bool
    value: float
    expected: str
    meaning: str


def check_loss_at_start(model: keras.Model, dataset: Dataset) -> Check:
    """Compare the loss before training with ln K, the loss of equal probabilities of K classes.

    Logits with standard deviation s over the K classes change the loss by about s, with either sign,
    depending on which class they favour.
    """
    with keras.StatelessScope():  # training mode, without changing the model
        logits = forward(model, tf.convert_to_tensor(dataset.images[: len(dataset)]), training=True)[0]
    logits = np.asarray(logits, dtype=np.float64)
    high = logits.max(axis=1, keepdims=True)
    total = high[:, 0] + np.log(np.exp(logits - high).sum(axis=1))
    loss = float(np.mean(total - logits[np.arange(len(dataset)), dataset.labels]))
    scatter = float(np.sqrt(np.mean(logits.var(axis=1))))
    nothing = float(np.log(len(dataset.classes)))
    # A large scatter is a fault even if the favoured class happens to be the frequent one.
    passed = bool(abs(loss - nothing) <= _AT_START and scatter <= _AT_START)
    meaning = (
        "the initial network prefers no class"
        if passed
        else f"the untrained network prefers a class (standard deviation of its logits: {scatter:.3g}): "
        "check the initializer of its last layer, the scale of its input, or the weights it starts from"
    )
    expected = f"ln {len(dataset.classes)} = {nothing:.3f} +- {_AT_START:g}"
    return Check("loss at the start", passed, loss, expected, meaning)


def check_regularization(plain: keras.Model, penalised: keras.Model, dataset: Dataset) -> Check:
    """Check that the loss increases when weight penalties are switched on."""
    losses = []
    settings = TrainingSettings(epochs=1, batch_size=len(dataset), augmentation=_STILL)
    batches = training_batches(dataset, settings, seed=0)
    for model in (plain, penalised):
        compile_model(model, batches, settings)
        figures = model.evaluate(batches.beginning_at(0), steps=1, verbose=0, return_dict=True)
        losses.append(float(figures["loss"]))
    rise = losses[1] - losses[0]
    passed = bool(rise > 1e-4 * abs(losses[0]))
    meaning = (
        "the penalties reach the loss"
        if passed
        else "the penalties do not reach the loss: they would not be felt in training"
    )
    return Check("regularisation", passed, rise, "> 0", meaning)


def check_overfitting(
    build: Callable[[], keras.Model],
    dataset: Dataset,
    *,
    settings: TrainingSettings,
    n: int = 20,
    seed: int = 0,
) -> Check:
    """Check that a network can overfit a few images, as any working network can.

    Parameters
    ----------
    build : callable
        Function without arguments that returns a new network, without dropout and penalties.
    dataset : galcnn.dataset.Dataset
        Dataset from which the images are drawn, balanced over classes.
    settings : galcnn.training.TrainingSettings
        Settings of the training; its augmentation, schedule, class balance, label smoothing and weight
        decay are not used.
    n : int
        Number of images.
    seed : int
        Seed of the draw.

    Returns
    -------
    Check
        Result; its value is the accuracy on these images after about 400 updates at most.
    """
    few = dataset.select(_balanced(dataset, n, seed))
    right = _learn_by_heart(build(), few, settings, updates=400)
    passed = right == 1.0
    meaning = (
        "the network can learn"
        if passed
        else "it cannot memorise even these: check the learning rate, galcnn diagnose --init, and "
        "whether identical images have different labels"
    )
    return Check(f"{len(few)} images memorised", passed, right, "1 (100 %)", meaning)


def check_shuffled_labels(
    build: Callable[[], keras.Model],
    training: Dataset,
    validation: Dataset,
    *,
    settings: TrainingSettings,
    n: int = 60,
    seed: int = 0,
) -> Check:
    """Check for leakage: a network overfitted to shuffled labels must not predict those of validation.

    Identical images get the same shuffled label in both splits, and the training images most similar to
    validation images are used. The accuracy on the validation images must lie in the central 99 % of the
    accuracies on randomly permuted labels.
    """
    pairs = near_duplicates({"training": training, "validation": validation}, limit=-1.0)
    nearest = {pair.id: pair for pair in pairs}
    where = {one: row for row, one in enumerate(training.ids)}
    chosen = [where[one] for one in nearest][:n]
    asked = sorted({pair.other_id for pair in list(nearest.values())[:n]})
    there = {one: row for row, one in enumerate(validation.ids)}
    rest = [row for row in range(len(validation)) if validation.ids[row] not in set(asked)]
    learned = training.select(chosen)
    held = validation.select([there[one] for one in asked] + rest[: max(0, 2 * n - len(asked))])
    labels = _dealt(learned, held, seed)
    learned = replace(learned, labels=labels[: len(learned)])
    held = replace(held, labels=labels[len(learned) :])
    model = build()
    memory = _learn_by_heart(model, learned, settings, updates=400)
    answers = eager_logits(model, held.images).argmax(axis=1)
    right = float(np.mean(answers == held.labels))
    draw = seeding.generator(seed, "shuffled labels", "null")
    null = [float(np.mean(answers == draw.permutation(held.labels))) for _ in range(2000)]
    low, high = np.quantile(null, (0.005, 0.995))
    passed = bool(low <= right <= high)
    meaning = (
        f"nothing of the validation set is known ({memory:.0%} of {len(learned)} shuffled labels learned)"
        if passed
        else "validation images are answered as if they had been learned: they stand in the training set"
    )
    return Check("shuffled labels", passed, right, f"{low:.3f} to {high:.3f}", meaning)


def check_bands(model: keras.Model, dataset: Dataset) -> Check:
    """Check that the logits depend on every band."""
    images = tf.convert_to_tensor(dataset.images[: len(dataset)])
    with tf.GradientTape() as tape:
        tape.watch(images)
        logits = model(images, training=False)
        draw = seeding.generator(0, "input gradients").normal(size=logits.shape).astype(np.float32)
        total = tf.reduce_sum(logits * draw)
    gradient = np.asarray(tape.gradient(total, images), dtype=np.float64)
    size = np.sqrt(np.mean(gradient**2, axis=(0, 1, 2))) * np.std(np.asarray(images), axis=(0, 1, 2))
    strongest = size.max()
    weakest = int(np.argmin(np.where(np.isfinite(size), size, -np.inf)))
    share = float(size[weakest] / strongest) if strongest > 0 else 0.0
    passed = bool(np.isfinite(size).all() and share > _QUIET)
    name = dataset.inputs.bands[weakest]
    meaning = (
        f"every band moves the answer, {name} least"
        if passed
        else f"band {name} does not move the answer: look at its pixels and at the preprocessing"
    )
    return Check("gradient in every band", passed, share, f"> {_QUIET:g} of the strongest band's", meaning)


def check_shared(sides: Mapping[str, Dataset]) -> Check:
    """Check that no id and no identical image is in two splits."""
    pairs = shared_images(sides)
    meaning = (
        "the splits share nothing"
        if not pairs
        else f"{pairs[0].id} ({pairs[0].split}) is {pairs[0].other_id} ({pairs[0].other_split}): scores are "
        "of images that were learned"
    )
    return Check("overlap of splits", not pairs, float(len(pairs)), "0 pairs", meaning)


def check_duplicates(sides: Mapping[str, Dataset], *, limit: float = 0.8) -> Check:
    """Check that no image has a copy in another split, possibly rotated or mirrored."""
    pairs = near_duplicates(sides, limit=limit)
    meaning = (
        "no image of one split is another of a second one"
        if not pairs
        else f"{pairs[0].id} ({pairs[0].split}) looks like {pairs[0].other_id} ({pairs[0].other_split}), "
        f"likeness {pairs[0].likeness:.2f}: keep them together with split_by"
    )
    return Check("near duplicates", not pairs, float(len(pairs)), f"0 pairs above {limit:g}", meaning)


def _balanced(dataset: Dataset, n: int, seed: int) -> list[int]:
    """Draw n rows, taking one of each class in turn."""
    order = seeding.generator(seed, "by heart").permutation(len(dataset))
    of_class = [[int(row) for row in order if dataset.labels[row] == k] for k in range(len(dataset.classes))]
    rounds = max(map(len, of_class))
    return [rows[turn] for turn in range(rounds) for rows in of_class if turn < len(rows)][:n]


def _learn_by_heart(model: keras.Model, few: Dataset, settings: TrainingSettings, *, updates: int) -> float:
    size = min(len(few), 20)
    wanted = replace(
        settings,
        epochs=-(-updates * size // len(few)),
        batch_size=size,
        schedule="constant",
        weight_decay=0.0,
        label_smoothing=0.0,
        balance="none",
        augmentation=_STILL,
    )
    batches = training_batches(few, wanted, seed=0)
    compile_model(model, batches, wanted)
    stop = _ByHeart(few)
    model.fit(
        batches.beginning_at(0),
        epochs=wanted.epochs,
        steps_per_epoch=batches.per_epoch,
        callbacks=[stop],
        shuffle=False,
        verbose=0,
    )
    return max(stop.right, stop.score())


class _ByHeart(keras.callbacks.Callback):
    """Keras callback that stops when all images are classified correctly in inference mode."""

    def __init__(self, few: Dataset) -> None:
        super().__init__()
        self.few, self.right = few, 0.0

    def score(self) -> float:
        logits = eager_logits(self.model, self.few.images)
        return float(np.mean(logits.argmax(axis=1) == self.few.labels))

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        # Inference is run only when the training accuracy, which costs nothing, is 1.
        if float((logs or {})["accuracy"]) == 1.0:
            self.right = self.score()
            self.model.stop_training = self.right == 1.0


def _dealt(learned: Dataset, held: Dataset, seed: int) -> npt.NDArray[np.int32]:
    """Return the labels of both sets, shuffled over distinct images."""
    images: Sequence[npt.NDArray[np.float32]] = [*learned.images[: len(learned)], *held.images[: len(held)]]
    keys = [image.tobytes() for image in images]
    distinct = list(dict.fromkeys(keys))
    labels = dict(zip(keys, [*learned.labels, *held.labels], strict=True))
    drawn = seeding.generator(seed, "shuffled labels").permutation([labels[key] for key in distinct])
    dealt = dict(zip(distinct, drawn, strict=True))
    return np.array([dealt[key] for key in keys], dtype=np.int32)
