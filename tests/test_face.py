"""The names of the face: what they take, how they show themselves, and the first steps of a user."""

import inspect
import re
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.nddata import CCDData, NDData
from astropy.table import Table

import galcnn
from galcnn.catalog import Question, Votes
from galcnn.evaluation import Score
from galcnn.experiment.settings import CalibrationSettings
from galcnn.explain import CAM, GradCAM, Saliency, explain
from galcnn.files import as_cutout, to_ccddata
from galcnn.model import Card, InputSpec
from galcnn.simulation import simulate_catalog
from galcnn.surveys import FetchSettings
from tests.conftest import toy_images

FACE = {
    "Catalog",
    "Cutout",
    "Dataset",
    "Experiment",
    "Explanation",
    "LayerStack",
    "Prediction",
    "Target",
    "TrainedModel",
    "attack",
    "calibrate",
    "classify",
    "evaluate",
    "explain_cutouts",
    "fetch",
    "load_cutout",
    "load_model",
    "predict",
    "read_catalog",
    "read_dataset",
    "redshift",
    "save_cutout",
    "save_model",
    "simulate",
    "train",
    "write_report",
}


class Junk:
    """Something that no function takes."""


def planes(n=1, seed=5):
    """Images of round and thin blobs, bands first."""
    images, _ = toy_images(n, seed=seed)
    return np.moveaxis(images, -1, 1)


def toy_cutouts(n=1):
    return [galcnn.Cutout(image, ("g", "r"), survey="toy") for image in planes(n)]


def test_the_face_has_its_names_and_no_others():
    assert {name for name in dir(galcnn) if not name.startswith("__")} == FACE
    assert set(galcnn.__all__) == FACE


def wrong_calls(trained):
    """Function of the face -> calls with a wrong type in each place."""
    cutout, prediction = toy_cutouts()[0], galcnn.Prediction(("a",), [[0, 1]], ("round", "thin"))
    catalog = simulate_catalog(1, seed=0)
    pgd = "fgsm:unit=image"
    junk = Junk()
    return {
        "Catalog": [(5,), ("labels.csv",), (pd.DataFrame({"id": [1]}),)],
        "Experiment": [(5,), ("experiment.toml",)],
        "TrainedModel": [(5, 5), ("model", trained.card), (trained.model, 5)],
        "attack": [(5, cutout, pgd), (trained, 5, pgd), (trained, cutout, 5), (trained, cutout, pgd, junk)],
        "calibrate": [(5,), (junk,), (trained.model,)],
        "classify": [(5, cutout), (trained, 5), (trained, [5]), (trained, junk), (trained.model, cutout)],
        "evaluate": [(5, ["round"]), ("model", ["round"]), (prediction, 5), (prediction, junk)],
        "explain_cutouts": [
            (5, cutout),
            (trained.model, cutout),
            (trained, 5),
            (trained, {"a": cutout}),
            (trained, cutout, 5),
            (trained, cutout, Saliency),
            (trained, cutout, "saliency", junk),
            (trained, cutout, "saliency", 1.5),
        ],
        "fetch": [(5, "simulated"), (catalog, 5), (catalog, junk)],
        "load_cutout": [(5,), (junk,), ([5],), (toy_cutouts()[0],)],
        "load_model": [(5,), (junk,), (trained.model,)],
        "predict": [
            (5, cutout),
            (trained.model, cutout),
            (trained, 5),
            (trained, [junk]),
            (trained, trained),
        ],
        "read_catalog": [(5,), (junk,), ([1, 2],), (galcnn.Catalog,)],
        "read_dataset": [(5,), (junk,)],
        "redshift": [(5, 0.2), (junk, 0.2), ([5], 0.2), (cutout, "far"), (galcnn.Cutout, 0.2)],
        "save_cutout": [(5, "x.fits"), (np.ones((8, 8)), "x.fits")],
        "save_model": [(5, "model"), (trained.model, "model"), (trained, 5)],
        "simulate": [(5,), (junk,)],
        "train": [(5, "model"), (junk, "model"), (catalog, 5)],
        "write_report": [(5, "report"), ([5], "report"), (["run"], 5)],
    }


