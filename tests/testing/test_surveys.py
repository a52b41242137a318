"""The conformance test passes what is right, and finds each thing that is wrong."""

from dataclasses import dataclass, replace
from functools import cached_property

import astropy.units as u
import numpy as np
import pytest

from galcnn.errors import DownloadError
from galcnn.surveys import SimulatedSurvey
from galcnn.testing import check_survey

WIDTH = 25.6 * u.arcsec


@dataclass(frozen=True)
class Right:
    """A survey of one galaxy that is done right; each twin below has one fault."""

    name: str = "right"
    bands: tuple[str, ...] = ("g", "r")
    pixel_scale: u.Quantity = 0.4 * u.arcsec

    @cached_property
    def _sky(self):
        return SimulatedSurvey(n_galaxies=4)

    def cutout(self, position, width, bands=None):
        found = self._sky.cutout(position, width, self.bands if bands is None else bands)
        return self.change(replace(found, survey=self.name))

    def change(self, cutout):
        return cutout


WHERE = SimulatedSurvey(n_galaxies=4).catalog.positions[0]


def twin(**own):
    made = type("Twin", (Right,), own)
    made.__module__ = __name__
    globals()["Twin"] = made  # so that it can be pickled
    return made(**{key: own[key] for key in ("name", "bands", "pixel_scale") if key in own})


def test_a_right_survey_passes():
    check_survey(Right(), WHERE, width=WIDTH)


def moved(cutout):
    wcs = cutout.wcs.deepcopy()
    wcs.wcs.crpix += 3
    return replace(cutout, wcs=wcs)


def flipped(cutout):
    return replace(cutout, flux=cutout.flux[:, ::-1].copy(), sigma=None, mask=None)


def answers(error):
    def cutout(self, position, width, bands=None):
        try:
            return Right.cutout(self, position, width, bands)
        except ValueError:
            if error is not None:
                raise error("something") from None
            return Right.cutout(self, WHERE, WIDTH, self.bands)

    return cutout


class Fickle(Right):
    def change(self, cutout):
        return replace(cutout, flux=cutout.flux + np.random.default_rng().normal(size=cutout.flux.shape))


FAULTS = {
    "name is ''": {"name": ""},
    "bands are": {"bands": ("g", "g")},
    "not a positive angle": {"pixel_scale": 0.4},
    "gives a dict": {"change": lambda self, cutout: {}},
    "not all of them": {"change": lambda self, c: replace(c, bands=("a", "b"))},
    "survey is 'other'": {"change": lambda self, c: replace(c, survey="other")},
    "pixels from the middle": {"change": lambda self, c: moved(c)},
    "no WCS": {"change": lambda self, c: replace(c, wcs=None)},
    "position is not": {"change": lambda self, c: replace(c, position=None)},
    "not nJy": {"change": lambda self, c: replace(c, unit=u.Jy)},
    "all pixels are NaN": {"change": lambda self, c: replace(c, flux=c.flux * np.nan)},
    "all pixels are the same": {"change": lambda self, c: replace(c, flux=c.flux * 0)},
    "but that of the image": {"pixel_scale": 0.41 * u.arcsec},
    "are 32.0 pixels": {"pixel_scale": 0.8 * u.arcsec},
    "the same question gives another image": {"change": Fickle.change},
    "other pixels than when asked for all": {
        "change": lambda self, c: replace(c, flux=c.flux * len(c.bands))
    },
    "upside down": {"change": lambda self, c: flipped(c)},
    "an unknown band is answered": {"cutout": answers(None)},
    "a width of 0 raises DownloadError": {"cutout": answers(DownloadError)},
    "cannot be saved": {"change": lambda self, c: replace(c, meta={"self": self})},
    "its repr differs": {"__repr__": lambda self: object.__repr__(self)},
    "cannot be sent": {"__reduce__": lambda self: (lambda: None, ())},
}


@pytest.mark.parametrize("words", FAULTS)
def test_each_fault_is_found(words):
    with pytest.raises(AssertionError, match=words):
        check_survey(twin(**FAULTS[words]), WHERE, width=WIDTH)


def test_a_place_outside_must_be_said_to_be_outside():
    with pytest.raises(AssertionError, match="a place outside is answered: raise CoverageError"):
        check_survey(Right(), WHERE, width=WIDTH, outside=WHERE)


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ({"requests": lambda self, *a: ()}, "not a tuple of addresses"),
        ({"requests": lambda self, *a: ("http://elsewhere/x",)}, "other places than its server"),
        ({"requests": lambda self, *a: ("http://here/x",)}, "url, time and sha256"),
    ],
)
def test_a_survey_that_asks_a_service_says_what_it_asks(own, words):
    with pytest.raises(AssertionError, match=words):
        check_survey(twin(server="http://here", **own), WHERE, width=WIDTH)
