"""One experiment: catalog -> data -> trained -> scored -> saved."""

from galcnn.experiment.checking import check_experiment, check_prepared
from galcnn.experiment.health import read_health
from galcnn.experiment.initialisation import experiment_signals
from galcnn.experiment.prepare import Prepared, prepare
from galcnn.experiment.rates import find_learning_rate
from galcnn.experiment.run import run_experiment
from galcnn.experiment.settings import DataSettings, Experiment

__all__ = [
    "DataSettings",
    "Experiment",
    "Prepared",
    "check_experiment",
    "check_prepared",
    "experiment_signals",
    "find_learning_rate",
    "prepare",
    "read_health",
    "run_experiment",
]
