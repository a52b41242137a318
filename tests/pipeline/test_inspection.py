"""`galcnn inspect`: what is fitted on the training set, drawn and listed."""

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.cli.main import main
from galcnn.pipeline import DataView, show_data


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survey")
    assert main(["simulate", "-n", "24", "--size", "32", "--out", str(folder / "sky"), "--quiet"]) == 0
    return folder / "sky"


def test_figures_and_tables_show_the_whitened_training_set(survey, tmp_path, capsys):
    table = Table.read(survey / "catalog.ecsv")
    table["image"] = np.array([str(survey / name) for name in table["image"]], dtype="U300")
    table["split"] = ["train"] * 16 + ["test"] * 8
    table["image"][20] = str(tmp_path / "nowhere.fits")
    table["image"][21] = table["image"][2]
    table.write(tmp_path / "c.ecsv")
    out = tmp_path / "look"
    words = [
        "inspect",
        "--catalog",
        str(tmp_path / "c.ecsv"),
        "--scaling",
        "whiten",
        "--out",
        str(out),
        "--quiet",
    ]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "24 galaxies" in shown
    assert sorted(p.name for p in out.glob("[!.]*")) == [
        "preprocessing.png",
        "statistics.ecsv",
        "suspicious.ecsv",
        "suspicious.png",
    ]
    statistics = Table.read(out / "statistics.ecsv")
    assert statistics.meta["layers"] == ["asinhstretch", "pcawhitening"]
    assert statistics.meta["n_galaxies"] == 16
    after = statistics[statistics["stage"] == "after"]
    assert list(after["plane"]) == ["component 1", "component 2", "component 3"]
    covariance = np.array([after[f"covariance_{i}"] for i in (1, 2, 3)])
    assert covariance == pytest.approx(np.eye(3), abs=1e-3)
    assert np.asarray(after["mean"]) == pytest.approx(np.zeros(3), abs=1e-4)
    before = statistics[statistics["stage"] == "before"]
    assert np.all(np.asarray(before["maximum"]) >= np.asarray(before["percentile_99"]))
    suspicious = Table.read(out / "suspicious.ecsv")
    reasons = {(row["row"], row["reason"]) for row in suspicious}
    assert {(20, "unreadable"), (21, "duplicate")} <= reasons
    assert "nowhere.fits" in suspicious["detail"][0]
    with Image.open(out / "preprocessing.png") as picture:
        assert min(picture.size) > 1000


def test_a_figure_of_an_earlier_look_does_not_stay(survey, tmp_path):
    from galcnn.catalog import read_catalog
    from galcnn.dataset.suspicious import SuspicionLimits

    (tmp_path / "suspicious.png").write_bytes(b"old")
    catalog = read_catalog(survey / "catalog.ecsv")
    never = SuspicionLimits(masked=2, saturated=2, outlier=np.inf, duplicate=2)
    table = show_data(
        catalog, tmp_path, view=DataView(limits=never, stretch="lupton", per="set"), overwrite=True
    )
    assert len(table) == 0
    assert not (tmp_path / "suspicious.png").exists()
    assert Table.read(tmp_path / "statistics.ecsv").meta["n_galaxies"] == 24


def test_a_catalog_without_a_readable_image_is_refused(tmp_path, capsys):
    Table({"image": ["a.fits", "b.fits"]}).write(tmp_path / "c.csv")
    assert main(["inspect", "--catalog", str(tmp_path / "c.csv"), "--out", str(tmp_path / "look")]) == 2
    assert "None of 2 images could be read." in capsys.readouterr().err
    assert not (tmp_path / "look").exists()
