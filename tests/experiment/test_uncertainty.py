"""From a trained model to its uncertainty and scores, on galaxies with some wrong labels."""

import json
import shutil

import numpy as np
import pytest
from astropy.table import Table

from galcnn.cli.main import main
from galcnn.model import load_model
from galcnn.prediction import OUTSIDE
from galcnn.uncertainty import UncertaintyRecord
from tests.conftest import toy_images


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """Round and thin blobs as FITS cutouts, one label in eight wrong: no network can be sure."""
    from galcnn.cutout import Cutout
    from galcnn.files import save_cutout

    folder = tmp_path_factory.mktemp("sky")
    images, truth = toy_images(240, seed=4)
    rng = np.random.default_rng(5)
    seen = np.where(rng.random(240) < 1 / 8, 1 - truth, truth)
    for i, image in enumerate(images):
        save_cutout(Cutout(np.moveaxis(image, -1, 0), ("g", "r"), survey="toy"), folder / f"{i}.fits")
    Table(
        {
            "id": [f"g{i}" for i in range(240)],
            "image": [f"{i}.fits" for i in range(240)],
            "class": np.array(["round", "thin"])[seen],
            "mag_r": rng.uniform(15, 18, 240),
        }
    ).write(folder / "catalog.ecsv")
    (folder / "toy.toml").write_text(
        '[data]\ncatalog = "catalog.ecsv"\nfractions = [0.4, 0.3, 0.3]\n'
        "[network]\nwidths = [4, 8]\ndepth = 1\nstem = 0\n"
        "[training]\nepochs = 3\nlearning_rate = 0.02\naugmentation.flips = false\n"
    )
    assert main(["train", str(folder / "toy.toml"), "--out", str(folder / "model"), "--quiet"]) == 0
    return folder


def test_training_ends_with_the_record_that_calibrate_would_write(sky, tmp_path, capsys, monkeypatch):
    """Equal from images in memory, and from shards read three images at a time; again on a second call."""
    model = tmp_path / "m"
    shutil.copytree(sky / "model", model)
    path = model / "uncertainty.json"
    own = json.loads(path.read_text())
    table = Table.read(model / "test.ecsv")
    assert set(table["set"]) <= {"round", "thin", "round|thin", "thin|round", ""}
    assert np.mean(table["flag"] == OUTSIDE) == pytest.approx(own["measured"]["false_alarms"]["value"])
    limit = own["out_of_distribution"]["limit"]
    np.testing.assert_array_equal(table["distance"] > limit, table["flag"] == OUTSIDE)
    covered = [true in said.split("|") for true, said in zip(table["true_class"], table["set"], strict=True)]
    assert np.mean(covered) == pytest.approx(own["measured"]["coverage"]["value"], abs=1e-6)
    # 73 validation galaxies cannot promise 1 % false alarms.
    n = own["measured"]["n_validation"]
    assert own["out_of_distribution"]["false_alarms"] == pytest.approx(1 / (n + 1))
    path.unlink()
    assert main(["train", str(sky / "toy.toml"), "--out", str(model), "--quiet"]) == 0
    assert "1.0% needs 99 validation galaxies" in capsys.readouterr().out
    again = json.loads(path.read_text())
    np.testing.assert_equal(*map(_rounded, (again, own)))
    monkeypatch.setattr("galcnn.experiment.uncertainty._PIECE", 3 * 4 * 16 * 16 * 2)
    assert main(["calibrate", str(model), "--catalog", str(sky / "catalog.ecsv"), "--quiet"]) == 0
    np.testing.assert_equal(*map(_rounded, (json.loads(path.read_text()), own)))


def _rounded(content):
    """A record with its numbers rounded: batches of other sizes are summed in another order."""
    if isinstance(content, dict):
        return {key: _rounded(value) for key, value in content.items() if key not in ("components", "p")}
    if isinstance(content, list):
        return [_rounded(value) for value in content]
    return float(f"{content:.3g}") if isinstance(content, float) else content


