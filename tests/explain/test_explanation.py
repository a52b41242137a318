"""Target and Explanation check themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galcnn.explain import Explanation
from galcnn.model import Target

CLASSES = ("elliptical", "spiral", "edge-on", "edge")


def a_map(planes, **fields):
    target = Target.of_class("spiral", CLASSES)
    values = {
        "bands": ("g", "r"),
        "method": "m",
        "target": target,
        "wrt": "stretched",
        "unit": "",
        "score": 1.0,
    }
    return Explanation(planes, **(values | fields))


def test_targets_are_weights_over_logits():
    logits = np.array([1.0, 5.0, -2.0, 0.5])
    assert np.dot(Target.of_class("spiral", CLASSES).weights, logits) == 5
    margin = Target.margin("spiral", "elliptical", CLASSES)
    assert np.dot(margin.weights, logits) == 4
    p = np.exp(logits) / np.exp(logits).sum()
    assert np.dot(margin.weights, logits) == pytest.approx(np.log(p[1] / p[0]))


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("spiral", (0, 1, 0, 0)),
        ("spiral-elliptical", (-1, 1, 0, 0)),
        ("edge-on", (0, 0, 1, 0)),
        ("edge-on-edge", (0, 0, 1, -1)),
        ("edge-edge-on", (0, 0, -1, 1)),
    ],
)
def test_targets_as_users_type_them(text, weights):
    target = Target.parse(text, CLASSES)
    assert (target.name, target.weights) == (text, weights)


@given(st.sampled_from(CLASSES), st.sampled_from(CLASSES))
def test_a_typed_margin_is_the_margin(name, other):
    if name != other:
        assert Target.parse(f"{name}-{other}", CLASSES) == Target.margin(name, other, CLASSES)


def test_unknown_and_empty_targets_are_refused():
    for text in ("spirals", "spiral-none", "-spiral", ""):
        with pytest.raises(ValueError, match="a class among"):
            Target.parse(text, CLASSES)
    for weights in ((), (0.0, 0.0), (1.0, np.nan), (np.inf,)):
        with pytest.raises(ValueError, match="finite weights, not all zero"):
            Target("t", weights)
    with pytest.raises(ValueError, match="not all zero"):
        Target.margin("spiral", "spiral", CLASSES)


def test_a_misspelt_class_gets_the_nearest():
    with pytest.raises(ValueError, match=r"target='sprial'\. Did you mean 'spiral'\?"):
        Target.parse("sprial", ("elliptical", "spiral"))


def test_delta_is_the_sum_minus_the_difference_of_scores():
    planes = np.full((2, 3, 4), 0.25)
    planes[0, 0, 0] = np.nan  # outside the support: adds nothing
    explanation = a_map(planes, score=10.0, baseline_score=4.0)
    assert explanation.delta == 23 * 0.25 - 6
    assert a_map(planes).delta is None


def test_the_callers_array_stays_writable_and_the_map_does_not():
    planes = np.zeros((2, 3, 4), dtype=np.float32)
    explanation = a_map(planes)
    planes[0, 0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        explanation.attribution[0, 0, 0] = 2


def test_big_endian_arrays_become_native():
    explanation = a_map(np.arange(24, dtype=">f4").reshape(2, 3, 4))
    assert explanation.attribution.dtype.isnative
    assert explanation.attribution[1, 2, 3] == 23


def test_what_does_not_fit_is_refused():
    for planes, bands in (
        (np.zeros((3, 4)), ("g",)),
        (np.zeros((1, 3, 4)), ("g", "r")),
        (np.zeros((2, 3, 4)), "gg"),
    ):
        with pytest.raises(ValueError, match="each band named once"):
            a_map(planes, bands=bands)
    with pytest.raises(ValueError, match="wrt among"):
        a_map(np.zeros((2, 3, 4)), wrt="counts")
