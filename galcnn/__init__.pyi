from .adversarial import attack as attack
from .catalog import Catalog as Catalog
from .catalog import read_catalog as read_catalog
from .cutout import Cutout as Cutout
from .dataset import Dataset as Dataset
from .dataset import read_dataset as read_dataset
from .evaluation import evaluate as evaluate
from .experiment import Experiment as Experiment
from .experiment import calibrate as calibrate
from .experiment import train as train
from .explain import Explanation as Explanation
from .explain import explain_cutouts as explain_cutouts
from .files import load_cutout as load_cutout
from .files import save_cutout as save_cutout
from .layers import LayerStack as LayerStack
from .model import Target as Target
from .model import TrainedModel as TrainedModel
from .model import load_model as load_model
from .model import save_model as save_model
from .pipeline import classify as classify
from .prediction import Prediction as Prediction
from .prediction import predict as predict
from .redshifting import redshift as redshift
from .report import write_report as write_report
from .simulation import simulate as simulate
from .surveys import fetch as fetch

__all__ = [
    "Catalog",
    "Cutout",
    "Dataset",
    "Experiment",
    "Explanation",
    "LayerStack",
    "Prediction",
    "Target",
    "TrainedModel",
    "attack",
    "calibrate",
    "classify",
    "evaluate",
    "explain_cutouts",
    "fetch",
    "load_cutout",
    "load_model",
    "predict",
    "read_catalog",
    "read_dataset",
    "redshift",
    "save_cutout",
    "save_model",
    "simulate",
    "train",
    "write_report",
]