def test_no_calibration_is_left_out_and_settings_come_from_the_file(sky, tmp_path, capsys):
    (tmp_path / "toy.toml").write_text(
        (sky / "toy.toml").read_text().replace('"catalog.ecsv"', f'"{sky / "catalog.ecsv"}"')
        + '[calibration]\nkind = "vector"\ncoverage = 0.7\nfalse_alarms = 0.05\n'
    )
    words = ["train", str(tmp_path / "toy.toml"), "--epochs", "1", "--out", str(tmp_path / "m"), "--quiet"]
    assert main([*words, "--no-calibrate"]) == 0
    assert "uncertainty.json" not in capsys.readouterr().out
    assert not (tmp_path / "m" / "uncertainty.json").exists()
    assert set(Table.read(tmp_path / "m" / "test.ecsv").colnames).isdisjoint({"set", "distance"})
    assert main(words) == 0  # of the same experiment: only the record is added
    assert "70% promised" in capsys.readouterr().out
    record = UncertaintyRecord.read(tmp_path / "m", load_model(tmp_path / "m").card.model_sha256)
    assert record.calibration.kind == "vector"
    assert record.sets.coverage == 0.7
    assert record.out_of_distribution.false_alarms == 0.05
    assert main([*words, "--set", "calibration.coverage=1.5"]) == 2
    assert "coverage in (0, 1)" in capsys.readouterr().err


def test_calibrate_then_evaluate(sky, capsys):
    assert (
        main(["calibrate", str(sky / "model"), "--coverage", "0.8", "--false-alarms", "0.05", "--quiet"]) == 0
    )
    said = capsys.readouterr().out
    assert "80% promised" in said
    assert "5.0% false alarms promised" in said
    trained = load_model(sky / "model")
    record = UncertaintyRecord.read(sky / "model", trained.card.model_sha256)
    n = record.measured["n_test"]
    assert record.measured["coverage"]["n"] == record.measured["false_alarms"]["n"] == n
    measures = {"magnitude_g", "magnitude_r", "half_light_radius", "signal_to_noise", "sharpness"}
    assert measures <= set(record.out_of_distribution.features)
    out = sky / "scores"
    arguments = [
        "evaluate",
        str(sky / "model"),
        "--by",
        "mag_r",
        "--by",
        "half_light_radius",
    ]
    assert main([*arguments, "--bins", "2", "--out", str(out), "--quiet"]) == 0
    scores = Table.read(out / "scores.ecsv")
    whole = scores[scores["by"] == "all"]
    accuracy = float(whole["value"][whole["score"] == "accuracy"][0])
    assert accuracy == pytest.approx(trained.card.metrics["test"]["accuracy"]["value"], abs=1e-6)
    parts = scores[(scores["by"] == "mag_r") & (scores["score"] == "accuracy")]
    assert len(parts) == 2
    assert parts["n"].sum() == n
    assert (parts["value"] * parts["n"]).sum() / n == pytest.approx(accuracy)
    sizes = scores[(scores["by"] == "half_light_radius") & (scores["score"] == "accuracy")]
    assert sizes["n"].sum() == n
    assert 0 < sizes["low_edge"][0] < sizes["high_edge"][0] == sizes["low_edge"][1]  # arcsec, of the images
    assert float(scores.meta["sets"]["coverage"].split()[0]) == round(record.measured["coverage"]["value"], 3)
    rows = Table.read(out / "predictions.ecsv")
    assert np.mean(rows["class"] == rows["true_class"]) == pytest.approx(accuracy)
    bins = Table.read(out / "reliability.ecsv")
    assert bins["n"].sum() == n
    for name in ("confusion.png", "reliability.png", "roc.png", "precision_recall.png", "scores.png"):
        assert (out / name).stat().st_size > 5000
    assert main([*arguments, "--raw", "--out", str(out), "--quiet"]) == 0
    assert not Table.read(out / "scores.ecsv").meta["calibrated"]


