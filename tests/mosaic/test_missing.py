"""Flags, gaps and values of missing data mean in a part of a mosaic what they mean in a whole file."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

from galcnn.catalog import Catalog
from galcnn.files import Companions, load_cutout
from galcnn.mosaic import MosaicFile, cut, open_mosaic
from tests.mosaic import mosaics

SIDE = 32
Y, X = np.indices(mosaics.SHAPE)
SKY = np.random.default_rng(3).normal(0, 1, mosaics.SHAPE).astype(np.float32)


def parts(file):
    """Cut squares that tile the mosaic; yield their corner and cutout, with the notes of the mosaic."""
    corners = [(y, x) for y in range(0, 288, SIDE) for x in range(0, 416, SIDE)]
    middle = np.array(corners) + (SIDE - 1) / 2
    places = WCS(mosaics.header()).pixel_to_world(middle[:, 1], middle[:, 0])
    table = QTable({"id": [f"{y} {x}" for y, x in corners], "ra": places.ra, "dec": places.dec})
    with open_mosaic(file) as mosaic:
        found = {one.row: one.cutout for one in cut(mosaic, Catalog(table), width=SIDE * u.pix)}
    return [(corner, found[row]) for row, corner in enumerate(corners)]


def check(file, whole):
    for (y, x), part in parts(file):
        inside = np.s_[:, y : y + SIDE, x : x + SIDE]
        if part is None:  # nothing was measured
            assert np.isnan(whole.flux[inside]).all()
            continue
        np.testing.assert_array_equal(part.flux, whole.flux[inside])
        np.testing.assert_array_equal(part.mask, whole.mask[inside])
    assert whole.mask.any()
    return part.meta["notes"]


@pytest.mark.parametrize("value", [-999.0, -32768.0, 1e30])
@pytest.mark.parametrize("compressed", [False, True])
def test_missing_data(tmp_path, value, compressed):
    data = np.where(Y + X < 200, np.float32(value), SKY)
    hdu = fits.ImageHDU(data, mosaics.header())
    if compressed:
        hdu = fits.CompImageHDU(data, mosaics.header(), compression_type="GZIP_2", quantize_level=0)
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "m.fits")
    whole = load_cutout(tmp_path / "m.fits")
    np.testing.assert_array_equal(whole.mask[0], Y + X < 200)
    notes = check(tmp_path / "m.fits", whole)
    shown = "beyond 1e+20" if value == 1e30 else f"{value:g}"
    assert notes == [f"values that stand for missing data are masked: {shown}"]


@pytest.mark.parametrize("key", ["BLANK", "NODATA"])
def test_a_value_that_the_header_states(tmp_path, key):
    data = np.where((Y > 100) & (Y < 130) & (X > 200) & (X < 202), np.float32(7), SKY)
    path = mosaics.write_plain(tmp_path / "m.fits", mosaics.header(**{"BLINK": 7}), data)
    path.write_bytes(path.read_bytes().replace(b"BLINK   =", f"{key:8}=".encode()))
    whole = load_cutout(path)
    assert whole.mask.sum() == 29
    check(path, whole)


def test_flags_by_name_and_table(tmp_path):
    flags = np.where(Y > 150, 16, 0) + np.where(X > 300, 2, 0) + np.where(X < 20, 64, 0)
    path = mosaics.write_plain(tmp_path / "m.fits", data=SKY)
    mask = fits.ImageHDU(flags.astype(np.int32), name="MASK")
    mask.header.update({"MSKN0004": "DETECTED", "MSKN0001": "NO_DATA", "MSKN0006": "WOBBLE"})
    mask.writeto(tmp_path / "named.fits")
    columns = [
        fits.Column("BIT", "J", array=[4, 1, 6]),
        fits.Column("NAME", "20A", array=["DETECTED", "NO_DATA", "WOBBLE"]),
    ]
    plain = fits.ImageHDU(flags.astype(np.int32), name="MASK")
    table = fits.BinTableHDU.from_columns(columns, name="MASK_DEF")
    fits.HDUList([fits.PrimaryHDU(), plain, table]).writeto(tmp_path / "table.fits")
    for name in ("named.fits", "table.fits"):
        whole = load_cutout(path, companions=Companions(mask=tmp_path / name))
        np.testing.assert_array_equal(whole.mask[0], X > 300)
        notes = check(MosaicFile(path, mask=tmp_path / name), whole)
        assert notes[-1].endswith("masked: NO_DATA; of unknown meaning, not masked: WOBBLE")


@pytest.mark.parametrize("name", ["m_rms.fits", "m_var.fits"])
def test_pixels_without_noise(tmp_path, name):
    path = mosaics.write_plain(tmp_path / "m.fits", data=SKY)
    noise = np.select([Y < 20, X < 9, X > 400], [0, np.nan, np.inf], 2).astype(np.float32)
    fits.PrimaryHDU(noise).writeto(tmp_path / name)
    whole = load_cutout(path, companions=Companions(sigma=tmp_path / name))
    np.testing.assert_array_equal(whole.mask[0], (Y < 20) | (X < 9) | (X > 400))
    for (y, x), part in parts(MosaicFile(path, sigma=tmp_path / name)):
        np.testing.assert_array_equal(part.mask, whole.mask[:, y : y + SIDE, x : x + SIDE])


@pytest.mark.parametrize(
    ("name", "unit", "value"), [("m_rms.fits", "mJy", 2e-6), ("m_var.fits", "uJy2", 4e-6)]
)
def test_noise_in_another_unit_than_the_image(tmp_path, name, unit, value):
    path = mosaics.write_plain(tmp_path / "m.fits", mosaics.header(BUNIT="nJy"), SKY)
    noise = np.full(mosaics.SHAPE, value, np.float32)
    fits.PrimaryHDU(noise, fits.Header({"BUNIT": unit})).writeto(tmp_path / name)
    whole = load_cutout(path, companions=Companions(sigma=tmp_path / name))
    np.testing.assert_allclose(whole.sigma, 2, rtol=1e-6)
    for _, part in parts(MosaicFile(path, sigma=tmp_path / name)):
        np.testing.assert_allclose(part.sigma, 2, rtol=1e-6)
