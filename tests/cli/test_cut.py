"""galcnn cut: from mosaics and a table to a folder that galcnn train reads."""

import numpy as np
import pytest
from astropy.io import fits

from galcnn.catalog import read_catalog, write_catalog
from galcnn.cli.main import main
from galcnn.files import load_cutout
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
    wide = written.table["size"].to_value("arcsec") * 2
    assert sides == [round(w / 0.25354) for w in wide]


def test_bad_words_are_one_line(sky, capsys):
    for words, text in (
        (["--width", "3kg"], "expected a positive angle"),
        ([], "Expected --width WIDTH or --width-column C."),
        (["--width", "9px", "--mask", "a", "--mask", "b", "--mask", "c"], "once for each of 1 mosaics"),
        (["--width", "9px", "--bands", "z"], "bands among ('g',)"),
        (["--width", "9px", "--sigma", "nope.fits"], "an existing file, or the name of an HDU"),
    ):
        assert main(["cut", "g.fits", "--catalog", "c.csv", "--out", "no", "--quiet", *words]) == 2
        assert text in capsys.readouterr().err
