"""What attribution maps must equal: closed forms and identities, by value."""

import keras
import numpy as np
import pytest
from scipy.stats import norm

from galcnn.explain import (
    CAM,
    Context,
    Deconvnet,
    GradCAM,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    Occlusion,
    Saliency,
    SmoothGrad,
)
from galcnn.model import NetworkSettings, Target, build_network
from galcnn.model.gradients import target_scores
from tests.explain import builds
from tests.explain.builds import IMAGES, SHAPE, TARGET

BASELINES = ("zero", "sky", "blurred")
NESTED = pytest.mark.parametrize("wrap", [lambda network: network, builds.wrapped], ids=["flat", "nested"])


@pytest.fixture
def double():
    """Networks built inside are in double precision."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


def score(network, images):
    return np.asarray(network(images, training=False)) @ TARGET.weights


# 1. Linear networks, and central differences.


def test_of_a_linear_network_every_slope_is_the_weights():
    network, weights = builds.linear()
    expected = np.broadcast_to(weights @ TARGET.weights, IMAGES.shape)
    for method in (Saliency(), SmoothGrad(n=3), SmoothGrad(n=5, noise=2.0)):
        np.testing.assert_allclose(method(network, IMAGES, TARGET), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        InputXGradient()(network, IMAGES, TARGET), IMAGES * expected, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("n", [1, 2, 7])
@pytest.mark.parametrize("rule", ["midpoint", "gauss-legendre"])
@pytest.mark.parametrize("baseline", BASELINES)
def test_of_a_linear_network_integrated_gradients_are_weights_times_the_way(n, rule, baseline):
    network, weights = builds.linear()
    method = IntegratedGradients(n, rule, baseline)
    way = IMAGES - method.baseline_images(IMAGES)
    np.testing.assert_allclose(
        method(network, IMAGES, TARGET), way * (weights @ TARGET.weights), rtol=1e-4, atol=1e-5
    )


def test_of_a_linear_network_occlusion_is_what_the_patch_holds():
    network, weights = builds.linear()
    zero = np.full(SHAPE, 0.3, "float32")
    method = Occlusion(patch=2, stride=2, baseline="zero")
    maps = method(network, IMAGES, TARGET, context=Context(zero=zero))
    parts = (weights @ TARGET.weights) * (IMAGES - zero)
    held = parts.sum(-1).reshape(4, 6, 2, 5, 2).sum((2, 4))
    np.testing.assert_allclose(maps[:, ::2, ::2, 0], held, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(maps[..., 0], maps[..., 1])
    # Each patch stands on its four pixels: together they are the whole way to the baseline.
    np.testing.assert_allclose(maps[..., 0].sum((1, 2)) / 4, parts.sum((1, 2, 3)), rtol=1e-3, atol=1e-4)


def test_occlusion_where_patches_overlap_is_the_mean_of_their_drops():
    network, weights = builds.linear((3, 3, 1))
    image = np.arange(1.0, 10, dtype="float32").reshape(1, 3, 3, 1)
    parts = (weights @ TARGET.weights)[..., 0] * image[0, ..., 0]
    maps = Occlusion(patch=2, stride=1, baseline="zero")(network, image, TARGET)[0, ..., 0]
    drops = {(y, x): parts[y : y + 2, x : x + 2].sum() for y in (0, 1) for x in (0, 1)}
    assert maps[0, 0] == pytest.approx(drops[0, 0], rel=1e-4)
    assert maps[0, 1] == pytest.approx((drops[0, 0] + drops[0, 1]) / 2, rel=1e-4)
    assert maps[1, 1] == pytest.approx(sum(drops.values()) / 4, rel=1e-4)


@pytest.mark.parametrize("build", builds.BUILDS)
def test_of_any_network_saliency_is_the_central_difference(build, double):
    network = build()
    image = IMAGES[:1].astype("float64")
    slope = Saliency()(network, image, TARGET)
    assert slope.dtype == np.float64
    for where in [(0, 0, 0, 0), (0, 5, 4, 1), (0, 11, 9, 0), (0, 7, 2, 1)]:
        step = np.zeros_like(image)
        step[where] = 1e-5
        difference = (score(network, image + step) - score(network, image - step)) / 2e-5
        np.testing.assert_allclose(slope[where], difference.item(), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("normalization", ["batch", "group"])
def test_of_a_residual_network_of_orientations_too(normalization, double):
    settings = NetworkSettings(
        widths=(4, 6), stem=4, residual=True, orientations=4, field=0.9, normalization=normalization
    )
    network = builds.settle(build_network((20, 20, 2), 3, settings=settings))
    for layer in network.layers:  # the last of them are of single precision else
        layer.dtype_policy = keras.DTypePolicy("float64")
    image = np.random.default_rng(0).normal(size=(1, 20, 20, 2))
    slope = Saliency()(network, image, TARGET)
    assert np.all(slope[0, 0] == 0), "cropped away"
    for where in [(0, 5, 4, 1), (0, 11, 9, 0), (0, 7, 12, 1)]:
        step = np.zeros_like(image)
        step[where] = 1e-5
        difference = (score(network, image + step) - score(network, image - step)) / 2e-5
        np.testing.assert_allclose(slope[where], difference.item(), rtol=1e-5, atol=1e-9)


# 2. Completeness.


@pytest.mark.parametrize("build", [builds.flat, builds.nested, builds.grouped])
@pytest.mark.parametrize("rule", ["midpoint", "gauss-legendre"])
@pytest.mark.parametrize("baseline", BASELINES)
def test_integrated_gradients_are_complete_and_the_error_falls(rule, baseline, build, double):
    network = build()
    images = IMAGES.astype("float64")
    errors = []
    for n in (4, 32, 256):
        method = IntegratedGradients(n, rule, baseline)
        start = method.baseline_images(images)
        difference = score(network, images) - score(network, start)
        sums = method(network, images, TARGET).sum((1, 2, 3))
        errors.append(np.abs(sums - difference).max())
    # Group norm bends the way more often: its error falls more slowly.
    limit = (3e-3 if build is builds.grouped else 1e-3) * (np.abs(score(network, images)).max() + 1)
    np.testing.assert_allclose(sums, difference, rtol=0, atol=limit)
    assert errors[2] < errors[1] < errors[0]


def homogeneous():
    """ReLUs and max-pooling without a bias: f(a x) = a f(x)."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(6, 3, activation="relu", use_bias=False)(inputs)
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(5, 3, activation="relu", use_bias=False)(x)
    x = keras.layers.Dense(3, use_bias=False)(keras.layers.Flatten()(x))
    return builds.settle(keras.Model(inputs, x))


