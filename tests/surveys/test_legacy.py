"""The Legacy Surveys by value, against a local viewer with the real one's quirks."""

from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from galcnn import plugins
from galcnn.errors import BadResponseError, CoverageError
from galcnn.files import load_cutout, save_cutout
from galcnn.surveys.legacy import LegacySurvey
from galcnn.surveys.survey import RemoteSurvey
from tests.surveys.servers import Reply, Server
from tests.surveys.services import Legacy, to_bytes

SIDE = 65 * 0.262 * u.arcsec
#: Rows and columns of the recording that 65 pixels about its pixel (128, 128) are.
PART = (slice(None), slice(96, 161), slice(96, 161))


@pytest.fixture
def survey(legacy_server):
    return LegacySurvey("ls-dr9", server=legacy_server.url)


def test_it_is_a_plugin():
    survey = plugins.load(plugins.SURVEYS, "legacysurvey")()
    assert isinstance(survey, RemoteSurvey)
    assert (survey.name, survey.bands) == ("Legacy Surveys ls-dr10", ("g", "r", "i", "z"))
    assert survey.server == "https://www.legacysurvey.org/viewer"


def test_every_pixel_is_the_recorded_one_in_njy(survey, legacy_material):
    m = legacy_material
    cutout = survey.cutout(m.middle, SIDE)
    assert (cutout.bands, cutout.unit, cutout.survey) == (("g", "r", "z"), u.nJy, "Legacy Surveys ls-dr9")
    hole = (m.image[PART] == 0) & (m.invvar[PART] == 0)
    assert hole.any()
    assert np.isnan(cutout.flux[hole]).all()
    np.testing.assert_allclose(cutout.flux[~hole], 3631 * m.image[PART][~hole], rtol=1e-6)
    np.testing.assert_allclose(cutout.sigma[~hole], 3631 / np.sqrt(m.invvar[PART][~hole]), rtol=1e-5)
    np.testing.assert_allclose(cutout.psf, m.psf, rtol=1e-4, atol=1e-7)


def test_masked_is_what_is_saturated_or_never_good_and_not_what_is_a_galaxy(survey, legacy_material):
    cutout = survey.cutout(legacy_material.middle, SIDE)
    g, r, z = cutout.mask
    star = np.zeros((65, 65), bool)
    star[4:7, 44:47] = True  # rows 100 to 102, columns 140 to 142 of the recording
    column = np.zeros((65, 65), bool)
    column[:, 14] = True
    np.testing.assert_array_equal(g, column)
    np.testing.assert_array_equal(r, star)
    np.testing.assert_array_equal(z, np.isnan(cutout.flux[2]))
    assert np.isfinite(cutout.flux[0][column]).all(), "masked pixels keep their value"


def test_a_core_without_weight_is_masked_and_keeps_its_value(legacy_material):
    invvar = legacy_material.invvar.copy()
    invvar[1, 128, 128] = 0
    with Server(Legacy(replace(legacy_material, invvar=invvar))) as server:
        cutout = LegacySurvey("ls-dr9", psf=False, server=server.url).cutout(legacy_material.middle, SIDE)
    assert cutout.mask[1, 32, 32]
    assert cutout.flux[1, 32, 32] == np.float32(3631 * np.float64(legacy_material.image[1, 128, 128]))
    assert np.isnan(cutout.sigma[1, 32, 32])


def test_the_position_is_in_the_middle_and_the_bands_as_asked(survey, legacy_material):
    m = legacy_material
    whole = survey.cutout(m.middle, SIDE)
    x, y = whole.wcs.world_to_pixel(m.middle)
    assert (float(x), float(y)) == (pytest.approx(32, abs=1e-3), pytest.approx(32, abs=1e-3))
    for bands in (("z", "g"), ("r",)):
        some = survey.cutout(m.middle, SIDE, bands)
        assert some.bands == bands
        order = ["grz".index(band) for band in bands]
        np.testing.assert_array_equal(some.flux, whole.flux[order])
        np.testing.assert_array_equal(some.mask, whole.mask[order])
        np.testing.assert_array_equal(some.psf, whole.psf[order])
    # 10 pixels further east is to the left.
    east = m.wcs.pixel_to_world(118, 128)
    moved = survey.cutout(east, SIDE, ("r",))
    np.testing.assert_array_equal(moved.flux[0][:, 10:], whole.flux[1][:, :-10])


def test_it_says_where_it_comes_from(survey, legacy_server, legacy_material, tmp_path):
    cutout = survey.cutout(legacy_material.middle, SIDE, ("g", "r"))
    asked = survey.requests(legacy_material.middle, SIDE, ("g", "r"))
    assert [one["url"] for one in cutout.meta["requests"]] == list(asked)
    assert [legacy_server.url + path for path in legacy_server.requests] == list(asked)
    assert all(len(one["sha256"]) == 64 and one["time"].endswith("+00:00") for one in cutout.meta["requests"])
    assert cutout.meta["release"] == "ls-dr9"
    assert cutout.meta["psf_source"] == "coadd-psf of the survey"
    assert cutout.meta["coverage"] == {"g": 1.0, "r": 1.0}
    save_cutout(cutout, tmp_path / "c.fits")
    again = load_cutout(tmp_path / "c.fits")
    assert again.meta == cutout.meta
    np.testing.assert_array_equal(again.flux, cutout.flux)


