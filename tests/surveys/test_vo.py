"""SIA2, SIA1, DataLink and SODA through the real pyvo, against recorded answers of a real server."""

import io
import re

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io.votable import from_table, writeto
from astropy.table import Column, Table

from galcnn.errors import BadResponseError, CoverageError, DownloadError
from galcnn.files import load_cutout
from galcnn.surveys import Limits
from galcnn.surveys.survey import RemoteSurvey
from galcnn.surveys.vo import VOSurvey, _Found
from galcnn.testing import check_survey
from tests.surveys.dachs.coadds import AT_THE_EDGE, FLUX, GALAXIES, MIDDLE
from tests.surveys.servers import TRANSPORT_FAULTS, Reply, Server, connection_reset
from tests.surveys.vo_server import SIA1, SIA2, vo_server

FAST = Limits(idle=0.4, total=2.5, tries=2, pause=0.05)
NOWHERE = MIDDLE.directional_offset_by(0 * u.deg, 1 * u.deg)


@pytest.fixture
def service():
    server, has = vo_server()
    with server:
        yield server, has


def survey_of(server, path=SIA2, limits=None, **options):
    options = {"filters": "g,r", "arcsec": 0.5, **options}
    return VOSurvey(server.url + path, limits=limits or Limits(), **options)


@pytest.mark.parametrize(
    ("path", "protocol"), [(SIA2, "auto"), (f"{SIA2}/siap2.xml", "sia2"), (SIA1, "auto"), (SIA1, "sia1")]
)
@pytest.mark.parametrize("soda", [True, False], ids=["SODA", "whole"])
def test_images_are_found_cut_and_placed(path, protocol, soda, service):
    server, has = service
    has.soda = soda
    if not soda:  # neither the resource in the answer nor what it points to
        has.edit = lambda text: re.sub(r'<RESOURCE[^>]*type="meta".*?</RESOURCE>', "", text, flags=re.DOTALL)
    survey = survey_of(server, path, protocol=protocol)
    for galaxy in GALAXIES:
        cutout = survey.cutout(galaxy, 30 * u.arcsec, ("r", "g"))
        assert (cutout.bands, cutout.shape, cutout.unit) == (("r", "g"), (60, 60), u.nJy)
        assert (cutout.flux - 1).sum(axis=(1, 2)) == pytest.approx([FLUX["r"], FLUX["g"]], rel=1e-4)
        y, x = np.unravel_index(np.argmax(cutout.flux[0]), (60, 60))
        assert cutout.wcs.pixel_to_world(x, y).separation(galaxy) < 0.4 * u.arcsec
    assert any("CIRCLE" in path for path in server.requests if "dlget" in path) == soda
    assert any("/getproduct/" in path for path in server.requests) == (not soda)
    assert any("capabilities" in path for path in server.requests) == (protocol == "auto")


@pytest.mark.parametrize("path", [SIA2, SIA1])
def test_what_is_clipped_at_the_edge_is_nan_and_the_centre_stays(path, service):
    server, _ = service
    cutout = survey_of(server, path).cutout(AT_THE_EDGE, 30 * u.arcsec)
    seen = np.isfinite(cutout.flux[0]).all(axis=0)
    # The galaxy is 5 arcsec, 10 pixels, from the edge of the coadd, which is east: on the left.
    assert seen.tolist() == [i >= 20 for i in range(60)]
    x, y = cutout.wcs.world_to_pixel(AT_THE_EDGE)
    assert max(abs(x - 29.5), abs(y - 29.5)) <= 0.5
    assert cutout.meta["coverage"]["g"] == pytest.approx(2 / 3, abs=1e-3)


@pytest.mark.parametrize("path", [SIA2, SIA1])
def test_outside_is_not_covered(path, service):
    server, _ = service
    with pytest.raises(CoverageError, match="has observed in g"):
        survey_of(server, path).cutout(NOWHERE, 30 * u.arcsec)


def test_an_empty_204_is_not_covered(service):
    """The table lists the image, SODA says that nothing of it is there."""
    server, _ = service
    just_off = MIDDLE.directional_offset_by(90 * u.deg, 175 * u.arcsec)
    with pytest.raises(CoverageError):
        survey_of(server).cutout(just_off, 30 * u.arcsec)
    assert any("dlget" in path for path in server.requests) or any("POS" in path for path in server.requests)


def test_the_side_along_right_ascension_is_in_its_own_degrees(service):
    server, _ = service
    said = survey_of(server, SIA1, protocol="sia1").requests(MIDDLE, 30 * u.arcsec)[0]
    along_ra, along_dec = (float(x) for x in re.search(r"SIZE=([\d.]+)%2C([\d.]+)", said).groups())
    assert along_dec == pytest.approx(32 / 3600)
    assert along_ra == pytest.approx(along_dec / np.cos(MIDDLE.dec.rad))
    pole = SkyCoord(0, 89.9999999, unit="deg")
    said = survey_of(server, SIA1, protocol="sia1").requests(pole, 30 * u.arcsec)[0]
    assert "SIZE=360" in said


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda text: text[: len(text) // 2], "a whole VOTable"),
        (lambda text: text.replace('value="OK"', 'value="ERROR"'), "understands|a list of images"),
        (lambda text: text.replace("<TD>", "<TX>"), "understands"),
        (lambda text: "<html></html>", "a whole VOTable"),
    ],
    ids=["half", "error", "broken XML", "HTML"],
)
def test_tables_that_are_none_are_refused(edit, said, service):
    server, has = service
    survey = survey_of(server, f"{SIA2}/siap2.xml", protocol="sia2")
    has.edit = edit
    with pytest.raises(BadResponseError, match=said):
        survey.cutout(MIDDLE, 30 * u.arcsec)


