"""Layers files of the galaxies of a chunk: why the network says what the table holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from galcnn import atomic, seeding
from galcnn._runtime.version import __version__
from galcnn.catalog.names import file_stems
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.explain import Target, explain
from galcnn.inputs import images_from, prepare
from galcnn.layers import LayerStack
from galcnn.model import TrainedModel
from galcnn.photometry import parse_unit
from galcnn.pipeline.classification import Classifier, ClassifySettings
from galcnn.pipeline.explaining import Question, explained_stacks, training_provenance
from galcnn.prediction import predict_images

__all__ = ["LAYERS", "ExplainSettings", "check_methods", "write_layers"]

#: Folder of the layers files in that of a run, and the column that names them.
LAYERS = "layers"
#: Explained at once: maps are held until they are written.
_AT_ONCE = 64


@dataclass(frozen=True)
class ExplainSettings:
    """Which galaxies are explained, and how.

    Attributes
    ----------
    question : galcnn.pipeline.explaining.Question
        What is asked of each.
    below : float
        Only galaxies whose most probable class has less than this; 2 for all that have an answer.
    """

    question: Question
    below: float = 2.0

    def to_dict(self) -> dict[str, Any]:
        """Give plain values.

        Returns
        -------
        dict
            Of the attributes.
        """
        return self.question.to_dict() | {"below": self.below}


def check_methods(trained: TrainedModel, question: Question) -> None:
    """Try the methods on noise before a long run.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    question : galcnn.pipeline.explaining.Question
        What will be asked.

    Raises
    ------
    ValueError
        A method cannot work on this network, or there is no such target.
    """
    spec = trained.card.inputs
    draws = seeding.generator(0, "check methods").normal(size=(len(spec.bands), *spec.shape))
    noise = draws.astype(np.float32)
    probe = Cutout(noise, spec.bands, unit=parse_unit(spec.unit), sigma=np.ones_like(noise))
    goal = None if question.target is None else Target.parse(question.target, trained.classes)
    explain(trained, [probe], explainers=question.explainers, targets=goal, wrt=question.wrt)


def write_layers(
    ready: Classifier,
    cutouts: Sequence[Cutout | Exception],
    table: Table,
    folder: Path,
    *,
    settings: ExplainSettings,
    classify: ClassifySettings,
) -> None:
    """Explain galaxies of a chunk: one layers file each, the whole folder or none.

    Parameters
    ----------
    ready : Classifier
        The model.
    cutouts : sequence of Cutout or Exception
        One a row.
    table : astropy.table.Table
        Of `galcnn.pipeline.classification.classify_batch`; gains the column `layers`, the path of the
        file from the folder of the run, empty where there is none. Why a galaxy that was asked for
        has none stands in `reason`.
    folder : pathlib.Path
        Of the chunk, ``DIR/layers/000000``.
    settings : ExplainSettings
        Which, and how.
    classify : ClassifySettings
        As the table was made: the probabilities in the files are those of the table.
    """
    trained = ready.trained.with_render(classify.render)
    best = np.max([np.asarray(table[f"p_{name}"], dtype=float) for name in trained.classes], axis=0)
    rows = np.flatnonzero(best < settings.below)  # NaN: no answer, nothing to explain
    stems = file_stems(str(table["id"][row]) for row in rows)
    files, reasons = [""] * len(table), [str(reason) for reason in table["reason"]]
    with atomic.writing_folder(folder) as temporary:
        for start in range(0, len(rows), _AT_ONCE):
            piece = rows[start : start + _AT_ONCE].tolist()
            fitting = [_fitting(cutouts[row], trained, classify) for row in piece]
            asked = _Asked(ready, settings.question, classify)
            names = [str(table["id"][row]) for row in piece]
            for row, stack in zip(piece, asked.stacks_or_errors(fitting, names), strict=True):
                if isinstance(stack, LayerStack):
                    stack.write(temporary / f"{stems[stack.id]}.fits")
                    files[row] = f"{LAYERS}/{folder.name}/{stems[stack.id]}.fits"
                else:
                    why = f"not explained: {stack}"
                    reasons[row] = f"{reasons[row]}; {why}" if reasons[row] else why
    table[LAYERS], table["reason"] = np.array(files, dtype=str), np.array(reasons, dtype=str)


@dataclass(frozen=True)
class _Asked:
    ready: Classifier
    question: Question
    classify: ClassifySettings

    def stacks_or_errors(
        self, cutouts: Sequence[Cutout], ids: Sequence[str]
    ) -> list[LayerStack | ValueError]:
        """One that cannot be explained, for want of its noise, say, does not take the others along."""
        try:
            return list(self._stacks(cutouts, ids))
        except ValueError as error:
            if len(cutouts) == 1:
                return [error]
            alone = [self.stacks_or_errors([one], [name]) for one, name in zip(cutouts, ids, strict=True)]
            return [made for (made,) in alone]

    def _stacks(self, cutouts: Sequence[Cutout], ids: Sequence[str]) -> list[LayerStack]:
        trained, card = self.ready.trained, self.ready.trained.card
        logits = predict_images(trained.model, images_from(cutouts))
        prediction = self.ready.prediction(ids, logits, self.classify)
        if self.question.target is None:
            targets = [Target.of_class(name, trained.classes) for name in prediction.best]
        else:
            targets = [Target.parse(self.question.target, trained.classes)] * len(cutouts)
        origin = {"model": card.name, "model_sha256": card.model_sha256, "creator": f"galcnn {__version__}"}
        asked = {"question": self.question.to_dict(), "classify": self.classify.to_dict()}
        origins = [
            origin | training_provenance(card) | asked | {"input": str(cutout.meta.get("path", ""))}
            for cutout in cutouts
        ]
        return explained_stacks(trained, cutouts, prediction, self.question, origins=origins, targets=targets)


def _fitting(cutout: Cutout | Exception, trained: TrainedModel, classify: ClassifySettings) -> Cutout:
    if isinstance(cutout, Exception):
        raise TypeError(message("a cutout of a galaxy that has an answer", "", cutout=cutout))
    return prepare(cutout, trained.card.inputs, fit=classify.fit)
