"""The strongest activations of a feature map: found, projected back from the one cell, and cropped."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from galcnn.explain import activations, strongest_activations
from galcnn.model import NetworkSettings, build_network
from tests.explain import builds
from tests.explain.builds import IMAGES


def responses(network, layer, images=IMAGES):
    return np.asarray(keras.Model(network.input, network.get_layer(layer).output)(images))


def test_the_images_the_values_and_the_cells_are_those_of_the_layer():
    network = builds.flat()
    features = responses(network, "side")
    found = strongest_activations(network, IMAGES, network_layer="side", n=3)
    assert [one.feature for one in found] == [0, 1, 2, 3]
    for one in found:
        peaks = features[..., one.feature].max((1, 2))
        assert one.images.tolist() == np.argsort(-peaks)[:3].tolist()
        np.testing.assert_allclose(one.values, np.sort(peaks)[::-1][:3], rtol=1e-5)
        for image, (y, x), value in zip(one.images, one.cells, one.values, strict=True):
            assert features[image, y, x, one.feature] == pytest.approx(value, rel=1e-5)


def test_the_seed_is_the_value_of_one_activation_and_the_map_stays_in_its_field():
    """Of one convolution the deconvnet map is the value times the kernel, laid on the field."""
    inputs = keras.Input((12, 10, 2))
    x = keras.layers.Conv2D(3, 3, activation="relu", name="only")(inputs)
    network = builds.settle(
        keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))
    )
    kernel = np.asarray(network.get_layer("only").kernel)
    for one in strongest_activations(network, IMAGES, network_layer="only", n=2):
        crops = one.crops(IMAGES)
        for map_, box, value, crop, image in zip(
            one.maps, one.boxes, one.values, crops, one.images, strict=True
        ):
            np.testing.assert_allclose(map_[box], value * kernel[..., one.feature], rtol=1e-4, atol=1e-6)
            outside = map_.copy()
            outside[box] = 0
            assert not outside.any()
            np.testing.assert_array_equal(crop, IMAGES[image][box])
            assert crop.shape == (3, 3, 2)


def test_nested_and_flat_networks_have_the_same():
    flat = strongest_activations(builds.flat(), IMAGES, network_layer="last", features=[2, 5])
    nested = strongest_activations(builds.nested(), IMAGES, network_layer="last", features=[2, 5])
    assert nested[0].network_layer == "middle/inner/last"
    for a, b in zip(flat, nested, strict=True):
        assert len(a.images) == 4, "nine are asked for, and there are four"
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_allclose(a.maps, b.maps, rtol=1e-4, atol=1e-6)
        assert a.boxes == b.boxes


def test_what_cannot_be_found_is_refused():
    network = builds.flat()
    for words in (
        {"network_layer": "logits"},
        {"network_layer": "last", "features": [6]},
        {"network_layer": "last", "n": 0},
    ):
        with pytest.raises(ValueError, match="a layer with feature maps"):
            strongest_activations(network, IMAGES, **words)
    with pytest.raises(ValueError, match=r"a network layer among first.*network_layer='nowhere'"):
        strongest_activations(network, IMAGES, network_layer="nowhere")
    with pytest.raises(ValueError, match="whose layers can be seen"):
        strongest_activations(builds.subclassed(), IMAGES, network_layer="last")


@pytest.mark.parametrize("layer", ["conv1_1_activation", "orientation_mean"])
def test_of_a_network_of_orientations_the_images_as_they_stand_are_searched(layer):
    """A feature map inside has 4 rows an image; it is that of the same network without orientations."""
    images = np.random.default_rng(0).normal(size=(5, 16, 16, 2)).astype("float32")
    settings = NetworkSettings(widths=(4, 6), stem=0, orientations=4)
    network = build_network((16, 16, 2), 3, settings=settings, seed=1)
    (found,) = strongest_activations(network, images, network_layer=layer, features=[2], n=3)
    if layer == "orientation_mean":
        features = responses(network, layer, images)
    else:
        plain = build_network((16, 16, 2), 3, settings=replace(settings, orientations=1), seed=1)
        plain.set_weights(network.get_weights())
        features = responses(plain, layer, images)
        (expected,) = strongest_activations(plain, images, network_layer=layer, features=[2], n=3)
        np.testing.assert_allclose(found.maps, expected.maps, rtol=1e-4, atol=1e-6)
        assert found.boxes == expected.boxes
        np.testing.assert_allclose(activations(network, images, layers=[layer])[layer], features, rtol=1e-4)
    peaks = features[..., 2].max((1, 2))
    assert found.images.tolist() == np.argsort(-peaks)[:3].tolist()
    np.testing.assert_allclose(found.values, np.sort(peaks)[::-1][:3], rtol=1e-4)
