"""hips2fits by value: tiles made by reproject, the service in small, and the real astroquery client."""

import io

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import Angle, Latitude, Longitude
from astropy.io import fits
from astropy.wcs import WCS

from galcnn import plugins
from galcnn.errors import BadResponseError, CoverageError
from galcnn.photometry.units import UNCALIBRATED
from galcnn.surveys.hips import HipsSurvey
from galcnn.surveys.survey import RemoteSurvey
from tests.surveys.servers import Server, edited
from tests.surveys.services import to_bytes

IDS = "CDS/P/Toy/g,red=CDS/P/Toy/r"
SIDE = 65 * 0.262 * u.arcsec
PART = (slice(None), slice(96, 161), slice(96, 161))


@pytest.fixture
def survey(hips_server):
    return HipsSurvey(IDS, arcsec=0.262, sky=False, server=hips_server.url)


def test_it_is_a_plugin_and_leaves_the_singleton_alone(survey, legacy_material):
    from astroquery.hips2fits import hips2fits

    made = plugins.load(plugins.SURVEYS, "hips")()
    assert isinstance(made, RemoteSurvey)
    assert (made.name, made.bands) == ("HiPS CDS/P/2MASS", ("J", "H", "K"))
    before = (hips2fits.server, hips2fits.timeout, hips2fits._session)
    survey.cutout(legacy_material.middle, SIDE)
    assert (hips2fits.server, hips2fits.timeout, hips2fits._session) == before
    assert "alasky" in str(hips2fits.server)


def test_pixels_are_those_of_the_image_the_tiles_were_made_of(survey, legacy_material):
    m = legacy_material
    cutout = survey.cutout(m.middle, SIDE)
    assert (cutout.bands, cutout.unit, cutout.survey) == (("g", "red"), UNCALIBRATED, "HiPS CDS/P/Toy")
    assert not cutout.calibrated
    for plane, image in zip(cutout.flux, m.image[PART], strict=False):
        # Twice interpolated: the noise of single pixels is smoothed, galaxies are where they were.
        assert np.corrcoef(plane.ravel(), image.ravel())[0, 1] > 0.98
        peaks = [np.array(np.unravel_index(one.argmax(), one.shape)) for one in (plane, image)]
        assert np.abs(peaks[0] - peaks[1]).max() <= 1
        assert plane.sum(dtype=float) == pytest.approx(image.sum(dtype=float), rel=0.01)
    x, y = cutout.wcs.world_to_pixel(m.middle)
    assert (float(x), float(y)) == (pytest.approx(32, abs=1e-4), pytest.approx(32, abs=1e-4))


def test_flux_is_conserved_at_any_pixel_scale_where_the_zero_point_is_known(hips_server, legacy_material):
    m = legacy_material
    truth = 3631 * m.image[:2, 80:177, 80:177].sum(axis=(1, 2), dtype=float)
    for arcsec in (0.262, 0.393, 0.131):
        survey = HipsSurvey(
            IDS,
            arcsec=arcsec,
            zero_point="g=22.5,red=22.5",
            native_arcsec=0.262,
            sky=False,
            server=hips_server.url,
        )
        cutout = survey.cutout(m.middle, 97 * 0.262 * u.arcsec)
        assert cutout.unit == u.nJy
        found = cutout.flux.sum(axis=(1, 2), dtype=float)
        area = (cutout.shape[0] * arcsec / (97 * 0.262)) ** 2  # rounding to whole pixels
        assert found / truth == pytest.approx([1, 1], rel=abs(area - 1) + 0.01)
    counts = HipsSurvey(IDS, arcsec=0.393, sky=False, server=hips_server.url)
    bare = counts.cutout(m.middle, 97 * 0.262 * u.arcsec).flux.sum(axis=(1, 2), dtype=float)
    # What the service keeps is surface brightness: fluxes come out by (native / own)^2.
    assert bare / m.image[:2, 80:177, 80:177].sum(axis=(1, 2)) == pytest.approx(
        [(0.262 / 0.393) ** 2] * 2, rel=0.03
    )


def test_sky_is_taken_off_unless_it_is_to_stay(hips_tiles, legacy_material):
    def lifted(path, query):
        reply = hips_tiles(path, query)
        with fits.open(io.BytesIO(reply.body)) as hdus:
            hdus[0].data += 5
            reply.body = to_bytes(hdus[0].copy())
        return reply

    side = 97 * 0.262 * u.arcsec
    with Server(lifted) as server:
        stays = HipsSurvey(IDS, arcsec=0.262, sky=False, server=server.url).cutout(
            legacy_material.middle, side
        )
        gone = HipsSurvey(IDS, arcsec=0.262, server=server.url).cutout(legacy_material.middle, side)
    assert np.median(stays.flux) == pytest.approx(5, abs=0.05)
    assert np.median(gone.flux) == pytest.approx(0, abs=0.02)
    assert gone.meta["background"][0]["sky"]["g"]["level"] == pytest.approx(5, abs=0.02)
    assert (stays.meta["sky"], gone.meta["sky"]) == ("as in the HiPS", "estimated and subtracted")


