"""Image files -> layer stacks, written as they are made: an interrupted run goes on where it stopped."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from galcnn import atomic
from galcnn.dataset import InputFiles
from galcnn.errors import UnreadableImageError, message
from galcnn.evaluation import segmented
from galcnn.explain import Explainer, Target, explain
from galcnn.explain.explanation import Wrt
from galcnn.layers import LayerStack, append_stack, provenance_of, read_stacks
from galcnn.prediction import Prediction, predict
from galcnn.progress import Progress, silent

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from galcnn.cutout import Cutout
    from galcnn.model import Card, TrainedModel

__all__ = [
    "Question",
    "explain_files",
    "explained_stacks",
    "provenance",
    "training_provenance",
    "without_refusals",
]

_BATCH = 64


@dataclass(frozen=True)
class Question:
    """What is asked of each galaxy.

    Attributes
    ----------
    explainers : tuple of Explainer
        Methods with their settings, see `galcnn.explain.explainers_by_name`.
    target : str or None
        A class, or ``class-class`` for a margin; the predicted class of each where None.
    wrt : {"flux", "stretched", "sigma"}
        See `galcnn.explain.explain`.
    segmentation : bool
        Whether the galaxy and its neighbours are told apart, see `galcnn.evaluation.segmented`;
        an image without a source has no such layer.
    """

    explainers: tuple[Explainer, ...]
    target: str | None = None
    wrt: Wrt = "flux"
    segmentation: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for the provenance of a stack.

        Returns
        -------
        dict of str to Any
            Methods with settings, target and wrt.
        """
        methods = [
            [explainer.name, asdict(explainer) if is_dataclass(explainer) else {}]
            for explainer in self.explainers
        ]
        asked = {"methods": methods, "target": self.target, "wrt": self.wrt}
        return asked | {"segmentation": self.segmentation}


