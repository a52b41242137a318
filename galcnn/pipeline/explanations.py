"""Explain image files, and the galaxies of a run, as layer stacks.

The prediction that is explained is that of ``galcnn classify``: calibrated if the model folder has an
uncertainty record.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn._runtime import atomic, seeding
from galcnn._runtime.progress import Progress, silent
from galcnn._runtime.version import __version__
from galcnn.catalog.names import file_stems
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.errors import error_of_file, message
from galcnn.evaluation import segmented
from galcnn.explain import Explainer, explainers_by_name
from galcnn.explain.attribution import Prepared, explain_prepared
from galcnn.explain.explanation import Wrt
from galcnn.explain.registry import DEFAULT
from galcnn.layers import LayerStack, append_stack, provenance_of, read_stacks
from galcnn.layers.appending import already_written
from galcnn.model import Card, Target, TrainedModel
from galcnn.photometry import parse_unit
from galcnn.pipeline.classification import Answered, Classifier, ClassifySettings, open_classifier
from galcnn.prediction import Prediction

#: Name of the folder of layers files in the output folder of a run, and of the table column.
LAYERS = "layers"
#: Number of galaxies explained at once; their maps are in memory until they are written.
_BATCH = 64


@dataclass(frozen=True)
class ExplainSettings:
    """Settings of explanations.

    Attributes
    ----------
    explainers : tuple of Explainer
        Methods with their settings, see `galcnn.explain.explainers_by_name`; by default those of
        `galcnn.explain.explain`, of which `working_methods` selects.
    target : str or None
        Class to explain, or ``class-class`` for a margin. If None, the predicted class of each galaxy
        against the runner-up.
    wrt : {"stretched", "flux", "sigma"}
        Variable that the gradient is taken with respect to, see `galcnn.explain.explain`.
    segmentation : bool
        If True, add a segmentation map of the galaxy and its neighbours, see
        `galcnn.evaluation.segmented`. Images without a detected source get none.
    below : float
        In a run, explain only galaxies whose largest class probability is below this value; the
        default, 2, includes all galaxies with a prediction.
    """

    explainers: tuple[Explainer, ...] = field(default_factory=lambda: tuple(explainers_by_name(DEFAULT)))
    target: str | None = None
    wrt: Wrt = "stretched"
    segmentation: bool = False
    below: float = 2.0

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values.

        Returns
        -------
        dict of str to Any
            Attributes; methods with their settings.
        """
        return self.question() | {"below": self.below}

    def question(self) -> dict[str, Any]:
        """Return the settings that determine each explanation, for the provenance of its stack.

        Returns
        -------
        dict of str to Any
            All attributes but `below`, as plain values.
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
    """Classify and explain image files; an error in one file does not affect the others.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model. Its predictions are calibrated if its folder has an uncertainty record.
    files : galcnn.dataset.InputFiles
        The images.
    settings : ExplainSettings
        Settings of the explanations; `below` is ignored.
    out : mapping of str to path-like, optional
        Id -> layers file to write. A complete file of the same galaxy, made with the same model,
        settings and version, is read and not made again.
    append : bool
        If True, add missing layers to existing files, see `galcnn.layers.append_stack`, instead of
        replacing them.
    progress : galcnn._runtime.progress.Progress
        Progress display; one step per file.
    overwrite : bool
        If True, replace existing files with other content. Incomplete layers files of an interrupted
        run are always replaced.

    Yields
    ------
    galcnn.layers.LayerStack or Exception
        One per file, in order, after it has been written; or the error, whose message names the file.

    Raises
    ------
    ValueError
        If there is no such target.
    OSError
        If a layers file cannot be written.
    """
    ready, inputs = open_classifier(trained), trained.card.inputs
    if settings.target is not None:
        Target.parse(settings.target, trained.classes)
    asked = {"question": settings.question()}
    if ready.uncertainty is not None:
        asked["calibration"] = ready.uncertainty.calibration.to_dict()
    with progress("explain", len(files.ids)) as step:
        for start in range(0, len(files.ids), _BATCH):
            names = files.ids[start : start + _BATCH]
            found: dict[str, LayerStack | Exception] = {}
            given: list[_Galaxy] = []
            for name in names:
                try:
                    with files.named(name):
                        origin = provenance(trained, files, name) | asked
                    if out is not None and already_written(
                        out[name], origin, id=name, overwrite=overwrite or append
                    ):
                        found[name] = _earlier(out[name], name, origin)
                        continue
                    given.append(_Galaxy(name, files.prepared(name, inputs), origin))
                except Exception as error:  # noqa: BLE001  whatever fails is this file's error
                    found[name] = error_of_file(error, "a readable image")
            for one, stack in zip(given, _stacks(ready, given, settings, ClassifySettings()), strict=True):
                name = one.id
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
    answers: Answered,
    folder: Path,
    *,
    settings: ExplainSettings,
    classify: ClassifySettings,
) -> None:
    """Explain the galaxies of a chunk: one layers file per galaxy, written as a whole folder.

    Adds the column `layers` to the table: paths relative to the folder of the run. Cutouts, images and
    logits are those of the answers.
    """
    card, found, table = ready.trained.card, answers.found, answers.table
    position = {row: number for number, row in enumerate(found.rows.tolist())}
    best = np.max([np.asarray(table[f"p_{name}"], dtype=float) for name in ready.trained.classes], axis=0)
    rows = np.flatnonzero(best < settings.below)  # NaN, without a prediction, compares as False
    stems = file_stems(str(table["id"][row]) for row in rows)
    files, reasons = [""] * len(table), [str(reason) for reason in table["reason"]]
    origin = {"model": card.name, "model_sha256": card.model_sha256, "creator": f"galcnn {__version__}"}
    origin |= _trained_on(card)
    asked = {"question": settings.question(), "classify": classify.to_dict()}
    with atomic.writing_folder(folder) as temporary:
        for start in range(0, len(rows), _BATCH):
            piece = rows[start : start + _BATCH].tolist()
            names = [str(table["id"][row]) for row in piece]
            given = []
            for row, name in zip(piece, names, strict=True):
                cutout, image = found.cutouts[position[row]], found.images[position[row]]
                own = origin | asked | {"input": str(cutout.meta.get("path", ""))}
                given.append(_Galaxy(name, cutout, own, image, answers.logits[0][row]))
            made = _stacks(ready, given, settings, classify)
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
    """Select the methods that work on a model, by trying each on one image.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    settings : ExplainSettings
        Settings with all methods.
    files : galcnn.dataset.InputFiles, optional
        Images; the first that can be read is used for the trial. Without one, an image of noise.
    named : sequence of Explainer
        Methods that must work: an error of one of these is raised.

    Returns
    -------
    settings : ExplainSettings
        The settings with the methods that work.
    reasons : dict of str to str
        Name of each method that does not work -> its error message.

    Raises
    ------
    ValueError
        If no method works, one of `named` does not, or there is no such target.
    """
    goal = None if settings.target is None else Target.parse(settings.target, trained.classes)
    seen = Prepared.of(trained, [_first(files, trained) or _noise(trained)])
    able, reasons = [], {}
    for explainer in settings.explainers:
        try:
            explain_prepared(seen, explainers=[_quick(explainer)], target=goal, wrt=settings.wrt)
        except ValueError as error:
            if explainer in named:
                raise
            reasons[explainer.name] = str(error)
        else:
            able.append(explainer)
    if not able:
        raise ValueError(message("at least one method that works on this model", "", refused=reasons))
    return replace(settings, explainers=tuple(able)), reasons


def _quick(explainer: Explainer) -> Explainer:
    """Return a method with two samples or steps, or with patches side by side, for a trial."""
    if not is_dataclass(explainer) or isinstance(explainer, type):
        return explainer
    settings = asdict(explainer)
    fewer = {"n": 2} if "n" in settings else {}
    if "patch" in settings and "stride" in settings:
        fewer["stride"] = settings["patch"]
    return replace(explainer, **fewer)


def provenance(trained: TrainedModel, files: InputFiles, name: str) -> dict[str, Any]:
    """Return the provenance of a result: model, input file, and how the file was read."""
    card = trained.card
    known = provenance_of(files.paths[name], model=card.name, model_sha256=card.model_sha256)
    reading: dict[str, Any] = {
        "render": card.inputs.render or "",
        "width": "" if files.width is None else str(files.width),
        "fit": files.fit,
        "bands": files.bands,
        "grid": files.grid or "",
        "hdu": files.hdu,
        "zero_points": files.zero_points,
        "pixel_scale": "" if files.pixel_scale is None else str(files.pixel_scale),
    }
    return known | _trained_on(card) | reading


@dataclass(frozen=True, eq=False)
class _Galaxy:
    """A galaxy to explain: its prepared cutout and, if already known, its image and logits."""

    id: str
    cutout: Cutout
    origin: Mapping[str, Any]
    image: npt.NDArray[np.float32] | None = None
    logits: npt.NDArray[np.float32] | None = None


def _stacks(
    ready: Classifier, galaxies: Sequence[_Galaxy], settings: ExplainSettings, classify: ClassifySettings
) -> list[LayerStack | ValueError]:
    """Explain prepared cutouts; one that cannot be explained, e.g. without noise, fails alone."""
    if not galaxies:
        return []
    ids = [one.id for one in galaxies]
    images = [one.image for one in galaxies if one.image is not None]
    logits = [one.logits for one in galaxies if one.logits is not None]
    try:
        seen = Prepared.of(
            ready.trained.with_render(classify.render),
            [one.cutout for one in galaxies],
            ids=ids,
            images=np.stack(images) if images else None,
            logits=np.stack(logits) if logits else None,
        )
        prediction = ready.prediction(ids, seen.logits, classify)
        targets = _targets(prediction, settings.target)
        explained = explain_prepared(seen, explainers=settings.explainers, target=targets, wrt=settings.wrt)
        return [
            LayerStack(
                one.cutout,
                prediction.select([row]),
                explained[row],
                one.origin,
                segmentation=_labels(one.cutout) if settings.segmentation else None,
            )
            for row, one in enumerate(galaxies)
        ]
    except ValueError as error:
        if len(galaxies) == 1:
            return [error]
    return [stack for one in galaxies for stack in _stacks(ready, [one], settings, classify)]


def _targets(prediction: Prediction, wanted: str | None) -> list[Target]:
    """Return the requested target, or the predicted class of each galaxy against the runner-up."""
    if wanted is not None:
        return [Target.parse(wanted, prediction.classes)] * len(prediction.ids)
    if "" in prediction.best:
        raise ValueError(message("a prediction to explain", "Check the pixels of the image.", logits="NaN"))
    return [Target.of_prediction(row, prediction.classes) for row in prediction.probabilities]


def _labels(cutout: Cutout) -> npt.NDArray[np.int32] | None:
    try:
        return segmented(cutout).labels
    except ValueError:  # no source
        return None


def _trained_on(card: Card) -> dict[str, str]:
    """Return the training data and package versions of a model."""
    training = {f"training_{key}": str(card.data.get(key, "")) for key in ("survey", "sha256", "licence")}
    return training | {f"version_{name}": version for name, version in card.versions.items()}


def _earlier(path: str | os.PathLike[str], name: str, origin: Mapping[str, Any]) -> LayerStack:
    wanted = json.loads(json.dumps(origin))
    return next(one for one in read_stacks(path) if (one.id, one.provenance) == (name, wanted))


def _first(files: InputFiles | None, trained: TrainedModel) -> Cutout | None:
    """Return the first image that can be read."""
    if files is not None:
        for name in files.ids:
            with suppress(Exception):
                return files.prepared(name, trained.card.inputs)
    return None


def _noise(trained: TrainedModel) -> Cutout:
    """Return an image of pure noise with known sigma."""
    spec = trained.card.inputs
    draws = seeding.generator(0, "check methods").normal(size=(len(spec.bands), *spec.shape))
    noise = draws.astype(np.float32)
    return Cutout(noise, spec.bands, unit=parse_unit(spec.unit), sigma=np.ones_like(noise))
