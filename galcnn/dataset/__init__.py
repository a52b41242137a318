"""Cutouts with classes or votes, ready to train on: reading, and splits that keep neighbours together."""

from galcnn.dataset.dataset import Dataset
from galcnn.dataset.reader import HeldCutouts, InputFiles
from galcnn.dataset.reading import pack_images, read_dataset, read_vote_dataset
from galcnn.dataset.shards import PackedImages, Shard, read_shards
from galcnn.dataset.sources import SourceSettings
from galcnn.dataset.splits import sdss_field, split_catalog
from galcnn.dataset.suspicious import SuspicionLimits, measure_cutout, suspicious_table

__all__ = [
    "Dataset",
    "HeldCutouts",
    "InputFiles",
    "PackedImages",
    "Shard",
    "SourceSettings",
    "SuspicionLimits",
    "measure_cutout",
    "pack_images",
    "read_dataset",
    "read_shards",
    "read_vote_dataset",
    "sdss_field",
    "split_catalog",
    "suspicious_table",
]
