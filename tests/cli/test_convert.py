"""galcnn convert and galcnn info: what files became, from the command line."""

import numpy as np
import pytest

from galcnn.cli.main import main
from galcnn.files import load_cutout


def test_bands_of_two_surveys_become_one_cutout(real_data, tmp_path, capsys):
    files = [
        str(real_data / name)
        for name in ("fits/hostphot/DES_g.fits", "services/panstarrs_fitscut/PS1_r.fits")
    ]
    out = tmp_path / "galaxy.fits"
    words = [
        "--grid",
        "g",
        "--remove-sky",
        "--extinction",
        "0.03",
        "--width",
        "40arcsec",
        "--redshift",
        "0.02",
    ]
    assert main(["convert", *files, *words, "--out", str(out)]) == 0
    cutout = load_cutout(out)
    assert (cutout.bands, cutout.shape, cutout.redshift) == (("g", "r"), (152, 152), 0.02)
    shown = capsys.readouterr().out
    for line in (
        "calibration   DES coadd, MAGZERO = 30 AB; FPA.ZP = 25 + 2.5 log10(EXPTIME = 720)",
        "WCS           RA---TAN/DEC--TAN, y axis 0.0 deg from north to east, mirrored",
        "steps of g    remove_sky, correct_extinction",
        "steps of r    remove_sky, correct_extinction, align",
        "note          sigma left out: not known for all bands",
        "redshift      0.02",
    ):
        assert line in shown.splitlines()


def test_companions_and_zero_point(real_data, tmp_path, capsys):
    folder = real_data / "fits/sdss_gadotti/Plate0721_MJD52228_Fiber011_r"
    out = tmp_path / "a.fits"
    words = [w for kind in ("mask", "sigma", "psf") for w in (f"--{kind}", str(folder / f"{kind}.fits"))]
    assert main(["convert", str(folder / "image.fits"), *words, "--out", str(out)]) == 0
    cutout = load_cutout(out)
    assert cutout.sigma is not None
    assert cutout.psf is not None
    assert cutout.masked_fraction > 0.01
    assert f"sigma         yes ({folder / 'sigma.fits'})" in capsys.readouterr().out
    raw = real_data / "fits/decam_interacting/132_rband.fits"
    assert (
        main(["convert", str(raw), "--bands", "r", "--zero-point", "25", "--out", str(out), "--overwrite"])
        == 0
    )
    assert load_cutout(out).calibrated


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--position", "27.952,0.2635"], "the galaxy inside of the image"),
        (["--position", "27"], "RA,DEC in degrees"),
        (["--system", "SDSS"], "--extinction MAG"),
        (["--grid", "r", "--mask", "m.fits"], "convert each file first"),
        (["--zero-point", "25"], "an image of counts"),
        (["--grid", "z"], "a reference band among"),
    ],
)
def test_bad_words_are_said_in_one_line_and_nothing_is_written(real_data, tmp_path, capsys, words, said):
    out = tmp_path / "a.fits"
    path = str(real_data / "fits/hostphot/SDSS_r.fits")
    assert main(["convert", path, *words, "--out", str(out)]) == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_cutout_is_not_written_under_the_name_of_another_format(real_data, tmp_path, capsys):
    path = str(real_data / "fits/hostphot/SDSS_r.fits")
    for name in ("a.csv", "a.fits.gz", "a"):
        assert main(["convert", path, "--out", str(tmp_path / name)]) == 2
        assert "a name ending in .fits" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        (
            "fits/hostphot/SDSS_r.fits",
            ["   BUNIT = nanomaggy", "y axis 90.0 deg", "as on the sky"],
        ),
        ("fits/hostphot/DES_r.fits", ["mirrored", "sigma         yes (HDU WGT (inverse variance))"]),
        (
            "services/hips2fits/2010ag__2MASS__2MASS_H.fits",
            ["uncalibrated (not a flux)", "note  "],
        ),
        ("fits/m51/M51.fits", ["pixel scale   no WCS", "calibration   none: no BUNIT"]),
        ("services/legacysurvey_jpeg_cutout/Legacy_cuts__L132.jpg", ["unit          display (not a flux)"]),
    ],
)
def test_info_says_what_a_file_is(real_data, capsys, name, lines):
    assert main(["info", str(real_data / name)]) == 0
    shown = capsys.readouterr().out
    assert all(line in shown for line in lines)


def test_files_of_one_galaxy_are_one_galaxy(real_data):
    from galcnn.cli.options import paths_by_id

    files = tuple(real_data / f"fits/hostphot/DES_{band}.fits" for band in "gr")
    assert paths_by_id(list(map(str, files)), one_galaxy=True) == {"DES_g": files}
    assert paths_by_id(map(str, files)) == {"DES_g": files[:1], "DES_r": files[1:]}
    assert np.isfinite(load_cutout(files).flux).all()


def test_two_files_of_one_galaxy_are_classified_and_explained(trained, tmp_path, capsys):
    """Bands on grids of their own; the layers say which files they are of."""
    import hashlib

    from astropy.io import fits
    from astropy.table import Table
    from astropy.wcs import WCS

    from galcnn.layers import LayerStack
    from galcnn.model import save_model

    save_model(trained, tmp_path / "model")
    rng = np.random.default_rng(4)
    for band, arcsec, size in (("g", 0.4, 24), ("r", 0.25, 40)):
        wcs = WCS(naxis=2)
        wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, 2.0]
        wcs.wcs.crpix, wcs.wcs.cdelt = [(size + 1) / 2] * 2, [-arcsec / 3600, arcsec / 3600]
        header = wcs.to_header() + fits.Header({"FILTER": band, "BUNIT": "nJy"})
        image = rng.normal(0, 3, (size, size)).astype("float32")
        fits.PrimaryHDU(image, header).writeto(tmp_path / f"gal_{band}.fits")
    galaxy = [f"{tmp_path}/gal_g.fits", f"{tmp_path}/gal_r.fits", "--one-galaxy"]
    words = ["--grid", "g", "--fit"]
    assert (
        main(["classify", str(tmp_path / "model"), *galaxy, *words, "--out", str(tmp_path / "c.ecsv")]) == 0
    )
    row = Table.read(tmp_path / "c.ecsv")[0]
    assert (row["id"], row["flag"], row["class"] in ("round", "thin")) == ("gal_g", 0, True)
    stack = str(tmp_path / "l.fits")
    assert (
        main(["explain", str(tmp_path / "model"), *galaxy, *words, "--method", "saliency", "--out", stack])
        == 0
    )
    provenance = LayerStack.read(stack).provenance
    assert provenance["input"] == "gal_g.fits,gal_r.fits"
    digests = [hashlib.sha256((tmp_path / f"gal_{b}.fits").read_bytes()).hexdigest() for b in "gr"]
    assert provenance["input_sha256"] == ",".join(digests)
    # Without a grid the files are refused, in the row of this galaxy.
    assert main(["classify", str(tmp_path / "model"), *galaxy, "--out", str(tmp_path / "d.ecsv")]) == 2
    assert "bands of one shape" in capsys.readouterr().err
