"""An experiment from its catalog to its card: what is scored, what is kept, what repeats."""

import json
import subprocess
import sys
from dataclasses import replace

import keras
import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.catalog import read_catalog
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError
from galcnn.evaluation.metrics import calibration_error
from galcnn.experiment import Experiment, galaxies_of, read_data, train
from galcnn.experiment.settings import DataSettings
from galcnn.files import save_cutout
from galcnn.model import NetworkSettings, load_model
from galcnn.training import Augmentation, TrainingSettings

NETWORK = NetworkSettings(widths=(4, 8), depth=1, stem=0)
ONCE = TrainingSettings(epochs=1, batch_size=8, augmentation=Augmentation(rotations="quarter"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A catalog of PNG pictures on perfectly black sky: red blobs and blue blobs."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    names, kinds = [], []
    for i in range(48):
        picture = np.zeros((20, 20, 3), dtype=np.uint8)
        kind = ("red", "blue")[i % 2]
        picture[6:14, 6:14, 0 if kind == "red" else 2] = rng.integers(100, 255, (8, 8))
        picture[6:14, 6:14, 1] = rng.integers(30, 60, (8, 8))
        Image.fromarray(picture).save(folder / f"p{i}.png")
        names.append(f"p{i}.png")
        kinds.append(kind)
    Table({"image": names, "class": kinds, "redshift": np.linspace(0.01, 0.2, 48)}).write(folder / "c.ecsv")
    return folder


def test_a_sky_without_noise_is_stretched_linearly_and_the_card_says_the_range(pictures, tmp_path):
    trained = train(Experiment(DataSettings(str(pictures / "c.ecsv")), NETWORK, ONCE), tmp_path / "m")
    assert [layer.name for layer in trained.preprocessing.layers] == ["image", "standardize"]
    assert trained.card.inputs.unit == "display"
    # Pictures are scaled to their galaxy: the network looks at two thirds of the side, 14 of 20 pixels.
    assert trained.network.get_layer("field").output.shape[1:3] == (14, 14)
    low, high = trained.card.data["redshift_range"]
    assert 0.01 <= low < high <= 0.2
    assert load_model(tmp_path / "m").card == trained.card


def test_the_test_set_took_no_part(pictures, tmp_path):
    """Other labels on the test galaxies change their score and not one weight of the preprocessing."""
    table = Table.read(pictures / "c.ecsv")
    table["image"] = [str(pictures / name) for name in table["image"]]
    table["split"] = np.array(["train"] * 24 + ["validation"] * 12 + ["test"] * 12)
    table.write(tmp_path / "a.ecsv")
    honest = train(Experiment(DataSettings(str(tmp_path / "a.ecsv")), NETWORK, ONCE), tmp_path / "a")
    table["class"][36:] = np.where(table["class"][36:] == "red", "blue", "red")
    table.write(tmp_path / "b.ecsv")
    swapped = train(Experiment(DataSettings(str(tmp_path / "b.ecsv")), NETWORK, ONCE), tmp_path / "b")
    for one, other in zip(
        honest.preprocessing.get_weights(), swapped.preprocessing.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    # Threads add in any order: the trained weights agree to rounding.
    for one, other in zip(honest.network.get_weights(), swapped.network.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    a, b = (m.card.metrics["test"]["accuracy"]["value"] for m in (honest, swapped))
    assert a == pytest.approx(1 - b, abs=1e-6)


def test_orientations_averaged_in_prediction_cost_the_training_nothing(pictures, tmp_path):
    """The saved model has the weights of a network of single orientations, and turns do not move it."""
    data = DataSettings(str(pictures / "c.ecsv"))
    plain = train(Experiment(data, replace(NETWORK, orientations=1), ONCE), tmp_path / "a")
    averaged = train(Experiment(data, NETWORK, ONCE), tmp_path / "b")  # by default
    for one, other in zip(averaged.model.get_weights(), plain.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    assert averaged.network.get_layer("orientations").count == 8
    prepared = read_data(Experiment(data, NETWORK))  # whose checks, too, train single orientations
    assert prepared.network_settings().orientations == 1
    assert prepared.network_settings(averaged=True).orientations == 8
    images = np.random.default_rng(0).uniform(0, 255, (2, 20, 20, 3)).astype("float32")
    turned = np.ascontiguousarray(np.rot90(images, axes=(1, 2)))
    moved = [
        np.abs(model.predict(images, verbose=0) - model.predict(turned, verbose=0)).max()
        for model in (averaged.model, plain.model)
    ]
    assert moved[0] < 1e-4 < 1e-3 < moved[1]
    # The file alone gives that answer, and one orientation of it is that of the other model.
    loaded = keras.saving.load_model(tmp_path / "b" / "model.keras", compile=False)
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), averaged.model.predict(images, verbose=0)
    )
    single = load_model(tmp_path / "b").with_orientations(1)
    np.testing.assert_allclose(
        single.model.predict(images, verbose=0), plain.model.predict(images, verbose=0), atol=1e-2
    )
    assert (single.folder, single.card.name) == (None, "b (1 of 8 orientations)")


@pytest.mark.parametrize(
    ("kinds", "shape", "settings", "expected"),
    [
        (["red", "blue"], (20, 20), {}, 8),
        (["red_cw", "red_acw"], (20, 20), {}, 4),
        (["red", "blue"], (20, 24), {}, 1),
        (["red", "blue"], (20, 20), {"orientations": 4}, 4),
        (["red", "blue"], (20, 20), {"orientations": 1}, 1),
        (["red", "blue"], (20, 20), {"averaging": "always"}, 8),
    ],
)
def test_by_default_as_many_orientations_are_averaged_as_suit_the_data(
    kinds, shape, settings, expected, tmp_path
):
    names = [f"{i}.png" for i in range(24)]
    for i, name in enumerate(names):
        Image.fromarray(np.full((*shape, 3), 5 * i, dtype=np.uint8)).save(tmp_path / name)
    Table({"image": names, "class": np.resize(kinds, 24)}).write(tmp_path / "c.ecsv")
    data = DataSettings(str(tmp_path / "c.ecsv"))
    still = TrainingSettings(augmentation=Augmentation(flips=False, rotations="none"))
    prepared = read_data(Experiment(data, replace(NETWORK, **settings), still))
    trained = expected if settings.get("averaging") == "always" else 1
    assert prepared.network_settings().orientations == trained
    assert prepared.network_settings(averaged=True).orientations == expected


def test_images_that_cannot_be_turned_are_refused_before_the_training(tmp_path):
    names = [f"{i}.png" for i in range(24)]
    for i, name in enumerate(names):
        Image.fromarray(np.full((20, 24, 3), 5 * i, dtype=np.uint8)).save(tmp_path / name)
    Table({"image": names, "class": np.resize(["red", "blue"], 24)}).write(tmp_path / "c.ecsv")
    with pytest.raises(ValueError, match=r"square images for 4 orientations.*shape=\(20, 24\)"):
        read_data(Experiment(DataSettings(str(tmp_path / "c.ecsv")), replace(NETWORK, orientations=4)))


def test_a_seed_of_the_split_alone_is_shared_by_many_seeds(pictures):
    data = DataSettings(str(pictures / "c.ecsv"), split_seed=3)
    sides = [read_data(Experiment(data, seed=seed)).sides["test"].ids for seed in (0, 1)]
    own = read_data(Experiment(replace(data, split_seed=None), seed=3)).sides["test"].ids
    assert sides[0] == sides[1] == own
    assert read_data(Experiment(replace(data, split_seed=None), seed=0)).sides["test"].ids != own


def test_a_class_missing_on_one_side_is_named(pictures, tmp_path):
    table = Table.read(pictures / "c.ecsv")
    table["image"] = [str(pictures / name) for name in table["image"]]
    table["split"] = np.where(
        table["class"] == "red", "train", np.resize(["train", "validation", "test"], 48)
    )
    table.write(tmp_path / "c.ecsv")
    with pytest.raises(ValueError, match=r"galaxies of every class in the split 'validation'.*\['red'\]"):
        train(Experiment(DataSettings(str(tmp_path / "c.ecsv")), NETWORK, ONCE), tmp_path / "m")
    assert not (tmp_path / "m").exists()


@pytest.mark.full
def test_deterministic_training_repeats_bit_by_bit(pictures, tmp_path):
    """In processes of their own: the switch cannot be undone."""
    shas = []
    for name in ("a", "b"):
        words = [
            "train",
            "--catalog",
            str(pictures / "c.ecsv"),
            "--epochs",
            "2",
            "--set",
            "network.widths=4,8",
            "--quiet",
        ]
        words += [
            "--batch-size",
            "8",
            "--set",
            "deterministic=true",
            "--seed",
            "3",
            "--out",
            str(tmp_path / name),
        ]
        subprocess.run([sys.executable, "-m", "galcnn.cli.main", *words], check=True, timeout=120)
        shas.append(load_model(tmp_path / name).model.get_weights())
        json.loads((tmp_path / name / "card.json").read_text())
    assert all(np.array_equal(a, b) for a, b in zip(*shas, strict=True))


def test_a_network_of_mirror_images_refuses_classes_that_a_mirror_swaps(tmp_path):
    """Said before an image is read: there are none."""
    kinds = ["spiral_cw", "spiral_acw"] * 12
    Table({"image": [f"{i}.png" for i in range(24)], "class": kinds}).write(tmp_path / "c.ecsv")
    data = DataSettings(str(tmp_path / "c.ecsv"))
    still = TrainingSettings(augmentation=Augmentation(flips=False))
    with pytest.raises(ValueError, match="for a network of 8 orientations"):
        train(Experiment(data, NetworkSettings(orientations=8), still), tmp_path / "m")
    with pytest.raises(UnreadableImageError, match=r"^3 of 24 images.* first: Galaxy 0 .*: File not found"):
        train(Experiment(data, NetworkSettings(orientations=4), still), tmp_path / "m")


def test_a_catalog_in_memory_replaces_no_other_file(pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(pictures)
    table = Table.read("c.ecsv")
    table.rename_column("image", "file")
    quick = {
        "data": {"image_column": "file"},
        "network": {"widths": [4, 8], "depth": 1, "stem": 0},
        "training": {"epochs": 1, "batch_size": 8},
    }
    beside = tmp_path / "m.catalog.ecsv"
    beside.write_text("mine")
    with pytest.raises(FileExistsError, match=r"m\.catalog\.ecsv"):
        train(table, tmp_path / "m", settings=quick)
    assert beside.read_text() == "mine"
    trained = train(table, tmp_path / "m", settings=quick, overwrite=True)
    assert trained.card.settings["data"]["catalog"] == str(beside)
    assert galaxies_of(trained.card).images["3"] == (pictures / "p3.png",)
    first = beside.read_bytes()
    assert train(table, tmp_path / "m", settings=quick).card == trained.card, "it is not repeated"
    table["class"] = table["class"][::-1]
    with pytest.raises(FileExistsError, match=r"m\.catalog\.ecsv"):
        train(table, tmp_path / "m", settings=quick)
    assert beside.read_bytes() == first
    beside.unlink()
    with pytest.raises(ValueError, match="the experiment of the existing model"):
        train(table, tmp_path / "m", settings=quick)
    assert not beside.exists(), "it is written only if the model is trained"


def test_a_catalog_in_memory_may_name_several_files_of_a_galaxy(tmp_path):
    (tmp_path / "sky").mkdir()
    rng = np.random.default_rng(1)
    for i in range(24):
        for band in "gr":
            planes = rng.normal(100 * (i % 2), 1, (1, 16, 16)).astype(np.float32)
            save_cutout(Cutout(planes, (band,), survey="toy"), tmp_path / "sky" / f"{i}_{band}.fits")
    table = Table({"id": [f"g{i}" for i in range(24)], "class": ["a", "b"] * 12})
    for band in "gr":
        table[f"file_{band}"] = [f"{i}_{band}.fits" for i in range(24)]
    table.write(tmp_path / "sky" / "c.ecsv")
    catalog = read_catalog(tmp_path / "sky" / "c.ecsv", columns={"image": ["file_g", "file_r"]})
    quick = {
        "network": {"widths": [4], "depth": 1, "stem": 0},
        "training": {"epochs": 1, "batch_size": 8},
    }
    trained = train(catalog, tmp_path / "m", settings=quick)
    assert trained.card.inputs.bands == ("g", "r")
    assert galaxies_of(trained.card).images == catalog.images


def test_scores_for_the_catalog_and_for_its_square_roots(pictures, tmp_path):
    """Both are those of the logits with a prior each; the table of the test set is for the catalog."""
    table = Table.read(pictures / "c.ecsv")
    table["image"] = [str(pictures / name) for name in table["image"]]
    rare = np.flatnonzero(table["class"] == "red")[::3]
    table.remove_rows(rare)
    table.write(tmp_path / "c.ecsv")
    trained = train(
        Experiment(DataSettings(str(tmp_path / "c.ecsv")), NETWORK, replace(ONCE, balance="weights")),
        tmp_path / "m",
    )
    rows = Table.read(tmp_path / "m" / "test.ecsv")
    card, metrics = trained.card, trained.card.metrics
    assert card.class_prior["red"] < 0.5 == card.trained_prior["red"]
    catalog = np.array([rows[f"p_{name}"] for name in card.classes]).T
    prior = np.array([card.class_prior[name] for name in card.classes])
    truth = np.array([card.classes.index(name) for name in rows["true_class"]])
    for name, p in {"test": catalog, "test_sqrt": catalog / np.sqrt(prior)}.items():
        p = p / p.sum(axis=1, keepdims=True)
        right = np.mean(p.argmax(axis=1) == truth)
        assert metrics[name]["accuracy"]["value"] == pytest.approx(right, abs=1e-6)
        error = calibration_error(p, truth)
        assert metrics[name]["calibration_error"]["value"] == pytest.approx(error, abs=1e-5)
    assert metrics["test"] != metrics["test_sqrt"]
