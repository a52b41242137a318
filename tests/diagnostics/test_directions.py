"""Directions: as large as each filter, where the network may move, in the plane of the training."""

import keras
import numpy as np
import pytest

from galcnn.diagnostics.landscape import between, principal_plane, random_direction, weights_of
from galcnn.model import NetworkSettings, build_network


def small(**settings):
    wanted = NetworkSettings(widths=(4, 6), depth=1, stem=0, **settings)
    return build_network((8, 8, 2), 3, settings=wanted, seed=2)


def by_path(network, direction):
    return {w.path: d for w, d in zip(network.weights, direction, strict=True)}


def test_each_filter_moves_by_its_own_size():
    network = small(normalization="none")
    for variable in network.trainable_variables:  # biases that are not zero
        variable.assign(np.random.default_rng(0).normal(size=variable.shape))
    found = random_direction(network, seed=4)
    for variable, step in zip(network.weights, found, strict=True):
        values = np.asarray(variable, dtype=np.float64)
        if variable.name == "bias":
            assert np.all(step == 0)
        else:
            axes = tuple(range(values.ndim - 1))  # the last axis of a kernel is the filter
            sizes, steps = (np.linalg.norm(a.reshape(-1, a.shape[-1]), axis=0) for a in (values, step))
            np.testing.assert_allclose(steps, sizes, rtol=1e-12)
            assert len(np.unique(step)) == step.size
            assert axes


def test_normalisations_and_what_is_frozen_stay_where_they_are():
    network = small(normalization="batch")
    network.get_layer("conv2_1").trainable = False
    found = by_path(network, random_direction(network, seed=0))
    moved = {path for path, step in found.items() if np.any(step)}
    assert moved == {"conv1_1/kernel", "logits/kernel"}


def test_the_seed_decides_and_two_directions_differ():
    network = small()
    one, same, second, other = (
        np.concatenate([d.ravel() for d in random_direction(network, seed=seed, number=number)])
        for seed, number in ((0, 1), (0, 1), (0, 2), (1, 1))
    )
    np.testing.assert_array_equal(one, same)
    for another in (second, other):  # independent draws in some hundred dimensions are nearly at right angles
        assert abs(one @ another) / np.linalg.norm(one) / np.linalg.norm(another) < 0.3


def test_a_scaled_filter_has_a_scaled_direction_and_a_dead_one_none():
    network = small(normalization="none")
    before = random_direction(network, seed=1)
    kernel = network.get_layer("conv1_1").kernel
    values = keras.ops.convert_to_numpy(kernel).copy()
    values[..., 1] *= 5.0
    values[..., 2] = 0.0
    kernel.assign(values)
    after = random_direction(network, seed=1)
    np.testing.assert_allclose(after[0][..., 1], 5 * before[0][..., 1], rtol=1e-6)
    np.testing.assert_array_equal(after[0][..., 2], 0)
    np.testing.assert_array_equal(after[0][..., 0], before[0][..., 0])


def test_other_convolutions_have_their_filters_on_other_axes():
    layers = keras.layers
    network = keras.Sequential(
        [
            keras.Input((8, 8, 2)),
            layers.DepthwiseConv2D(3, depth_multiplier=2),
            layers.SeparableConv2D(5, 3),
            layers.Conv2DTranspose(3, 3),
        ]
    )
    found = by_path(network, random_direction(network, seed=0))
    values = by_path(network, weights_of(network))
    for end, axes in (
        ("depthwise_conv2d/kernel", (0, 1)),
        ("depthwise_kernel", (0, 1)),
        ("pointwise_kernel", (0, 1, 2)),
        ("conv2d_transpose/kernel", (0, 1, 3)),
    ):
        (path,) = (path for path in found if path.endswith(end))
        sizes, steps = (np.sqrt(np.sum(a[path] ** 2, axis=axes)) for a in (values, found))
        np.testing.assert_allclose(steps, sizes, rtol=1e-12)


def test_a_layer_whose_filters_are_not_known_is_refused_until_it_is_frozen():
    network = keras.Sequential([keras.Input((5,)), keras.layers.Embedding(10, 4), keras.layers.Flatten()])
    with pytest.raises(ValueError, match=r"whose filters are known.*kind='Embedding'.*trainable = False"):
        random_direction(network, seed=0)
    network.layers[0].trainable = False
    assert not np.any(random_direction(network, seed=0)[0])


def test_the_way_to_another_solution_ends_there():
    first, second = (
        small(),
        build_network((8, 8, 2), 3, settings=NetworkSettings(widths=(4, 6), depth=1, stem=0), seed=3),
    )
    ends = [a + b for a, b in zip(weights_of(first), between(first, second), strict=True)]
    for end, expected in zip(ends, weights_of(second), strict=True):
        np.testing.assert_allclose(end, expected, atol=1e-12)
    with pytest.raises(ValueError, match="built alike"):
        between(first, small(normalization="none"))


def planted(n=9, noise=0.0):
    """Snapshots in a plane of 40 weights, in three arrays of which the last is not trained."""
    rng = np.random.default_rng(5)
    basis = np.linalg.qr(rng.normal(size=(40, 2)))[0]
    t = np.linspace(0, 1, n)
    places = np.column_stack([4 * (t - 1), np.sin(np.pi * t)])  # ends at the origin
    rows = places @ basis.T + noise * rng.normal(size=(n, 40)) * (t < 1)[:, np.newaxis]
    return places, [[row[:30].reshape(5, 6), row[30:], rng.normal(size=3)] for row in rows]


def test_a_planted_plane_holds_all_the_variance():
    places, snapshots = planted()
    plane = principal_plane(snapshots, snapshots[-1], [True, True, False])
    assert sum(plane.explained) == pytest.approx(1.0, abs=1e-12)
    assert plane.explained[0] > plane.explained[1] > 0.01
    flat = [np.concatenate([part.ravel() for part in d]) for d in plane.directions]
    np.testing.assert_allclose([[a @ b for a in flat] for b in flat], np.eye(2), atol=1e-12)
    assert all(np.all(direction[2] == 0) for direction in plane.directions)
    # The path is the planted one up to a turn: all distances are kept, and the last is the origin.
    np.testing.assert_allclose(np.linalg.norm(plane.path, axis=1), np.linalg.norm(places, axis=1), atol=1e-9)
    np.testing.assert_allclose(plane.path[-1], 0, atol=1e-12)
    assert np.all(plane.path[0] <= 1e-12), "directions point from the first to the last snapshot"
    for place, weights in zip(plane.path, snapshots, strict=True):
        back = [place @ np.array([d[k].ravel() for d in plane.directions]) for k in range(2)]
        np.testing.assert_allclose(back[1], weights[1] - snapshots[-1][1], atol=1e-9)


def test_noise_beside_the_plane_takes_its_share():
    _, snapshots = planted(noise=0.1)
    plane = principal_plane(snapshots, snapshots[-1], [True, True, False])
    assert 0.7 < sum(plane.explained) < 0.99


def test_too_few_snapshots_or_a_line_are_refused():
    _, snapshots = planted(n=3)
    with pytest.raises(ValueError, match="at least three snapshots"):
        principal_plane(snapshots[:2], snapshots[-1], [True, True, False])
    line = [[np.full(4, float(k))] for k in range(5)]
    with pytest.raises(ValueError, match="span a plane"):
        principal_plane(line, line[-1], [True])
