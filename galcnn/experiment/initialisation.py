"""The signals of an experiment's network before it has learned anything."""

from __future__ import annotations

import numpy as np
from astropy.table import Table

from galcnn.experiment.prepare import prepare
from galcnn.experiment.settings import Experiment
from galcnn.health import initialisation_table
from galcnn.progress import Progress, silent
from galcnn.training.batches import training_batches

__all__ = ["experiment_signals"]


def experiment_signals(experiment: Experiment, *, progress: Progress = silent) -> Table:
    """Send the first batch of an experiment through its network, and a random gradient back.

    Parameters
    ----------
    experiment : Experiment
        Whose data and network are taken.
    progress : galcnn.progress.Progress
        Shows reading.

    Returns
    -------
    astropy.table.Table
        See `galcnn.health.initialisation_table`.

    Raises
    ------
    OSError, ValueError
        Bad input.
    """
    prepared = prepare(experiment, progress=progress)
    batches = training_batches(prepared.sides["train"], experiment.training, experiment.seed)
    images = next(iter(batches.beginning_at(0)))[0]
    return initialisation_table(prepared.new_model(), np.asarray(images), seed=experiment.seed)
