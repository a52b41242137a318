"""Networks of keras.applications: any bands, no rescaling of their own, seeded, and explained."""

import keras
import numpy as np
import pytest

from galcnn.explain import CAM
from galcnn.model import NetworkSettings, Target, build_network
from galcnn.model.applications import application_names

IMAGES = np.random.default_rng(0).normal(size=(2, 32, 32, 5)).astype("float32")
#: With squeeze-and-excitation and a rescaling that can be switched off.
SMALL = ("MobileNetV3Small",)
#: One of each other family that accepts 32 pixels.
OTHERS = (
    "ConvNeXtTiny",
    "DenseNet121",
    "EfficientNetB0",
    "EfficientNetV2B0",
    "MobileNet",
    "MobileNetV2",
    "ResNet50",
)
OTHERS += ("ResNet50V2", "VGG16")


#: Of each family one. ConvNeXt keeps layers in models of their own; Xception and Inception name few.
FAMILIES = (*SMALL, *OTHERS, "InceptionResNetV2", "InceptionV3", "NASNetMobile", "Xception")
QUICK = (*SMALL, "ConvNeXtTiny", "Xception")


def network(name, seed=1, size=32, **settings):
    return build_network(
        (size, size, 5), 3, settings=NetworkSettings(architecture=name, **settings), seed=seed
    )


def check(name, tmp_path):
    model = network(name)
    assert model.layers[-1].name == "logits"
    flat = model._flatten_layers()
    assert not [x for x in flat if isinstance(x, keras.layers.Rescaling | keras.layers.Normalization)]
    logits = model.predict(IMAGES, verbose=0)
    assert np.all(np.isfinite(logits))
    scale = np.abs(logits).max()  # untrained and with moving averages of 0 and 1, some give 1e-10
    assert np.abs(logits[0] - logits[1]).max() > 1e-3 * scale
    assert network(name).count_params() == model.count_params()
    for ours, theirs in zip(network(name).get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    # The logits begin near zero; another network, since the call moves the averages of batch norm.
    assert 0 < np.abs(np.asarray(network(name)(IMAGES, training=True))).max() < 0.1
    model.save(tmp_path / "m.keras")
    back = keras.saving.load_model(tmp_path / "m.keras", compile=False, safe_mode=True)
    assert np.array_equal(back.predict(IMAGES, verbose=0), logits)
    coarse = CAM().fine_and_coarse(model, IMAGES, Target.of_class("a", "abc"))[1]
    np.testing.assert_allclose(coarse.mean(axis=(1, 2)), logits[:, 0], atol=1e-3 * scale)
    return model


@pytest.mark.parametrize("name", SMALL)
def test_small_ones_are_built_seeded_saved_and_explained(name, tmp_path):
    model = check(name, tmp_path)
    kernels = [w for w in model.trainable_weights if w.path.endswith("kernel") and w.ndim == 4]
    others = network(name, seed=2).trainable_weights
    assert all(
        not np.array_equal(a, b)
        for a, b in zip(
            kernels, (w for w in others if w.path.endswith("kernel") and w.ndim == 4), strict=True
        )
    )
    norms = [x for x in model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
    assert {x.momentum for x in norms} == {0.9}


@pytest.mark.full
@pytest.mark.parametrize("name", OTHERS)
def test_other_families_are_built_seeded_saved_and_explained(name, tmp_path):
    check(name, tmp_path)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.full) for name in FAMILIES]
)
def test_one_seed_gives_one_network_and_another_seed_other_kernels(name):
    """With the same names too: Keras counts layers that have none over the whole process."""
    size = 75 if name in ("InceptionResNetV2", "InceptionV3", "Xception") else 32
    one, again, other = (network(name, seed, size) for seed in (1, 1, 2))
    names = [[layer.name for layer in model._flatten_layers() if layer.weights] for model in (one, again)]
    assert names[0] == names[1]
    for ours, theirs, others in zip(one.weights, again.weights, other.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs, ours.path)
        if ours.ndim > 1:
            assert not np.array_equal(ours, others), ours.path


def test_an_image_is_not_rescaled_by_the_network_itself():
    """EfficientNet divides by 255 and has no switch: the first convolution must see what it is given."""
    model = network("EfficientNetB0")
    inner = next(layer for layer in model.layers if isinstance(layer, keras.Model))
    first = next(layer for layer in inner.layers if isinstance(layer, keras.layers.Conv2D))
    seen = keras.Model(inner.inputs, first.input)([IMAGES])
    padded = np.pad(IMAGES, ((0, 0), (0, 1), (0, 1), (0, 0)))
    np.testing.assert_array_equal(seen, padded)


def test_penalties_limits_orientations_and_precision_reach_the_network():
    model = network("MobileNetV3Small", l2=0.5, max_norm=2.0, orientations=4, precision="mixed_bfloat16")
    flat = {layer.name: layer for layer in model._flatten_layers()}
    convolutions = [x for x in flat.values() if isinstance(x, keras.layers.Conv2D)]
    depthwise = [x for x in flat.values() if isinstance(x, keras.layers.DepthwiseConv2D)]
    assert len(depthwise) == 11
    for layer in convolutions:
        assert float(layer.kernel_regularizer.l2) == 0.25
        assert layer.kernel_constraint.max_value == 2.0
        assert layer.compute_dtype == "bfloat16"
    for layer in depthwise:
        assert float(layer.depthwise_regularizer.l2) == 0.25
        assert layer.depthwise_constraint.axis == (0, 1)
    kernels = [x.kernel for x in (*convolutions, *depthwise, flat["logits"])]
    expected = 0.25 * sum(float(np.sum(np.square(kernel))) for kernel in kernels)
    assert float(sum(model.losses)) == pytest.approx(expected, rel=1e-4)
    logits = model.predict(IMAGES, verbose=0)
    assert logits.dtype == np.float32
    assert np.all(np.isfinite(logits))


def test_penalties_and_limits_reach_layers_in_models_of_their_own_and_both_halves_of_a_separable_one():
    layers = list(network("ConvNeXtTiny", l2=0.5, max_norm=2.0)._flatten_layers())
    convolutions = [layer for layer in layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(convolutions) == 4 + 18, "stem and three that shrink; one a block"
    assert {float(layer.kernel_regularizer.l2) for layer in convolutions} == {0.25}
    assert {layer.kernel_constraint.max_value for layer in convolutions} == {2.0}
    layers = list(network("Xception", size=75, l2=0.5, max_norm=2.0)._flatten_layers())
    separable = [layer for layer in layers if isinstance(layer, keras.layers.SeparableConv2D)]
    assert len(separable) == 34
    for layer in separable:
        assert layer.depthwise_constraint.axis == (0, 1)
        assert layer.pointwise_constraint.axis == (0, 1, 2)
        assert float(layer.pointwise_regularizer.l2) == 0.25


def test_what_does_not_fit_is_refused():
    assert "ResNet50" in application_names()
    with pytest.raises(ValueError, match=r"a network in keras\.applications.*architecture='ResNet51'"):
        network("ResNet51")
    with pytest.raises(ValueError, match=r"images that InceptionV3 accepts.*at least 75"):
        network("InceptionV3")
    with pytest.raises(ValueError, match=r"settings that VGG16 uses.*widths=\(4,\)"):
        NetworkSettings(architecture="VGG16", widths=(4,))
    with pytest.raises(ValueError, match="at most 1000 parameters"):
        network("MobileNetV3Small", max_parameters=1000)
