from .criteria import FaithfulnessSettings as FaithfulnessSettings
from .deletion_insertion import deletion_and_insertion as deletion_and_insertion
from .localisation import energy_density as energy_density
from .localisation import pointing as pointing
from .map_attacks import fragility as fragility
from .parameter_randomisation import randomisation as randomisation
from .report import faithfulness_report as faithfulness_report
from .retraining import retrain as retrain
from .sample import Sample as Sample
from .sample import read_sample as read_sample
from .stability import equivariance as equivariance
from .stability import sensitivity as sensitivity

__all__ = [
    "Sample",
    "FaithfulnessSettings",
    "deletion_and_insertion",
    "energy_density",
    "equivariance",
    "fragility",
    "pointing",
    "randomisation",
    "read_sample",
    "retrain",
    "sensitivity",
    "faithfulness_report",
]
