"""Find a learning rate for an experiment, and draw why."""

from __future__ import annotations

import os

from galcnn.experiment.prepare import prepare
from galcnn.experiment.settings import Experiment
from galcnn.progress import Progress, silent
from galcnn.training.range_test import learning_rate_range_test, smoothed
from galcnn.viewers.curves import learning_rate_figure
from galcnn.viewers.figures import save_figure

__all__ = ["find_learning_rate"]


def find_learning_rate(
    experiment: Experiment, figure: str | os.PathLike[str], *, progress: Progress = silent
) -> float | None:
    """Run a learning-rate range test on an experiment's training set.

    Parameters
    ----------
    experiment : Experiment
        Whose data, network, optimizer and batch size are taken.
    figure : path-like
        Gets the figure, ``.png`` or ``.pdf``.
    progress : galcnn.progress.Progress
        Shows reading and updates.

    Returns
    -------
    float or None
        Rate at which the loss falls fastest; None where it does not fall.

    Raises
    ------
    OSError, ValueError
        Bad input.
    """
    prepared = prepare(experiment, progress=progress)
    test = learning_rate_range_test(
        prepared.new_model(),
        prepared.sides["train"],
        settings=experiment.training,
        seed=experiment.seed,
        progress=progress,
    )
    save_figure(learning_rate_figure(test.rates, test.losses, smoothed(test.losses), test.suggestion), figure)
    return test.suggestion
