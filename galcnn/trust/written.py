"""Maps over their scatter as FITS layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from galcnn.catalog.naming import file_stems
from galcnn.cutout import Cutout
from galcnn.explain import Explanation, Target
from galcnn.explain.explaining import stretched_images
from galcnn.explain.gradients import target_scores
from galcnn.inputs import planes_from
from galcnn.layers import LayerStack
from galcnn.model import TrainedModel
from galcnn.prediction import predict

__all__ = ["write_layers"]

#: Criterion -> what is told of it in the name of a layer.
_SCATTERS = {"significance": "noise", "significance-seeds": "seeds", "significance-labels": "labels"}


def write_layers(
    folder: Path,
    trained: TrainedModel,
    galaxies: tuple[Sequence[Cutout], Sequence[str]],
    targets: Sequence[Target],
    found: Mapping[str, Mapping[str, npt.NDArray[np.floating]]],
) -> list[Path]:
    """Write, for each galaxy and method, the map, its ratio to the scatter, and adjusted p-values.

    Parameters
    ----------
    folder : pathlib.Path
        Gets ``<id>-layers.fits``, see `galcnn.layers`.
    trained : galcnn.model.TrainedModel
        The model.
    galaxies : tuple of sequence
        Cutouts and ids; the first ones of those that were tested.
    targets : sequence of galcnn.explain.Target
        Of these.
    found : mapping of str to mapping
        Method -> arrays of its checks.

    Returns
    -------
    list of pathlib.Path
        The files. Layers are named METHOD, T_NOISE_METHOD (Student's t) and Q_NOISE_METHOD, and
        so on for ``SEEDS`` and ``LABELS``; NaN where a pixel is masked or has no scatter.
    """
    cutouts, ids = galaxies
    if not cutouts:
        return []
    prediction = predict(trained, cutouts, ids=ids)
    images, _ = stretched_images(trained, cutouts, ids=ids)
    scores = target_scores(trained.network, images, targets[: len(cutouts)])
    provenance = {"model": trained.card.name, "model_sha256": trained.card.model_sha256}
    stems = file_stems(ids)
    files = []
    for row, (name, cutout) in enumerate(zip(ids, cutouts, strict=True)):
        layers = []
        for method, arrays in found.items():
            for criterion, word in _SCATTERS.items():
                if f"{criterion}_map" not in arrays:
                    continue
                for part, prefix in (("map", ""), ("ratio", f"t_{word}_"), ("q", f"q_{word}_")):
                    if part == "map" and word == "labels":
                        continue  # the same as that over noise
                    prefix = "mean_" if part == "map" and word == "seeds" else prefix
                    planes = planes_from(arrays[f"{criterion}_{part}"][row : row + 1])[0]
                    one = len(planes) < len(cutout.bands)
                    mask = cutout.mask.all(axis=0, keepdims=True) if one else cutout.mask
                    layers.append(
                        Explanation(
                            np.where(mask, np.float32(np.nan), planes),
                            ("all",) if one else cutout.bands,
                            method=prefix + method,
                            target=targets[row],
                            wrt="stretched",
                            unit="",
                            score=float(scores[row]),
                        )
                    )
        files.append(folder / f"{stems[name]}-layers.fits")
        LayerStack(cutout, prediction.select([row]), tuple(layers), provenance).write(files[-1])
    return files
