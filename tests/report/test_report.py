"""What a report says equals what the sources say; and nothing in it can run or leave the folder."""

import io
import json
import re
import shutil
from base64 import b64decode

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable, Table
from PIL import Image

from galcnn.catalog import Catalog, Question, Votes, fraction_table, write_catalog
from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.evaluation import worst_mistakes
from galcnn.experiment import read_settings
from galcnn.files import load_cutout, save_cutout
from galcnn.layers import append_stack
from galcnn.prediction import Prediction
from galcnn.prediction.tables import classes_of
from galcnn.report import Known, write_report
from galcnn.report import writing as writing_module
from galcnn.report.objects import ACROSS, SIDE, thumbnail
from galcnn.report.sources import Answers, merge
from galcnn.transforms import display_rgb
from galcnn.viewers.plots.panels import colour_limit, summed
from tests.report.galaxies import (
    CLASSES,
    HOSTILE,
    UNPRINTABLE,
    a_cutout,
    a_stack,
    answers,
    plane_of,
    read_object,
    read_report,
    sky,
    values_of,
    write_answers,
)

#: The last is in no catalog, and has no image.
IDS = (*HOSTILE, *(f"G{i:03d}" for i in range(21)), UNPRINTABLE)
N = len(IDS) - 1


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """Galaxies with hostile names: layers of two, files of the rest but one that is broken."""
    place = tmp_path_factory.mktemp("report")
    table = answers(IDS, failed=(5,))
    write_answers(table, place / "classes.parquet")
    (place / "layers").mkdir()
    for row in (0, 1):
        a_stack(IDS[row], seed=row).write(place / "layers" / f"{row}.fits")
    (place / "images").mkdir()
    files = []
    for row in range(N):
        files.append(str(place / "images" / f"{row}.fits"))
        save_cutout(a_cutout(row, (24 + row, 32)), files[-1])
    (place / "images" / "7.fits").write_bytes(b"no FITS")
    truth = [CLASSES[row % 3] for row in range(N)]
    redshifts = 0.01 * np.arange(N)
    known = QTable({"id": IDS[:N], "morphology": truth, "image": files, "redshift": redshifts})
    write_catalog(Catalog(known), place / "known.ecsv")
    words = [str(place / "classes.parquet"), str(place / "layers"), "--catalog", str(place / "known.ecsv")]
    assert main(["report", *words, "--label", "morphology", "--out", str(place / "out"), "--quiet"]) == 0
    return place, table, [*truth, ""]


def test_every_row_says_what_the_table_says(report):
    place, table, truth = report
    content = read_report(place / "out")
    assert content["n"] == len(IDS)
    assert tuple(values_of(content, "id")) == IDS
    assert values_of(content, "true_class") == truth
    assert values_of(content, "redshift") == [*(0.01 * np.arange(N)).tolist(), None]
    for name in table.colnames[1:]:
        wanted = [None if value != value else value for value in table[name].tolist()]
        assert values_of(content, name) == wanted, name
    assert values_of(content, "p_spiral")[5] is None
    assert values_of(content, "flag")[:6] == [12, 0, 0, 0, 0, 1]
    assert content["classes"] == list(CLASSES)
    kinds = {column["name"]: column["kind"] for column in content["columns"]}
    assert kinds["p_edge-on / disc"] == "probability"
    assert (kinds["entropy"], kinds["flag"], kinds["class"]) == ("number", "flag", "class")
    assert "image" not in kinds


def test_sections_and_confusion_are_those_of_the_table(report):
    place, table, truth = report
    content = read_report(place / "out")
    mistakes, uncertain, unlike = content["sections"]
    wrong = [row for row in range(N) if table["class"][row] not in ("", truth[row])]
    chances = {row: table[f"p_{truth[row]}"][row] for row in wrong}
    assert mistakes["rows"] == sorted(wrong, key=chances.get)[:24]
    assert mistakes["ranking"].startswith(f"{len(wrong)} wrong predictions")
    usable = [row for row in range(len(IDS)) if row != 5]
    assert uncertain["rows"] == sorted(usable, key=lambda row: -table["entropy"][row])[:24]
    assert unlike["rows"] == []
    assert "galcnn calibrate" in unlike["ranking"]
    counts = np.array(content["confusion"])
    assert counts.sum() == N - 1
    assert np.trace(counts) == N - 1 - len(wrong)
    named = (truth[row] == CLASSES[0] and table["class"][row] == CLASSES[2] for row in range(N))
    assert counts[0, 2] == sum(named)


