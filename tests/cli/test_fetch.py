"""galcnn fetch: from a catalog to a folder that train and classify read."""

import json
import signal
import subprocess
import sys
import time

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import QTable

from galcnn.catalog import read_catalog, write_table
from galcnn.cli.main import main
from galcnn.files import load_cutout
from galcnn.model import load_model
from galcnn.prediction import OUTSIDE
from galcnn.surveys import SimulatedSurvey
from galcnn.uncertainty import UncertaintyRecord
from tests.cli.test_disk_and_kills import full_disk
from tests.surveys.servers import Server, hang
from tests.surveys.services import Legacy, legacy_material


@pytest.fixture
def words(tmp_path):
    """A catalog of 12 galaxies and one that is nowhere near; the words that fetch them."""
    catalog = SimulatedSurvey(n_galaxies=12).catalog
    table = catalog.table.copy()
    table["id"][3] = "../NGC 3/4"
    table["ra"][5] = table["ra"][5] + 90 * table["ra"].unit
    table["majax"] = np.linspace(0.1, 0.2, 12)
    write_table(table, tmp_path / "in.ecsv")
    said = [
        "fetch",
        "--catalog",
        str(tmp_path / "in.ecsv"),
        "--survey",
        "simulated",
        "--survey-option",
        "n_galaxies=12",
        "--quiet",
    ]
    return [*said, "--cache", str(tmp_path / "cache"), "--out", str(tmp_path / "out")]


