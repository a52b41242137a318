"""Training: fit a network to a training set, watched on a validation set. Never scores."""

from galcnn.training.augmentation import Augmentation
from galcnn.training.batches import Batches
from galcnn.training.callbacks import Epochs, LossRecord
from galcnn.training.checkpoint import Checkpoint, restore_best
from galcnn.training.class_weights import class_frequency, trained_prior
from galcnn.training.redshifts import RandomRedshift
from galcnn.training.schedules import Schedule
from galcnn.training.settings import TrainingSettings
from galcnn.training.training import fit, fit_batches

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
    "fit_batches",
    "restore_best",
    "fit",
    "trained_prior",
]
