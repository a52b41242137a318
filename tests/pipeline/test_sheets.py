"""Contact sheets of tables: which galaxies are on them, in which order, with which words."""

import json

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.catalog import write_table
from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.files import save_cutout
from galcnn.pipeline import table_of, table_sheet
from galcnn.prediction import Prediction
from galcnn.prediction.prediction import shannon_entropy

CLASSES = ("elliptical", "merger", "spiral")
N = 12


def probabilities():
    return np.random.default_rng(4).dirichlet([1, 1, 1], N)


@pytest.fixture
def place(tmp_path):
    """Predictions of twelve galaxies, one without; images whose shade tells which galaxy they show."""
    logits = np.log(probabilities())
    logits[7] = np.nan
    table = Prediction(tuple(f"g{i}" for i in range(N)), logits, CLASSES).to_table()
    table["distance"] = np.random.default_rng(5).uniform(size=N)
    write_table(table, tmp_path / "classes.ecsv")
    (tmp_path / "cutouts").mkdir()
    for i in range(N):
        shade = np.full((8, 8, 3), 10 * (i + 1), dtype=np.uint8)
        Image.fromarray(shade).save(tmp_path / "cutouts" / f"g{i}.png")
    truth = [CLASSES[i % 3] for i in range(N)]
    images = [f"cutouts/g{i}.png" for i in range(N)]
    write_table(Table({"objid": table["id"], "file": images, "kind": truth}), tmp_path / "catalog.csv")
    return tmp_path


def drawn(sheet):
    """Titles and the galaxies that the pictures show, by their shades."""
    panels = [axes for axes in sheet.figure.axes if axes.images]
    shades = [float(np.max(axes.images[0].get_array())) * 255 for axes in panels]
    return [axes.get_title() for axes in panels], [f"g{round(shade / 10) - 1}" for shade in shades]


def by_entropy():
    p = probabilities()
    known = [i for i in range(N) if i != 7]
    return [f"g{i}" for i in sorted(known, key=lambda i: -shannon_entropy(p[[i]])[0])]


def test_the_least_certain_are_drawn_by_one_command(place, capsys):
    words = ["--json", "view", str(place / "classes.ecsv"), "--images", str(place / "cutouts"), "-n", "5"]
    assert main([*words, "--save", str(place / "sheet.png")]) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    assert result == {"ids": by_entropy()[:5], "left_out": {}}
    with Image.open(place / "sheet.png") as picture:
        assert min(picture.size) > 200
    sheet = table_sheet(place / "classes.ecsv", images=place / "cutouts", n=5)
    titles, shown = drawn(sheet)
    assert shown == list(sheet.ids) == by_entropy()[:5]
    p = probabilities()[int(shown[0][1:])]
    assert titles[0] == f"{shown[0]}\n{CLASSES[p.argmax()]} {p.max():.2f}"
    assert sheet.figure.get_suptitle() == "The 5 least certain of 12 galaxies"


def test_every_order_is_that_of_its_numbers(place):
    def ids(**settings):
        return list(table_sheet(place / "classes.ecsv", images=place / "cutouts", **settings).ids)

    assert ids(by="most-certain", n=3) == by_entropy()[::-1][:3]
    assert ids(by="as-in-table", n=4) == ["g0", "g1", "g2", "g3"]
    assert ids(by="as-in-table", n=2, reverse=True) == ["g11", "g10"]
    distance = np.random.default_rng(5).uniform(size=N)
    assert ids(by="distance", n=N) == [f"g{i}" for i in np.argsort(-distance)]
    assert ids(by="distance", n=3, reverse=True) == [f"g{i}" for i in np.argsort(distance)[:3]]
    assert ids(by="entropy", n=20) == by_entropy(), "a galaxy without a number is not in the order"
    one, other = ids(by="random", n=N), ids(by="random", n=N, seed=1)
    assert sorted(one) == sorted(other) == sorted(f"g{i}" for i in range(N))
    assert one == ids(by="random", n=N) != other
    titles, _ = drawn(table_sheet(place / "classes.ecsv", images=place / "cutouts", by="distance"))
    assert titles[0].splitlines()[-1] == f"distance {distance.max():.3g}"


def test_the_worst_mistakes_need_the_true_classes_and_show_them(place):
    columns = {"id": "objid", "image": "file", "class": "kind"}
    sheet = table_sheet(place / "classes.ecsv", catalog=place / "catalog.csv", columns=columns, by="worst")
    p = probabilities()
    wrong = [i for i in range(N) if i != 7 and p[i].argmax() != i % 3]
    assert list(sheet.ids) == [f"g{i}" for i in sorted(wrong, key=lambda i: p[i, i % 3])]
    titles, shown = drawn(sheet)
    assert shown == list(sheet.ids)
    assert titles[0].endswith(f"✗ true: {CLASSES[int(shown[0][1:]) % 3]}")
    with pytest.raises(ValueError, match="--catalog FILE with --label C"):
        table_sheet(place / "classes.ecsv", images=place / "cutouts", by="worst")


def test_images_are_found_by_the_table_the_catalog_or_the_run(place):
    classes = Table.read(place / "classes.ecsv")
    wanted = by_entropy()[:4]
    classes["image"] = [f"cutouts/g{i}.png" for i in range(N)]
    write_table(classes, place / "own.ecsv")
    assert drawn(table_sheet(place / "own.ecsv", n=4))[1] == wanted
    columns = {"id": "objid", "image": "file"}
    by_catalog = table_sheet(place / "classes.ecsv", n=4, catalog=place / "catalog.csv", columns=columns)
    assert drawn(by_catalog)[1] == wanted
    (place / "run").mkdir()
    classes.remove_column("image")
    write_table(classes, place / "run" / "table.parquet")
    (place / "run" / "manifest.json").write_text(json.dumps({"images": str(place / "cutouts")}))
    assert drawn(table_sheet(place / "run", n=4))[1] == wanted
    (place / "run" / "manifest.json").unlink()
    with pytest.raises(ValueError, match="does not say where the images are"):
        table_sheet(place / "run")


