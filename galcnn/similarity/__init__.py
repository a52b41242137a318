"""Galaxies alike in the eyes of a network, and those most worth a label; from the table of a run.

No Keras is imported here: features and probabilities were written by `galcnn classify --embeddings`.
"""

from galcnn.similarity.labelling import STRATEGIES, suggest
from galcnn.similarity.neighbours import METRICS, Embedded, nearest, read_embedded

__all__ = ["METRICS", "STRATEGIES", "Embedded", "nearest", "read_embedded", "suggest"]
