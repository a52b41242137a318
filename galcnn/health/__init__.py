"""Why a network does not learn: signals at initialisation, gradients while it trains, checks before."""

from galcnn.health.gradients import GradientHealth, HealthLimits, HealthWarning, Sign, diagnose, remedy_text
from galcnn.health.initialisation import (
    KernelLayer,
    Stack,
    initialisation_table,
    initializer_variance,
    kernel_layers,
    mean_field,
    stack_summary,
    stack_table,
)

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
