"""Where the answer flips: exact for a linear network, polygons in the plane of the last features."""

import keras
import numpy as np
import pytest

from galcnn.explain import activations, decision_plane, line_between
from galcnn.explain.network.boundaries import Crossing
from galcnn.model.forward import outputs
from tests.explain.builds import flat, linear, mixed, nested, settle

SAMPLE = np.random.default_rng(5).normal(size=(40, 12, 10, 2)).astype("float32") * 3


def test_on_a_line_a_linear_margin_flips_at_the_ratio_of_the_margins():
    network, _ = linear()
    network.get_layer("logits").bias.assign([0.0, 0.0, -1e4])  # the third class never wins
    logits = outputs(network, SAMPLE)
    first, second = int(np.argmax(logits[:, 0] - logits[:, 1])), int(np.argmin(logits[:, 0] - logits[:, 1]))
    line = line_between(network, SAMPLE[first], SAMPLE[second], points=5)
    start, end = (float(logits[i, 0]) - float(logits[i, 1]) for i in (first, second))
    (crossing,) = line.crossings
    assert (crossing.before, crossing.after) == (0, 1)
    assert crossing.position == pytest.approx(start / (start - end), abs=1e-5)
    np.testing.assert_allclose(
        line.margin(0, 1), start + (end - start) * line.positions, rtol=1e-3, atol=1e-3
    )


def test_the_answers_on_both_sides_of_a_crossing_differ():
    network = flat(of=mixed)
    dense = network.get_layer("logits")
    dense.bias.assign(dense.bias - np.median(outputs(network, SAMPLE), axis=0))  # every class has its share
    answers = outputs(network, SAMPLE).argmax(axis=1)
    other = int(np.flatnonzero(answers != answers[0])[0])
    line = line_between(network, SAMPLE[0], SAMPLE[other])
    assert len(line.crossings) % 2 == 1 or len(set(answers)) > 2
    for crossing in line.crossings:
        for position, expected in ((-1e-4, crossing.before), (1e-4, crossing.after)):
            t = crossing.position + position
            image = ((1 - t) * SAMPLE[0] + t * SAMPLE[other]).astype("float32")[np.newaxis]
            assert outputs(network, image).argmax() == expected
    assert line.crossings[0].before == answers[0]
    assert line.crossings[-1].after == answers[other]
    np.testing.assert_allclose(
        line.logits[[0, -1]], outputs(network, SAMPLE[[0, other]]), rtol=1e-4, atol=1e-5
    )


def test_a_line_within_one_region_has_no_crossing():
    line = line_between(flat(of=mixed), SAMPLE[0], SAMPLE[0])
    assert line.crossings == ()
    with pytest.raises(ValueError, match="two images of one shape"):
        line_between(flat(of=mixed), SAMPLE[0], SAMPLE[0][:5])
    assert Crossing(0.5, 0, 1).position == 0.5


@pytest.mark.parametrize("build", [flat, nested])
def test_the_plane_is_that_of_the_principal_components(build):
    network = build()
    plane = decision_plane(network, SAMPLE, points=30)
    name = "gap" if build is flat else "middle/inner/gap"
    features = activations(network, SAMPLE, layers=[name])[name].astype(float)
    assert plane.network_layer == name
    values = np.linalg.eigvalsh(np.cov(features.T, bias=True))[::-1]
    np.testing.assert_allclose(plane.explained, values[:2] / values.sum(), rtol=1e-6)
    np.testing.assert_allclose(plane.positions.var(axis=0), values[:2], rtol=1e-6)
    np.testing.assert_allclose(plane.positions.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_array_equal(plane.answers, outputs(network, SAMPLE).argmax(axis=1))


def test_the_regions_are_the_answers_of_the_points_of_the_plane():
    """Of features with two directions only, the plane is all there is: every answer agrees."""
    inputs = keras.Input((12, 10, 2))
    two = keras.layers.Dense(2, name="two")(keras.layers.Flatten()(inputs))
    network = settle(keras.Model(inputs, keras.layers.Dense(3, name="logits")(two)))
    plane = decision_plane(network, SAMPLE, points=50)
    assert sum(plane.explained) == pytest.approx(1)
    assert plane.agreement == 1
    logits = outputs(network, SAMPLE)
    rows = np.abs(plane.y[:, None] - plane.positions[:, 1]).argmin(axis=0)
    columns = np.abs(plane.x[:, None] - plane.positions[:, 0]).argmin(axis=0)
    step = max(np.ptp(plane.x), np.ptp(plane.y)) / 49
    kernel = network.get_layer("logits").get_weights()[0].astype(float)
    slope = np.linalg.norm(kernel, axis=0).max()
    assert np.abs(plane.logits[rows, columns] - logits).max() < slope * step
    assert np.ptp(plane.logits) > 10 * slope * step
    assert plane.regions.shape == (50, 50)


def test_a_network_that_the_plane_does_not_fit_is_refused():
    inputs = keras.Input((12, 10, 2))
    x = keras.layers.Dense(3)(keras.layers.Flatten()(inputs))
    with pytest.raises(ValueError, match="ends in a Dense layer behind"):
        decision_plane(keras.Model(inputs, keras.layers.Identity()(x)), SAMPLE)
    with pytest.raises(ValueError, match="vary in two directions"):
        decision_plane(flat(of=mixed), np.repeat(SAMPLE[:1], 5, axis=0))
