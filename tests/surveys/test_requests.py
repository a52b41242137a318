import astropy.units as u
import numpy as np
import pytest
from astropy.table import Column, MaskedColumn, QTable

from galcnn.catalog import Catalog
from galcnn.surveys import SimulatedSurvey
from galcnn.surveys.requests import checked_bands, identity, requests_of, widths_of


def catalog_of(column):
    return Catalog(QTable({"id": list("abc"[: len(column)]), "size": column}))


def test_widths_are_the_column_times_the_factor_in_its_unit():
    minutes = catalog_of([1.0, 2.0, 0.5] * u.arcmin)
    assert widths_of(minutes, "size", factor=1.5).to_value(u.arcsec).tolist() == [90, 180, 45]
    bare = catalog_of([1.0, 2.0, 0.5])
    assert widths_of(bare, "size", unit=u.arcmin).to_value(u.arcsec).tolist() == [60, 120, 30]


@pytest.mark.parametrize(
    "gap",
    [MaskedColumn([2.0, 3.0, 4.0], mask=[False, True, False]), Column([2.0, np.nan, 4.0]), [2.0, 0.0, 4.0]],
)
def test_gaps_take_the_default_or_are_unknown(gap):
    catalog = catalog_of(gap)
    found = widths_of(catalog, "size", unit=u.arcsec)
    assert np.isnan(found.value).tolist() == [False, True, False]
    filled = widths_of(catalog, "size", factor=2, unit=u.arcsec, default=1 * u.arcmin)
    assert filled.to_value(u.arcsec).tolist() == [4, 60, 8]


@pytest.mark.parametrize(
    ("column", "arguments", "said"),
    [
        ([1.0, 2.0], {}, "unit of the column 'size'.*--width-unit"),
        ([1.0, 2.0] * u.Jy, {}, "an angle in the column"),
        ([1.0, 2.0] * u.arcsec, {"unit": u.arcmin}, "the unit of the column 'size': arcsec"),
        ([1.0, 2.0] * u.arcsec, {"factor": 0.0}, "a positive factor"),
        (["x", "y"], {"unit": u.arcsec}, "numbers in the column"),
    ],
)
def test_what_is_no_width_is_refused(column, arguments, said):
    with pytest.raises(ValueError, match=said):
        widths_of(catalog_of(column), "size", **arguments)
    with pytest.raises(ValueError, match="a column 'none'"):
        widths_of(catalog_of(column), "none")


def test_bands_are_words_or_letters_and_checked():
    survey = SimulatedSurvey()
    assert checked_bands(None, survey) == ("g", "r", "i")
    assert checked_bands(("ig",), survey) == ("i", "g")
    for wrong in ((), ("z",), ("g", "g"), ("gg",), ("gz",)):
        with pytest.raises(ValueError, match="bands among"):
            checked_bands(wrong, survey)


def test_a_request_is_the_same_in_any_unit_and_another_for_anything_else():
    survey = SimulatedSurvey(n_galaxies=12)
    catalog = survey.catalog.select([0])
    (one,) = requests_of(catalog, survey, ("r",), width=60 * u.arcsec)
    (same,) = requests_of(catalog, survey, ("r",), width=1 * u.arcmin)
    assert one.hash == same.hash
    table = catalog.table.copy()
    table["ra"] += 0.01 * u.arcsec
    others = [
        requests_of(catalog, SimulatedSurvey(n_galaxies=13), ("r",), width=60 * u.arcsec),
        requests_of(catalog, survey, ("g",), width=60 * u.arcsec),
        requests_of(catalog, survey, ("r",), width=61 * u.arcsec),
        requests_of(Catalog(table), survey, ("r",), width=60 * u.arcsec),
        requests_of(catalog.with_column("redshift", [0.9]), survey, ("r",), width=60 * u.arcsec),
    ]
    hashes = {one.hash, *(other[0].hash for other in others)}
    assert len(hashes) == 6


def test_an_identity_holds_no_address_in_memory():
    class Plain:
        name = "plain"

    assert identity(Plain()) == identity(Plain())
    assert "SimulatedSurvey(seed=1, n_galaxies=600" in identity(SimulatedSurvey())


def test_widths_must_be_one_or_one_each():
    survey = SimulatedSurvey(n_galaxies=12)
    with pytest.raises(ValueError, match="one width, or 12"):
        requests_of(survey.catalog, survey, ("r",), width=[1, 2] * u.arcsec)
