"""Training: fit a network to a training set, watched on a validation set. Never scores."""

from galcnn.training.augmentation import Augmentation
from galcnn.training.batches import Batches
from galcnn.training.callbacks import Epochs
from galcnn.training.checkpoint import Checkpoint, restore_best
from galcnn.training.imbalance import class_frequency, trained_prior
from galcnn.training.recording import LossRecord
from galcnn.training.redshifts import RandomRedshift
from galcnn.training.schedules import Schedule
from galcnn.training.settings import TrainingSettings
from galcnn.training.train import fit, train

__all__ = [
    "Augmentation",
    "Batches",
    "Checkpoint",
    "Epochs",
    "LossRecord",
    "RandomRedshift",
    "Schedule",
    "TrainingSettings",
    "class_frequency",
    "fit",
    "restore_best",
    "train",
    "trained_prior",
]
