"""Bytes and images that are not what was asked for are refused, each with its reason."""

import gzip
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from galcnn.cutout import Cutout
from galcnn.errors import BadResponseError, CoverageError
from galcnn.surveys import SimulatedSurvey, checks, fits_bytes, received, wanted
from galcnn.surveys.checks import Wanted
from galcnn.surveys.http import Answer
from galcnn.surveys.images import moffat_planes
from tests.surveys.services import to_bytes

WHERE = SkyCoord(150, 2, unit="deg")
WANT = Wanted(WHERE, 32, ("g", "r"), 0.4 * u.arcsec)


def answer(content, status=200):
    return Answer("http://here/x", status, content, "", "2026-01-01T00:00:00+00:00")


def image(**changes):
    flux = np.ones((2, 32, 32), dtype=np.float32)
    return replace(
        Cutout(flux, ("g", "r"), wcs=WANT.wcs, meta={"path": "memory", "format": "FITS"}), **changes
    )


def check(cutout):
    return received(cutout, WANT, survey="toy", answers=[answer(b"")], facts={"release": "1"})


def test_what_is_right_gets_its_origin():
    found = check(image())
    assert (found.survey, found.position) == ("toy", WHERE)
    assert found.meta == {
        "format": "FITS",
        "release": "1",
        "coverage": {"g": 1.0, "r": 1.0},
        "requests": [
            {
                "url": "http://here/x",
                "time": "2026-01-01T00:00:00+00:00",
                # printf '' | sha256sum
                "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
            }
        ],
    }


def shifted(dx, dy):
    wcs = WANT.wcs
    wcs.wcs.crpix += (dx, dy)
    return wcs


def test_half_a_pixel_is_near_enough_and_more_is_not():
    for dx, dy in ((0.5, 0.5), (-0.5, 0.5), (0, -0.5)):
        check(image(wcs=shifted(dx, dy)))
    for dx, dy in ((0.6, 0), (0, -0.6), (20, 20)):
        with pytest.raises(BadResponseError, match="position in the middle"):
            check(image(wcs=shifted(dx, dy)))


def test_another_shape_band_scale_or_no_wcs_is_refused():
    small = WANT.wcs
    small.array_shape = None
    with pytest.raises(BadResponseError, match=r"Expected \(32, 32\) pixels.*shape=\(31, 32\)"):
        check(Cutout(np.ones((2, 31, 32)), ("g", "r"), wcs=small))
    for bands in (("r", "g"), ("g", "i")):
        with pytest.raises(BadResponseError, match="bands="):
            check(image(bands=bands))
    with pytest.raises(BadResponseError, match="with a WCS"):
        check(image(wcs=None))
    wide = WANT.wcs
    wide.wcs.cdelt = wide.wcs.cdelt * 1.02
    with pytest.raises(BadResponseError, match=r"pixel_scale_arcsec=0\.408"):
        check(image(wcs=wide))


def test_a_band_without_pixels_near_the_position_is_not_covered():
    flux = np.ones((2, 32, 32), dtype=np.float32)
    flux[1, :, 14:] = np.nan  # the middle is at 15.5
    assert check(image(flux=flux[:, :, ::-1], mask=None)).meta["coverage"] == {"g": 1.0, "r": 0.4375}
    flux[1, 10:22, 10:22] = np.nan
    with pytest.raises(CoverageError, match=r"not_covered=\['r'\]"):
        check(image(flux=flux, mask=None))


def test_a_galaxy_at_the_very_edge_counts_as_long_as_its_place_was_seen():
    flux = np.full((2, 32, 32), np.nan, dtype=np.float32)
    flux[:, :, 16:] = 1
    assert check(image(flux=flux, mask=None)).masked_fraction == 0.5


FILE = to_bytes(fits.PrimaryHDU(np.arange(16.0).reshape(4, 4)))


def test_a_fits_file_comes_through_and_a_packed_one_is_unpacked(monkeypatch):
    assert fits_bytes(answer(FILE)) == FILE
    assert fits_bytes(answer(gzip.compress(FILE))) == FILE
    with pytest.raises(BadResponseError, match="whole gzip file"):
        fits_bytes(answer(gzip.compress(FILE)[:-9]))
    monkeypatch.setattr(checks, "Limits", lambda: type("Small", (), {"size": 1000}))
    with pytest.raises(BadResponseError, match="at most 1000 bytes"):
        fits_bytes(answer(gzip.compress(FILE)))


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 200, "answer='nothing'"),
        (b"<html>down\x00</html>", 200, "answer='<html>down </html>'"),
        (FILE[:-1], 200, "multiple of 2880"),
        (FILE, 404, "status=404"),
        (b"simple  = " + FILE[10:], 200, "FITS file"),
    ],
)
def test_what_is_no_fits_file_is_said_to_be_none(content, status, words):
    with pytest.raises(BadResponseError, match=words):
        fits_bytes(answer(content, status))


