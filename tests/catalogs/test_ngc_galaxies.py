"""The shipped tables are what their script makes, and their types are those that others give."""

import csv
import subprocess
import sys
from collections import Counter
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from galcnn.catalog import cross_match, read_catalog

CATALOGS = Path(__file__).resolve().parents[2] / "catalogs"


@pytest.fixture(scope="module")
def ngc():
    return read_catalog(CATALOGS / "ngc_galaxies.ecsv")


@pytest.fixture(scope="module")
def types():
    with open(CATALOGS / "hubble_types.csv", newline="") as handle:
        return {row["hubble"]: row for row in csv.DictReader(handle)}


def test_every_row_is_labelled_by_the_table_of_types(ngc, types):
    assert len(ngc) == 10063
    assert dict(Counter(ngc.labels.tolist())) == {
        "elliptical": 1538,
        "irregular": 171,
        "lenticular": 2686,
        "spiral": 5668,
    }
    for hubble, class_, t_type, bar in ngc.table["hubble", "class", "t_type", "bar"].iterrows():
        row = types[hubble]
        assert (class_, str(t_type)) == (row["class"], row["t_type"])
        assert ("" if bar is np.ma.masked else bar) == row["bar"]
    order = {"elliptical": (-6, -4), "lenticular": (-3, 0), "spiral": (1, 9), "irregular": (10, 11)}
    for row in types.values():
        if row["class"]:
            low, high = order[row["class"]]
            assert low <= int(row["t_type"]) <= high


def test_known_galaxies_are_what_textbooks_say(ngc):
    """Positions to the arcsecond, J2000; the axis of M31 to a tenth of the 190 arcmin of RC3."""
    known = {
        "NGC5194": (SkyCoord("13h29m52.7s", "+47d11m43s"), "spiral"),
        "NGC0224": (SkyCoord("0h42m44.3s", "+41d16m09s"), "spiral"),
        "NGC4486": (SkyCoord("12h30m49.4s", "+12d23m28s"), "elliptical"),
        "NGC3115": (SkyCoord("10h05m14.0s", "-07d43m07s"), "lenticular"),
        "NGC4449": (SkyCoord("12h28m11.1s", "+44d05m37s"), "irregular"),
    }
    rows = {name: row for row, name in enumerate(ngc.ids)}
    for name, (place, class_) in known.items():
        assert ngc.positions[rows[name]].separation(place) < 5 * u.arcsec
        assert ngc.labels[rows[name]] == class_
    assert ngc.table["majax"].unit == u.arcmin
    assert ngc.table["majax"][rows["NGC0224"]].to_value(u.arcmin) == pytest.approx(190, rel=0.1)
    assert ngc.table["redshift"][rows["NGC4486"]] == pytest.approx(0.00428, abs=1e-4)
    assert np.median(ngc.table["majax"].to_value(u.arcsec)) == pytest.approx(69, abs=2)


def test_odd_redshifts_are_there_and_refused_where_one_is_needed(ngc):
    redshift = np.ma.filled(ngc.table["redshift"], np.nan)
    assert redshift[ngc.ids.index("NGC0224")] == -0.001  # M31 comes nearer
    with pytest.raises(ValueError, match=rf"n_without={np.sum(~(redshift > 0))}"):
        _ = ngc.redshifts
    assert ngc.select(redshift > 0).redshifts.min() > 0


def test_the_widths_of_a_fetch_are_its_axes(ngc):
    """What `galcnn fetch --width-column majax --width-factor 1.5` asks for."""
    from galcnn.surveys.requests import widths_of

    widths = widths_of(ngc, "majax", factor=1.5)
    assert np.isfinite(widths).all()
    assert widths[ngc.ids.index("NGC5194")].to_value(u.arcmin) == pytest.approx(1.5 * 13.71, rel=0.01)


def test_a_fetch_of_them_can_be_planned(tmp_path, capsys):
    from galcnn.cli.main import main

    words = [
        "fetch",
        "--catalog",
        str(CATALOGS / "messier_galaxies.ecsv"),
        "--survey",
        "legacysurvey",
        "--bands",
        "grz",
    ]
    words += ["--width-column", "majax", "--width-factor", "1.5", "--out", str(tmp_path / "m"), "--dry-run"]
    assert main(words) == 0
    asked = [line for line in capsys.readouterr().out.splitlines() if line.startswith("NGC5194:")]
    assert len(asked) == 1
    assert "202.46" in asked[0]
    assert "1233.90 arcsec" in asked[0]


def test_messier_galaxies_are_a_part_of_it(ngc):
    bright = read_catalog(CATALOGS / "messier_galaxies.ecsv")
    assert set(bright.ids) <= set(ngc.ids)
    assert {"M31", "M51", "M87", "M104"} <= set(bright.table["messier"])


def test_the_script_makes_these_tables(tmp_path):
    script = CATALOGS / "make_ngc_galaxies.py"
    subprocess.run([sys.executable, script, "--out", tmp_path], check=True, timeout=300)
    for name in ("ngc_galaxies.ecsv", "messier_galaxies.ecsv"):
        assert (tmp_path / name).read_text() == (CATALOGS / name).read_text()


def test_types_agree_with_those_of_efigi(ngc, types, real_data):
    """HyperLeda's types of the EFIGI galaxies (Baillard et al. 2011), matched by PGC number."""
    with open(real_data / "catalogs" / "efigi_types.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    by_pgc = {int(pgc): row for row, pgc in enumerate(ngc.table["pgc"]) if pgc}
    off = []
    for row in rows:
        known = types.get(row["type"])
        if known is not None and known["t_type"] and int(row["pgc"]) in by_pgc:
            off.append(int(ngc.table["t_type"][by_pgc[int(row["pgc"])]]) - int(known["t_type"]))
    off = np.abs(off)
    equal, near = np.mean(off == 0), np.mean(off <= 1)
    print(f"T types of {len(off)} galaxies: {equal:.1%} equal, {near:.1%} within 1")  # noqa: T201
    assert len(off) > 1700
    assert np.mean(off == 0) > 0.93
    assert np.mean(off <= 1) > 0.98


def test_classes_agree_with_those_of_galaxy_zoo(ngc, real_data):
    """Galaxy Zoo 1 knows no lenticulars: of the rest, volunteers see the same."""
    votes = read_catalog(
        real_data / "catalogs" / "gz1_elliptical_spiral_coords.csv", columns={"class": "label"}
    )
    found = cross_match(ngc, votes, radius=5 * u.arcsec)
    pairs = Counter(
        zip(ngc.labels[found.rows].tolist(), votes.labels[found.other_rows].tolist(), strict=True)
    )
    print(f"{len(found)} galaxies: {dict(pairs)}")  # noqa: T201
    labels = sorted({theirs for _, theirs in pairs})
    agree = sum(n for (mine, theirs), n in pairs.items() if theirs == mine)
    apart = sum(n for (mine, theirs), n in pairs.items() if theirs != mine and mine in labels)
    assert agree + apart > 100
    assert agree / (agree + apart) > 0.9
