"""Logits become probabilities, whatever happens to a file it has its row."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.files import save_cutout
from galcnn.model import InputSpec, prepare
from galcnn.pipeline import ClassifySettings, classify
from galcnn.pipeline.classification import Classifier
from galcnn.pipeline.runs import RunSettings
from galcnn.prediction import MASKED, UNFIT, UNREADABLE, Prediction, predict
from galcnn.prediction.calibration import Calibration
from galcnn.prediction.priors import prior_of

CLASSES = ("elliptical", "spiral")


class MeanModel:
    """Logits in closed form: the mean of band 0, and twice the mean of band 1."""

    output_shape = (None, 2)

    def predict(self, images, batch_size, verbose):
        assert images.dtype == np.float32
        return np.stack([images[..., 0].mean(axis=(1, 2)), 2 * images[..., 1].mean(axis=(1, 2))], axis=1)


@pytest.fixture
def trained():
    card = SimpleNamespace(
        inputs=InputSpec(("g", "r"), "nJy", (8, 8)),
        class_prior={"elliptical": 0.9, "spiral": 0.1},
        trained_prior={"elliptical": 0.5, "spiral": 0.5},
    )
    made = SimpleNamespace(model=MeanModel(), card=card, classes=CLASSES, votes=None, orientations=1)
    made.with_render = lambda render: made
    return made


def ready_of(trained):
    """A classifier of the model, whose embedding is zero."""

    class Answering:
        output_shape = ((None, 2), (None, 1))

        def predict(self, images, batch_size, verbose):
            return trained.model.predict(images, batch_size, verbose), np.zeros((len(images), 1))

    return Classifier(trained, None, Answering())


def classified(trained, paths, *, prior="as-trained"):
    """The table of image files."""
    catalog = Catalog(QTable({"id": list(paths), "image": [str(path) for path in paths.values()]}))
    settings = RunSettings(ClassifySettings(prior), chunk=2)  # several batches, some with gaps
    return classify(ready_of(trained), catalog, InputFiles(paths), settings=settings)


def flat(g, r, **fields):
    """Flat but for a chequered half, of mean zero: an image of equal pixels would be flagged as blank."""
    chequered = np.indices((8, 8)).sum(axis=0) % 2 - 0.5
    return Cutout(np.stack([g + chequered, r + chequered]), ("g", "r"), **fields)


def test_probabilities_are_the_softmax():
    p = Prediction(("a", "b"), np.log([[1.0, 3.0], [4.0, 1.0]]), CLASSES)
    np.testing.assert_allclose(p.probabilities, [[0.25, 0.75], [0.8, 0.2]], rtol=1e-6)
    assert p.best == ("spiral", "elliptical")
    np.testing.assert_allclose(p.entropy[1], -(0.8 * np.log(0.8) + 0.2 * np.log(0.2)), rtol=1e-6)


@given(arrays(np.float32, (3, 4), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_any_finite_logits_give_probabilities(logits):
    p = Prediction(("a", "b", "c"), logits, ("1", "2", "3", "4"))
    np.testing.assert_allclose(p.probabilities.sum(axis=1), 1, rtol=1e-12)
    assert (p.probabilities >= 0).all()
    assert ((p.entropy >= 0) & (p.entropy <= np.log(4) + 1e-12)).all()
    assert p.best == tuple(p.classes[i] for i in logits.argmax(axis=1))


def test_entropy_runs_from_zero_to_the_logarithm_of_the_number_of_classes():
    p = Prediction(("sure", "clueless"), [[1000.0, 0.0], [7.0, 7.0]], CLASSES)
    np.testing.assert_allclose(p.entropy, [0, np.log(2)], atol=1e-15)


@pytest.mark.parametrize("lost", [np.nan, np.inf, -np.inf])
def test_logits_that_are_not_finite_are_no_answer(lost):
    p = Prediction(("a", "b"), [[lost, 1.0], [2.0, 1.0]], CLASSES)
    assert p.best == ("", "elliptical")
    assert np.isnan(p.probabilities[0]).all()
    assert np.isnan(p.entropy[0])
    assert np.isfinite(p.probabilities[1]).all()


def test_no_galaxies_are_no_problem():
    p = Prediction((), np.zeros((0, 2)), CLASSES)
    assert (len(p), p.best, p.entropy.shape) == (0, (), (0,))
    assert len(p.to_table()) == 0


def test_another_prior_is_bayes_theorem():
    old, new = {"elliptical": 0.5, "spiral": 0.5}, {"elliptical": 0.9, "spiral": 0.1}
    p = Prediction(("a",), np.log([[0.2, 0.8]]), CLASSES)
    q = p.with_prior(new, old)
    expected = np.array([0.2 * 0.9, 0.8 * 0.1])
    np.testing.assert_allclose(q.probabilities, [expected / expected.sum()], rtol=1e-6)
    assert q.best == ("elliptical",)
    assert p.best == ("spiral",)
    np.testing.assert_array_equal(q.logits, p.logits)
    np.testing.assert_allclose(p.with_prior(old, old).probabilities, p.probabilities)


def test_a_prior_is_normalised_and_checked():
    p = Prediction(("a",), [[0.0, 0.0]], CLASSES)
    scaled = p.with_prior({"elliptical": 9, "spiral": 1}, {"elliptical": 0.5, "spiral": 0.5})
    np.testing.assert_allclose(scaled.probabilities, [[0.9, 0.1]])
    for wrong in (
        {"elliptical": 1.0},
        {"elliptical": 1.0, "spiral": 0.0},
        {"elliptical": np.nan, "spiral": 1.0},
    ):
        with pytest.raises(ValueError, match="a positive frequency for each"):
            p.with_prior(wrong, {"elliptical": 0.5, "spiral": 0.5})


def test_priors_as_users_type_them(trained, tmp_path):
    assert prior_of("as-trained", trained) is None
    assert prior_of("catalog", trained) == {"elliptical": 0.9, "spiral": 0.1}
    assert prior_of("sqrt", trained) == pytest.approx({"elliptical": 0.75, "spiral": 0.25})  # 3 to 1
    assert prior_of("uniform", trained) == {"elliptical": 0.5, "spiral": 0.5}
    assert prior_of("elliptical=0.6,spiral=0.4", trained) == {"elliptical": 0.6, "spiral": 0.4}
    assert prior_of({"spiral": 1, "elliptical": 3}, trained) == {"elliptical": 0.75, "spiral": 0.25}
    table = Table({"share": [20, 60], "class": ["elliptical", "spiral"]})
    for name in ("shares.csv", "a=b.ecsv"):
        table.write(tmp_path / name)
        assert prior_of(str(tmp_path / name), trained) == {"elliptical": 0.25, "spiral": 0.75}
    for wrong in (
        "half",
        "elliptical=x,spiral=1",
        "elliptical=1",
        "elliptical=1,spiral=0",
        "spiral=1,spiral=2",
    ):
        with pytest.raises(ValueError, match="Expected"):
            prior_of(wrong, trained)
    with pytest.raises(ValueError, match="Did you mean 'uniform'"):
        ClassifySettings(prior="unifrom")
    Table({"kind": ["spiral"], "share": [1]}).write(tmp_path / "kinds.csv")
    with pytest.raises(ValueError, match="a table with columns class and share"):
        ClassifySettings(prior=str(tmp_path / "kinds.csv"))


def test_a_model_without_priors_answers_as_trained(trained):
    trained.card.class_prior = {}
    assert prior_of("catalog", trained) is None
    with pytest.raises(ValueError, match="a model whose card has its class priors"):
        prior_of("uniform", trained)


def test_half_the_log_prior_is_subtracted(trained):
    """sqrt: the logits of a model trained without weights, less half the log of its class frequencies."""
    trained.card.trained_prior = trained.card.class_prior
    p = Prediction(("a",), [[0.3, -0.2]], CLASSES).with_prior(
        prior_of("sqrt", trained), trained.card.trained_prior
    )
    scores = np.array([0.3, -0.2]) - 0.5 * np.log([0.9, 0.1])
    np.testing.assert_allclose(p.probabilities[0], np.exp(scores) / np.exp(scores).sum(), rtol=1e-6)


def test_select_keeps_rows_together():
    p = Prediction(("a", "b", "c"), np.arange(6).reshape(3, 2), CLASSES, (1.0, 2.0))
    q = p.select([2, 0])
    assert (q.ids, q.logits.tolist(), q.adjustment) == (("c", "a"), [[4, 5], [0, 1]], (1.0, 2.0))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"logits of shape \(1, 2\)"):
        Prediction(("a",), np.zeros((2, 2)), CLASSES)
    with pytest.raises(ValueError, match="one adjustment per class"):
        Prediction(("a",), np.zeros((1, 2)), CLASSES, (1.0,))


def test_the_callers_array_is_not_frozen():
    logits = np.zeros((1, 2), dtype=np.float32)
    p = Prediction(("a",), logits, CLASSES)
    logits[0, 0] = 5
    assert p.logits[0, 0] == 0
    assert not p.logits.flags.writeable


def test_predict_gives_the_models_logits(trained):
    p = predict(trained, [flat(1, 2), flat(3, -1)], ids=("x", "y"))
    np.testing.assert_array_equal(p.logits, [[1, 4], [3, -2]])
    assert (p.ids, p.classes) == (("x", "y"), CLASSES)
    assert predict(trained, [flat(1, 2)]).ids == ("0",)


def test_predict_calibrates_first_and_applies_the_prior_then(trained, tmp_path):
    """Logits (1, 1) become (1.5, 1), the prior of the loss (0.5, 0.5) that of the catalog (0.9, 0.1)."""
    trained.folder, trained.card.model_sha256 = tmp_path, "own"
    content = {"format": 1, "model_sha256": "own"}
    content["calibration"] = Calibration("vector", (2.0, 0.5), (-0.5, 0.5), 99).to_dict()
    written = tmp_path / "uncertainty.json"
    written.write_text(json.dumps(content))
    for prior, ratio in (("as-trained", 1), ("catalog", 9), ("sqrt", 3)):
        expected = ratio * np.exp(0.5)
        found = predict(trained, flat(1, 0.5), prior=prior)
        np.testing.assert_array_equal(found.logits, [[1.5, 1.0]])
        assert found.probabilities[0, 0] == pytest.approx(expected / (1 + expected))
    plain = predict(trained, flat(1, 0.5), calibrated=False)
    np.testing.assert_array_equal(plain.logits, [[1.0, 1.0]])
    assert plain.probabilities[0, 0] == pytest.approx(0.9)
    for changed in ({"model_sha256": "other"}, {"format": 9}, {"calibration": {"kind": "vector"}}):
        written.write_text(json.dumps(content | changed))
        with pytest.raises(ValueError, match=r"uncertainty\.json"):
            predict(trained, flat(1, 0.5))
        assert len(predict(trained, flat(1, 0.5), calibrated=False)) == 1


def test_images_of_another_shape_are_fitted_where_that_is_said(trained):
    larger = np.pad(flat(1, 2).flux, ((0, 0), (3, 3), (3, 3)))
    cutout = Cutout(larger, ("g", "r"))
    with pytest.raises(ValueError, match=r"an image of .* pixels.*fit=True"):
        predict(trained, cutout)
    expected = predict(trained, prepare(cutout, trained.card.inputs, fit=True)).logits
    np.testing.assert_array_equal(predict(trained, cutout, fit=True).logits, expected)
    table = classify(ready_of(trained), [cutout, cutout], fit=True)
    assert list(table["flag"]) == [0, 0]
    assert list(classify(ready_of(trained), [cutout])["flag"]) == [UNFIT]


@pytest.mark.parametrize("kind", ["column", "text", "bytes"])
def test_a_column_of_paths_is_read_as_files(trained, tmp_path, kind):
    paths = []
    for i in (1, 2):
        save_cutout(flat(i, i), tmp_path / f"{i}.fits")
        paths.append(str(tmp_path / f"{i}.fits"))
    texts = QTable({"image": paths})["image"] if kind == "column" else np.array(paths)
    found = predict(trained, texts.astype("S") if kind == "bytes" else texts)
    np.testing.assert_array_equal(found.logits, [[1, 2], [2, 4]])


def test_every_file_has_its_row(trained, tmp_path):
    good = {f"good{i}": flat(i, i / 2 + 1) for i in range(5)}
    hole = np.zeros((8, 8), dtype=bool)
    hole[:2] = True
    cutouts = {**good, "holes": flat(1, 2, mask=hole), "large": Cutout(np.ones((2, 9, 9)), ("g", "r"))}
    for name, cutout in cutouts.items():
        save_cutout(cutout, tmp_path / f"{name}.fits")
    (tmp_path / "broken.fits").write_bytes(b"SIMPLE  = not")
    fits.PrimaryHDU().writeto(tmp_path / "empty.fits")
    order = ["good0", "broken", "missing", "good1", "large", "holes", "good2", "empty", "good3", "good4"]
    paths = {name: tmp_path / f"{name}.fits" for name in order}
    table = classified(trained, paths)
    assert list(table["id"]) == order
    flags = dict(zip(table["id"], table["flag"], strict=True))
    assert {name: flag for name, flag in flags.items() if flag} == {
        "broken": UNREADABLE,
        "missing": UNREADABLE,
        "empty": UNREADABLE,
        "large": UNFIT,
        "holes": MASKED,
    }
    for row in table:
        if row["flag"] in (UNREADABLE, UNFIT):
            assert row["class"] == ""
            assert np.isnan(row["p_spiral"])
            assert row["reason"]
    for i in range(5):
        row = table[order.index(f"good{i}")]
        logits = np.array([i, i + 2.0])
        expected = np.exp(logits - logits.max())
        assert row["p_spiral"] == pytest.approx(expected[1] / expected.sum())
        assert (row["class"], row["reason"]) == ("spiral", "")


def test_files_can_be_read_under_another_prior(trained, tmp_path):
    save_cutout(flat(1, 0.5), tmp_path / "a.fits")  # logits 1 and 1
    for prior, share in [
        ("as-trained", 0.5),
        ("catalog", 0.9),
        ("sqrt", 0.75),
        ("elliptical=0.2,spiral=0.8", 0.2),
    ]:
        table = classified(trained, {"a": tmp_path / "a.fits"}, prior=prior)
        assert table["p_elliptical"][0] == pytest.approx(share)


def test_the_table_says_what_its_columns_are():
    table = Prediction(("a",), np.log([[0.25, 0.75]]), CLASSES).to_table()
    assert table.colnames == ["id", "class", "p_elliptical", "p_spiral", "entropy", "flag", "reason"]
    assert table["p_spiral"][0] == pytest.approx(0.75)
    assert "nats" in table["entropy"].description
    assert "4 over 10% masked" in table["flag"].description


def test_no_keras_is_imported():
    code = "import sys, galcnn.prediction; assert not {'keras', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
