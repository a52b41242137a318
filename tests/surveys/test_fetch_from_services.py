"""galcnn fetch from the local services: what is covered is fetched, by value, with its origin."""

import json

import numpy as np
import pytest
from astropy.table import Table

from galcnn.cli.main import main
from galcnn.files import load_cutout
from tests.surveys import servers
from tests.transforms.test_extinction import slope, write_map


@pytest.fixture
def table(legacy_material, tmp_path):
    m = legacy_material.middle.icrs
    rows = Table({"id": ["NGC 1", "../2"], "ra": [m.ra.deg, m.ra.deg], "dec": [m.dec.deg, m.dec.deg + 3]})
    rows.write(tmp_path / "galaxies.ecsv")
    return str(tmp_path / "galaxies.ecsv")


def words(table, server, out, *more):
    asked = [
        "fetch",
        "--catalog",
        table,
        "--survey",
        "legacysurvey",
        "--server",
        server.url,
        "--survey-option",
        "layer=ls-dr9",
    ]
    return [*asked, "--bands", "gr", "--width", "17arcsec", "--out", str(out), "--quiet", *more]


def test_what_is_covered_is_fetched(table, legacy_server, legacy_material, tmp_path, capsys):
    none = ["--cache-size", "0"]
    assert main(words(table, legacy_server, tmp_path / "out", *none, "--dry-run")) == 0
    planned = [line.strip() for line in capsys.readouterr().out.splitlines() if "http" in line]
    assert len(planned) == 4  # image and PSF of two galaxies
    assert legacy_server.requests == []
    assert main(words(table, legacy_server, tmp_path / "out", *none)) == 0
    (path,) = (tmp_path / "out/cutouts").glob("*.fits")
    cutout = load_cutout(path)
    assert [one["url"] for one in cutout.meta["requests"]] == planned[:2]
    part = legacy_material.image[:2, 96:161, 96:161]
    good = ~cutout.mask
    np.testing.assert_allclose(cutout.flux[good], 3631 * part[good], rtol=1e-6)
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert "position in the layer" in json.dumps(report)


def test_what_failed_is_fetched_when_the_service_is_back(table, legacy_server, tmp_path):
    none = ["--cache-size", "0"]
    with legacy_server.failing(servers.web_page_200):
        assert main(words(table, legacy_server, tmp_path / "out", *none)) == 3
    assert list((tmp_path / "out/cutouts").glob("*")) == []
    assert main(words(table, legacy_server, tmp_path / "out", *none)) == 0
    assert len(list((tmp_path / "out/cutouts").glob("*.fits"))) == 1


def test_extinction_is_undone_by_a_dust_map(table, legacy_server, legacy_material, tmp_path):
    none = ["--cache-size", "0"]
    dust = write_map(tmp_path / "map.fits")
    found = {}
    for name, more in (("seen", []), ("free", ["--dust-map", str(dust)])):
        assert main(words(table, legacy_server, tmp_path / name, *none, *more)) == 0
        (path,) = (tmp_path / name / "cutouts").glob("*.fits")
        found[name] = load_cutout(path)
    ebv = float(slope(legacy_material.middle, "G"))
    for band, coefficient in (("g", 3.237), ("r", 2.176)):  # Schlafly & Finkbeiner 2011, Table 6, DES
        i = found["free"].bands.index(band)
        ratio = np.nanmedian(found["free"].flux[i] / found["seen"].flux[i])
        assert ratio == pytest.approx(10 ** (0.4 * coefficient * ebv), rel=1e-3)
    both = ["--extinction-column", "id", "--dust-map", str(dust)]
    assert main(words(table, legacy_server, tmp_path / "x", *both)) == 2
