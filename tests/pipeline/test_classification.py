"""Rows of ensembles, of dropout left on and of votes; one row each, whatever is given."""

from dataclasses import replace

import numpy as np
import pytest

from galcnn.catalog import Question, Votes
from galcnn.cutout import Cutout
from galcnn.errors import CoverageError
from galcnn.model import NetworkSettings, TrainedModel, assemble, build_network, save_model
from galcnn.pipeline import ClassifySettings, classify_batch
from galcnn.pipeline.classification import Classifier, open_classifier
from galcnn.prediction import UNANSWERED, UNFIT, UNREADABLE, Prediction
from galcnn.uncertainty import Uncertainty


def shifted(ready):
    """The same network whose probabilities are read with other temperatures: a second opinion."""
    from galcnn.uncertainty.calibration import Calibration

    class UncertaintyRecord:
        calibration = Calibration("vector", (0.5, 0.2), (0.3, -0.3), 9)

    return Classifier(ready.trained, UncertaintyRecord(), ready.answering)


def test_an_ensemble_is_the_mean_of_its_members(sky, blobs):
    one = open_classifier(sky / "model")
    other = shifted(one)
    ids = [str(i) for i in range(12)]
    alone = classify_batch(one, blobs[:12], ids)
    logits = one.trained.model.predict(blobs[:12], verbose=0)
    second = other.shares(logits, ClassifySettings())
    table = classify_batch([one, other], blobs[:12], ids)
    members = np.stack([np.stack([alone["p_round"], alone["p_thin"]], axis=1), second])
    expected = Uncertainty(members)
    np.testing.assert_allclose(table["p_thin"], expected.probabilities[:, 1], atol=1e-6)
    np.testing.assert_allclose(table["std_thin"], expected.std[:, 1], atol=1e-6)
    np.testing.assert_allclose(table["mutual_information"], expected.mutual_information, atol=1e-6)
    assert "set" not in table.colnames  # of the mean nothing is promised
    assert "mutual_information" not in alone.colnames
    reversed_bands = replace(one.trained.card.inputs, bands=("r", "g"))
    foreign = replace(one.trained, card=replace(one.trained.card, inputs=reversed_bands))
    with pytest.raises(ValueError, match=r"models of classes .* and inputs"):
        classify_batch([one, Classifier(foreign, None, one.answering)], blobs[:2], ["a", "b"])


def test_fewer_orientations_give_their_own_answer_without_calibration(trained, blobs, tmp_path):
    """The answer of 8 is the mean of the logits of turned images; of 1, that of the images as they are."""
    ids, images = [str(i) for i in range(6)], blobs[:6]
    settings = NetworkSettings(widths=(8, 8, 16), dropout=0.1, orientations=8)
    network = build_network((16, 16, 2), 2, settings=settings)
    network.set_weights(trained.network.get_weights())
    eight = save_model(
        replace(trained, model=assemble(trained.preprocessing, network)), tmp_path / "eight"
    ).folder
    turned = [np.rot90(one, k, (1, 2)) for k in range(4) for one in (images, images[:, ::-1])]
    logits = np.mean([trained.model.predict(np.ascontiguousarray(x), verbose=0) for x in turned], axis=0)
    expected = Prediction(ids, logits, ("round", "thin")).probabilities
    whole = classify_batch(eight, images, ids)
    np.testing.assert_allclose(whole["p_thin"], expected[:, 1], atol=1e-5)
    one = ClassifySettings(orientations=1)
    single = classify_batch(eight, images, ids, settings=one)
    plain = classify_batch(trained, images, ids)
    np.testing.assert_allclose(single["p_thin"], plain["p_thin"], atol=1e-6)
    assert np.abs(single["p_thin"] - whole["p_thin"]).max() > 1e-4
    again = classify_batch(open_classifier(eight), images, ids, settings=one)  # an open one, too
    np.testing.assert_array_equal(again["p_thin"], single["p_thin"])
    record = shifted(open_classifier(eight))
    assert open_classifier(record, orientations=8) is record
    assert open_classifier(record, orientations=1).uncertainty is None  # it was measured with all


