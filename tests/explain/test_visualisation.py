"""Class models and filter visualisations: closed forms, independent checks, and an untouched model."""

import gc
import weakref

import keras
import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from galcnn._runtime.seeding import generator
from galcnn.explain import AscentSettings, ClassModels, FilterImages, filters
from galcnn.explain.network.visualisation import channel_gradient, channel_score
from galcnn.model import Card, InputSpec, Target, TrainedModel, assemble, fit_preprocessing
from galcnn.model.graph import network_layer
from tests.explain import builds
from tests.explain.builds import N_CLASSES, flat, mixed, nested, settle

IMAGES = builds.IMAGES[:3]

CLASSES = ("a", "b", "c")
TARGETS = [Target.of_class("b", CLASSES), Target.margin("c", "a", CLASSES)]


def a_model(network_of, stretch="asinh"):
    """A trained model of untrained parts: what is tested here needs no training."""
    inputs = keras.Input(IMAGES.shape[1:], name="stretched")
    network = settle(keras.Model(inputs, network_of(inputs), name="network"))
    images = IMAGES * 5 + 20
    card = Card(CLASSES, InputSpec(("g", "r"), "nJy", IMAGES.shape[1:3]))
    return TrainedModel(assemble(fit_preprocessing(images, stretch=stretch), network), card)


def a_linear_model(inside=False):
    def network(x):
        return keras.layers.Dense(N_CLASSES, name="logits")(keras.layers.Flatten()(x))

    def nested(x):
        inputs = keras.Input(x.shape[1:])
        return keras.Model(inputs, network(inputs), name="logits")(x)

    return a_model(nested if inside else network, stretch="linear")


def a_deep_model():
    return a_model(mixed)


def planes(weights):
    """(ny * nx * n_bands,) of a Dense kernel -> (n_bands, ny, nx)."""
    return np.moveaxis(weights.reshape(IMAGES.shape[1:]), -1, 0)


@pytest.mark.parametrize("inside", [False, True], ids=["flat", "nested"])
@pytest.mark.parametrize("start", ["zero", "noise"])
def test_of_a_linear_network_the_class_model_is_w_over_2_lambda(start, inside):
    trained = a_linear_model(inside)
    kernel, bias = network_layer(trained.network, "logits").layer.get_weights()
    made = ClassModels(start=start, ascent=AscentSettings(5, penalty=0.2))(trained, TARGETS)
    for synthesis, target in zip(made, TARGETS, strict=True):
        w = kernel @ np.array(target.weights)
        np.testing.assert_allclose(synthesis.image, planes(w) / 0.4, rtol=1e-4)
        assert synthesis.score == pytest.approx(w @ w / 0.4 + bias @ target.weights, rel=1e-4)
        assert synthesis.score == pytest.approx(np.dot(synthesis.logits, target.weights), rel=1e-5)
        assert (synthesis.method, synthesis.wrt, synthesis.unit) == ("class_model", "stretched", "")
        assert synthesis.settings["penalty"] == 0.2
    np.testing.assert_array_equal(made[0].start == 0, np.full(made[0].start.shape, start == "zero"))


def test_in_flux_the_weights_are_seen_through_the_scaling_and_light_is_not_negative():
    trained = a_linear_model()  # no stretch: flux enters divided by the deviation of its band
    kernel, _ = trained.network.get_layer("logits").get_weights()
    deviation = np.asarray(trained.preprocessing.get_layer("standardize").deviation)[:, None, None]
    ascent = AscentSettings(5, penalty=0.01)
    (free,) = ClassModels(wrt="flux", ascent=ascent)(trained, TARGETS[:1])
    (lit,) = ClassModels(wrt="flux", nonnegative=True, ascent=ascent)(trained, TARGETS[:1])
    expected = planes(kernel[:, 1]) / deviation / 0.02
    np.testing.assert_allclose(free.image, expected, rtol=1e-4)
    np.testing.assert_allclose(lit.image, np.maximum(expected, 0), rtol=1e-4)
    assert (lit.wrt, lit.unit) == ("flux", "nJy")


