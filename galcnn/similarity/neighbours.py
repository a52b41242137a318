"""Galaxies alike: the nearest in the space of the features that the last layer reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from astropy.table import Table
from sklearn.neighbors import NearestNeighbors

from galcnn.errors import message
from galcnn.similarity.embedded import Embedded

__all__ = ["METRICS", "nearest"]

#: The angle between two feature vectors, or their distance.
METRICS = ("cosine", "euclidean")


def nearest(
    embedded: Embedded,
    query: str | npt.ArrayLike,
    *,
    n: int = 10,
    metric: str = "cosine",
) -> Table:
    """Give the galaxies most like one.

    Parameters
    ----------
    embedded : Embedded
        Among these; those that were not seen are left out.
    query : str or array-like
        Id of one of them, which is left out of its own neighbours, or features of another galaxy, by
        the same model.
    n : int
        How many; fewer where there are not so many.
    metric : {"cosine", "euclidean"}
        One minus the cosine of the angle between two vectors, or their distance.

    Returns
    -------
    astropy.table.Table
        Columns `rank` from 1, `id`, `distance`, `class`, `p`: the most probable class and its
        probability. The nearest first.

    Raises
    ------
    ValueError
        No such galaxy or metric, features of another width, or no other galaxy.
    """
    if metric not in METRICS:
        raise ValueError(message(f"a metric among {METRICS}", "", metric=metric))
    if n < 1:
        raise ValueError(message("at least one neighbour", "", n=n))
    rows = np.flatnonzero(embedded.usable)
    if isinstance(query, str):
        row = embedded.row_of(query)
        features, rows = embedded.features[row], rows[rows != row]
    else:
        features = np.asarray(query, dtype=np.float32)
        if features.shape != embedded.features.shape[1:] or not np.isfinite(features).all():
            raise ValueError(
                message(
                    f"{embedded.features.shape[1]} finite features",
                    "Embed it by the model of the table.",
                    shape=features.shape,
                )
            )
    if not len(rows):
        raise ValueError(message("another galaxy in the table that was seen", "", n=len(embedded)))
    index = NearestNeighbors(n_neighbors=min(n, len(rows)), metric=metric, algorithm="brute")
    # float64: the cosine of nearly parallel vectors loses half of its digits.
    found, places = index.fit(embedded.features[rows].astype(np.float64)).kneighbors(
        features[np.newaxis].astype(np.float64)
    )
    table = embedded.ranked(rows[places[0]], "distance", np.maximum(found[0], 0.0))
    table["distance"].description = f"{metric} distance of features"
    table.meta["query"] = query if isinstance(query, str) else "features"
    table.meta["metric"] = metric
    return table
