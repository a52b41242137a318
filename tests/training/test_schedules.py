"""Schedules at chosen updates against their formulas."""

import keras
import numpy as np
import pytest

from galcnn.training import Schedule, TrainingSettings, make_optimizer

PEAK = 0.2


def rates(schedule, updates, *, epochs=10, updates_per_epoch=40):
    """Learning rates that the optimizer, rebuilt from its configuration, uses at some updates."""
    settings = TrainingSettings(epochs=epochs, optimizer="sgd", learning_rate=PEAK, schedule=schedule)
    made = make_optimizer(settings, updates_per_epoch=updates_per_epoch)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(made))
    found = []
    for update in updates:
        again.iterations.assign(update)
        found.append(float(again.learning_rate))
    return found


def test_constant():
    assert rates("constant", (0, 10, 399)) == pytest.approx([PEAK] * 3)


def test_cosine_warms_up_and_ends_at_zero():
    assert rates("cosine", (0, 10, 20, 20 + 190, 400)) == pytest.approx([0.002, 0.101, 0.2, 0.1, 0], abs=1e-6)
    plain = rates(Schedule("cosine", warm_up=0.0), (0, 100, 200, 400))
    assert plain == pytest.approx([0.2, 0.1 * (1 + np.cos(np.pi / 4)), 0.1, 0], abs=1e-6)


def test_step_falls_at_once_and_exponential_smoothly():
    step = rates(Schedule("step", factor=0.5, every=2), (0, 79, 80, 159, 160))
    assert step == pytest.approx([0.2, 0.2, 0.1, 0.1, 0.05], rel=1e-5)
    smooth = rates(Schedule("exponential", factor=0.5, every=2), (0, 40, 80, 160))
    assert smooth == pytest.approx([0.2, 0.2 / np.sqrt(2), 0.1, 0.05], rel=1e-5)


def test_a_warm_up_before_any_schedule_begins_it_later():
    rise = [0.002, 0.101, 0.2]
    assert rates(Schedule("constant", warm_up=0.1), (0, 20, 40, 300)) == pytest.approx([*rise, 0.2], rel=1e-5)
    step = rates(Schedule("step", warm_up=0.1, factor=0.5, every=2), (0, 20, 40, 40 + 79, 40 + 80))
    assert step == pytest.approx([*rise, 0.2, 0.1], rel=1e-5)


@pytest.mark.parametrize(
    "bad",
    [
        {"name": "linear"},
        {"warm_up": 1.0},
        {"name": "plateau", "warm_up": 0.1},
        {"factor": 1.0},
        {"every": 0},
        {"patience": 0},
    ],
)
def test_bad_schedules_are_refused(bad):
    with pytest.raises(ValueError, match="Expected"):
        Schedule(**bad)