def test_dropout_masks_are_the_galaxys_own(sky, blobs):
    """Whatever batch it is in, a galaxy has the same masks; the plain answer stays."""
    settings = ClassifySettings(dropout_samples=8, seed=5)
    ids = [f"g{i}" for i in range(9)]
    whole = classify_batch(sky / "model", blobs[:9], ids, settings=settings)
    order = [7, 2, 5]
    part = classify_batch(sky / "model", blobs[order], [ids[k] for k in order], settings=settings)
    for name in ("std_thin", "mutual_information"):
        np.testing.assert_allclose(part[name], whole[name][order], rtol=1e-4, atol=1e-7)
    assert (np.asarray(whole["std_thin"]) > 0).any()
    other = classify_batch(sky / "model", blobs[:9], ids, settings=replace(settings, seed=6))
    assert np.abs(other["std_thin"] - whole["std_thin"]).max() > 1e-5
    plain = classify_batch(sky / "model", blobs[:9], ids)
    np.testing.assert_array_equal(plain["p_thin"], whole["p_thin"])
    nothing = classify_batch(sky / "model", [CoverageError("not there")], ["x"], settings=settings)
    assert nothing.colnames == whole.colnames  # else its part would not join the others


def test_votes_give_fractions(trained, blobs):
    votes = Votes((Question("shape", ("round", "thin")),))
    card = replace(trained.card, classes=(), class_prior={}, trained_prior={}, votes=votes)
    model = TrainedModel(trained.model, card)
    from galcnn.model.bundle import with_embedding

    ready = Classifier(model, None, with_embedding(model))
    cutouts = [Cutout(np.moveaxis(image, -1, 0), ("g", "r")) for image in blobs[:5]]
    settings = ClassifySettings(embeddings=True, dropout_samples=4)
    table = classify_batch(ready, [*cutouts, OSError("gone")], list("abcdef"), settings=settings)
    logits = trained.model.predict(blobs[:5], verbose=0).astype(float)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(table["f_thin"][:5], p[:, 1], atol=1e-6)
    assert table.colnames == [
        *("id", "f_round", "f_thin", "flag", "reason"),
        *("std_round", "std_thin", "embedding"),
    ]
    assert table["flag"].tolist() == [0, 0, 0, 0, 0, UNREADABLE]
    assert np.isnan(table["f_thin"][5])
    with pytest.raises(ValueError, match="no class prior for vote fractions"):
        classify_batch(ready, cutouts, list("abcde"), settings=ClassifySettings(prior="uniform"))


def test_whatever_is_given_has_its_row(sky, blobs):
    plane = np.moveaxis(blobs[0], -1, 0)
    strange = {
        "nan": Cutout(np.full_like(plane, np.nan), ("g", "r")),
        "infinite": Cutout(np.where(plane > 0, np.inf, plane), ("g", "r")),
        "overflow": Cutout(np.where(np.arange(16) % 2, 3e38, -3e38) * np.ones_like(plane), ("g", "r")),
        "zero": Cutout(np.zeros_like(plane), ("g", "r")),
        "other bands": Cutout(plane, ("u", "z")),
        "one pixel": Cutout(plane[:, :1, :1], ("g", "r")),
        "error": ValueError("no such galaxy"),
        "good": Cutout(plane, ("g", "r")),
    }
    table = classify_batch(sky / "model", list(strange.values()), list(strange))
    flags = dict(zip(table["id"], table["flag"], strict=True))
    assert list(table["id"]) == list(strange)
    assert flags["good"] == 0
    assert flags["other bands"] == flags["one pixel"] == UNFIT
    assert flags["error"] == UNREADABLE
    assert flags["nan"] & 4
    assert flags["zero"] & 8
    assert flags["infinite"] & 4
    for name, flag, reason, p in zip(*(table[c] for c in ("id", "flag", "reason", "p_thin")), strict=True):
        assert (flag > 0) == bool(reason), name
        answered = not flag & (UNREADABLE | UNFIT | UNANSWERED)
        assert np.isfinite(p) == answered, name


def test_no_number_is_said_to_be_none(sky, blobs):
    image = blobs[:2].copy()
    image[0, 3, 3, 0] = np.nan  # images that are given as such are not masked
    table = classify_batch(sky / "model", image, ["a", "b"])
    assert table["flag"].tolist() == [UNFIT, 0]
    assert "no numbers" in table["reason"][0]

    class Overflowing:
        output_shape = ((None, 2), (None, 16))

        def predict(self, images, **_):
            return np.full((len(images), 2), np.inf), np.zeros((len(images), 16))

    ready = Classifier(open_classifier(sky / "model").trained, None, Overflowing())
    table = classify_batch(ready, blobs[:1], ["a"])
    assert table["flag"][0] == UNANSWERED
    assert table["reason"][0] == "the network's answer is no number"
    assert table["class"][0] == ""
