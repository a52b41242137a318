from .gradients import GradientHealth as GradientHealth
from .gradients import diagnose as diagnose
from .initialisation import Stack as Stack
from .initialisation import stack_summary as stack_summary
from .initialisation import stack_table as stack_table
from .landscape import Grid as Grid
from .landscape import Objective as Objective
from .landscape import random_slice as random_slice
from .landscape import slice_between as slice_between
from .landscape import trajectory_slice as trajectory_slice
from .preflight import check_overfitting as check_overfitting
from .surface import departure_from_convexity as departure_from_convexity
from .surface import read_surface as read_surface
from .surface import write_surface as write_surface

__all__ = [
    "GradientHealth",
    "Grid",
    "Objective",
    "Stack",
    "check_overfitting",
    "departure_from_convexity",
    "diagnose",
    "random_slice",
    "read_surface",
    "slice_between",
    "stack_summary",
    "stack_table",
    "trajectory_slice",
    "write_surface",
]
