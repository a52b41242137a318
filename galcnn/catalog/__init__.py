"""Catalog: what is known of many galaxies; its files, its classes, and its matches on the sky."""

from galcnn.catalog.catalog import SPLITS, Catalog
from galcnn.catalog.columns import image_paths
from galcnn.catalog.labels import relabel, vote_fractions
from galcnn.catalog.matching import CrossMatch, cross_match, join_match
from galcnn.catalog.reading import read_catalog, write_catalog
from galcnn.catalog.tables import FORMATS, table_format, write_table

__all__ = [
    "FORMATS",
    "SPLITS",
    "Catalog",
    "CrossMatch",
    "cross_match",
    "image_paths",
    "join_match",
    "read_catalog",
    "relabel",
    "table_format",
    "vote_fractions",
    "write_catalog",
    "write_table",
]
