from .dataset import Dataset as Dataset
from .reader import InputFiles as InputFiles
from .reading import pack_images as pack_images
from .reading import read_dataset as read_dataset
from .reading import read_vote_dataset as read_vote_dataset
from .shards import read_shards as read_shards
from .sources import SourceSettings as SourceSettings
from .splits import split_catalog as split_catalog
from .suspicious import suspicious_table as suspicious_table

__all__ = [
    "Dataset",
    "InputFiles",
    "SourceSettings",
    "pack_images",
    "read_dataset",
    "read_shards",
    "read_vote_dataset",
    "split_catalog",
    "suspicious_table",
]
