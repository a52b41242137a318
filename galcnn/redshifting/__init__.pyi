from .redshifting import redshift as redshift
from .settings import Redshifting as Redshifting
from .settings import magnification as magnification

__all__ = [
    "Redshifting",
    "magnification",
    "redshift",
]
