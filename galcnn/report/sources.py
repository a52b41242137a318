"""What a report is made of: runs, model folders, tables of answers and layers files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from galcnn.catalog import FORMATS
from galcnn.catalog.formats import read_scalars
from galcnn.errors import message
from galcnn.files.sources import opened
from galcnn.layers import tables
from galcnn.layers.appending import numbers
from galcnn.layers.stack import named
from galcnn.model.card import Card
from galcnn.prediction import Prediction, classes_of, prediction_table
from galcnn.progress import Progress, silent

__all__ = ["Answers", "Material", "gather"]

#: What `galcnn classify` leaves; its room imports Keras.
RUN_TABLE, RUN_MANIFEST = "table.parquet", "manifest.json"
_CARD, _TEST, _HISTORY = "card.json", "test.ecsv", "history.csv"
_FITS = re.compile(r"\.fits?(\.gz)?$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model says of some galaxies.

    Attributes
    ----------
    name : str
        Where it stands.
    table : astropy.table.Table
        With `id`, a row a galaxy.
    model_sha256 : str
        Of the model; empty where that is not said.
    classes : tuple of str
        Of the columns ``p_<class>``: of the model's card, else as `galcnn.prediction.classes_of`
        finds them.
    """

    name: str
    table: Table
    model_sha256: str = ""
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.classes:
            object.__setattr__(self, "classes", classes_of(self.table))


@dataclass
class Material:
    """What the sources hold.

    Attributes
    ----------
    answers : list of Answers
        In the order in which they count.
    layers : dict of str to list of pathlib.Path
        Id -> layers files.
    card : galcnn.model.Card or None
        Of the model.
    history : astropy.table.Table or None
        Of its training, a row an epoch.
    manifest : dict
        Of a run; empty without.
    names : list of str
        Of the sources.
    """

    answers: list[Answers] = field(default_factory=list)
    layers: dict[str, list[Path]] = field(default_factory=dict)
    card: Card | None = None
    history: Table | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    @property
    def models(self) -> list[set[str]]:
        """SHA-256 of the models of each source that says it: several of an ensemble."""
        said = [answers.model_sha256 for answers in self.answers]
        said += [self.card.model_sha256] if self.card else []
        return [set(text.split(",")) for text in said if text]


def gather(sources: Sequence[str | os.PathLike[str]], *, progress: Progress = silent) -> Material:
    """Read tables, and of layers files what they answer.

    Parameters
    ----------
    sources : sequence of path-like
        Folders of `galcnn train`, folders and tables of `galcnn classify`, layers files, and
        folders of layers files.
    progress : galcnn.progress.Progress
        Shows the layers files.

    Returns
    -------
    Material
        Of one model. Answers of layers stand behind those of tables.

    Raises
    ------
    FileNotFoundError
        There is no such path.
    ValueError
        It holds nothing to report, or is of another model than the others.
    """
    found = Material()
    files: list[Path] = []
    wanting: dict[Path, list[Path]] = {}
    for source in sources:
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(
                message("a run, a model folder, a table or layers", "Check the path.", path=str(path))
            )
        found.names.append(path.resolve().name)
        known = len(found.answers), found.card
        own = _take(found, path)
        if (len(found.answers), found.card) == known:
            wanting[path] = own
        files += own
    stacks: list[tuple[str, Prediction]] = []
    with_layers = set()
    with progress("read layers", len(files)) as step:
        for file in files:
            held = _stacks_of(file)
            for _, prediction in held:
                with_layers.add(file)
                paths = found.layers.setdefault(prediction.ids[0], [])
                if file not in paths:
                    paths.append(file)
            stacks += held
            step()
    for path, own in wanting.items():
        if with_layers.isdisjoint(own):
            raise ValueError(
                message(
                    "a folder of a finished run or training, or with layers files",
                    "Check the path.",
                    folder=str(path),
                )
            )
    found.answers += _answers_of(stacks, set().union(*found.models))
    _check(found)
    return found


