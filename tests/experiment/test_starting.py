"""A training that starts from a model: what is kept, what is adapted, and what the card says of it."""

import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from astropy.table import Table
from keras import layers

from galcnn import Cutout, save_cutout, train
from galcnn.cli.main import main
from galcnn.experiment import Experiment
from galcnn.experiment.data import data_of, read_data
from galcnn.experiment.training import checkpoint_of
from galcnn.model import (
    Card,
    InputSpec,
    NetworkSettings,
    TrainedModel,
    assemble,
    build_network,
    fit_preprocessing,
    load_model,
    save_model,
)
from galcnn.model.pretrained import resolve
from galcnn.training import StartSettings
from tests.conftest import toy_images

SHORT = {
    "epochs": 1,
    "batch_size": 16,
    "learning_rate": 0.01,
    "augmentation": {"rotations": "none", "flips": False},
}


@pytest.fixture(scope="module")
def trained():
    """A small model of bands g and r, 16 pixels of 0.4 arcsec, in nJy; no weight is zero or one."""
    images, _ = toy_images(40)
    settings = NetworkSettings(widths=(4, 6), depth=1, stem=0)
    network = build_network((16, 16, 2), 2, settings=settings, seed=3)
    rng = np.random.default_rng(0)
    for weight in network.weights:
        weight.assign(weight + np.abs(rng.normal(0, 0.1, weight.shape)))
    card = Card(("round", "thin"), InputSpec(("g", "r"), "nJy", (16, 16), 0.4))
    return TrainedModel(assemble(fit_preprocessing(images), network), card)


@pytest.fixture(scope="module")
def parent(trained, tmp_path_factory):
    """Folder of the model."""
    return save_model(trained, tmp_path_factory.mktemp("parent") / "parent").folder


def write_catalog(folder, *, bands=("g", "r"), classes=("smooth", "flat"), n=60, scale=None, size=16):
    images, labels = toy_images(n, seed=5, n_bands=len(bands), size=size)
    for i, image in enumerate(images):
        cutout = Cutout(np.moveaxis(image, -1, 0), bands, survey="toy", wcs=scale and toy_wcs(size, scale))
        save_cutout(cutout, folder / f"g{i}.fits")
    table = Table({"id": [f"g{i}" for i in range(n)], "image": [f"g{i}.fits" for i in range(n)]})
    table["class"] = [classes[label] for label in labels]
    table.write(folder / "labels.csv")
    return folder / "labels.csv"


def toy_wcs(size, arcsec):
    from astropy.wcs import WCS

    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = (150.0, 2.0), ((size + 1) / 2, (size + 1) / 2)
    wcs.wcs.cdelt = (-arcsec / 3600, arcsec / 3600)
    return wcs


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    return write_catalog(tmp_path_factory.mktemp("child"))


def weights_of(network):
    """Path -> value of every weight but those of the logits."""
    values = {weight.path: keras.ops.convert_to_numpy(weight) for weight in network.weights}
    return {path: value.copy() for path, value in values.items() if not path.startswith("logits")}


def child(catalog, parent, out, **start):
    settings = {"training": SHORT | start.pop("training", {}), "data": start.pop("data", {})}
    return train(catalog, out, settings=settings, start=StartSettings(str(parent), **start))


@pytest.mark.parametrize("freeze", ["body", 3])
def test_frozen_weights_are_those_of_the_parent_to_the_bit(freeze, catalog, parent, trained, tmp_path):
    found = child(catalog, parent, tmp_path / "m", freeze=freeze, batch_norm="adapt")
    before, after = weights_of(trained.network), weights_of(found.network)
    assert before.keys() == after.keys()
    kept = [path for path in before if np.array_equal(before[path], after[path])]
    weighted = [layer for layer in trained.network.layers if layer.weights]
    number = 3 if freeze == 3 else len(weighted) - 1  # the last layer is that of the logits
    frozen = {weight.path for layer in weighted[:number] for weight in layer.weights}
    assert set(kept) == frozen
    assert found.card.parent["n_frozen"] == sum(before[path].size for path in frozen)
    assert found.card.parent["sha256"] == Card.read(parent / "card.json").model_sha256
    assert found.card.parent["freeze"] == freeze
    assert found.card.classes == ("flat", "smooth")


