"""The recorded answer of MAST, cut anew around what is asked for; its JSON in place of a zip."""

import io
import json
import zipfile
from importlib.resources import files

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.errors import BadResponseError, CoverageError, DownloadError
from galcnn.surveys import Limits
from galcnn.surveys.mast import HapcutSurvey, ZcutSurvey
from galcnn.surveys.survey import RemoteSurvey
from galcnn.testing import check_survey
from tests.surveys.servers import TRANSPORT_FAULTS, Reply, Server

RECORDED = files("astroquery.mast") / "tests/data/astrocut_189.49206_62.20615_100x100px_f.zip"
PLACE = SkyCoord(189.49206, 62.20615, unit="deg")
FAST = Limits(idle=0.4, total=2.5, tries=2, pause=0.05)
FILTERS = ("F606W", "F814W", "F850LP")


def recorded():
    with zipfile.ZipFile(io.BytesIO(RECORDED.read_bytes())) as packed:
        (name,) = packed.namelist()
        return name, packed.read(name)


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as packed:
        for name, content in members.items():
            packed.writestr(name, content)
    return out.getvalue()


class Mast:
    def __init__(self):
        self.body = RECORDED.read_bytes()

    def respond(self, path, query):
        assert path in ("/zcut/api/v0.1/astrocut", "/hapcut/api/v0.1/astrocut")
        return Reply(self.body, "application/zip")


@pytest.fixture
def service():
    has = Mast()
    with Server(has.respond) as server:
        yield server, has


def zcut(server, limits=None):
    return ZcutSurvey(server=server.url, limits=limits or Limits())


def test_the_recorded_cutout_has_its_bands_place_and_flux(service):
    server, _ = service
    cutout = zcut(server).cutout(PLACE, 2.4 * u.arcsec, ("F814W", "F606W"))
    assert (cutout.bands, cutout.shape, cutout.unit) == (("F814W", "F606W"), (80, 80), u.nJy)
    _, content = recorded()
    with fits.open(io.BytesIO(content)) as hdulist:
        by_filter = {hdu.header["ORIG_FLE"].split("_")[5].upper(): hdu for hdu in hdulist[1:]}
        for plane, band in zip(cutout.flux, cutout.bands, strict=True):
            header = by_filter[band].header
            # The zero point in the AB system: -2.5 log10(PHOTFLAM) - 5 log10(PHOTPLAM) - 2.408.
            zero = -2.5 * np.log10(header["PHOTFLAM"]) - 5 * np.log10(header["PHOTPLAM"]) - 2.408
            factor = 3631e9 * 10 ** (-0.4 * zero)
            i, j = (round(float(p) - 39.5) for p in WCS(header).world_to_pixel(PLACE))
            expected = by_filter[band].data[j : j + 80, i : i + 80] * factor
            assert plane == pytest.approx(expected, rel=2e-3, abs=1e-3)
    x, y = cutout.wcs.world_to_pixel(PLACE)
    assert max(abs(x - 39.5), abs(y - 39.5)) <= 0.5
    assert "f814w" in cutout.meta["products"][0]
    assert len(cutout.meta["requests"]) == len(server.requests) == 1


def test_hapcut_takes_of_several_products_in_a_filter_the_fullest(service):
    server, has = service
    name, content = recorded()
    with fits.open(io.BytesIO(content)) as hdulist:
        hdulist[2].data[:, :40] = np.nan
        hdulist[1].data[:] = np.nan
        out = io.BytesIO()
        hdulist.writeto(out)
    # A product of the same filter with other pixels comes first, then one with holes.
    with fits.open(io.BytesIO(content)) as hdulist:
        for hdu in hdulist[1:]:
            hdu.header["CD1_1"] *= 4
            hdu.header["CD2_2"] *= 4
        coarse = io.BytesIO()
        hdulist.writeto(coarse)
    has.body = zipped({"coarse.fits": coarse.getvalue(), "holes.fits": out.getvalue(), name: content})
    survey = HapcutSurvey("F606W,F814W", arcsec=0.03, server=server.url)
    cutout = survey.cutout(PLACE, 2.4 * u.arcsec)
    assert np.isfinite(cutout.flux).all()
    assert cutout.bands == ("F606W", "F814W")


@pytest.mark.parametrize("said", [{"msg": "No cutouts found", "results": []}, {"msg": "Missing HAP files"}])
def test_a_json_message_that_there_is_nothing_is_not_covered(said, service):
    server, has = service
    has.body = json.dumps(said).encode()
    with pytest.raises(CoverageError, match="Hubble has observed"):
        zcut(server).cutout(PLACE, 2.4 * u.arcsec)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"msg": "Internal failure, try later", "results": []}',
        b"[1]",
        RECORDED.read_bytes()[:-40],
        RECORDED.read_bytes()[:3000],
        zipped({"a.fits": b"not fits"}),
        zipped({"a.fits": recorded()[1][:5000]}),
        zipped({}),
    ],
    ids=["empty", "other", "list", "no directory", "cut off", "no FITS", "half a FITS", "no file"],
)
def test_other_answers_are_refused(body, service):
    server, has = service
    has.body = body
    with pytest.raises(BadResponseError):
        zcut(server).cutout(PLACE, 2.4 * u.arcsec)


def test_a_place_or_a_filter_that_is_not_there_is_not_covered(service):
    server, _ = service
    with pytest.raises(CoverageError, match="F606W"):
        zcut(server).cutout(SkyCoord(189.6, 62.2, unit="deg"), 2.4 * u.arcsec)
    survey = ZcutSurvey(filters="F814W,F160W", server=server.url)
    with pytest.raises(CoverageError, match="F160W"):
        survey.cutout(PLACE, 2.4 * u.arcsec)


@pytest.mark.parametrize("fault", TRANSPORT_FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_a_download_error_in_time(fault, service, fault_table):
    server, _ = service
    for survey in (zcut(server, FAST), HapcutSurvey(server=server.url, limits=FAST)):
        with server.failing(fault), pytest.raises(DownloadError) as caught:
            survey.cutout(PLACE, 2.4 * u.arcsec)
        row = (" ".join(survey.name.split()[:2]), fault.__name__, f"{caught.typename}: {caught.value}")
        fault_table.append(row)


def test_they_say_what_they_would_ask():
    for survey, service in ((ZcutSurvey(), "zcut"), (HapcutSurvey(), "hapcut")):
        assert isinstance(survey, RemoteSurvey)
        (said,) = survey.requests(PLACE, 2.4 * u.arcsec)
        assert said.startswith(
            f"https://mast.stsci.edu/{service}/api/v0.1/astrocut?ra=189.49206&dec=62.20615"
        )
    for wrong in ({"filters": "F1,F1"}, {"arcsec": -1.0}, {"server": "x"}):
        with pytest.raises(ValueError, match="Expected"):
            ZcutSurvey(**wrong)


def test_they_keep_the_contract(service):
    server, _ = service
    away = SkyCoord(189.6, 62.2, unit="deg")
    check_survey(zcut(server), PLACE, width=1.5 * u.arcsec, outside=away)
    survey = HapcutSurvey("F606W,F814W", arcsec=0.03, server=server.url)
    check_survey(survey, PLACE, width=1.5 * u.arcsec, outside=away)


@pytest.mark.remote_data
def test_the_live_service_gives_what_was_recorded():
    cutout = ZcutSurvey().cutout(PLACE, 2.4 * u.arcsec, ("F814W",))
    assert np.isfinite(cutout.flux).all()
