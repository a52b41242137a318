"""Jobs of the command line and of survey pipelines: classify, explain, attack and redshift image files.

Import from this package, not from its modules. The exports are loaded lazily, because clients that
only send tasks to workers need no Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