def test_without_biases_input_times_gradient_sums_to_the_score_and_any_rule_is_exact():
    network = homogeneous()
    maps = InputXGradient()(network, IMAGES, TARGET)
    np.testing.assert_allclose(maps.sum((1, 2, 3)), score(network, IMAGES), rtol=1e-5)
    # An endpoint rule, which takes the gradient at the baseline too, would be off by 1 / (2 (n - 1)).
    for rule in ("midpoint", "gauss-legendre"):
        for n in (1, 2, 5):
            np.testing.assert_allclose(
                IntegratedGradients(n, rule, "zero")(network, IMAGES, TARGET), maps, rtol=1e-4, atol=1e-5
            )


# 3. SmoothGrad.


def one_relu(weights):
    inputs = keras.Input(weights.shape)
    dense = keras.layers.Dense(1, activation="relu", use_bias=False)
    last = keras.layers.Dense(2, use_bias=False)
    network = keras.Model(inputs, last(dense(keras.layers.Flatten()(inputs))))
    dense.set_weights([weights.reshape(-1, 1)])
    last.set_weights([np.array([[1.0, 0.0]], "float32")])
    return network


@NESTED
def test_smoothgrad_of_a_relu_is_the_normal_integral(wrap):
    rng = np.random.default_rng(2)
    weights = rng.normal(size=(4, 4, 2)).astype("float32")
    network, target = wrap(one_relu(weights)), Target("t", (1, 0))
    images = rng.normal(size=(6, 4, 4, 2)).astype("float32") * 0.3
    dots = (images * weights).sum((1, 2, 3))
    one = norm.cdf(dots / (0.5 * np.linalg.norm(weights)))
    maps = SmoothGrad(n=4000, noise=0.5, seed=3)(network, images, target)
    shares = (maps * weights).sum((1, 2, 3)) / (weights**2).sum()
    np.testing.assert_allclose(shares, one, atol=4 * 0.5 / np.sqrt(4000))
    np.testing.assert_allclose(maps, shares[:, None, None, None] * weights, atol=1e-4)
    # The same with the noise of each pixel: sigma |w| becomes the norm of their product.
    sigma = rng.uniform(0.2, 0.8, images.shape).astype("float32")
    maps = SmoothGrad(n=4000, seed=3)(network, images, target, context=Context(sigma=sigma))
    own = norm.cdf(dots / np.sqrt(((sigma * weights) ** 2).sum((1, 2, 3))))
    np.testing.assert_allclose((maps * weights).sum((1, 2, 3)) / (weights**2).sum(), own, atol=0.032)