def test_it_fetches_reports_and_goes_on(words, tmp_path, capsys):
    assert main([*words, "--bands", "gr", "--width", "12arcsec"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == "11 fetched, 1 not covered"
    assert "sim1-000005" in shown[1]
    assert "not covered  Expected a position within" in shown[1]
    read = read_catalog(tmp_path / "out" / "catalog.ecsv")
    assert len(read) == 11
    assert read.ids[3] == "../NGC 3/4"
    assert set(read.labels) <= set(SimulatedSurvey(n_galaxies=12).catalog.classes)
    cutout = load_cutout(read.table["image"][3])
    assert (cutout.bands, cutout.shape) == (("g", "r"), (30, 30))
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["counts"]["not covered"] == 1
    assert [row["id"] for row in report["missing"]] == ["sim1-000005"]
    assert main([*words, "--bands", "gr", "--width", "12arcsec"]) == 0
    assert "11 of the fetched stood already" in capsys.readouterr().out


def test_widths_come_from_a_column_whose_unit_is_said(words, tmp_path, capsys):
    column = ["--width-column", "majax", "--width-factor", "1.5"]
    assert main([*words, *column]) == 2
    assert "--width-unit" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert main([*words, *column, "--width-unit", "arcmin"]) == 0
    first, last = (
        load_cutout(read_catalog(tmp_path / "out/catalog.ecsv").table["image"][i]) for i in (0, -1)
    )
    # 0.1 and 0.2 arcmin times 1.5 in pixels of 0.4 arcsec.
    assert first.shape == (22, 22)
    assert last.shape == (45, 45)


def test_a_dry_run_prints_the_requests_and_writes_nothing(words, tmp_path, capsys):
    assert main([*words, "--bands", "r", "--width", "12arcsec", "--dry-run"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 12
    assert shown[3].startswith("../NGC 3/4: simulated ")
    assert shown[3].endswith(" 12.00 arcsec r")
    assert {path.name for path in tmp_path.iterdir()} == {"in.ecsv"}


def test_a_large_fetch_says_its_size_before_it_starts_and_what_is_left_is_counted(words, capsys, monkeypatch):
    """12 images of 400 x 400 pixels in two bands of 8 bytes a pixel."""
    monkeypatch.setattr("galcnn.cli.options.MANY", 12)
    words += ["--bands", "gr", "--width", "160arcsec"]
    assert main(words) == 0
    assert capsys.readouterr().err == "12 cutouts are fetched from simulated, about 31 MB on disk.\n"
    assert main(words) == 0
    assert capsys.readouterr().err == ""


def test_failures_have_an_exit_code_of_their_own(words, tmp_path, capsys):
    """Rows without a width cannot be fetched; the others are."""
    table = read_catalog(tmp_path / "in.ecsv").table
    table["majax"][[1, 2]] = np.nan
    write_table(table, tmp_path / "in.ecsv")
    column = ["--width-column", "majax", "--width-unit", "arcmin", "--bands", "r"]
    assert main([*words, *column]) == 3
    shown = capsys.readouterr().out
    assert shown.startswith("9 fetched, 1 not covered, 2 failed\n")
    assert main([*words, *column, "--width", "9arcsec"]) == 0  # of those where the column says none


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ([], "--width or --width-column"),
        (["--width", "12"], "positive angle"),
        (["--width", "12arcsec", "--bands", "u"], "bands among"),
        (["--width", "12arcsec", "--survey-option", "sed=1"], "an option of the survey 'simulated': seed"),
        (["--width", "12arcsec", "--server", "http://x"], "uses no server"),
        (["--width", "12arcsec", "--ra", "nowhere"], "a column 'nowhere'"),
        (["--width-column", "majax", "--width-unit", "furlong"], "furlong"),
        (["--width", "12arcsec", "--width-unit", "arcmin"], "with --width-column C"),
        (["--width", "12arcsec", "--width-factor", "2"], "with --width-column C"),
        (["--width", "12arcsec", "--system", "SDSS"], "with --system"),
        (["--width", "12arcsec", "--cache-size", "-1"], "--cache-size"),
        (["--width", "12arcsec", "--extinction-column", "majax"], "a photometric system among"),
    ],
)
def test_what_cannot_be_is_one_line_and_exit_code_2(more, said, words, tmp_path, capsys):
    assert main([*words, *more]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
    assert not (tmp_path / "out").exists()


def test_an_unknown_survey_is_named_with_those_there_are(words, capsys):
    words[words.index("simulated")] = "simulatd"
    assert main([*words, "--width", "12arcsec"]) == 2
    assert "Did you mean 'simulated'" in capsys.readouterr().err


def test_a_full_disk_ends_the_run_in_one_line_and_the_next_goes_on(words, tmp_path, capsys):
    words += ["--bands", "r", "--width", "12arcsec"]
    with full_disk():
        assert main([*words, "--cache-size", "0"]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("galcnn: ")
    assert "Traceback" not in said
    assert list((tmp_path / "out").glob("cutouts/*")) == []
    assert main(words) == 0
    assert len(list((tmp_path / "out").glob("cutouts/*"))) == 11


def test_a_survey_is_pointed_at_another_server_and_says_what_it_would_ask(tmp_path, capsys):
    material = legacy_material(None)
    places = SkyCoord([material.middle, material.middle.directional_offset_by(0 * u.deg, 5 * u.deg)])
    table = QTable({"id": ["here", "nowhere"], "ra": places.ra, "dec": places.dec})
    write_table(table, tmp_path / "in.ecsv")
    said = [
        "fetch",
        "--catalog",
        str(tmp_path / "in.ecsv"),
        "--survey",
        "legacysurvey",
        "--survey-option",
        "layer=ls-dr9",
    ]
    said += ["--bands", "gr", "--width", "10arcsec", "--cache-size", "0", "--quiet"]
    with Server(Legacy(material)) as server:
        words = [*said, "--server", server.url, "--out", str(tmp_path / "out")]
        assert main([*words, "--dry-run"]) == 0
        lines = capsys.readouterr().out.splitlines()
        asked = [line for line in lines if line.startswith(f"  {server.url}/fits-cutout?")]
        assert len(asked) == 2
        assert all("layer=ls-dr9" in line and "bands=gr" in line for line in asked)
        assert server.requests == []
        assert main(words) == 0
    assert capsys.readouterr().out.startswith("1 fetched, 1 not covered\n")
    cutout = load_cutout(tmp_path / "out" / "cutouts" / "here.fits")
    assert (cutout.bands, str(cutout.unit)) == (("g", "r"), "nJy")
    assert len(cutout.meta["requests"]) == 2


def test_what_was_fetched_trains_a_network_and_is_classified(tmp_path, capsys):
    catalog = SimulatedSurvey(n_galaxies=60).catalog
    two = catalog.select(np.flatnonzero(np.isin(catalog.labels, ["elliptical", "merger"])))
    write_table(two.table, tmp_path / "in.csv")
    words = [
        "fetch",
        "--catalog",
        str(tmp_path / "in.csv"),
        "--survey",
        "simulated",
        "--survey-option",
        "n_galaxies=60",
    ]
    words += ["--bands", "r", "--width", "9.6arcsec", "--cache-size", "0", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "out")]) == 0
    made = str(tmp_path / "out" / "catalog.ecsv")
    training = [
        "train",
        "--catalog",
        made,
        "--epochs",
        "1",
        "--set",
        "network.widths=4",
        "--batch-size",
        "8",
        "--quiet",
    ]
    assert main([*training, "--out", str(tmp_path / "model")]) == 0
    classes = tmp_path / "classes.ecsv"
    words = ["classify", str(tmp_path / "model"), "--catalog", made, "--out", str(classes), "--quiet"]
    assert main(words) == 0
    table = QTable.read(classes)
    assert list(table["id"]) == two.ids
    assert set(table["class"]) <= {"elliptical", "merger"}
    # Every image is usable; a few may be unlike the 12 training galaxies, as the training has measured.
    trained = load_model(tmp_path / "model")
    limit = UncertaintyRecord.read(trained.folder, trained.card.model_sha256).out_of_distribution.limit
    np.testing.assert_array_equal(table["flag"], np.where(table["distance"] > limit, OUTSIDE, 0))


def test_ctrl_c_ends_the_command_at_once_and_the_next_goes_on(tmp_path, ctrl_c):
    """The service hangs: nobody waits for it."""
    material = legacy_material(None)
    table = QTable({"id": ["a", "b"], "ra": [material.middle.ra.deg] * 2 * u.deg})
    table["dec"] = [material.middle.dec.deg] * 2 * u.deg
    write_table(table, tmp_path / "in.ecsv")
    words = [
        "fetch",
        "--catalog",
        str(tmp_path / "in.ecsv"),
        "--survey",
        "legacysurvey",
        "--survey-option",
        "layer=ls-dr9",
    ]
    words += [
        "--survey-option",
        "psf=false",
        "--bands",
        "gr",
        "--width",
        "10arcsec",
        "--cache-size",
        "0",
        "--quiet",
    ]
    words += ["--out", str(tmp_path / "out")]
    with Server(Legacy(material)) as server:
        words += ["--server", server.url]
        with server.failing(hang):
            process = subprocess.Popen(
                [sys.executable, "-m", "galcnn.cli.main", *words], stderr=subprocess.PIPE, text=True
            )
            deadline = time.monotonic() + 60
            while not server.requests:
                assert time.monotonic() < deadline
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=30)[1]
        assert process.returncode == 130
        out = tmp_path / "out"
        assert said == f"galcnn: Interrupted. The same command continues; {out} holds what is finished.\n"
        assert json.loads((tmp_path / "out" / "report.json").read_text())["counts"]["not tried"] == 2
        assert main(words) == 0
    assert len(read_catalog(tmp_path / "out" / "catalog.ecsv")) == 2