def test_the_most_unlike_are_those_with_the_largest_distance(tmp_path):
    table = answers([f"g{i}" for i in range(40)], failed=(3,))
    table["distance"] = np.random.default_rng(0).normal(5, 1, 40).astype(np.float32)
    table["distance"][[3, 7]] = 99, np.nan  # without an answer; without a distance
    write_report([write_answers(table, tmp_path / "t.parquet")], tmp_path / "out")
    content = read_report(tmp_path / "out")
    unlike = content["sections"][2]
    usable = [row for row in range(40) if row not in (3, 7)]
    assert unlike["rows"] == sorted(usable, key=lambda row: -table["distance"][row])[:24]
    assert values_of(content, "distance")[7] is None
    assert values_of(content, "distance")[0] == table["distance"][0]


def test_whether_the_set_as_a_whole_is_unlike_is_said(tmp_path):
    table = answers([f"g{i}" for i in range(40)], failed=())
    table["distance"] = np.arange(40.0)
    table.meta["set_test"] = "the 40 galaxies as a set are unlike those of the training"
    write_report([write_answers(table, tmp_path / "t.ecsv")], tmp_path / "out")
    unlike = read_report(tmp_path / "out")["sections"][2]
    assert unlike["ranking"].startswith("The 40 galaxies as a set are unlike those of the training. ")
    (tmp_path / "run").mkdir()
    del table.meta["set_test"]
    write_answers(table, tmp_path / "run" / "table.parquet")
    judged = {"set_test": {"text": "the 40 galaxies as a set do not differ"}, "model_sha256": ""}
    (tmp_path / "run" / "manifest.json").write_text(json.dumps(judged))
    write_report([tmp_path / "run"], tmp_path / "of-run")
    content = read_report(tmp_path / "of-run")
    assert content["sections"][2]["ranking"].startswith("The 40 galaxies as a set do not differ. ")
    assert "set_test" not in content["run"]


def test_thumbnails_are_the_rendered_pictures(report):
    place, _, _ = report
    content = read_report(place / "out")
    thumbnails = content["thumbnails"]
    assert (thumbnails["side"], thumbnails["across"]) == (SIDE, ACROSS)
    assert thumbnails["places"][7] == -1
    assert "7.fits" in content["troubles"]["7"]
    assert list(content["troubles"]) == ["7"]
    assert sorted(set(thumbnails["places"])) == list(range(-1, N - 1))
    for row in (2, 8, 27, 28):
        number = thumbnails["places"][row]
        sheet = np.asarray(Image.open(place / "out" / "data" / "thumbnails" / f"{number // 25:04d}.png"))
        y, x = ((number % 25) // 5 * SIDE, number % 5 * SIDE)
        rgb = display_rgb(load_cutout(str(place / "images" / f"{row}.fits")))
        np.testing.assert_array_equal(sheet[y : y + SIDE, x : x + SIDE], thumbnail(rgb))
        png = read_object(place / "out", row)["pictures"][0]["png"].removeprefix("data:image/png;base64,")
        np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(b64decode(png)))), rgb[::-1])


def test_maps_come_back_with_their_limits_and_words(report):
    place, _, _ = report
    stack, content = a_stack(IDS[1], seed=1), read_object(place / "out", 1)
    assert [made["method"] for made in content["maps"]] == ["saliency", "saliency", "cam"]
    assert [made["target"] for made in content["maps"]] == ["spiral", "spiral-elliptical", "spiral"]
    assert content["maps"][0]["unit"] == "logit per nJy"
    assert content["maps"][0]["facts"]["settings"] == "mean = True"
    assert [plane["band"] for plane in content["maps"][0]["planes"]] == ["all bands", "g", "r"]
    assert [plane["band"] for plane in content["maps"][2]["planes"]] == ["all bands"]
    assert content["pictures"][0]["facts"]["file"] == "1.fits"
    assert len(content["pictures"]) == 1
    for made, explanation in zip(content["maps"], stack.explanations, strict=True):
        wanted = [summed(explanation), *explanation.attribution.astype(float)]
        for plane, values in zip(made["planes"], wanted, strict=False):
            found = plane_of(plane, (24, 32))
            np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
            peak = np.nanmax(np.abs(values))
            np.testing.assert_allclose(found, values, atol=peak / 65534 * 1.001)
            assert plane["limit"] == colour_limit(values)
    assert read_report(place / "out")["maps"][:3] == [3, 3, 0]


