"""Is a map faithful to the network? Checks with a stated null and limit, and one report of them.

Each check takes a network, an explainer and a `Sample`; what it gives is one value a galaxy, from
which follows *passes*, *fails*, *undecided* or *not judged*. Lazy, since Keras is slow to import.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