@pytest.mark.parametrize("inside", [False, True], ids=["flat", "nested"])
def test_with_a_box_each_pixel_sits_at_the_bound_that_the_sign_of_w_chooses(inside):
    trained = a_linear_model(inside)
    kernel, _ = network_layer(trained.network, "logits").layer.get_weights()
    bounds = AscentSettings(5, penalty=0, lower=-9, upper=7)
    for nonnegative, low in ((True, 0), (False, -9)):
        method = ClassModels(wrt="flux", nonnegative=nonnegative, ascent=bounds)
        (boxed,) = method(trained, TARGETS[:1])
        np.testing.assert_allclose(boxed.image, np.where(planes(kernel[:, 1]) > 0, 7, low), rtol=0)


def test_scores_and_success_are_those_of_an_independent_prediction():
    trained = a_deep_model()
    for method in (ClassModels(), ClassModels(wrt="flux", ascent=AscentSettings(50, contrast=20.0))):
        for synthesis in method(trained, [Target.of_class(c, CLASSES) for c in CLASSES]):
            model = trained.network if synthesis.wrt == "stretched" else trained.model
            image = np.moveaxis(synthesis.image, 0, -1)[np.newaxis]
            logits = model.predict(image, verbose=0)[0]
            np.testing.assert_allclose(synthesis.logits, logits, rtol=1e-3, atol=1e-4)
            assert synthesis.success == (CLASSES[logits.argmax()] == synthesis.target.name)
            assert synthesis.gain > 0
            rms = np.sqrt(np.mean(synthesis.image.astype(float) ** 2))
            assert rms <= method.ascent.contrast * (1 + 1e-5)


def test_a_failure_is_called_one():
    """Steps too small to change the answer: no success is claimed."""
    trained = a_deep_model()
    made = ClassModels(ascent=AscentSettings(3, contrast=1e-5))(
        trained, [Target.of_class(c, CLASSES) for c in CLASSES]
    )
    assert sum(synthesis.success for synthesis in made) == 1, "zero belongs to one class only"


def test_noise_is_keyed_by_seed_and_target():
    trained = a_deep_model()
    both = ClassModels(start="noise", seed=3)(trained, TARGETS)
    (second,) = ClassModels(start="noise", seed=3)(trained, TARGETS[1:])
    np.testing.assert_array_equal(second.start, both[1].start)
    np.testing.assert_allclose(second.image, both[1].image, rtol=1e-3, atol=1e-4)
    drawn = generator(3, "synthesis", "b").normal(0, 0.1, (12, 10, 2))
    np.testing.assert_allclose(both[0].start, np.moveaxis(drawn, -1, 0), rtol=1e-6)
    (other,) = ClassModels(start="noise", seed=4)(trained, TARGETS[:1])
    assert not np.array_equal(other.start, both[0].start)
    assert (other.seed, ClassModels()(trained, TARGETS[:1])[0].seed) == (4, None)


def test_a_blurred_class_model_is_no_sharper_than_its_psf():
    trained = a_linear_model()
    kernel, _ = trained.network.get_layer("logits").get_weights()
    (made,) = ClassModels(ascent=AscentSettings(3, penalty=0.5, blur=1.0))(trained, TARGETS[:1])
    w = planes(kernel[:, 1]).astype(float)
    twice = gaussian_filter(gaussian_filter(w, (0, 1, 1)), (0, 1, 1))
    np.testing.assert_allclose(made.image, twice, rtol=1e-3, atol=1e-6)


def test_of_a_first_convolution_the_filter_image_is_the_kernel_itself():
    """The cell at the centre is linear in its window: the best image is the kernel, in its place."""
    trained = a_deep_model()
    made = FilterImages("first", ascent=AscentSettings(5, penalty=0.5))(trained, [2, 0])
    for synthesis, number in zip(made, (2, 0), strict=True):
        kernel = filters(trained.network)["first"].kernels[number]
        expected = np.zeros((2, 12, 10), "float32")
        expected[:, 5:8, 4:7] = kernel  # about the cell (6, 5)
        np.testing.assert_allclose(synthesis.image, expected, rtol=1e-5, atol=1e-6)
        bias = filters(trained.network)["first"].bias[number]
        assert synthesis.score == pytest.approx(np.sum(kernel.astype(float) ** 2) + bias, rel=1e-4)
        assert (synthesis.network_layer, synthesis.target.name) == ("first", f"filter {number}")
        assert synthesis.success


