"""Explanations: what in the image moved a logit, and what the network itself looks like.

Maps of images, one method a file in `methods`; the network itself in `network`: its filters, what its
layers make of an image, the images that it answers most strongly, its boundaries, its backward pass.
Lazy, since Keras is slow to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
