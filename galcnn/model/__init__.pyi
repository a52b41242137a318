from .build import assemble as assemble
from .build import build_network as build_network
from .bundle import TrainedModel as TrainedModel
from .bundle import load_model as load_model
from .bundle import save_model as save_model
from .card import Card as Card
from .export import export_onnx as export_onnx
from .graph import feature_maps as feature_maps
from .graph import network_layers as network_layers
from .importing import import_model as import_model
from .inputs import InputSpec as InputSpec
from .inputs import images_from as images_from
from .inputs import planes_from as planes_from
from .inputs import prepare as prepare
from .preprocessing.fitting import fit_preprocessing as fit_preprocessing
from .preprocessing.fitting import invert as invert
from .preprocessing.pca import PCA as PCA
from .preprocessing.pca import PCAWhitening as PCAWhitening
from .preprocessing.scaling import ImageStandardize as ImageStandardize
from .preprocessing.scaling import Standardize as Standardize
from .preprocessing.stretch import AsinhStretch as AsinhStretch
from .preprocessing.stretch import LuptonStretch as LuptonStretch
from .profile import network_table as network_table
from .ready import model_folder as model_folder
from .ready import read_card as read_card
from .ready import ready_models as ready_models
from .receptive import looked_at as looked_at
from .settings import DeviceSettings as DeviceSettings
from .settings import NetworkSettings as NetworkSettings
from .target import Target as Target

__all__ = [
    "AsinhStretch",
    "Card",
    "DeviceSettings",
    "ImageStandardize",
    "InputSpec",
    "LuptonStretch",
    "NetworkSettings",
    "PCA",
    "PCAWhitening",
    "Standardize",
    "Target",
    "TrainedModel",
    "assemble",
    "build_network",
    "export_onnx",
    "feature_maps",
    "fit_preprocessing",
    "images_from",
    "import_model",
    "invert",
    "load_model",
    "looked_at",
    "model_folder",
    "network_layers",
    "network_table",
    "planes_from",
    "prepare",
    "read_card",
    "ready_models",
    "save_model",
]