def test_another_pixel_scale_is_refused(service):
    server, _ = service
    with pytest.raises(BadResponseError, match="pixel"):
        survey_of(server, arcsec=0.4).cutout(MIDDLE, 30 * u.arcsec)


@pytest.mark.parametrize(
    "where",
    [
        "dlget",
        *(pytest.param(part, marks=pytest.mark.full) for part in ("siap2.xml", "dlmeta", "capabilities")),
    ],
)
@pytest.mark.parametrize("fault", TRANSPORT_FAULTS, ids=lambda fault: fault.__name__)
def test_every_fault_is_a_download_error_in_time(fault, where, service, fault_table):
    server, _ = service
    with server.failing(fault, where=where), pytest.raises(DownloadError) as caught:
        survey_of(server, limits=FAST).cutout(MIDDLE, 30 * u.arcsec)
    assert any(where in path for path in server.requests)
    fault_table.append((f"VO {where}", fault.__name__, f"{caught.typename}: {caught.value}"))


def test_an_archive_that_answers_with_cutouts_and_lists_masks(real_data):
    """As NOIRLab does: SIA1 whose addresses are cutouts, masks and weights among the images."""
    folder = real_data / "services/des_sia_noirlab"
    middle = load_cutout(folder / "DES_g.fits").position

    def column(name, values, ucd):
        found = Column(values, name=name)
        found.meta["ucd"] = ucd
        return found

    def respond(path, query):
        if path.endswith(".fits"):
            return Reply((folder / path.rpartition("/")[2]).read_bytes())
        if "capabilities" in path:
            return Reply(b"not here", "text/plain", 404)
        rows = [("g", "image"), ("g", "dqmask"), ("r", "image"), ("r", "wtmap")]
        files = [f"DES_{band}.fits" if kind == "image" else "mask.fits" for band, kind in rows]
        table = Table(
            [
                Column([f"{server.url}/svc/{name}" for name in files], name="access_url"),
                Column(["image/fits"] * 4, name="access_format"),
                Column([f"{band} DECam SDSS c0001" for band, _ in rows], name="obs_bandpass"),
                Column([kind for _, kind in rows], name="prodtype"),
                Column([middle.ra.deg] * 4, name="s_ra"),
                Column([middle.dec.deg] * 4, name="s_dec"),
            ]
        )
        votable = from_table(table)
        ucds = ("VOX:Image_AccessReference", "VOX:Image_Format", "VOX:BandPass_ID")
        for one, ucd in zip(votable.get_first_table().fields, ucds, strict=False):
            one.ucd = ucd
        out = io.BytesIO()
        writeto(votable, out)
        return Reply(out.getvalue(), "text/xml")

    with Server(respond) as server:
        survey = VOSurvey(f"{server.url}/sia/des_dr1", filters="g,r,i", arcsec=0.263)
        cutout = survey.cutout(middle, 40 * u.arcsec, ("g", "r"))
        with pytest.raises(CoverageError, match="observed in i"):
            survey.cutout(middle, 40 * u.arcsec, ("i",))
    for plane, band in zip(cutout.flux, "gr", strict=True):
        expected = load_cutout(folder / f"DES_{band}.fits").flux[0, 44:196, 44:196]
        assert plane == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("path", [SIA2, SIA1])
def test_it_keeps_the_contract(path, service):
    server, _ = service
    check_survey(survey_of(server, path), GALAXIES[1], width=30 * u.arcsec, outside=NOWHERE)


def test_options_are_checked():
    assert isinstance(VOSurvey(), RemoteSurvey)
    for wrong in ({"filters": ""}, {"arcsec": 0.0}, {"protocol": "tap"}, {"server": "x"}):
        with pytest.raises(ValueError, match="Expected"):
            VOSurvey(**wrong)


@pytest.mark.remote_data
def test_the_live_archive_gives_an_image():
    cutout = VOSurvey().cutout(SkyCoord(27.952, 0.2635, unit="deg"), 40 * u.arcsec, ("g",))
    assert np.isfinite(cutout.flux).mean() > 0.9


def test_a_service_that_was_down_at_first_is_asked_again_what_it_speaks(service):
    server, _ = service
    survey = survey_of(server, limits=FAST)
    with server.failing(connection_reset, where="capabilities"), pytest.raises(DownloadError, match="capab"):
        survey.cutout(MIDDLE, 30 * u.arcsec)
    assert survey.cutout(MIDDLE, 30 * u.arcsec).shape == (60, 60)


@pytest.mark.parametrize(
    ("column", "band", "same"),
    [
        ("g", "g", True),
        ("g DECam SDSS c0001 4720.0 1520.0", "g", True),
        ("Johnson V", "V", True),
        ("Johnson V", "Johnson V", True),
        ("Johnson V", "B", False),
        ("SDSS r", "r", True),
        ("VR DECam c0007 6300.0 2600.0", "r", False),
    ],
)
def test_the_filter_column_is_read_as_the_filter_of_a_header(column, band, same):
    found = _Found(None, "", "image/fits", column, "", None)
    assert found.is_in(band, ("g", "r", "V", "B")) is same
