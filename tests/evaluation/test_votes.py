"""Scores of votes are their formulas, with intervals, over the galaxies that were asked."""

import numpy as np
import pytest

from galcnn.catalog import Question, Votes, cumulative_fractions
from galcnn.evaluation.votes import evaluate_votes

TREE = Votes((Question("shape", ("smooth", "disk", "artefact")), Question("edge", ("yes", "no"), "disk")))
RNG = np.random.default_rng(0)
SEEN = cumulative_fractions(RNG.normal(size=(200, 5)), TREE)
GUESS = cumulative_fractions(np.log(SEEN) + RNG.normal(0, 0.5, (200, 5)), TREE)
MEAN = SEEN.mean(axis=0)


def test_figures_are_those_of_numpy_and_lie_in_their_intervals():
    scores = evaluate_votes(GUESS, SEEN, TREE, baseline=MEAN)
    for name, columns in (("shape", slice(0, 3)), ("edge", slice(3, 5))):
        a, b = SEEN[:, columns], GUESS[:, columns]
        r = np.mean([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(a.shape[1])])
        assert scores[f"correlation_{name}"].value == pytest.approx(r)
        assert scores[f"rmse_{name}"].value == pytest.approx(np.sqrt(np.mean((a - b) ** 2)))
        flat = scores[f"rmse_of_mean_{name}"]
        assert flat.value == pytest.approx(np.sqrt(a.var(axis=0).mean()))
        for score in (scores[f"correlation_{name}"], scores[f"rmse_{name}"], flat):
            assert score.low < score.value < score.high
            assert score.n == 200


def test_predicting_the_mean_has_no_correlation_and_the_error_of_the_mean():
    scores = evaluate_votes(np.tile(MEAN, (200, 1)), SEEN, TREE, baseline=MEAN)
    assert np.isnan(scores["correlation_shape"].value)
    assert scores["rmse_edge"].value == scores["rmse_of_mean_edge"].value


def test_galaxies_of_which_a_question_was_not_asked_do_not_count():
    gaps = SEEN.copy()
    gaps[150:, 3:] = np.nan
    scores = evaluate_votes(GUESS, gaps, TREE, baseline=MEAN)
    assert (scores["rmse_shape"].n, scores["rmse_edge"].n) == (200, 150)
    error = np.sqrt(np.mean((SEEN[:150, 3:] - GUESS[:150, 3:]) ** 2))
    assert scores["rmse_edge"].value == pytest.approx(error)
    gaps[:, 3:] = np.nan
    with pytest.raises(ValueError, match="votes on 'edge' in the test set"):
        evaluate_votes(GUESS, gaps, TREE, baseline=MEAN)
