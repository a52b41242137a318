"""Equivariance and sensitivity: zero where theory says zero, and closed forms where it does not."""

from dataclasses import replace

import numpy as np
import pytest

from galcnn.explain import GradCAM, InputXGradient, IntegratedGradients, Saliency
from galcnn.faithfulness import equivariance, sensitivity
from galcnn.faithfulness.controls import Edges, Noise
from galcnn.faithfulness.stability import orientations
from galcnn.model import NetworkSettings, Target, build_network
from tests.explain import builds
from tests.faithfulness.conftest import TARGET, sample_of_images

SQUARE = np.random.default_rng(8).normal(size=(3, 16, 16, 2)).astype("float32")


@pytest.mark.parametrize("square", [True, False])
def test_ways_back_undo_ways_there_and_are_all_different(square):
    images = SQUARE if square else SQUARE[:, :, :10]
    ways = orientations(square)
    assert len(ways) == (7 if square else 3)
    seen = {images.tobytes()}
    for turn, back in ways:
        turned = turn(images)
        assert np.array_equal(back(turned), images)
        assert turned.shape == images.shape
        seen.add(turned.tobytes())
    assert len(seen) == len(ways) + 1


@pytest.mark.parametrize("explainer", [Saliency(), IntegratedGradients(n=4, baseline="zero"), GradCAM()])
def test_a_network_of_all_orientations_turns_its_maps(explainer, unchanged):
    settings = NetworkSettings(widths=(4, 6), depth=1, stem=0, orientations=8)
    network = builds.settle(build_network((16, 16, 2), 2, settings=settings))
    sample = replace(sample_of_images(SQUARE), targets=(Target("second", (0.0, 1.0)),) * 3)
    errors = equivariance(unchanged(network), explainer, sample)
    assert errors.shape == (7, 3)
    assert np.nanmax(errors) < 1e-4


def test_the_gradient_of_a_linear_network_does_not_turn_with_the_image(sample):
    network, weights = builds.linear()
    w = (weights @ np.array(TARGET.weights))[np.newaxis]
    errors = equivariance(network, Saliency(), sample)
    for row, (_, back) in zip(errors, orientations(False), strict=True):
        assert row == pytest.approx(np.linalg.norm(back(w) - w) / np.linalg.norm(w), rel=1e-5)


def test_edges_turn_with_the_image_and_random_numbers_do_not():
    sample = sample_of_images(SQUARE)
    assert np.abs(equivariance(None, Edges(), sample)).max() < 1e-6
    assert equivariance(None, Noise(), sample).mean() == pytest.approx(np.sqrt(2), rel=0.05)


def test_the_gradient_of_a_linear_network_is_not_sensitive(sample, unchanged):
    network, _ = builds.linear()
    assert sensitivity(unchanged(network), Saliency(), sample).tolist() == [0, 0, 0, 0]


def test_sensitivity_of_input_times_gradient_of_a_linear_network(sample):
    network, weights = builds.linear()
    w = weights @ np.array(TARGET.weights)
    found = sensitivity(network, InputXGradient(), sample, epsilon=3.0, draws=1)
    # The map moves by w times a move that is uniform within 3 sigma = 0.3, of variance 0.3^2 / 3.
    norms = np.sqrt(((sample.images * w) ** 2).sum(axis=(1, 2, 3)))
    expected = np.linalg.norm(w) * 0.3 / np.sqrt(3) / norms
    assert found == pytest.approx(expected, rel=0.15)
    more = sensitivity(network, InputXGradient(), sample, epsilon=3.0, draws=6)
    assert np.all(more >= found)
    assert np.all(more < 1.3 * expected)
    with pytest.raises(ValueError, match="epsilon above 0"):
        sensitivity(network, Saliency(), sample, epsilon=0)
