"""Classification in workflow systems: Dask, LSDB, ceci and the LSST pipelines, one module each.

Each sends tasks of `galcnn.pipeline` (the path of a model, rows of a catalog) to workers. Each needs the
extra of its name, e.g. ``pip install 'galcnn[dask]'``. Keras is imported by the workers only.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
