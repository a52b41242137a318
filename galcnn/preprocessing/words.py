"""The words by which preprocessing is chosen; no Keras here."""

from __future__ import annotations

from typing import Literal

__all__ = ["Per", "Scaling", "Stretch"]

Stretch = Literal["auto", "asinh", "lupton", "linear"]
Scaling = Literal["none", "center", "scale", "standardize", "pca", "whiten"]
#: What has a mean and a deviation of its own: each band of the training set, or the whole set; each
#: image, or each band of each image.
Per = Literal["band", "set", "image", "image-band"]