def test_smoothgrad_warns_of_a_band_whose_sky_has_no_scatter():
    """The black sky of a picture: its noise would be zero, and the band not smoothed, without a word."""
    network, w = builds.linear()
    images = builds.IMAGES.copy()
    images[1, ..., 1] = 0
    target = Target("t", (1.0, 0.0, 0.0))
    with pytest.warns(UserWarning, match=r"no noise to bands \[1\] of 1 of"):
        maps = SmoothGrad(n=2)(network, images, target)
    np.testing.assert_allclose(maps[1], w[..., 0], rtol=1e-4, atol=1e-6)
    mask = np.zeros(images.shape, dtype=bool)
    mask[1, ..., 1] = True  # nothing there to be smoothed, and nothing to be warned of
    SmoothGrad(n=2)(network, images, target, context=Context(mask=mask))


def test_the_error_of_smoothgrad_falls_as_one_over_the_root_of_n():
    """The RMS of 400 images is known to 3.5 %."""
    weights = np.random.default_rng(2).normal(size=(4, 4, 1)).astype("float32")
    network, images = one_relu(weights), np.zeros((400, 4, 4, 1), "float32")  # at the kink: 1/2
    for n in (40, 640):
        maps = SmoothGrad(n=n, noise=1.0, seed=1)(network, images, Target("t", (1, 0)))
        shares = (maps * weights).sum((1, 2, 3)) / (weights**2).sum()
        assert np.sqrt(np.mean((shares - 0.5) ** 2)) == pytest.approx(0.5 / np.sqrt(n), rel=0.12)


# 4. Guided backpropagation and the deconvnet.


def positive(pooling=True):
    """Non-negative weights behind the first layer, so that no signal that goes back is negative."""
    inputs = keras.Input(SHAPE)
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.MaxPooling2D(2)(x) if pooling else x
    x = keras.layers.Conv2D(5, 3, activation="relu")(x)
    x = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    network = builds.settle(keras.Model(inputs, x))
    for variable in network.weights[2:]:
        variable.assign(np.abs(np.asarray(variable)))
    return network


@NESTED
def test_guided_is_the_gradient_where_all_signals_are_positive(wrap):
    network, target = wrap(positive()), Target("t", (1.0, 0.5, 2.0))
    slope = Saliency()(network, IMAGES, target)
    np.testing.assert_allclose(GuidedBackprop()(network, IMAGES, target), slope, rtol=1e-5, atol=1e-6)
    assert not np.allclose(Deconvnet()(network, IMAGES, target), slope), "some ReLUs are shut"
    for bias in (network.weights[1], network.weights[3]):
        bias.assign(np.full(bias.shape, 50.0))  # and now none
    slope = Saliency()(network, IMAGES, target)
    np.testing.assert_allclose(Deconvnet()(network, IMAGES, target), slope, rtol=1e-5, atol=1e-6)


