"""A network that knows nothing of galcnn is imported, and every command that takes a model works on it."""

import csv
import json

import keras
import numpy as np
import pytest
from astropy.table import Table
from keras import layers

from galcnn import Cutout, save_cutout
from galcnn.cli.main import main
from galcnn.model import Card
from tests.conftest import toy_images

CLASSES = ("round", "thin")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """Folder with a trained Keras network of 2 bands in units of 100 nJy, cutouts and a catalog."""
    folder = tmp_path_factory.mktemp("foreign")
    images, labels = toy_images(240)
    network = keras.Sequential(
        [
            keras.Input((16, 16, 2)),
            layers.Conv2D(8, 5, activation="relu", kernel_initializer=keras.initializers.HeNormal(seed=1)),
            layers.Conv2D(8, 3, activation="relu", kernel_initializer=keras.initializers.HeNormal(seed=2)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax", kernel_initializer=keras.initializers.HeNormal(seed=3)),
        ]
    )
    network.compile("adam", "sparse_categorical_crossentropy")
    network.optimizer.learning_rate = 0.01
    network.fit(images / 100, labels, epochs=8, batch_size=32, shuffle=False, verbose=0)
    network.save(folder / "own.keras")
    shown, truth = toy_images(80, seed=9)
    rows = []
    for i, (image, label) in enumerate(zip(shown, truth, strict=True)):
        path = folder / f"g{i}.fits"
        save_cutout(Cutout(np.moveaxis(image, -1, 0), ("g", "r"), survey="toy"), path)
        rows.append({"name": f"g{i}", "file": path.name, "shape": CLASSES[label]})
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    np.save(folder / "expected.npy", network.predict(shown / 100, verbose=0))
    return folder


@pytest.fixture(scope="module")
def imported(foreign):
    words = [
        "--classes",
        ",".join(CLASSES),
        "--bands",
        "gr",
        "--scale",
        "100",
        "--out",
        str(foreign / "model"),
    ]
    assert main(["import", str(foreign / "own.keras"), *words]) == 0
    return foreign / "model"


def columns(foreign):
    return [
        "--catalog",
        str(foreign / "labels.csv"),
        "--image-column",
        "file",
        "--label",
        "shape",
        "--id",
        "name",
    ]


def test_import_says_what_the_model_reads_and_what_was_changed(foreign, capsys):
    words = ["--classes", ",".join(CLASSES), "--bands", "g,r", "--unit", "nanomaggy", "--pixel-scale", "0.4"]
    assert main(["import", str(foreign / "own.keras"), *words, "--out", str(foreign / "other")]) == 0
    said = capsys.readouterr().out
    assert "reads g, r: 16 x 16 pixels, 0.4 arcsec per pixel, nJy" in said
    assert "note: images in nJy are divided by 3631\n" in said
    assert "note: the softmax at the end of the network is left out" in said
    assert main(["info", str(foreign / "other")]) == 0
    assert "as trained    not known" in capsys.readouterr().out


def test_classify_gives_the_probabilities_of_the_network(foreign, imported, tmp_path):
    files = [str(foreign / f"g{i}.fits") for i in range(10)]
    assert main(["classify", str(imported), *files, "--out", str(tmp_path / "c.ecsv")]) == 0
    table = Table.read(tmp_path / "c.ecsv")
    found = np.array([table["p_round"], table["p_thin"]]).T
    assert np.allclose(found, np.load(foreign / "expected.npy")[:10], atol=1e-5)


def test_a_prior_needs_the_frequencies_of_the_training(foreign, imported, tmp_path, capsys):
    words = [str(foreign / "g0.fits"), "--prior", "uniform", "--out", str(tmp_path / "c.ecsv")]
    assert main(["classify", str(imported), *words]) == 2
    assert "as-trained" in capsys.readouterr().err


def test_calibrate_reads_a_labelled_catalog(foreign, tmp_path, capsys):
    model = str(tmp_path / "model")
    words = ["--classes", ",".join(CLASSES), "--bands", "g,r", "--scale", "100", "--out", model]
    assert main(["import", str(foreign / "own.keras"), *words]) == 0
    assert main(["calibrate", model]) == 2
    assert "--catalog" in capsys.readouterr().err
    assert main(["calibrate", model, *columns(foreign), "--false-alarms", "0.2"]) == 0
    record = json.loads((tmp_path / "model" / "uncertainty.json").read_text())
    assert record["measured"]["n_test"] + record["measured"]["n_validation"] == 24
    assert main(["classify", model, str(foreign / "g1.fits"), "--out", str(tmp_path / "c.ecsv")]) == 0
    assert {"distance", "set"} <= {*Table.read(tmp_path / "c.ecsv").colnames}


def test_the_file_of_a_network_is_no_model_but_the_way_is_named(foreign, tmp_path, capsys):
    assert main(["explain", str(foreign / "own.keras"), "g0.fits", "--out", str(tmp_path / "o.fits")]) == 2
    assert f"galcnn import {foreign / 'own.keras'}" in capsys.readouterr().err


def test_calibrate_refuses_classes_that_the_network_does_not_know(foreign, imported, tmp_path, capsys):
    labels = (foreign / "labels.csv").read_text().replace("thin", "barred")
    (foreign / "others.csv").write_text(labels)
    words = ["--catalog", str(foreign / "others.csv"), "--image-column", "file", "--label", "shape"]
    assert main(["calibrate", str(imported), *words]) == 2
    assert "barred" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["evaluate", "MODEL", "CATALOG", "--split", "all", "--out", "OUT/scores"],
        ["explain", "MODEL", "IMAGE", "--method", "cam", "--out", "OUT/cam.fits"],
        ["explain", "MODEL", "IMAGE", "--method", "saliency", "--out", "OUT/saliency.fits"],
        ["attack", "MODEL", "IMAGE", "--out", "OUT/attack"],
        pytest.param(
            ["faithfulness", "MODEL", "CATALOG", "--split", "all", "--method", "saliency", "--out", "OUT/f"],
            marks=pytest.mark.full,
        ),
        ["profile", "MODEL", "--by-layer"],
    ],
)
def test_the_commands_that_take_a_model_take_an_imported_one(words, foreign, imported, tmp_path):
    filled = []
    for word in words:
        if word == "CATALOG":
            filled += columns(foreign)
        else:
            for name, value in (("MODEL", imported), ("IMAGE", foreign / "g3.fits"), ("OUT", tmp_path)):
                word = word.replace(name, str(value))
            filled.append(word)
    assert main(filled) == 0
    outputs = [word for word in filled if word.startswith(str(tmp_path))]
    assert all((tmp_path / word).exists() for word in outputs)


