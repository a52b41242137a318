"""Trainings that start from an encoder of others, and from a model on a hub, which runs on this machine."""

import json

import numpy as np
import pytest

from galcnn import train
from galcnn.experiment import Experiment, read_settings
from galcnn.model.encoders import load_encoder
from galcnn.model.pretrained import resolve
from galcnn.model.publishing import publish
from tests.model.encoders.test_encoders import RECORDED, write
from tests.model.hub.test_hub import hub, trained_folder  # noqa: F401, fixtures

#: huggingface_hub 2.4 uploads large files in a way that its client httpx2 will drop.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=<...>' to upload raw:DeprecationWarning:httpx2")
SHORT = {"epochs": 1, "batch_size": 32, "augmentation": {"rotations": "none", "flips": False}}


@pytest.fixture(scope="module")
def pico(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders") / "pico"
    return write(folder, "convnext_pico", RECORDED["convnext_pico"]["shapes"])


def experiment_of(toy_experiment, **start):
    content = {"data": read_settings(toy_experiment)["data"]}
    content["data"]["size"] = 32
    return Experiment.from_dict(content | {"training": SHORT, "start": start})


@pytest.mark.full  # 9 million parameters, untrained
def test_a_frozen_encoder_gives_its_features_of_pictures(toy_experiment, pico, tmp_path):
    experiment = experiment_of(toy_experiment, model=str(pico), scaling="mean-std", freeze="all")
    child = train(experiment, tmp_path / "child")
    encoder = load_encoder(pico, scaling="mean-std")
    images = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    scaled = (images / 255 - 0.4) / 0.2
    np.testing.assert_allclose(child.preprocessing.predict(images, verbose=0), scaled, rtol=0, atol=1e-5)
    features = encoder.model.predict(scaled, verbose=0)
    logits = child.network.layers[-1]
    kernel, bias = (np.asarray(weight) for weight in logits.weights)
    expected = features @ kernel + bias
    found = child.network.predict(scaled, verbose=0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())
    told = json.loads((tmp_path / "child" / "card.json").read_text())["parent"]
    assert told["sha256"] == encoder.weights_sha256
    assert told["preprocessing"] == "the encoder's: (x - 102) / 51"
    assert told["notes"] == ["an encoder of pictures, convnext_pico, scaled by mean-std"]


def test_the_scaling_of_an_encoder_is_asked_for(toy_experiment, pico, tmp_path):
    with pytest.raises(ValueError, match="Expected the scaling of the images in the training"):
        train(experiment_of(toy_experiment, model=str(pico)), tmp_path / "child")


def test_images_of_flux_are_refused_by_an_encoder_of_pictures(tmp_path, pico):
    from tests.experiment.test_starting import write_catalog

    catalog = write_catalog(tmp_path, bands=("g", "r", "i"), size=32)
    content = {"data": {"catalog": str(catalog)}, "training": SHORT}
    content["start"] = {"model": str(pico), "scaling": "0-1"}
    with pytest.raises(ValueError, match=r"Expected pictures with values from 0 to 255.*--render sdss"):
        train(Experiment.from_dict(content), tmp_path / "child")


def test_a_scaling_is_for_encoders_only(trained_folder):  # noqa: F811
    with pytest.raises(ValueError, match=r"Leave start\.scaling out"):
        resolve(trained_folder, scaling="0-1")


def test_a_model_on_a_hub_is_a_parent(hub, trained_folder):  # noqa: F811
    address = publish(trained_folder, "hf://me/rings")
    parent, local = resolve("hf://me/rings"), resolve(trained_folder)
    assert (parent.name, parent.sha256) == (address, local.sha256)
    for one, other in zip(parent.trained.model.get_weights(), local.trained.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