@NESTED
def test_without_pooling_a_deconvnet_does_not_look_at_the_image(wrap):
    network = wrap(positive(pooling=False))
    maps = Deconvnet()(network, IMAGES, TARGET)
    np.testing.assert_allclose(maps, np.broadcast_to(maps[:1], maps.shape), rtol=1e-5, atol=1e-6)
    assert np.ptp(Deconvnet()(wrap(positive()), IMAGES, TARGET), axis=0).max() > 0.1, "the switches do"


@NESTED
@pytest.mark.parametrize("method", [GuidedBackprop(), Deconvnet()], ids=["guided", "deconvnet"])
def test_the_rule_at_each_relu_by_hand(method, wrap):
    """Two dense layers, in NumPy."""
    rng = np.random.default_rng(0)
    first, second, last = rng.normal(size=(8, 6)), rng.normal(size=(6, 5)), rng.normal(size=(5, 3))
    inputs = keras.Input((2, 2, 2))
    x = keras.layers.Dense(6, activation="relu", use_bias=False)(keras.layers.Flatten()(inputs))
    x = keras.layers.Dense(5, activation="relu", use_bias=False)(x)
    network = keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(x))
    network.set_weights([w.astype("float32") for w in (first, second, last)])
    image = rng.normal(size=(1, 2, 2, 2))
    a = image.reshape(-1) @ first
    b = np.maximum(a, 0) @ second
    guided = isinstance(method, GuidedBackprop)
    signal = np.maximum(last @ TARGET.weights, 0) * (b > 0 if guided else 1)
    signal = np.maximum(second @ signal, 0) * (a > 0 if guided else 1)
    map_ = method(wrap(network), image.astype("float32"), TARGET)
    np.testing.assert_allclose(map_.reshape(-1), first @ signal, rtol=1e-4, atol=1e-6)


# 5. Adjoints.


@NESTED
def test_the_way_back_through_max_pooling_is_its_adjoint(wrap):
    """<pool_s(x), y> = <x, unpool_s(y)> with the switches s of x: the signal goes to the maxima alone."""
    inputs = keras.Input(SHAPE)
    pooled = keras.layers.MaxPooling2D(2)(inputs)
    dense = keras.layers.Dense(3, use_bias=False)
    network = builds.settle(keras.Model(inputs, dense(keras.layers.Flatten()(pooled))))
    y = (np.asarray(dense.kernel) @ TARGET.weights).reshape(6, 5, 2)
    for image, unpooled in zip(IMAGES, Saliency()(wrap(network), IMAGES, TARGET), strict=True):
        windows = image.reshape(6, 2, 5, 2, 2)
        switches = windows == windows.max((1, 3), keepdims=True)
        np.testing.assert_allclose(
            unpooled, (switches * y[:, None, :, None]).reshape(SHAPE), rtol=1e-5, atol=1e-6
        )
        np.testing.assert_allclose((image * unpooled).sum(), (windows.max((1, 3)) * y).sum(), rtol=1e-4)