def explain_files(
    trained: TrainedModel,
    files: InputFiles,
    question: Question,
    *,
    out: Mapping[str, str | os.PathLike[str]] | None = None,
    append: bool = False,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Iterator[LayerStack]:
    """Classify and explain image files.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.dataset.InputFiles
        The images.
    question : Question
        What is asked.
    out : mapping of str to path-like, optional
        Id -> layers file to write. One that is there already, whole and with the same answer to
        the same question by the same model and version, is read and not made again.
    append : bool
        Whether layers files that are there already gain what is missing in them, see
        `galcnn.layers.append_stack`, in place of being written anew.
    progress : galcnn.progress.Progress
        Shows the files.
    overwrite : bool
        Whether to replace files that are there and hold something else.

    Yields
    ------
    galcnn.layers.LayerStack
        One a file, in order, once it is written.

    Raises
    ------
    galcnn.errors.UnreadableImageError, FileNotFoundError, ValueError
        A file cannot be read or does not fit; the text names it.
    """
    goal = None if question.target is None else Target.parse(question.target, trained.classes)
    names = list(files.paths)
    with progress("explain", len(names)) as step:
        for start in range(0, len(names), _BATCH):
            own = names[start : start + _BATCH]
            origins = {name: provenance(trained, files, name, question) for name in own}
            found = {name: _written(out, name, origins[name]) for name in own}
            missing = [name for name in own if found[name] is None]
            if out is not None and not append:
                for name in missing:
                    atomic.check_writable(out[name], overwrite=overwrite)
            cutouts = [files.prepared(name, trained.card.inputs) for name in missing]
            if missing:
                prediction = predict(trained, cutouts, ids=missing)
                made = explained_stacks(
                    trained,
                    cutouts,
                    prediction,
                    question,
                    origins=[origins[name] for name in missing],
                    targets=goal,
                )
                for name, stack in zip(missing, made, strict=True):
                    if out is not None and append and Path(out[name]).exists():
                        append_stack(out[name], stack)
                    elif out is not None:
                        stack.write(out[name])
                    found[name] = stack
            for name in own:
                step()
                if (whole := found.pop(name)) is not None:
                    yield whole


def explained_stacks(
    trained: TrainedModel,
    cutouts: Sequence[Cutout],
    prediction: Prediction,
    question: Question,
    *,
    origins: Sequence[Mapping[str, Any]],
    targets: Target | Sequence[Target] | None = None,
) -> list[LayerStack]:
    """Explain cutouts that fit, with what is said of them.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    cutouts : sequence of galcnn.cutout.Cutout
        As the network is given them.
    prediction : galcnn.prediction.Prediction
        One a cutout.
    question : Question
        What is asked; its target is not looked at.
    origins : sequence of mapping
        Provenance of each.
    targets : Target or sequence of Target, optional
        See `galcnn.explain.explain`.

    Returns
    -------
    list of galcnn.layers.LayerStack
        One a cutout.
    """
    explained = explain(
        trained,
        cutouts,
        explainers=question.explainers,
        targets=targets,
        wrt=question.wrt,
        ids=prediction.ids,
    )
    return [
        LayerStack(
            cutout,
            prediction.select([row]),
            explained[row],
            origins[row],
            segmentation=_labels(cutout) if question.segmentation else None,
        )
        for row, cutout in enumerate(cutouts)
    ]


def without_refusals(
    trained: TrainedModel, files: InputFiles, question: Question, *, named: Sequence[Explainer] = ()
) -> tuple[Question, dict[str, str]]:
    """Leave out the methods that cannot work on a model, after trying them on the first image.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.dataset.InputFiles
        At least one image.
    question : Question
        With all methods.
    named : sequence of Explainer
        Those among them that are asked for by name, and not left out.

    Returns
    -------
    question : Question
        With those that work.
    reasons : dict of str to str
        Method -> what it said, for the others.

    Raises
    ------
    ValueError
        None works, or one that is asked for by name does not.
    """
    cutout = files.prepared(files.ids[0], trained.card.inputs)
    goal = None if question.target is None else Target.parse(question.target, trained.classes)
    able, reasons = [], {}
    for explainer in question.explainers:
        try:
            explain(trained, [cutout], explainers=[explainer], targets=goal, wrt=question.wrt)
        except ValueError as error:
            if explainer in named:
                raise
            reasons[explainer.name] = str(error)
        else:
            able.append(explainer)
    if not able:
        raise ValueError(message("a method that works on this model", "", refused=reasons))
    return replace(question, explainers=tuple(able)), reasons


def provenance(
    trained: TrainedModel, files: InputFiles, name: str, question: Question | None = None
) -> dict[str, Any]:
    """Say which model and which file a stack is made of, and what was asked.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.dataset.InputFiles
        The images.
    name : str
        Id of the one.
    question : Question, optional
        What was asked of it.

    Returns
    -------
    dict of str to Any
        Names, hashes, training data, reading of the file and question, for the PROVENANCE table.
    """
    card = trained.card
    known = provenance_of(files.paths[name], model=card.name, model_sha256=card.model_sha256)
    reading: dict[str, Any] = {
        "render": card.inputs.render or "",
        "width": "" if files.width is None else str(files.width),
        "fit": files.fit,
        "bands": files.bands,
        "grid": files.grid or "",
    }
    asked = {} if question is None else {"question": question.to_dict()}
    return known | training_provenance(card) | reading | asked


def training_provenance(card: Card) -> dict[str, str]:
    """Say what a model was trained on, and by which versions.

    Parameters
    ----------
    card : galcnn.model.Card
        Of the model.

    Returns
    -------
    dict of str to str
        For the PROVENANCE table.
    """
    training = {f"training_{key}": str(card.data.get(key, "")) for key in ("survey", "sha256", "licence")}
    return training | {f"version_{name}": version for name, version in card.versions.items()}


def _labels(cutout: Cutout) -> npt.NDArray[np.int32] | None:
    try:
        return segmented(cutout).labels
    except ValueError:  # no source
        return None


def _written(
    out: Mapping[str, str | os.PathLike[str]] | None, name: str, origin: Mapping[str, Any]
) -> LayerStack | None:
    """The stack that an earlier run has written, if it is whole and answers this very question."""
    if out is None or not Path(out[name]).exists():
        return None
    try:
        stacks = read_stacks(out[name])
    except (UnreadableImageError, OSError):
        return None
    for stack in stacks:
        asked = LayerStack(stack.cutout, stack.prediction, (), origin).provenance
        if stack.id == name and stack.provenance == asked:
            return stack
    return None
