"""From files to answers: what the command line and survey pipelines call.

What is exported here is the interface; nothing outside imports the files of this room. Lazy, since
the command line reads its JSON answers at start-up, without Keras.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
