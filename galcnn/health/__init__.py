"""Why a network does not learn: signals at initialisation, gradients while it trains, checks before."""

from galcnn.health.initialisation import (
    Stack,
    initialisation_table,
    initializer_variance,
    mean_field,
    stack_summary,
    stack_table,
)
from galcnn.health.kernels import KernelLayer, kernel_layers
from galcnn.health.signs import HealthLimits, Sign, diagnose, remedy_text
from galcnn.health.watching import GradientHealth, HealthWarning

__all__ = [
    "GradientHealth",
    "HealthLimits",
    "HealthWarning",
    "KernelLayer",
    "Sign",
    "Stack",
    "diagnose",
    "initialisation_table",
    "initializer_variance",
    "kernel_layers",
    "mean_field",
    "remedy_text",
    "stack_summary",
    "stack_table",
]
