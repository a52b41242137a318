from .batch_norm import adapt_batchnorm as adapt_batchnorm
from .distances import drift as drift
from .experiment import read_shift as read_shift
from .experiment import run_shift as run_shift

__all__ = [
    "adapt_batchnorm",
    "drift",
    "read_shift",
    "run_shift",
]
