"""Parameter randomisation: what must stay, what must go, and that the user's network is left alone.

Measures of likeness are held against scipy's and closed forms.
"""

import keras
import numpy as np
import pytest
from scipy.stats import spearmanr

from galcnn.explain import CAM, GuidedBackprop, Saliency
from galcnn.faithfulness import randomisation
from galcnn.faithfulness.controls import Edges
from galcnn.faithfulness.parameter_randomisation import (
    folded,
    rank_correlation,
    redrawn,
    relative_change,
    ssim,
    stages,
    top_overlap,
)
from galcnn.faithfulness.sample import maps_of
from galcnn.model import NetworkSettings, build_network
from tests.explain import builds
from tests.faithfulness.conftest import sample_of_images


def test_stages_go_from_the_output_down_and_take_the_vectors_along():
    kernels = ("logits", "last", "side", "first")
    expected = [(name,) if name == "logits" else (name, f"{name}_norm") for name in kernels]
    assert stages(builds.flat()) == expected
    inside = [tuple(f"middle/inner/{name}" for name in stage) for stage in expected]
    assert stages(builds.nested()) == inside
    twice = keras.layers.Conv2D(2, 3, padding="same", name="twice")
    inputs = keras.Input(builds.SHAPE)
    pooled = keras.layers.GlobalAveragePooling2D()(twice(twice(inputs)))
    assert stages(keras.Model(inputs, keras.layers.Dense(3, name="logits")(pooled))) == [
        ("logits",),
        ("twice",),
    ]


def test_no_layer_drawn_anew_is_the_same_network(sample):
    network = builds.flat()
    copy = keras.models.clone_model(network)
    redrawn(copy, network, [])
    assert all(np.array_equal(a, b) for a, b in zip(copy.get_weights(), network.get_weights(), strict=True))
    assert np.array_equal(maps_of(network, Saliency(), sample), maps_of(copy, Saliency(), sample))


def test_statistics_of_images_are_kept(sample):
    normalization = keras.layers.Normalization(name="statistics")
    normalization.adapt(100 + 30 * builds.IMAGES)
    body = [keras.layers.Flatten(), keras.layers.Dense(3, name="logits")]
    network = keras.Sequential([keras.Input(builds.SHAPE), normalization, *body])
    assert stages(network) == [("logits",)]
    copy = keras.models.clone_model(network)
    redrawn(copy, network, [])
    assert np.array_equal(copy(builds.IMAGES), network(builds.IMAGES))


def test_drawing_only_what_differs_gives_the_same_network():
    network = builds.flat()
    whole, parts = keras.models.clone_model(network), keras.models.clone_model(network)
    last = None
    for turn in ([("logits",)], [("logits",), ("last", "last_norm")], [("side", "side_norm")]):
        names = {name for stage in turn for name in stage}
        redrawn(whole, network, turn, seed=1)
        redrawn(parts, network, turn, seed=1, only=None if last is None else names ^ last)
        last = names
        assert all(
            np.array_equal(a, b) for a, b in zip(whole.get_weights(), parts.get_weights(), strict=True)
        )
        assert not all(
            np.array_equal(a, b) for a, b in zip(whole.get_weights(), network.get_weights(), strict=True)
        )


def test_what_is_drawn_keeps_its_size_and_the_rest_its_values():
    network = builds.flat()
    copy = keras.models.clone_model(network)
    redrawn(copy, network, [("first", "first_norm")], seed=1)
    for layer in network.layers[1:]:  # the input of a copy has another name
        for before, after in zip(layer.get_weights(), copy.get_layer(layer.name).get_weights(), strict=True):
            if layer.name not in ("first", "first_norm"):
                assert np.array_equal(before, after)
            elif before.ndim > 1:
                assert np.sqrt(np.mean(after**2)) == pytest.approx(np.sqrt(np.mean(before**2)), rel=0.25)
                assert abs(np.corrcoef(before.ravel(), after.ravel())[0, 1]) < 0.4
            else:
                assert np.array_equal(np.sort(before), np.sort(after))


@pytest.mark.parametrize("build", [builds.flat, builds.nested, builds.sequential])
def test_an_edge_detector_knows_nothing_of_the_network(build, sample, unchanged):
    both = randomisation(unchanged(build()), Edges(), sample)
    for similarities in both.values():
        for values in (similarities.rank, similarities.signed_rank, similarities.ssim):
            assert values == pytest.approx(1)


def test_the_gradient_of_a_linear_network_is_forgotten_with_its_weights(sample, unchanged):
    network, weights = builds.linear()
    both = randomisation(unchanged(network), Saliency(), sample, seed=2)
    found = both["cascading"]
    assert found.stages == ("logits",)
    assert np.array_equal(found.rank, both["independent"].rank)
    # By chance: 1 / sqrt(pixels) = 0.09, the same for each image.
    assert np.all(np.abs(found.rank) < 0.3)
    assert np.all(found.signed_rank < 0.3)
    assert np.ptp(found.rank) == pytest.approx(0, abs=1e-12)
    assert weights.shape == (12, 10, 2, 3)


def test_cascades_and_single_stages_begin_alike_and_part_below(sample):
    both = randomisation(builds.flat(), GuidedBackprop(), sample)
    assert np.array_equal(both["cascading"].rank[0], both["independent"].rank[0])
    assert not np.allclose(both["cascading"].rank[-1], both["independent"].rank[-1])
    assert both["cascading"].rank.shape == (4, 4)


def test_a_network_that_hides_its_layers_is_refused(sample):
    network = builds.subclassed()
    with pytest.raises(ValueError, match="functional or sequential"):
        randomisation(network, Saliency(), sample)


def test_where_the_network_does_not_look_is_no_likeness(sample, unchanged):
    inputs = keras.Input(builds.SHAPE)
    cropped = keras.layers.Cropping2D([(3, 3), (2, 2)], name="field")(inputs)
    network = builds.settle(keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(cropped))))
    found = randomisation(unchanged(network), Saliency(), sample)["cascading"]
    assert np.all(np.abs(found.rank) < 0.45), "by chance 1 / sqrt(36); the frame would make it 0.8"
    maps = maps_of(network, Saliency(), sample)
    assert not maps[:, :3].any()
    settled = builds.settle(build_network((16, 16, 2), 3, settings=NetworkSettings(widths=(4,), field=0.5)))
    images = np.random.default_rng(1).normal(size=(2, 16, 16, 2)).astype("float32")
    features = maps_of(settled, CAM(), sample_of_images(images))
    assert np.isfinite(features).all()
    assert not features[:, 0].any()


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
