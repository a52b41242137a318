"""Axes of FITS images: rows, columns and bands, wherever they are in the array; or a refusal."""

import io

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.errors import UnreadableImageError
from galcnn.files import load_cutout
from galcnn.mosaic import open_mosaic

BANDS = ("g", "r", "i", "z")
CUBE = np.arange(4 * 12 * 14, dtype=np.float32).reshape(4, 12, 14)
SKY = {"RA---TAN": (150.0, -1e-4, 7.5), "DEC--TAN": (2.0, 1e-4, 6.5)}


def written(path, data, ctypes=(), kind=fits.PrimaryHDU, **cards):
    """Write an array; `ctypes` are those of FITS axes 1, 2 ..."""
    header = fits.Header({"BUNIT": "nJy"})
    for i, ctype in enumerate(ctypes, 1):
        value, step, pixel = SKY.get(ctype, (1.0, 1.0, 1.0))
        header.update({f"CTYPE{i}": ctype, f"CRVAL{i}": value, f"CDELT{i}": step, f"CRPIX{i}": pixel})
    header.update(cards)
    if kind is fits.CompImageHDU:
        hdu = kind(data, header, compression_type="GZIP_2", quantize_level=0)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path)
    else:
        kind(data, header).writeto(path)
    return path


RADEC = ("RA---TAN", "DEC--TAN")


@pytest.mark.parametrize(
    ("data", "ctypes", "cards", "n", "noted"),
    [
        (CUBE[:3], (), {}, 3, ""),
        (CUBE[:3], RADEC, {}, 3, ""),
        # Colours last, as numpy.stack(planes, axis=-1) is written.
        (np.moveaxis(CUBE[:3], 0, -1), (), {}, 3, "NAXIS1 = 3 is taken for bands"),
        (np.moveaxis(CUBE, 0, -1), (), {}, 4, "NAXIS1 = 4 is taken for bands"),
        (np.moveaxis(CUBE[:2], 0, -1), (), {}, 2, "NAXIS1 = 2 is taken for bands"),
        (np.moveaxis(CUBE[:3], 0, -1), ("RGB", *RADEC), {}, 3, ""),
        (np.moveaxis(CUBE[:3], 0, -1)[np.newaxis], (), {}, 3, "colours last"),
        # Axes of one pixel, wherever they are.
        (CUBE[:1, np.newaxis], (*RADEC, "FREQ", "STOKES"), {}, 1, ""),
        (CUBE[0][np.newaxis, :, :, np.newaxis], ("STOKES", *RADEC, "VRAD"), {}, 1, ""),
        (CUBE[0][..., np.newaxis], ("FREQ", *RADEC), {}, 1, ""),
        (CUBE[0][..., np.newaxis], (), {}, 1, "axes of one pixel are left out"),
        (CUBE[0][:, np.newaxis], ("RA---TAN", "WAVE", "DEC--TAN"), {}, 1, ""),
        (CUBE[0][:, np.newaxis], (), {}, 1, "axes of one pixel are left out"),
        (CUBE[:3][:, np.newaxis], (*RADEC, "STOKES", "BAND"), {}, 3, ""),
        # A spectral axis whose planes the header names as bands.
        (CUBE, (*RADEC, "WAVE"), {"BANDS": "griz"}, 4, ""),
    ],
)
@pytest.mark.parametrize("kind", [fits.PrimaryHDU, fits.CompImageHDU])
def test_planes_come_first(tmp_path, data, ctypes, cards, n, noted, kind):
    path = written(tmp_path / "a.fits", data, ctypes, kind, **cards)
    cutout = load_cutout(path, bands=BANDS[:n])
    np.testing.assert_array_equal(cutout.flux, CUBE[:n])
    assert noted in " ".join(cutout.meta.get("notes", []))
    assert bool(noted) == ("notes" in cutout.meta)
    assert (cutout.wcs is not None) == any(name in RADEC for name in ctypes)
    if cutout.wcs is None:
        return
    plain = WCS(fits.getheader(written(tmp_path / "plain.fits", CUBE[0], RADEC)))
    assert cutout.wcs.pixel_to_world(2, 9).separation(plain.pixel_to_world(2, 9)).arcsec < 1e-9
    with open_mosaic(path, bands=BANDS[:n]) as mosaic:
        assert (mosaic.bands, mosaic.shape) == (BANDS[:n], (12, 14))
        for plane, layer in zip(CUBE, mosaic.layers, strict=False):
            np.testing.assert_array_equal(layer.read((3, 8, 2, 13)), plane[3:8, 2:13])