def test_requests_are_those_of_the_client(survey, hips_server, legacy_material):
    planned = survey.requests(legacy_material.middle, SIDE)
    cutout = survey.cutout(legacy_material.middle, SIDE)
    sent = [hips_server.url + path for path in hips_server.requests]
    assert list(planned) == sent == [one["url"] for one in cutout.meta["requests"]]
    assert "hips=CDS%2FP%2FToy%2Fr" in planned[1]
    assert "format=fits" in planned[1]
    assert cutout.meta["release"] == ["CDS/P/Toy/g", "CDS/P/Toy/r"]


def test_by_fov_the_service_is_half_a_pixel_off(hips_server, legacy_material):
    """Why the whole WCS is asked for: the client's other call, on the server that does as recorded."""
    from astroquery.hips2fits import hips2fitsClass

    client = hips2fitsClass()
    client.server = hips_server.url
    icrs = legacy_material.middle.icrs
    hdus = client.query(
        hips="CDS/P/Toy/g",
        width=64,
        height=32,
        projection="TAN",
        ra=Longitude(icrs.ra),
        dec=Latitude(icrs.dec),
        fov=Angle(64 * 0.262 * u.arcsec),
    )
    assert hdus[0].shape == (32, 64)
    wcs = WCS(hdus[0].header)
    assert wcs.pixel_scale_matrix[1, 1] * 3600 == pytest.approx(0.262)  # fov is the larger side
    x, y = wcs.world_to_pixel(icrs)
    assert (float(x) - 31.5, float(y) - 15.5) == (pytest.approx(-0.5), pytest.approx(-0.5))


def test_the_recorded_service_is_half_a_pixel_off(recordings):
    if recordings is None:
        pytest.skip("recordings are not here: set GALCNN_DATA to the folder that holds services/")
    header = fits.getheader(recordings / "services/hips2fits/2010ag__2MASS__2MASS_H.fits")
    assert (header["CRPIX1"], header["NAXIS1"]) == (180, 360)
    assert any("From HiPS CDS/P/2MASS/H " in str(line) for line in header["HISTORY"])


def test_an_unknown_hips_is_named(hips_server, legacy_material):
    survey = HipsSurvey("CDS/P/Nothing/g", arcsec=0.262, server=hips_server.url)
    with pytest.raises(BadResponseError, match=r"status=400.*CDS/P/Nothing/g"):
        survey.cutout(legacy_material.middle, SIDE)


def test_outside_there_is_nothing(survey, legacy_material):
    m = legacy_material
    with pytest.raises(CoverageError, match="at least one number"):
        survey.cutout(m.middle.directional_offset_by(0 * u.deg, 1 * u.deg), SIDE)
    edge = survey.cutout(m.wcs.pixel_to_world(8, 128), SIDE)
    assert edge.meta["coverage"]["g"] == pytest.approx(41 / 65, abs=0.05)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hips": ""}, "whole ids"),
        ({"hips": "2MASS"}, "whole ids"),
        ({"hips": "CDS/P/a/J,CDS/P/b/J"}, "name of its own"),
        ({"arcsec": 0.0}, "positive pixel scale"),
        ({"zero_point": "20"}, "zero_point and native_arcsec together"),
        ({"native_arcsec": 1.0}, "zero_point and native_arcsec together"),
        ({"zero_point": "J=20", "native_arcsec": 1.0}, "number for each of"),
        ({"zero_point": "x", "native_arcsec": 1.0}, "a number"),
        ({"fwhm": "-1"}, "positive widths"),
        ({"server": "nowhere"}, "http or https"),
    ],
)
def test_options_are_checked_when_the_survey_is_opened(options, words):
    with pytest.raises(ValueError, match=words):
        HipsSurvey(**options)


def test_a_stated_psf_is_said_to_be_stated(hips_server, legacy_material):
    survey = HipsSurvey(IDS, arcsec=0.262, sky=False, fwhm="1.3", server=hips_server.url)
    cutout = survey.cutout(legacy_material.middle, SIDE)
    assert cutout.psf.sum(axis=(1, 2)) == pytest.approx([1, 1])
    assert cutout.meta["psf_source"] == "Moffat, beta 3.5, FWHM 1.3 arcsec stated by the user"


def test_a_unit_of_the_hips_own_pixels_is_not_believed(hips_server, survey, legacy_material):
    def in_jansky(hdu):
        hdu.header["BUNIT"] = "Jy"

    bare = survey.cutout(legacy_material.middle, SIDE)
    with hips_server.failing(edited(in_jansky)):
        said = survey.cutout(legacy_material.middle, SIDE)
    assert said.unit == UNCALIBRATED
    np.testing.assert_allclose(said.flux, bare.flux, rtol=1e-5)
    assert "zero_point_ab" not in said.meta
    assert said.meta["calibration"].startswith("none")
