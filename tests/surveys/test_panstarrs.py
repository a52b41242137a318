"""Pan-STARRS by value, against a local service that serves the recorded files."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits

from galcnn import plugins
from galcnn.errors import BadResponseError, CoverageError
from galcnn.surveys.panstarrs import PanStarrs
from galcnn.surveys.survey import RemoteSurvey
from tests.surveys.servers import Reply, Server, edited

SIDE = 64 * 0.25 * u.arcsec


@pytest.fixture
def survey(panstarrs_server):
    return PanStarrs(server=panstarrs_server.url)


def test_it_is_a_plugin():
    survey = plugins.load(plugins.SURVEYS, "panstarrs")()
    assert isinstance(survey, RemoteSurvey)
    assert (survey.bands, survey.pixel_scale) == (("g", "r", "i", "z", "y"), 0.25 * u.arcsec)


def test_counts_become_njy_by_the_exposure_time(survey, skycell_material):
    m = skycell_material
    cutout = survey.cutout(m.middle, SIDE, ("g", "r", "i"))
    x, y = m.wcs.world_to_pixel(m.middle)
    column, row = round(float(x) - 31.5), round(float(y) - 31.5)
    for i, band in enumerate(cutout.bands):
        # A source of 1 count has the AB magnitude 25 + 2.5 log10(EXPTIME).
        njy = 3631e9 * 10 ** (-0.4 * (25 + 2.5 * np.log10(m.headers[band]["EXPTIME"])))
        counts = m.planes[band][row : row + 64, column : column + 64]
        np.testing.assert_allclose(cutout.flux[i], counts * njy, rtol=1e-5)
    assert (cutout.unit, cutout.bands) == (u.nJy, ("g", "r", "i"))
    assert cutout.sigma is None


def test_the_position_is_within_half_a_pixel_of_the_middle(survey, skycell_material):
    m = skycell_material
    for dx in (0.0, 0.3, 0.5, 0.7):
        where = m.wcs.pixel_to_world(110 + dx, 120 - dx)
        for side in (63, 64):
            cutout = survey.cutout(where, side * 0.25 * u.arcsec, ("r",))
            x, y = cutout.wcs.world_to_pixel(where)
            assert max(abs(float(x) - (side - 1) / 2), abs(float(y) - (side - 1) / 2)) <= 0.5 + 1e-6
            # The same sky shows the same counts.
            column, row = np.round(np.array(m.wcs.world_to_pixel(cutout.wcs.pixel_to_world(5, 7)))).astype(
                int
            )
            njy = 3631e9 * 10 ** (-0.4 * (25 + 2.5 * np.log10(m.headers["r"]["EXPTIME"])))
            assert cutout.flux[0, 7, 5] == pytest.approx(m.planes["r"][row, column] * njy, rel=1e-5)


def test_files_are_those_of_one_good_skycell(survey, panstarrs_server, skycell_material):
    cutout = survey.cutout(skycell_material.middle, SIDE, ("g", "z"))
    # The neighbouring cell comes first but has g alone; the first stack of this cell is bad.
    files = [f"/rings.v3.skycell/1329/005/rings.v3.skycell.1329.005.stk.{b}.unconv.fits" for b in "gz"]
    assert cutout.meta["files"] == files
    assert len(panstarrs_server.requests) == 3
    planned = survey.requests(skycell_material.middle, SIDE, ("g", "z"))
    sent = [panstarrs_server.url + path for path in panstarrs_server.requests]
    assert planned[0] == sent[0]
    for plan, real, band, file in zip(planned[1:], sent[1:], "gz", files, strict=True):
        assert plan.replace(f"%3Cfile+of+{band}%3E", file.replace("/", "%2F")) == real
    assert [one["url"] for one in cutout.meta["requests"]] == sent


def test_the_psf_is_stated(survey, skycell_material):
    cutout = survey.cutout(skycell_material.middle, SIDE, ("g", "i"))
    assert "1.31, 1.11" in cutout.meta["psf_source"]
    for plane, fwhm in zip(cutout.psf, (1.31, 1.11), strict=True):
        profile = plane[plane.shape[0] // 2].astype(float)
        radius = (np.arange(len(profile)) - len(profile) // 2) * 0.25
        half = np.interp(fwhm / 2, radius[radius >= 0], profile[radius >= 0])
        assert half / profile.max() == pytest.approx(0.5, abs=0.02)  # linear between pixels


def test_what_was_not_observed_is_not_covered(survey, panstarrs_server, skycell_material):
    m = skycell_material
    with pytest.raises(CoverageError, match="north of -30"):
        survey.cutout(SkyCoord(10, -31, unit="deg"), SIDE)
    assert panstarrs_server.requests == []
    with pytest.raises(CoverageError, match=r"found \[\]"):  # a table with a header alone
        survey.cutout(m.middle.directional_offset_by(0 * u.deg, 1 * u.deg), SIDE)
    with pytest.raises(CoverageError, match=r"found \['g'\]"):
        survey.cutout(m.middle, SIDE, ("g", "y"))
    edge = survey.cutout(m.wcs.pixel_to_world(8, 120), SIDE, ("g",))
    assert edge.meta["coverage"]["g"] == pytest.approx(40 / 64, abs=0.02)
    assert np.isnan(edge.flux[0, :, :20]).all()
    with pytest.raises(CoverageError, match=r"at least one number|has observed"):
        survey.cutout(m.wcs.pixel_to_world(-60, 120), SIDE, ("g",))


def test_an_uncalibrated_stack_is_refused(panstarrs_server, skycell_material):
    def without_exposure(hdu):
        del hdu.header["EXPTIME"]

    with (
        panstarrs_server.failing(edited(without_exposure)),
        pytest.raises(BadResponseError, match="without EXPTIME"),
    ):
        PanStarrs(server=panstarrs_server.url).cutout(skycell_material.middle, SIDE, ("g",))


def test_the_table_is_read_as_recorded(recordings):
    """Header-only and real rows, as the service sent them once."""
    if recordings is None:
        pytest.skip("recordings are not here: set GALCNN_DATA to the folder that holds services/")
    rows = (recordings / "services/ps1filenames/real_rows.txt").read_bytes()
    bare = (recordings / "services/ps1filenames/no_coverage.txt").read_bytes()
    replies = {"rows": Reply(rows, "text/plain"), "bare": Reply(bare, "text/plain")}

    def respond(path, query):
        return replies["bare" if query["ra"] == "1.0" else "rows"] if "ps1filenames" in path else Reply(b"")

    with Server(respond) as server:
        survey = PanStarrs(server=server.url)
        with pytest.raises(CoverageError):
            survey.cutout(SkyCoord(1, 2, unit="deg"), SIDE, ("g",))
        with pytest.raises(BadResponseError, match="FITS file"):
            survey.cutout(SkyCoord(2, 2, unit="deg"), SIDE, ("g",))
        assert "rings.v3.skycell.1405.053.stk.g" in server.requests[-1]


def test_des_and_pan_starrs_show_one_galaxy(recordings, survey, skycell_material):
    """The spiral at 27.952 +0.2635 has the flux that DES measures, but for the filters' difference."""
    if recordings is None:
        pytest.skip("recordings are not here: set GALCNN_DATA to the folder that holds services/")
    from galcnn.files import load_cutout

    where = SkyCoord(27.952, 0.2635, unit="deg")
    ours = survey.cutout(where, 50 * u.arcsec, ("g", "r", "i"))
    for i, band in enumerate(ours.bands):
        des = load_cutout(recordings / f"services/des_sia_noirlab/DES_{band}.fits")
        x, y = (round(float(v)) for v in des.wcs.world_to_pixel(where))
        half = round(12.5 / des.pixel_scale.to_value(u.arcsec))
        theirs = np.nansum(des.flux[0, y - half : y + half, x - half : x + half], dtype=float)
        own = np.nansum(ours.flux[i, 50:150, 50:150], dtype=float)
        assert own / theirs == pytest.approx(1, abs=0.12), band


def test_recorded_headers_are_of_the_service(recordings):
    if recordings is None:
        pytest.skip("recordings are not here: set GALCNN_DATA to the folder that holds services/")
    header = fits.getheader(recordings / "services/panstarrs_fitscut/PS1_g.fits")
    assert (header["FPA.ZP"], header["EXPTIME"], header["PC001001"]) == (25.0, 860.0, -1.0)
