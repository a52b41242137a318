"""Contact sheets of the galaxies of a table: predictions, neighbours, or galaxies to label next."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.table import QTable, Table

from galcnn._runtime import seeding
from galcnn.catalog import Catalog, read_catalog
from galcnn.catalog.formats import (
    FITS_SUFFIXES,
    FORMATS,
    Columns,
    column_names,
    is_table,
    read_scalars,
)
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.errors import UnreadableImageError, message
from galcnn.evaluation import most_uncertain, worst_mistakes
from galcnn.experiment import galaxies_of
from galcnn.model import Card
from galcnn.pipeline.runs import MANIFEST, TABLE
from galcnn.prediction import Prediction
from galcnn.prediction.tables import prediction_in
from galcnn.viewers import Entry, sheet_figure
from galcnn.viewers.plots.sheets import MOST_ENTRIES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Tables in the folders of `galcnn classify` and `galcnn evaluate`.
_TABLES = (TABLE, "predictions.ecsv")
_CARD = "card.json"
_TEXTS = ("id", "class", "true_class", "reason")
#: Orders of a sheet beside the columns of the table, with the heading of a sheet.
ORDERS: Mapping[str, str] = {
    "least-certain": "The {n} least certain of {total} galaxies",
    "most-certain": "The {n} most certain of {total} galaxies",
    "worst": "Wrong predictions: {n} with the smallest probability of the true class",
    "random": "{n} of {total} galaxies in random order",
    "as-in-table": "{n} of {total} galaxies in the order of the table",
}
#: Line below the id of the galaxy whose neighbours are shown.
QUERY = "neighbours of this one"
#: Columns of the tables of `galcnn neighbours` and `galcnn label-next` that are shown with each galaxy.
_SHOWN = ("distance", "score")


@dataclass(frozen=True, eq=False)
class ContactSheet:
    """Contact sheet.

    Attributes
    ----------
    figure : matplotlib.figure.Figure
        The pictures, see `galcnn.viewers.sheet_figure`.
    ids : tuple of str
        Galaxies that are shown, in order.
    left_out : dict of str to str
        Galaxies whose image could not be read, with the reason.
    """

    figure: Figure
    ids: tuple[str, ...]
    left_out: Mapping[str, str]


def table_of(path: str | os.PathLike[str]) -> Path | None:
    """Return the file of a table, or of the table in a folder of `galcnn classify` or `galcnn evaluate`.

    Parameters
    ----------
    path : path-like
        File or folder.

    Returns
    -------
    pathlib.Path or None
        File of the table; None for images, layers files and folders of them.

    Raises
    ------
    ValueError
        If the folder is that of a model.
    """
    file = Path(path)
    if file.is_dir():
        found = next((file / name for name in _TABLES if (file / name).is_file()), None)
        if found is None and (file / _CARD).is_file():
            raise ValueError(
                f"{file} is the folder of a model, which has no pictures. Describe it: galcnn info {file}. "
                f"Explain an image: galcnn explain {file} IMAGE. Draw its test galaxies: galcnn view "
                f"{file}/test.ecsv --save FILE.png."
            )
        return found
    if file.suffix.lower() in FITS_SUFFIXES:
        return file if _is_fits_table(file) else None
    return file if is_table(file) else None


def _is_fits_table(file: Path) -> bool:
    """Return True for a FITS file with a table and no image."""
    if not file.is_file():  # a pipe would wait for its other end
        return False
    try:
        with open(file, "rb") as handle, fits.open(handle, memmap=False) as hdulist:
            kinds = {type(hdu) for hdu in hdulist if hdu.header.get("NAXIS", 0)}
    except Exception:  # noqa: BLE001  whatever astropy says of a damaged file
        return False
    return bool(kinds) and kinds <= {fits.BinTableHDU, fits.TableHDU}


def table_sheet(
    table: str | os.PathLike[str],
    *,
    by: str | None = None,
    n: int = 20,
    reverse: bool = False,
    seed: int = 0,
    catalog: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    columns: Columns | None = None,
    reading: Mapping[str, Any] | None = None,
) -> ContactSheet:
    """Draw galaxies of a table side by side, in a chosen order.

    Parameters
    ----------
    table : path-like
        Table of `galcnn classify`, `galcnn evaluate`, `galcnn train` (``test.ecsv``), `galcnn neighbours` or
        `galcnn label-next`, any other table with identifiers, or a folder with one of the first two.
    by : str, optional
        Order: ``least-certain``, ``most-certain``, ``worst``, ``random``, ``as-in-table``, or a column of
        numbers, whose largest values come first. By default ``as-in-table`` for ranked tables (of
        `galcnn neighbours` and `galcnn label-next`) and tables without probabilities, else
        ``least-certain``.
    n : int
        Largest number of galaxies, at most 200.
    reverse : bool
        If True, reverse the order.
    seed : int
        Seed of ``random``.
    catalog : path-like, optional
        Catalog with the paths of the images.
    images : path-like, optional
        Folder of the images: files that the catalog or the table names, else files named by the ids. Without
        `catalog` and `images`, images are found by the column `image` of the table, by the catalog of
        the training (for a table in a model folder), or in the folder that the manifest of a run names.
    columns : mapping of str to str or sequence of str, optional
        Columns `id`, `image` and `class` (true class) in the catalog, see `galcnn.catalog.read_catalog`.
    reading : mapping of str to Any, optional
        Parameters of `galcnn.dataset.InputFiles`, such as `bands` and `width`.

    Returns
    -------
    ContactSheet
        Pictures with id, predicted class and probability; with the true class, if it is in the table
        (`true_class`) or named in `columns`.

    Raises
    ------
    FileNotFoundError
        If the table, the catalog or the folder of images does not exist.
    ValueError
        If the galaxies cannot be ordered so, or none of them has an image.

    Examples
    --------
    >>> from galcnn.viewers import save_figure
    >>> sheet = table_sheet("classes.ecsv", images="cutouts", n=20)  # doctest: +SKIP
    >>> save_figure(sheet.figure, "sheet.png")  # doctest: +SKIP
    """
    if not 1 <= n <= MOST_ENTRIES:
        raise ValueError(message(f"1 to {MOST_ENTRIES} galaxies on a sheet", "Draw several.", number=n))
    file, named = table_of(table), dict(columns or {})
    if file is None:
        raise ValueError(message(f"a table ending in {', '.join(FORMATS)}", table=os.fspath(table)))
    texts = {one for names in named.values() for one in column_names(names)}
    read = read_scalars(file, texts={*_TEXTS, *texts})
    # With a catalog, the column is one of the catalog.
    name = "id" if catalog is not None and "id" in read.colnames else str(named.get("id", "id"))
    if name not in read.colnames:
        raise ValueError(
            message(
                f"a table with a column {name!r}", "Name it: --id.", table=str(file), columns=read.colnames
            )
        )
    read["id"] = [str(value) for value in read[name]]
    query = str(read.meta.get("query", "")) if "distance" in read.colnames else ""
    files, true = images_of_table(
        file,
        [*read["id"], *([query] if query else [])],
        listed=set(read.colnames).issuperset(column_names(named.get("image", "image"))),
        catalog=catalog,
        images=images,
        columns=named,
        reading=reading,
    )
    if "true_class" in read.colnames:
        true = {row["id"]: str(row["true_class"]) for row in read}
    rows, heading = _ordered(read, true, by, n, reverse=reverse, seed=seed)
    first = query if query in files.paths else None
    return rows_sheet(read[rows], files, true=true, query=first, by=by, heading=heading)


def rows_sheet(
    table: Table,
    files: InputFiles,
    *,
    true: Mapping[str, str] | None = None,
    query: str | Entry | None = None,
    by: str | None = None,
    heading: str = "",
    across: int | None = None,
) -> ContactSheet:
    """Draw the galaxies of a table in its order.

    Parameters
    ----------
    table : astropy.table.Table
        Galaxies with the column `id`. Probabilities, `class` and `p`, `distance` and `score` are shown.
    files : galcnn.dataset.InputFiles
        Images of the galaxies.
    true : mapping of str to str, optional
        True classes by id.
    query : str or galcnn.viewers.Entry, optional
        Galaxy whose neighbours they are, which is drawn first: its id, or its picture.
    by : str, optional
        Column that is shown with each galaxy.
    heading : str
        Heading of the sheet.
    across : int, optional
        Number of pictures in a row; by default some more than there are rows.

    Returns
    -------
    ContactSheet
        Contact sheet; galaxies whose image cannot be read are left out.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        If no galaxy has an image that can be read.
    """
    entry = _entries(table, true or {}, by)
    wanted: list[tuple[str, Callable[[Cutout], Entry]]] = []
    if isinstance(query, str):
        text = f"{query}\n{QUERY}"
        wanted.append((query, lambda cutout: Entry(cutout, text)))
    wanted += [(str(name), functools.partial(entry, row)) for row, name in enumerate(table["id"])]
    places = {name: place for place, name in enumerate(files.ids)}
    if missing := [name for name, _ in wanted if name not in places]:
        raise ValueError(
            message("the catalog of the run", "Name its column of identifiers: --id.", missing=missing[:3])
        )
    entries = [query] if isinstance(query, Entry) else []
    shown: list[str] = []
    left_out: dict[str, str] = {}
    for (name, make), found in zip(wanted, files.read([places[name] for name, _ in wanted]), strict=True):
        if isinstance(found, Exception):
            left_out[name] = str(found) or type(found).__name__
        else:
            entries.append(make(found))
            shown.append(name)
    if not shown:
        why = next(iter(left_out.values()), "The table has no such galaxy.")
        raise UnreadableImageError(
            f"None of the {len(wanted)} galaxies has an image that can be read. {why} Name the folder of the "
            "images (--images DIR), or the catalog with their paths (--catalog FILE, --image-column C)."
        )
    across = across or int(np.clip(np.ceil(np.sqrt(1.25 * len(entries))), 4, 10))
    return ContactSheet(sheet_figure(entries, heading=heading, across=across), tuple(shown), left_out)


def neighbour_sheet(
    neighbours: Table,
    query: str | Sequence[str | os.PathLike[str]],
    run: str | os.PathLike[str],
    *,
    catalog: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    columns: Columns | None = None,
    reading: Mapping[str, Any] | None = None,
) -> ContactSheet:
    """Draw a galaxy and its neighbours, with their distances.

    Parameters
    ----------
    neighbours : astropy.table.Table
        Table from `galcnn.pipeline.nearest`.
    query : str or sequence of path-like
        Id of the galaxy, or its image files.
    run : path-like
        Output folder of `galcnn classify`, or its table.
    catalog : path-like, optional
        Catalog with the paths of the images, see `table_sheet`.
    images : path-like, optional
        Folder of the images, see `table_sheet`.
    columns : mapping of str to str or sequence of str, optional
        Columns `id` and `image` in the catalog.
    reading : mapping of str to Any, optional
        Parameters of `galcnn.dataset.InputFiles`, such as `bands` and `width`.

    Returns
    -------
    ContactSheet
        The galaxy, then its neighbours, nearest first.

    Raises
    ------
    ValueError
        If nothing says where the images are, the catalog lacks a galaxy, or no image can be read.
    """
    first: str | Entry
    if isinstance(query, str):
        ids, first = [query, *map(str, neighbours["id"])], query
    else:
        name = Path(query[0]).name
        ids, first = (
            list(map(str, neighbours["id"])),
            Entry(InputFiles({name: query}, **dict(reading or {})).load(name), f"{name}\n{QUERY}"),
        )
    file = table_of(run) or Path(run)
    files, _ = images_of_table(file, ids, catalog=catalog, images=images, columns=columns, reading=reading)
    metric = neighbours.meta.get("metric", "")
    return rows_sheet(neighbours, files, query=first, heading=f"Nearest neighbours by {metric} distance")


def _entries(table: Table, true: Mapping[str, str], by: str | None) -> Callable[[int, Cutout], Entry]:
    """Return a function that makes the entry of a row."""
    prediction = prediction_in(table)
    extra = _SHOWN if prediction is None else ()
    values = [name for name in dict.fromkeys([by, *extra]) if name in table.colnames]

    def entry(row: int, cutout: Cutout) -> Entry:
        name, colour = str(table["id"][row]), "black"
        text = name
        if prediction is not None:
            answered = Entry.answered(cutout, prediction.select([row]), true.get(name) or None)
            text, colour = answered.text, answered.colour
        elif {"class", "p"} <= set(table.colnames):
            text += f"\n{table['class'][row]} {table['p'][row]:.2f}"
        elif "class" in table.colnames:
            text += f"\n{table['class'][row]}"
        for column in values:
            text += f"\n{column} {_shown(table[column][row])}"
        return Entry(cutout, text, colour)

    return entry


def _shown(value: Any) -> str:
    try:
        return f"{float(value):.3g}"
    except (TypeError, ValueError):
        return str(value)


def _ordered(
    table: Table, true: Mapping[str, str], by: str | None, n: int, *, reverse: bool, seed: int
) -> tuple[npt.NDArray[np.intp], str]:
    """Return the chosen rows in order, and the heading of the sheet."""
    prediction = prediction_in(table)
    usual = "as-in-table" if prediction is None or "rank" in table.colnames else "least-certain"
    by = by or usual
    if by in table.colnames:
        rows, text = _by_column(table, by), f"{{n}} of {{total}} galaxies, largest {by} first"
    elif by in ORDERS:
        rows, text = _by_order(table, prediction, true, by, seed), ORDERS[by]
    else:
        raise ValueError(
            message(
                f"an order among {', '.join(ORDERS)}, or a column of the table",
                "Choose it by --by.",
                by=by,
                columns=table.colnames,
            )
        )
    if reverse:
        rows, text = rows[::-1], f"{{n}} of {{total}} galaxies by {by}, reversed"
    chosen = rows[:n]
    return chosen, text.replace("{n}", str(len(chosen))).replace("{total}", str(len(table)))


def _by_order(
    table: Table, prediction: Prediction | None, true: Mapping[str, str], by: str, seed: int
) -> npt.NDArray[np.intp]:
    n = len(table)
    if by == "as-in-table":
        return np.arange(n)
    if by == "random":
        return seeding.generator(seed, "sheet").permutation(n)
    if prediction is None:
        raise ValueError(
            message(
                "a table with class probabilities, columns p_<class>",
                "Choose --by as-in-table, random or a column.",
                by=by,
                columns=table.colnames,
            )
        )
    if by != "worst":
        rows = most_uncertain(prediction, n)
        return rows if by == "least-certain" else rows[::-1]
    labels = [true.get(name, "") for name in prediction.ids]
    known = np.flatnonzero(np.isfinite(prediction.logits).all(axis=1) & (np.array(labels) != ""))
    if not len(known):
        raise ValueError(
            message(
                "the true classes",
                "Give a table with a column true_class, or --catalog FILE with --label C.",
                by=by,
                columns=table.colnames,
            )
        )
    rows = known[worst_mistakes(prediction.select(known.tolist()), [labels[row] for row in known], n)]
    if not len(rows):
        raise ValueError(f"All {len(known)} predictions with a known true class are correct.")
    return rows


def _by_column(table: Table, name: str) -> npt.NDArray[np.intp]:
    try:
        values: npt.NDArray[np.float64] = np.ma.filled(np.ma.asarray(table[name], dtype=float), np.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(
            message("a column of numbers", "Choose another by --by.", by=name, columns=table.colnames)
        ) from error
    known = np.flatnonzero(np.isfinite(values))
    if not len(known):
        raise ValueError(message(f"numbers in column {name!r}", "Choose another by --by.", by=name))
    return known[np.argsort(-values[known], kind="stable")]


def images_of_table(
    file: Path,
    ids: Sequence[str],
    *,
    listed: bool = False,
    catalog: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    columns: Columns | None = None,
    reading: Mapping[str, Any] | None = None,
) -> tuple[InputFiles, dict[str, str]]:
    """Find the images of galaxies of a table, and their true classes if a catalog has them.

    Parameters
    ----------
    file : pathlib.Path
        Table of `galcnn classify`, `galcnn evaluate` or `galcnn train`.
    ids : sequence of str
        Galaxies.
    listed : bool
        If True, the table has image paths of its own.
    catalog : path-like, optional
        Catalog with the paths of the images, see `table_sheet`.
    images : path-like, optional
        Folder of the images, see `table_sheet`.
    columns : mapping of str to str or sequence of str, optional
        Columns `id`, `image` and `class` in the catalog.
    reading : mapping of str to Any, optional
        Parameters of `galcnn.dataset.InputFiles`, such as `bands` and `width`.

    Returns
    -------
    files : galcnn.dataset.InputFiles
        Images by id.
    true : dict of str to str
        True classes by id.

    Raises
    ------
    FileNotFoundError, ValueError
        If nothing says where the images are, or the catalog cannot be read.
    """
    named = dict(columns or {})
    card = Card.read(file.parent / _CARD) if (file.parent / _CARD).is_file() else None
    if catalog is not None:
        read = read_catalog(catalog, columns=named) if images else galaxies_of(card, catalog, columns=named)
    elif listed:
        own = read_catalog(file, columns={name: named[name] for name in ("id", "image") if name in named})
        read = Catalog(QTable({"id": own.ids, "image": own.table["image"]}))
    elif images is None and card is not None and card.settings:
        read = galaxies_of(card)
    else:
        images = images or _folder_of_run(file)
        if images is None:
            raise ValueError(
                f"{file} does not say where the images are. Name their folder (--images DIR), or the catalog "
                "with their paths (--catalog FILE)."
            )
        read = Catalog(QTable({"id": list(dict.fromkeys(ids))}))
    true = {}
    if "class" in named and "class" in read.table.colnames:
        true = dict(zip(read.ids, map(str, read.table["class"]), strict=True))
    return InputFiles.of(read, images, **dict(reading or {})), true


def _folder_of_run(file: Path) -> str | None:
    """Return the folder of images that the manifest of a run names."""
    path = file.parent / MANIFEST
    if file.name != TABLE or not path.is_file():
        return None
    images = json.loads(path.read_text(encoding="utf-8")).get("images")
    return None if images is None else str(images)
