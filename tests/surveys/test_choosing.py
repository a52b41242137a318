from dataclasses import dataclass, field

import astropy.units as u
import pytest

from galcnn import plugins
from galcnn.errors import PluginError
from galcnn.surveys.choosing import open_survey, options_of
from galcnn.surveys.simulated import SimulatedSurvey


@dataclass(frozen=True)
class Many:
    server: str
    layer: str = "dr10"
    tries: int = 3
    scale: u.Quantity = 0.262 * u.arcsec
    bands: tuple[str, ...] = ("g",)
    deep: bool = False
    rate: float | None = None
    inner: object = field(default_factory=dict)


def test_words_become_what_the_fields_are(monkeypatch):
    monkeypatch.setattr(plugins, "load", lambda group, name: Many)
    words = {
        "server": "http://x",
        "tries": "5",
        "scale": "1arcmin",
        "bands": "g,r",
        "deep": "yes",
        "rate": "2",
    }
    survey = open_survey("many", words)
    assert survey == Many("http://x", "dr10", 5, 1 * u.arcmin, ("g", "r"), True, 2.0)
    assert list(options_of(Many)) == ["server", "layer", "tries", "scale", "bands", "deep", "rate"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({}, "the option 'server' of many.*--option server="),
        ({"server": "x", "trys": "1"}, "Did you mean 'tries'"),
        ({"server": "x", "tries": "one"}, "a value of tries like 3"),
        ({"server": "x", "deep": "perhaps"}, "a value of deep"),
        ({"server": "x", "scale": "wide"}, "a value of scale"),
    ],
)
def test_words_that_mean_nothing_are_refused(words, said, monkeypatch):
    monkeypatch.setattr(plugins, "load", lambda group, name: Many)
    with pytest.raises(ValueError, match=said):
        open_survey("many", words)


def test_ours_open_by_name_and_others_are_named():
    assert open_survey("simulated", {"seed": "4"}) == SimulatedSurvey(seed=4)
    with pytest.raises(PluginError, match="simulated"):
        open_survey("simulatd")
    with pytest.raises(ValueError, match="seed, n_galaxies"):
        open_survey("simulated", {"server": "http://mirror"})
