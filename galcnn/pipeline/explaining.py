"""Image files -> layer stacks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from galcnn import plugins
from galcnn.explain import Explainer, Target, explain
from galcnn.explain.explanation import Wrt
from galcnn.inputs import InputFiles, prepare
from galcnn.layers import LayerStack, provenance_of
from galcnn.prediction import predict
from galcnn.progress import Progress, silent

if TYPE_CHECKING:
    from galcnn.cutout import Cutout
    from galcnn.model import TrainedModel

__all__ = ["explain_files", "explainers_by_name", "provenance"]

_BATCH = 64


def explain_files(
    trained: TrainedModel,
    files: InputFiles,
    *,
    explainers: Sequence[Explainer],
    target: str | None = None,
    wrt: Wrt = "flux",
    progress: Progress = silent,
) -> list[LayerStack]:
    """Classify and explain image files.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.inputs.InputFiles
        The images.
    explainers : sequence of Explainer
        Methods, see `explainers_by_name`.
    target : str, optional
        A class, or ``class-class`` for a margin; the predicted class of each by default.
    wrt : {"flux", "stretched", "sigma"}
        See `galcnn.explain.explain`.
    progress : galcnn.progress.Progress
        Shows the files.

    Returns
    -------
    list of galcnn.layers.LayerStack
        One a file, in order.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        A file cannot be read or does not fit; the text names it.
    """
    goal = None if target is None else Target.parse(target, trained.classes)
    names, stacks = list(files.paths), []
    with progress("explain", len(names)) as step:
        for start in range(0, len(names), _BATCH):
            own = names[start : start + _BATCH]
            cutouts = [_prepared(files, name, trained) for name in own]
            prediction = predict(trained, cutouts, ids=own)
            explained = explain(trained, cutouts, explainers=explainers, targets=goal, wrt=wrt, ids=own)
            for row, (name, cutout, maps) in enumerate(zip(own, cutouts, explained, strict=True)):
                origin = provenance(trained, files.paths[name])
                stacks.append(LayerStack(cutout, prediction.select([row]), maps, origin))
                step()
    return stacks


def _prepared(files: InputFiles, name: str, trained: TrainedModel) -> Cutout:
    try:
        return prepare(files.load(name), trained.card.inputs, fit=files.fit)
    except (OSError, ValueError) as error:
        raise type(error)(f"{os.fspath(files.paths[name])}: {error}") from error


def explainers_by_name(names: Sequence[str]) -> list[Explainer]:
    """Make explainers with their default settings.

    Parameters
    ----------
    names : sequence of str
        As `galcnn plugins` lists them.

    Returns
    -------
    list of Explainer
        In order.

    Raises
    ------
    galcnn.errors.PluginError
        There is none of this name, or it is broken.
    """
    return [plugins.load(plugins.EXPLAINERS, name)() for name in names]


def provenance(trained: TrainedModel, path: str | os.PathLike[str]) -> dict[str, str]:
    """Say which model and which file a stack is made of.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    path : path-like
        The image file.

    Returns
    -------
    dict of str to str
        Names, hashes and training data, for the PROVENANCE table.
    """
    card = trained.card
    training = {f"training_{key}": str(card.data.get(key, "")) for key in ("survey", "sha256", "licence")}
    versions = {f"version_{name}": version for name, version in card.versions.items()}
    known = provenance_of(path, model=card.name, model_sha256=card.model_sha256)
    return known | training | versions | {"render": card.inputs.render or ""}
