from .comparison import compare as compare
from .data import read_data as read_data
from .galaxies import galaxies_of as galaxies_of
from .preflight import check_experiment as check_experiment
from .settings import Experiment as Experiment
from .settings import read_settings as read_settings
from .training import train as train
from .uncertainty import calibrate as calibrate

__all__ = [
    "Experiment",
    "calibrate",
    "check_experiment",
    "compare",
    "galaxies_of",
    "read_data",
    "read_settings",
    "train",
]
