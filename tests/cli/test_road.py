"""The whole road from the command line, in process: simulate, train, classify, explain."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from galcnn import explain_cutouts, load_cutout, predict
from galcnn.catalog import read_catalog
from galcnn.catalog.formats import FORMATS
from galcnn.cli.main import main
from galcnn.layers import LayerStack
from galcnn.model import load_model
from galcnn.prediction import BLANK, MASKED, OUTSIDE
from galcnn.uncertainty import UncertaintyRecord

TRAIN = ["--epochs", "2", "--set", "network.widths=4,8", "--set", "network.depth=1", "--quiet"]


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sky") / "sky"
    words = ["simulate", "-n", "72", "--size", "32", "--classes", "elliptical,spiral,edge_on", "--seed", "4"]
    assert main([*words, "--out", str(folder), "--quiet"]) == 0
    return folder


@pytest.fixture(scope="module")
def model(sky):
    out = sky.parent / "model"
    assert (
        main(["train", "--catalog", str(sky / "catalog.ecsv"), "--out", str(out), "--seed", "2", *TRAIN]) == 0
    )
    return out


def cutouts(sky, n=3):
    return [str(path) for path in sorted((sky / "cutouts").glob("*.fits"))[:n]]


def one_line(capsys):
    """What a user sees of an error: one line, no traceback."""
    said = capsys.readouterr().err.strip()
    assert "Traceback" not in said
    assert said.startswith("galcnn: ")
    assert "\n" not in said
    return said


def test_simulate_writes_a_catalog_with_truth_and_calibrated_cutouts(sky):
    catalog = read_catalog(sky / "catalog.ecsv")
    assert len(catalog) == 72
    assert set(catalog.classes) <= {"elliptical", "spiral", "edge_on"}
    with fits.open(catalog.table["image"][0]) as hdus:
        assert hdus["SCI"].header["BUNIT"] == "nJy"
        assert hdus["SCI"].data.shape[1:] == (32, 32)
        assert hdus["SCI"].header["RADESYS"]


def test_simulate_goes_on_where_it_stopped_and_refuses_to_mix(sky, tmp_path, capsys):
    again = tmp_path / "sky"
    shutil.copytree(sky, again)
    missing = sorted((again / "cutouts").glob("*.fits"))[10]
    reference = missing.read_bytes()
    kept = sorted((again / "cutouts").glob("*.fits"))[11]
    stamp = kept.stat().st_mtime_ns
    missing.unlink()
    words = [
        "-n",
        "72",
        "--size",
        "32",
        "--classes",
        "elliptical,spiral,edge_on",
        "--quiet",
        "--out",
        str(again),
    ]
    assert main(["simulate", *words, "--seed", "4"]) == 0
    with fits.open(missing) as new, fits.HDUList.fromstring(reference) as old:
        np.testing.assert_array_equal(new["SCI"].data, old["SCI"].data)
    assert kept.stat().st_mtime_ns == stamp
    capsys.readouterr()
    assert main(["simulate", *words, "--seed", "5"]) == 2
    assert "cutouts of the same seed and settings" in one_line(capsys)


def test_train_leaves_a_whole_model_and_says_its_scores(model, capsys):
    assert sorted(p.name for p in model.iterdir()) == [
        "card.json",
        "history.csv",
        "model.keras",
        "test.ecsv",
        "uncertainty.json",
    ]
    card = json.loads((model / "card.json").read_text())
    assert card["classes"] == ["edge_on", "elliptical", "spiral"]
    assert card["inputs"]["bands"] == ["g", "r", "i"]
    assert sum(sum(c.values()) for c in card["data"]["counts"].values()) == 72
    assert sum(card["class_prior"].values()) == pytest.approx(1)
    test = Table.read(model / "test.ecsv")
    accuracy = np.mean(test["class"] == test["true_class"])
    assert card["metrics"]["test"]["accuracy"]["value"] == pytest.approx(accuracy, abs=1e-6)
    assert len(test) == sum(card["data"]["counts"]["test"].values())
    assert len(Table.read(model / "history.csv")) == 2
    assert main(["info", str(model)]) == 0
    shown = capsys.readouterr().out
    assert f"test accuracy                     {accuracy:.3f}" in shown
    # What the network costs is said without loading it, and is what galcnn profile says of it.
    costs = model.parent / "costs.ecsv"
    assert main(["profile", str(model), "--pixel-scale", "0.396", "--out", str(costs)]) == 0
    (row,) = Table.read(costs)
    cost = card["cost"]
    for name in ("parameters", "receptive_field", "megaflops_per_image", "megabytes_per_image"):
        assert cost[name] == row[name], name
    arcsec = cost["receptive_field"] * card["inputs"]["pixel_scale"]
    assert cost["receptive_field_arcsec"] == pytest.approx(arcsec, abs=0.005)
    assert f"{cost['parameters']} parameters" in shown
    field = f"{cost['receptive_field']} pixels, {cost['receptive_field_arcsec']} arcsec"
    assert f"receptive field {field}\n" in shown


def test_a_device_is_chosen_or_refused(model, sky, tmp_path, capsys):
    image = cutouts(sky, 1)[0]
    for i, words in enumerate(([], ["--device", "cpu"])):
        out = str(tmp_path / f"{i}.csv")
        assert main(["classify", str(model), image, *words, "--out", out, "--quiet"]) == 0
    assert (tmp_path / "0.csv").read_text() == (tmp_path / "1.csv").read_text()
    maps = ["explain", str(model), image, "--method", "cam", "--out", str(tmp_path / "e.fits"), "--quiet"]
    assert main([*maps, "--device", "cpu"]) == 0
    assert LayerStack.read(tmp_path / "e.fits").explanations[0].method == "cam"
    capsys.readouterr()
    for words in (["classify", str(model), image, "--out", str(tmp_path / "no.csv")], maps):
        assert main([*words, "--device", "gpu:7"]) == 2
        assert "a device that TensorFlow sees" in one_line(capsys)
    assert not (tmp_path / "no.csv").exists()


def test_the_scores_are_those_of_classify_on_the_same_galaxies(model, sky, tmp_path):
    """Training and prediction read, stretch and order bands alike."""
    test = Table.read(model / "test.ecsv")
    paths = [str(sky / "cutouts" / f"{name}.fits") for name in test["id"]]
    assert main(["classify", str(model), *paths, "--out", str(tmp_path / "t.ecsv"), "--quiet"]) == 0
    table = Table.read(tmp_path / "t.ecsv")
    assert table["id"].tolist() == test["id"].tolist()
    for name in ("p_edge_on", "p_elliptical", "p_spiral"):
        np.testing.assert_allclose(table[name], test[name], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("suffix", [".ecsv", ".csv", ".fits", ".vot", ".parquet"])
def test_classify_writes_every_table_with_one_row_an_input(model, sky, tmp_path, suffix):
    broken = tmp_path / "broken.fits"
    broken.write_text("<html>")
    paths = [*cutouts(sky, 2), str(broken), str(tmp_path / "missing.fits")]
    out = tmp_path / f"t{suffix}"
    assert main(["classify", str(model), *paths, "--out", str(out), "--quiet"]) == 0
    table = Table(Table.read(out, format=FORMATS[suffix]), masked=True)
    for name in ("id", "class", "reason"):
        table[name] = [text.decode() if isinstance(text, bytes) else text for text in table[name].filled("")]
    assert table["class"].tolist()[2:] == ["", ""]
    assert table["id"].tolist()[2:] == ["broken", "missing"]
    assert table.colnames == [
        "id",
        "class",
        "p_edge_on",
        "p_elliptical",
        "p_spiral",
        "entropy",
        "flag",
        "reason",
        "distance",
        "set",
    ]
    assert np.asarray(table["flag"]).tolist() == [0, 0, 1, 1]
    assert np.isnan(table["distance"].filled(np.nan)).tolist() == [False, False, True, True]
    p = np.array([table[f"p_{name}"] for name in ("edge_on", "elliptical", "spiral")], dtype=float)
    np.testing.assert_allclose(p[:, :2].sum(axis=0), 1)
    assert np.all(np.isnan(p[:, 2:]))


def test_a_prior_changes_the_probabilities_as_bayes_says(model, sky, tmp_path):
    def probabilities(*words):
        out = tmp_path / "t.ecsv"
        given = ["classify", str(model), *cutouts(sky), "--out", str(out), "--overwrite", "--quiet"]
        assert main([*given, *words]) == 0
        table = Table.read(out)
        return np.array([table[f"p_{name}"] for name in ("edge_on", "elliptical", "spiral")]).T

    card = load_model(model).card
    trained = np.array([card.trained_prior[name] for name in card.classes])
    plain = probabilities()
    uniform = probabilities("--prior", "uniform")
    expected = plain / trained
    np.testing.assert_allclose(uniform, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)
    given = probabilities("--prior", "edge_on=0.7,elliptical=0.2,spiral=0.1")
    expected = plain / trained * [0.7, 0.2, 0.1]
    np.testing.assert_allclose(given, expected / expected.sum(axis=1, keepdims=True), rtol=1e-5)


def test_explain_writes_layers_with_the_models_own_answer(model, sky, tmp_path):
    (path,) = cutouts(sky, 1)
    out = tmp_path / "layers.fits"
    words = ["explain", str(model), path, "--method", "saliency", "--method", "cam", "--target", "spiral"]
    assert main([*words, "--wrt", "sigma", "--out", str(out), "--quiet"]) == 0
    stack = LayerStack.read(out)
    assert [e.method for e in stack.explanations] == ["saliency", "cam"]
    saliency, cam = stack.explanations
    assert (saliency.target.name, saliency.wrt, saliency.bands) == ("spiral", "sigma", ("g", "r", "i"))
    assert (cam.bands, cam.wrt) == (("all",), "stretched")
    trained = load_model(model)
    # The map explains the network's logit; the prediction beside it is calibrated.
    raw = predict(trained, stack.cutout, calibrated=False)
    assert saliency.score == pytest.approx(float(raw.logits[0, 2]), rel=1e-4)
    calibration = UncertaintyRecord.read(model, trained.card.model_sha256).calibration
    np.testing.assert_allclose(stack.prediction.logits, calibration.apply(raw).logits, rtol=1e-4)
    np.testing.assert_array_equal(predict(trained, stack.cutout).logits, calibration.apply(raw).logits)
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(stack.cutout.flux, hdus["SCI"].data)
    # By hand: the slope of the logit in flux, times the noise.
    from galcnn.explain import Saliency
    from galcnn.model import Target, images_from

    slope = Saliency()(
        trained.model, images_from([stack.cutout]), Target.of_class("spiral", trained.classes)
    )[0]
    np.testing.assert_allclose(
        saliency.attribution, np.moveaxis(slope, -1, 0) * stack.cutout.sigma, rtol=1e-4, atol=1e-8
    )


def test_orientations_of_a_command_are_those_of_python(model, sky, tmp_path, capsys):
    files = cutouts(sky)
    single = load_model(model).with_orientations(1)
    expected = predict(single, [load_cutout(file) for file in files]).probabilities
    words = ["--orientations", "1", "--quiet"]
    assert main(["classify", str(model), *files, *words, "--out", str(tmp_path / "one.ecsv")]) == 0
    table = Table.read(tmp_path / "one.ecsv")
    np.testing.assert_allclose(table["p_spiral"], expected[:, single.classes.index("spiral")], atol=1e-6)
    assert main(["explain", str(model), files[0], *words, "--out", str(tmp_path / "a.fits")]) == 0
    stack = LayerStack.read(tmp_path / "a.fits")
    assert stack.provenance["model"] == "model (1 of 8 orientations)"
    np.testing.assert_allclose(stack.prediction.probabilities[0], expected[0], atol=1e-6)
    capsys.readouterr()
    assert main(["evaluate", str(model), *words, "--out", str(tmp_path / "one")]) == 0
    assert main(["evaluate", str(model), "--quiet", "--out", str(tmp_path / "all")]) == 0
    tables = [Table.read(tmp_path / name / "predictions.ecsv") for name in ("one", "all")]
    assert np.abs(tables[0]["p_spiral"] - tables[1]["p_spiral"]).max() > 1e-6
    assert main(["classify", str(model), *files, "--orientations", "2", "--out", str(tmp_path / "x")]) == 2


def test_explain_many_goes_to_a_folder_and_draws(model, sky, tmp_path, capsys):
    out, figure = tmp_path / "maps", tmp_path / "f.png"
    words = ["explain", str(model), *cutouts(sky), "--out", str(out), "--save", str(figure), "--quiet"]
    assert main(words) == 0
    assert len(list(out.glob("*-layers.fits"))) == 3
    assert figure.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    capsys.readouterr()
    assert main(["explain", str(model), *cutouts(sky), "--out", str(tmp_path / "one.fits")]) == 2
    assert "Expected a folder for 3 images" in capsys.readouterr().err


def test_a_figure_needs_no_layers_file_and_says_the_score_of_blank_sky(model, sky, tmp_path, capsys):
    (path,) = cutouts(sky, 1)
    for word in ("--save", "--figure"):
        figure = tmp_path / f"{word}.png"
        assert main(["explain", str(model), path, word, str(figure), "--quiet"]) == 0
        assert figure.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert {file.suffix for file in tmp_path.iterdir()} == {".png"}, "no layers were asked for"
    said = capsys.readouterr().out
    trained, (cutout,) = load_model(model), [load_cutout(path)]
    (maps,) = explain_cutouts(trained, cutout, ids=[Path(path).stem])
    assert [one.method for one in maps] == ["occlusion", "integrated_gradients", "cam"]
    (row,) = predict(trained, cutout, calibrated=False).logits
    first, second = np.argsort(-row)[:2]
    assert {one.target.name for one in maps} == {f"{trained.classes[first]}-{trained.classes[second]}"}
    assert {one.wrt for one in maps} == {"stretched"}
    assert maps[1].score == pytest.approx(float(row[first] - row[second]), abs=1e-4)
    assert f"{maps[1].score:+.2f}, of blank sky {maps[1].baseline_score:+.2f} logits" in said


def test_a_toml_experiment_is_overridden_by_options(sky, tmp_path):
    toml = tmp_path / "e.toml"
    toml.write_text(
        f'[data]\ncatalog = "{sky}/catalog.ecsv"\ndrop = ["edge_on"]\nbands = ["r"]\n'
        "[network]\nwidths = [4]\ndepth = 1\n[training]\nepochs = 9\n"
    )
    out = tmp_path / "model"
    assert main(["train", str(toml), "--epochs", "1", "--out", str(out), "--quiet"]) == 0
    card = load_model(out).card
    assert card.classes == ("elliptical", "spiral")
    assert card.inputs.bands == ("r",)
    assert card.settings["training"]["epochs"] == 1
    assert card.settings["network"]["widths"] == [4]


@pytest.fixture
def labels(sky, tmp_path):
    """A catalog that a test may spoil."""
    table = Table.read(sky / "catalog.ecsv")["id", "class", "image"]
    table["image"] = [str(sky / name) for name in table["image"]]
    return table, tmp_path / "labels.ecsv"


def spoil(labels, change):
    table, path = labels
    change(table)
    table.write(path, overwrite=True)
    return path


def rename(table, row, name):
    column = table["class"].astype("U20")
    column[row] = name
    table["class"] = column


def test_bad_training_input_is_one_clear_line_and_leaves_nothing(labels, sky, tmp_path, capsys):
    table, path = labels
    table.write(path)
    out = tmp_path / "model"
    odd = tmp_path / "odd.fits"
    fits.PrimaryHDU(np.zeros((10, 10), "float32")).writeto(odd)
    broken = tmp_path / "broken.fits"
    broken.write_text("<html>busy</html>")

    def image(row, name):
        def change(t):
            column = t["image"].astype("U300")
            column[row] = str(name)
            t["image"] = column

        return change

    cases = [
        (["--catalog", str(tmp_path / "no.csv")], "File not found: "),
        (["--catalog", str(path), "--label", "morphology"], "Expected a column 'morphology'"),
        (["--catalog", str(path), "--image-column", "file"], "Expected a column 'file'"),
        (["--catalog", str(path), "--drop", "spiral", "--drop", "edge_on"], "at least two classes"),
        (["--catalog", str(path), "--merge", "x=spirall"], "unknown=['spirall']"),
        (["--catalog", str(path), "--render", "sdss"], "a network of 8-bit colour pictures"),
        (["--catalog", str(path), "--set", "training.optimizer=adamm"], "adamm"),
        (["--catalog", str(path), "--set", "network.widths=0"], "widths, depth and kernel of at least 1"),
        (["--catalog", str(path), "--bands", "z"], "Expected bands among ('g', 'r', 'i'). Received: --bands"),
    ]
    for words, text in cases:
        assert main(["train", *words, "--out", str(out), *TRAIN[:2], "--quiet"]) == 2, words
        assert text in one_line(capsys), words
        assert not out.exists()
    spoiled = [
        (lambda t: rename(t, 0, "ring"), "galaxies of class 'ring' in at least 3 groups"),
        (image(5, tmp_path / "gone.fits"), "gone.fits"),
        (image(5, broken), "broken.fits"),
        (image(5, odd), "odd.fits"),
        (lambda t: t.replace_column("id", ["same"] * len(t)), "unique ids"),
    ]
    for change, text in spoiled:
        bad = spoil((Table(table), path), change)
        asked = ["train", "--catalog", str(bad), "--out", str(out), *TRAIN]
        assert main([*asked, "--set", "data.max_unreadable=0"]) == 2
        assert text in one_line(capsys)
        assert not out.exists()
    assert not [p.name for p in tmp_path.iterdir() if "partial" in p.name]


def test_bad_input_to_classify_and_explain_is_one_clear_line(model, sky, tmp_path, capsys):
    (good,) = cutouts(sky, 1)
    wrong = tmp_path / "wrong.fits"
    fits.PrimaryHDU(np.ones((50, 50), "float32")).writeto(wrong)
    altered = tmp_path / "altered"
    shutil.copytree(model, altered)
    (altered / "model.keras").write_bytes(b"x" + (model / "model.keras").read_bytes())
    partial = tmp_path / "partial-model"
    shutil.copytree(model, partial)
    (partial / "card.json").unlink()
    out = str(tmp_path / "t.ecsv")
    file = tmp_path / "file"
    file.write_text("")
    cases = [
        (["classify", str(tmp_path / "none"), good, "--out", out], "Model folder not found: "),
        (["classify", str(altered), good, "--out", out], "was altered"),
        (["classify", str(partial), good, "--out", out], "card.json"),
        (["classify", str(model), good, "--out", str(file)], "a folder to write"),
        (["classify", str(model), good, "--out", str(tmp_path / "t.txt")], "a table file ending in"),
        (["classify", str(model), good, "--out", str(file / "t.ecsv")], "a folder that can be"),
        (["classify", str(model), str(wrong), "--out", out], "None of 1 images could be classified"),
        (
            ["classify", str(model), good, "--prior", "spiral=1", "--out", str(tmp_path / "other.ecsv")],
            "a positive frequency for each",
        ),
        (
            ["classify", str(model), good, "--render", "sdss", "--out", str(tmp_path / "other.ecsv")],
            "a network of 8-bit colour pictures",
        ),
        (["explain", str(model), str(wrong), "--out", str(tmp_path / "l.fits")], "wrong.fits"),
        (["explain", str(model), str(tmp_path / "no.fits"), "--out", str(tmp_path / "l.fits")], "no.fits"),
        (
            ["explain", str(model), good, "--target", "sprial", "--out", str(tmp_path / "l.fits")],
            "Received: --target sprial. Did you mean 'spiral'?",
        ),
        (
            ["explain", str(model), good, "--method", "magic", "--out", str(tmp_path / "l.fits")],
            "name='magic'",
        ),
        (["info", str(tmp_path / "nowhere")], "File not found"),
        (["info", str(tmp_path / "file")], ""),
    ]
    for words, text in cases:
        assert main([*words, *(["--quiet"] if words[0] != "info" else [])]) == 2, words
        assert text in one_line(capsys), words
        assert not (tmp_path / "l.fits").exists()
    assert not [p.name for p in tmp_path.rglob("*.partial*")]


def test_a_chiral_label_needs_a_swap(labels, tmp_path, capsys):
    table, path = labels
    names = np.array(["spiral_cw", "spiral_acw"])[np.arange(len(table)) % 2]
    table["class"] = np.where(table["class"] == "spiral", names, table["class"])
    table.write(path)
    words = ["train", "--catalog", str(path), "--out", str(tmp_path / "m"), *TRAIN[:1], "1", *TRAIN[2:]]
    assert main(words) == 2
    assert "--set training.augmentation.flip_swaps.spiral_acw=CLASS" in one_line(capsys)
    assert main([*words, "--set", "training.augmentation.flip_swaps.spiral_cw=spiral_acw"]) == 0
    assert load_model(tmp_path / "m").card.settings["training"]["augmentation"]["flip_swaps"] == {
        "spiral_cw": "spiral_acw"
    }


def test_info_describes_images_and_catalogs(sky, capsys):
    assert main(["info", cutouts(sky, 1)[0]]) == 0
    shown = capsys.readouterr().out
    assert "32 x 32 pixels, bands g, r, i" in shown
    assert "unit          nJy" in shown
    assert main(["info", str(sky / "catalog.ecsv")]) == 0
    assert "catalog       72 galaxies" in capsys.readouterr().out


def test_a_folder_stands_for_its_images_and_equal_stems_are_told_apart(model, sky, tmp_path, capsys):
    one, two = cutouts(sky, 2)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        shutil.copy(one, tmp_path / name / "same.fits")
    shutil.copy(two, tmp_path / "a" / "other.fits")
    (tmp_path / "a" / "notes.txt").write_text("")
    out = tmp_path / "t.ecsv"
    words = [
        "classify",
        str(model),
        str(tmp_path / "a"),
        str(tmp_path / "b" / "same.fits"),
        "--out",
        str(out),
    ]
    assert main([*words, "--quiet"]) == 0
    assert Table.read(out)["id"].tolist() == ["other", "a/same", "b/same"]
    (tmp_path / "empty").mkdir()
    assert main(["classify", str(model), str(tmp_path / "empty"), "--out", str(tmp_path / "no.ecsv")]) == 2
    assert "Expected images" in capsys.readouterr().err


def test_what_stands_in_the_way_is_kept(model, sky, tmp_path, capsys):
    """Nothing of the user's is replaced: files beside a model, the input itself, a strange folder."""
    (good,) = cutouts(sky, 1)
    copy = tmp_path / "galaxy.fits"
    shutil.copy(good, copy)
    notes = tmp_path / "model"
    shutil.copytree(model, notes)
    (notes / "notes.txt").write_text("years of work")
    other = tmp_path / "other"
    other.mkdir()
    (other / "catalog.ecsv").write_text("mine")
    sky_words = ["simulate", "-n", "2", "--size", "16", "--out"]
    cases = [
        (
            ["train", "--catalog", str(sky / "catalog.ecsv"), "--out", str(notes), *TRAIN],
            "holds=['notes.txt']",
        ),
        (["explain", str(model), str(copy), "--out", str(copy)], "another file than the image itself"),
        (["explain", str(model), str(copy), "--out", str(tmp_path / "x.gz")], "a file ending in .fits"),
        (
            ["explain", str(model), str(copy), "--out", str(tmp_path / "l.fits"), "--save", "f.jpg"],
            ".png or .pdf",
        ),
        (
            ["classify", str(model), str(copy), "--out", str(tmp_path / "t.csv"), "--id", "x"],
            "--catalog FILE",
        ),
        (
            ["classify", str(model), str(copy), "--out", str(tmp_path / "t.csv"), "--width", "inf arcsec"],
            "angle",
        ),
        ([*sky_words, str(other)], "a new or empty folder"),
        ([*sky_words, str(tmp_path / "x"), "--pixel-scale", "1e-6", "--quiet"], "Expected"),
    ]
    for words, text in cases:
        assert main(words) == 2, words
        assert text in one_line(capsys), words
    assert copy.read_bytes() == Path(good).read_bytes()
    assert (notes / "notes.txt").read_text() == "years of work"
    assert (other / "catalog.ecsv").read_text() == "mine"
    assert not (tmp_path / "l.fits").exists()
    assert main([*sky_words, str(tmp_path / "x"), "--quiet"]) == 0, (
        "settings that cannot be drawn claim nothing"
    )


