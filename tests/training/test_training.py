"""Training: what is fed, what is kept, and that the same seed gives the same model."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from galcnn.model import NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.training import Augmentation, Schedule, TrainingSettings, fit, training_batches
from galcnn.training.batches import validation_batches
from galcnn.training.training import _joined


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


def epochs_of(training, settings, n, *, first=0):
    """Images, targets and weights of each of n epochs, joined over its batches."""
    batches = training_batches(training, replace(settings, epochs=first + n), seed=1)
    found = [tuple(t.numpy() for t in batch) for batch in batches.beginning_at(first)]
    assert len(found) == n * batches.per_epoch
    parts = [found[i * batches.per_epoch : (i + 1) * batches.per_epoch] for i in range(n)]
    return [tuple(np.concatenate(part) for part in zip(*epoch, strict=True)) for epoch in parts]


def test_an_epoch_depends_on_its_number_and_the_seed_alone(parts):
    """What is fed from the third epoch on is what a training from the start is fed there."""
    settings = TrainingSettings(batch_size=20)
    whole, later = epochs_of(parts[0], settings, 4), epochs_of(parts[0], settings, 2, first=2)
    for one, other in zip(whole[2:], later, strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert not np.array_equal(whole[0][0], whole[1][0])


def test_an_epoch_shows_each_image_once_with_its_label(parts):
    training, _ = parts
    settings = TrainingSettings(batch_size=20, augmentation=STILL)
    seen = epochs_of(training, settings, 2)
    where = {image.tobytes(): label for image, label in zip(training.images, training.labels, strict=True)}
    for images, targets, weights in seen:
        assert {image.tobytes() for image in images} == set(where)
        assert [where[image.tobytes()] for image in images] == targets.argmax(axis=1).tolist()
        assert np.all(weights == 1)
    assert not np.array_equal(seen[0][0], seen[1][0]), "each epoch has an order of its own"


def test_each_epoch_draws_other_orientations(parts):
    training, _ = parts
    settings = TrainingSettings(epochs=80, augmentation=Augmentation(rotations="quarter"))
    batches = training_batches(training.select([0, 1]), settings, seed=1)
    drawn = {image.tobytes() for batch in batches.beginning_at(0) for image in batch[0].numpy()}
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
        results.append((fit(model, *parts, settings=settings, seed=seed), model.get_weights()))
        assert np.random.rand() == pytest.approx(0.5488135039273248)  # noqa: NPY002
    # Threads add in any order on the CPU: equal to rounding, and bit-equal if deterministic.
    assert results[0][0]["loss"] == pytest.approx(results[1][0]["loss"], rel=1e-4)
    assert results[0][0]["loss"] != pytest.approx(results[2][0]["loss"], rel=1e-4)


def test_the_weights_of_the_best_epoch_are_kept(parts):
    """A learning rate that grows a hundredfold ruins the later epochs."""
    training, validation = parts
    wild = keras.optimizers.SGD(keras.optimizers.schedules.PiecewiseConstantDecay([12], [0.02, 2.0]))
    model = small_model(training, normalization="none")
    settings = TrainingSettings(
        epochs=6, batch_size=24, optimizer=wild, augmentation=STILL, patience=None, label_smoothing=0.0
    )
    history = fit(model, training, validation, settings=settings)
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
    history = fit(small_model(parts[0], normalization="none"), *parts, settings=settings)
    assert len(history["loss"]) < 40


def test_a_lost_loss_stops_with_a_remedy(parts):
    settings = TrainingSettings(epochs=3, optimizer="sgd", learning_rate=1e30, schedule="constant")
    with pytest.raises(FloatingPointError, match=r"a finite loss.*epoch=1.*Lower the learning rate"):
        fit(small_model(parts[0], normalization="none"), *parts, settings=settings)


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


def test_penalties_take_no_part_in_the_choice_of_the_best_epoch(parts):
    """With a huge penalty the loss is all penalty, and falls; the cross-entropy chooses."""
    model = small_model(parts[0], normalization="none", l2=3.0)
    settings = TrainingSettings(epochs=4, optimizer="sgd", learning_rate=0.05, augmentation=STILL)
    history = fit(model, *parts, settings=settings)
    assert np.all(np.diff(history["val_loss"]) < 0)
    assert np.all(np.array(history["val_loss"]) > np.array(history["val_cross_entropy"]) + 1)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, label_smoothing=settings.label_smoothing)
    now = float(loss(np.eye(2)[parts[1].labels], model.predict(parts[1].images, verbose=0)))
    assert now == pytest.approx(min(history["val_cross_entropy"]), rel=1e-4)


def test_the_rate_falls_on_a_plateau_and_users_callbacks_are_called(parts):
    class Mine(keras.callbacks.Callback):
        rates = ()

        def on_epoch_end(self, epoch, logs=None):
            self.rates = (*self.rates, float(self.model.optimizer.learning_rate))

    mine = Mine()
    settings = TrainingSettings(
        epochs=5,
        optimizer="sgd",
        # No weight moves by a bit, so that the loss is the same on every machine: all but the first epoch are
        # a plateau.
        learning_rate=1e-30,
        schedule=Schedule("plateau", factor=0.5, patience=2),
        augmentation=STILL,
    )
    model = small_model(parts[0], normalization="none", dropout=0.0)
    history = fit(model, *parts, settings=settings, callbacks=[mine])
    assert history["learning_rate"] == pytest.approx([1e-30, 1e-30, 1e-30, 0.5e-30, 0.5e-30], rel=1e-5, abs=0)
    assert mine.rates == pytest.approx([1e-30, 1e-30, 0.5e-30, 0.5e-30, 0.25e-30], rel=1e-5, abs=0)


def test_the_rate_of_a_schedule_stands_in_the_history(parts):
    settings = TrainingSettings(
        epochs=3, optimizer="sgd", learning_rate=1e-3, schedule=Schedule("step", factor=0.5, every=1)
    )
    history = fit(small_model(parts[0]), *parts, settings=settings)
    # At the end of an epoch the next update is the first of the next one.
    assert history["learning_rate"] == pytest.approx([0.5e-3, 0.25e-3, 0.125e-3], rel=1e-5)


def test_a_checkpoint_that_did_not_record_the_rate_goes_on():
    before, after = {"loss": [3.0, 2.0]}, {"loss": [1.0], "learning_rate": [1e-3]}
    joined = _joined(before, 2, after)
    assert joined["loss"] == [3, 2, 1]
    np.testing.assert_array_equal(joined["learning_rate"], [np.nan, np.nan, 1e-3])
    again = _joined(after, 1, {"loss": [0.5]})
    np.testing.assert_array_equal(again["learning_rate"], [1e-3, np.nan])
