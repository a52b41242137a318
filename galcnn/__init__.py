"""Galaxy morphology with convolutional networks that say what a galaxy is, and why."""

__version__ = "0.1.0"
