"""Encoders of timm: features as timm computes them, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from galcnn.model.contents import check_contents
from galcnn.model.encoders import load_encoder
from tests.model.encoders import weights

safetensors_numpy = pytest.importorskip("safetensors.numpy", reason="pip install 'galcnn[hub]' installs it")

HERE = Path(__file__).parent
RECORDED = json.loads((HERE / "recorded.json").read_text())


def write(folder, architecture, shapes, *, bands=3, changed=(), **config):
    """Write an encoder as timm does."""
    folder.mkdir(exist_ok=True)
    stated = {
        "architecture": architecture,
        "num_classes": 0,
        "pretrained_cfg": {"mean": [0.4] * bands, "std": [0.2] * bands, "input_size": [bands, 224, 224]},
    }
    (folder / "config.json").write_text(json.dumps(stated | config))
    state = weights.state(shapes)
    for name, values in dict(changed).items():
        state.pop(name, None)
        if values is not None:
            state[name] = values
    safetensors_numpy.save_file(state, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def pico(tmp_path_factory):
    made = RECORDED["convnext_pico"]
    return write(tmp_path_factory.mktemp("pico"), "convnext_pico", made["shapes"])


@pytest.mark.parametrize(
    "architecture",
    [
        "convnext_pico",
        *(pytest.param(name, marks=pytest.mark.full) for name in ("resnet18", "efficientnet_b0")),
    ],
)
def test_features_are_those_recorded_from_timm(architecture, tmp_path):
    made = RECORDED[architecture]
    folder = write(tmp_path / "encoder", architecture, made["shapes"], bands=made["bands"])
    encoder = load_encoder(folder, scaling="0-1")
    found = encoder.model.predict(weights.images(made["bands"]), verbose=0)[:, :16]
    assert np.abs(found - made["features"]).max() < 1e-5 * made["largest"]
    # Plain layers of Keras: the file is read without KerasHub, and passes the check of foreign files.
    encoder.model.save(tmp_path / "model.keras")
    check_contents(tmp_path / "model.keras")


@pytest.mark.full
@pytest.mark.parametrize("bands", [1, 3])
@pytest.mark.parametrize(
    "architecture",
    [
        *("convnext_pico", "convnext_nano", "convnext_tiny", "convnext_small", "convnext_base"),
        *("resnet18", "resnet26", "resnet34", "resnet50", "resnet101", "resnet152"),
        *(f"efficientnet_b{number}" for number in range(6)),
    ],
)
def test_features_are_those_of_timm(architecture, bands, tmp_path):
    python = os.environ.get("GALCNN_TIMM_PYTHON")
    if not python:
        pytest.skip("make test-hub installs torch and timm, and names their Python in GALCNN_TIMM_PYTHON")
    shapes, output = tmp_path / "shapes.json", tmp_path / "features.npy"
    script = str(HERE / "timm_features.py")
    subprocess.run([python, script, "features", architecture, str(bands), shapes, output], check=True)
    folder = write(tmp_path / "encoder", architecture, json.loads(shapes.read_text()), bands=bands)
    expected = np.load(output)
    found = load_encoder(folder, scaling="0-1").model.predict(weights.images(bands), verbose=0)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-5 * np.abs(expected).max()


def test_scaling_is_never_guessed(pico):
    with pytest.raises(ValueError, match=r"Expected the scaling .* Received: scaling=None, mean=\[0.4"):
        load_encoder(pico)
    with pytest.raises(ValueError, match="scaling='imagenet'"):
        load_encoder(pico, scaling="imagenet")
    found = load_encoder(pico, scaling="mean-std")
    assert (found.scaling, found.mean, found.std) == ("mean-std", (0.4,) * 3, (0.2,) * 3)


def test_zoobot_divides_by_255_and_uses_no_mean(pico):
    found = load_encoder(pico, repository="mwalmsley/zoobot-encoder-convnext_pico")
    assert (found.scaling, found.mean, found.std) == ("0-1", (0.0,) * 3, (1.0,) * 3)
    with pytest.raises(ValueError, match="scaling"):
        load_encoder(pico, repository="somebody/zoobot-encoder-convnext_pico")


@pytest.mark.parametrize("mean", [None, [0.4], ["a", "b", "c"], 0.4])
def test_mean_of_other_bands_is_refused(mean, tmp_path):
    made = RECORDED["convnext_pico"]
    stated = {"mean": mean, "std": [0.2] * 3}
    folder = write(tmp_path / "encoder", "convnext_pico", made["shapes"], pretrained_cfg=stated)
    with pytest.raises(ValueError, match="Expected mean of 3 bands"):
        load_encoder(folder, scaling="mean-std")


def test_a_pickle_is_refused_with_the_way_to_convert_it(tmp_path):
    (tmp_path / "config.json").write_text('{"architecture": "resnet18"}')
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors"):
        load_encoder(tmp_path, scaling="0-1")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80\x04")
    with pytest.raises(ValueError, match=r"pytorch_model\.bin.*safetensors\.torch\.save_file"):
        load_encoder(tmp_path, scaling="0-1")


@pytest.mark.parametrize("architecture", [pytest.param("resnet18", marks=pytest.mark.full), "convnext_pico"])
@pytest.mark.parametrize("fault", ["missing", "shape", "extra", "nan"])
def test_weights_of_another_network_are_refused(architecture, fault, tmp_path):
    made = RECORDED[architecture]
    first = next(name for name, shape in made["shapes"].items() if len(shape) == 4)
    kernel = weights.state({first: made["shapes"][first]})[first]
    later = [name for name in made["shapes"] if name.endswith("conv1.weight") or "conv_dw.weight" in name][-1]
    changed = {
        "missing": {later: None},
        "shape": {first: kernel[:-1]},
        "extra": {"layer9.0.conv1.weight": kernel},
        "nan": {first: kernel * np.nan},
    }[fault]
    folder = write(tmp_path / "encoder", architecture, made["shapes"], bands=made["bands"], changed=changed)
    with pytest.raises(ValueError, match=f"with the weights of {architecture}|finite weights"):
        load_encoder(folder, scaling="0-1")


@pytest.mark.parametrize("architecture", ["maxvit_base", "convnextv2_nano", "resnet50d", "", None])
def test_other_networks_are_refused_by_name(architecture, tmp_path):
    folder = write(tmp_path / "encoder", architecture, {"a.weight": [2, 2]})
    with pytest.raises(ValueError, match=r"Expected a network among convnext_pico.*galcnn import"):
        load_encoder(folder, scaling="0-1")


@pytest.mark.parametrize("content", [b"", b"\x10\0\0\0\0\0\0\0{}", b"not weights at all, whatever it says"])
def test_damaged_files_are_refused(content, tmp_path):
    folder = write(tmp_path / "encoder", "resnet18", {"a.weight": [2, 2]})
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="complete file of weights"):
        load_encoder(folder, scaling="0-1")
    (folder / "config.json").write_text("[1]")
    with pytest.raises(ValueError, match=r"config\.json"):
        load_encoder(folder, scaling="0-1")


def test_missing_packages_are_named(pico, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ImportError, match=r"pip install 'galcnn\[hub\]'"):
        load_encoder(pico, scaling="0-1")
