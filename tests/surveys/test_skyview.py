"""SkyView's own form and page through the real client, and images with its quirks."""

import io
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.errors import BadResponseError, CoverageError, DownloadError
from galcnn.photometry.units import UNCALIBRATED
from galcnn.surveys import Limits
from galcnn.surveys.skyview import SkyViewSurvey
from galcnn.surveys.survey import RemoteSurvey
from galcnn.testing import check_survey
from tests.surveys.servers import TRANSPORT_FAULTS, Reply, Server

GALAXY = SkyCoord(150.1, 2.2, unit="deg")
FAST = Limits(idle=0.4, total=2.5, tries=2, pause=0.05)
FORM = (files("astroquery.skyview") / "tests/data/query_page.html").read_bytes()


class SkyView:
    """Makes an image of each survey that is ticked; the pages are recorded ones."""

    def __init__(self):
        self.missing, self.shape, self.links, self.blank = (), None, True, False
        self.made, self.galaxy = {}, False

    def respond(self, path, query):
        if path.endswith("basicform.pl"):
            return Reply(FORM, "text/html")
        if path.endswith("runquery.pl"):
            return Reply(self.page(query).encode(), "text/html")
        name = path.rpartition("/")[2]
        if name in self.missing:
            return Reply(b"<html>404 Not Found</html>", "text/html", 404)
        return Reply(self.made[name])

    def page(self, query):
        side, width = int(query["pixels"]), float(query["size"].split(",")[0])
        ra, dec = (float(x) for x in query["Position"].split())
        for i, name in enumerate(["one.fits", "two.fits"]):
            wcs = WCS(naxis=2)
            wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [ra, dec]
            wcs.wcs.cdelt, wcs.wcs.crpix = [-width / side, width / side], [(side + 1) / 2] * 2
            image = np.full(self.shape or (side, side), np.nan if self.blank else 7.0 + i)
            x0, y0 = wcs.world_to_pixel(GALAXY.fk5) if self.galaxy else (np.inf, np.inf)
            y, x = np.indices(image.shape)
            image += 50 * np.exp(-(((x - x0) / 4) ** 2 + ((y - y0) / 6) ** 2))
            out = io.BytesIO()
            fits.PrimaryHDU(image, wcs.to_header()).writeto(out)
            self.made[name] = out.getvalue()
        asked = parse_qs(urlsplit(self.server.requests[-1]).query)["survey"]
        names = [{"SDSSg": "one.fits", "SDSSr": "two.fits"}[survey] for survey in asked]
        links = [f"<a href='../../tempspace/fits/{name}'>FITS</a>" for name in names]
        return "".join(links if self.links else [])


@pytest.fixture
def service():
    has = SkyView()
    with Server(has.respond) as has.server:
        yield has.server, has


def survey_of(server, *, limits=None, surveys="SDSSg,SDSSr"):
    return SkyViewSurvey(surveys, server=f"{server.url}/current/cgi/basicform.pl", limits=limits or Limits())


def test_images_are_placed_named_and_said_to_be_uncalibrated(service):
    server, _ = service
    survey = survey_of(server)
    cutout = survey.cutout(GALAXY, 20 * u.arcsec, ("SDSSg", "SDSSr"))
    assert (cutout.bands, cutout.shape) == (("SDSSg", "SDSSr"), (50, 50))
    assert cutout.unit == UNCALIBRATED
    assert not cutout.calibrated
    assert cutout.flux.mean(axis=(1, 2)).tolist() == [7, 8]
    x, y = cutout.wcs.world_to_pixel(GALAXY)
    assert (float(x), float(y)) == pytest.approx((24.5, 24.5), abs=0.01)
    assert [one["url"].rpartition("/")[2] for one in cutout.meta["requests"]] == ["one.fits", "two.fits"]
    asked = len(server.requests)
    survey.cutout(GALAXY, 20 * u.arcsec, ("SDSSg", "SDSSr"))
    assert len(server.requests) == 2 * asked - 1  # the list of surveys is read once


def test_a_404_is_not_covered_and_an_empty_image_too(service):
    server, has = service
    has.missing = ("two.fits",)
    with pytest.raises(CoverageError, match="SDSSr has observed"):
        survey_of(server).cutout(GALAXY, 20 * u.arcsec)
    has.missing, has.blank = (), True
    with pytest.raises(CoverageError, match="at least one number"):
        survey_of(server).cutout(GALAXY, 20 * u.arcsec)


def test_what_is_not_what_was_asked_for_is_refused(service):
    server, has = service
    has.links = 0
    with pytest.raises(BadResponseError, match="2 images"):
        survey_of(server).cutout(GALAXY, 20 * u.arcsec)
    has.links, has.shape = True, (20, 20)
    with pytest.raises((BadResponseError, CoverageError)):
        survey_of(server).cutout(GALAXY, 20 * u.arcsec)
    with pytest.raises(BadResponseError, match="not among the surveys"):
        survey_of(server, surveys="No Such,SDSSr").cutout(GALAXY, 20 * u.arcsec)


@pytest.mark.parametrize(
    "where",
    ["tempspace", *(pytest.param(part, marks=pytest.mark.full) for part in ("basicform", "runquery"))],
)
@pytest.mark.parametrize("fault", TRANSPORT_FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_a_download_error_in_time(fault, where, service, fault_table):
    server, _ = service
    with server.failing(fault, where=where), pytest.raises(DownloadError) as caught:
        survey_of(server, limits=FAST).cutout(GALAXY, 20 * u.arcsec)
    assert any(where in path for path in server.requests)
    fault_table.append((f"SkyView {where.strip('/')}", fault.__name__, f"{caught.typename}: {caught.value}"))


def test_it_keeps_the_contract(service):
    server, has = service
    has.galaxy = True
    check_survey(survey_of(server), GALAXY, width=25 * u.arcsec)


def test_it_says_what_it_would_ask_and_checks_its_options():
    survey = SkyViewSurvey("DSS2 Red", arcsec=1.0)
    assert isinstance(survey, RemoteSurvey)
    said = survey.requests(GALAXY, 30 * u.arcsec)
    assert said[0] == "https://skyview.gsfc.nasa.gov/current/cgi/basicform.pl"
    assert "pixels=30" in said[1]
    for wrong in ({"surveys": ""}, {"arcsec": 0.0}, {"server": "ftp://x"}):
        with pytest.raises(ValueError, match="Expected"):
            SkyViewSurvey(**wrong)


@pytest.mark.remote_data
def test_the_live_service_gives_an_image():
    cutout = SkyViewSurvey("DSS2 Red", arcsec=1.0).cutout(GALAXY, 60 * u.arcsec)
    assert np.isfinite(cutout.flux).all()
