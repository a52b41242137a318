"""Cutouts with classes or votes, ready to train on: reading, and splits that keep neighbours together."""

from galcnn.dataset.cutout_files import CutoutFiles
from galcnn.dataset.dataset import Dataset
from galcnn.dataset.packed import PackedImages, pack_images
from galcnn.dataset.reader import CutoutReader
from galcnn.dataset.reading import read_dataset, read_vote_dataset
from galcnn.dataset.shards import Shard, read_shards
from galcnn.dataset.splits import sdss_field, split_catalog
from galcnn.dataset.suspicious import SuspicionLimits, measure_cutout, suspicious_table

__all__ = [
    "CutoutFiles",
    "CutoutReader",
    "Dataset",
    "PackedImages",
    "Shard",
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
