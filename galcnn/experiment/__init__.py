"""One experiment: catalog -> data -> trained -> scored -> saved. Lazy, since Keras is slow to import."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from galcnn.experiment.data import ExperimentData, data_of, read_data
    from galcnn.experiment.galaxies import galaxies_of
    from galcnn.experiment.preflight import (
        check_experiment,
        check_prepared,
        experiment_signals,
        find_learning_rate,
        read_health,
    )
    from galcnn.experiment.settings import DataSettings, Experiment
    from galcnn.experiment.training import train

_HOME = {
    "DataSettings": "settings",
    "Experiment": "settings",
    "ExperimentData": "data",
    "check_experiment": "preflight",
    "check_prepared": "preflight",
    "data_of": "data",
    "experiment_signals": "preflight",
    "find_learning_rate": "preflight",
    "galaxies_of": "galaxies",
    "read_data": "data",
    "read_health": "preflight",
    "train": "training",
}

__all__ = [
    "DataSettings",
    "Experiment",
    "ExperimentData",
    "check_experiment",
    "check_prepared",
    "data_of",
    "experiment_signals",
    "find_learning_rate",
    "galaxies_of",
    "read_data",
    "read_health",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(f"galcnn.experiment.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
