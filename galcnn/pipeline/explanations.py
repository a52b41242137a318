"""Cutouts or image files -> layer stacks: why a network says what it says of each galaxy.

Maps explain the answer that `galcnn classify` gives: calibrated where the model has its record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.table import Table

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn._runtime.version import __version__
from galcnn.catalog.names import file_stems
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.errors import UnreadableImageError, message
from galcnn.evaluation import segmented
from galcnn.explain import Explainer
from galcnn.explain.attribution import Prepared, explain_prepared
from galcnn.explain.explanation import Wrt
from galcnn.layers import LayerStack, append_stack, provenance_of, read_stacks
from galcnn.layers.tables import PROVENANCE, provenance_from
from galcnn.model import Card, Target, TrainedModel
from galcnn.photometry import parse_unit
from galcnn.pipeline.classification import Classifier, ClassifySettings, open_classifier
from galcnn.prediction.logits import Fitted

#: Folder of the layers files in that of a run, and the column that names them.
LAYERS = "layers"
#: Explained at once: maps are held until they are written.
_BATCH = 64


@dataclass(frozen=True)
class ExplainSettings:
    """Which galaxies are explained, and how.

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
    below : float
        Only galaxies whose most probable class has less than this, of a run; 2 for all that have
        an answer.
    """

    explainers: tuple[Explainer, ...]
    target: str | None = None
    wrt: Wrt = "flux"
    segmentation: bool = False
    below: float = 2.0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values.

        Returns
        -------
        dict of str to Any
            Of the attributes, methods with their settings.
        """
        return self.question() | {"below": self.below}

    def question(self) -> dict[str, Any]:
        """Give what is asked of each galaxy as plain values, for the provenance of its stack.

        Returns
        -------
        dict of str to Any
            All but `below`.
        """
        methods = [[one.name, asdict(one) if is_dataclass(one) else {}] for one in self.explainers]
        asked = {"methods": methods, "target": self.target, "wrt": self.wrt}
        return asked | {"segmentation": self.segmentation}