def test_unlike_galaxies_are_warned_of(sky):
    from galcnn.uncertainty import image_measures
    from tests.conftest import embed

    assert main(["calibrate", str(sky / "model"), "--quiet", "--false-alarms", "0.05"]) == 0
    trained = load_model(sky / "model")
    ood = UncertaintyRecord.read(sky / "model", trained.card.model_sha256).out_of_distribution
    images, _ = toy_images(40, seed=77)
    alike = ood.warn(image_measures(images, trained.card.inputs), embed(trained, images))[0]
    faint = images * np.float32(0.02)
    outside, reasons, _ = ood.warn(image_measures(faint, trained.card.inputs), embed(trained, faint))
    assert alike.mean() < 0.2
    assert outside.mean() > 0.9
    named = ("magnitude", "noise_", "embedding")  # 2 % of the flux, and of the noise
    assert all(any(name in reason for name in named) for reason in reasons if reason)


def test_other_data_and_unknown_columns_are_refused(sky, tmp_path, capsys):
    table = Table.read(sky / "catalog.ecsv")
    table["image"] = [str(sky / name) for name in table["image"]]
    table["class"][0] = "thin" if table["class"][0] == "round" else "round"
    table.write(tmp_path / "other.ecsv")
    before = sorted(path.name for path in (sky / "model").iterdir())
    assert main(["calibrate", str(sky / "model"), "--catalog", str(tmp_path / "other.ecsv"), "--quiet"]) == 2
    assert "data that the model was trained on" in capsys.readouterr().err
    assert sorted(path.name for path in (sky / "model").iterdir()) == before
    model, catalog = str(sky / "model"), str(tmp_path / "other.ecsv")
    words = ["--split", "all", "--out", str(tmp_path / "s"), "--quiet"]
    assert main(["evaluate", model, "--catalog", catalog, "--by", "redshift", *words]) == 2
    assert "--by ['redshift']" in capsys.readouterr().err
    table["class"] = ["round"] * 120 + ["ring"] * 120
    table.write(tmp_path / "rings.ecsv")
    assert main(["evaluate", model, "--catalog", str(tmp_path / "rings.ecsv"), *words]) == 2
    assert "unknown=['ring']" in capsys.readouterr().err
    assert not (tmp_path / "s").exists()


def test_an_image_that_cannot_be_read_has_its_row_and_is_counted(sky, tmp_path, capsys):
    table = Table.read(sky / "catalog.ecsv")[:30]
    names = [str(sky / name) for name in table["image"]]
    table["image"] = [*names[:3], str(sky / "gone.fits"), *names[4:]]
    table.write(tmp_path / "c.ecsv")
    out = tmp_path / "s"
    assert (
        main(
            [
                "evaluate",
                str(sky / "model"),
                "--catalog",
                str(tmp_path / "c.ecsv"),
                "--split",
                "all",
                "--out",
                str(out),
                "--quiet",
            ]
        )
        == 0
    )
    assert "1 images could not be used" in capsys.readouterr().err
    rows = Table.read(out / "predictions.ecsv")
    assert len(rows) == 30
    assert rows["flag"][3] == 1
    assert "gone.fits" in rows["reason"][3]


@pytest.fixture(scope="module")
def new(sky):
    """A catalog of other class names for galaxies of the sky, with redshifts of two groups."""
    table = Table.read(sky / "catalog.ecsv")[:80]
    rng = np.random.default_rng(0)
    table["image"] = [str(sky / name) for name in table["image"]]
    table["class"] = np.where(table["class"] == "round", rng.choice(["E0", "E1"], 80), "disk").astype("U12")
    table["class"][:10] = "star"
    table["redshift"] = np.where(np.arange(80) < 45, 0.05, 0.2) + rng.uniform(0, 0.01, 80)
    table.write(sky / "new.ecsv")
    return sky / "new.ecsv"


MERGE = ["--merge", "round=E0,E1", "--merge", "thin=disk", "--drop", "star"]