def test_an_image_without_anything_on_it_is_flagged(model, sky, tmp_path):
    from dataclasses import replace

    from galcnn.files import load_cutout, save_cutout

    (good,) = cutouts(sky, 1)
    cutout = load_cutout(good)
    flux = cutout.flux.copy()
    flux[1] = 0
    save_cutout(replace(cutout, flux=flux), tmp_path / "blank.fits")
    mask = np.zeros((32, 32), bool)
    mask[:8] = True
    save_cutout(replace(cutout, mask=mask), tmp_path / "masked.fits")
    out = tmp_path / "t.ecsv"
    paths = [str(tmp_path / "blank.fits"), str(tmp_path / "masked.fits"), good, good]
    assert main(["classify", str(model), *paths, "--out", str(out), "--quiet"]) == 0
    table = Table.read(out)
    assert table["flag"].tolist() == [BLANK | OUTSIDE, MASKED | OUTSIDE, 0, 0]
    assert "nothing is seen in r" in table["reason"][0]
    assert "of the pixels are masked" in table["reason"][1]
    assert table["id"][3] == f"{table['id'][2]}#2", "one row an input, also for one that is given twice"


def test_classes_merged_in_two_steps_add_up(labels, tmp_path):
    table, path = labels
    table.write(path)
    words = ["train", "--catalog", str(path), "--merge", "late=spiral", "--merge", "late=edge_on"]
    assert main([*words, "--out", str(tmp_path / "m"), *TRAIN, "--epochs", "1"]) == 0
    assert load_model(tmp_path / "m").classes == ("elliptical", "late")


def test_info_describes_layers_and_tables_with_gaps(model, sky, tmp_path, capsys):
    (good,) = cutouts(sky, 1)
    out = tmp_path / "layers.fits"
    assert main(["explain", str(model), good, "--target", "spiral", "--out", str(out), "--quiet"]) == 0
    table = tmp_path / "t.csv"
    assert (
        main(["classify", str(model), good, str(tmp_path / "no.fits"), "--out", str(table), "--quiet"]) == 0
    )
    capsys.readouterr()
    assert main(["info", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "map           integrated_gradients of spiral, wrt stretched, g,r,i" in shown
    assert "layers file   of" in shown
    assert main(["info", str(table)]) == 0
    assert "catalog       2 galaxies" in capsys.readouterr().out


def test_a_fault_of_our_own_is_one_line_too(monkeypatch, capsys):
    import galcnn.pipeline

    def fail(path):
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(galcnn.pipeline, "describe", fail)
    assert main(["info"]) == 1
    assert "unexpected ZeroDivisionError" in one_line(capsys)
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "info"])
