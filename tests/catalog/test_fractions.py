"""Fractions of logits and of counts: a softmax within each question, times the share that was asked."""

import numpy as np
from scipy.special import softmax

from galcnn.catalog import Question, Votes, cumulative_fractions, fraction_table
from galcnn.catalog.votes import observed_fractions

TREE = (Question("shape", ("smooth", "disk", "artefact")), Question("edge", ("yes", "no"), "disk"))


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
