"""What gradients need of a network, and that it comes out as it went in: traps of libraries of today."""

import gc
import subprocess
import sys
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.explain import CAM, Context, GradCAM, InputXGradient, Saliency, SmoothGrad, explain
from galcnn.model import NetworkSettings, Target, assemble, build_network, fit_preprocessing
from galcnn.model.forward import batches, images_per_batch
from galcnn.model.gradients import target_gradient, target_weights
from galcnn.model.logits import check_ends_in_logits
from tests.explain import builds
from tests.explain.builds import IMAGES, SHAPE, TARGET


def test_the_gradient_comes_with_the_scores():
    network, _ = builds.linear()
    slope, scores = target_gradient(network, IMAGES, TARGET)
    np.testing.assert_allclose(scores, np.asarray(network(IMAGES)) @ TARGET.weights, rtol=1e-4, atol=1e-5)
    assert slope.shape == IMAGES.shape


def test_flux_and_stretched_maps_obey_the_chain_rule():
    """d logit / d flux = d logit / d stretched times the slope of the stretch, pixel by pixel."""
    images = (np.random.default_rng(0).normal(size=(6, 16, 16, 2)) * 5 + 20).astype("float32")
    preprocessing = fit_preprocessing(images)
    network = build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(4, 8)), seed=1)
    model = assemble(preprocessing, network)
    target = Target("t", (1.0, -1.0))
    inner = Saliency()(network, preprocessing.predict(images, verbose=0), target)
    outer = Saliency()(model, images, target)
    softening = np.asarray(preprocessing.get_layer("asinhstretch").softening)
    deviation = np.asarray(preprocessing.get_layer("standardize").deviation)
    slope = 1 / np.sqrt(images**2 + softening**2) / deviation
    np.testing.assert_allclose(outer, inner * slope, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("method", **builds.named())
def test_the_users_model_comes_out_as_it_went_in(method, nested):
    """With dropout, whose seed would move, batch norm, whose averages would, and a loss of activations."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, activity_regularizer=keras.regularizers.L2(0.1))(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.Dropout(0.5, seed=3)(keras.layers.GlobalAveragePooling2D()(x))
    network = keras.Model(inputs, keras.layers.Dense(3)(x))
    network.layers[1].trainable = False
    if nested:
        outer = keras.Input(SHAPE)
        network = keras.Model(outer, network(outer))
    builds.settle(network, seed=2)
    network.compile("adam", "mse")
    network.fit(IMAGES, np.zeros((4, 3)), verbose=0)
    network(IMAGES)
    before = builds.state(network)
    opposite = Target("opposite", tuple(-w for w in TARGET.weights))
    # Some methods keep one sign only.
    target = TARGET if np.any(method(network, IMAGES, TARGET)) else opposite
    first = method(network, IMAGES, target)
    assert np.any(first)
    after = builds.state(network)
    assert {key for key in before if before[key] != after[key]} == set()
    # What Keras keeps for the last call is no tensor of a graph that is gone.
    assert all(np.isfinite(float(loss)) for loss in network.losses)
    np.testing.assert_array_equal(method(network, IMAGES, target), first)
    network.fit(IMAGES, np.zeros((4, 3)), verbose=0)
    assert not np.array_equal(method(network, IMAGES, target), first), "a trained network is looked at anew"


def test_the_input_is_not_written_to():
    images = IMAGES.copy()
    images.flags.writeable = False
    for method in builds.METHODS:
        maps = method(builds.flat(), images, TARGET)
        assert not np.shares_memory(maps, images)


@pytest.mark.parametrize("method", **builds.named())
def test_a_dropped_network_is_freed(method):
    network = builds.flat()
    method(network, IMAGES, TARGET)
    gone = weakref.ref(network)
    del network
    gc.collect()
    assert gone() is None


def test_a_network_at_the_address_of_a_dropped_one_has_its_own_maps():
    """A cache keyed by id() would give the first network's map to all that follow."""
    slopes = []
    for seed in range(4):
        network, weights = builds.linear()
        builds.settle(network, seed)
        slopes.append(Saliency()(network, IMAGES[:1], Target("t", (1, 0, 0))).ravel())
        np.testing.assert_allclose(slopes[-1], np.asarray(network.weights[0])[:, 0], rtol=1e-5)
        del network, weights
        gc.collect()
    assert len({slope.tobytes() for slope in slopes}) == 4


@pytest.mark.parametrize("method", **builds.named())
def test_a_squashed_output_is_refused_however_it_is_spelled(method):
    base = builds.flat()
    squashed = {
        "argument": keras.layers.Dense(3, activation="softmax")(base.get_layer("gap").output),
        "sigmoid": keras.layers.Dense(3, activation="sigmoid")(base.get_layer("gap").output),
        "layer": keras.layers.Softmax()(base.output),
        "activation": keras.layers.Activation("softmax")(base.output),
        "function": keras.ops.softmax(base.output),
        "log": keras.ops.log_softmax(base.output),
        "shaped": keras.layers.Reshape((3,))(keras.layers.Softmax()(base.output)),
    }
    for output in squashed.values():
        expected = "logits|GlobalAveragePooling2D and Dense" if method.name == "cam" else "logits"
        with pytest.raises(ValueError, match=f"Expected a network that ends in ({expected})"):
            method(keras.Model(base.input, output), IMAGES, TARGET)
        if method.name == "saliency":
            with pytest.raises(ValueError, match="last_operation="):
                check_ends_in_logits(keras.Model(base.input, output))
    inputs = keras.Input(SHAPE)
    with pytest.raises(ValueError, match="ends in"):
        method(keras.Model(inputs, keras.Model(base.input, squashed["layer"])(inputs)), IMAGES, TARGET)


def test_what_cannot_be_differentiated_is_refused():
    inputs = keras.Input(SHAPE, dtype="uint8")
    x = keras.layers.Rescaling(1 / 255)(inputs)
    whole = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    with pytest.raises(ValueError, match=r"depend on the image by differentiable.*floats"):
        Saliency()(whole, IMAGES, TARGET)
    base = builds.flat()
    with pytest.raises(ValueError, match="one output of shape"):
        Saliency()(keras.Model(base.input, [base.output, base.output]), IMAGES, TARGET)
    with pytest.raises(ValueError, match="one output of shape"):
        Saliency()(keras.Model(base.input, base.get_layer("pool").output), IMAGES, TARGET)


def test_images_and_targets_that_do_not_fit_are_refused():
    network = builds.flat()
    for images in (IMAGES[0], IMAGES[:0], IMAGES[..., :1], IMAGES[:, :8]):
        with pytest.raises(ValueError, match="at least one image, of shape"):
            Saliency()(network, images, TARGET)
    with pytest.raises(ValueError, match="with 3 weights"):
        Saliency()(network, IMAGES, Target("t", (1, 0)))
    with pytest.raises(ValueError, match="one for each of 4 images"):
        Saliency()(network, IMAGES, [TARGET] * 3)
    with pytest.raises(ValueError, match="one id for each of 4"):
        SmoothGrad(noise=1.0)(network, IMAGES, TARGET, context=Context(ids=("a",)))


def test_a_network_for_any_size_is_traced_for_each():
    inputs = keras.Input((None, None, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    network = builds.settle(
        keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    )
    for side in (8, 11):
        images = np.random.default_rng(0).normal(size=(2, side, side, 2)).astype("float32")
        for method in (Saliency(), CAM(), GradCAM(), InputXGradient(), SmoothGrad(n=2, noise=0.1)):
            maps = method(network, images, TARGET)
            assert maps.shape == images.shape
            assert np.all(np.isfinite(maps))


def test_many_images_are_cut_into_batches_of_as_many_pixels():
    assert list(batches(5, 2)) == [slice(0, 2), slice(2, 4), slice(4, 5)]
    assert images_per_batch((64, 64, 3)) == 64
    assert images_per_batch((2000, 2000, 1)) == 1
    network = builds.sequential((8, 8, 1))
    images = np.random.default_rng(0).normal(size=(4500, 8, 8, 1)).astype("float32")
    assert len(images) > images_per_batch(images.shape[1:])
    maps = Saliency()(network, images, TARGET)
    np.testing.assert_allclose(maps[[0, 4499]], Saliency()(network, images[[0, 4499]], TARGET), rtol=1e-4)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux' /proc")
def test_memory_does_not_grow_with_the_number_of_samples_or_steps():
    """Peak memory of a process after 64 samples of 8 images, and after 640."""
    script = """
from pathlib import Path
import numpy as np
from galcnn.explain import IntegratedGradients, Occlusion, SmoothGrad, Target
from galcnn.model import NetworkSettings, build_network

network = build_network((64, 64, 3), 3, settings=NetworkSettings(widths=(8, 8), depth=1, stem=8))
images = np.random.default_rng(0).normal(size=(8, 64, 64, 3)).astype("float32")
target = Target("t", (1, 0, 0))
for few, many in (
    (SmoothGrad(64), SmoothGrad(640)),
    (IntegratedGradients(64), IntegratedGradients(640)),
    (Occlusion(8, 8), Occlusion(8, 2)),
):
    for method in (few, few, many):
        method(network, images, target)
        # Not ru_maxrss, which a process inherits from the one that starts it.
        peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
        print(method.name, int(peak) / 1024)
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=300
    )
    peaks = [float(line.split()[1]) for line in result.stdout.splitlines()]
    # All 640 copies of 8 images at once would be 1.3 GB in the first layer alone.
    for _, twice, many in zip(peaks[::3], peaks[1::3], peaks[2::3], strict=True):
        assert many - twice < 60, result.stdout


def targets_of(found):
    network = builds.flat()
    return target_weights(network, found, IMAGES)


@pytest.mark.parametrize(
    ("given", "weights"),
    [
        (1, [[0, 1, 0]] * 4),
        (np.int64(2), [[0, 0, 1]] * 4),
        ("1", [[0, 1, 0]] * 4),
        ("2-0", [[-1, 0, 1]] * 4),
        ([0, "1", np.int32(2), Target("own", (0.5, 0, 0))], [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.5, 0, 0]]),
        (np.array([0, 1, 2, 0]), [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]),
        (tf.constant([0, 1, 2, 0]), [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]),
        (tf.constant(1), [[0, 1, 0]] * 4),
        (tf.constant([0.5, -1.0, 0.0]), [[0.5, -1, 0]] * 4),
        (np.eye(3)[[2, 1, 0, 2]], [[0, 0, 1], [0, 1, 0], [1, 0, 0], [0, 0, 1]]),
    ],
)
def test_targets_are_class_numbers_names_or_tensors(given, weights):
    np.testing.assert_array_equal(targets_of(given), weights)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (3, "a class number from 0 to 2"),
        ("spiral", "a class among"),
        (np.array([0, 1]), "one target, or one for each of 4"),
        (np.zeros(3), "finite weights, not all zero"),
        (np.ones(2), "one weight for each"),
        (np.array([True, False, True, True]), "the name or number of a class"),
        (1.5, "the name or number of a class"),
    ],
)
def test_other_targets_are_refused_with_a_sentence(given, said):
    with pytest.raises((TypeError, ValueError), match=said):
        targets_of(given)


def test_networks_of_several_inputs_or_outputs_are_refused_with_a_sentence():
    first, second = keras.Input(IMAGES.shape[1:], name="image"), keras.Input((2,), name="redshift")
    flat = keras.layers.Flatten()(first)
    logits, other = keras.layers.Dense(3)(flat), keras.layers.Dense(2)(flat)
    two = keras.Model([first, second], keras.layers.Concatenate()([logits, second]))
    with pytest.raises(ValueError, match=r"one input, the image.*'redshift'"):
        target_weights(two, 0, IMAGES)
    with pytest.raises(ValueError, match=r"one input, the image.*'redshift'"):
        explain(two, IMAGES)
    for outputs in ([logits, other], {"a": logits, "b": other}):
        with pytest.raises(ValueError, match="one output of shape"):
            target_weights(keras.Model(first, outputs), 0, IMAGES)
        with pytest.raises(ValueError, match="one output of shape"):
            explain(keras.Model(first, outputs), IMAGES)
    with pytest.raises(ValueError, match="one tensor of logits"):
        target_gradient(keras.Model(first, {"a": logits}), IMAGES, 0)


def test_probabilities_of_a_form_that_the_graph_hides_are_found_by_their_sums():
    class Sparsemax(keras.layers.Layer):
        def call(self, inputs):
            weights = keras.ops.power(keras.ops.abs(inputs), 1.5)
            return keras.ops.einsum("nk,n->nk", weights, 1 / keras.ops.sum(weights, axis=-1))

    inputs = keras.Input(IMAGES.shape[1:])
    network = keras.Model(inputs, Sparsemax()(keras.layers.Dense(3)(keras.layers.Flatten()(inputs))))
    with pytest.raises(ValueError, match="ends in logits"):
        target_gradient(network, IMAGES, 0)
