"""One small sky for all who run a model over a catalog."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from galcnn.cutout import Cutout
from galcnn.files import save_cutout
from galcnn.model import save_model
from tests.conftest import toy_images

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
    for i, image in enumerate(blobs):
        planes = np.moveaxis(image, -1, 0)
        if i == 7:
            continue
        if i == 11:
            planes = np.pad(planes, ((0, 0), (2, 2), (2, 2)))
        save_cutout(Cutout(planes, ("g", "r"), survey="toy"), folder / "cutouts" / f"g{i}.fits")
    table = QTable({"id": [f"g{i}" for i in range(N)]})
    table["ra"], table["dec"] = rng.uniform(0, 360, N) * u.deg, rng.uniform(-80, 80, N) * u.deg
    table.write(folder / "catalog.ecsv")
    return folder
