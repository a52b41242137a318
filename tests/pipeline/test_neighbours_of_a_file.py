"""A galaxy from a file is looked for among those of a run, by the model of the run and no other."""

import astropy.units as u
import numpy as np
import pytest
from astropy.table import Table
from astropy.wcs import WCS
from PIL import Image

from galcnn import Cutout, save_cutout
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
from galcnn.pipeline import features_of_files, read_embedded
from tests.conftest import toy_images


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two models, twelve galaxies, and the run of the first model on them."""
    folder = tmp_path_factory.mktemp("querying")
    images, _ = toy_images(12, seed=2)
    for seed, name in enumerate(("model", "other")):
        network = build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(6,), depth=1), seed=seed)
        card = Card(("round", "thin"), InputSpec(("g", "r"), "nJy", (16, 16)))
        save_model(TrainedModel(assemble(fit_preprocessing(images), network), card), folder / name)
    for i, image in enumerate(images):
        save_cutout(Cutout(np.moveaxis(image, -1, 0), ("g", "r"), unit=u.nJy), folder / f"g{i}.fits")
    Table({"id": [f"g{i}" for i in range(12)], "image": [f"g{i}.fits" for i in range(12)]}).write(
        folder / "catalog.ecsv"
    )
    words = ["classify", str(folder / "model"), "--catalog", str(folder / "catalog.ecsv"), "--embeddings"]
    assert main([*words, "--out", str(folder / "run"), "--quiet"]) == 0
    return folder


def test_a_file_of_the_run_finds_itself_and_is_drawn(place, tmp_path):
    words = [
        "neighbours",
        str(place / "run"),
        "--image",
        str(place / "g5.fits"),
        "--model",
        str(place / "model"),
    ]
    words += ["-n", "3", "--metric", "euclidean", "--out", str(tmp_path / "like.ecsv")]
    words += ["--save", str(tmp_path / "like.png"), "--catalog", str(place / "catalog.ecsv")]
    assert main(words) == 0
    found = Table.read(tmp_path / "like.ecsv")
    assert found["id"][0] == "g5"
    scale = np.linalg.norm(read_embedded(place / "run").features[5])
    assert found["distance"][0] < 1e-5 * scale < found["distance"][1]
    with Image.open(tmp_path / "like.png") as picture:
        assert picture.width > 3 * picture.height / 2, "four galaxies in one row"


def test_a_catalog_without_the_neighbours_is_refused(place, tmp_path, capsys):
    Table({"id": ["g0"], "image": [str(place / "g0.fits")]}).write(tmp_path / "few.ecsv")
    words = [
        "neighbours",
        str(place / "run"),
        "--galaxy",
        "g0",
        "-n",
        "2",
        "--save",
        str(tmp_path / "like.png"),
    ]
    assert main([*words, "--catalog", str(tmp_path / "few.ecsv")]) == 2
    assert "Expected the catalog of the run. Received: missing=['g" in capsys.readouterr().err
    assert not (tmp_path / "like.png").exists()


def test_another_model_and_a_file_that_does_not_fit_are_refused(place, tmp_path, capsys):
    words = ["neighbours", str(place / "run"), "--image", str(place / "g5.fits"), "--model"]
    assert main([*words, str(place / "other")]) == 2
    assert "Features of two models cannot be compared" in capsys.readouterr().err
    save_cutout(Cutout(np.ones((2, 9, 9)), ("g", "r"), unit=u.nJy), tmp_path / "small.fits")
    words[3] = str(tmp_path / "small.fits")
    assert main([*words, str(place / "model")]) == 2
    assert "an image of (16, 16) pixels" in capsys.readouterr().err


def test_a_file_is_rendered_as_the_run_was(tmp_path):
    """A model of 8-bit pictures, a run on calibrated FITS files: without the render step a file is unfit."""
    draws = np.random.default_rng(3)
    pictures = draws.uniform(0, 255, (12, 16, 16, 3)).astype(np.float32)
    network = build_network((16, 16, 3), 2, settings=NetworkSettings(widths=(6,), depth=1), seed=0)
    card = Card(("round", "thin"), InputSpec(("R", "G", "B"), "display", (16, 16)))
    save_model(TrainedModel(assemble(fit_preprocessing(pictures), network), card), tmp_path / "model")
    wcs = WCS({"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1.1e-4, "CDELT2": 1.1e-4})
    for i in range(4):
        flux = draws.exponential(2000.0, (3, 16, 16))
        save_cutout(Cutout(flux, ("g", "r", "i"), wcs, unit=u.nJy), tmp_path / f"g{i}.fits")
    Table({"id": [f"g{i}" for i in range(4)], "image": [f"g{i}.fits" for i in range(4)]}).write(
        tmp_path / "catalog.ecsv"
    )
    words = ["classify", str(tmp_path / "model"), "--catalog", str(tmp_path / "catalog.ecsv"), "--embeddings"]
    assert main([*words, "--render", "sdss", "--out", str(tmp_path / "run"), "--quiet"]) == 0
    features = features_of_files([tmp_path / "g2.fits"], tmp_path / "model", tmp_path / "run")
    np.testing.assert_allclose(features, read_embedded(tmp_path / "run").features[2], rtol=1e-5)
    (tmp_path / "run" / "manifest.json").unlink()  # then nothing tells of a render step
    with pytest.raises(ValueError, match="an 8-bit colour image"):
        features_of_files([tmp_path / "g2.fits"], tmp_path / "model", tmp_path / "run")
