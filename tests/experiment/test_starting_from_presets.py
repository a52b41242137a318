"""Trainings that start from a preset of KerasHub, in a folder that the test makes."""

import json
import shutil

import keras
import numpy as np
import pytest

from galcnn import load_model, train
from galcnn.experiment import Experiment, read_settings
from galcnn.model.pretrained import resolve

keras_hub = pytest.importorskip("keras_hub", reason="pip install 'galcnn[hub]' installs it")
SHORT = {"epochs": 1, "batch_size": 32, "augmentation": {"rotations": "none", "flips": False}}
SCALE, OFFSET = [0.02, 0.03, 0.04], [-1.0, -1.5, -2.0]


def save_preset(folder, *, converter=True, **backbone):
    """A small ResNet with weights of its own."""
    settings = {
        "input_conv_filters": [64],
        "input_conv_kernel_sizes": [3],
        "stackwise_num_filters": [64],
        "stackwise_num_blocks": [1],
        "stackwise_num_strides": [1],
        "block_type": "basic_block",
        "image_shape": (None, None, 3),
    }
    model = keras_hub.models.ResNetBackbone(**(settings | backbone))
    model.save_to_preset(str(folder))
    if converter:
        keras_hub.layers.ResNetImageConverter(scale=SCALE, offset=OFFSET).save_to_preset(str(folder))
    return model


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "small"
    keras.utils.set_random_seed(0)
    return folder, save_preset(folder)


def test_the_features_are_those_of_keras_hub(preset):
    folder, model = preset
    parent = resolve(folder)
    scaled = np.random.default_rng(0).normal(size=(2, 21, 18, 3)).astype(np.float32)
    found = parent.network((21, 18, 3)).predict(scaled, verbose=0)
    expected = np.asarray(model(scaled)).mean(axis=(1, 2))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    assert parent.name == "small"
    assert len(parent.sha256) == 64
    offset, divisor = parent.levels
    picture = np.array([10.0, 100.0, 200.0])
    np.testing.assert_allclose((picture - offset) / divisor, picture * SCALE + OFFSET, rtol=1e-6)


@pytest.mark.full
def test_a_training_starts_from_a_preset(preset, toy_experiment, tmp_path):
    """Frozen, the child gives the features of the preset to its logits; its file needs no KerasHub."""
    folder, model = preset
    content = {"data": read_settings(toy_experiment)["data"] | {"size": 32}, "training": SHORT}
    content["start"] = {"model": str(folder), "freeze": "all"}
    train(Experiment.from_dict(content), tmp_path / "child")
    child = load_model(tmp_path / "child")
    pictures = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3)).astype(np.float32)
    features = np.asarray(model(pictures * np.float32(SCALE) + np.float32(OFFSET))).mean(axis=(1, 2))
    kernel, bias = (np.asarray(weight) for weight in child.with_orientations(1).network.layers[-1].weights)
    found = child.with_orientations(1).model.predict(pictures, verbose=0)
    np.testing.assert_allclose(found, features @ kernel + bias, rtol=0, atol=1e-3 * np.abs(found).max())
    assert "KerasHub" in child.card.parent["notes"][0]


def test_a_preset_without_scaling_asks_for_it(tmp_path):
    save_preset(tmp_path / "plain", converter=False)
    with pytest.raises(ValueError, match="a preset that says how it scales pictures"):
        resolve(tmp_path / "plain")
    assert resolve(tmp_path / "plain", scaling="0-1").levels == ((0.0,) * 3, (255.0,) * 3)
    with pytest.raises(ValueError, match="the preset's own scaling, or 0-1"):
        resolve(tmp_path / "plain", scaling="mean-std")


def test_a_preset_that_would_run_code_is_refused(preset, tmp_path):
    shutil.copytree(preset[0], tmp_path / "evil")
    path = tmp_path / "evil" / "config.json"
    config = json.loads(path.read_text())
    config["config"]["extra"] = {"module": "keras.layers", "class_name": "Lambda", "config": {}}
    path.write_text(json.dumps(config))
    with pytest.raises(ValueError, match="layers of Keras and their weights"):
        resolve(tmp_path / "evil")
    shutil.copytree(preset[0], tmp_path / "broken")
    (tmp_path / "broken" / "model.weights.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match="weights that cannot be read"):
        resolve(tmp_path / "broken")


def test_a_name_that_keras_hub_does_not_know_is_refused():
    with pytest.raises(ValueError, match="a preset of KerasHub"):
        resolve("keras_hub:resnet_18_galaxies")
