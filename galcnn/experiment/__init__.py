"""One experiment: catalog -> data -> trained -> scored -> saved."""

from galcnn.experiment.run import run_experiment
from galcnn.experiment.settings import DataSettings, Experiment

__all__ = ["DataSettings", "Experiment", "run_experiment"]
