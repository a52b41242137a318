"""Measures of likeness against scipy's and closed forms."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from galcnn.faithfulness.parameter_randomisation import (
    folded,
    rank_correlation,
    relative_change,
    ssim,
    top_overlap,
)

RNG = np.random.default_rng(3)
A = RNG.normal(size=(4, 12, 10)).round(1)  # with ties
B = RNG.normal(size=(4, 12, 10)).round(1) + 0.5 * A


def test_rank_correlation_is_that_of_scipy():
    expected = [spearmanr(a.ravel(), b.ravel()).statistic for a, b in zip(A, B, strict=True)]
    assert rank_correlation(A, B) == pytest.approx(expected, abs=1e-12)
    assert rank_correlation(A, np.exp(A)) == pytest.approx(1)
    assert np.isnan(rank_correlation(A, np.ones_like(A))).all()


def test_structural_similarity_does_not_know_the_size_of_a_map():
    assert ssim(A, 7 * A) == pytest.approx(1)
    assert (ssim(A, RNG.permutation(A.ravel()).reshape(A.shape)) < 0.2).all()
    assert np.isnan(ssim(A, 0 * A)).all()


def test_relative_change_is_a_norm_over_a_norm():
    assert relative_change(A, A) == pytest.approx(0)
    assert relative_change(A, -A) == pytest.approx(2)
    assert relative_change(A, 1.5 * A) == pytest.approx(0.5)
    many = RNG.normal(size=(2, 4, 100, 100))
    assert relative_change(many[0], many[1]) == pytest.approx(np.sqrt(2), rel=0.02)


def test_overlap_of_the_top_is_counted():
    before = np.arange(100.0).reshape(1, 10, 10)
    after = before.copy()
    after[0, 9, 9] = -1
    assert top_overlap(before, after, share=0.05) == pytest.approx(0.8)
    many = RNG.normal(size=(2, 40, 30, 30))
    assert top_overlap(many[0], many[1], share=0.1).mean() == pytest.approx(0.1, abs=0.02)
    with pytest.raises(ValueError, match="a share between"):
        top_overlap(before, after, share=1.0)


def test_bands_add_with_or_without_their_signs():
    maps = np.stack([A, -A], axis=-1)
    assert np.array_equal(folded(maps, signed=True), np.zeros_like(A))
    assert folded(maps, signed=False) == pytest.approx(2 * np.abs(A))
    with pytest.raises(ValueError, match="of one shape"):
        rank_correlation(A, A[:2])
