from .augmentation import Augmentation as Augmentation
from .batches import training_batches as training_batches
from .class_weights import class_frequency as class_frequency
from .class_weights import trained_prior as trained_prior
from .optimizers import make_optimizer as make_optimizer
from .redshifts import RandomRedshift as RandomRedshift
from .settings import Schedule as Schedule
from .settings import StartSettings as StartSettings
from .settings import TrainingSettings as TrainingSettings
from .snapshots import Snapshots as Snapshots
from .snapshots import read_snapshots as read_snapshots
from .training import fit as fit
from .training import fit_batches as fit_batches

__all__ = [
    "Augmentation",
    "RandomRedshift",
    "Schedule",
    "Snapshots",
    "StartSettings",
    "TrainingSettings",
    "class_frequency",
    "fit",
    "fit_batches",
    "make_optimizer",
    "read_snapshots",
    "trained_prior",
    "training_batches",
]
