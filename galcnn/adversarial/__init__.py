"""Adversarial images: perturbed or synthetic cutouts that a network misclassifies.

Attacks have the call signature of explainers, ``(network, images, target, *, context)``, and return
images. `galcnn.adversarial.attack` runs attacks on cutouts and returns one `galcnn.explain.Synthesis` per
cutout and attack, whose success is checked by a separate prediction. Submodules are imported on first
use, since Keras is slow to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
