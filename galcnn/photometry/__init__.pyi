from .instruments import Observation as Observation
from .instruments import observation_of as observation_of
from .units import DISPLAY as DISPLAY
from .units import ab_flux as ab_flux
from .units import ab_magnitude as ab_magnitude
from .units import parse_unit as parse_unit

__all__ = [
    "DISPLAY",
    "Observation",
    "ab_flux",
    "ab_magnitude",
    "observation_of",
    "parse_unit",
]
