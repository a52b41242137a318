"""Explanations of predictions, and visualisation of the network itself.

`methods` contains the attribution methods, one per file. `network` contains views of the network: its
filters, activations, class models, decision boundaries and gradients. Submodules are imported lazily,
since Keras is slow to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
