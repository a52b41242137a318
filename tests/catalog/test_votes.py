"""Questions form a tree; votes are read or refused; fractions are made of logits and of counts."""

import numpy as np
import pytest
from astropy.table import QTable
from scipy.special import softmax

from galcnn.catalog import (
    Catalog,
    Question,
    Votes,
    cumulative_fractions,
    fraction_table,
    read_catalog,
    read_votes,
    vote_schema,
)
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


def test_fractions_of_those_who_were_asked_give_the_same_as_counts():
    """Nobody is asked about the edge of galaxy b; shares of all are those of the parents times these."""
    counts = catalog(smooth=[2, 10], disk=[6, 0], artefact=[2, 0], yes=[1, 0], no=[3, 0])
    asked = catalog(
        smooth_frac=[0.2, 1.0],
        disk_frac=[0.6, 0.0],
        artefact_frac=[0.2, 0.0],
        yes_frac=[0.25, np.nan],
        no_frac=[0.75, np.nan],
    )
    of_counts = observed_fractions(read_votes(counts, Votes(TREE, "counts")), Votes(TREE, "counts"))
    found = read_votes(asked, Votes(TREE, "conditional", "_frac"))
    np.testing.assert_allclose(found[0], [0.2, 0.6, 0.2, 0.15, 0.45], atol=1e-6)
    np.testing.assert_allclose(found[:, :3], of_counts[:, :3], atol=1e-6)
    np.testing.assert_allclose(found[0], of_counts[0], atol=1e-6)
    np.testing.assert_allclose(np.nan_to_num(found[1]), of_counts[1], atol=1e-6)
    with pytest.raises(ValueError, match="Divide counts by their total"):
        read_votes(counts, Votes(TREE, "conditional"))


@pytest.mark.parametrize(
    ("name", "n", "deep", "path"),
    [
        ("gz2", 37, "t11_arms_number", ("a08_spiral", "a05_no", "a02_features_or_disk")),
        ("gz_decals", 34, "spiral-arm-count", ("arms_yes", "edge-on_no", "featured-or-disk")),
        (
            "gz_hubble",
            40,
            "spiral-winding-hubble",
            ("_yes", "_no", "clumpy-appearance-hubble_no", "features"),
        ),
        ("gz_candels", 38, "t10_edge_on_bulge", ("a0_yes", "a1_no", "a1_features")),
        ("gz_euclid", 46, "artifact-euclid", ("problem-euclid_artifact", "featured-euclid_problem")),
    ],
)
def test_campaigns_by_name(name, n, deep, path):
    """The number of answers, and the answers after which a question deep in the tree is asked."""
    votes = vote_schema(name)
    assert len(votes.answers) == n
    asked = {question.name: question for question in votes.questions}
    place = {answer: question for question in votes.questions for answer in question.answers}
    parent, found = asked[deep].parent, []
    while parent is not None:
        found.append(parent)
        parent = place[parent].parent
    assert len(found) == len(path)
    for answer, end in zip(found, path, strict=True):
        assert answer.endswith(end)


def test_names_and_kinds_that_are_not_published_are_refused():
    with pytest.raises(ValueError, match="Did you mean 'gz_candels'"):
        vote_schema("gz_candel")
    with pytest.raises(ValueError, match=r"a kind among .*'conditional',.* for gz_candels"):
        vote_schema("gz_candels", "counts")


def test_the_published_table_of_galaxy_zoo_2_is_read(real_data):
    """Stripe 82, whose file here has the first nine questions."""
    path = real_data / "catalogs" / "gz2_stripe82_votes.csv"
    galaxies = read_catalog(path, columns={"id": "objid"})
    schema = vote_schema("gz2", "conditional")
    votes = Votes(schema.questions[:9], "conditional", schema.suffix)
    found = read_votes(galaxies, votes)
    for (columns, parent), question in zip(votes.groups, votes.questions, strict=True):
        asked = np.isfinite(found[:, columns]).all(axis=1)
        assert asked.mean() > 0.1, question.name
        above = 1.0 if parent is None else found[asked, parent]
        np.testing.assert_allclose(found[asked][:, columns].sum(axis=1), above, atol=0.011)
    own = galaxies.table["t02_edgeon_a04_yes_fraction"] * galaxies.table[f"{votes.answers[1]}_fraction"]
    np.testing.assert_allclose(np.nan_to_num(found[:, 3]), np.nan_to_num(np.asarray(own)), atol=1e-6)
