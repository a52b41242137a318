"""Our own surveys keep the contract that plugins are held to."""

import astropy.units as u

from galcnn.surveys import SimulatedSurvey
from galcnn.surveys.hips import HipsSurvey
from galcnn.surveys.legacy import LegacySurvey
from galcnn.surveys.panstarrs import PanStarrs
from galcnn.testing import check_survey

WIDTH = 25.6 * u.arcsec


class FourBands(PanStarrs):
    """The recordings have no y."""

    bands = ("g", "r", "i", "z")


def test_simulated():
    survey = SimulatedSurvey(n_galaxies=30)
    far = survey.catalog.positions[0].directional_offset_by(0 * u.deg, 5 * u.deg)
    check_survey(survey, survey.catalog.positions[3], width=WIDTH, outside=far)


def test_legacy(legacy_server, legacy_material):
    middle = legacy_material.middle
    away = middle.directional_offset_by(0 * u.deg, 5 * u.deg)
    check_survey(LegacySurvey("ls-dr9", server=legacy_server.url), middle, width=WIDTH, outside=away)


def test_panstarrs(panstarrs_server, skycell_material):
    middle = skycell_material.middle
    south = middle.directional_offset_by(180 * u.deg, 50 * u.deg)
    check_survey(FourBands(server=panstarrs_server.url), middle, width=WIDTH, outside=south)


def test_hips(hips_server, legacy_material):
    middle = legacy_material.middle
    away = middle.directional_offset_by(0 * u.deg, 5 * u.deg)
    survey = HipsSurvey("CDS/P/Toy/g,CDS/P/Toy/r", arcsec=0.4, fwhm="1.3", server=hips_server.url)
    check_survey(survey, middle, width=WIDTH, outside=away)
