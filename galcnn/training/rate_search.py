"""Learning rate range test: raise the rate during a short training and find where the loss falls fastest."""

from __future__ import annotations

from dataclasses import dataclass, replace

import keras
import numpy as np
import numpy.typing as npt

from galcnn._runtime.progress import Progress, silent
from galcnn.dataset import Dataset
from galcnn.errors import message
from galcnn.training.batches import training_batches
from galcnn.training.settings import TrainingSettings
from galcnn.training.training import compile_model

Series = npt.NDArray[np.float64]


#: Lowest and highest rate, and number of updates between them.
_LOW, _HIGH, _UPDATES = 1e-6, 10.0, 120


#: Width of the smoothing (Gaussian, updates); factor over the least loss at which the test ends.
_WIDTH, _LOST = 6.0, 2.0


#: Number of decades below the rate of the least loss that are searched; below them there is only noise.
_DECADES = 2.0


@dataclass(frozen=True, eq=False)
class RangeTest:
    """Loss against learning rate of a range test.

    Attributes
    ----------
    rates : numpy.ndarray
        Learning rate of each update, increasing.
    losses : numpy.ndarray
        Loss of the batches of each update, before the update.
    """

    rates: Series
    losses: Series

    @property
    def suggestion(self) -> float | None:
        """Rate at which the smoothed loss falls fastest; None if it does not fall.

        It must fall by at least 2 % and three standard deviations of the smoothed loss.
        """
        means = smoothed(self.losses)
        least = int(np.argmin(means))
        scatter = np.std(self.losses[: least + 1] - means[: least + 1]) / np.sqrt(_WIDTH)
        if least < 3 or means[0] - means[least] < max(3 * scatter, 0.02 * abs(means[0])):
            return None
        slopes = np.gradient(means, np.log(self.rates))[: least + 1]
        near = self.rates[: least + 1] >= self.rates[least] / 10**_DECADES
        return float(self.rates[int(np.argmin(np.where(near, slopes, np.inf)))])


def learning_rate_range_test(
    model: keras.Model,
    training: Dataset,
    *,
    settings: TrainingSettings | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> RangeTest:
    """Raise the learning rate at each update until the loss diverges; restore the weights (Smith 2017)."""
    wanted = replace(settings or TrainingSettings(), schedule="constant", learning_rate=_LOW, epochs=1)
    batches = training_batches(training, wanted, seed)
    wanted = replace(wanted, epochs=-(-_UPDATES // batches.updates_per_epoch))
    batches = training_batches(training, wanted, seed)
    compile_model(model, batches, wanted)
    start = [np.asarray(variable) for variable in model.variables]
    rates, losses = np.geomspace(_LOW, _HIGH, _UPDATES), []
    feed = iter(batches.beginning_at(0))
    try:
        with progress("range test", _UPDATES) as step:
            for rate in rates:
                model.optimizer.learning_rate = float(rate)
                parts = []
                for _ in range(batches.chunks):
                    model.reset_metrics()
                    parts.append(float(model.train_on_batch(*next(feed), return_dict=True)["loss"]))
                losses.append(float(np.mean(parts)))
                step(f"rate {rate:.1e}, loss {losses[-1]:.3f}")
                if not np.isfinite(losses[-1]):
                    losses.pop()
                    break
                means = smoothed(np.array(losses))
                if len(losses) > 10 and means[-1] > _LOST * means.min():
                    break
    finally:
        for variable, value in zip(model.variables, start, strict=True):
            variable.assign(value)
    if not losses:
        raise ValueError(message("a finite loss at the smallest rate", "Check the images.", rate=_LOW))
    return RangeTest(rates[: len(losses)], np.array(losses))


def smoothed(losses: Series) -> Series:
    """Smooth the loss over neighbouring updates with a Gaussian."""
    places = np.arange(len(losses))
    weights = np.exp(-0.5 * ((places[:, np.newaxis] - places) / _WIDTH) ** 2)
    return np.asarray(weights @ losses / weights.sum(axis=1))
