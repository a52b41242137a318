"""What a network sees: Cutouts that fit, Cutouts to images, and maps back to planes."""

from galcnn.inputs.images import (
    FILL,
    SCALE_TOLERANCE,
    InputSpec,
    blank_bands,
    check_render,
    images_from,
    planes_from,
    prepare,
)

__all__ = [
    "FILL",
    "SCALE_TOLERANCE",
    "InputSpec",
    "blank_bands",
    "check_render",
    "images_from",
    "planes_from",
    "prepare",
]
