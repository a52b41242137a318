"""Surveys are opened by name, with options in words."""

import pytest

from galcnn.errors import PluginError
from galcnn.surveys import Survey, open_survey
from galcnn.surveys.legacy import LegacySurvey
from galcnn.surveys.survey import RemoteSurvey


def test_options_are_read_as_what_their_defaults_are():
    survey = open_survey("legacysurvey", server="http://mirror/v", options={"layer": "ls-dr9", "psf": "no"})
    assert survey == LegacySurvey("ls-dr9", psf=False, server="http://mirror/v")
    assert isinstance(survey, RemoteSurvey)
    assert isinstance(open_survey("simulated"), Survey)
    assert not isinstance(open_survey("simulated"), RemoteSurvey)
    assert open_survey("hips", options={"arcsec": "0.5"}).arcsec == 0.5


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("legacysurvey", {"options": {"Layer": "x"}}, "option of the survey 'legacysurvey': layer, filters"),
        ("legacysurvey", {"options": {"limits": "3"}}, r"layer, filters, psf, server\. Received"),
        ("legacysurvey", {"options": {"psf": "perhaps"}}, "true or false"),
        ("hips", {"options": {"arcsec": "wide"}}, "a number"),
        ("simulated", {"server": "http://x"}, "uses no server"),
    ],
)
def test_wrong_options_are_named(name, given, words):
    with pytest.raises(ValueError, match=words):
        open_survey(name, **given)


def test_an_unknown_survey_gets_a_hint():
    with pytest.raises(PluginError, match="Did you mean 'legacysurvey'"):
        open_survey("legacysurveys")


def test_limits_do_not_decide_what_an_image_is():
    from galcnn.surveys import Limits

    assert "limits" not in repr(LegacySurvey(limits=Limits(total=5)))