def test_hostile_names_stay_names(report):
    place, _, _ = report
    for file in (place / "out" / "data").rglob("*.js"):
        text = file.read_bytes()
        assert text.isascii(), file
        assert b"<" not in text, file
    written = {str(path.relative_to(place / "out")) for path in (place / "out").rglob("*")}
    assert all(re.fullmatch(r"[a-z/]*(\d{4,6}\.(js|png)|[a-z]+\.(js|css|html))?", name) for name in written)
    assert not (place.parent / "etc").exists()


def test_nothing_in_a_report_leads_outside_or_makes_html_of_text(report):
    place, _, _ = report
    for file in (place / "out").rglob("*"):
        if file.suffix in (".js", ".css", ".html"):
            text = file.read_text(encoding="utf-8")
            text = text.replace("http://www.w3.org/2000/svg", "")  # a namespace, never fetched
            assert not re.search(r"\b(https?|wss?|ftp):|[\"'(]//|@import", text), file
            assert not re.search(
                r"(inner|outer)HTML|insertAdjacent|document\.write|\beval\b|new Function", text
            )
            assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|sendBeacon", text), file
    index = (place / "out" / "index.html").read_text(encoding="utf-8")
    policy = re.search(r'Content-Security-Policy"\s+content="([^"]*)"', index)[1]
    assert policy.startswith("default-src 'none'; script-src 'self' file:;")
    assert "unsafe" not in policy
    assert not re.search(r"\son\w+=|<script>|style=", index)


