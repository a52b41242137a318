"""Questions form a tree; votes are read or refused; fractions are made of logits and of counts."""

import numpy as np
import pytest
from astropy.table import QTable
from scipy.special import softmax

from galcnn.catalog import Catalog, Question, Votes, cumulative_fractions, fraction_table, read_votes
from galcnn.catalog.votes import observed_fractions

SHAPE, EDGE = Question("shape", ("smooth", "disk")), Question("edge", ("yes", "no"), "disk")
TREE = (Question("shape", ("smooth", "disk", "artefact")), Question("edge", ("yes", "no"), "disk"))


def catalog(**columns):
    return Catalog(QTable({"id": ["a", "b"], **columns}))


def test_columns_stand_in_the_order_of_the_questions():
    votes = Votes((SHAPE, EDGE))
    assert votes.answers == ("smooth", "disk", "yes", "no")
    assert votes.groups == [(slice(0, 2), None), (slice(2, 4), 1)]
    table = catalog(no=[0.4, 0.0], smooth=[0.5, 1.0], yes=[0.1, 0.0], disk=[0.5, 0.0])
    found = read_votes(table, votes)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0.5, 0.5, 0.1, 0.4], [1, 0, 0, 0]])


def test_plain_values_give_the_same_votes():
    from dataclasses import asdict

    votes = Votes((SHAPE, EDGE), "counts")
    assert Votes.from_dict(asdict(votes)) == votes


@pytest.mark.parametrize(
    ("questions", "kind", "text"),
    [
        ((EDGE, SHAPE), "fractions", "the parent of 'edge' among the answers to earlier questions"),
        ((SHAPE, SHAPE), "fractions", "one or more questions, all distinct"),
        ((SHAPE, Question("again", ("smooth", "x"))), "fractions", "one or more answers, all distinct"),
        ((), "fractions", "one or more questions"),
        ((SHAPE,), "percent", "votes of a kind among"),
    ],
)
def test_what_is_no_tree_is_refused(questions, kind, text):
    with pytest.raises(ValueError, match=text):
        Votes(questions, kind)


def test_a_question_of_one_answer_is_refused():
    with pytest.raises(ValueError, match="two or more distinct answers"):
        Question("q", ("a",))


def test_what_is_no_vote_is_refused():
    fractions, counts = Votes((SHAPE,)), Votes((SHAPE,), "counts")
    with pytest.raises(ValueError, match="that sum to 1"):
        read_votes(catalog(smooth=[0.5, 0.5], disk=[0.5, 0.1]), fractions)
    with pytest.raises(ValueError, match=r"whole numbers of votes.*id='b'.*kind = 'fractions'"):
        read_votes(catalog(smooth=[5, 0.5], disk=[3, 0.5]), counts)
    with pytest.raises(ValueError, match="a column for each answer"):
        read_votes(catalog(smooth=[5, 1]), counts)
    missing = np.ma.array([5, 1], mask=[False, True])
    np.testing.assert_array_equal(read_votes(catalog(smooth=missing, disk=[3, 2]), counts), [[5, 3], [0, 2]])


def test_fractions_are_a_softmax_within_each_question_and_sum_to_their_parents():
    logits = np.random.default_rng(0).normal(0, 3, (7, 5))
    found = cumulative_fractions(logits, Votes(TREE))
    np.testing.assert_allclose(found[:, :3], softmax(logits[:, :3], axis=1))
    np.testing.assert_allclose(found[:, 3:], softmax(logits[:, 3:], axis=1) * found[:, [1]])
    logits[2, 0] = np.nan
    found = cumulative_fractions(logits, Votes(TREE))
    assert np.isnan(found[2]).all(), "the parent's share is not known"
    assert np.isfinite(found[[0, 1, 3]]).all()


def test_counts_give_the_share_of_all_and_nothing_where_nobody_was_asked():
    counts = [[2, 6, 2, 1, 3], [10, 0, 0, 0, 0], [5, 5, 0, 0, 0], [0, 0, 0, 0, 0]]
    found = observed_fractions(counts, Votes(TREE, "counts"))
    np.testing.assert_allclose(found[0], [0.2, 0.6, 0.2, 0.15, 0.45])
    np.testing.assert_allclose(found[1], [1, 0, 0, 0, 0])
    np.testing.assert_allclose(found[2], [0.5, 0.5, 0, np.nan, np.nan])
    assert np.isnan(found[3]).all()
    given = np.array([[0.2, 0.7, 0.1, np.nan, np.nan]])
    np.testing.assert_array_equal(observed_fractions(given, Votes(TREE)), given)


def test_the_table_names_what_each_column_is():
    table = fraction_table(["a"], np.array([[0.2, 0.7, 0.1, 0.3, 0.4]]), Votes(TREE))
    assert table.colnames == ["id", "f_smooth", "f_disk", "f_artefact", "f_yes", "f_no"]
    assert table["f_yes"].description == "share of all people who answer yes to edge"
    assert table["f_no"][0] == 0.4
