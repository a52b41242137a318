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

__all__ = [
    "KernelLayer",
    "Stack",
    "initialisation_table",
    "initializer_variance",
    "kernel_layers",
    "mean_field",
    "stack_summary",
    "stack_table",
]
