"""One small sky for all who run a model over a catalog."""

import numpy as np
import pytest

from galcnn.model import save_model
from tests.conftest import toy_images, write_toy_sky

N = 40


@pytest.fixture(scope="session")
def blobs():
    return toy_images(N, seed=8)[0]


@pytest.fixture(scope="session")
def sky(trained, blobs, tmp_path_factory):
    """A model folder; cutouts of which one is missing and one too large; a catalog with positions."""
    folder = tmp_path_factory.mktemp("run")
    save_model(trained, folder / "model")
    rng = np.random.default_rng(0)
    write_toy_sky(folder, blobs, (rng.uniform(0, 360, N), rng.uniform(-80, 80, N)))
    return folder
