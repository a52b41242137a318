"""galcnn faithfulness: verdicts follow from the values of each galaxy, controls fail, a run goes on."""

import json
import shutil
from dataclasses import replace

import keras
import numpy as np
import pytest
from astropy.table import QTable
from PIL import Image

from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.evaluation import judge
from galcnn.explain import CAM, Saliency, explain
from galcnn.faithfulness import FaithfulnessSettings, faithfulness_report
from galcnn.faithfulness.criteria import CRITERIA, criterion
from galcnn.faithfulness.report import Models, ranking_table, recommendation, summary, verdict_table
from galcnn.faithfulness.sample import Galaxies
from galcnn.files import load_cutout, save_cutout
from galcnn.layers import LayerStack
from galcnn.model import TrainedModel, load_model, save_model
from galcnn.prediction import predict
from galcnn.prediction.calibration import Calibration
from tests.conftest import toy_images

CALIBRATION = Calibration("vector", (0.5, 2.0), (0.3, -0.3), 99)
CONTROLS = {"control_edges", "control_light", "control_noise"}


@pytest.fixture(scope="module")
def sky(tmp_path_factory, trained):
    folder = tmp_path_factory.mktemp("faithfulness")
    images, labels = toy_images(16, seed=31)
    for i, image in enumerate(images):
        planes = np.moveaxis(image, -1, 0)
        save_cutout(Cutout(planes, ("g", "r"), sigma=np.full(planes.shape, 3.0)), folder / f"toy{i}.fits")
    table = QTable({"id": [f"toy{i}" for i in range(16)], "class": np.array(["round", "thin"])[labels]})
    table["image"] = [f"toy{i}.fits" for i in range(16)]
    table.write(folder / "catalog.ecsv")
    saved = save_model(trained, folder / "model")
    content = {"format": 1, "model_sha256": saved.card.model_sha256, "calibration": CALIBRATION.to_dict()}
    (folder / "model" / "uncertainty.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def report(sky):
    out = sky / "report"
    assert main(words(sky, out, "saliency")) == 0
    return out


def words(sky, out, *methods):
    named = [word for method in methods for word in ("--method", method)]
    files = [str(sky / "model"), "--catalog", str(sky / "catalog.ecsv"), "--split", "all"]
    return ["faithfulness", *files, "-n", "12", "--keep-layers", "2", *named, "--out", str(out), "--quiet"]


def verdicts(table):
    return {(str(row["method"]), str(row["criterion"])): row for row in table}


def test_verdicts_are_those_of_the_values_of_each_galaxy(report):
    table = QTable.read(report / "faithfulness.ecsv")
    assert set(table["method"]) == {"saliency", *CONTROLS}
    known = {one.name for one in CRITERIA if one.name not in ("significance-seeds", "significance-labels")}
    assert set(table["criterion"]) == known
    checked = 0
    for file in (report / "checks" / "saliency").glob("*.npz"):
        with np.load(file) as arrays:
            for name in known & set(arrays.files):
                row, found = verdicts(table)["saliency", name], judge(arrays[name], criterion(name))
                assert row["verdict"] == found.word
                assert row["value"] == pytest.approx(found.score.value)
                assert (row["low"], row["high"]) == (
                    pytest.approx(found.score.low),
                    pytest.approx(found.score.high),
                )
                checked += 1
    assert checked == len(known)
    assert table.meta["n_galaxies"] == 12


def test_the_controls_fail_where_they_must(report):
    rows = verdicts(QTable.read(report / "faithfulness.ecsv"))
    for control in CONTROLS:
        row = rows[control, "randomisation"]
        assert (row["verdict"], row["value"]) == ("fails", pytest.approx(1))
    for name in ("pointing", "energy", "equivariance", "deletion-light", "insertion-light"):
        assert rows["control_noise", name]["verdict"] in ("fails", "undecided")
    assert rows["control_noise", "pointing"]["verdict"] == "fails"
    assert rows["control_light", "deletion-light"]["verdict"] == "fails"
    assert rows["control_light", "deletion-light"]["value"] == pytest.approx(0, abs=1e-6)
    assert rows["control_edges", "equivariance"]["value"] == pytest.approx(0, abs=1e-5)


def test_a_report_has_words_figures_and_layers(report):
    text = (report / "faithfulness.md").read_text()
    assert "| randomisation < 0.5 |" in text
    assert "*fails* 1.00 [1.00, 1.00]" in text
    for name in ("faithfulness", "randomisation", "deletion_insertion"):
        with Image.open(report / f"{name}.png") as picture:
            assert picture.size[0] > 300
    files = sorted((report / "layers").glob("*.fits"))
    assert len(files) == 2
    stack = LayerStack.read(files[0])
    methods = [one.method for one in stack.explanations]
    assert methods[:3] == ["saliency", "t_noise_saliency", "q_noise_saliency"]
    # The prediction is that of galcnn classify, the map that of galcnn explain, its ratio that of the file of
    # checks.
    cutout = load_cutout(report.parent / f"{stack.id}.fits")
    trained = load_model(report.parent / "model")
    raw = predict(trained, cutout, calibrated=False)
    np.testing.assert_allclose(stack.prediction.logits, CALIBRATION.apply(raw).logits, rtol=1e-4)
    assert stack.prediction.adjustment == raw.adjustment
    ((own,),) = explain(trained, [cutout], explainers=[Saliency()], wrt="stretched", ids=[stack.id])
    assert stack.explanations[0].attribution == pytest.approx(own.attribution, rel=1e-3, abs=1e-6)
    q = stack.explanations[2].attribution
    assert np.nanmin(q) >= 0
    assert np.nanmax(q) <= 1


def test_methods_are_ranked_by_paired_differences(report):
    rng = np.random.default_rng(0)
    light = rng.normal(0, 1, 40)
    found = {
        "worse": {"deletion-light": light + 0.2, "pointing": np.ones(40)},
        "best": {"deletion-light": light + 2.0, "pointing": np.full(40, -1.0)},
        "as good": {"deletion-light": light + 2.0 + 0.1 * rng.normal(size=40)},
        "refused": {"deletion_insertion_refused": np.array("Expected ...")},
        "control_light": {"deletion-light": np.full(40, 9.0)},
    }
    table = verdict_table(found)
    ranking = ranking_table(found, table)
    rows = {str(row["method"]): row for row in ranking}
    assert set(rows) == {"worse", "best", "as good"}, "controls are no maps"
    assert rows["worse"]["behind"] == pytest.approx(1.8, abs=0.1)
    assert rows["worse"]["behind_low"] > 1.5, "paired: the scatter between galaxies cancels"
    assert {name for name, row in rows.items() if row["recommended"]} == {"best", "as good"}
    assert (rows["best"]["passes"], rows["best"]["fails"]) == ("deletion-light", "pointing")
    said = summary(table, ranking)
    assert "Recommended for this model: **" in said
    assert "- Keep in mind of best: its peak is often off the galaxy." in said
    assert "- Not ranked, since not judged: refused." in said
    nothing = {"none": {"deletion-light": light}, "refused": found["refused"]}
    assert "No method is recommended" in recommendation(ranking_table(nothing, verdict_table(nothing)))
    written = QTable.read(report / "ranking.ecsv")
    assert [str(name) for name in written["method"]] == ["saliency"]
    assert "## What is recommended" in (report / "faithfulness.md").read_text()
    assert (report / "fragility.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_a_run_goes_on_and_takes_further_methods(report, sky, tmp_path):
    out = tmp_path / "again"
    shutil.copytree(report, out)
    (out / "checks" / "saliency" / "localisation.npz").unlink()  # as if it had been stopped there
    planted = out / "checks" / "saliency" / "equivariance.npz"
    np.savez(planted, equivariance=np.full(12, 0.125), errors=np.full((7, 12), 0.125))
    assert main(words(sky, out, "saliency", "cam")) == 0
    rows = verdicts(QTable.read(out / "faithfulness.ecsv"))
    assert rows["saliency", "equivariance"]["value"] == 0.125, "what is there is not made again"
    before = verdicts(QTable.read(report / "faithfulness.ecsv"))
    assert rows["saliency", "pointing"]["value"] == before["saliency", "pointing"]["value"]
    assert rows["cam", "randomisation"]["n"] == 12


def test_another_sample_or_setting_in_the_same_folder_is_refused(report, sky, capsys):
    for more in (["--seed", "1"], ["--epsilon", "2"], ["--number", "11"]):
        assert main([*words(sky, report, "saliency"), *more]) == 2
        assert "same model, galaxies and settings" in capsys.readouterr().err


def varied(trained, seed):
    """The same network with weights a tenth off: as trained with another seed."""
    model = keras.models.clone_model(trained.model)
    rng = np.random.default_rng(seed)
    model.set_weights([w + 0.1 * np.abs(w) * rng.normal(size=w.shape) for w in trained.model.get_weights()])
    return TrainedModel(model, replace(trained.card, model_sha256=f"seed{seed}"))


def test_other_models_give_standard_deviations_of_their_own_and_a_refusal_does_not_apply(trained, tmp_path):
    images, _ = toy_images(9, seed=5)
    cutouts = tuple(Cutout(np.moveaxis(image, -1, 0), ("g", "r")) for image in images)
    galaxies = Galaxies(cutouts, tuple(f"toy{i}" for i in range(9)))
    inputs = keras.Input((16, 16, 2))
    x = keras.layers.Conv2D(4, 3, activation="tanh")(inputs)
    logits = keras.layers.Dense(2, name="logits")(keras.layers.Flatten()(x))
    model = keras.Model(inputs, keras.Model(inputs, logits, name="network")(trained.preprocessing(inputs)))
    flat = TrainedModel(model, trained.card)
    weights = [np.array(w) for w in model.get_weights()]
    others = tuple(varied(flat, seed) for seed in range(5))
    table = faithfulness_report(
        Models(flat, others[:2], others[2:]),
        galaxies,
        tmp_path / "out",
        explainers=[Saliency(), CAM()],
        settings=FaithfulnessSettings(moves=1, draws=3, keep_layers=1),
    )
    rows = verdicts(table)
    assert 0 <= rows["saliency", "significance-seeds"]["value"] <= 1
    assert rows["saliency", "significance-labels"]["n"] == 9
    assert rows["cam", "pointing"]["verdict"] == "not judged"
    assert "Expected" in rows["cam", "pointing"]["reason"]
    assert "## Not judged" in (tmp_path / "out" / "faithfulness.md").read_text()
    (stack,) = [LayerStack.read(file) for file in (tmp_path / "out" / "layers").glob("*.fits")]
    methods = {one.method for one in stack.explanations}
    assert {"t_seeds_saliency", "q_labels_saliency", "mean_saliency"} <= methods
    assert all(np.array_equal(a, b) for a, b in zip(weights, model.get_weights(), strict=True))
    with pytest.raises(ValueError, match="at least two models of other seeds"):
        Models(flat, others[:1])
