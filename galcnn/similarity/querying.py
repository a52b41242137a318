"""A galaxy from a file, in the space of features of a run."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.files import load_cutout
from galcnn.pipeline.classification import ClassifySettings, classify_batch, open_classifier
from galcnn.pipeline.runs import MANIFEST
from galcnn.prediction import UNFIT, UNREADABLE

__all__ = ["features_of_files"]


def features_of_files(
    paths: Sequence[str | os.PathLike[str]],
    model: str | os.PathLike[str],
    table: str | os.PathLike[str],
    *,
    bands: tuple[str, ...] | None = None,
    fit: bool = False,
) -> npt.NDArray[np.float32]:
    """Give the features of an image by the model that a run was of.

    Parameters
    ----------
    paths : sequence of path-like
        Its file, or files of one galaxy.
    model : path-like
        Folder of the model, the first one of a run of several.
    table : path-like
        Folder of the run, or its table; ``manifest.json`` beside it names the model and how images were
        rendered.
    bands : tuple of str, optional
        Names of the planes, where the header does not say.
    fit : bool
        Whether the pixel grid may be changed.

    Returns
    -------
    numpy.ndarray
        float32, shape (n_features,).

    Raises
    ------
    ValueError
        The run was (or began) with another model, or the image does not fit it.
    galcnn.errors.UnreadableImageError, FileNotFoundError
        It cannot be read.
    """
    ready = open_classifier(model)
    place = Path(table) if Path(table).is_dir() else Path(table).parent
    render = None
    if (place / MANIFEST).exists():
        manifest = json.loads((place / MANIFEST).read_text(encoding="utf-8"))
        render, stated = manifest["settings"]["render"], manifest["model_sha256"].split(",")[0]
        if stated != ready.trained.card.model_sha256:
            raise ValueError(
                message(
                    "the model that the run was of",
                    "Features of two models cannot be compared.",
                    model_sha256=ready.trained.card.model_sha256[:12],
                    of_the_run=stated[:12],
                )
            )
    settings = ClassifySettings(calibrated=False, embeddings=True, fit=fit, render=render)
    shown = ",".join(os.fspath(path) for path in paths)
    answer = classify_batch(ready, [load_cutout(paths, bands=bands)], [shown], settings=settings)[0]
    if answer["flag"] & (UNREADABLE | UNFIT):
        raise ValueError(f"{shown}: {answer['reason']}")
    features: npt.NDArray[np.float32] = np.asarray(answer["embedding"], dtype=np.float32)
    return features
