"""Galaxies for the checks: the images of the small networks, each with an id and a target."""

import numpy as np
import pytest

from galcnn.explain import Context
from galcnn.faithfulness import Sample
from galcnn.model import Target
from tests.explain import builds

TARGET = Target("third less first", (-1.0, 0.0, 1.0))


def sample_of_images(images, sigma=0.1):
    n = len(images)
    context = Context(
        sigma=np.full(images.shape, sigma, dtype=np.float32), ids=tuple(f"galaxy{i}" for i in range(n))
    )
    return Sample(images, (TARGET,) * n, context)


@pytest.fixture(scope="session")
def sample():
    """Four images of 12 x 10 pixels in 2 bands, of unit variance, with sigma 0.1."""
    return sample_of_images(builds.IMAGES)


@pytest.fixture(scope="session")
def many():
    """Two hundred such images."""
    images = np.random.default_rng(5).normal(size=(200, *builds.IMAGES.shape[1:])).astype("float32")
    return sample_of_images(images)


@pytest.fixture
def unchanged():
    """Fails where a network's weights have moved by a bit."""
    seen = []

    def watch(network):
        seen.append((network, [np.array(value) for value in network.get_weights()]))
        return network

    yield watch
    for network, before in seen:
        assert all(np.array_equal(a, b) for a, b in zip(before, network.get_weights(), strict=True))
