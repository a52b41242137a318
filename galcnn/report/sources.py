"""Sources of a report: runs, model folders, tables of predictions and layers files."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from astropy.table import Table

from galcnn._runtime.progress import Progress, silent
from galcnn.catalog import read_catalog
from galcnn.catalog.catalog import HEALPIX
from galcnn.catalog.formats import FORMATS, is_table, read_scalars
from galcnn.dataset.reader import files_named
from galcnn.errors import message
from galcnn.experiment import galaxies_of
from galcnn.files.sources import opened
from galcnn.layers import tables
from galcnn.layers.appending import numbers
from galcnn.layers.stack import named
from galcnn.model import Card, model_folder
from galcnn.pipeline import MANIFEST, TABLE
from galcnn.prediction import Prediction
from galcnn.prediction.tables import answers_of, classes_of
from galcnn.uncertainty.out_of_distribution import SET_TEST

_CARD, _TEST, _HISTORY = "card.json", "test.ecsv", "history.csv"
_FITS = re.compile(r"\.fits?(\.gz)?$", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class Answers:
    """Predictions of a model for some galaxies.

    Attributes
    ----------
    name : str
        Name of the source.
    table : astropy.table.Table
        Table with `id`, one row per galaxy.
    model_sha256 : str
        SHA-256 of the model; empty if unknown.
    classes : tuple of str
        Classes of the columns ``p_<class>``. By default as found by
        `galcnn.prediction.tables.classes_of`.
    votes : tuple of str
        Answers of the columns ``f_<answer>`` and ``true_<answer>`` (votes of people). By default as found
        by `galcnn.prediction.tables.answers_of`.
    """

    name: str
    table: Table
    model_sha256: str = ""
    classes: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.classes or self.votes):
            object.__setattr__(self, "classes", classes_of(self.table))
            object.__setattr__(self, "votes", answers_of(self.table))


@dataclass
class Material:
    """Content of all sources.

    Attributes
    ----------
    answers : list of Answers
        Tables of predictions in order of precedence.
    layers : dict of str to list of pathlib.Path
        Layers files by id.
    card : galcnn.model.Card or None
        Card of the model.
    history : astropy.table.Table or None
        Training history, one row per epoch.
    manifest : dict
        Manifest of a run; empty if there is none.
    names : list of str
        Names of the sources.
    """

    answers: list[Answers] = field(default_factory=list)
    layers: dict[str, list[Path]] = field(default_factory=dict)
    card: Card | None = None
    history: Table | None = None
    manifest: dict[str, Any] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)

    @property
    def set_test(self) -> str:
        """Whether the galaxies of the run, or of a table, are unlike the training set; empty if unknown."""
        told = [(self.manifest.get(SET_TEST) or {}).get("text", "")]
        # FITS has capitals in its keywords.
        told += [
            str(value)
            for one in self.answers
            for key, value in one.table.meta.items()
            if str(key).lower() == SET_TEST
        ]
        return next(filter(None, told), "")

    @property
    def models(self) -> list[set[str]]:
        """SHA-256 of the models of each source that states them; several for an ensemble."""
        said = [answers.model_sha256 for answers in self.answers]
        said += [self.card.model_sha256] if self.card else []
        return [set(text.split(",")) for text in said if text]


def gather(sources: Sequence[str | os.PathLike[str]], *, progress: Progress = silent) -> Material:
    """Read all sources: tables of predictions, model folders, and predictions in layers files."""
    found = Material()
    files: list[Path] = []
    wanting: dict[Path, list[Path]] = {}
    for source in sources:
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(f"File not found: {path}.")
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
    """Read one source; return its layers files, or the FITS files of a folder that may be such."""
    path = model_folder(path)
    if path.is_dir():
        return _take_folder(found, path)
    if _FITS.search(path.name) and _stacks_of(path):
        return [path]
    if is_table(path):
        found.answers.append(Answers(path.name, _table(path)))
        return []
    raise ValueError(message(f"a layers file, or a table ending in {', '.join(FORMATS)}", "", path=str(path)))


def _take_folder(found: Material, folder: Path) -> list[Path]:
    if (folder / TABLE).is_file() and (folder / MANIFEST).is_file():
        found.manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        sha256 = str(found.manifest.get("model_sha256", ""))
        found.answers.append(Answers(f"{folder.name}/{TABLE}", _table(folder / TABLE), sha256))
    if (folder / _CARD).is_file():
        found.card = Card.read(folder / _CARD)
        if (folder / _TEST).is_file():
            card, table = found.card, _table(folder / _TEST)
            votes = card.votes.answers if card.votes else ()
            found.answers.append(
                Answers(f"{folder.name}/{_TEST}", table, card.model_sha256, tuple(card.classes), votes)
            )
        if (folder / _HISTORY).is_file():
            found.history = Table.read(folder / _HISTORY, format="ascii.csv")
    # May include other FITS files, such as the cutouts of a run.
    return [file for file in sorted(folder.rglob("[!.]*")) if _FITS.search(file.name) and file.is_file()]


def _table(path: Path) -> Table:
    table = read_scalars(path, texts=["id"])
    if "id" not in table.colnames:
        raise ValueError(
            message("a table of answers with a column 'id'", "", path=str(path), columns=table.colnames)
        )
    return table


def _stacks_of(path: Path) -> list[tuple[str, Prediction]]:
    """Return model hash and prediction of each stack of a file; empty for files without layers."""
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
    """Return tables of the predictions in layers: per galaxy that of a known model, else the first."""
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
            Prediction(
                tuple(one.ids[0] for one in own),
                np.concatenate([one.logits for one in own]),
                classes,
                adjustment,
            ).to_table(),
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


Kind = Literal["id", "class", "text", "number", "probability", "flag"]
#: Order of columns: these, then the probabilities, then those below.
_FIRST = ("id", "class", "true_class")
_NEXT = ("entropy", "set", "distance", "flag", "reason", "ra", "dec", "redshift")
#: Columns that are not shown.
_UNSEEN = (HEALPIX, "image", "layers", "split")
_LARGEST_EXACT = 2**53


@dataclass(frozen=True)
class Column:
    """One column of the report.

    Attributes
    ----------
    name : str
        Name of the column in the tables.
    kind : {"id", "class", "text", "number", "probability", "flag"}
        Kind of content, which determines format and sorting.
    values : tuple
        Strings, or numbers with None for missing values.
    unit : str
        Unit of the numbers.
    """

    name: str
    kind: Kind
    values: tuple[Any, ...]
    unit: str = ""


@dataclass(frozen=True)
class Rows:
    """Merged table of all galaxies.

    Attributes
    ----------
    ids : tuple of str
        Unique ids, one per galaxy.
    columns : tuple of Column
        Columns; the first is `id`.
    classes : tuple of str
        Classes with probabilities in columns ``p_<class>``.
    """

    ids: tuple[str, ...]
    columns: tuple[Column, ...]
    classes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name == name), None)


@dataclass(frozen=True)
class Known:
    """Additional data of the galaxies: catalog, true classes and images.

    Attributes
    ----------
    catalog : path-like or None
        Table whose columns `image`, `ra`, `dec` and `redshift` are used.
    label : str or None
        Column with the true class.
    id : str or None
        Column with the identifier, see `galcnn.catalog.read_catalog`.
    image_column : str or None
        Column with the image paths, if it is not `image`.
    images : path-like or None
        Folder with images named by the ids of the galaxies.
    """

    catalog: str | os.PathLike[str] | None = None
    label: str | None = None
    id: str | None = None
    image_column: str | tuple[str, ...] | None = None
    images: str | os.PathLike[str] | None = None


def known_of(known: Known) -> tuple[Answers, dict[str, tuple[Path, ...]]]:
    """Read true classes, positions and image paths from a catalog."""
    columns = {"id": known.id, "class": known.label, "image": known.image_column}
    catalog = read_catalog(
        os.fspath(known.catalog or ""), columns={name: given for name, given in columns.items() if given}
    )
    table = Table({"id": catalog.ids})
    if known.label:
        table["true_class"] = [str(name) for name in catalog.table["class"]]
    for name in ("ra", "dec", "redshift"):
        if name in catalog.table.colnames:
            table[name] = catalog.table[name]
    images = catalog.images if "image" in catalog.table.colnames else {}
    return Answers(os.fspath(known.catalog or ""), table), images


def merge(answers: Sequence[Answers], known: Answers | None = None) -> Rows:
    """Merge tables galaxy by galaxy; where several have a value, the first is used."""
    places: dict[str, int] = {}
    for one in answers:
        names = _texts(one.table["id"])
        if len(set(names)) != len(names):
            raise ValueError(message("a row for each galaxy", "Make the ids unique.", table=one.name))
        for name in names:
            places.setdefault(name, len(places))
    columns: dict[str, Column] = {}
    classes = tuple(dict.fromkeys(name for one in answers for name in one.classes))
    votes = {name for one in answers for name in one.votes}
    shares = {f"p_{name}" for name in classes} | {start + name for name in votes for start in ("f_", "true_")}
    for one in [*answers, *([known] if known else [])]:
        rows = [places.get(name) for name in _texts(one.table["id"])]
        for name in one.table.colnames:
            if name not in _UNSEEN and np.ndim(one.table[name]) == 1:
                _fill(columns, _column(name, one.table[name], shares), rows, len(places))
    merged = Rows(tuple(places), tuple(columns[name] for name in _ordered(columns, classes)), classes)
    _check_truth(merged)
    return merged


def _fill(columns: dict[str, Column], new: Column, rows: Sequence[int | None], n: int) -> None:
    old = columns.get(new.name)
    empty = None if new.kind in ("number", "probability", "flag") else ""
    if old is not None and (old.kind != new.kind or (old.unit and new.unit and old.unit != new.unit)):
        raise ValueError(
            message(
                f"the same kind of column {new.name!r} in all tables",
                "Rename it in one of them.",
                kinds=(old.kind, new.kind),
                units=(old.unit, new.unit),
            )
        )
    values = [empty] * n if old is None else list(old.values)
    for row, value in zip(rows, new.values, strict=True):
        if row is not None and values[row] in (None, ""):
            values[row] = value
    unit = new.unit if old is None else old.unit or new.unit  # Parquet tables have no units
    columns[new.name] = Column(new.name, new.kind, tuple(values), unit)


def _column(name: str, values: Any, shares: Collection[str]) -> Column:
    plain = values.value if hasattr(values, "unit") and hasattr(values, "value") else values
    unit = str(values.unit) if getattr(values, "unit", None) else ""
    masked = np.broadcast_to(getattr(plain, "mask", False), len(plain))
    kind = _kind(name, np.asarray(plain), shares)
    if kind in ("id", "class", "text"):
        texts = ("" if gone or value is None else str(value) for value, gone in _pairs(plain, masked))
        return Column(name, kind, tuple(texts))
    numbers = (None if gone else _number(value) for value, gone in _pairs(plain, masked))
    return Column(name, kind, tuple(numbers), unit)


def _pairs(values: Any, masked: Any) -> Iterable[tuple[Any, bool]]:
    return zip(np.asarray(values).tolist(), masked.tolist(), strict=True)


def _kind(name: str, values: Any, shares: Collection[str]) -> Kind:
    if name == "id":
        return "id"
    if name in ("class", "true_class"):
        return "class"
    if values.dtype.kind not in "iufb" or (
        values.dtype.kind in "iu" and np.any(np.abs(values.astype(float)) > _LARGEST_EXACT)
    ):
        return "text"
    if name == "flag":
        return "flag"
    return "probability" if name in shares else "number"


def _number(value: Any) -> float | int | None:
    if value is None or not np.isfinite(value):
        return None
    return int(value) if isinstance(value, bool | int) else float(value)


def _texts(values: Any) -> list[str]:
    return [str(value) for value in np.asarray(values).tolist()]


def _ordered(columns: Mapping[str, Column], classes: Sequence[str]) -> list[str]:
    shares = [name for name, column in columns.items() if column.kind == "probability"]
    first = dict.fromkeys([*_FIRST, *(f"p_{name}" for name in classes), *shares, *_NEXT, *columns])
    return [name for name in first if name in columns]


def _check_truth(rows: Rows) -> None:
    truth = rows["true_class"]
    if truth is None or not rows.classes:
        return
    found = set(truth.values) - {""}
    if found and not found & set(rows.classes):
        raise ValueError(
            message(
                f"true classes among {rows.classes}",
                "Give the column that has the model's classes.",
                true_class=sorted(found)[:10],
            )
        )


def image_files(
    ids: Sequence[str], card: Card | None, known: Known | None
) -> tuple[dict[str, tuple[Path, ...]], str]:
    """Return image files by id, and an error text if the catalog of the training cannot be read."""
    found: dict[str, tuple[Path, ...]] = {}
    trouble = ""
    if card is not None and card.settings:
        try:
            found = galaxies_of(card).images
        except (ValueError, OSError) as error:  # the catalog is missing or has changed
            trouble = str(error)
    if known is not None and known.images is not None:
        found |= files_named(Path(known.images), ids)
    return found, trouble