def test_more_rows_than_a_browser_sorts_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(writing_module, "MOST_OBJECTS", 3)
    write_answers(answers(["a", "b", "c", "d"]), tmp_path / "t.ecsv")
    with pytest.raises(ValueError, match=r"at most 3 galaxies\. Received: n=4"):
        write_report([tmp_path / "t.ecsv"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_older_report_is_replaced_and_anything_else_is_refused(tmp_path, capsys):
    table = write_answers(answers(["a", "b"]), tmp_path / "t.csv")
    out = tmp_path / "out"
    assert main(["report", str(table), "--out", str(out)]) == 0
    assert "2 of 2 objects have no picture" in capsys.readouterr().err
    assert write_report([table], out, title="again") == {"objects": 2, "pictures": 0, "maps": 0}
    assert read_report(out)["title"] == "again"
    (out / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="that of an older report"):
        write_report([table], out)
    (out / "notes.txt").unlink()
    (out / "index.html").write_text("<h1>mine</h1>")
    with pytest.raises(ValueError, match="that of an older report"):
        write_report([table], out)
    assert main(["report", str(table), "--out", str(tmp_path)]) == 2
    assert (out / "index.html").read_text() == "<h1>mine</h1>"
    assert table.exists()


def test_a_report_that_fails_leaves_the_older_one(tmp_path, monkeypatch):
    table, out = write_answers(answers(["a", "b"]), tmp_path / "t.fits"), tmp_path / "out"
    write_report([table], out, title="old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(writing_module, "_content", full)
    with pytest.raises(OSError, match="No space"):
        write_report([table], out)
    assert read_report(out)["title"] == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "t.fits"]


def test_layers_alone_make_a_report_and_two_models_share_a_file(tmp_path):
    a_stack("M 51", (0.0, 3.0, 1.0)).write(tmp_path / "a.fits")
    append_stack(tmp_path / "a.fits", a_stack("M 51", (5.0, 0.0, 0.0), model="two"))
    shutil.copy(tmp_path / "a.fits", tmp_path / "again.fits")
    assert write_report([tmp_path / "a.fits"], tmp_path / "out")["maps"] == 6
    content, galaxy = read_report(tmp_path / "out"), read_object(tmp_path / "out", 0)
    assert values_of(content, "class") == ["edge-on / disc"]  # what the first of them says
    assert [made["model"] for made in galaxy["maps"]] == ["one"] * 3 + ["two"] * 3
    assert {made["picture"] for made in galaxy["maps"]} == {0}
    assert content["sections"][0]["rows"] == []
    assert "--label" in content["sections"][0]["ranking"]
    assert write_report([tmp_path / "again.fits", tmp_path / "a.fits"], tmp_path / "both")["maps"] == 12


def test_answers_of_different_models_are_refused(tmp_path):
    a_stack("a", model="one").write(tmp_path / "a.fits")
    a_stack("b", model="two").write(tmp_path / "b.fits")
    with pytest.raises(ValueError, match="answers of one model, or of one ensemble"):
        write_report([tmp_path / "a.fits", tmp_path / "b.fits"], tmp_path / "out")
    run = tmp_path / "run"
    run.mkdir()
    write_answers(answers(["a", "b"]), run / "table.parquet")
    (run / "manifest.json").write_text(json.dumps({"model_sha256": ",".join(["one" * 8, "three" * 8])}))
    assert write_report([run, tmp_path / "a.fits"], tmp_path / "out")["maps"] == 3  # of a member
    with pytest.raises(ValueError, match="one ensemble and its members"):
        write_report([run, tmp_path / "b.fits"], tmp_path / "other")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "File not found: "),
        (lambda path: path.mkdir(), "a finished run or training, or with layers files"),
        (lambda path: path.write_text("x"), "a layers file, or a table ending in"),
    ],
)
def test_what_holds_nothing_to_report_is_refused(tmp_path, make, said):
    make(tmp_path / "x")
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        write_report([tmp_path / "x"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_true_classes_of_other_names_are_refused(tmp_path):
    table = write_answers(answers(["a", "b"]), tmp_path / "t.ecsv")
    Table({"id": ["a", "b"], "kind": ["Sc", "E"]}).write(tmp_path / "c.ecsv")
    with pytest.raises(ValueError, match="Give the column that has the model's classes"):
        write_report([table], tmp_path / "out", known=Known(tmp_path / "c.ecsv", label="kind"))


def test_positions_with_a_unit_and_without_are_one_column():
    """A catalog in ECSV has units, the table of a run in Parquet has none."""
    run = Answers("run", Table({"id": ["a", "b"], "ra": [10.0, np.nan]}))
    catalog = Answers("catalog", Table({"id": ["b", "a"], "ra": [20.0, 11.0] * u.deg}))
    for first, second, values in ((run, catalog, (10.0, 20.0)), (catalog, run, (20.0, 11.0))):
        ra = merge([first], second)["ra"]
        assert (ra.values, ra.unit) == (values, "deg")
    hours = Answers("hours", Table({"id": ["a"], "ra": [1.0] * u.hourangle}))
    with pytest.raises(ValueError, match="same kind of column 'ra'"):
        merge([catalog], hours)


def test_images_of_a_folder_are_found_by_name(tmp_path):
    from galcnn.catalog.names import file_stems

    ids = ["NGC 1", "plain", "missing"]
    table = write_answers(answers(ids), tmp_path / "t.ecsv")
    (tmp_path / "images").mkdir()
    save_cutout(a_cutout(1), tmp_path / "images" / f"{file_stems(ids)['NGC 1']}.fits")
    rgb = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "images" / "plain.png")
    write_report([table], tmp_path / "out", known=Known(images=tmp_path / "images"))
    assert read_report(tmp_path / "out")["thumbnails"]["places"] == [0, 1, -1]
    sheet = np.asarray(Image.open(tmp_path / "out" / "data" / "thumbnails" / "0000.png"))
    np.testing.assert_array_equal(sheet[:SIDE, SIDE : 2 * SIDE], rgb)  # a picture of this size, as it is


def test_a_run_is_reported_with_its_maps(trained, tmp_path):
    """The real command: rows of all, among them one without a file; maps in the folder of the run."""
    from galcnn.model import save_model
    from galcnn.pipeline import TABLE
    from tests.conftest import toy_images

    save_model(trained, tmp_path / "model")
    (tmp_path / "new").mkdir()
    for i, image in enumerate(toy_images(3, seed=9)[0]):
        cutout = Cutout(np.moveaxis(image, -1, 0), ("g", "r"), sky((16, 16), scale=0.4))
        save_cutout(cutout, tmp_path / "new" / f"n{i}.fits")
    ids = [f"n{i}" for i in range(4)]
    Table({"id": ids, "ra": np.arange(4.0), "dec": np.zeros(4)}).write(tmp_path / "new.ecsv")
    words = ["--catalog", str(tmp_path / "new.ecsv"), "--images", str(tmp_path / "new"), "--quiet"]
    words += ["--embeddings", "--explain", "saliency", "--out", str(tmp_path / "run")]
    assert main(["classify", str(tmp_path / "model"), *words]) == 0
    counts = write_report([tmp_path / "run", tmp_path / "model"], tmp_path / "out")
    assert counts == {"objects": 4, "pictures": 3, "maps": 3}
    content, table = read_report(tmp_path / "out"), Table.read(tmp_path / "run" / TABLE)
    assert values_of(content, "id") == ids
    assert values_of(content, "entropy") == [*table["entropy"][:3], None]
    assert values_of(content, "ra") == [0, 1, 2, 3]
    assert values_of(content, "reason")[3]
    assert not {"embedding", "_healpix_29", "layers"} & {column["name"] for column in content["columns"]}
    assert content["run"]["rows"] == 4
    assert content["card"]["classes"] == ["round", "thin"]


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "parquet"])
def test_a_column_of_p_values_is_no_class(suffix, tmp_path):
    table = answers([f"g{i}" for i in range(30)])
    table.add_column(
        np.linspace(0, 1, 30), name="p_value", index=2 + len(CLASSES)
    )  # beside the probabilities
    table["p_noise"] = np.linspace(1, 9, 30)
    path = write_answers(table, tmp_path / f"classes.{suffix}")
    write_report([path], tmp_path / "out")
    content = read_report(tmp_path / "out")
    assert content["classes"] == list(CLASSES)
    kinds = {column["name"]: column["kind"] for column in content["columns"]}
    assert {name: kinds[name] for name in ("p_value", "p_noise")} == dict.fromkeys(
        ("p_value", "p_noise"), "number"
    )
    assert {kinds[f"p_{name}"] for name in CLASSES} == {"probability"}
    assert values_of(content, "p_value") == pytest.approx(table["p_value"])


