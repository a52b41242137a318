"""A model folder is whole and unchanged, or it is refused."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from galcnn.model import Card, TrainedModel, load_model, save_model


@pytest.fixture
def folder(trained, tmp_path):
    save_model(trained, tmp_path / "model")
    return tmp_path / "model"


def test_round_trip_to_the_bit(trained, toy_dataset, folder):
    back = load_model(folder)
    images = toy_dataset.images[:20]
    assert np.array_equal(trained.model.predict(images, verbose=0), back.model.predict(images, verbose=0))
    assert back.classes == ("round", "thin")
    assert back.card.inputs == trained.card.inputs
    assert back.card.trained_prior == trained.card.trained_prior
    assert back.card.name == "model"
    assert sorted(p.name for p in folder.iterdir()) == ["card.json", "model.keras"]


def test_a_missing_file_is_named(folder):
    (folder / "card.json").rename(folder / "kept.json")
    with pytest.raises(FileNotFoundError, match=r"is not a model folder: it has no card\.json"):
        load_model(folder)
    (folder / "kept.json").rename(folder / "card.json")
    (folder / "model.keras").unlink()
    with pytest.raises(FileNotFoundError, match=r"is not a model folder: it has no model\.keras"):
        load_model(folder)
    with pytest.raises(FileNotFoundError, match="Model folder not found: "):
        load_model(folder / "nowhere")


def test_an_altered_model_is_refused(folder):
    path = folder / "model.keras"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"the hash in card\.json.*was altered"):
        load_model(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "[" * 100_000, '{"format": 1, "classes": ["a", "b"]}', "\udcff"]
)
def test_a_broken_card_is_refused(folder, text):
    (folder / "card.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ValueError, match="Expected a model card"):
        load_model(folder)


def test_an_altered_card_is_refused(folder):
    """Classes in another order would give wrong answers without a word."""
    content = json.loads((folder / "card.json").read_text())
    (folder / "card.json").write_text(json.dumps(content, indent=4))
    load_model(folder)  # laid out otherwise, but the same
    (folder / "card.json").write_text(json.dumps(content | {"classes": content["classes"][::-1]}))
    with pytest.raises(ValueError, match="the card as it was written"):
        load_model(folder)


def test_a_card_of_a_newer_galcnn_is_refused(folder):
    content = json.loads((folder / "card.json").read_text())
    newer = {"format": 2, "inputs": {"cubes": True}, "classes": "elsewhere"}  # need not be understood here
    (folder / "card.json").write_text(json.dumps(content | newer))
    with pytest.raises(ValueError, match="Update galcnn"):
        load_model(folder)


def test_saving_replaces_a_model_but_never_anything_else(trained, folder, tmp_path):
    save_model(trained, folder)
    precious = tmp_path / "thesis"
    precious.mkdir()
    (precious / "chapter1.tex").write_text("x")
    for extra in ("", "card.json"):
        if extra:
            (precious / extra).write_text("{}")
        with pytest.raises(FileExistsError, match=r"an older model and nothing else.*chapter1\.tex"):
            save_model(trained, precious)
        assert (precious / "chapter1.tex").read_text() == "x"
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError):
        save_model(trained, tmp_path / "file")


def test_a_failing_extra_file_leaves_the_old_model(trained, folder):
    def fail(path):
        path.write_text("half")
        raise OSError("No space left on device")

    before = (folder / "card.json").read_text()
    with pytest.raises(OSError, match="No space left"):
        save_model(trained, folder, extra={"history.csv": fail})
    assert (folder / "card.json").read_text() == before
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def test_loading_runs_no_code_from_the_file(trained, folder, tmp_path):
    """A Lambda layer carries Python code: Keras' safe mode refuses it."""
    import keras

    inputs = keras.Input((4,))
    evil = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    evil.save(tmp_path / "evil.keras")
    shutil.copy(tmp_path / "evil.keras", folder / "model.keras")
    digest = hashlib.sha256((folder / "model.keras").read_bytes()).hexdigest()
    replace(trained.card, model_sha256=digest).write(folder / "card.json")
    with pytest.raises(ValueError, match=r"[Ll]ambda"):  # more of the kind: test_contents.py
        load_model(folder)


def test_a_record_that_does_not_fit_is_refused(trained):
    card = trained.card
    with pytest.raises(ValueError, match="2 classes"):
        TrainedModel(trained.model, Card(("a", "b", "c"), card.inputs))
    with pytest.raises(ValueError, match="sub-models 'preprocessing' and 'network'"):
        TrainedModel(trained.network, card)
    with pytest.raises(ValueError, match="at least two distinct classes"):
        Card(("a", "a"), card.inputs)
