"""Cutouts with classes, ready to train on: reading, and splits that keep neighbours together."""

from galcnn.dataset.dataset import Dataset
from galcnn.dataset.reading import CutoutReader, read_dataset
from galcnn.dataset.splits import sdss_field, split_catalog
from galcnn.dataset.suspicious import SuspicionLimits, measure_cutout, suspicious_table

__all__ = [
    "CutoutReader",
    "Dataset",
    "SuspicionLimits",
    "measure_cutout",
    "read_dataset",
    "sdss_field",
    "split_catalog",
    "suspicious_table",
]
