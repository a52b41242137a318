"""Learning rate schedules by name, each with an optional warm-up."""

from __future__ import annotations

from typing import Any

import keras

from galcnn.training.settings import Schedule

#: Initial rate of a warm-up, as a fraction of the peak.
_FIRST = 0.01


@keras.saving.register_keras_serializable(package="galcnn")
class WarmUp(keras.optimizers.schedules.LearningRateSchedule):
    """Linear warm-up from a hundredth of the peak, followed by another schedule."""

    def __init__(self, after: keras.optimizers.schedules.LearningRateSchedule, updates: int) -> None:
        super().__init__()
        self.after, self.updates = after, updates

    def __call__(self, step: Any) -> Any:
        done = keras.ops.cast(step, "float32") / self.updates
        rise = self.after(0) * (_FIRST + (1 - _FIRST) * done)
        return keras.ops.where(done < 1, rise, self.after(keras.ops.maximum(step - self.updates, 0)))

    def get_config(self) -> dict[str, Any]:
        return {"after": keras.optimizers.schedules.serialize(self.after), "updates": self.updates}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> WarmUp:
        return cls(keras.optimizers.schedules.deserialize(config["after"]), config["updates"])


def learning_rate(
    schedule: Schedule, peak: float, *, epochs: int, updates_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Return the Keras schedule, or a number if the rate is constant or set by a callback (plateau)."""
    kinds = keras.optimizers.schedules
    updates = epochs * updates_per_epoch
    warm_up = 0.05 if schedule.warm_up is None and schedule.name == "cosine" else schedule.warm_up or 0.0
    rise = max(int(updates * warm_up), 1) if warm_up else 0
    if schedule.name == "cosine":
        if not rise:
            return kinds.CosineDecay(peak, updates)
        return kinds.CosineDecay(peak * _FIRST, max(updates - rise, 1), warmup_target=peak, warmup_steps=rise)
    if schedule.name in ("step", "exponential"):
        after = kinds.ExponentialDecay(
            peak,
            decay_steps=schedule.every * updates_per_epoch,
            decay_rate=schedule.factor,
            staircase=schedule.name == "step",
        )
    elif rise:
        after = kinds.PiecewiseConstantDecay([updates], [peak, peak])
    else:
        return peak
    return WarmUp(after, rise) if rise else after
