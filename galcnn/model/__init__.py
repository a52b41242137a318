"""Networks that end in logits, and what is known of a trained one (model and card)."""

from galcnn.model.bundle import TrainedModel, load_model, save_model
from galcnn.model.card import Card
from galcnn.model.network import NetworkSettings, assemble, build_network

__all__ = ["Card", "NetworkSettings", "TrainedModel", "assemble", "build_network", "load_model", "save_model"]
