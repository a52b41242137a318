"""Questions form a tree, and votes are read from a catalog or refused."""

import numpy as np
import pytest
from astropy.table import QTable

from galcnn.catalog import Catalog, Question, Votes, read_votes

SHAPE, EDGE = Question("shape", ("smooth", "disk")), Question("edge", ("yes", "no"), "disk")


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
