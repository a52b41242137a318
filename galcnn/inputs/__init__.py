"""What a network sees: files to Cutouts that fit, Cutouts to images, and maps back to planes."""

from galcnn.inputs.files import InputFiles, load_fitting, load_prepared
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
    "InputFiles",
    "InputSpec",
    "blank_bands",
    "check_render",
    "images_from",
    "load_fitting",
    "load_prepared",
    "planes_from",
    "prepare",
]
