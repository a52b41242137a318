"""Training: fit a network to a training set, watched on a validation set. Never scores."""

from galcnn.training.augmentation import Augmentation
from galcnn.training.imbalance import class_frequency, trained_prior
from galcnn.training.train import TrainingSettings, train

__all__ = ["Augmentation", "TrainingSettings", "class_frequency", "train", "trained_prior"]
