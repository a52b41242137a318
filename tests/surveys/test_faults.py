"""Every fault of a service ends in a whole image or in an error of the right kind, in time.

What the user gets stands in a table at the end of the output.
"""

import time
from dataclasses import replace

import numpy as np
import pytest

from galcnn.errors import AuthRequiredError, BadResponseError, CoverageError, DownloadError
from galcnn.surveys import Limits
from galcnn.surveys.hips import HipsSurvey
from galcnn.surveys.legacy import LegacySurvey
from galcnn.surveys.panstarrs import PanStarrs
from tests.surveys import servers

#: For what takes its time; the rest may take as long as a busy machine needs.
QUICK = Limits(idle=0.3, total=0.6, tries=2, pause=0.02)
PATIENT = Limits(idle=20, total=60, tries=2, pause=0.02)
WHOLE = "the whole image"
OUTCOMES = {
    servers.web_page_503: DownloadError,
    servers.web_page_200: BadResponseError,
    servers.busy_429: DownloadError,
    servers.busy_for_an_hour: DownloadError,
    servers.truncated: DownloadError,
    servers.truncated_without_a_length: BadResponseError,
    servers.slow_drip: DownloadError,
    servers.drip_of_headers: DownloadError,
    servers.hang: DownloadError,
    servers.connection_reset: DownloadError,
    servers.zero_bytes: BadResponseError,
    servers.log_in_401: AuthRequiredError,
    servers.redirects_for_ever: BadResponseError,
    servers.gzip_of_the_transport: WHOLE,
    servers.gzip_file: WHOLE,
    servers.wrong_shape: BadResponseError,
    servers.wrong_bands: BadResponseError,
    servers.wrong_centre: BadResponseError,
    servers.wrong_pixel_scale: BadResponseError,
    servers.no_wcs: BadResponseError,
    servers.all_nan: CoverageError,
}
SLOW = (servers.hang, servers.slow_drip, servers.drip_of_headers, servers.busy_429)
MENDED = (servers.web_page_503, servers.truncated, servers.connection_reset, servers.hang)


def cases():
    """Service, which of its requests is spoiled, fault. The second requests run in `make test-full`."""
    for fault, expected in OUTCOMES.items():
        for service, where in (("legacysurvey", "fits-cutout"), ("panstarrs", "fitscut"), ("hips", "")):
            yield pytest.param(service, where, fault, expected, id=f"{service}-{fault.__name__}")
        if fault not in (*servers.IMAGE_FAULTS, servers.gzip_file):  # a list of files is no image
            words = ("panstarrs", "ps1filenames", fault, expected)
            yield pytest.param(*words, marks=pytest.mark.full, id=f"ps1filenames-{fault.__name__}")
        if fault is servers.all_nan or fault not in servers.IMAGE_FAULTS:  # a PSF has no place on the sky
            own = BadResponseError if fault is servers.all_nan else expected
            words = ("legacysurvey", "coadd-psf", fault, own)
            yield pytest.param(*words, marks=pytest.mark.full, id=f"coadd-psf-{fault.__name__}")


@pytest.fixture
def ask(request, legacy_material, skycell_material):
    """Give the server of a service, and a function that asks the survey for one image."""

    def of(service):
        if service == "legacysurvey":
            server, material = request.getfixturevalue("legacy_server"), legacy_material
            survey = LegacySurvey("ls-dr9", server=server.url)
        elif service == "panstarrs":
            server, material = request.getfixturevalue("panstarrs_server"), skycell_material
            survey = PanStarrs(server=server.url)
        else:
            server, material = request.getfixturevalue("hips_server"), legacy_material
            survey = HipsSurvey("CDS/P/Toy/g,CDS/P/Toy/r", arcsec=0.262, server=server.url)

        def cutout(limits=PATIENT):
            return replace(survey, limits=limits).cutout(material.middle, 33 * survey.pixel_scale, ("g", "r"))

        return server, cutout

    return of


SOUND = {}


def first_image(service, cutout):
    """What the service gives when nothing is wrong; asked for once, since it never changes."""
    if service not in SOUND:
        SOUND[service] = cutout()
    return SOUND[service]


def test_every_fault_has_an_outcome():
    assert {*servers.TRANSPORT_FAULTS, *servers.IMAGE_FAULTS} <= set(OUTCOMES)


@pytest.mark.parametrize(("service", "where", "fault", "expected"), list(cases()))
def test_what_the_user_gets(ask, service, where, fault, expected, fault_table):
    server, cutout = ask(service)
    sound = first_image(service, cutout)
    began = time.monotonic()
    with server.failing(fault, where=where):
        if expected is WHOLE:
            np.testing.assert_array_equal(cutout().flux, sound.flux)
            outcome = f"{WHOLE} ({len(server.requests)} requests)"
        else:
            with pytest.raises((DownloadError, CoverageError)) as caught:
                cutout(QUICK if fault in SLOW else PATIENT)
            assert type(caught.value) is expected
            outcome = f"{expected.__name__}: {caught.value}"
        assert server.spoiled > 0, "the fault was not tried"
    assert time.monotonic() - began < 30
    fault_table.append((f"{service} {where}", fault.__name__, outcome))
    # Nothing of it stays: the next answer is as before.
    if fault not in (servers.busy_for_an_hour, servers.busy_429):
        np.testing.assert_array_equal(cutout().flux, sound.flux)


@pytest.mark.parametrize("service", ["legacysurvey", "panstarrs", "hips"])
@pytest.mark.parametrize("fault", MENDED, ids=lambda fault: fault.__name__)
def test_what_mends_itself_gives_the_whole_image(ask, fault, service, fault_table):
    server, cutout = ask(service)
    sound = first_image(service, cutout)
    with server.failing(fault, times=1):
        found = cutout(replace(PATIENT, idle=0.5, tries=6) if fault is servers.hang else PATIENT)
        np.testing.assert_array_equal(found.flux, sound.flux)
        fault_table.append((service, f"{fault.__name__}, once", f"{WHOLE} ({len(server.requests)} requests)"))
