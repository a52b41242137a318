"""Calibrated bands -> 8-bit colour pictures, as networks trained on such pictures read them.

`render` is a step with stated settings, whose name a model's card records to apply it again;
`display_rgb` scales itself to the image and is for human eyes only.
"""

from galcnn.rendering.display import display_rgb
from galcnn.rendering.stated import RENDERS, RenderStep, render

__all__ = ["RENDERS", "RenderStep", "display_rgb", "render"]
