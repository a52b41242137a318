"""Deletion and insertion: the closed form of a linear network, and orders that nothing beats."""

from dataclasses import dataclass
from typing import ClassVar

import keras
import numpy as np
import pytest

from galcnn.evaluation import judge
from galcnn.explain import InputXGradient, Saliency
from galcnn.explain.baselines import baseline_images
from galcnn.faithfulness import deletion_and_insertion
from galcnn.faithfulness.controls import Noise
from galcnn.faithfulness.criteria import criterion
from galcnn.faithfulness.deletion_insertion import area, in_field, order_of, random_order, score_curves
from tests.explain import builds
from tests.faithfulness.conftest import TARGET

FRACTIONS = np.arange(121) / 120


def effects(sample, blank):
    """What each pixel of a linear network adds to the score when it is not blank; and the network."""
    network, weights = builds.linear()
    w = weights @ np.array(TARGET.weights)
    return network, ((sample.images - blank) * w).sum(axis=-1).reshape(len(sample.images), -1)


def test_deletion_of_a_linear_network_is_a_sum_of_sorted_effects(sample, unchanged):
    blank = baseline_images("sky", sample.images, context=sample.context, blur=5.0, seed=0)
    network, effect = effects(sample, blank)
    order = np.argsort(-effect, axis=1)
    curves = score_curves(unchanged(network), sample, order, blank, FRACTIONS)
    start = curves[:, :1]
    gone = np.cumsum(-np.sort(-effect, axis=1), axis=1)
    expected = start - np.concatenate([np.zeros((4, 1)), gone], axis=1)
    assert curves == pytest.approx(expected, abs=2e-4)
    # The area by hand: a pixel that goes k-th is there for k - 1/2 of 120 steps.
    areas = start[:, 0] - (-np.sort(-effect, axis=1) * (120 - np.arange(120) - 0.5)).sum(axis=1) / 120
    assert area(FRACTIONS, curves) == pytest.approx(areas, abs=2e-4)
    for draw in range(4):
        other = score_curves(network, sample, random_order(sample, draw=draw), blank, FRACTIONS)
        assert np.all(area(FRACTIONS, other) >= area(FRACTIONS, curves))
        assert other[:, [0, -1]] == pytest.approx(curves[:, [0, -1]], abs=1e-5)


def test_insertion_of_a_linear_network_mirrors_deletion(sample):
    network, _ = builds.linear()
    done = deletion_and_insertion(network, InputXGradient(), sample)
    for name in ("method", "random", "light"):
        both = done.deletion[name] + done.insertion[name]
        assert both == pytest.approx(np.broadcast_to(both[:, :1], both.shape), abs=1e-4)
    assert done.gain("deletion", "random") == pytest.approx(done.gain("insertion", "random"), abs=1e-5)
    assert np.all(done.gain("deletion", "random") > 0)


def test_evidence_passes_and_random_numbers_fail(many):
    network, _ = builds.linear()
    good, bad = (
        deletion_and_insertion(network, InputXGradient(), many),
        deletion_and_insertion(network, Noise(), many),
    )
    for name, over in (("deletion", "random"), ("insertion", "random"), ("deletion-light", "light")):
        what = name.partition("-")[0]
        assert judge(good.gain(what, over), criterion(name)).word == "passes"
    assert judge(bad.gain("deletion", "random"), criterion("deletion")).word == "fails"
    assert abs(bad.gain("deletion", "random").mean()) < 0.1


@dataclass(frozen=True)
class Field:
    """Random numbers where a network looks that crops two pixels away, and nothing elsewhere."""

    name: ClassVar[str] = "field"
    per_band: ClassVar[bool] = True
    kind: ClassVar[str] = "features"

    def __call__(self, network, images, target, *, context=None):
        maps = Noise(seed=7)(network, images, target, context=context)
        inside = np.zeros(images.shape[1:3], dtype=bool)
        inside[2:-2, 2:-2] = True
        return np.where(inside[..., np.newaxis], maps + 10, 0).astype("float32")


def test_to_know_where_a_network_looks_is_no_explanation(many):
    """Over the whole image a random order wastes picks on pixels that are cropped away."""
    inputs = keras.Input(many.images.shape[1:])
    x = keras.layers.Flatten()(keras.layers.Cropping2D(2)(inputs))
    start = keras.initializers.GlorotUniform(seed=0)
    network = keras.Model(inputs, keras.layers.Dense(3, kernel_initializer=start, name="logits")(x))
    order = in_field(network, many, random_order(many))
    assert order.shape == (200, 8 * 6)
    rows, columns = np.unravel_index(order, many.images.shape[1:3])
    assert rows.min() == columns.min() == 2
    gain = deletion_and_insertion(network, Field(), many).gain("deletion", "random")
    assert abs(gain.mean()) < 3 * gain.std() / np.sqrt(len(gain)) + 0.02
    assert judge(gain, criterion("deletion")).word in ("fails", "undecided")


def test_of_a_slope_the_size_counts_and_of_evidence_the_sign():
    maps = np.array([[[[-3.0], [2.0], [1.0]]]])
    assert order_of(maps, "slope").tolist() == [[0, 1, 2]]
    assert order_of(maps, "amount").tolist() == [[1, 2, 0]]


def test_other_imputations_are_refused(sample):
    network, _ = builds.linear()
    with pytest.raises(ValueError, match="an imputation by sky"):
        deletion_and_insertion(network, Saliency(), sample, imputation="black")
