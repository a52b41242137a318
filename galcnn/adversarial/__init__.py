"""Adversarial images: cutouts changed, or made, until a network answers what it should not.

An attack is called like an explainer, ``(network, images, target, *, context)``, and gives images;
`galcnn.adversarial.perturbation` runs attacks on cutouts and gives a `galcnn.explain.Synthesis` for
each, whose success an independent prediction has checked. Lazy, since Keras is slow to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