def test_a_model_and_its_table_have_the_same_scores(sky, new, tmp_path, capsys):
    """Merged and dropped classes, another prior, redshift bins: from images, or a table of classify."""
    assert main(["calibrate", str(sky / "model"), "--false-alarms", "0.05", "--quiet"]) == 0
    prior = ["--prior", "round=0.8,thin=0.2"]
    words = ["--catalog", str(new), *MERGE, "--by", "redshift", "--bins", "2", "--quiet"]
    out = tmp_path / "model"
    assert main(["evaluate", str(sky / "model"), *words, *prior, "--split", "all", "--out", str(out)]) == 0
    table = tmp_path / "classes.csv"
    asked = ["--catalog", str(new), *prior, "--out", str(table), "--quiet"]
    assert main(["classify", str(sky / "model"), *asked]) == 0
    assert main(["evaluate", str(table), *words, "--out", str(tmp_path / "table")]) == 0
    one, other = (Table.read(tmp_path / name / "scores.ecsv") for name in ("model", "table"))
    assert one.colnames == other.colnames
    for name in ("by", "score", "n"):
        assert list(one[name]) == list(other[name])
    for name in ("value", "low", "high"):
        np.testing.assert_allclose(one[name], other[name], atol=1e-4)
    assert (tmp_path / "table" / "scores.png").stat().st_size > 5000
    rows = Table.read(tmp_path / "table" / "predictions.ecsv")
    right = np.asarray(rows["class"] == rows["true_class"])
    assert len(rows) == 70
    assert one["value"][one["score"] == "accuracy"][0] == pytest.approx(right.mean())
    near = right[Table.read(new)["redshift"][10:] < 0.1]
    parts = one[(one["by"] == "redshift") & (one["score"] == "accuracy")]
    assert parts["n"].tolist() == [35, 35]
    assert parts["value"][0] == pytest.approx(near.mean())
    assert all(parts["low"] <= parts["value"])
    assert all(parts["value"] <= parts["high"])
    assert other.meta["sets"]["coverage"] == one.meta["sets"]["coverage"]
    # Its own true classes, and a folder in place of the table.
    assert main(["evaluate", str(tmp_path / "table"), "--out", str(tmp_path / "own"), "--quiet"]) == 0
    again = Table.read(tmp_path / "own" / "scores.ecsv")
    np.testing.assert_allclose(again["value"], other[other["by"] == "all"]["value"], atol=1e-6)
    capsys.readouterr()
    for words, text in (
        ([str(table), "--out", "x"], "a column true_class of true classes"),
        ([str(table), "--catalog", str(new), "--prior", "sqrt", "--out", "x"], "a model with --prior"),
        ([str(table), "--catalog", str(new), "--out", "x"], "Merge or drop the others"),
        ([str(sky / "model"), *MERGE, "--out", "x"], "Use --split all"),
        ([str(new), "--catalog", str(new), "--out", "x"], "columns id and p_<class>"),
    ):
        assert main(["evaluate", *words]) == 2
        assert text in capsys.readouterr().err


def test_galaxies_without_a_prediction_count(tmp_path):
    """Half of the catalog has no row; one row has no numbers."""
    from galcnn.catalog import Catalog
    from galcnn.pipeline import evaluate_predictions

    p = np.array([0.9, 0.8, 0.3, 0.2, 0.6, np.nan])
    rows = Table({"id": list("abcdef"), "p_x": p, "p_y": 1 - p})
    galaxies = Catalog(
        Table({"id": list("fedcbaghijkl"), "class": list("xxyyxxyyyyyy"), "z": np.arange(12.0)})
    )
    scores = evaluate_predictions(rows, galaxies, tmp_path / "out", by=["z"], n_bins=1)
    assert scores.meta["n_failed"] == 7
    accuracy = scores[scores["score"] == "accuracy"]
    assert (accuracy["value"].tolist(), accuracy["n"].tolist()) == ([1.0, 1.0], [5, 5])
    assert (accuracy["low_edge"][1], accuracy["high_edge"][1]) == (1.0, 5.0)
    with pytest.raises(ValueError, match="with the same ids"):
        evaluate_predictions(rows, galaxies.select(range(6, 12)), tmp_path / "none")
    with pytest.raises(ValueError, match="one row per galaxy"):
        evaluate_predictions(rows[[0, 0, 1]], galaxies, tmp_path / "none")
    assert not (tmp_path / "none").exists()
