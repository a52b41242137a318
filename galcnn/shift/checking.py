"""Are these galaxies like those of the training? The input and every layer, compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from astropy.table import QTable

from galcnn.model import TrainedModel
from galcnn.shift.drift import Measure, drift, holm
from galcnn.shift.features import model_features

__all__ = ["drift_table"]


def drift_table(
    trained: TrainedModel,
    reference: npt.NDArray[np.float32],
    images: npt.NDArray[np.float32],
    *,
    measure: Measure = "mmd",
    layers: Sequence[str] | None = None,
    seed: int = 0,
) -> QTable:
    """Compare images with those of the training, as a network sees them.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The network.
    reference, images : numpy.ndarray
        Of the training, and those in question, shape (n, ny, nx, n_bands), in the model's unit.
    measure : str
        See `galcnn.shift.drift.drift`.
    layers : sequence of str, optional
        Network layers; by default all with weights.
    seed : int
        Of the permutations.

    Returns
    -------
    astropy.table.QTable
        ``layer`` (``input`` first), ``value``, ``p_value``, and ``p_holm``, adjusted for the
        number of rows: one below 0.05 says that the galaxies differ.
    """
    near, far = (model_features(trained, one, layers=layers) for one in (reference, images))
    found = {
        name: drift(near[name], far[name], measure=measure, permutations=999, seed=seed) for name in near
    }
    adjusted = holm({name: one.p_value for name, one in found.items()})
    rows = [(name, one.value, one.p_value, adjusted[name]) for name, one in found.items()]
    return QTable(
        rows=rows,
        names=("layer", "value", "p_value", "p_holm"),
        meta={"measure": measure, "n_reference": len(reference), "n_images": len(images)},
    )
