"""Learning rate schedules by name, each with an optional warm-up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import keras

from galcnn.errors import message

ScheduleName = Literal["constant", "step", "exponential", "cosine", "plateau"]
SCHEDULES: tuple[str, ...] = get_args(ScheduleName)

#: Initial rate of a warm-up, as a fraction of the peak.
_FIRST = 0.01


@dataclass(frozen=True)
class Schedule:
    """Learning rate schedule of a training.

    Attributes
    ----------
    name : {"constant", "step", "exponential", "cosine", "plateau"}
        ``"step"`` multiplies the rate by `factor` every `every` epochs; ``"exponential"`` does so
        continuously. ``"cosine"`` decreases it to zero at the last epoch (Loshchilov & Hutter 2017).
        ``"plateau"`` multiplies it by `factor` when the validation loss has not fallen for `patience`
        epochs.
    warm_up : float or None
        Fraction of all updates in which the rate rises linearly from a hundredth of its peak, before
        the schedule starts. None means 0.05 for ``"cosine"`` and 0 for the others.
    factor : float
        Factor of ``"step"``, ``"exponential"`` and ``"plateau"``, in (0, 1).
    every : float
        Interval of ``"step"`` and ``"exponential"``, in epochs.
    patience : int
        Epochs without a lower validation loss before ``"plateau"`` reduces the rate.
    """

    name: ScheduleName = "cosine"
    warm_up: float | None = None
    factor: float = 0.1
    every: float = 10.0
    patience: int = 5

    def __post_init__(self) -> None:
        if self.name not in SCHEDULES:
            raise ValueError(message(f"schedule among {SCHEDULES}", "", schedule=self.name))
        if not 0 <= (self.warm_up or 0) < 1:
            raise ValueError(message("a warm-up in [0, 1)", "", warm_up=self.warm_up))
        if self.name == "plateau" and self.warm_up:
            raise ValueError(
                message(
                    "no warm-up before a plateau",
                    "The rate is then moved by the validation loss alone.",
                    warm_up=self.warm_up,
                )
            )
        if not 0 < self.factor < 1 or not self.every > 0 or self.patience < 1:
            raise ValueError(
                message(
                    "a factor in (0, 1), a positive number of epochs, a patience of at least 1",
                    "",
                    factor=self.factor,
                    every=self.every,
                    patience=self.patience,
                )
            )


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