@NESTED
@pytest.mark.parametrize(("strides", "padding"), [(1, "same"), (2, "same"), (2, "valid")])
def test_the_way_back_through_a_convolution_is_its_adjoint(wrap, strides, padding):
    """<conv x, y> = <x, conv^T y>, conv^T y being the saliency of the score <conv x, y>."""
    inputs = keras.Input(SHAPE)
    convolution = keras.layers.Conv2D(3, 3, strides=strides, padding=padding, use_bias=False)
    made = convolution(inputs)
    dense = keras.layers.Dense(3, use_bias=False)
    network = builds.settle(keras.Model(inputs, dense(keras.layers.Flatten()(made))))
    y = (np.asarray(dense.kernel) @ TARGET.weights).reshape(made.shape[1:])
    back = Saliency()(wrap(network), IMAGES, TARGET)
    forth = np.asarray(convolution(IMAGES))
    np.testing.assert_allclose(
        (forth * y).sum((1, 2, 3)), (IMAGES * back).sum((1, 2, 3)), rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(back, np.broadcast_to(back[:1], back.shape), rtol=1e-5, atol=1e-6)


# 6. The same maps, however a network is spelled.


@pytest.mark.parametrize("method", **builds.named())
@pytest.mark.parametrize("other", ["nested", "backbone", "activation", "function", "batch", "order"])
def test_the_spelling_of_a_network_and_the_batch_change_nothing(method, other):
    network, images = builds.flat(), IMAGES
    context = Context(ids=("a", "b", "c", "d"))
    expected = method(network, images, TARGET, context=context)
    if other == "batch":
        found = np.concatenate(
            [method(network, images[i : i + 1], TARGET, context=Context(ids=("abcd"[i],))) for i in range(4)]
        )
    elif other == "order":
        found = method(network, images[::-1], TARGET, context=Context(ids=("d", "c", "b", "a")))[::-1]
    else:
        spelled = {"nested": builds.nested, "backbone": builds.backbone}
        build = spelled.get(other, lambda: builds.flat(spelling=other))
        found = method(build(), images, TARGET, context=context)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("method", **builds.named())
def test_a_block_of_two_inputs_as_a_model_changes_nothing(method):
    expected = method(builds.joined(nested=False), IMAGES, TARGET)
    found = method(builds.joined(), IMAGES, TARGET)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("method", **builds.named())
def test_a_relu_as_argument_of_the_convolution_changes_nothing(method):
    expected = method(builds.flat(normalisation=False), IMAGES, TARGET)
    found = method(builds.flat(normalisation=False, spelling="argument"), IMAGES, TARGET)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("method", **builds.named())
def test_batch_norm_folded_into_the_convolution_changes_nothing(method):
    network, folded = builds.flat(), builds.flat(normalisation=False)
    for name in ("first", "side", "last"):
        kernel, bias = network.get_layer(name).get_weights()
        gamma, beta, mean, variance = network.get_layer(f"{name}_norm").get_weights()
        factor = gamma / np.sqrt(variance + network.get_layer(f"{name}_norm").epsilon)
        folded.get_layer(name).set_weights([kernel * factor, (bias - mean) * factor + beta])
    folded.get_layer("logits").set_weights(network.get_layer("logits").get_weights())
    expected = method(network, IMAGES, TARGET)
    np.testing.assert_allclose(
        method(folded, IMAGES, TARGET), expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max()
    )


def test_saved_and_loaded_networks_have_the_same_maps(tmp_path):
    network = builds.nested()
    network.save(tmp_path / "n.keras")
    loaded = keras.saving.load_model(tmp_path / "n.keras")
    for method in builds.METHODS:
        expected = method(network, IMAGES, TARGET)
        np.testing.assert_allclose(method(loaded, IMAGES, TARGET), expected, rtol=1e-5, atol=1e-6)


# 7. Class activation maps.


@pytest.mark.parametrize("build", [builds.flat, builds.nested, builds.backbone, builds.sequential])
def test_cam_sums_to_the_logit_and_grad_cam_is_its_positive_part(build):
    network = build()
    coarse = CAM().fine_and_coarse(network, IMAGES, TARGET)[1]
    bias = np.asarray(network.weights[-1]) @ TARGET.weights
    np.testing.assert_allclose(coarse.mean((1, 2)) + bias, score(network, IMAGES), rtol=1e-4, atol=1e-5)
    cells = coarse.shape[1] * coarse.shape[2]
    np.testing.assert_allclose(
        GradCAM().fine_and_coarse(network, IMAGES, TARGET)[1] * cells,
        np.maximum(coarse, 0),
        rtol=1e-4,
        atol=1e-5,
    )
    # On the image's grid too, since the negative part is cut off behind the interpolation.
    fine = CAM()(network, IMAGES, TARGET)
    np.testing.assert_allclose(
        GradCAM()(network, IMAGES, TARGET) * cells, np.maximum(fine, 0), rtol=1e-4, atol=1e-5
    )
    assert (fine < 0).any(), "or nothing was tested"


# 8. Symmetries.


@pytest.mark.parametrize("method", **builds.named())
def test_classes_in_another_order_have_the_same_maps(method):
    network = builds.flat()
    dense = network.get_layer("logits")
    expected = method(network, IMAGES, TARGET)
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel[:, [2, 0, 1]], bias[[2, 0, 1]]])
    moved = Target("t", (TARGET.weights[2], *TARGET.weights[:2]))
    np.testing.assert_allclose(method(network, IMAGES, moved), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", **builds.named())
def test_twice_the_target_is_twice_the_map_and_each_image_has_its_own_target(method):
    network = builds.flat()
    one = method(network, IMAGES, TARGET)
    two = method(network, IMAGES, Target("2t", tuple(2 * w for w in TARGET.weights)))
    np.testing.assert_allclose(two, 2 * one, rtol=1e-4, atol=1e-5)
    targets = [Target("a", (1, 0, 0)), TARGET, Target("c", (0, 0, 1)), Target("m", (0, 1, -1))]
    mixed = method(network, IMAGES, targets)
    for row, target in enumerate(targets):
        alone = method(network, IMAGES, target)[row]
        np.testing.assert_allclose(mixed[row], alone, rtol=1e-4, atol=1e-5)


#: Methods without noise or masks that do not turn with the galaxy.
NOT_DRAWN = [method for method in builds.METHODS if method.name not in ("smoothgrad", "rise")]


def symmetric():
    """Kernels that no flip and no quarter turn changes, and no padding that would."""
    inputs = keras.Input((11, 11, 2))
    x = keras.layers.Conv2D(4, 3, activation="relu")(inputs)
    x = keras.layers.MaxPooling2D(3)(x)
    x = keras.layers.Conv2D(4, 1, activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = builds.settle(keras.Model(inputs, keras.layers.Dense(3)(x)))
    kernel = np.asarray(network.weights[0])
    turned = [np.rot90(kernel, k) for k in range(4)]
    network.weights[0].assign(np.mean([f for k in turned for f in (k, k[::-1])], axis=0))
    return network


@pytest.mark.parametrize("method", **builds.named(NOT_DRAWN))
@pytest.mark.parametrize(
    "move",
    [lambda x: np.rot90(x, axes=(1, 2)), lambda x: x[:, ::-1], lambda x: x[:, :, ::-1]],
    ids=["turn", "flip y", "flip x"],
)
def test_a_turned_galaxy_has_the_turned_map(method, move):
    network = symmetric()
    images = np.random.default_rng(0).normal(size=(2, 9 + 2, 11, 2)).astype("float32")
    if method.name == "occlusion":
        method = Occlusion(patch=3, stride=2, baseline="zero")  # (11 - 3) / 2: patches lie symmetrically
    expected = move(method(network, images, TARGET))
    found = method(network, np.ascontiguousarray(move(images)), TARGET)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", **builds.named(NOT_DRAWN))
def test_a_network_of_orientations_needs_no_symmetric_kernels_for_that(method):
    settings = NetworkSettings(widths=(4, 6), stem=0, orientations=4, residual=True)
    network = build_network((16, 16, 2), 3, settings=settings, seed=1)
    images = np.random.default_rng(0).normal(size=(2, 16, 16, 2)).astype("float32")
    if method.name == "occlusion":
        method = Occlusion(patch=4, stride=3, baseline="zero")
    target = Target("t", (0.1, -1.0, -0.1))  # of which no positive evidence is missing: see gradcam
    expected = np.rot90(method(network, images, target), axes=(1, 2))
    found = method(network, np.ascontiguousarray(np.rot90(images, axes=(1, 2))), target)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * np.abs(expected).max())
    assert np.ptp(expected) > 0


@pytest.mark.parametrize("method", **builds.named([m for m in builds.METHODS if m.per_band]))
def test_a_band_that_the_network_does_not_read_has_an_empty_map(method):
    network = builds.flat()
    kernel = np.asarray(network.get_layer("first").kernel).copy()
    kernel[:, :, 1] = 0
    network.get_layer("first").kernel.assign(kernel)
    maps = method(network, IMAGES, TARGET)
    assert np.all(maps[..., 1] == 0)
    assert np.any(maps[..., 0] != 0)


# 15. Half precision, and any number of bands.


@pytest.mark.parametrize("n_bands", [1, 3, 5])
@pytest.mark.parametrize("method", **builds.named())
def test_any_number_of_bands(method, n_bands):
    shape = (*SHAPE[:2], n_bands)
    images = np.random.default_rng(1).normal(size=(2, *shape)).astype("float32")
    maps = method(builds.flat(shape), images, TARGET)
    assert maps.shape == images.shape
    assert maps.dtype == np.float32
    assert np.all(np.isfinite(maps))
    if method.per_band:
        assert all(np.ptp(maps[..., band]) > 0 for band in range(n_bands))


#: Of SmoothGrad as many copies as it makes by default, see below.
HALVED = [
    method if method.name != "smoothgrad" else SmoothGrad(n=25, noise=0.3)
    for method in builds.METHODS
    if method.name not in ("scorecam", "rise")  # sums of small differences of rounded scores
]
NETWORKS = {
    "plain": {},
    "residual, group norm": {"residual": True, "normalization": "group"},
    "orientations": {"orientations": 4},
}


def halved(build):
    """A network in single precision, and the same in half."""
    full = build()
    old = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        half = build()
    finally:
        keras.config.set_dtype_policy(old)
    half.set_weights(full.get_weights())
    return full, half


@pytest.fixture(scope="module", params=NETWORKS)
def precisions(request):
    settings = NetworkSettings(widths=(8, 16), stem=0, **NETWORKS[request.param])
    return halved(lambda: build_network((32, 32, 2), 3, settings=settings, seed=3))


@pytest.mark.parametrize("method", **builds.named(HALVED))
def test_half_precision_agrees_with_single(method, precisions):
    """Rounded activations turn some switches of ReLU and pooling, and with them the slopes around.

    One pass of the plain network has a turned switch in the field of a fifth of its pixels, so that
    the median pixel has none. Three copies in four orientations have one in the field of two thirds: its
    median error, but no other, rises above that of one pass (1.1e-2), and falls again as 1 / sqrt(n)
    while the turned switches of many copies average out (7e-3 for the 25 copies of the default).
    """
    full, half = precisions
    images = np.random.default_rng(0).normal(size=(4, 32, 32, 2)).astype("float32")
    expected, found = method(full, images, TARGET), method(half, images, TARGET)
    assert found.dtype == np.float32
    assert np.corrcoef(expected.ravel(), found.ravel())[0, 1] >= 0.99
    there = np.abs(expected) > 1e-3 * np.abs(expected).max()
    error = np.median(np.abs(found - expected)[there] / np.abs(expected)[there])
    np.testing.assert_allclose(error, 0, atol=1e-2)


def test_small_slopes_are_not_rounded_to_zero_on_their_way_through_half_precision():
    """Of a mean over 128 x 128 pixels each has 1/16384 of the slope, and a step of a path 1/64 of that."""

    def build():
        inputs = keras.Input((128, 128, 1))
        x = keras.layers.Conv2D(4, 1, use_bias=False)(inputs)
        x = keras.layers.GlobalAveragePooling2D(dtype="float32")(x)
        return builds.settle(keras.Model(inputs, keras.layers.Dense(3, use_bias=False, dtype="float32")(x)))

    _, half = halved(build)
    kernel, dense = (np.asarray(v, dtype="float64") for v in half.weights)
    slope = (kernel.reshape(1, 4) @ dense @ TARGET.weights).item() / 128**2
    image = np.ones((1, 128, 128, 1), "float32")
    for method in (Saliency(), IntegratedGradients(n=64, baseline="zero"), SmoothGrad(n=2, noise=0.1)):
        np.testing.assert_allclose(method(half, image, TARGET), slope, rtol=3e-3)


def test_the_scores_are_those_of_the_network():
    for build in builds.BUILDS:
        network = build()
        np.testing.assert_allclose(
            target_scores(network, IMAGES, TARGET), score(network, IMAGES), rtol=1e-4, atol=1e-5
        )
