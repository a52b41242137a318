"""Score-CAM and RISE, the methods of masks: against their sums written out, and closed forms."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from galcnn.explain import RISE, ScoreCAM
from galcnn.explain.methods.rise import masks
from galcnn.model import network_layers
from galcnn.model.receptive import resampling_matrix, upright_grid
from tests.explain import builds
from tests.explain.builds import IMAGES, SHAPE, TARGET, linear


@pytest.mark.parametrize("layer", ["last_norm", "pool"])
def test_scorecam_is_the_sum_of_its_definition(layer):
    network = builds.flat()
    found = ScoreCAM(layer, baseline="zero").fine_and_coarse(network, IMAGES, TARGET)[1]
    features = np.asarray(keras.Model(network.inputs[0], network.get_layer(layer).output)(IMAGES))
    grid = upright_grid(network, network_layers(network)[layer])
    rows, columns = (
        resampling_matrix(SHAPE[axis], features.shape[1 + axis], grid.start[axis], grid.jump[axis])
        for axis in (0, 1)
    )
    weights = np.array(TARGET.weights)
    nothing = np.asarray(network(np.zeros_like(IMAGES[:1])))[0] @ weights
    for image, maps, cells in zip(IMAGES, features, found, strict=True):
        expected = np.zeros(maps.shape[:2])
        for k in range(maps.shape[-1]):
            fine = rows @ maps[..., k] @ columns.T
            if np.ptp(fine) == 0:
                continue
            shown = ((fine - fine.min()) / np.ptp(fine))[..., None] * image
            gain = np.asarray(network(shown[None].astype("float32")))[0] @ weights - nothing
            expected += gain * maps[..., k]
        np.testing.assert_allclose(cells, np.maximum(expected, 0), rtol=1e-3, atol=1e-4)


def test_masks_of_rise_are_grids_interpolated_between_their_centres():
    grids = np.random.default_rng(0).uniform(size=(3, 5, 5)).astype("float32")
    offsets = np.array([[0, 0], [0.5, 0.25], [1, 0]], "float32")
    found = masks(tf.constant(grids), tf.constant(offsets), (8, 12)).numpy()
    for grid, (dy, dx), mask in zip(grids, offsets, found, strict=True):
        y = np.clip((np.arange(8) + 0.5) * 4 / 8 + dy - 0.5, 0, 4)
        x = np.clip((np.arange(12) + 0.5) * 4 / 12 + dx - 0.5, 0, 4)
        rows = np.array([np.interp(y, np.arange(5), column) for column in grid.T]).T
        expected = np.array([np.interp(x, np.arange(5), row) for row in rows])
        np.testing.assert_allclose(mask, expected, atol=1e-5)


def test_rise_of_a_linear_network_is_the_covariance_of_its_masks():
    """S = c + sum w d M, so that the map is Cov(M) w d / p: exact for the masks that are drawn."""
    network, w = linear()
    rise = RISE(n=50, cells=3, share=0.4, baseline="zero", seed=3)
    shown = masks(*map(tf.constant, rise._drawn(np.float32)), SHAPE[:2]).numpy().astype(float)
    found = rise(network, IMAGES, TARGET)
    for image, plane in zip(IMAGES.astype(float), found, strict=True):
        scores = np.einsum("myx,yx->m", shown, ((w @ TARGET.weights) * image).sum(-1))
        expected = np.einsum("m,myx->yx", scores - scores.mean(), shown) / (50 * 0.4)
        np.testing.assert_allclose(plane[..., 0], expected, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(plane[..., 0], plane[..., 1])


def test_the_noise_of_rise_falls_as_one_over_the_root_of_n():
    network, _ = linear()
    errors = []
    for n in (40, 640):
        maps = [RISE(n=n, cells=3, baseline="zero", seed=s)(network, IMAGES[:1], TARGET) for s in range(16)]
        errors.append(np.std(maps, axis=0).mean())
    assert 4 / 1.3 < errors[0] / errors[1] < 4 * 1.3


def test_rise_says_what_it_takes():
    for wrong in ({"n": 1}, {"cells": 0}, {"share": 1.0}):
        with pytest.raises(ValueError, match="at least 2 masks"):
            RISE(**wrong)
