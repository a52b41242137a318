"""All orientations of an image get the same answer, from the saved file alone."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from galcnn.explain import CAM
from galcnn.model import NetworkSettings, Target, assemble, build_network, fit_preprocessing
from galcnn.model.orientations import OrientationMean, Orientations, orientations_of, with_orientations
from galcnn.model.receptive import cell_grid

IMAGES = np.random.default_rng(0).normal(size=(3, 20, 20, 2)).astype("float32")
QUARTERS = [lambda x, k=k: np.rot90(x, k, axes=(1, 2)) for k in range(4)]
MIRRORED = [lambda x, k=k: np.rot90(x[:, ::-1], k, axes=(1, 2)) for k in range(4)]


def network(orientations, **settings):
    settings = NetworkSettings(**({"widths": (6, 8)} | settings), orientations=orientations)
    return build_network((20, 20, 2), 3, settings=settings, seed=2)


def spread(model, turns):
    """Largest difference between the logits of orientations, in units of their own spread."""
    logits = np.stack([model.predict(np.ascontiguousarray(turn(IMAGES)), verbose=0) for turn in turns])
    return float(np.ptp(logits, axis=0).max() / logits.std())


@pytest.mark.parametrize("settings", [{}, {"stem": 0, "pooling": "average"}, {"residual": True}])
def test_logits_do_not_change_with_the_orientation(settings):
    assert spread(network(8, **settings), QUARTERS + MIRRORED) < 1e-5
    assert spread(network(4, **settings), QUARTERS) < 1e-5
    assert spread(network(1, **settings), QUARTERS) > 0.1


def test_quarter_turns_alone_tell_an_image_from_its_mirror_image():
    """A clockwise spiral stays one: only 8 orientations take the sense of winding away."""
    assert spread(network(4), QUARTERS + MIRRORED) > 0.1


def test_the_logits_are_the_mean_of_those_of_the_plain_network():
    plain, averaged = network(1, dropout=0), network(8, dropout=0)
    averaged.set_weights(plain.get_weights())
    each = [plain.predict(np.ascontiguousarray(turn(IMAGES)), verbose=0) for turn in QUARTERS + MIRRORED]
    np.testing.assert_allclose(averaged.predict(IMAGES, verbose=0), np.mean(each, axis=0), atol=1e-6)


@pytest.mark.parametrize("settings", [{"dropout": 0.3}, {"residual": True, "stem": 0}])
def test_a_model_of_8_orientations_answers_with_fewer(settings):
    """As the network of so many orientations with the same weights; the names of its layers stay."""
    model = network(8, **settings)
    for count in (1, 4):
        fewer, alike = with_orientations(model, count), network(count, **settings)
        alike.set_weights(model.get_weights())
        np.testing.assert_allclose(
            fewer.predict(IMAGES, verbose=0), alike.predict(IMAGES, verbose=0), rtol=1e-4, atol=1e-7
        )
        assert orientations_of(fewer) == orientations_of(alike) == count
        assert [layer.name for layer in fewer.layers] == [layer.name for layer in model.layers]
        grids = [cell_grid(one.get_layer("gap").input) for one in (fewer, alike)]
        assert grids[0] == grids[1]


def test_more_orientations_than_those_of_the_model_are_refused(trained):
    assert trained.orientations == 1
    assert trained.with_orientations(1) is trained
    assert trained.with_orientations(None) is trained
    with pytest.raises(ValueError, match=r"1 orientation, since the model averages none.*orientations=4"):
        trained.with_orientations(4)
    settings = NetworkSettings(widths=(4,), orientations=8)
    made = assemble(trained.preprocessing, build_network((16, 16, 2), 2, settings=settings))
    eight = replace(trained, model=made)
    assert eight.orientations == 8
    with pytest.raises(ValueError, match=r"at most the 8 orientations.*orientations=2"):
        eight.with_orientations(2)
    four = eight.with_orientations(4)
    assert (four.orientations, four.card.notes) == (4, ("4 of 8 orientations",))


def test_every_turn_is_undone():
    for count in (4, 8):
        turned = Orientations(count)(IMAGES)
        assert turned.shape == (3 * count, 20, 20, 2)
        parts = np.asarray(turned).reshape(count, 3, 20, 20, 2)
        assert len({part.tobytes() for part in parts}) == count
        np.testing.assert_allclose(OrientationMean(count)(turned), IMAGES, rtol=1e-6)


def test_the_saved_file_alone_gives_the_same_answer(tmp_path):
    model = assemble(fit_preprocessing(IMAGES, stretch="linear"), network(8))
    model.save(tmp_path / "m.keras")
    back = keras.saving.load_model(tmp_path / "m.keras", compile=False, safe_mode=True)
    assert np.array_equal(back.predict(IMAGES, verbose=0), model.predict(IMAGES, verbose=0))
    assert spread(back, QUARTERS + MIRRORED) < 1e-5


def test_class_activation_maps_turn_with_the_image_and_sum_to_the_logit():
    """`same` padding of a stride puts cells off the centre: the mean over orientations is centred."""
    model = network(8, dropout=0)
    target = Target.of_class("b", "abc")
    grid = cell_grid(model.get_layer("gap").input)
    assert grid.start == (1.5, 1.5)  # five cells of four pixels on twenty
    assert grid.jump == (4, 4)
    plain = cell_grid(network(1).get_layer("gap").input)
    assert plain.start != grid.start
    assert plain.field < grid.field
    maps = CAM()(model, IMAGES, target)
    for turn in QUARTERS + MIRRORED:
        turned = CAM()(model, np.ascontiguousarray(turn(IMAGES)), target)
        np.testing.assert_allclose(turned, turn(maps), atol=1e-5)
    coarse = CAM().fine_and_coarse(model, IMAGES, target)[1]
    np.testing.assert_allclose(coarse.mean(axis=(1, 2)), model.predict(IMAGES, verbose=0)[:, 1], atol=1e-5)


def test_a_field_is_cropped_before_the_image_is_turned():
    model = network(8, field=0.6)
    names = [layer.name for layer in model.layers]
    assert names.index("field") < names.index("orientations")
    assert cell_grid(model.get_layer("gap").input).start == (5.5, 5.5)  # 12 pixels from the fourth on


def test_what_cannot_be_turned_is_refused():
    with pytest.raises(ValueError, match="square images to turn"):
        build_network((20, 24, 2), 3, settings=NetworkSettings(widths=(4,), orientations=8))
    with pytest.raises(ValueError, match="orientations among"):
        NetworkSettings(orientations=2)
    with pytest.raises(ValueError, match="orientations among"):
        Orientations(6)