@pytest.mark.parametrize("place", ["centre", "mean"])
def test_scores_of_deeper_filters_grow_and_are_their_activations(place):
    from galcnn.explain import activations

    trained = a_deep_model()
    for layer in ("norm", "last", "gap", "logits"):
        for synthesis in FilterImages(layer, place=place, ascent=AscentSettings(30))(trained, [0, 1]):
            image = np.moveaxis(synthesis.image, 0, -1)[np.newaxis]
            channel = synthesis.target.weights.index(1)
            cells = activations(trained.network, image, layers=[layer])[layer][0, ..., channel]
            centre = cells if cells.ndim == 0 else cells[cells.shape[0] // 2, cells.shape[1] // 2]
            expected = centre if place == "centre" else cells.mean()
            assert synthesis.score == pytest.approx(float(expected), rel=1e-4, abs=1e-6)
            assert synthesis.success == (synthesis.score > synthesis.start_score)
            assert synthesis.success


def test_gradients_of_channels_are_central_differences():
    network, weights = flat(of=mixed), np.array([[1.0, 0, -2, 0, 0, 0.5]], "float32")
    for place in ("centre", "mean"):
        scores, gradient = channel_gradient(network, IMAGES[:1], weights, layer="last", place=place)
        assert scores == pytest.approx(
            channel_score(network, IMAGES[:1], weights, layer="last", place=place), rel=1e-4
        )
        for where in [(6, 5, 0), (2, 3, 1), (7, 4, 0)]:
            step = np.zeros_like(IMAGES[:1])
            step[(0, *where)] = 2e-3
            up, down = (
                channel_score(network, IMAGES[:1] + s * step, weights, layer="last", place=place)[0]
                for s in (1, -1)
            )
            assert (up - down) / 4e-3 == pytest.approx(gradient[(0, *where)], rel=0.05, abs=2e-3)
    inside = channel_gradient(nested(of=mixed), IMAGES[:1], weights, layer="middle/inner/last", place="mean")
    np.testing.assert_allclose(inside[1], gradient, rtol=1e-4, atol=1e-7)
    short = channel_gradient(nested(of=mixed), IMAGES[:1], weights, layer="last", place="mean")
    np.testing.assert_array_equal(short[1], inside[1])


def test_the_model_is_left_as_it_was_and_freed():
    trained = a_deep_model()
    before = trained.model.get_weights()
    nodes = [len(layer._inbound_nodes) for layer in trained.network.layers]
    ClassModels(ascent=AscentSettings(3))(trained, TARGETS)
    ClassModels(wrt="flux", ascent=AscentSettings(3))(trained, TARGETS)
    FilterImages("last", ascent=AscentSettings(3))(trained, [0])
    assert all(np.array_equal(a, b) for a, b in zip(before, trained.model.get_weights(), strict=True))
    assert nodes == [len(layer._inbound_nodes) for layer in trained.network.layers]
    gone = weakref.ref(trained.model), weakref.ref(trained.network)
    del trained
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_what_cannot_be_is_refused():
    trained = a_deep_model()
    with pytest.raises(ValueError, match="filters from 0 to 5"):
        FilterImages("last")(trained, [6])
    with pytest.raises(ValueError, match="a network layer among"):
        FilterImages("lst")(trained, [0])
    with pytest.raises(ValueError, match="start among"):
        ClassModels(start="galaxy")
    with pytest.raises(ValueError, match="place among"):
        FilterImages("last", place="edge")
    with pytest.raises(ValueError, match="with 3 weights"):
        ClassModels()(trained, [Target("t", (1.0,))])
