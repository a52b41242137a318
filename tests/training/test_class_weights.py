"""Weights, sampling and the prior that each of them teaches."""

import numpy as np
import pytest

from galcnn.dataset import Dataset
from galcnn.model import InputSpec
from galcnn.training import class_frequency, trained_prior
from galcnn.training.class_weights import BALANCES, balanced_rows, class_weights


def dataset(counts):
    labels = np.repeat(np.arange(len(counts), dtype=np.int32), counts)
    n = len(labels)
    spec = InputSpec(("r",), "nJy", (8, 8))
    return Dataset(
        tuple(map(str, range(n))), np.zeros((n, 8, 8, 1), "float32"), labels, ("a", "b", "c"), spec
    )


def test_weights_go_with_the_inverse_frequency_and_have_mean_1():
    skewed = dataset([90, 9, 1])
    weights = class_weights(skewed, "weights")
    # Each class has the same total weight, a third of all.
    np.testing.assert_allclose(weights * [90, 9, 1], 100 / 3, rtol=1e-6)
    roots = class_weights(skewed, "sqrt-weights")
    np.testing.assert_allclose(roots[1] / roots[0], np.sqrt(10), rtol=1e-6)
    for balance in BALANCES:
        w = class_weights(skewed, balance)
        assert np.dot(w, [0.9, 0.09, 0.01]) == pytest.approx(1, rel=1e-6)


def test_the_trained_prior_is_frequency_times_weight():
    skewed = dataset([90, 9, 1])
    frequency = np.array(list(class_frequency(skewed).values()))
    for balance in ("none", "weights", "sqrt-weights"):
        expected = frequency * class_weights(skewed, balance)
        assert list(trained_prior(skewed, balance).values()) == pytest.approx(expected, rel=1e-6)
    drawn = skewed.labels[balanced_rows(skewed, 1)]
    assert np.bincount(drawn).tolist() == [90, 90, 90]
    assert list(trained_prior(skewed, "sampling").values()) == pytest.approx([1 / 3] * 3)


def test_sampling_uses_each_galaxy_and_as_evenly_as_it_can():
    rows = balanced_rows(dataset([90, 40, 7]), seed=3)
    times = np.bincount(rows, minlength=137)
    assert set(times[:90]) == {1}
    assert set(times[90:130]) == {2, 3}
    assert set(times[130:]) == {12, 13}
    assert np.array_equal(rows, balanced_rows(dataset([90, 40, 7]), seed=3))
    assert not np.array_equal(rows, balanced_rows(dataset([90, 40, 7]), seed=4))


def test_mirrors_change_what_the_loss_sees():
    """Half of the images are mirrored, and bear the class of their mirror image: a and b even out."""
    import tensorflow as tf

    from galcnn.training import Augmentation, TrainingSettings, training_batches

    skewed = dataset([1600, 300, 100])
    augmentation = Augmentation(rotations="quarter", flip_swaps={"a": "b"})
    for balance in BALANCES:
        settings = TrainingSettings(epochs=1, batch_size=500, balance=balance, augmentation=augmentation)
        seen = sum(
            tf.reduce_sum(y * w[:, None], 0).numpy()
            for _, y, w in training_batches(skewed, settings, 1).beginning_at(0)
        )
        prior = trained_prior(skewed, balance, augmentation.mirror_of(skewed.classes))
        assert seen / seen.sum() == pytest.approx(list(prior.values()), abs=0.03), balance
    still = Augmentation(flips=False, flip_swaps={"a": "b"})
    assert still.mirror_of(skewed.classes).tolist() == [0, 1, 2]


def test_a_class_without_images_is_refused():
    with pytest.raises(ValueError, match=r"classes_without=\['b'\]"):
        class_weights(dataset([5, 0, 5]), "weights")
    with pytest.raises(ValueError, match="balance among"):
        class_weights(dataset([5, 1, 5]), "focal")


def test_a_weighted_network_mended_by_its_prior_tells_the_truth():
    """The whole chain on a problem with a known answer: x ~ N(+-1, 1), 90 % and 10 %.

    Trained with weights the network answers for equal classes; adjusted back to the true prior
    its probability at x is Bayes' 0.1 / (0.1 + 0.9 exp(-2 x)).
    """
    import keras

    from galcnn.prediction import Prediction

    rng = np.random.default_rng(5)
    n = 40000
    truth = (rng.random(n) < 0.1).astype(np.int32)
    x = (rng.normal(size=n) + 2 * truth - 1).astype("float32")
    spec = InputSpec(("r",), "nJy", (1, 1))
    data = Dataset(tuple(map(str, range(n))), x.reshape(n, 1, 1, 1), truth, ("common", "rare"), spec)
    weights = class_weights(data, "weights")[truth]
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(2, kernel_initializer="zeros")])
    model.compile(keras.optimizers.Adam(0.05), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(x[:, None], truth, sample_weight=weights, batch_size=2000, epochs=12, verbose=0, shuffle=False)
    points = np.array([-1.0, 0.0, 1.0, 2.0], dtype="float32")
    logits = model.predict(points[:, None], verbose=0)
    prediction = Prediction(("1", "2", "3", "4"), logits, data.classes)
    mended = prediction.with_prior(class_frequency(data), trained_prior(data, "weights")).probabilities[:, 1]
    bayes = 0.1 / (0.1 + 0.9 * np.exp(-2 * points))
    assert prediction.probabilities[1, 1] == pytest.approx(0.5, abs=0.03)
    assert mended == pytest.approx(bayes, abs=0.03)
