"""Losses of votes: closed forms, gradients, and that simulated votes give the truth back."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import digamma, softmax
from scipy.stats import dirichlet_multinomial

from galcnn.catalog import Question, Votes, cumulative_fractions
from galcnn.training import TrainingSettings
from galcnn.training.vote_losses import (
    DirichletMultinomial,
    VoteCrossEntropy,
    check_vote_settings,
    loss_of_votes,
    vote_targets,
)

TREE = Votes(
    (Question("shape", ("smooth", "disk", "artefact")), Question("edge", ("edge_on", "face_on"), "disk"))
)


def test_targets_are_child_over_parent_times_the_parent():
    votes = [[0.3, 0.6, 0.1, 0.12, 0.48], [1.0, 0.0, 0.0, 0.0, 0.0], [0.3, 0.6, 0.102, 0.12, 0.0]]
    targets = vote_targets(votes, TREE)
    np.testing.assert_allclose(targets[:2], votes[:2], atol=1e-7)
    np.testing.assert_allclose(targets[2], [0.3 / 1.002, 0.6 / 1.002, 0.102 / 1.002, 0.6, 0.0], rtol=1e-6)


def test_cross_entropy_is_its_formula_and_least_at_the_truth():
    rng = np.random.default_rng(0)
    truth, logits = rng.normal(size=(6, 5)), rng.normal(size=(6, 5)).astype("float32")
    votes = cumulative_fractions(truth, TREE)
    loss = VoteCrossEntropy(TREE, reduction=None)
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
    questions = Votes((Question("q", ("a", "b", "c")),), "counts")
    outputs = rng.normal(1, 1, (5, 3)).astype("float32")
    counts = rng.integers(0, 30, (5, 3)).astype("float32")
    counts[4] = 0
    loss = DirichletMultinomial(questions, reduction=None)
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
    loss = DirichletMultinomial(Votes((Question("q", ("a", "b", "c")),), "counts"), reduction=None)
    x = tf.Variable(np.zeros((1, 3), "float32"))
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(150):
        with tf.GradientTape() as tape:
            total = tf.reduce_mean(loss(counts, tf.repeat(x, 3000, axis=0)))
        optimizer.apply([tape.gradient(total, x)], [x])
    assert np.exp(np.asarray(x)[0]) == pytest.approx(alpha, rel=0.06)


def test_a_question_that_was_not_asked_weighs_nothing_and_counts_stay_counts():
    gap = [[0.3, 0.6, 0.1, np.nan, np.nan]]
    np.testing.assert_allclose(vote_targets(gap, TREE)[0, 3:], 0)
    loss = VoteCrossEntropy(TREE, reduction=None)
    logits = np.zeros((1, 5), "float32")
    moved = logits + np.float32([0, 0, 0, 5, 0])
    np.testing.assert_array_equal(loss(vote_targets(gap, TREE), logits), loss(vote_targets(gap, TREE), moved))
    counts = np.array([[4, 6, 0, 1, 5]])
    np.testing.assert_array_equal(vote_targets(counts, Votes(TREE.questions, "counts")), counts)
    for wrong in ([[0.5, -0.1, 0, 0, 0]], [[np.inf, 0, 0, 0, 0]], [[0.5, 0.5]]):
        with pytest.raises(ValueError, match=r"votes of 0 or more, shape \(n, 5\)"):
            vote_targets(wrong, TREE)


def test_losses_are_keras_own_kind_and_survive_their_file(tmp_path):
    for kind, loss in (("fractions", VoteCrossEntropy), ("counts", DirichletMultinomial)):
        votes = Votes(TREE.questions, kind)
        assert isinstance(loss_of_votes(votes), loss)
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(5)])
        model.compile("sgd", loss=loss_of_votes(votes))
        model.save(tmp_path / "m.keras")
        again = keras.saving.load_model(tmp_path / "m.keras").loss
        assert isinstance(again, loss)
        assert again.votes == votes


def test_settings_of_classes_are_refused():
    check_vote_settings(TrainingSettings(label_smoothing=0))
    for settings in (TrainingSettings(), TrainingSettings(label_smoothing=0, balance="weights")):
        with pytest.raises(ValueError, match="label_smoothing 0 and balance 'none' to train on votes"):
            check_vote_settings(settings)
