"""CAM sums to the logit, lies where the evidence lies, and knows the geometry of its cells."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.explain import CAM, GradCAM, HiResCAM, LayerCAM
from galcnn.model import NetworkSettings, Target, assemble, build_network, fit_preprocessing
from galcnn.model.cells import CellGrid
from galcnn.model.receptive import cell_grid, resampling_matrix
from tests.explain import builds

IMAGES = np.random.default_rng(0).normal(size=(4, 32, 32, 2)).astype("float32")


def network(**settings):
    return build_network(
        (32, 32, 2), 3, settings=NetworkSettings(**({"widths": (4, 8, 8)} | settings)), seed=1
    )


@pytest.mark.parametrize(
    "settings", [{}, {"dropout": 0.5}, {"normalization": "group"}, {"stem": 4}, {"widths": (6,)}]
)
def test_mean_of_the_cells_plus_bias_is_the_score(settings):
    model = network(**settings)
    dense = model.get_layer("logits")
    dense.bias.assign([0.3, -0.2, 1.0])
    weights = np.array([1.0, -0.5, 2.0])
    coarse = CAM().fine_and_coarse(model, IMAGES, Target("t", tuple(weights)))[1]
    scores = model.predict(IMAGES, verbose=0) @ weights
    np.testing.assert_allclose(coarse.mean(axis=(1, 2)) + weights @ [0.3, -0.2, 1.0], scores, rtol=1e-4)


def test_without_pooling_the_map_itself_sums_to_the_score():
    model = network(widths=(6,), depth=1, stem=0)
    maps = CAM()(model, IMAGES, Target.of_class("b", "abc"))
    scores = model.predict(IMAGES, verbose=0)[:, 1]
    np.testing.assert_allclose(maps[..., 0].mean(axis=(1, 2)), scores, rtol=1e-4, atol=1e-6)
    assert maps.shape == IMAGES.shape
    np.testing.assert_array_equal(maps[..., 0], maps[..., 1])


def test_nested_and_flat_networks_have_the_same_map():
    flat = network()
    nested = assemble(fit_preprocessing(IMAGES, stretch="linear", scaling="none"), flat)
    target = Target.of_class("a", "abc")
    np.testing.assert_allclose(CAM()(nested, IMAGES, target), CAM()(flat, IMAGES, target), rtol=1e-5)


@pytest.mark.parametrize("build", ["field", "pool", "stem", "strided", "valid", "residual"])
@pytest.mark.parametrize("size", [32, 33])
def test_the_peak_stands_where_the_light_is(build, size):
    """A network of box kernels: the map of a point is centred on the point to half a cell."""
    inputs = keras.Input((size, size, 1))
    box = {"kernel_initializer": "ones", "use_bias": False}
    if build == "pool":
        x = keras.layers.Conv2D(1, 3, padding="same", **box)(inputs)
        x = keras.layers.AveragePooling2D(2)(x)
        x = keras.layers.Conv2D(1, 3, padding="same", **box)(x)
    elif build == "stem":
        x = keras.layers.Conv2D(1, 5, strides=2, padding="same", **box)(inputs)
        x = keras.layers.Conv2D(1, 3, padding="same", **box)(x)
    elif build == "strided":
        x = keras.layers.Conv2D(1, 3, strides=2, padding="same", **box)(inputs)
        x = keras.layers.Conv2D(1, 3, strides=2, padding="same", **box)(x)
    elif build == "field":
        x = keras.layers.Cropping2D(((4, 6), (8, 2)), name="field")(inputs)
        x = keras.layers.Conv2D(1, 5, padding="same", **box)(x)
    elif build == "valid":
        x = keras.layers.ZeroPadding2D(((3, 0), (0, 2)))(inputs)
        x = keras.layers.Conv2D(1, 5, dilation_rate=2, **box)(x)
    else:
        x = keras.layers.Conv2D(1, 3, strides=2, padding="same", **box)(inputs)
        x = keras.layers.Add()([x, keras.layers.Conv2D(1, 3, padding="same", **box)(x)])
    outputs = keras.layers.Dense(2, kernel_initializer="ones", name="logits")(
        keras.layers.GlobalAveragePooling2D()(x)
    )
    model = keras.Model(inputs, outputs)
    for y0, x0 in [(12, 17), (19, 14)]:
        image = np.zeros((1, size, size, 1), "float32")
        image[0, y0 - 1 : y0 + 2, x0 - 1 : x0 + 2] = 1
        map_ = CAM()(model, image, Target.of_class("a", "ab"))[0, ..., 0]
        y, x_ = np.mgrid[:size, :size]
        assert np.isnan(map_).sum() == (size**2 - (size - 10) ** 2 if build == "field" else 0)
        map_ = np.nan_to_num(map_)
        cell = cell_grid(x).jump[0]
        assert (map_ * y).sum() / map_.sum() == pytest.approx(y0, abs=0.5 * cell)
        assert (map_ * x_).sum() / map_.sum() == pytest.approx(x0, abs=0.5 * cell)


def test_cell_grids_are_those_of_the_formula():
    inputs = keras.Input((64, 64, 1))
    x = inputs
    for _ in range(3):
        x = keras.layers.MaxPooling2D(2)(x)
    assert cell_grid(x) == CellGrid((3.5, 3.5), (8, 8), (8, 8))  # the centre of 8 pixels
    x = inputs
    for _ in range(4):
        x = keras.layers.Conv2D(1, 3, strides=2, padding="same")(x)
    # Even sizes: TensorFlow pads 0 before and 1 after, so each step shifts by one old cell: 1+2+4+8.
    # The field grows by 2 old cells each: 1 + 2 (1 + 2 + 4 + 8).
    assert cell_grid(x) == CellGrid((15.0, 15.0), (16, 16), (31, 31))


def test_each_cell_grid_agrees_with_what_the_gradient_touches():
    """The centre of the pixels that move a cell, by brute force."""
    import tensorflow as tf

    inputs = keras.Input((41, 38, 1))
    x = keras.layers.Conv2D(1, 5, strides=2, padding="same", kernel_initializer="ones")(inputs)
    x = keras.layers.AveragePooling2D(3, strides=2, padding="same")(x)
    x = keras.layers.Conv2D(1, 3, dilation_rate=2, padding="same", kernel_initializer="ones")(x)
    grid, model = cell_grid(x), keras.Model(inputs, x)
    image = tf.Variable(tf.ones((1, 41, 38, 1)))
    for i, j in [(5, 4), (4, 5)]:
        with tf.GradientTape() as tape:
            cell = model(image)[0, i, j, 0]
        touched = tape.gradient(cell, image).numpy()[0, ..., 0]
        rows, columns = (np.flatnonzero(touched.any(axis=a)) for a in (1, 0))
        assert (rows[0] + rows[-1]) / 2 == grid.start[0] + grid.jump[0] * i
        assert (columns[0] + columns[-1]) / 2 == grid.start[1] + grid.jump[1] * j
        assert grid.box((i, j), (41, 38)) == (
            slice(rows[0], rows[-1] + 1),
            slice(columns[0], columns[-1] + 1),
        )


def test_resampling_reproduces_a_plane_and_keeps_the_edges():
    matrix = resampling_matrix(32, 4, 3.5, 8)
    np.testing.assert_allclose(matrix.sum(axis=1), 1)
    centres = 3.5 + 8 * np.arange(4)
    pixels = np.arange(32.0)
    np.testing.assert_allclose(matrix @ centres, np.clip(pixels, 3.5, 27.5))
    np.testing.assert_allclose(resampling_matrix(5, 1, 2.0, 5), np.ones((5, 1)))


def test_other_heads_are_refused_with_what_was_found():
    inputs = keras.Input((32, 32, 2))
    features = keras.layers.Conv2D(4, 3)(inputs)
    flat = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(features)))
    with pytest.raises(ValueError, match=r"GlobalAveragePooling2D and Dense.*Flatten -> Dense.*saliency"):
        CAM()(flat, IMAGES, Target("t", (1, 0, 0)))
    hidden = keras.layers.Dense(8, activation="relu")(keras.layers.GlobalAveragePooling2D()(features))
    with pytest.raises(ValueError, match="Dense -> Dense"):
        CAM()(keras.Model(inputs, keras.layers.Dense(3)(hidden)), IMAGES, Target("t", (1, 0, 0)))


def test_the_users_model_gains_no_nodes(trained, toy_dataset):
    def nodes():
        return [len(layer._inbound_nodes) for layer in trained.network.layers]

    before = nodes(), trained.model.get_weights()
    CAM()(trained.network, toy_dataset.images[:3], Target.of_class("thin", trained.classes))
    assert nodes() == before[0]
    assert all(np.array_equal(a, b) for a, b in zip(before[1], trained.model.get_weights(), strict=True))


def test_gates_of_squeeze_and_excitation_have_no_place_and_residual_branches_are_joined():
    inputs = keras.Input((32, 32, 2))
    x = keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu")(inputs)
    gate = keras.layers.GlobalAveragePooling2D(keepdims=True)(x)
    gated = keras.layers.Multiply()([x, keras.layers.Conv2D(4, 1, activation="sigmoid")(gate)])
    assert cell_grid(gated) == cell_grid(x)
    # 3 x 3 of stride 2 on an even side looks one pixel further than the 1 x 1 beside it.
    long = keras.layers.Conv2D(4, 3, strides=2, padding="same")(gated)
    short = keras.layers.Conv2D(4, 1, strides=2)(gated)
    grid = cell_grid(keras.layers.Add()([long, short]))
    assert grid.start[0] == (cell_grid(long).start[0] + cell_grid(short).start[0]) / 2
    assert grid.jump == (4, 4)
    assert grid.field[0] >= cell_grid(long).field[0]


ORIENTED = [
    {"orientations": 4},
    {"orientations": 8, "residual": True, "stem": 4},
    {"orientations": 4, "field": 0.8},
]


@pytest.mark.parametrize("settings", ORIENTED, ids=str)
def test_grad_cam_inside_the_orientations_sums_their_maps_turned_back(settings):
    """The mean over orientations is linear: before it, the map is that behind it."""
    turned = network(widths=(4, 6), **settings)
    target = Target("t", (0.3, -1.0, 0.5))
    mean = turned.get_layer("orientation_mean")
    before, behind = GradCAM(turned.layers[turned.layers.index(mean) - 1].name), GradCAM(mean.name)
    expected = behind.fine_and_coarse(turned, IMAGES, target)[1]
    assert np.ptp(expected) > 0
    np.testing.assert_allclose(
        before.fine_and_coarse(turned, IMAGES, target)[1], expected, rtol=1e-3, atol=1e-7
    )
    np.testing.assert_allclose(
        before(turned, IMAGES, target), behind(turned, IMAGES, target), rtol=1e-3, atol=1e-7
    )


@pytest.mark.parametrize("layer", ["conv1_1", "conv1_2_activation", "conv2_1"])
def test_grad_cam_inside_the_orientations_turns_with_the_galaxy(layer):
    turned = network(widths=(4, 6), orientations=4)
    method, target = GradCAM(layer), Target("t", (1.0, -1.0, 0.5))
    expected = np.rot90(method(turned, IMAGES, target), axes=(1, 2))
    found = method(turned, np.ascontiguousarray(np.rot90(IMAGES, axes=(1, 2))), target)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4 * expected.max())
    assert np.ptp(expected) > 0


@pytest.mark.parametrize("build", [builds.flat, builds.nested, builds.backbone, builds.sequential])
def test_hirescam_of_an_averaging_head_is_cam(build):
    other = build()
    for kind in (0, 1):  # on the pixels, on the cells
        cam = CAM().fine_and_coarse(other, builds.IMAGES, builds.TARGET)[kind]
        high = HiResCAM().fine_and_coarse(other, builds.IMAGES, builds.TARGET)
        n_cells = high[1][0].size
        np.testing.assert_allclose(high[kind] * n_cells, cam, rtol=1e-4, atol=1e-5)
    assert (cam < 0).any(), "signed"


def test_hirescam_sums_to_the_score_where_grad_cam_does_not():
    """A head of Flatten and Dense; and any layer of a network without biases behind it."""
    inputs = keras.Input(builds.SHAPE)
    x = keras.layers.Conv2D(4, 3, activation="relu", name="first")(inputs)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = keras.layers.Conv2D(5, 3, activation="relu", use_bias=False, name="last")(x)
    dense = keras.layers.Dense(3, name="logits")
    other = builds.settle(keras.Model(inputs, dense(keras.layers.Flatten()(x))))
    scores = np.asarray(other(builds.IMAGES)) @ builds.TARGET.weights
    without = scores - np.asarray(dense.bias) @ builds.TARGET.weights
    for layer in ("", "last", "pool", "first"):
        cells = HiResCAM(layer).fine_and_coarse(other, builds.IMAGES, builds.TARGET)[1]
        np.testing.assert_allclose(cells.sum((1, 2)), without, rtol=1e-4, atol=1e-4)
    cells = GradCAM("last").fine_and_coarse(other, builds.IMAGES, builds.TARGET)[1]
    assert np.abs(cells.sum((1, 2)) - without).max() > 0.1 * np.abs(without).max()


@pytest.mark.parametrize("layer", ["last_norm", "sum", "pool"])
def test_layercam_keeps_the_features_whose_gradient_is_positive(layer):
    other = builds.flat()
    inner = keras.Model(other.inputs[0], other.get_layer(layer).output)
    with tf.GradientTape() as tape:
        features = inner(builds.IMAGES)
        tape.watch(features)
        behind = keras.Model(other.get_layer(layer).output, other.output)
        slope = tape.gradient(behind(features) @ np.array([builds.TARGET.weights], "float32").T, features)
    parts = features.numpy() * slope.numpy()
    for method, expected in (
        (HiResCAM(layer), parts.sum(-1)),
        (LayerCAM(layer), np.where(slope > 0, parts, 0).sum(-1)),
    ):
        cells = method.fine_and_coarse(other, builds.IMAGES, builds.TARGET)[1]
        np.testing.assert_allclose(cells, expected, rtol=1e-4, atol=1e-5)