@pytest.mark.full
@pytest.mark.parametrize("batch_norm", ["keep", "adapt"])
def test_batch_normalisation_is_kept_or_adapted(batch_norm, catalog, parent, trained, tmp_path):
    found = child(catalog, parent, tmp_path / "m", batch_norm=batch_norm)
    before, after = weights_of(trained.network), weights_of(found.network)
    equal = {path: np.array_equal(before[path], after[path]) for path in before}
    for path, same in equal.items():
        assert same == ("batchnorm" in path and batch_norm == "keep"), path


def test_the_first_epochs_change_the_head_alone(catalog, parent, trained, tmp_path):
    seen = {}

    class Look(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            network = self.model.get_layer("network")
            body = weights_of(network)
            seen[epoch] = (body, keras.ops.convert_to_numpy(network.layers[-1].kernel).copy())

    train(
        catalog,
        tmp_path / "m",
        settings={"training": SHORT | {"epochs": 3}},
        start=StartSettings(str(parent), head_epochs=2, batch_norm="adapt"),
        callbacks=[Look()],
    )
    before = weights_of(trained.network)
    for epoch in (0, 1):
        assert all(np.array_equal(before[path], seen[epoch][0][path]) for path in before)
    assert not np.array_equal(seen[0][1], seen[1][1])
    assert not any(np.array_equal(before[path], seen[2][0][path]) for path in before)


@pytest.mark.parametrize("head_epochs", [pytest.param(0, marks=pytest.mark.full), 2])
def test_an_interrupted_training_is_resumed_to_the_bit(head_epochs, catalog, parent, tmp_path):
    class Stop(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == at:
                raise KeyboardInterrupt

    start = StartSettings(str(parent), head_epochs=head_epochs, rate_decay=0.7, batch_norm="adapt")
    settings = {"training": SHORT | {"epochs": 4}, "seed": 4}
    at = 3
    whole = train(catalog, tmp_path / "whole", settings=settings, start=start)
    with pytest.raises(KeyboardInterrupt):
        train(catalog, tmp_path / "parts", settings=settings, start=start, callbacks=[Stop()])
    assert checkpoint_of(tmp_path / "parts").exists()
    resumed = train(catalog, tmp_path / "parts", settings=settings, start=start)
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        assert np.array_equal(one, other)
    again = train(catalog, tmp_path / "parts", settings=settings, start=start)
    assert again.card == resumed.card  # a completed training is not repeated


@pytest.mark.full
def test_another_parent_is_another_training(catalog, parent, trained, tmp_path):
    child(catalog, parent, tmp_path / "m")
    other = save_model(replace(trained, card=replace(trained.card, notes=("x",))), tmp_path / "other")
    weights = other.model.get_weights()
    other.model.set_weights([*weights[:-1], weights[-1] + 1])
    changed = save_model(other, tmp_path / "changed")
    other.model.set_weights(weights)
    with pytest.raises(ValueError, match=r"start\.model"):
        child(catalog, changed.folder, tmp_path / "m")


@pytest.mark.full
def test_the_same_classes_keep_the_head(parent, trained, tmp_path):
    same = write_catalog(tmp_path, classes=("round", "thin"))
    found = child(same, parent, tmp_path / "m", training={"learning_rate": 1e-12})
    assert found.card.parent["head"].startswith("the parent's")
    for one, other in zip(trained.model.get_weights(), found.model.get_weights(), strict=True):
        assert np.allclose(one, other, atol=1e-6)


def test_another_number_of_bands_is_averaged_and_said(parent, trained, tmp_path):
    three = write_catalog(tmp_path, bands=("g", "r", "z"))
    start = {"data": {"bands": ("g", "r", "z")}, "freeze": "all"}
    found = child(three, parent, tmp_path / "m", **start)
    kernel = found.network.layers[1].kernel.numpy()
    mean = trained.network.layers[1].kernel.numpy().mean(axis=2)
    assert np.allclose(kernel, mean[:, :, None] * 2 / 3, atol=1e-7)
    # The parent's own bands of equal values, and the child's: one response.
    grey = np.random.default_rng(0).normal(size=(2, 16, 16, 1)).astype(np.float32)
    first = [keras.Model(n.inputs[0], n.layers[1].output) for n in (trained.network, found.network)]
    answers = [model(np.repeat(grey, n, axis=3)).numpy() for model, n in zip(first, (2, 3), strict=True)]
    assert np.allclose(*answers, atol=1e-5)
    assert "2 / 3" in found.card.parent["bands"]
    assert (
        found.card.parent["preprocessing"]
        == "fitted to the new images: stretch asinh, scaling standardize, per band"
    )


@pytest.mark.full
def test_images_of_another_scale_unit_or_size_are_refused_or_converted(parent, tmp_path):
    (tmp_path / "far").mkdir()
    far = write_catalog(tmp_path / "far", scale=0.2, size=40)
    with pytest.raises(ValueError, match="16, 16"):
        child(far, parent, tmp_path / "m")
    with pytest.raises(ValueError, match="parent's size"):
        child(far, parent, tmp_path / "m", data={"size": 20})
    with pytest.raises(ValueError, match="preprocessing of the parent"):
        child(far, parent, tmp_path / "m", data={"size": 16, "stretch": "linear"})
    found = child(far, parent, tmp_path / "m", data={"size": 16})
    assert found.card.inputs.pixel_scale == 0.4
    assert found.card.parent["images"] == "brought to 16 x 16 pixels, 0.4 arcsec, nJy, like the parent's"
    (tmp_path / "same").mkdir()
    other = write_catalog(tmp_path / "same", scale=0.2)
    with pytest.raises(ValueError, match=r"0\.4 arcsec"):
        child(other, parent, tmp_path / "m2")


@pytest.mark.full
def test_refit_fits_the_preprocessing_anew(catalog, parent, trained, tmp_path):
    found = child(catalog, parent, tmp_path / "m", refit=True, data={"stretch": "linear"})
    assert [type(layer).__name__ for layer in found.preprocessing.layers[1:]] == ["Standardize"]
    kept = child(catalog, parent, tmp_path / "k")
    for one, other in zip(trained.preprocessing.weights, kept.preprocessing.weights, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.full
def test_galaxies_of_the_parents_training_are_found_in_the_childs_test_set(tmp_path, capsys):
    catalog = write_catalog(tmp_path)
    settings = {"training": SHORT, "network": {"widths": (4,), "stem": 0, "depth": 1}}
    train(catalog, tmp_path / "old", settings=settings | {"seed": 1})
    words = [
        "train",
        "--from",
        str(tmp_path / "old"),
        "--catalog",
        str(catalog),
        "--out",
        str(tmp_path / "new"),
    ]
    assert main([*words, "--epochs", "2", "--head-epochs", "1", "--freeze", "1", "--seed", "2"]) == 0
    card = Card.read(tmp_path / "new" / "card.json")
    old = Experiment.from_dict(Card.read(tmp_path / "old" / "card.json").settings)
    theirs = set(read_data(old).sides["train"].ids)
    mine = read_data(replace(old, seed=2)).sides["test"].ids
    shared = len(theirs.intersection(mine))
    assert 0 < shared < len(mine)
    assert card.parent["shared_galaxies"].startswith(f"{shared} of {len(mine)} test galaxies, by id")
    assert "their scores are too good" in capsys.readouterr().out
    assert card.parent["name"] == "old"
    assert card.parent["head_epochs"] == 1
    assert main(["info", str(tmp_path / "new")]) == 0
    told = capsys.readouterr().out
    assert f"parent        old, sha256 {card.parent['sha256'][:12]}" in told
    assert "frozen        1:" in told


def test_turned_copies_of_the_parents_images_are_found_under_other_names(tmp_path):
    """Half of the child's galaxies are the parent's, turned by a quarter and mirrored, with other ids."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:24, :24] - 11.5

    def galaxy():
        spots = rng.normal(0, 5, (12, 2))
        flux = [rng.uniform(20, 60) * np.exp(-((y - v) ** 2 + (x - u) ** 2) / 4) for v, u in spots]
        return np.sum(flux, axis=0) + 200 * np.exp(-(x**2 + y**2) / 12) + rng.normal(0, 0.5, y.shape)

    old = [galaxy() for _ in range(60)]
    new = [np.rot90(image)[:, ::-1] for image in old[:30]] + [galaxy() for _ in range(30)]
    for name, planes in (("a", old), ("b", new)):
        (tmp_path / name).mkdir()
        for number, plane in enumerate(planes):
            cutout = Cutout(plane[np.newaxis].astype(np.float32), ("r",), survey="toy")
            save_cutout(cutout, tmp_path / name / f"{name}{number}.fits")
        ids = [f"{name}{number}" for number in range(60)]
        table = Table({"id": ids, "image": [f"{one}.fits" for one in ids], "class": ["x", "y"] * 30})
        table.write(tmp_path / name / "labels.csv")
    settings = {"training": SHORT, "network": {"widths": (4,), "stem": 0, "depth": 1}}
    train(tmp_path / "a" / "labels.csv", tmp_path / "old", settings=settings)
    child = train(
        tmp_path / "b" / "labels.csv", tmp_path / "new", settings={"training": SHORT}, start=tmp_path / "old"
    )
    experiment = Experiment.from_dict(Card.read(tmp_path / "old" / "card.json").settings)
    theirs = {int(one[1:]) for one in read_data(experiment).sides["train"].ids}
    mine = [int(one[1:]) for one in Table.read(tmp_path / "new" / "test.ecsv")["id"]]
    copies = [one for one in mine if one < 30 and one in theirs]
    assert copies
    told = child.card.parent["shared_galaxies"]
    assert told.startswith(
        f"{len(copies)} of {len(mine)} test galaxies, by id or image; {len(copies)} have a copy"
    )
    assert told.endswith("their scores are too good")
    named = told.partition("such as ")[2].partition(":")[0].split(" and ")
    assert named[0][1:] == named[1][1:]


@pytest.mark.full
def test_a_keras_file_is_a_parent_too(catalog, tmp_path):
    network = keras.Sequential(
        [
            keras.Input((16, 16, 2)),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(5, activation="softmax"),
        ]
    )
    network.save(tmp_path / "own.keras")
    found = child(catalog, tmp_path / "own.keras", tmp_path / "m", freeze="all")
    assert np.array_equal(found.network.get_layer("first").kernel, network.layers[0].kernel)
    assert found.network.output_shape == (None, 2)
    assert "not known" in found.card.parent["images"]


def test_settings_of_the_network_are_those_of_the_parent(catalog, parent, tmp_path):
    with pytest.raises(ValueError, match="network of the parent"):
        train(catalog, tmp_path / "m", settings={"network": {"depth": 3}}, start=parent)


@pytest.mark.parametrize("name", ["no/such", "keras.applications:Nothing:imagenet"])
def test_a_parent_that_is_not_there_is_said(name, catalog, tmp_path):
    with pytest.raises((ValueError, OSError), match=r"keras\.applications:NAME:imagenet"):
        train(catalog, tmp_path / "m", start=name)


def test_a_start_is_read_from_toml(parent, catalog, tmp_path):
    text = f'[data]\ncatalog = "{catalog}"\n[start]\nmodel = "{parent}"\nfreeze = 2\nrate_decay = 0.5\n'
    (tmp_path / "e.toml").write_text(text)
    from galcnn.experiment import read_settings

    start = Experiment.from_dict(read_settings(tmp_path / "e.toml")).start
    assert start == StartSettings(str(parent), freeze=2, rate_decay=0.5)
    for wrong in ({"freeze": "some"}, {"body_rate": 0.0}, {"rate_decay": 1.5}, {"head_epochs": -1}):
        with pytest.raises(ValueError, match="Expected"):
            StartSettings("m", **wrong)


@pytest.mark.full
def test_a_loaded_child_is_a_model_like_any_other_also_without_its_parent(catalog, parent, tmp_path):
    shutil.copytree(parent, tmp_path / "gone")
    child(catalog, tmp_path / "gone", tmp_path / "m", freeze="body")
    shutil.rmtree(tmp_path / "gone")
    loaded = load_model(tmp_path / "m")
    again = data_of(loaded.card, same=True)
    assert again.dataset.sha256() == loaded.card.data["sha256"]
    with pytest.raises(FileNotFoundError, match="gone"):
        again.new_model()
    assert isinstance(loaded.card.inputs, InputSpec)
    assert resolve(tmp_path / "m").card == loaded.card