def explain_files(
    trained: TrainedModel,
    files: InputFiles,
    settings: ExplainSettings,
    *,
    out: Mapping[str, str | os.PathLike[str]] | None = None,
    append: bool = False,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Iterator[LayerStack | Exception]:
    """Classify and explain image files; whatever one of them does, the others are explained.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model; calibrated by the record in its folder, if there is one.
    files : galcnn.dataset.InputFiles
        The images.
    settings : ExplainSettings
        How; `below` is not looked at.
    out : mapping of str to path-like, optional
        Id -> layers file to write. One that is there already, whole and with the same answer to
        the same question by the same model and version, is read and not made again.
    append : bool
        Whether layers files that are there already gain what is missing in them, see
        `galcnn.layers.append_stack`, in place of being written anew.
    progress : galcnn._runtime.progress.Progress
        Shows the files.
    overwrite : bool
        Whether to replace files that are there and hold something else. What an interrupted run
        left of a layers file is replaced anyway.

    Yields
    ------
    galcnn.layers.LayerStack or Exception
        One a file, in order, once it is written; or why there is none: the text names the file.

    Raises
    ------
    ValueError
        There is no such target.
    OSError
        A layers file cannot be written.
    """
    ready, inputs = open_classifier(trained), trained.card.inputs
    if settings.target is not None:
        Target.parse(settings.target, trained.classes)
    asked = {"question": settings.question()}
    if ready.doubts is not None:
        asked["calibration"] = ready.doubts.calibration.to_dict()
    with progress("explain", len(files.ids)) as step:
        for start in range(0, len(files.ids), _BATCH):
            names = files.ids[start : start + _BATCH]
            found: dict[str, LayerStack | Exception] = {}
            origins: dict[str, dict[str, Any]] = {}
            cutouts: dict[str, Cutout] = {}
            for name in names:
                try:
                    with files.named(name):
                        origins[name] = provenance(trained, files, name) | asked
                    earlier = None if out is None else _written(Path(out[name]), name, origins[name])
                    if earlier is not None:
                        found[name] = earlier
                        continue
                    if out is not None and not append:
                        whole = not _is_part(Path(out[name]))
                        atomic.check_writable(out[name], overwrite=overwrite or not whole)
                    cutouts[name] = files.prepared(name, inputs)
                except Exception as error:  # noqa: BLE001  whatever fails is this file's error
                    found[name] = error
            own = [origins[name] for name in cutouts]
            made = _stacks(ready, list(cutouts.values()), list(cutouts), own, settings, ClassifySettings())
            for name, stack in zip(cutouts, made, strict=True):
                found[name] = stack
                try:
                    with files.named(name):
                        if isinstance(stack, Exception):
                            raise stack
                        if out is not None and append and Path(out[name]).exists():
                            append_stack(out[name], stack)
                        elif out is not None:
                            stack.write(out[name])
                except ValueError as error:
                    found[name] = error
            for name in names:
                step()
                yield found.pop(name)


def write_layers(
    ready: Classifier,
    found: Fitted,
    table: Table,
    folder: Path,
    *,
    settings: ExplainSettings,
    classify: ClassifySettings,
) -> None:
    """Explain galaxies of a chunk: one layers file each, the whole folder or none.

    The table gains the column `layers`, paths from the folder of the run; `found` holds its cutouts.
    """
    card, cutouts = ready.trained.card, dict(zip(found.rows.tolist(), found.cutouts, strict=True))
    best = np.max([np.asarray(table[f"p_{name}"], dtype=float) for name in ready.trained.classes], axis=0)
    rows = np.flatnonzero(best < settings.below)  # NaN: no answer, nothing to explain
    stems = file_stems(str(table["id"][row]) for row in rows)
    files, reasons = [""] * len(table), [str(reason) for reason in table["reason"]]
    origin = {"model": card.name, "model_sha256": card.model_sha256, "creator": f"galcnn {__version__}"}
    origin |= _trained_on(card)
    asked = {"question": settings.question(), "classify": classify.to_dict()}
    with atomic.writing_folder(folder) as temporary:
        for start in range(0, len(rows), _BATCH):
            piece = rows[start : start + _BATCH].tolist()
            names = [str(table["id"][row]) for row in piece]
            own = [cutouts[row] for row in piece]
            origins = [origin | asked | {"input": str(one.meta.get("path", ""))} for one in own]
            made = _stacks(ready, own, names, origins, settings, classify)
            for row, stack in zip(piece, made, strict=True):
                if isinstance(stack, LayerStack):
                    stack.write(temporary / f"{stems[stack.id]}.fits")
                    files[row] = f"{LAYERS}/{folder.name}/{stems[stack.id]}.fits"
                else:
                    why = f"not explained: {stack}"
                    reasons[row] = f"{reasons[row]}; {why}" if reasons[row] else why
    table[LAYERS], table["reason"] = np.array(files, dtype=str), np.array(reasons, dtype=str)


def working_methods(
    trained: TrainedModel,
    settings: ExplainSettings,
    *,
    files: InputFiles | None = None,
    named: Sequence[Explainer] = (),
) -> tuple[ExplainSettings, dict[str, str]]:
    """Leave out the methods that cannot work on a model, after trying them on one image.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    settings : ExplainSettings
        With all methods.
    files : galcnn.dataset.InputFiles, optional
        The first of these images that can be read is tried; noise where there is none.
    named : sequence of Explainer
        Those among them that are asked for by name, and not left out.

    Returns
    -------
    settings : ExplainSettings
        With those that work.
    reasons : dict of str to str
        Method -> what it said, for the others.

    Raises
    ------
    ValueError
        None works, one that is asked for by name does not, or there is no such target.
    """
    goal = None if settings.target is None else Target.parse(settings.target, trained.classes)
    seen = Prepared.of(trained, [_first(files, trained) or _noise(trained)])
    able, reasons = [], {}
    for explainer in settings.explainers:
        try:
            explain_prepared(seen, explainers=[explainer], targets=goal, wrt=settings.wrt)
        except ValueError as error:
            if explainer in named:
                raise
            reasons[explainer.name] = str(error)
        else:
            able.append(explainer)
    if not able:
        raise ValueError(message("a method that works on this model", "", refused=reasons))
    return replace(settings, explainers=tuple(able)), reasons


def provenance(trained: TrainedModel, files: InputFiles, name: str) -> dict[str, Any]:
    """Say which model and which file something is made of, and how the file was read."""
    card = trained.card
    known = provenance_of(files.paths[name], model=card.name, model_sha256=card.model_sha256)
    reading: dict[str, Any] = {
        "render": card.inputs.render or "",
        "width": "" if files.width is None else str(files.width),
        "fit": files.fit,
        "bands": files.bands,
        "grid": files.grid or "",
    }
    return known | _trained_on(card) | reading


def has_provenance(path: Path, origin: Mapping[str, Any]) -> bool:
    """Tell whether a file was made of just this; a whole file that was made of something else is refused."""
    if not path.exists():
        return False
    try:
        with fits.open(path) as hdus:
            told = provenance_from(hdus[PROVENANCE]) if PROVENANCE in hdus else None
    except (UnreadableImageError, OSError):
        return False
    if told is not None and told != json.loads(json.dumps(origin)):
        raise atomic.ExistsError(
            message(
                "a new file, or one of this very question", "Say --overwrite to replace it.", path=str(path)
            )
        )
    return told is not None


def _stacks(
    ready: Classifier,
    cutouts: Sequence[Cutout],
    ids: Sequence[str],
    origins: Sequence[Mapping[str, Any]],
    settings: ExplainSettings,
    classify: ClassifySettings,
) -> list[LayerStack | ValueError]:
    """Explain cutouts that fit: one that cannot be, for want of its noise, say, fails alone."""
    if not cutouts:
        return []
    try:
        seen = Prepared.of(ready.trained.with_render(classify.render), cutouts, ids=ids)
        prediction = ready.prediction(ids, seen.logits, classify)
        targets = _targets(prediction.best, settings.target, ready.trained.classes)
        explained = explain_prepared(seen, explainers=settings.explainers, targets=targets, wrt=settings.wrt)
        return [
            LayerStack(
                cutout,
                prediction.select([row]),
                explained[row],
                origins[row],
                segmentation=_labels(cutout) if settings.segmentation else None,
            )
            for row, cutout in enumerate(cutouts)
        ]
    except ValueError as error:
        if len(cutouts) == 1:
            return [error]
    alone = [slice(row, row + 1) for row in range(len(cutouts))]
    several = (_stacks(ready, cutouts[i], ids[i], origins[i], settings, classify) for i in alone)
    return [one for (one,) in several]


def _targets(best: Sequence[str], wanted: str | None, classes: Sequence[str]) -> list[Target]:
    """The target that is asked for, or of each galaxy the class that it is said to be."""
    if wanted is not None:
        return [Target.parse(wanted, classes)] * len(best)
    if "" in best:
        raise ValueError(message("an answer of the network to explain", "", logits="no numbers"))
    return [Target.of_class(name, classes) for name in best]


def _labels(cutout: Cutout) -> npt.NDArray[np.int32] | None:
    try:
        return segmented(cutout).labels
    except ValueError:  # no source
        return None


def _trained_on(card: Card) -> dict[str, str]:
    """Say what a model was trained on, and by which versions."""
    training = {f"training_{key}": str(card.data.get(key, "")) for key in ("survey", "sha256", "licence")}
    return training | {f"version_{name}": version for name, version in card.versions.items()}


def _written(path: Path, name: str, origin: Mapping[str, Any]) -> LayerStack | None:
    """The stack that an earlier run has written, if it is whole and answers this very question."""
    if not path.exists():
        return None
    try:
        stacks = read_stacks(path)
    except (UnreadableImageError, OSError):
        return None
    for stack in stacks:
        asked = LayerStack(stack.cutout, stack.prediction, (), origin).provenance
        if stack.id == name and stack.provenance == asked:
            return stack
    return None


def _is_part(path: Path) -> bool:
    """Whether a file is the beginning of a layers file, in which nothing is to be kept."""
    if not path.exists():
        return False
    try:
        read_stacks(path)
    except (UnreadableImageError, OSError):
        with open(path, "rb") as file:
            return b"MODELSHA" in file.read(28800)  # ten blocks of FITS: the first header
    return False


def _first(files: InputFiles | None, trained: TrainedModel) -> Cutout | None:
    """The first image that can be read."""
    if files is not None:
        for name in files.ids:
            with suppress(Exception):
                return files.prepared(name, trained.card.inputs)
    return None


def _noise(trained: TrainedModel) -> Cutout:
    """An image of nothing, with its noise known."""
    spec = trained.card.inputs
    draws = seeding.generator(0, "check methods").normal(size=(len(spec.bands), *spec.shape))
    noise = draws.astype(np.float32)
    return Cutout(noise, spec.bands, unit=parse_unit(spec.unit), sigma=np.ones_like(noise))
