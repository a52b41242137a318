"""Classes are merged and dropped by name; vote fractions obey their sums, in tables of real votes too."""

import numpy as np
import pytest
from astropy.table import QTable

from galcnn.catalog import Catalog, read_catalog, relabel
from galcnn.catalog.labels import vote_fractions


def test_relabel_merges_and_drops():
    catalog = Catalog(QTable({"id": list("abcde"), "class": ["cw", "acw", "e", "star", "cw"]}))
    new = relabel(catalog, merge={"spiral": ["cw", "acw"]}, drop=["star"])
    assert new.ids == ["a", "b", "c", "e"]
    assert new.labels.tolist() == ["spiral", "spiral", "e", "spiral"]
    with pytest.raises(ValueError, match=r"unknown=\['ccw'\]"):
        relabel(catalog, merge={"spiral": ["ccw"]})
    with pytest.raises(ValueError, match="merged or dropped once"):
        relabel(catalog, merge={"spiral": ["cw"]}, drop=["cw"])


def test_merging_into_a_name_that_exists_keeps_both():
    catalog = Catalog(QTable({"id": list("abc"), "class": ["spiral", "cw", "e"]}))
    assert relabel(catalog, merge={"spiral": ["cw"]}).labels.tolist() == ["spiral", "spiral", "e"]


def test_galaxies_without_a_class_are_left_out_and_counted():
    catalog = Catalog(QTable({"id": list("abcde"), "class": ["cw", "", "barred spiral", "NaN", "cw"]}))
    assert catalog.classes == ("barred spiral", "cw")
    assert relabel(catalog, merge={"spiral": ["cw"]}).table["class"].tolist() == [
        "spiral",
        "",
        "barred spiral",
        "",
        "spiral",
    ]
    kept = catalog.labelled()
    assert kept.ids == ["a", "c", "e"]
    assert kept.labels.tolist() == ["cw", "barred spiral", "cw"]
    assert kept.table.meta["notes"] == ["Galaxies without a class were left out: 2."]
    assert kept.labelled() is kept


def votes(**columns):
    return Catalog(QTable({"id": ["a", "b", "c"]} | columns))


def test_fractions_of_a_question_are_given_in_the_order_asked():
    catalog = votes(yes=[0.25, 0.0, 1.0], no=[0.751, 0.0, 0.0])
    found = vote_fractions(catalog, ["no", "yes"])
    assert found[0].tolist() == [0.751, 0.25]  # as published: rounded to three digits
    assert np.isnan(found[1]).all()  # nobody was asked
    assert found[2].tolist() == [0.0, 1.0]


def test_cumulative_fractions_sum_to_their_parents():
    catalog = votes(disk=[0.4, 0.0, 1.0], yes=[0.1, 0.0, 0.25], no=[0.3, 0.0, 0.75])
    assert vote_fractions(catalog, ["yes", "no"], parent="disk")[1].tolist() == [0.0, 0.0]
    with pytest.raises(ValueError, match=r"that sum to 1\..*id='a'"):
        vote_fractions(catalog, ["yes", "no"])


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"yes": [0.5, 1.2, 0], "no": [0.5, -0.2, 1]}, "within 0 and 1.*id='b'.*n_wrong=1"),
        ({"yes": [50, 60, 1], "no": [50, 40, 0]}, "Divide counts by their total"),
        ({"yes": [0.5, 0.5, 0.1], "no": [0.5, 0.5, 0.1]}, r"sum to 1\..*id='c'"),
        ({"yes": [0.5, np.nan, 0.1], "no": [0.5, 1.0, 0.9]}, r"sum to 1\..*id='b'"),
        ({"yes": [0.5, 0.5, 0.5]}, r"a column for each answer.*missing=\['no'\]"),
    ],
)
def test_what_is_no_vote_is_refused(columns, text):
    with pytest.raises(ValueError, match=text):
        vote_fractions(votes(**columns), ["yes", "no"])


def test_real_votes_of_galaxy_zoo_obey_their_sums(real_data):
    catalog = read_catalog(real_data / "catalogs" / "gz2_stripe82_votes.csv")
    questions = {}
    for name in catalog.table.colnames:
        if name.endswith("_fraction"):
            questions.setdefault(name[:3], []).append(name)
    assert len(questions) == 9
    asked = {
        task: np.isfinite(vote_fractions(catalog, names)).all(axis=1) for task, names in questions.items()
    }
    assert asked["t01"].all()
    assert np.sum(~asked["t02"]) == 1265  # counted in the file: both answers 0
    kaggle = read_catalog(real_data / "gz2" / "labels.csv", columns={"id": "GalaxyID"})
    vote_fractions(kaggle, ["Class1.1", "Class1.2", "Class1.3"])
    vote_fractions(kaggle, ["Class2.1", "Class2.2"], parent="Class1.2")