def test_classes_are_told_by_what_is_said_of_columns_or_by_their_sum():
    table = Table({"id": ["x", "y"], "p_q": [0.0, 0.0], "p_a": [0.25, 0.5], "p_b": [0.75, 0.498]})
    table["p_value"] = [0.5, 0.25]
    assert classes_of(table[["id", "p_a", "p_b", "p_value"]]) == ("a", "b")
    assert classes_of(table[["id", "p_a", "p_value", "p_b"]]) == ()
    assert classes_of(table[["id", "p_value"]]) == ()
    table["p_value"].description = "probability of class value"
    assert classes_of(table) == ("value",)
    gaps = Table({"p_a": [np.nan, 1.0], "p_b": [np.nan, 0.0], "p_text": ["u", "v"]})
    assert classes_of(gaps) == ("a", "b")


VOTES = Votes((Question("shape", ("smooth", "disk")), Question("edge", ("yes", "no"), "disk")))
PROBABLE = ["f_smooth", "f_disk", "f_yes", "f_no"]


def of_people(n):
    """Vote fractions, those of people, and numbers whose names begin like theirs."""
    rng = np.random.default_rng(5)
    smooth, yes = rng.uniform(size=(2, n))
    shares = np.stack([smooth, 1 - smooth, (1 - smooth) * yes, (1 - smooth) * (1 - yes)], axis=1)
    table = fraction_table([f"g{i}" for i in range(n)], shares, VOTES)
    table["entropy"] = rng.uniform(size=n)
    table["f_gas"] = np.linspace(0, 1, n)
    table["true_redshift"] = np.linspace(0, 0.1, n)
    return table


def kinds_of(folder):
    return {column["name"]: column["kind"] for column in read_report(folder)["columns"]}


@pytest.mark.parametrize("suffix", ["ecsv", "csv", "parquet"])
def test_numbers_named_as_vote_fractions_are_numbers(suffix, tmp_path):
    table = of_people(12)
    write_report([write_answers(table, tmp_path / f"votes.{suffix}")], tmp_path / "out")
    kinds = kinds_of(tmp_path / "out")
    assert [name for name, kind in kinds.items() if kind == "probability"] == PROBABLE
    assert kinds["f_gas"] == kinds["true_redshift"] == "number"
    assert values_of(read_report(tmp_path / "out"), "true_redshift") == pytest.approx(table["true_redshift"])


