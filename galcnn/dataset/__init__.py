"""Datasets: readers of galaxy images, shards, train/validation/test splits and checks of the data."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