def test_a_question_is_checked_before_it_is_asked():
    survey = SimulatedSurvey(n_galaxies=10)
    want = wanted(survey, WHERE.galactic, width=12.9 * u.arcsec, bands=["r"])
    assert (want.side, want.bands, want.ra, want.dec) == (32, ("r",), 150.0, 2.0)
    middle = want.wcs.pixel_to_world(15.5, 15.5)
    assert middle.separation(WHERE) < 1e-6 * u.arcsec
    east = want.wcs.pixel_to_world(14.5, 15.5)
    assert WHERE.spherical_offsets_to(east)[0].to_value(u.arcsec) == pytest.approx(0.4, abs=1e-4)
    with pytest.raises(ValueError, match=r"at most 8\.0 arcsec"):
        wanted(survey, WHERE, width=20 * u.arcsec, most=20)
    with pytest.raises(ValueError, match=r"at most 6553\.6 arcsec"):
        wanted(survey, WHERE, width=400 * u.deg)


def test_a_moffat_has_its_width_and_its_wings():
    (plane,) = moffat_planes((2.0,), 0.25, beta=3.5)
    middle = len(plane) // 2
    core = 2.0 / (2 * np.sqrt(2 ** (1 / 3.5) - 1))
    assert plane[middle, middle + 4] / plane[middle, middle] == pytest.approx(
        0.5, rel=1e-4
    )  # half of 2 arcsec
    assert plane[middle + 12, middle] / plane[middle, middle] == pytest.approx(
        (1 + (3 / core) ** 2) ** -3.5, rel=1e-4
    )
    for wrong in (((), 0.25), ((0.0,), 0.25), ((1.0,), 0)):
        with pytest.raises(ValueError, match="positive widths"):
            moffat_planes(*wrong)


def turned(matrix, frame="icrs"):
    """Return the wanted grid with another matrix, pixels of 0.4 arcsec; in galactic coordinates if wished."""
    wcs = WANT.wcs
    if frame == "galactic":
        wcs.wcs.ctype, wcs.wcs.radesys = ["GLON-TAN", "GLAT-TAN"], ""
        wcs.wcs.crval = [WHERE.galactic.l.deg, WHERE.galactic.b.deg]
    wcs.wcs.cdelt, wcs.wcs.pc = [0.4 / 3600] * 2, matrix
    return wcs


def rotation(degrees):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[c, -s], [s, c]])


AS_ON_THE_SKY = np.diag([-1.0, 1.0])


@pytest.mark.parametrize(
    ("matrix", "frame", "right", "north_up"),
    [
        (AS_ON_THE_SKY, "icrs", True, True),
        (rotation(0.4) @ AS_ON_THE_SKY, "icrs", True, True),
        (rotation(30) @ AS_ON_THE_SKY, "icrs", True, False),
        (rotation(180) @ AS_ON_THE_SKY, "icrs", True, False),
        (AS_ON_THE_SKY, "galactic", True, False),
        (np.diag([1.0, 1.0]), "icrs", False, False),  # mirrored
        (np.diag([-1.0, -1.0]), "icrs", False, False),  # upside down
        (np.diag([-2.0, 0.5]), "icrs", False, False),  # the same area
        (np.diag([-1.05, 1 / 1.05]), "icrs", False, False),
        (AS_ON_THE_SKY @ np.array([[1, 0.1], [0, 1]]), "icrs", False, False),  # oblique, the same area
    ],
)
def test_orientation_parity_and_aspect_are_checked(matrix, frame, right, north_up):
    cutout = image(wcs=turned(matrix, frame))
    for asked, good in ((False, right), (True, north_up)):
        said = {"survey": "toy", "answers": [answer(b"")], "facts": {}, "north_up": asked}
        if good:
            assert received(cutout, WANT, **said).survey == "toy"
        else:
            with pytest.raises(BadResponseError, match=r"square pixels of 0\.4 arcsec"):
                received(cutout, WANT, **said)


def test_a_folder_may_hold_mirrored_images():
    said = {"survey": "toy", "answers": [answer(b"")], "facts": {}}
    mirrored = image(wcs=turned(np.eye(2)))
    assert received(mirrored, WANT, **said, mirrored=True).survey == "toy"