def test_export(imported, tmp_path):
    pytest.importorskip("tf2onnx")
    assert main(["export", str(imported), "--out", str(tmp_path / "own.onnx")]) == 0


def test_a_module_registers_classes_of_a_file(tmp_path, capsys):
    (tmp_path / "gains.py").write_text(
        "import keras\n"
        "@keras.saving.register_keras_serializable(package='of_test_import')\n"
        "class Gain(keras.layers.Layer):\n"
        "    def build(self, shape):\n"
        "        self.gain = self.add_weight(name='gain', shape=(shape[-1],), initializer='ones')\n"
        "    def call(self, inputs):\n"
        "        return inputs * self.gain\n"
    )
    from galcnn.plugins import run_file

    run_file(str(tmp_path / "gains.py"))
    gain = keras.saving.get_registered_object("of_test_import>Gain")
    network = keras.Sequential([keras.Input((8, 8, 1)), gain(), layers.Flatten(), layers.Dense(2)])
    network.save(tmp_path / "own.keras")
    custom = keras.saving.get_custom_objects()
    words = [
        "import",
        str(tmp_path / "own.keras"),
        "--classes",
        "a,b",
        "--bands",
        "r",
        "--out",
        str(tmp_path / "m"),
    ]
    del custom["of_test_import>Gain"]
    assert main(words) == 2
    assert "--module FILE.py" in capsys.readouterr().err
    try:
        assert main(["--module", str(tmp_path / "gains.py"), *words]) == 0
        assert Card.read(tmp_path / "m" / "card.json").classes == ("a", "b")
    finally:
        custom.pop("of_test_import>Gain")


@pytest.mark.parametrize(("content", "code"), [("1 / 0", 2), (None, 2)])
def test_a_module_that_cannot_be_run_is_said(content, code, tmp_path, capsys):
    path = tmp_path / "own.py"
    if content is not None:
        path.write_text(content)
    assert main(["--module", str(path), "info", "model"]) == code
    assert ("ZeroDivisionError" if content else "not found") in capsys.readouterr().err
