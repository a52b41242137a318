"""galcnn cut: from mosaics and a table to a folder that galcnn train reads."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from galcnn.catalog import read_catalog, write_catalog
from galcnn.cli.main import main
from galcnn.files import load_cutout
from tests.cli.test_disk_and_kills import full_disk
from tests.mosaic import mosaics


@pytest.fixture
def sky(tmp_path, monkeypatch):
    """Two bands, a mask, and a table with sizes."""
    monkeypatch.chdir(tmp_path)
    for seed, band in enumerate("gr"):
        mosaics.write_plain(tmp_path / f"{band}.fits", mosaics.header(FILTER=band), mosaics.pixels(seed))
    flags = np.zeros(mosaics.SHAPE, np.uint8)
    flags[:, :50] = 1
    fits.PrimaryHDU(flags).writeto(tmp_path / "mask.fits")
    catalog = mosaics.scattered(mosaics.header(), 20).with_column("size", np.linspace(2, 6, 20))
    write_catalog(catalog, tmp_path / "c.csv")
    return catalog


def test_bands_of_two_mosaics(sky, tmp_path, capsys):
    words = ["cut", "g.fits", "r.fits", "--catalog", "c.csv", "--width", "5arcsec", "--mask", "mask.fits"]
    assert main([*words, "--bands", "r,g", "--out", "out", "--quiet"]) == 0
    said = capsys.readouterr().out
    written = read_catalog("out/catalog.ecsv")
    assert f"{len(written)} cut" in said
    assert "bands r,g in nJy" in said
    assert "next: galcnn train --catalog out/catalog.ecsv" in said
    for image in written.table["image"]:
        cutout = load_cutout(image)
        assert (cutout.bands, cutout.shape) == (("r", "g"), (20, 20))  # 0.2535 arcsec a pixel
        x0 = cutout.meta["corner"][1]
        assert cutout.mask[:, :, : max(0, 50 - x0)].all()
    assert main([*words, "--bands", "r,g", "--out", "out", "--quiet"]) == 0
    assert f"{len(written)} stood already" in capsys.readouterr().out


def test_widths_in_pixels_and_by_column(sky, capsys):
    assert main(["cut", "g.fits", "--catalog", "c.csv", "--width", "12px", "--out", "a", "--quiet"]) == 0
    assert load_cutout(read_catalog("a/catalog.ecsv").table["image"][0]).shape == (12, 12)
    sized = sky.with_column("size", np.linspace(2, 6, 20) * 1.0)
    sized.table["size"].unit = "arcsec"
    write_catalog(sized, "sized.ecsv")
    words = ["cut", "g.fits", "--catalog", "sized.ecsv", "--width-column", "size", "--width-factor", "2"]
    assert main([*words, "--out", "b", "--quiet"]) == 0
    written = read_catalog("b/catalog.ecsv")
    sides = [load_cutout(image).shape[0] for image in written.table["image"]]
    words[3] = "c.csv"  # without a unit
    assert main([*words, "--width-unit", "arcsec", "--out", "d", "--quiet"]) == 0
    again = [load_cutout(image).shape[0] for image in read_catalog("d/catalog.ecsv").table["image"]]
    assert again == sides
    wide = written.table["size"].to_value("arcsec") * 2
    assert sides == [round(w / 0.25354) for w in wide]


def test_bad_words_are_one_line(sky, capsys):
    for words, text in (
        (["--width", "3kg"], "expected a positive angle"),
        ([], "Expected --width or --width-column C."),
        (["--width-column", "size"], "Give it: --width-unit arcsec"),
        (["--width", "9px", "--width-factor", "2"], "with --width-column C"),
        (["--width", "9px", "--width-column", "size", "--width-unit", "arcsec"], "--width as an angle"),
        (["--width", "9px", "--mask", "a", "--mask", "b", "--mask", "c"], "once for each of 1 mosaics"),
        (["--width", "9px", "--bands", "z,r"], "bands among ('g',)"),
        (
            ["--width", "9px", "--sigma", "nope.fits"],
            "File not found: nope.fits. It is not the name of an HDU either.",
        ),
    ):
        assert main(["cut", "g.fits", "--catalog", "c.csv", "--out", "no", "--quiet", *words]) == 2
        assert text in capsys.readouterr().err


@pytest.mark.full
@pytest.mark.parametrize("after", [0, 1, 3, 6, 9, 13, 17, 22, 28, 35])
def test_killed_anywhere_it_goes_on(sky, tmp_path, after):
    """What stands after the kill is whole and is kept; nothing is missing in the end."""
    many = mosaics.scattered(mosaics.header(), 40, beyond=-30)
    write_catalog(many, "many.csv")
    words = ["cut", "g.fits", "r.fits", "--catalog", "many.csv", "--width", "32px", "--out", "out", "--quiet"]
    process = subprocess.Popen([sys.executable, "-m", "galcnn.cli.main", *words], stdout=subprocess.DEVNULL)
    out = tmp_path / "out" / "cutouts"
    deadline = time.monotonic() + 60
    while process.poll() is None and len(list(out.glob("[!.]*.fits"))) < after:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    process.wait(timeout=30)
    stood = {file: file.stat().st_mtime_ns for file in out.glob("[!.]*.fits")}
    for file in stood:
        load_cutout(file)
    assert main(words) == 0
    assert all(file.stat().st_mtime_ns == written for file, written in stood.items())
    written = read_catalog("out/catalog.ecsv")
    assert written.ids == many.ids
    for image in written.table["image"]:
        assert load_cutout(image).shape == (32, 32)
    assert not list((tmp_path / "out").rglob("*.partial*"))


def test_a_full_disk_is_one_line(sky, capsys):
    with full_disk():
        words = ["cut", "g.fits", "--catalog", "c.csv", "--width", "64px", "--out", "full", "--quiet"]
        assert main(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("galcnn: ")
    assert len(said.splitlines()) == 1
    assert not list(Path("full").rglob("*.fits"))