def called(name, arguments, folder):
    """Call a function of the face; what it must be told beside the types under test is given."""
    function = getattr(galcnn, name)
    if name == "attack":
        model, images, attacks, *target = arguments
        return function(model, images, attacks=attacks, target=target[0] if target else None)
    if name == "explain_cutouts":
        model, images, *rest = arguments
        return function(model, images, **dict(zip(("explainers", "target"), rest, strict=False)))
    if name == "fetch":
        return function(*arguments, out=folder / "out", settings=FetchSettings("10 arcsec", ("r",)))
    return function(*arguments, seed=1) if name == "simulate" else function(*arguments)


def functions():
    return sorted(name for name in FACE if inspect.isfunction(getattr(galcnn, name)))


@pytest.mark.parametrize("name", [*functions(), "Catalog", "Experiment", "TrainedModel"])
def test_a_wrong_type_is_answered_by_what_is_accepted(name, trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for arguments in wrong_calls(trained)[name]:
        with pytest.raises(TypeError, match=r"^Expected .+\. Received: .+") as caught:
            called(name, arguments, tmp_path)
        text = str(caught.value)
        assert "\n" not in text, arguments
        assert "object at 0x" not in text, arguments
    assert list(tmp_path.iterdir()) == []


def test_every_function_of_the_face_is_asked(trained):
    assert set(functions()) <= set(wrong_calls(trained))


def test_a_file_that_is_not_there_is_said_so(trained):
    for call in (galcnn.predict, galcnn.explain_cutouts):
        with pytest.raises(FileNotFoundError, match=r"x\.jpg"):
            call(trained, "x.jpg")
    with pytest.raises(FileNotFoundError, match="model"):
        galcnn.predict("no-model", "x.jpg")


def held(cutout, folder):
    """The same galaxy in all the forms in which a user may hold it."""
    path = folder / "galaxy.fits"
    galcnn.save_cutout(cutout, path)
    header = fits.Header({"BAND1": "g", "BAND2": "r", "BUNIT": "nJy"})
    cube = fits.HDUList([fits.PrimaryHDU(cutout.flux, header)])
    return {
        "cutout": cutout,
        "list": [cutout],
        "iterator": iter([cutout]),
        "str": str(path),
        "Path": path,
        "paths": (path,),
        "bytes": path.read_bytes(),
        "HDUList": fits.HDUList.fromstring(path.read_bytes()),
        "cube": cube,
        "array": np.array(cutout.flux),
        "arrays": np.array(cutout.flux)[np.newaxis],
        "NDData": NDData(cutout.flux, unit="nJy", meta={"BAND1": "g", "BAND2": "r"}),
    }


def test_one_image_or_many_in_any_form_gives_the_same_answer(trained, tmp_path):
    (cutout,) = toy_cutouts()
    expected = galcnn.predict(trained, [cutout]).logits
    maps = galcnn.explain_cutouts(trained, [cutout], explainers=[Saliency()])[0][0].attribution
    for name, image in held(cutout, tmp_path).items():
        if name not in ("cube", "NDData"):  # their bands must be named
            np.testing.assert_array_equal(galcnn.predict(trained, image).logits, expected, err_msg=name)
    for name, image in held(cutout, tmp_path).items():
        if name not in ("cube", "NDData"):
            ((found,),) = galcnn.explain_cutouts(trained, image, explainers="saliency")
            np.testing.assert_array_equal(found.attribution, maps, err_msg=name)
    both = np.stack([cutout.flux, cutout.flux[:, ::-1]])
    assert galcnn.predict(trained, both).logits.shape == (2, 2)
    table = galcnn.classify(trained, [str(tmp_path / "galaxy.fits"), str(tmp_path / "missing.fits")])
    assert table["id"].tolist() == ["galaxy", "missing"]
    assert table["class"].tolist() == [*galcnn.predict(trained, cutout).best, ""]
    assert table["flag"].tolist() == [0, 1]


def test_as_cutout_takes_each_form(tmp_path):
    (cutout,) = toy_cutouts()
    for image in held(cutout, tmp_path).values():
        if isinstance(image, list | tuple) or hasattr(image, "__next__") or getattr(image, "ndim", 0) == 4:
            continue
        found = as_cutout(image, bands=("g", "r"))
        np.testing.assert_array_equal(found.flux, cutout.flux)
        assert (found.bands, str(found.unit)) == (("g", "r"), "nJy")
    image = to_ccddata(cutout, "r")
    assert isinstance(image, CCDData)
    assert as_cutout(image).bands == ("r",)
    assert as_cutout(np.ones((4, 5)), bands="r").shape == (4, 5)


def test_the_axes_of_an_array_must_be_certain():
    with pytest.raises(TypeError, match=r"names of the bands of an array.*bands=\('g', 'r'\)"):
        as_cutout(np.ones((2, 8, 8)))
    with pytest.raises(ValueError, match=r"shape \(n_bands, ny, nx\).*moveaxis"):
        as_cutout(np.ones((8, 8, 2)), bands=("g", "r"))
    with pytest.raises(ValueError, match="the first and the last axis have 2"):
        as_cutout(np.ones((2, 8, 2)), bands=("g", "r"))
    with pytest.raises(ValueError, match="with 2 band"):
        as_cutout(np.ones((3, 8, 8)), bands=("g", "r"))


def test_an_array_with_channels_last_is_refused_by_a_trained_model(trained):
    images, _ = toy_images(2)
    with pytest.raises(ValueError, match=r"shape \(n_bands, ny, nx\).*moveaxis"):
        galcnn.predict(trained, images)
    with pytest.raises(ValueError, match=r"as its predict takes.*moveaxis"):
        explain(trained.model, planes())


def test_a_model_may_be_its_folder(trained, tmp_path):
    saved = galcnn.save_model(trained, tmp_path / "model")
    cutouts = toy_cutouts(2)
    expected = galcnn.predict(saved, cutouts).logits
    for folder in (tmp_path / "model", str(tmp_path / "model")):
        np.testing.assert_array_equal(galcnn.predict(folder, cutouts).logits, expected)
        assert len(galcnn.explain_cutouts(folder, cutouts)) == 2
        assert len(explain(folder, cutouts, target="thin")) == 2
        assert len(galcnn.attack(folder, cutouts, attacks="fgsm:unit=image")) == 2


def test_a_target_by_name_number_or_object_is_the_same(trained):
    cutouts = toy_cutouts(2)
    target = galcnn.Target.of_class("thin", trained.classes)
    rows = [
        [row[0].score for row in galcnn.explain_cutouts(trained, cutouts, target=one)]
        for one in ("thin", 1, np.int64(1), target, ["thin", 1])
    ]
    assert all(row == rows[0] for row in rows)
    ((margin, *_), _) = galcnn.explain_cutouts(trained, cutouts, target="thin-round")
    assert margin.target.weights == (-1.0, 1.0)
    margins = [row[0].target for row in galcnn.explain_cutouts(trained, cutouts)]
    best = [trained.classes[one.weights.index(1.0)] for one in margins]
    assert tuple(best) == galcnn.predict(trained, cutouts).best
    assert {sum(one.weights) for one in margins} == {0.0}, "against the runner-up"
    for wrong, said in (
        ("oval", "a class among"),
        (2, "a class number from 0 to 1"),
        (["thin"], "each of 2"),
    ):
        with pytest.raises(ValueError, match=said):
            galcnn.explain_cutouts(trained, cutouts, target=wrong)
    by_name = galcnn.attack(trained, cutouts, attacks="fgsm:unit=image", target="thin")
    by_number = galcnn.attack(trained, cutouts, attacks=["fgsm:unit=image"], target=1)
    assert [one.score for (one,) in by_name] == [one.score for (one,) in by_number]


def plain_model(end):
    """A small network of two bands and three classes that ends as `end` says."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 16, 2))
    hidden = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="conv")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(hidden)
    if end == "dense":
        return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(pooled))
    logits = keras.layers.Dense(3)(pooled)
    if end == "logits":
        return keras.Model(inputs, logits)
    if end in ("sigmoid", "tanh"):
        return keras.Model(inputs, keras.layers.Activation(end)(logits))
    layer = keras.layers.Softmax() if end == "softmax" else keras.layers.Activation("softmax")
    return keras.Model(inputs, layer(logits))


@pytest.mark.parametrize("end", ["dense", "softmax", "activation", "sigmoid"])
def test_a_plain_model_and_an_array_are_explained(end):
    images, _ = toy_images(3)
    classes = ("elliptical", "spiral", "merger")
    logits = plain_model("logits")
    rows = explain(
        logits, images, target="spiral", classes=classes, explainers=["saliency", CAM(), GradCAM()]
    )
    assert [[one.method for one in row] for row in rows] == [["saliency", "cam", "gradcam"]] * 3
    saliency = rows[0][0]
    assert saliency.attribution.shape == (2, 16, 16)
    assert (saliency.bands, saliency.wrt, saliency.target.name) == (("band1", "band2"), "stretched", "spiral")
    np.testing.assert_allclose(
        [row[0].score for row in rows], np.asarray(logits(images))[:, 1], rtol=1e-5, atol=1e-6
    )
    same = plain_model(end)
    same.set_weights(logits.get_weights())
    ends = explain(same, images, explainers="saliency", target=1, bands=("g", "r"))
    for row, (found,) in zip(rows, ends, strict=True):
        np.testing.assert_allclose(found.attribution, row[0].attribution, rtol=1e-5, atol=1e-7)
        assert (found.bands, found.target.name) == (("g", "r"), "1")
        assert "at the end of the network is left out" in found.notes[0]
        assert row[0].notes == ()
    ((one, *_),) = explain(logits, images[0], classes=classes)
    first, second, _ = np.argsort(-np.asarray(logits(images[:1]))[0])
    assert (one.method, one.target.name) == ("occlusion", f"{classes[first]}-{classes[second]}")
    cutout = galcnn.Cutout(np.moveaxis(images[0], -1, 0), ("g", "r"))
    ((of_cutout,),) = explain(logits, cutout, explainers="saliency", target=1)
    np.testing.assert_allclose(of_cutout.attribution, rows[0][0].attribution, rtol=1e-5, atol=1e-7)


def test_what_a_plain_model_does_not_hold_is_asked_for(trained):
    images, _ = toy_images(1)
    model = plain_model("logits")
    with pytest.raises(ValueError, match="a class among"):
        explain(model, images, target="spiral")
    with pytest.raises(ValueError, match="names of 3 classes"):
        explain(model, images, classes=("elliptical", "spiral"))
    with pytest.raises(ValueError, match="plain Keras model"):
        explain(model, images, wrt="flux")
    with pytest.raises(ValueError, match="no fit=True for a plain Keras model"):
        explain(model, images, fit=True)
    with pytest.raises(ValueError, match="a network that ends in logits"):
        explain(plain_model("tanh"), images)
    with pytest.raises(ValueError, match="for a plain Keras model only"):
        explain(trained, toy_cutouts(), classes=trained.classes)
    for wrong in ((5, images), (model, 5), (model, Junk())):
        with pytest.raises(TypeError, match=r"^Expected "):
            explain(*wrong)


def test_a_catalog_from_each_form(tmp_path):
    table = Table({"name": ["a", "b"], "kind": ["spiral", "elliptical"], "z": [0.1, 0.2]})
    table.write(tmp_path / "labels.csv")
    columns = {"class": "kind", "redshift": "z"}
    frame = pd.DataFrame({"name": ["a", "b"], "kind": ["spiral", None], "z": [0.1, None]})
    for form in (table, tmp_path / "labels.csv", str(tmp_path / "labels.csv"), frame):
        catalog = galcnn.read_catalog(form, columns=columns)
        assert catalog.ids == ["a", "b"]
        assert catalog.table["class"][0] == "spiral"
    assert catalog.table["class"][1] == ""
    assert np.isnan(np.ma.filled(np.ma.asarray(catalog.table["redshift"]), np.nan)[1])
    assert table.colnames == ["name", "kind", "z"]
    assert galcnn.read_catalog(catalog).ids == ["a", "b"]
    with pytest.raises(ValueError, match="a column 'morphology' in the table"):
        galcnn.read_catalog(frame, columns={"class": "morphology"})


def test_scores_from_labels_in_any_form():
    prediction = galcnn.Prediction(tuple("abcd"), np.eye(2)[[0, 1, 1, 0]] * 3, ("round", "thin"))
    truth = ["round", "thin", "round", "round"]
    expected = galcnn.evaluate(prediction, truth)
    assert expected["accuracy"].value == 0.75
    catalog = galcnn.Catalog(Table({"id": list("dcba"), "class": truth[::-1]}))
    forms = (tuple(truth), np.array(truth), pd.Series(truth), Table({"c": truth})["c"], catalog)
    for labels in (*forms, catalog.table, catalog.table.to_pandas()):
        assert galcnn.evaluate(prediction, labels) == expected
    with pytest.raises(ValueError, match="the ids of all galaxies"):
        galcnn.evaluate(prediction, catalog.select([0, 1]))


def test_many_are_redshifted_as_one(tmp_path):
    near = galcnn.Cutout(np.pad(np.ones((1, 8, 8)), ((0, 0), (12, 12), (12, 12))), ("r",), redshift=0.1)
    galcnn.save_cutout(near, tmp_path / "near.fits")
    far = galcnn.redshift(near, 0.2)
    several = galcnn.redshift([near, tmp_path / "near.fits"], 0.2)
    for found in (*several, galcnn.redshift(str(tmp_path / "near.fits"), np.float32(0.2))):
        np.testing.assert_allclose(found.flux, far.flux, rtol=1e-5)


def test_a_prediction_is_a_table(trained):
    prediction = galcnn.predict(trained, toy_cutouts(2), ids=["a", "b"])
    table = prediction.to_table()
    assert table.colnames == ["id", "class", "p_round", "p_thin", "entropy", "flag", "reason"]
    assert table["class"].tolist() == list(prediction.best)
    assert prediction.classes == ("round", "thin")
    assert re.findall(r"<th>(.*?)</th>", prediction._repr_html_())[:7] == table.colnames


def nouns(trained, dataset):
    """One of each noun, and what its representation must tell."""
    cutout = toy_cutouts()[0]
    prediction = galcnn.predict(trained, toy_cutouts(6))
    ((explanation,),) = galcnn.explain_cutouts(trained, cutout, explainers="gradcam")
    ((made,),) = galcnn.attack(trained, cutout, attacks="fgsm:unit=image")
    stack = galcnn.LayerStack(cutout, prediction.select([0]), (explanation,))
    catalog = simulate_catalog(6, seed=1)
    from galcnn.simulation import from_catalog

    answers = tuple(f"answer{i}" for i in range(40))
    votes = Votes(tuple(Question(f"q{i}", answers[i : i + 2]) for i in range(0, 40, 2)))
    many = Card(
        classes=tuple(f"a-long-class-name-{i}" for i in range(37)),
        inputs=InputSpec(tuple(f"band{i}" for i in range(20)), "nJy", (64, 64)),
    )
    wide = galcnn.Cutout(np.ones((20, 4, 5)), [f"F{i}W" for i in range(20)], survey="s" * 200)
    data = galcnn.Experiment.from_dict({"data": {"catalog": "labels.csv", "label": "kind"}})
    return [
        (cutout, ("g, r", "16 x 16 pixels", "nJy", "unknown scale", "toy")),
        (wide, ("20", "4 x 5")),
        (catalog, ("6 galaxies", "spiral 1", "redshift")),
        (dataset, ("240 images", "round 120", "g, r", "nJy")),
        (data, ("labels.csv", "'kind'", "epochs")),
        (trained, ("round, thin", "g, r", "16 x 16", "0.4 arcsec", "parameters", "not tested")),
        (trained.card, ("round, thin", "nJy")),
        (many, ("37",)),
        (trained.card.inputs, ("g, r", "16 x 16", "0.4 arcsec", "nJy")),
        (prediction, ("6 galaxies", "round, thin", "0: ", "...")),
        (galcnn.Target.of_class("thin", trained.classes), ("thin", "(0.0, 1.0)")),
        (galcnn.Target("t", tuple(range(60))), ("'t'", "60")),
        (explanation, ("gradcam", "score", "stretched")),
        (made, ("fgsm", "g, r", "success")),
        (stack, ("g, r", "gradcam of", prediction.best[0])),
        (from_catalog(catalog)[0], ("elliptical", "redshift", "arcsec")),
        (votes, ("20 questions", "40 answers", "q0: answer0 | answer1")),
        (Score(0.8712345, 0.8, 0.9, 790), ("0.871 [0.800, 0.900]", "n = 790")),
    ]


def test_every_noun_tells_itself_in_three_lines(trained, toy_dataset):
    for thing, told in nouns(trained, toy_dataset):
        text = repr(thing)
        lines = text.split("\n")
        assert len(lines) <= 3, text
        assert max(map(len, lines)) <= 120, text
        for word in told:
            assert word in text, text


TRAINED_AND_SCORED = """
from galcnn import train
print(train("labels.csv", "model"))
"""

FROM_FILE_TO_MAPS = """
from galcnn import LayerStack, explain_cutouts, load_cutout, predict
cutout = load_cutout("galaxy.fits")
prediction = predict("model", cutout, ids=["galaxy"])
(maps,) = explain_cutouts("model", cutout, explainers=["saliency", "gradcam"])
LayerStack(cutout, prediction, maps).write("layers.fits")
"""


@pytest.mark.full
def test_the_first_steps_of_a_user(tmp_path, monkeypatch, capsys):
    catalog = simulate_catalog(60, classes=("elliptical", "spiral"), seed=2)
    names = [f"{name}.fits" for name in catalog.ids]
    for cutout, name in zip(galcnn.simulate(catalog, seed=2, shape=(32, 32)), names, strict=True):
        galcnn.save_cutout(cutout, tmp_path / name)
    labels = Table({"image": names, "class": catalog.labels})
    labels.write(tmp_path / "labels.csv")
    (tmp_path / "galaxy.fits").write_bytes((tmp_path / names[0]).read_bytes())
    monkeypatch.chdir(tmp_path)
    exec(TRAINED_AND_SCORED, {})
    assert re.search(r"test: accuracy \d\.\d+ \[.*\], \d+ galaxies", capsys.readouterr().out)
    exec(FROM_FILE_TO_MAPS, {})
    from galcnn.layers import read_stacks

    (stack,) = read_stacks(Path("layers.fits"))
    assert [one.method for one in stack.explanations] == ["saliency", "gradcam"]
    assert stack.cutout.shape == (32, 32)
    record = galcnn.calibrate("model", catalog=labels, settings=CalibrationSettings(false_alarms=0.2))
    text = repr(record)
    assert text.startswith("<UncertaintyRecord temperature calibration fitted on ")
    assert max(map(len, text.split("\n"))) <= 120
    assert len(text.split("\n")) <= 3
    table = galcnn.classify("model", labels)
    assert table["id"].tolist() == catalog.ids
    frame = pd.DataFrame({"image": names, "kind": catalog.labels})
    quick = {"data": {"label": "kind"}, "training": {"epochs": 1}}
    again = galcnn.train(frame, "again", settings=quick)
    assert Path("again.catalog.ecsv").is_file()
    assert again.card.settings["training"]["epochs"] == 1
    assert len(galcnn.read_dataset("labels.csv")) == 60
