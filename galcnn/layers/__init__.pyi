from .appending import append_stack as append_stack
from .appending import read_stacks as read_stacks
from .original import write_into as write_into
from .stack import LayerStack as LayerStack
from .stack import provenance_of as provenance_of
from .syntheses import read_syntheses as read_syntheses
from .syntheses import write_syntheses as write_syntheses

__all__ = [
    "LayerStack",
    "append_stack",
    "provenance_of",
    "read_stacks",
    "read_syntheses",
    "write_into",
    "write_syntheses",
]
