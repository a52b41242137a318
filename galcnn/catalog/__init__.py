"""Catalog: what is known of many galaxies; its files, its classes, and its matches on the sky."""

from galcnn.catalog.catalog import SPLITS, Catalog, image_paths
from galcnn.catalog.formats import FORMATS, read_catalog, table_format, write_catalog, write_table
from galcnn.catalog.labels import relabel, vote_fractions
from galcnn.catalog.matching import CrossMatch, cross_match, join_match

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
