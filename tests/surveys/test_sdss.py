"""SDSS frames through the real client: flux, noise, PSF and place by value; nothing false gets through."""

import io

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from scipy.stats import median_abs_deviation

from galcnn.errors import BadResponseError, CoverageError, DownloadError
from galcnn.photometry.units import NANOMAGGY
from galcnn.surveys import Limits, open_survey
from galcnn.surveys.http import Answer
from galcnn.surveys.sdss import Field, SDSSSurvey, read_frame
from galcnn.surveys.survey import RemoteSurvey
from galcnn.testing import check_survey
from tests.surveys.sdss_server import (
    DARK,
    FLUX,
    GAIN,
    GALAXY,
    SKY,
    WIDTH,
    calibration,
    eigenimages,
    frame,
    sdss_server,
)
from tests.surveys.servers import TRANSPORT_FAULTS

FAST = Limits(idle=0.4, total=3.0, tries=2, pause=0.05)


@pytest.fixture
def service():
    frame(18, "r")  # made before anybody waits for it
    server, has = sdss_server()
    with server:
        yield server, has


def survey_of(server, *, limits=None, **options):
    return SDSSSurvey(server=server.url, database=server.url, limits=limits or Limits(), **options)


def test_flux_place_noise_and_psf_are_those_of_the_frames(service):
    server, _ = service
    cutout = survey_of(server).cutout(GALAXY, 30 * u.arcsec, ("r", "g"))
    assert (cutout.bands, cutout.shape, cutout.unit) == (("r", "g"), (76, 76), u.nJy)
    # All of the galaxy, in nJy; g was moved by a part of a pixel, which conserves it.
    assert cutout.flux.sum(axis=(1, 2)) == pytest.approx(FLUX * NANOMAGGY.to(u.nJy), rel=1e-3)
    for plane in cutout.flux:
        y, x = np.mgrid[:76, :76]
        peak = cutout.wcs.pixel_to_world((plane * x).sum() / plane.sum(), (plane * y).sum() / plane.sum())
        assert peak.separation(GALAXY) < 0.02 * u.arcsec
    steps = {part["bands"][0]: [step["step"] for step in part["geometry"]] for part in cutout.meta["parts"]}
    assert steps == {"r": ["window"], "g": ["window", "align"]}
    # dn = flux / c + sky; variance = dn / gain + dark variance, in counts squared.
    corner_x = 900 - 38
    c = calibration()[corner_x]
    expected = np.sqrt(SKY / GAIN + DARK) * c * 3631
    assert cutout.sigma[0, 0, 0] == pytest.approx(expected, rel=2e-3)
    peak_counts = FLUX / (2 * np.pi * WIDTH**2) / calibration()[900] + SKY
    expected = np.sqrt(peak_counts / GAIN + DARK) * calibration()[900] * 3631
    assert cutout.sigma[0].max() == pytest.approx(expected, rel=2e-3)
    # Eigenimages weighted at row 800: 1 and 0.2 * 0.8.
    core, wings = eigenimages()
    psf = core + 0.16 * wings
    ny = (cutout.psf.shape[1] - 51) // 2  # that of g was turned a little, and so grew
    assert cutout.psf[0, ny : ny + 51, ny : ny + 51] == pytest.approx(psf / psf.sum(), abs=1e-5)
    assert cutout.meta["psf_source"] == "psField of the field, at the position"
    assert cutout.meta["field"] == {"run": 2125, "rerun": 301, "camcol": 1, "field": 19}


def test_of_several_fields_the_one_that_holds_the_whole_cutout_is_taken(service):
    """Field 18 has the better score, but the galaxy is 18 pixels from its edge."""
    server, has = service
    assert survey_of(server).cutout(GALAXY, 10 * u.arcsec, ("r",)).meta["field"]["field"] == 18
    assert survey_of(server).cutout(GALAXY, 30 * u.arcsec, ("r",)).meta["field"]["field"] == 19
    del has.fields[19]
    cut = survey_of(server).cutout(GALAXY, 30 * u.arcsec, ("r",))
    assert cut.meta["field"]["field"] == 18
    # 38 columns before the galaxy's, it and 17 after it: the rest is beyond the edge.
    assert np.isfinite(cut.flux[0]).all(axis=0).tolist() == [i < 56 for i in range(76)]
    assert cut.mask[0, 0, -1]


