"""Classification on other people's machinery: Dask, LSDB, ceci and LSST's pipelines, one file each.

Each sends the tasks of `galcnn.pipeline` (a model's path, rows of a catalog) to workers, and needs the
extra of its name: ``pip install 'galcnn[dask]'``. A client imports no Keras; workers do.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
