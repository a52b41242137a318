"""A HEALPix map of dust is read in its own frame and order."""

import numpy as np
import pytest
from astropy.coordinates import ICRS, Galactic, SkyCoord
from astropy.io import fits
from astropy_healpix import HEALPix

from galcnn.foreground import ebv_of_map

FRAMES = {"G": Galactic(), "C": ICRS()}
PLACES = SkyCoord([150, 10, 300, 0.01], [2, -60, 40, -89.9], unit="deg")


def slope(places, frame):
    """E(B-V) that grows with the latitude of a frame: no other frame has the same."""
    return 0.1 * (1 + np.sin(places.transform_to(FRAMES[frame]).spherical.lat.rad))


def write_map(path, *, frame="G", order="nested", column="EBV", rows=1024, hole=None):
    pixels = HEALPix(64, order, frame=FRAMES[frame])
    values = slope(pixels.healpix_to_skycoord(np.arange(pixels.npix)), frame)
    if hole is not None:
        values[pixels.skycoord_to_healpix(hole)] = -1.6375e30
    shaped = values.reshape(-1, rows) if rows > 1 else values
    table = fits.BinTableHDU.from_columns([fits.Column(column, f"{rows}E", array=shaped)])
    table.header.update({"NSIDE": 64, "ORDERING": order.upper(), "COORDSYS": frame, "PIXTYPE": "HEALPIX"})
    table.writeto(path)
    return path


@pytest.mark.parametrize("frame", ["G", "C"])
@pytest.mark.parametrize(("order", "rows"), [("nested", 1024), ("ring", 1)])
def test_values_are_those_of_the_place(tmp_path, frame, order, rows):
    path = write_map(tmp_path / "map.fits", frame=frame, order=order, rows=rows)
    # Bilinear between pixels of 0.9 degrees.
    np.testing.assert_allclose(ebv_of_map(path, PLACES), slope(PLACES, frame), atol=1e-4)
    np.testing.assert_allclose(ebv_of_map(path, PLACES[0].galactic), slope(PLACES[0], frame), atol=1e-4)


def test_where_there_is_nothing_there_is_nan(tmp_path):
    found = ebv_of_map(write_map(tmp_path / "map.fits", hole=PLACES[0]), PLACES)
    assert np.isnan(found).tolist() == [True, False, False, False]


def test_what_is_no_map_is_refused(tmp_path):
    path = write_map(tmp_path / "map.fits", column="TEMPERATURE")
    assert np.isfinite(ebv_of_map(path, PLACES)).all()  # the only column
    assert np.isfinite(ebv_of_map(path, PLACES, column="TEMPERATURE")).all()
    with pytest.raises(ValueError, match=r"columns=\['TEMPERATURE'\]"):
        ebv_of_map(path, PLACES, column="EBV")
    for card, value, words in (("ORDERING", "SPIRAL", "ordering='SPIRAL'"), ("NSIDE", 128, "n_pixels=49152")):
        bad = write_map(tmp_path / f"{card}.fits")
        fits.setval(bad, card, value=value, ext=1)
        with pytest.raises(ValueError, match=words):
            ebv_of_map(bad, PLACES)
    fits.PrimaryHDU(np.ones((4, 4))).writeto(tmp_path / "image.fits")
    with pytest.raises(ValueError, match="table with a HEALPix map"):
        ebv_of_map(tmp_path / "image.fits", PLACES)
    with pytest.raises(FileNotFoundError):
        ebv_of_map(tmp_path / "nowhere.fits", PLACES)
