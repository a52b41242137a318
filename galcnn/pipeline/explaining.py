"""Image files -> layer stacks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from galcnn import plugins
from galcnn.explain import Explainer, Target, explain
from galcnn.explain.explanation import Wrt
from galcnn.files import load_cutout
from galcnn.inputs import prepare
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
    paths: Mapping[str, str | os.PathLike[str]],
    *,
    explainers: Sequence[Explainer],
    target: str | None = None,
    wrt: Wrt = "flux",
    fit: bool = False,
    bands: tuple[str, ...] | None = None,
    progress: Progress = silent,
) -> list[LayerStack]:
    """Classify and explain image files.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    paths : mapping of str to path-like
        Id -> image file.
    explainers : sequence of Explainer
        Methods, see `explainers_by_name`.
    target : str, optional
        A class, or ``class-class`` for a margin; the predicted class of each by default.
    wrt : {"flux", "stretched", "sigma"}
        See `galcnn.explain.explain`.
    fit : bool
        Whether images are brought to the model's pixel grid, see `galcnn.inputs.prepare`.
    bands : tuple of str, optional
        Names of the planes of the files, where their headers do not say.
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
    names, stacks = list(paths), []
    with progress("explain", len(names)) as step:
        for start in range(0, len(names), _BATCH):
            own = names[start : start + _BATCH]
            cutouts = [_prepared(paths[name], trained, bands, fit) for name in own]
            prediction = predict(trained, cutouts, ids=own)
            explained = explain(trained, cutouts, explainers=explainers, targets=goal, wrt=wrt, ids=own)
            for row, (name, cutout, maps) in enumerate(zip(own, cutouts, explained, strict=True)):
                origin = provenance(trained, paths[name])
                stacks.append(LayerStack(cutout, prediction.select([row]), maps, origin))
                step()
    return stacks


def _prepared(
    path: str | os.PathLike[str], trained: TrainedModel, bands: tuple[str, ...] | None, fit: bool
) -> Cutout:
    try:
        return prepare(load_cutout(path, bands=bands), trained.card.inputs, fit=fit)
    except (OSError, ValueError) as error:
        raise type(error)(f"{os.fspath(path)}: {error}") from error


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
