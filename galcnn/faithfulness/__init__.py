"""Tests of whether attribution maps are faithful to the network, and a report of their results.

Each check takes a network, an explainer and a `Sample`, and computes one value per galaxy. A criterion
with a stated null value and limit turns these into a verdict: *passes*, *fails*, *undecided* or *not
judged*. Names are imported lazily, because Keras is slow to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