def _take(found: Material, path: Path) -> list[Path]:
    """Read what is no layers file; give what are, or may be in a folder."""
    if path.is_dir():
        return _take_folder(found, path)
    if _FITS.search(path.name) and _stacks_of(path):
        return [path]
    if path.suffix.lower() in FORMATS:
        found.answers.append(Answers(path.name, _table(path)))
        return []
    raise ValueError(message(f"a layers file, or a table ending in {', '.join(FORMATS)}", "", path=str(path)))


def _take_folder(found: Material, folder: Path) -> list[Path]:
    if (folder / RUN_TABLE).is_file() and (folder / RUN_MANIFEST).is_file():
        found.manifest = json.loads((folder / RUN_MANIFEST).read_text(encoding="utf-8"))
        sha256 = str(found.manifest.get("model_sha256", ""))
        found.answers.append(Answers(f"{folder.name}/{RUN_TABLE}", _table(folder / RUN_TABLE), sha256))
    if (folder / _CARD).is_file():
        found.card = Card.read(folder / _CARD)
        if (folder / _TEST).is_file():
            table = _table(folder / _TEST)
            card = found.card
            found.answers.append(
                Answers(f"{folder.name}/{_TEST}", table, card.model_sha256, tuple(card.classes))
            )
        if (folder / _HISTORY).is_file():
            found.history = Table.read(folder / _HISTORY, format="ascii.csv")
    # Perhaps among other FITS files, such as the cutouts that a run was made of.
    return [file for file in sorted(folder.rglob("[!.]*")) if _FITS.search(file.name) and file.is_file()]


def _table(path: Path) -> Table:
    table = read_scalars(path, texts=["id"])
    if "id" not in table.colnames:
        raise ValueError(
            message("a table of answers with a column 'id'", "", path=str(path), columns=table.colnames)
        )
    return table


def _stacks_of(path: Path) -> list[tuple[str, Prediction]]:
    """Model and answer of each stack of a file; none of one without layers."""
    with opened(path) as (hdulist, _):
        stacks = [named(hdulist, number) for number in (0, *numbers(hdulist))]
        return [
            (
                str(tables.provenance_from(hdus[tables.PROVENANCE]).get("model_sha256", "")),
                tables.prediction_from(hdus[tables.MORPHOLOGY]),
            )
            for hdus in stacks
            if tables.MORPHOLOGY in hdus and tables.PROVENANCE in hdus
        ]


def _answers_of(stacks: Sequence[tuple[str, Prediction]], models: set[str]) -> list[Answers]:
    """Tables of what layers say: of each galaxy what the model says, or the first where none is asked for."""
    chosen: dict[str, tuple[str, Prediction]] = {}
    for sha256, prediction in stacks:
        name = prediction.ids[0]
        if name not in chosen or (sha256 in models and chosen[name][0] not in models):
            chosen[name] = (sha256, prediction)
    alike: dict[Any, list[Prediction]] = {}
    for sha256, one in chosen.values():
        alike.setdefault((sha256, one.classes, one.adjustment), []).append(one)
    return [
        Answers(
            "layers",
            prediction_table(
                Prediction(
                    tuple(one.ids[0] for one in own),
                    np.concatenate([one.logits for one in own]),
                    classes,
                    adjustment,
                )
            ),
            sha256,
        )
        for (sha256, classes, adjustment), own in alike.items()
    ]


def _check(found: Material) -> None:
    if not found.answers:
        raise ValueError(
            message("answers to report", "Give a run, a table of answers or layers.", sources=found.names)
        )
    models = found.models
    if models and max(models, key=len) != set().union(*models):
        raise ValueError(
            message(
                "answers of one model, or of one ensemble and its members",
                "Make a report for each.",
                model_sha256=[sorted(own) for own in models],
            )
        )
