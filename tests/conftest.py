"""What many tests share: a learnable set of images, and one model trained on it for the whole run."""

import os
import signal
import socket
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable
from hypothesis import HealthCheck, settings

from galcnn.cutout import Cutout
from galcnn.files import save_cutout

# How long an example takes depends on what else the machine does.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

HERE = ("127.0.0.1", "::1", "localhost")
REAL_DATA = Path(os.environ.get("GALCNN_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def real_data():
    """The folder of real galaxies (fits/, gz1/ ...), or a skip that says how to have it."""
    if not (REAL_DATA / "fits").is_dir():
        pytest.skip("real galaxies are not here: set GALCNN_DATA to the folder that holds fits/ and gz1/")
    return REAL_DATA


@pytest.fixture(autouse=True)
def no_network(request, monkeypatch):
    """Only a test that is marked `remote_data` talks to the outside."""
    connect = socket.socket.connect

    def connect_here(own, address):
        # A datagram socket that connects, to learn its own address, sends nothing.
        stream = own.family in (socket.AF_INET, socket.AF_INET6) and own.type == socket.SOCK_STREAM
        outside = stream and address[0] not in HERE
        assert not outside, f"{request.node.nodeid} asks {address} and is not marked remote_data"
        return connect(own, address)

    if request.node.get_closest_marker("remote_data") is None:
        monkeypatch.setattr(socket.socket, "connect", connect_here)


@pytest.fixture
def ctrl_c():
    """SIGINT interrupts, also where the tests run in the background of a shell, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def write_toy_sky(folder, images, positions):
    """Cutouts of which one is missing and one too large, and a catalog with positions."""
    for i, image in enumerate(images):
        planes = np.moveaxis(image, -1, 0)
        if i == 7:
            continue
        if i == 11:
            planes = np.pad(planes, ((0, 0), (2, 2), (2, 2)))
        save_cutout(Cutout(planes, ("g", "r"), survey="toy"), folder / "cutouts" / f"g{i}.fits")
    table = QTable({"id": [f"g{i}" for i in range(len(images))]})
    table["ra"], table["dec"] = (angles * u.deg for angles in positions)
    table.write(folder / "catalog.ecsv")


def toy_images(n, *, seed=0, size=16, n_bands=2):
    """Round and elongated blobs in noise: two classes that a small network tells apart."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    images = np.empty((n, size, size, n_bands), dtype=np.float32)
    labels = np.arange(n, dtype=np.int32) % 2
    for image, label in zip(images, labels, strict=True):
        angle = rng.uniform(0, np.pi)
        major = x * np.cos(angle) + y * np.sin(angle)
        minor = -x * np.sin(angle) + y * np.cos(angle)
        squeeze = 4.0 if label else 1.0
        blob = np.exp(-(major**2 / (8 * squeeze) + minor**2 * squeeze / 8))
        flux = rng.uniform(50, 200, n_bands)
        image[...] = blob[..., np.newaxis] * flux + rng.normal(0, 3, (size, size, n_bands))
    return images, labels


def embed(trained, images):
    """The features from which the logits are made."""
    from galcnn.model.bundle import with_embedding

    return with_embedding(trained).predict(images, verbose=0)[1]


@pytest.fixture(scope="session")
def toy_dataset():
    from galcnn.dataset import Dataset
    from galcnn.model import InputSpec

    images, labels = toy_images(240)
    spec = InputSpec(("g", "r"), "nJy", (16, 16), 0.4)
    return Dataset(tuple(f"toy{i}" for i in range(240)), images, labels, ("round", "thin"), spec)


@pytest.fixture(scope="session")
def trained(toy_dataset):
    """A small model that has learned to tell round from thin; never change it."""
    from galcnn.model import Card, NetworkSettings, TrainedModel, assemble, build_network, fit_preprocessing
    from galcnn.training import TrainingSettings, class_frequency, fit, trained_prior

    training, validation = toy_dataset.select(np.arange(180)), toy_dataset.select(np.arange(180, 240))
    settings = NetworkSettings(widths=(8, 8, 16), dropout=0.1)
    model = assemble(
        fit_preprocessing(training.images), build_network((16, 16, 2), 2, settings=settings, seed=3)
    )
    fit(model, training, validation, settings=TrainingSettings(epochs=8, learning_rate=0.01), seed=3)
    card = Card(
        classes=("round", "thin"),
        inputs=toy_dataset.inputs,
        class_prior=class_frequency(training),
        trained_prior=trained_prior(training, "none"),
    )
    return TrainedModel(model, card)


@pytest.fixture(scope="session")
def toy_experiment(tmp_path_factory):
    """The file of an experiment on 160 small pictures of round and thin blobs; never change it."""
    from astropy.table import Table
    from PIL import Image

    folder = tmp_path_factory.mktemp("toy-experiment")
    images, labels = toy_images(160, seed=7, n_bands=3)
    pictures = np.clip(images + 30, 0, 255).astype(np.uint8)
    names = [f"p{i}.png" for i in range(len(pictures))]
    for name, picture in zip(names, pictures, strict=True):
        Image.fromarray(picture).save(folder / name)
    kinds = np.array(["round", "thin"])[labels]
    Table({"image": names, "class": kinds}).write(folder / "catalog.ecsv")
    path = folder / "experiment.toml"
    path.write_text(
        'seed = 3\n[data]\ncatalog = "catalog.ecsv"\n'
        "[network]\nwidths = [8, 16]\ndepth = 1\nstem = 0\nfield = 1.0\n"
        "[training]\nepochs = 2\nbatch_size = 16\n"
    )
    return path
