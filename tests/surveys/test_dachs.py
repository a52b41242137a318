"""A real VO server on this machine: `make test-vo` installs and starts it, then runs this."""

import os

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from galcnn.catalog import Catalog
from galcnn.errors import CoverageError
from galcnn.files import load_cutout
from galcnn.surveys import FetchSettings, fetch
from galcnn.surveys.vo import VOSurvey
from tests.surveys.dachs.coadds import AT_THE_EDGE, FLUX, GALAXIES, MIDDLE

SERVER = os.environ.get("GALCNN_DACHS", "")
pytestmark = pytest.mark.skipif(not SERVER, reason="no DaCHS: make test-vo installs and starts one")

SERVICES = {
    "SIA2": f"{SERVER}/__system__/siap2/sitewide",
    "SIA1": f"{SERVER}/galcnn/q/i/siap.xml",
}


@pytest.fixture(params=SERVICES)
def survey(request):
    return VOSurvey(SERVICES[request.param], filters="g,r", arcsec=0.5)


def test_flux_and_place_are_those_of_the_coadds(survey):
    for galaxy in GALAXIES:
        cutout = survey.cutout(galaxy, 30 * u.arcsec)
        assert (cutout.flux - 1).sum(axis=(1, 2)) == pytest.approx([FLUX["g"], FLUX["r"]], rel=1e-4)
        assert any("CIRCLE" in one["url"] for one in cutout.meta["requests"])


def test_the_edge_is_clipped_and_beyond_it_is_not_covered(survey):
    cutout = survey.cutout(AT_THE_EDGE, 30 * u.arcsec)
    assert np.isfinite(cutout.flux[0]).all(axis=0).tolist() == [i >= 20 for i in range(60)]
    with pytest.raises(CoverageError):
        survey.cutout(MIDDLE.directional_offset_by(0 * u.deg, 1 * u.deg), 30 * u.arcsec)


def test_a_catalog_is_fetched(survey, tmp_path):
    places = [*GALAXIES, AT_THE_EDGE, MIDDLE.directional_offset_by(0 * u.deg, 1 * u.deg)]
    ra, dec = ([getattr(p, axis).deg for p in places] * u.deg for axis in ("ra", "dec"))
    catalog = Catalog(QTable({"id": ["one", "two", "edge", "nowhere"], "ra": ra, "dec": dec}))
    report = fetch(catalog, survey, out=tmp_path, settings=FetchSettings(30 * u.arcsec))
    assert report.counts == {"fetched": 3, "not covered": 1, "failed": 0, "not tried": 0}
    assert load_cutout(tmp_path / "cutouts" / "two.fits").bands == ("g", "r")
