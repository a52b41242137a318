"""From one TOML to a table of vote fractions, on the command line."""

import json

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.catalog import Question, Votes
from galcnn.cli.main import main
from galcnn.model import load_model

TOML = """
[data]
catalog = "votes.csv"
[data.votes]
kind = "KIND"
[[data.votes.questions]]
name = "colour"
answers = ["red", "blue"]
[[data.votes.questions]]
name = "bright"
answers = ["yes", "no"]
parent = "red"
[network]
widths = [8, 8]
depth = 1
stem = 0
field = 1.0
orientations = 4
averaging = "prediction"
l2 = 1e-5
[training]
epochs = 12
batch_size = 8
label_smoothing = 0
learning_rate = 0.02
augmentation = { rotations = "quarter" }
"""
#: People who looked at each galaxy.
PEOPLE = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Blobs from blue to red, faint or bright; people vote accordingly."""
    folder = tmp_path_factory.mktemp("votes")
    rng = np.random.default_rng(0)
    rows = []
    for i in range(120):
        red, bright = rng.uniform(0.05, 0.95, 2)
        picture = rng.integers(0, 8, (12, 12, 3))
        picture[3:9, 3:9, 0] += int(200 * red * (0.3 + 0.7 * bright))
        picture[3:9, 3:9, 2] += int(200 * (1 - red) * (0.3 + 0.7 * bright))
        Image.fromarray(picture.astype(np.uint8)).save(folder / f"{i}.png")
        reds = rng.binomial(PEOPLE, red)
        yes = rng.binomial(reds, bright)
        rows.append((f"g{i}", f"{i}.png", reds, PEOPLE - reds, yes, reds - yes))
    names = ("id", "image", "red", "blue", "yes", "no")
    counts = Table(rows=rows, names=names)
    counts.write(folder / "counts.csv")
    for name in names[2:]:
        counts[name] = counts[name] / PEOPLE
    counts.write(folder / "votes.csv")
    for kind in ("fractions", "counts"):
        (folder / f"{kind}.toml").write_text(TOML.replace("KIND", kind))
    return folder


@pytest.fixture(scope="module")
def models(folder):
    out = {}
    for kind, table in (("fractions", "votes.csv"), ("counts", "counts.csv")):
        out[kind] = folder / kind
        words = ["train", str(folder / f"{kind}.toml"), "--catalog", str(folder / table)]
        assert main([*words, "--out", str(out[kind]), "--quiet"]) == 0
    return out


@pytest.mark.parametrize("kind", ["fractions", "counts"])
def test_a_network_learns_votes_and_beats_their_mean(models, kind):
    trained = load_model(models[kind])
    questions = (Question("colour", ("red", "blue")), Question("bright", ("yes", "no"), "red"))
    assert trained.votes == Votes(questions, kind)
    assert trained.card.settings["data"]["votes"]["kind"] == kind
    scores = trained.card.metrics["test"]
    assert scores["correlation_colour"]["value"] > 0.8
    assert scores["rmse_colour"]["high"] < scores["rmse_of_mean_colour"]["low"]
    assert trained.network.get_layer("orientations").count == 4
    history = Table.read(models[kind] / "history.csv")
    assert history.colnames == [
        "epoch",
        "cross_entropy",
        "loss",
        "val_cross_entropy",
        "val_loss",
        "learning_rate",
    ]
    tested = Table.read(models[kind] / "test.ecsv")
    np.testing.assert_allclose(tested["f_yes"] + tested["f_no"], tested["f_red"], atol=1e-6)
    np.testing.assert_allclose(tested["true_red"] + tested["true_blue"], 1, atol=1e-6)
    error = np.sqrt(np.mean([(tested[f"f_{a}"] - tested[f"true_{a}"]) ** 2 for a in ("red", "blue")]))
    assert scores["rmse_colour"]["value"] == pytest.approx(error, abs=1e-5)


def test_the_card_repeats_the_run(folder, models, capsys):
    again = folder / "again"
    assert main(["train", str(models["fractions"] / "card.json"), "--out", str(again), "--quiet"]) == 0
    assert "the data are those of" in capsys.readouterr().out
    for one, other in zip(
        load_model(again).model.get_weights(),
        load_model(models["fractions"]).model.get_weights(),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=0.05, atol=0.02)


def test_images_become_fractions_and_none_is_lost(folder, models):
    bad = folder / "bad.fits"
    bad.write_text("no image")
    out = folder / "answers.ecsv"
    words = ["classify", str(models["fractions"]), str(folder / "3.png"), str(bad), "--out", str(out)]
    assert main([*words, "--quiet"]) == 0
    table = Table.read(out)
    assert table.colnames == ["id", "f_red", "f_blue", "f_yes", "f_no", "flag", "reason"]
    assert table["flag"].tolist() == [0, 1]
    assert table["f_red"][0] + table["f_blue"][0] == pytest.approx(1)
    assert np.isnan(table["f_red"][1])


def test_info_says_the_questions(models, capsys):
    assert main(["info", str(models["fractions"])]) == 0
    said = capsys.readouterr().out
    assert "question      colour: red, blue\n" in said
    assert "question      bright: yes, no (asked after red)\n" in said


def test_what_needs_classes_is_refused_in_one_line(folder, models, tmp_path, capsys):
    model, image = str(models["fractions"]), str(folder / "3.png")
    for words in (
        ["explain", model, image, "--method", "cam", "--out", str(tmp_path / "e.fits"), "--quiet"],
        ["calibrate", model],
        [
            "evaluate",
            model,
            "--catalog",
            str(folder / "votes.csv"),
            "--split",
            "all",
            "--out",
            str(tmp_path / "s"),
            "--quiet",
        ],
        ["atlas", model, "--catalog", str(folder / "votes.csv"), "--out", str(tmp_path / "atlas"), "--quiet"],
    ):
        assert main(words) == 2, words
        said = capsys.readouterr().err
        assert "Expected a model of classes" in said, (words, said)
        assert "galcnn classify writes them" in said
    assert main(["classify", model, image, "--prior", "uniform", "--out", str(tmp_path / "c.csv")]) == 2
    assert "Expected no class prior for vote fractions" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (("label_smoothing = 0", ""), "label_smoothing 0 and balance 'none' to train on votes"),
        (('answers = ["red", "blue"]', 'answers = ["red", "green"]'), "a column for each answer"),
        (('parent = "red"', 'parent = "green"'), "the parent of 'bright' among the answers"),
        (('parent = "red"', 'parents = "red"'), "Did you mean 'parent'"),
        (('kind = "KIND"', 'kind = "percent"'), "kind of kind"),
        (('[data.votes]\nkind = "KIND"', 'drop = ["a"]\n[data.votes]'), "votes or classes"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(folder, tmp_path, capsys, change, text):
    path = folder / "wrong.toml"
    path.write_text(TOML.replace(*change).replace("KIND", "fractions"))
    assert main(["train", str(path), "--out", str(tmp_path / "m"), "--quiet"]) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


def test_a_card_of_votes_is_plain_json(models):
    content = json.loads((models["fractions"] / "card.json").read_text())
    assert content["classes"] == []
    assert content["votes"]["questions"][1] == {"name": "bright", "answers": ["yes", "no"], "parent": "red"}
    assert content["data"]["counts"]["train"]["galaxies"] == 84


@pytest.mark.full
def test_a_campaign_by_name(folder, models, tmp_path):
    """Trained on counts and on fractions in the columns of a published table; several images classified."""
    from galcnn.catalog import vote_schema

    tree = vote_schema("gz2")
    counts = Table.read(folder / "counts.csv")["id", "image"]
    rng = np.random.default_rng(3)
    given = {}
    for question, (_, parent) in zip(tree.questions, tree.groups, strict=True):
        asked = np.full(len(counts), PEOPLE) if parent is None else given[tree.answers[parent]]
        rest = asked
        for answer in question.answers:
            last = answer == question.answers[-1]
            given[answer] = rest if last else rng.binomial(rest, 0.5)
            rest = rest - given[answer]
            counts[f"{answer}_count"] = given[answer]
            counts[f"{answer}_fraction"] = given[answer] / np.maximum(asked, 1)
    counts["image"] = [str(folder / name) for name in counts["image"]]
    counts.write(tmp_path / "gz2.csv")
    small = ["network.widths=4", "network.depth=1", "network.stem=0", "training.label_smoothing=0"]
    words = ["train", "--catalog", str(tmp_path / "gz2.csv"), "--votes", "gz2", "--epochs", "1", "--quiet"]
    words += [word for one in small for word in ("--set", one)]
    tested = []
    for kind in ("counts", "conditional"):
        out = tmp_path / kind
        assert main([*words, "--set", f"data.votes.kind={kind}", "--out", str(out)]) == 0
        assert load_model(out).votes == vote_schema("gz2", kind)
        tested.append(Table.read(out / "test.ecsv"))
    for answer in tree.answers:  # the votes are the same, whatever the columns hold
        one, other = (np.asarray(table[f"true_{answer}"], float) for table in tested)
        np.testing.assert_allclose(np.nan_to_num(one), np.nan_to_num(other), atol=1e-5)
    asked = ["classify", str(tmp_path / "counts"), *(str(folder / f"{i}.png") for i in range(4))]
    assert main([*asked, "--out", str(tmp_path / "f.ecsv"), "--quiet"]) == 0
    table = Table.read(tmp_path / "f.ecsv")
    assert [name for name in table.colnames if name.startswith("f_")] == [f"f_{a}" for a in tree.answers]
    first = [table[f"f_{answer}"] for answer in tree.questions[0].answers]
    np.testing.assert_allclose(np.sum(first, axis=0), 1, atol=1e-6)
