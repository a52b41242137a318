"""Cutouts with classes, ready to train on: reading, and splits that keep neighbours together."""

from galcnn.dataset.dataset import Dataset
from galcnn.dataset.reading import read_dataset
from galcnn.dataset.splits import sdss_field, split_catalog

__all__ = ["Dataset", "read_dataset", "sdss_field", "split_catalog"]
