from .fooling_images import SkyAscent as SkyAscent
from .fooling_images import SkyEvolution as SkyEvolution
from .margins import Attack as Attack
from .minimal import MinimalPerturbation as MinimalPerturbation
from .minimal import SmallestEpsilon as SmallestEpsilon
from .perturbation import attack as attack
from .perturbation import away_from as away_from
from .pgd import FGSM as FGSM
from .pgd import PGD as PGD
from .registry import attacks_by_name as attacks_by_name
from .universal import UniversalPerturbation as UniversalPerturbation
from .visible import visibility as visibility

__all__ = [
    "Attack",
    "FGSM",
    "MinimalPerturbation",
    "PGD",
    "SkyAscent",
    "SkyEvolution",
    "SmallestEpsilon",
    "UniversalPerturbation",
    "attacks_by_name",
    "away_from",
    "attack",
    "visibility",
]