def test_a_named_column_of_the_table_is_its_identifier(place):
    table = Table({"id": [1, 2], "objid": ["g3", "g1"]})
    write_table(table, place / "both.ecsv")
    found = table_sheet(place / "both.ecsv", images=place / "cutouts", columns={"id": "objid"})
    assert drawn(found) == (["g3", "g1"], ["g3", "g1"])
    with pytest.raises(ValueError, match="a table with a column 'name'"):
        table_sheet(place / "both.ecsv", images=place / "cutouts", columns={"id": "name"})
    # With a catalog, --id names a column of the catalog.
    columns = {"id": "objid", "image": "file"}
    read = table_sheet(place / "classes.ecsv", n=2, catalog=place / "catalog.csv", columns=columns)
    assert list(read.ids) == by_entropy()[:2]


def test_a_table_may_have_a_column_of_images_per_band(place):
    for band, shade in (("g", 1), ("r", 2)):
        flux = np.full((1, 8, 8), float(shade), dtype=np.float32)
        save_cutout(Cutout(flux, (band,), survey="toy"), place / f"a_{band}.fits")
    write_table(Table({"id": ["a"], "g": ["a_g.fits"], "r": ["a_r.fits"]}), place / "bands.ecsv")
    sheet = table_sheet(place / "bands.ecsv", columns={"image": ("g", "r")})
    assert (sheet.ids, dict(sheet.left_out)) == (("a",), {})
    words = ["view", str(place / "bands.ecsv"), "--image-column", "g,r", "--save", str(place / "a.png")]
    assert main(words) == 0
    assert main(["view", str(place / "bands.ecsv"), "--save", str(place / "b.png")]) == 2


def test_ranked_tables_keep_their_order_and_show_what_they_are_ranked_by(place):
    ranked = Table({"rank": [1, 2], "id": ["g3", "g1"], "score": [0.9, 0.123456]})
    ranked["class"], ranked["p"] = ["spiral", "merger"], [0.5, 0.4]
    write_table(ranked, place / "next.ecsv")
    titles, shown = drawn(table_sheet(place / "next.ecsv", images=place / "cutouts"))
    assert shown == ["g3", "g1"]
    assert titles == ["g3\nspiral 0.50\nscore 0.9", "g1\nmerger 0.40\nscore 0.123"]
    ranked.rename_column("score", "distance")
    ranked.meta["query"] = "g8"
    write_table(ranked, place / "like.ecsv")
    titles, shown = drawn(table_sheet(place / "like.ecsv", images=place / "cutouts"))
    assert shown == ["g8", "g3", "g1"], "the galaxy that they are like comes first"
    assert titles[0] == "g8\nneighbours of this one"
    with pytest.raises(ValueError, match="columns p_<class>"):
        table_sheet(place / "next.ecsv", images=place / "cutouts", by="least-certain")


def test_images_that_cannot_be_read_are_left_out_and_named(place, capsys):
    first, second = by_entropy()[:2]
    (place / "cutouts" / f"{first}.png").write_bytes(b"no picture")
    words = ["view", str(place / "classes.ecsv"), "--images", str(place / "cutouts"), "-n", "2"]
    assert main([*words, "--save", str(place / "a.png")]) == 0
    said = capsys.readouterr()
    assert f"1 galaxies have no readable image, such as {first}" in said.err
    assert f"wrote {place / 'a.png'}: 1 galaxies" in said.out
    (place / "cutouts" / f"{second}.png").unlink()
    assert main([*words, "--save", str(place / "b.png")]) == 2
    assert "None of the 2 galaxies has an image that can be read." in capsys.readouterr().err
    assert not (place / "b.png").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["classes.ecsv"], "--save FILE.png for its pictures"),
        (["classes.ecsv", "--save", "a.png"], "(--images DIR)"),
        (["classes.ecsv", "--save", "a.png", "--images", "cutouts", "--by", "size"], "--by"),
        (["classes.ecsv", "--save", "a.png", "--images", "cutouts", "--by", "class"], "column of numbers"),
        (["classes.ecsv", "--save", "a.png", "--images", "cutouts", "-n", "201"], "1 to 200 galaxies"),
        (["classes.ecsv", "--save", "a.png", "--images", "none"], "Folder not found: none."),
        (["classes.ecsv", "--save", "a.png", "--label", "kind"], "--catalog FILE with --label"),
        (["cutouts/g1.png", "--save", "a.png", "--by", "random"], "a table with --by"),
        (["model", "--save", "a.png"], "galcnn view model/test.ecsv"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_the_remedy(place, words, said, capsys, monkeypatch):
    monkeypatch.chdir(place)
    (place / "model").mkdir()
    (place / "model" / "card.json").write_text("{}")
    assert main(["view", *words]) == 2
    assert said in capsys.readouterr().err
    assert not (place / "a.png").exists()


def test_tables_and_images_are_told_apart(place):
    table = Table({"id": ["g0"], "p_a": [1.0]})
    table.write(place / "classes.fits")
    assert table_of(place / "classes.fits") == place / "classes.fits"
    assert table_of(place / "cutouts") is None
    assert table_of(place / "cutouts" / "g0.png") is None
    from tests.viewers.test_figures import a_cutout

    save_cutout(a_cutout(), place / "image.fits")
    assert table_of(place / "image.fits") is None
    assert main(["view", str(place / "image.fits"), "--save", str(place / "one.png")]) == 0
