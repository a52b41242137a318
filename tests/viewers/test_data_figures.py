"""What the figures of a data set show, by value."""

import numpy as np
import pytest

from galcnn.cutout import Cutout
from galcnn.viewers.plots.data import preprocessing_figure, suspicious_figure


def cutouts(n=3):
    rng = np.random.default_rng(0)
    return [Cutout(rng.normal(0, 1, (2, 12, 12)), ("g", "r")) for _ in range(n)]


def test_rows_are_before_and_after_and_histograms_count_every_pixel():
    some = cutouts()
    before = np.stack([np.moveaxis(c.flux, 0, -1) for c in some])
    after = np.arcsinh(before)
    pixels = {"before": before.reshape(-1, 2), "after": after.reshape(-1, 2)}
    figure = preprocessing_figure(some, before, after, pixels=pixels, planes=("g", "r"))
    images = [axes.images[0].get_array() for axes in figure.axes if axes.images]
    assert len(images) == 3 * 5
    np.testing.assert_array_equal(images[3 + 1], before[1, :, :, 0])
    np.testing.assert_array_equal(images[3 * 4 + 2], after[2, :, :, 1])
    labels = [axes.get_ylabel() for axes in figure.axes if axes.images and axes.get_ylabel()]
    assert labels == ["for the eye", "g, before", "r, before", "g, after", "r, after"]
    histograms = [axes for axes in figure.axes if axes.patches]
    for axes, name in zip(histograms, ("before", "after"), strict=True):
        assert name in axes.get_xlabel()
        for patch in axes.patches:  # outlines: their heights at the bin edges come in pairs
            heights = patch.get_xy()[1:-1:2, 1]
            assert heights.sum() == pytest.approx(len(pixels[name]), rel=0.02)


def test_suspicious_cutouts_bear_their_reason_and_a_long_list_says_its_length():
    figure = suspicious_figure(cutouts(3), ["a\nblank 1", "b\nmasked 0.6", "c\noutlier 9"], total=3)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["a\nblank 1", "b\nmasked 0.6", "c\noutlier 9"]
    assert figure.get_suptitle() == "3 suspicious cutouts"
    many = suspicious_figure(cutouts(1) * 45, ["x"] * 45, total=45)
    assert sum(bool(axes.images) for axes in many.axes) == 40
    assert many.get_suptitle() == "40 of 45 suspicious cutouts"


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="as many images as cutouts"):
        preprocessing_figure([], np.zeros((0, 2, 2, 1)), np.zeros((0, 2, 2, 1)), pixels={}, planes=())
