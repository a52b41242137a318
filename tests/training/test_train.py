"""Training: what is fed, what is kept, and that the same seed gives the same model."""

import keras
import numpy as np
import pytest

from galcnn.model import NetworkSettings, assemble, build_network
from galcnn.preprocessing import fit_preprocessing
from galcnn.training import Augmentation, TrainingSettings, train
from galcnn.training.train import optimizer, training_batches, validation_batches


def small_model(dataset, seed=0, **settings):
    return assemble(
        fit_preprocessing(dataset.images),
        build_network(
            dataset.inputs.image_shape, 2, settings=NetworkSettings(widths=(4, 8), **settings), seed=seed
        ),
    )


@pytest.fixture(scope="module")
def parts(toy_dataset):
    return toy_dataset.select(np.arange(96)), toy_dataset.select(np.arange(96, 160))


STILL = Augmentation(flips=False, rotations="none")


def test_an_epoch_shows_each_image_once_with_its_label(parts):
    training, _ = parts
    settings = TrainingSettings(batch_size=20, augmentation=STILL)
    batches = training_batches(training, settings, seed=1)
    assert int(batches.cardinality()) == 5
    seen = [
        tuple(np.concatenate(part) for part in zip(*epoch, strict=True))
        for epoch in ([tuple(t.numpy() for t in batch) for batch in batches] for _ in range(2))
    ]
    where = {image.tobytes(): label for image, label in zip(training.images, training.labels, strict=True)}
    for images, targets, weights in seen:
        assert {image.tobytes() for image in images} == set(where)
        assert [where[image.tobytes()] for image in images] == targets.argmax(axis=1).tolist()
        assert np.all(weights == 1)
    assert not np.array_equal(seen[0][0], seen[1][0]), "each epoch has an order of its own"


def test_each_epoch_draws_other_orientations(parts):
    training, _ = parts
    settings = TrainingSettings(augmentation=Augmentation(rotations="quarter"))
    batches = training_batches(training.select([0, 1]), settings, seed=1)
    drawn = {image.tobytes() for _ in range(80) for batch in batches for image in batch[0].numpy()}
    assert len(drawn) == 2 * 8


def test_validation_is_weighted_as_the_loss_is(parts):
    training, validation = parts
    skewed = training.select(np.flatnonzero((training.labels == 0) | (np.arange(96) < 24)))
    frequency = skewed.counts["round"] / len(skewed)
    for balance in ("weights", "sampling"):
        batches = validation_batches(skewed, validation, TrainingSettings(balance=balance))
        images, targets, weights = next(iter(batches))
        assert np.array_equal(images, validation.images)
        round_ = targets.numpy().argmax(axis=1) == 0
        assert weights.numpy()[round_] == pytest.approx(0.5 / frequency)
        assert weights.numpy()[~round_] == pytest.approx(0.5 / (1 - frequency))


def test_the_same_seed_trains_the_same_model_and_no_global_seed_is_touched(parts):
    settings = TrainingSettings(epochs=2, batch_size=16)
    results = []
    for seed in (1, 1, 2):
        np.random.seed(0)  # noqa: NPY002  the global state that must stay as it is
        model = small_model(parts[0], seed=seed, dropout=0.3)
        results.append((train(model, *parts, settings=settings, seed=seed), model.get_weights()))
        assert np.random.rand() == pytest.approx(0.5488135039273248)  # noqa: NPY002
    # Threads add in any order on the CPU: equal to rounding, and bit-equal with --deterministic.
    assert results[0][0]["loss"] == pytest.approx(results[1][0]["loss"], rel=1e-4)
    assert results[0][0]["loss"] != pytest.approx(results[2][0]["loss"], rel=1e-4)


def test_the_weights_of_the_best_epoch_are_kept(parts):
    """A learning rate that grows a hundredfold ruins the later epochs."""
    training, validation = parts
    wild = keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([12], [0.02, 2.0]))
    model = small_model(training, normalization="none")
    settings = TrainingSettings(epochs=6, batch_size=24, optimizer=wild, augmentation=STILL, patience=None)
    history = train(model, training, validation, settings=settings)
    assert len(history["val_loss"]) == 6
    assert history["val_loss"][-1] > min(history["val_loss"])
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    targets = np.eye(2)[validation.labels]
    now = float(loss(targets, model.predict(validation.images, verbose=0)))
    assert now == pytest.approx(min(history["val_loss"]), rel=1e-4)


def test_patience_stops(parts):
    settings = TrainingSettings(
        epochs=40, patience=2, optimizer="sgd", learning_rate=1e-12, schedule="constant"
    )
    history = train(small_model(parts[0], normalization="none"), *parts, settings=settings)
    assert len(history["loss"]) < 40


def test_a_lost_loss_stops_with_a_remedy(parts):
    settings = TrainingSettings(epochs=3, optimizer="sgd", learning_rate=1e30, schedule="constant")
    with pytest.raises(FloatingPointError, match=r"a finite loss.*epoch=1.*Lower the learning rate"):
        train(small_model(parts[0], normalization="none"), *parts, settings=settings)


def test_the_cosine_schedule_warms_up_and_ends_at_zero():
    opt = optimizer(TrainingSettings(epochs=10, learning_rate=0.2), updates_per_epoch=40)
    rate = opt.get_config()["learning_rate"]
    schedule = keras.optimizers.schedules.deserialize(rate)
    at = [float(schedule(step)) for step in (0, 10, 20, 20 + 190, 400)]
    assert at == pytest.approx([0.002, 0.101, 0.2, 0.1, 0], abs=1e-6)


def test_optimizers_are_names_configurations_or_objects_and_mine_is_not_touched():
    configured = {"class_name": "SGD", "config": {"learning_rate": 0.3, "momentum": 0.9}}
    made = optimizer(TrainingSettings(optimizer=configured, schedule="constant"), updates_per_epoch=1)
    assert (float(made.learning_rate), made.momentum) == (pytest.approx(0.3), 0.9)
    mine = keras.optimizers.Adam(0.5)
    made = optimizer(
        TrainingSettings(optimizer=mine, learning_rate=0.25, schedule="constant"), updates_per_epoch=1
    )
    assert made is not mine
    assert (float(made.learning_rate), float(mine.learning_rate)) == (0.25, 0.5)
    with pytest.raises(ValueError, match="adamm"):
        optimizer(TrainingSettings(optimizer="adamm"), updates_per_epoch=1)


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"label_smoothing": 1.0}, {"schedule": "linear"}, {"learning_rate": -1.0}]
)
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match="Expected"):
        TrainingSettings(**settings)


def test_it_learns(trained, toy_dataset):
    """The model of the whole run tells round from thin on galaxies that it has not seen."""
    from tests.conftest import toy_images

    images, labels = toy_images(200, seed=99)
    guess = trained.model.predict(images, verbose=0).argmax(axis=1)
    assert np.mean(guess == labels) > 0.97