WIDE = np.ones((30, 20, 21), np.float32)


@pytest.mark.parametrize(
    ("data", "ctypes", "said"),
    [
        (np.moveaxis(CUBE[:3], 0, -1), RADEC, "on the sky by its CTYPE, and colours by its length"),
        (WIDE[..., :5], (), "not 30 planes only 5 pixels wide"),
        (WIDE[:, :3], (), "not 30 planes only 3 pixels wide"),
        (WIDE, (*RADEC, "FREQ"), "not a spectral axis"),
        (WIDE, (*RADEC, "VOPT-F2W"), "not a spectral axis"),
        (np.moveaxis(WIDE, 0, -1), ("AWAV", *RADEC), "not a spectral axis"),
        (WIDE[:4, np.newaxis], (*RADEC, "FREQ", "STOKES"), "not a Stokes axis"),
        (WIDE[:5], (*RADEC, "TIME"), "not a time axis"),
        (WIDE, (*RADEC, "Photon Energy"), "not a spectral axis"),
        (WIDE, (*RADEC, "FDEP"), "not a Faraday axis"),
        (np.stack([WIDE, WIDE]), (*RADEC, "FREQ", "STOKES"), "an image of two axes, or three"),
        (WIDE[0, :1], RADEC, "several rows and columns"),
        (WIDE[0, :, :1], RADEC, "several rows and columns"),
        (WIDE[:1, :1, :1], (), "several rows and columns"),
        (WIDE[:3, :1], (), "several rows and columns"),
        (WIDE[0, 0], (), "an HDU with an image"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path, data, ctypes, said):
    path = written(tmp_path / "a.fits", data, ctypes)
    with pytest.raises(UnreadableImageError, match=said):
        load_cutout(path)


@pytest.mark.parametrize("unit", ["Angstrom", "um", "km/s", "m s-1", "GHz", "keV"])
@pytest.mark.parametrize("ctype", ["LINEAR", "", None])
def test_the_unit_of_an_axis_says_that_it_is_spectral(tmp_path, unit, ctype):
    cards = {"CUNIT3": unit} | ({} if ctype is None else {"CTYPE3": ctype})
    with pytest.raises(UnreadableImageError, match="not a spectral axis"):
        load_cutout(written(tmp_path / "a.fits", WIDE, RADEC, **cards))
    assert len(load_cutout(written(tmp_path / "b.fits", WIDE[:3], RADEC, CUNIT3="pixel")).bands) == 3


def test_a_user_may_name_the_planes_of_a_spectral_cube(tmp_path):
    path = written(tmp_path / "a.fits", CUBE, (*RADEC, "WAVE"))
    assert load_cutout(path, bands=BANDS).bands == BANDS
    with pytest.raises(UnreadableImageError, match="spectral axis"):
        load_cutout(path, bands=BANDS[:3])


def test_images_in_a_table_are_refused_with_the_way_to_write_one():
    images = fits.Column("IMAGE", f"{12 * 14}E", dim="(14,12)", array=CUBE)
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([images])]).writeto(buffer)
    with pytest.raises(UnreadableImageError, match=r"hdulist\[1\]\.data\['IMAGE'\]\[0\]"):
        load_cutout(buffer.getvalue())


@pytest.mark.parametrize(
    "cards",
    [{"FILTER": 814}, {"FILTER": True}, {"BUNIT": 1.5}, {"CTYPE3": 2}, {"EXTTYPE": 3, "IMAGETYP": 4.0},
     {"TELESCOP": 5, "SURVEY": 6, "INSTRUME": 7}, {"BAND": 2.5}],
)  # fmt: skip
def test_cards_of_another_type_are_not_used(tmp_path, cards):
    cutout = load_cutout(written(tmp_path / "a.fits", CUBE[:1], RADEC, **cards))
    assert (cutout.bands, cutout.shape, cutout.survey) == (("band1",), (12, 14), "unknown")
    assert str(cutout.unit) == ("uncalibrated" if "BUNIT" in cards else "nJy")
