"""An exported file gives the answers of Keras, says what it needs to know, and runs without TensorFlow."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from galcnn.cli.main import main
from galcnn.model import (
    Card,
    InputSpec,
    NetworkSettings,
    TrainedModel,
    assemble,
    build_network,
    fit_preprocessing,
    save_model,
)

onnx = pytest.importorskip("onnx", reason="the extra 'onnx' is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="the extra 'onnx' is not installed")
pytest.importorskip("tf2onnx", reason="the extra 'onnx' is not installed")

DOCS = Path(__file__).resolve().parents[2] / "docs" / "sharing.md"


def untrained(settings, *, unit="nJy", size=24, votes=None, **preprocessing):
    rng = np.random.default_rng(1)
    images = rng.normal(20, 60, (24, size, size, 3)).astype(np.float32)
    network = build_network((size, size, 3), 3, settings=settings, seed=2)
    logits = network.get_layer("logits")
    logits.kernel.assign(100 * logits.kernel)  # no longer near zero, as if it had been trained
    model = assemble(fit_preprocessing(images, **preprocessing), network)
    normalizing = [layer for layer in model._flatten_layers() if hasattr(layer, "moving_mean")]
    for layer in normalizing:  # and statistics of the images: logits of order 1
        layer.momentum = 0.0
    if normalizing:
        model(images, training=True)
    classes = () if votes else ("elliptical", "spiral", "édge on")
    card = Card(classes, InputSpec(("g", "r", "i"), unit, (size, size), 0.262), votes=votes)
    return TrainedModel(model, card), images


def run(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["logits"], {"image": images})[0]


def agree(trained, images, path, atol=1e-5):
    from galcnn.model import export_onnx

    export_onnx(trained, path)
    expected = np.asarray(trained.model(images, training=False))
    assert np.ptp(expected) > 0.01, "an answer that hangs on the image"
    np.testing.assert_allclose(run(path, images), expected, rtol=0, atol=atol)
    # Any number of images at once; sums are taken in another order.
    np.testing.assert_allclose(run(path, images[:1]), expected[:1], rtol=0, atol=atol)


SMALL = {"widths": (4, 8), "depth": 1, "stem": 4}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"residual": True, "pooling": "average", "field": 0.7},
        {"orientations": 4},
        pytest.param({"orientations": 8}, marks=pytest.mark.full),
        pytest.param({"normalization": "group"}, marks=pytest.mark.full),
        pytest.param({"normalization": "layer"}, marks=pytest.mark.full),
        pytest.param({"normalization": "none", "spatial_dropout": 0.2}, marks=pytest.mark.full),
        {"activation": "gelu"},
        pytest.param({"activation": "swish"}, marks=pytest.mark.full),
    ],
    ids=str,
)
def test_every_architecture_answers_as_in_keras(settings, tmp_path):
    trained, images = untrained(NetworkSettings(**(SMALL | settings)))
    agree(trained, images, tmp_path / "m.onnx")


@pytest.mark.full
@pytest.mark.parametrize("name", ["MobileNetV3Small", "ResNet50V2", "EfficientNetV2B0", "DenseNet121"])
def test_networks_of_keras_applications_answer_as_in_keras(name, tmp_path):
    """Fifty layers, untrained, make more of the last digit of a float32 than 1e-5: 3e-5 in ResNet50V2."""
    trained, images = untrained(NetworkSettings(architecture=name), size=48)
    agree(trained, images, tmp_path / "m.onnx", atol=1e-4)


@pytest.mark.full
@pytest.mark.parametrize("stretch", ["asinh", "lupton", "linear"])
@pytest.mark.parametrize(
    ("scaling", "per"),
    [("none", "band"), ("standardize", "set"), ("standardize", "image"), ("pca", "band"), ("whiten", "band")],
)
def test_every_preprocessing_is_in_the_file(stretch, scaling, per, tmp_path):
    trained, images = untrained(NetworkSettings(**SMALL), stretch=stretch, scaling=scaling, per=per)
    agree(trained, images, tmp_path / "m.onnx")


@pytest.mark.parametrize(
    "precision", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.full)]
)
def test_half_precision_is_exported_in_single(precision, tmp_path):
    """The same weights without the rounding of half precision: not what Keras gives, but near it."""
    from galcnn.model import export_onnx

    half, images = untrained(NetworkSettings(**SMALL, precision=precision))
    single, _ = untrained(NetworkSettings(**SMALL))
    single.model.set_weights(half.model.get_weights())
    export_onnx(half, tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", images)
    np.testing.assert_allclose(found, np.asarray(single.model(images, training=False)), rtol=0, atol=1e-5)
    rounded = np.abs(found - np.asarray(half.model(images, training=False))).max()
    assert 1e-5 < rounded < 0.1
    assert half.network.get_layer("stem").compute_dtype != "float32", "the model is left as it is"


def test_the_file_tells_what_a_reader_must_know(tmp_path):
    from galcnn.model import export_onnx

    trained, _ = untrained(NetworkSettings(**SMALL))
    trained = save_model(trained, tmp_path / "model")
    export_onnx(trained, tmp_path / "m.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    told = session.get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) == ["elliptical", "spiral", "édge on"]
    assert json.loads(told["bands"]) == ["g", "r", "i"]
    assert (json.loads(told["shape"]), json.loads(told["unit"])) == ([24, 24], "nJy")
    assert (json.loads(told["pixel_scale_arcsec"]), json.loads(told["render"])) == (0.262, None)
    assert told["model_sha256"] == trained.card.model_sha256
    on_disk = json.loads((tmp_path / "model" / "card.json").read_text())
    assert told["card_sha256"] == on_disk.pop("card_sha256") == trained.card.sha256
    assert json.loads(told["card"]) == on_disk
    (given,), (answer,) = session.get_inputs(), session.get_outputs()
    assert (given.name, given.shape) == ("image", ["batch", 24, 24, 3])
    assert (answer.name, answer.shape) == ("logits", ["batch", 3])


@pytest.mark.full
def test_a_model_of_votes_tells_its_questions(tmp_path):
    from galcnn.catalog import Votes
    from galcnn.model import export_onnx

    votes = Votes.from_dict(
        {"kind": "fractions", "questions": [{"name": "shape", "answers": ["smooth", "disc", "star"]}]}
    )
    trained, images = untrained(NetworkSettings(**SMALL), votes=votes)
    export_onnx(trained, tmp_path / "m.onnx")
    told = onnxruntime.InferenceSession(tmp_path / "m.onnx").get_modelmeta().custom_metadata_map
    assert json.loads(told["classes"]) is None
    assert json.loads(told["votes"])["questions"][0]["answers"] == ["smooth", "disc", "star"]
    agree(trained, images, tmp_path / "again.onnx")


def test_an_answer_that_differs_is_not_written(tmp_path, monkeypatch):
    """The check is of the file that was written: here a converter that loses the preprocessing."""
    from galcnn.model import export

    trained, _ = untrained(NetworkSettings(**SMALL))
    honest = export._converted
    monkeypatch.setattr(
        export,
        "_converted",
        lambda model, package: honest(assemble(_identity(model), model.get_layer("network")), package),
    )
    with pytest.raises(ValueError, match=r"the logits of Keras.*largest_difference="):
        export.export_onnx(trained, tmp_path / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def _identity(model):
    import keras

    given = keras.Input(model.input_shape[1:])
    return keras.Model(given, keras.layers.Identity()(given), name="preprocessing")


def test_the_command_and_the_snippet_of_the_docs_without_tensorflow(trained, tmp_path, monkeypatch):
    """A process that cannot import TensorFlow, Keras or galcnn gives the probabilities of galcnn classify."""
    import astropy.units as u
    from astropy.table import Table

    from galcnn import Cutout, save_cutout
    from tests.conftest import toy_images

    monkeypatch.chdir(tmp_path)
    save_model(trained, "model")
    (image,), _ = toy_images(1, seed=11)
    flux = np.moveaxis(image, -1, 0).copy()
    flux[0, 3, 4] = np.nan
    save_cutout(Cutout(flux, ("g", "r"), unit=u.nJy), "galaxy.fits")
    assert main(["export", "model", "--out", "model.onnx"]) == 0
    assert main(["classify", "model", "galaxy.fits", "--out", "classes.ecsv", "--quiet"]) == 0
    snippet = DOCS.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    assert "import onnxruntime" in snippet
    closed = (
        "import sys\n"
        "for name in ('tensorflow', 'keras', 'galcnn'):\n    sys.modules[name] = None  # an import fails\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", closed + snippet], capture_output=True, text=True, timeout=120, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    row = Table.read("classes.ecsv")[0]
    assert found == {name: pytest.approx(row[f"p_{name}"], abs=1e-5) for name in ("round", "thin")}


def test_a_wrong_ending_and_a_missing_extra_are_said(trained, tmp_path, monkeypatch):
    from galcnn.model import export_onnx

    with pytest.raises(ValueError, match=r"ends in \.onnx"):
        export_onnx(trained, tmp_path / "m.pb")
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(ImportError, match=r'missing=\'tf2onnx\'.*pip install "galcnn\[onnx\]"'):
        export_onnx(trained, tmp_path / "m.onnx")
