"""Galaxies alike in the eyes of a network, and those most worth a label; from the table of a run.

No Keras is imported here: features and probabilities were written by `galcnn classify --embeddings`.
"""

from galcnn.similarity.embedded import Embedded, read_embedded
from galcnn.similarity.neighbours import METRICS, nearest
from galcnn.similarity.suggesting import STRATEGIES, suggest

__all__ = ["METRICS", "STRATEGIES", "Embedded", "nearest", "read_embedded", "suggest"]