def test_the_card_says_what_people_were_asked(trained, tmp_path):
    """No values tell: the columns of people are in other places, and their sums are none."""
    from dataclasses import replace

    card = replace(trained.card, classes=(), class_prior={}, trained_prior={}, votes=VOTES)
    (tmp_path / "model").mkdir()
    card.write(tmp_path / "model" / "card.json")
    table = of_people(12)
    for answer in reversed(VOTES.answers):
        table[f"true_{answer}"] = 0.1
    write_answers(table, tmp_path / "model" / "test.csv")
    Table.read(tmp_path / "model" / "test.csv").write(
        tmp_path / "model" / "test.ecsv"
    )  # without descriptions
    write_report([tmp_path / "model"], tmp_path / "out")
    kinds = kinds_of(tmp_path / "out")
    people = [f"true_{answer}" for answer in reversed(VOTES.answers)]
    assert [name for name, kind in kinds.items() if kind == "probability"] == [*PROBABLE, *people]
    assert kinds["f_gas"] == kinds["true_redshift"] == "number"


def test_the_worst_mistakes_are_those_of_evaluation(tmp_path):
    table = answers([f"g{i}" for i in range(60)], seed=3)
    labels = [CLASSES[i % 3] for i in range(60)]
    shown = table.copy()
    shown.add_column(labels, name="true_class", index=1)
    write_report([write_answers(shown, tmp_path / "classes.ecsv")], tmp_path / "out")
    section = read_report(tmp_path / "out")["sections"][0]
    shares = np.stack([table[f"p_{name}"] for name in CLASSES], axis=1)
    prediction = Prediction(tuple(table["id"]), np.log(shares), CLASSES)
    worst = worst_mistakes(prediction, labels, 60)
    assert len(worst) > 24
    assert section["rows"] == worst[:24].tolist()
    assert section["ranking"].startswith(f"{len(worst)} wrong predictions")


def test_an_epoch_without_a_loss_is_a_gap(trained, tmp_path):
    from galcnn.model import save_model

    save_model(trained, tmp_path / "model")
    write_answers(answers(["a", "b"]), tmp_path / "model" / "test.ecsv")
    rows = "epoch,loss,val_loss\n1,1.5,nan\n2,nan,0.5\n3,0.25,inf\n4,,0.125\n"
    (tmp_path / "model" / "history.csv").write_text(rows)
    write_report([tmp_path / "model"], tmp_path / "out")
    history = read_report(tmp_path / "out")["history"]
    assert history["loss"] == [1.5, None, 0.25, None]
    assert history["val_loss"] == [None, 0.5, None, 0.125]


def test_the_page_says_that_the_catalog_of_the_training_is_gone(trained, tmp_path):
    from dataclasses import replace

    from galcnn.model import save_model

    told = replace(trained.card, settings={"data": {"catalog": str(tmp_path / "gone.ecsv")}})
    save_model(replace(trained, card=told), tmp_path / "model")
    write_answers(answers(["a", "b"]), tmp_path / "model" / "test.ecsv")
    assert write_report([tmp_path / "model"], tmp_path / "out")["pictures"] == 0
    troubles = read_report(tmp_path / "out")["troubles"]
    assert set(troubles) == {"0", "1"}
    assert all("the catalog that the model was trained on" in text for text in troubles.values())
    assert all("gone.ecsv" in text for text in troubles.values())
    QTable({"id": ["a", "b"]}).write(tmp_path / "gone.ecsv")
    write_report([tmp_path / "model"], tmp_path / "out")
    assert "a catalog with images" in read_report(tmp_path / "out")["troubles"]["1"]


@pytest.mark.full
def test_a_training_is_reported_with_its_images(toy_experiment, tmp_path):
    from galcnn.experiment import Experiment, train

    train(Experiment.from_dict(read_settings(toy_experiment)), tmp_path / "model")
    assert main(["report", str(tmp_path / "model"), "--out", str(tmp_path / "out"), "--quiet"]) == 0
    content, test = read_report(tmp_path / "out"), Table.read(tmp_path / "model" / "test.ecsv")
    assert values_of(content, "id") == list(test["id"])
    assert values_of(content, "true_class") == list(test["true_class"])
    assert content["thumbnails"]["places"] == list(range(len(test)))  # by the catalog of the training
    assert content["card"]["metrics"]["n_test"] == len(test)
    assert len(content["history"]["loss"]) == 2
    counts = np.array(content["confusion"])
    right = np.mean(test["class"] == test["true_class"])
    assert np.trace(counts) / counts.sum() == pytest.approx(right)