def test_without_a_psfield_file_the_psf_is_a_moffat_of_the_fields_width(service):
    server, has = service
    has.psf = False
    for survey in (survey_of(server), survey_of(server, psf=False)):
        cutout = survey.cutout(GALAXY, 10 * u.arcsec, ("r",))
        assert cutout.meta["psf_source"] == "Moffat of the field's width, arcsec: 1.300"
        middle = cutout.psf[0].shape[0] // 2
        half = cutout.psf[0][middle] > cutout.psf[0].max() / 2
        assert half.sum() * 0.396 == pytest.approx(1.3, abs=0.4)
    assert len(cutout.meta["requests"]) == 2  # the table and a frame


def test_beyond_the_fields_is_not_covered(service):
    server, _ = service
    with pytest.raises(CoverageError, match="SDSS DR17 has observed"):
        survey_of(server).cutout(SkyCoord(10, 60, unit="deg"), 10 * u.arcsec, ("r",))


def test_a_stale_place_or_another_band_is_refused(service):
    server, has = service
    has.stale = True
    with pytest.raises(BadResponseError, match="where the database has its field"):
        survey_of(server).cutout(GALAXY, 10 * u.arcsec, ("r",))
    has.stale, has.header_band = False, "g"
    with pytest.raises(BadResponseError, match="filter='g'"):
        survey_of(server).cutout(GALAXY, 10 * u.arcsec, ("r",))


@pytest.mark.parametrize("fault", TRANSPORT_FAULTS, ids=lambda fault: fault.__name__)
@pytest.mark.parametrize(
    "where", ["/frames/", *(pytest.param(part, marks=pytest.mark.full) for part in ("x_results", "psField"))]
)
def test_every_fault_is_a_download_error_in_time(fault, where, service, fault_table):
    server, _ = service
    with server.failing(fault, where=where), pytest.raises(DownloadError) as caught:
        survey_of(server, limits=FAST).cutout(GALAXY, 10 * u.arcsec, ("r",))
    assert any(where in path for path in server.requests)
    fault_table.append((f"SDSS {where.strip('/')}", fault.__name__, f"{caught.typename}: {caught.value}"))


def test_it_says_what_it_would_ask(service):
    server, _ = service
    survey = open_survey("sdss", server="http://mirror.test", options={"database": "http://db.test"})
    assert isinstance(survey, RemoteSurvey)
    said = survey.requests(GALAXY, 10 * u.arcsec, ("g", "r"))
    assert said[0].startswith("http://db.test/dr17/en/tools/search/x_results.aspx?cmd=+SELECT+run")
    assert said[2] == "http://mirror.test/dr17/<...>/frame-g-<run>-<camcol>-<field>.fits.bz2"
    assert len(said) == 4
    assert not server.requests


def test_the_sigma_of_a_real_frame_is_the_scatter_of_its_sky(real_data):
    """Gain and dark variance of camcol 1 in r and i, from the data model of the frame files."""
    for band, gain, dark in (("r", 4.71, 1.8225), ("i", 5.165, 7.84)):
        path = real_data / "services/native_archive_cutouts" / f"2010H__SDSS__SDSS_{band}.fits"
        with fits.open(path) as hdulist:
            whole = np.zeros((1489, 2048), "f4")
            whole[133:1033, 121:1021] = hdulist[0].data
            header = hdulist[0].header.copy()
            header["CRPIX1"], header["CRPIX2"] = 1025, 745
            out = io.BytesIO()
            fits.HDUList([fits.PrimaryHDU(whole, header), *hdulist[1:3]]).writeto(out)
        middle = SkyCoord(header["CRVAL1"], header["CRVAL2"], unit="deg")
        field = Field(2125, 301, 1, 18, middle, {band: 1.3}, {band: gain}, {band: dark})
        frame = read_frame(Answer("test:", 200, out.getvalue(), "", ""), field, band)
        sky = frame.flux[0, 133:1033, 121:1021]
        # Of neighbours, which have the sky and the light of most sources in common.
        scatter = median_abs_deviation(np.diff(sky, axis=1), axis=None, scale="normal") / np.sqrt(2)
        assert scatter == pytest.approx(np.median(frame.sigma[0, 133:1033, 121:1021]), rel=0.05)


@pytest.mark.full
def test_it_keeps_the_contract(service):
    server, _ = service
    check_survey(survey_of(server), GALAXY, width=25 * u.arcsec, outside=SkyCoord(10, 60, unit="deg"))


@pytest.mark.remote_data
def test_the_live_survey_gives_a_galaxy():
    where = SkyCoord(184.7397, 47.3040, unit="deg")  # NGC 4258
    cutout = SDSSSurvey().cutout(where, 60 * u.arcsec, ("g", "r"))
    assert cutout.flux[:, 70:80, 70:80].mean() > 10 * np.median(cutout.sigma)
