"""The live services. Run by ``pytest -m remote_data`` where there is a network; never by ``make test``."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from galcnn.errors import BadResponseError, CoverageError
from galcnn.surveys.hips import HipsSurvey
from galcnn.surveys.legacy import LegacySurvey
from galcnn.surveys.panstarrs import PanStarrs
from galcnn.testing import check_survey

pytestmark = pytest.mark.remote_data
#: NGC 4536, in all of the surveys.
SPIRAL = SkyCoord(188.613, 2.188, unit="deg")
SOUTH = SkyCoord(0, -89, unit="deg")
WIDTH = 60 * u.arcsec


def test_legacy():
    check_survey(LegacySurvey("ls-dr9"), SPIRAL, width=WIDTH, outside=SOUTH)
    with pytest.raises(BadResponseError):
        LegacySurvey("ls-dr99", filters="grz").cutout(SPIRAL, WIDTH)


def test_panstarrs():
    check_survey(PanStarrs(), SPIRAL, width=WIDTH, outside=SOUTH)


def test_hips():
    check_survey(HipsSurvey(sky=False), SPIRAL, width=WIDTH)
    with pytest.raises(CoverageError):
        HipsSurvey("CDS/P/SDSS9/g", arcsec=0.4).cutout(SOUTH, WIDTH)


def test_legacy_and_panstarrs_see_one_galaxy():
    ours = [
        s.cutout(SPIRAL, WIDTH, ("g", "r", "z")) for s in (LegacySurvey("ls-dr9", psf=False), PanStarrs())
    ]
    totals = [np.nansum(cutout.flux, axis=(1, 2), dtype=float) for cutout in ours]
    assert totals[0] / totals[1] == pytest.approx([1, 1, 1], rel=0.15)
