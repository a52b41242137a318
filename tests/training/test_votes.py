"""Losses of votes: closed forms, gradients, and that simulated votes give the truth back."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import digamma, softmax
from scipy.stats import dirichlet_multinomial

from galcnn.training.votes import (
    Question,
    cumulative_fractions,
    dirichlet_multinomial_loss,
    question_scores,
    vote_cross_entropy,
    vote_targets,
)

TREE = (Question("shape", ("smooth", "disk", "artefact")), Question("edge", ("edge_on", "face_on"), "disk"))


def test_targets_are_child_over_parent_times_the_parent():
    votes = [[0.3, 0.6, 0.1, 0.12, 0.48], [1.0, 0.0, 0.0, 0.0, 0.0], [0.3, 0.6, 0.102, 0.12, 0.0]]
    targets = vote_targets(votes, TREE)
    np.testing.assert_allclose(targets[:2], votes[:2], atol=1e-7)
    np.testing.assert_allclose(targets[2], [0.3 / 1.002, 0.6 / 1.002, 0.102 / 1.002, 0.6, 0.0], rtol=1e-6)


def test_cross_entropy_is_its_formula_and_least_at_the_truth():
    rng = np.random.default_rng(0)
    truth, logits = rng.normal(size=(6, 5)), rng.normal(size=(6, 5)).astype("float32")
    votes = cumulative_fractions(truth, TREE)
    loss = vote_cross_entropy(TREE)
    targets = vote_targets(votes, TREE)
    p, f = softmax(logits[:, :3], axis=1), softmax(truth[:, :3], axis=1)
    q, g = softmax(logits[:, 3:], axis=1), softmax(truth[:, 3:], axis=1)
    expected = -(f * np.log(p)).sum(axis=1) - f[:, 1] * (g * np.log(q)).sum(axis=1)
    np.testing.assert_allclose(loss(targets, logits), expected, rtol=1e-5)
    at = tf.Variable(truth.astype("float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss(targets, at))
    np.testing.assert_allclose(tape.gradient(total, at), np.zeros((6, 5)), atol=1e-6)
    with tf.GradientTape() as tape:
        x = tf.Variable(logits)
        total = tf.reduce_sum(loss(targets, x))
    gradient = np.concatenate([p - f, f[:, 1:2] * (q - g)], axis=1)
    np.testing.assert_allclose(tape.gradient(total, x), gradient, atol=1e-6)


def test_dirichlet_multinomial_is_that_of_scipy_but_for_the_coefficients_and_has_its_gradient():
    rng = np.random.default_rng(1)
    questions = (Question("q", ("a", "b", "c")),)
    outputs = rng.normal(1, 1, (5, 3)).astype("float32")
    counts = rng.integers(0, 30, (5, 3)).astype("float32")
    counts[4] = 0
    loss = dirichlet_multinomial_loss(questions)
    one = np.asarray(loss(counts, outputs))
    other = np.asarray(loss(counts, outputs + np.float32(0.5)))
    for row in range(5):
        alpha, k = np.exp(outputs[row].astype(float)), counts[row].astype(int)
        likelihoods = [dirichlet_multinomial(alpha * s, k.sum()).logpmf(k) for s in (1, np.exp(0.5))]
        assert one[row] - other[row] == pytest.approx(likelihoods[1] - likelihoods[0], abs=1e-3)
    assert one[4] == 0, "a question that nobody was asked weighs nothing"
    x = tf.Variable(outputs)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(loss(counts, x))
    alpha = np.exp(outputs.astype(float))
    a, n = alpha.sum(axis=1, keepdims=True), counts.sum(axis=1, keepdims=True)
    slope = digamma(a + n) - digamma(a) - digamma(alpha + counts) + digamma(alpha)
    np.testing.assert_allclose(tape.gradient(total, x), alpha * slope, rtol=1e-3, atol=1e-3)


def test_simulated_votes_give_the_truth_back():
    """Fractions and concentration of 3000 galaxies with 40 votes each."""
    rng = np.random.default_rng(2)
    alpha = np.array([2.0, 5.0, 1.0])
    counts = np.stack([rng.multinomial(40, p) for p in rng.dirichlet(alpha, 3000)]).astype("float32")
    loss = dirichlet_multinomial_loss((Question("q", ("a", "b", "c")),))
    x = tf.Variable(np.zeros((1, 3), "float32"))
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(150):
        with tf.GradientTape() as tape:
            total = tf.reduce_mean(loss(counts, tf.repeat(x, 3000, axis=0)))
        optimizer.apply([tape.gradient(total, x)], [x])
    assert np.exp(np.asarray(x)[0]) == pytest.approx(alpha, rel=0.06)


def test_scores_compare_with_predicting_the_mean():
    votes = cumulative_fractions(np.random.default_rng(0).normal(size=(200, 5)), TREE)
    mean = votes.mean(axis=0)
    perfect = question_scores(votes, votes, TREE, baseline=mean)
    assert [s["question"] for s in perfect] == ["shape", "edge"]
    for score, rows in zip(perfect, (slice(0, 3), slice(3, 5)), strict=True):
        assert score["correlation"] == pytest.approx(1)
        assert score["rmse"] == 0
        assert score["rmse_of_mean"] == pytest.approx(np.sqrt(votes[:, rows].var(axis=0).mean()))
    constant = question_scores(np.tile(mean, (200, 1)), votes, TREE, baseline=mean)
    assert constant[0]["rmse"] == constant[0]["rmse_of_mean"]
    assert np.isnan(constant[0]["correlation"])


def test_what_is_no_tree_is_refused():
    with pytest.raises(ValueError, match="two or more distinct answers"):
        Question("q", ("a",))
    with pytest.raises(ValueError, match="a parent among the answers before"):
        vote_cross_entropy(TREE[::-1])
    with pytest.raises(ValueError, match="answers are all distinct"):
        vote_cross_entropy((TREE[0], TREE[0]))
    with pytest.raises(ValueError, match=r"finite fractions of 0 or more, shape \(n, 5\)"):
        vote_targets([[0.5, np.nan, 0, 0, 0]], TREE)