def test_addresses_are_those_of_the_documentation():
    survey = LegacySurvey("ls-dr9-south", server="https://mirror.org/viewer/")
    image, psf = survey.requests(SkyCoord("10h00m24s +02d12m00s"), 1 * u.arcmin)
    assert image.startswith("https://mirror.org/viewer/fits-cutout?ra=150.1&dec=2.2&layer=ls-dr9-south&")
    assert image.endswith("&pixscale=0.262&size=229&bands=grz&invvar=1&maskbits=1")
    assert psf == "https://mirror.org/viewer/coadd-psf/?ra=150.1&dec=2.2&layer=ls-dr9-south&bands=grz"
    assert len(LegacySurvey(psf=False).requests(SkyCoord(1, 2, unit="deg"), 1 * u.arcmin)) == 1


def test_what_was_not_observed_is_not_covered(survey, legacy_material):
    m = legacy_material
    with pytest.raises(CoverageError, match="position in the layer"):
        survey.cutout(m.middle.directional_offset_by(0 * u.deg, 3 * u.deg), SIDE)
    # Beyond the recording, but on the server: zeros and no weight.
    with pytest.raises(CoverageError, match=r"not_covered=\['g', 'r', 'z'\]"):
        survey.cutout(m.wcs.pixel_to_world(-100, 128), SIDE)
    edge = survey.cutout(m.wcs.pixel_to_world(10, 128), SIDE)
    assert edge.meta["coverage"]["g"] == pytest.approx(43 / 65, abs=1e-3)
    assert np.isnan(edge.flux[:, :, :22]).all()


def test_the_service_says_there_is_no_overlap_in_a_header(legacy_material):
    hdu = fits.PrimaryHDU(header=fits.Header({"OVERLAP": False, "IMAGETYP": "IMAGE", "BANDS": "grz"}))
    with Server(lambda path, query: Reply(to_bytes(hdu))) as server, pytest.raises(CoverageError):
        LegacySurvey("ls-dr9", server=server.url).cutout(legacy_material.middle, SIDE)


def test_a_silent_clamp_and_silent_bands_are_not_trusted(survey, legacy_server, legacy_material):
    with pytest.raises(ValueError, match=r"at most 786.0 arcsec"):
        survey.cutout(legacy_material.middle, 3001 * 0.262 * u.arcsec)
    assert legacy_server.requests == []
    # The server does not know i, and gives all its bands.
    with pytest.raises(BadResponseError, match=r"in the bands \('g', 'i'\)"):
        LegacySurvey("ls-dr10", server=legacy_server.url).cutout(legacy_material.middle, SIDE, ("g", "i"))


def test_an_unknown_layer_is_text_with_status_200(legacy_server, legacy_material):
    survey = LegacySurvey("ls-dr99", filters="grz", server=legacy_server.url)
    with pytest.raises(BadResponseError, match="Layer not found: ls-dr99"):
        survey.cutout(legacy_material.middle, SIDE)
    with pytest.raises(ValueError, match="Name the bands of another by filters"):
        LegacySurvey("ls-dr99")
    with pytest.raises(ValueError, match="each band once"):
        LegacySurvey(filters="gg")


def test_without_weights_what_is_zero_was_not_observed(legacy_material):
    service = Legacy(legacy_material)
    with Server(
        lambda path, query: service(path, {k: v for k, v in query.items() if k != "invvar"})
    ) as server:
        cutout = LegacySurvey("ls-dr9", psf=False, server=server.url).cutout(legacy_material.middle, SIDE)
    assert cutout.sigma is None
    np.testing.assert_array_equal(np.isnan(cutout.flux), legacy_material.image[PART] == 0)


@pytest.mark.parametrize(
    ("width", "bands", "words"),
    [
        (0 * u.arcsec, None, "positive angle"),
        (3 * u.m, None, "positive angle"),
        (np.nan * u.arcsec, None, "positive angle"),
        (SIDE, ("u",), "bands among"),
        (SIDE, ("g", "g"), "each once"),
        (SIDE, (), "bands among"),
    ],
)
def test_what_cannot_be_asked_is_not(survey, legacy_server, legacy_material, width, bands, words):
    with pytest.raises(ValueError, match=words):
        survey.cutout(legacy_material.middle, width, bands)
    with pytest.raises(ValueError, match="one sky position"):
        survey.cutout(SkyCoord([1, 2], [1, 2], unit="deg"), SIDE)
    with pytest.raises(ValueError, match="finite sky position"):
        survey.cutout(SkyCoord(np.nan, 2, unit="deg"), SIDE)
    assert legacy_server.requests == []


def test_a_server_is_an_address():
    with pytest.raises(ValueError, match="http or https address"):
        LegacySurvey(server="nowhere")
