"""Catalogs read as in the experiment of a model. Does not import Keras."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from galcnn._runtime import seeding
from galcnn.catalog import Catalog, read_catalog, read_table, relabel
from galcnn.catalog.catalog import SPLITS
from galcnn.catalog.formats import Columns, column_names, table_file
from galcnn.dataset import InputFiles, split_catalog
from galcnn.errors import message
from galcnn.experiment.settings import Experiment
from galcnn.model import Card


def galaxies_of(
    card: Card | None,
    catalog: str | os.PathLike[str] | None = None,
    *,
    columns: Columns | None = None,
    split: str = "all",
    labelled: bool = False,
    folder: str | os.PathLike[str] | None = None,
    merge: Mapping[str, Sequence[str]] | None = None,
    drop: Sequence[str] | None = None,
    n: int | None = None,
    seed: int = 0,
) -> Catalog:
    """Read a catalog with the columns and merged classes of a model's experiment.

    Parameters
    ----------
    card : galcnn.model.Card or None
        Card of the model. If it is None or has no experiment, the catalog is read without changes.
    catalog : path-like, optional
        Catalog with images; that of the training by default, with the folder of images of the training.
        Columns and classes of the training may be missing in it.
    columns : mapping of str to str, optional
        Names of the columns `image`, `class` and `id` in the file, if different, see
        `galcnn.catalog.read_catalog`.
    split : {"all", "train", "validation", "test"}
        Split of the experiment whose galaxies are returned; those of ``"test"`` were not used in training.
    labelled : bool
        If True, classes are required. Galaxies of classes that the training dropped are excluded in this
        case, and if `split` is not ``"all"``.
    folder : path-like, optional
        Folder of the images, if there is one; a column `image` is then not required, see
        `galcnn.dataset.InputFiles.of`.
    merge : mapping of str to sequence of str, optional
        New class and the classes of the catalog that are merged into it; as in training by default, as far
        as the catalog has these classes. Only if `split` is ``"all"``, as `drop`.
    drop : sequence of str, optional
        Classes of the catalog whose galaxies are excluded; as in training by default.
    n : int, optional
        Maximum number of galaxies, drawn at random and independently of their order. With the same seed,
        a smaller draw is part of a larger one.
    seed : int
        Seed of the draw.

    Returns
    -------
    galcnn.catalog.Catalog
        Catalog with a column `image` and, if the file has classes, `class`.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the catalog cannot be read, lacks images, required classes or galaxies, or the card does not
        say how it was split.
    """
    if split not in ("all", *SPLITS):
        raise ValueError(message(f"all, or a split among {SPLITS}", "", split=split))
    if split != "all" and not (merge is None and drop is None):
        raise ValueError(
            message("all galaxies with other classes than in training", "Use --split all.", split=split)
        )
    settings = {} if card is None else card.settings
    data = settings.get("data", {})
    path = training_catalog(card) if catalog is None else catalog
    present = set(read_table(path).colnames)
    named = {"image": data.get("image_column"), "class": data.get("label"), "id": data.get("id")}
    known = {
        name: column for name, column in named.items() if column and present.issuperset(column_names(column))
    }
    found = read_catalog(path, columns=known | dict(columns or {}))
    images = data.get("images") if folder is None and catalog is None else None
    if folder is None and images is None and "image" not in found.table.colnames:
        raise ValueError(
            message(
                "a catalog with images, in a column 'image' or another",
                "Name the column, --image-column, or the folder of the images, --images.",
                columns=sorted(present),
            )
        )
    classes = "class" in found.table.colnames
    if labelled and not (classes or data.get("votes")):  # callers that need classes refuse models of votes
        raise ValueError(
            message("a catalog with classes", "Name the column: --label.", columns=sorted(present))
        )
    if split != "all" and not (data and (classes or data.get("votes"))):
        raise ValueError(
            message(
                "a model whose card says how its catalog was split, and a catalog with classes",
                "Use all galaxies: --split all.",
                model=None if card is None else card.name,
                columns=sorted(present),
            )
        )
    if classes and not data.get("votes") and (labelled or split != "all"):
        found = found.labelled()
    if classes:
        there = set(found.classes)
        if merge is None:
            known_olds = {n: [o for o in olds if o in there] for n, olds in data.get("merge", {}).items()}
            merge = {new: olds for new, olds in known_olds.items() if olds}
        if drop is None:
            excluded = data.get("drop", ()) if labelled or split != "all" else ()
            drop = [name for name in excluded if name in there]
        found = relabel(found, merge=merge, drop=drop)
    if split != "all":
        found = _side(settings, found, split)
    if not len(found):
        raise ValueError(
            message("a catalog with galaxies of this split", "", catalog=os.fspath(path), split=split)
        )
    if images is not None:
        found = _with_images(found, images)
    if n is None:
        return found
    dice = [seeding.uniform(seed, "faithfulness", name) for name in found.ids]
    return found.select(sorted(range(len(found)), key=dice.__getitem__)[:n])


def training_catalog(card: Card | None) -> str:
    """Return the path of the catalog of a model's training, which must exist."""
    path = "" if card is None else str(card.settings.get("data", {}).get("catalog", ""))
    if not path:
        raise ValueError(
            message(
                "a model of galcnn train, whose card names its catalog",
                "In Python, pass your own images.",
                model=None if card is None else card.name,
            )
        )
    if not table_file(path)[0].is_file():
        raise FileNotFoundError(
            message(
                "the catalog that the model was trained on",
                "If it was moved, give it: --catalog.",
                catalog=path,
            )
        )
    return path


def _side(settings: Mapping[str, object], catalog: Catalog, split: str) -> Catalog:
    experiment = Experiment.from_dict(settings)
    data = experiment.data
    dealt = split_catalog(catalog, by=data.split_by, fractions=data.fractions, seed=experiment.split_seed)
    return dealt.select(np.flatnonzero(np.asarray(dealt.table["split"]) == split))


def _with_images(catalog: Catalog, folder: str) -> Catalog:
    """Return a catalog whose column `image` has the paths of its files in the folder of the training."""
    if not Path(folder).is_dir():
        raise FileNotFoundError(
            message(
                "the folder of images that the model was trained on",
                "If it was moved, give it: --images.",
                images=folder,
            )
        )
    files = list(InputFiles.of(catalog, folder).paths.values())
    width = max(map(len, files))
    padded = np.array([[*map(str, paths), *[""] * (width - len(paths))] for paths in files])
    table = catalog.table.copy()
    table["image"] = padded[:, 0] if width == 1 else padded
    return Catalog(table)


def first_galaxies(
    catalog: Catalog, *, number: int | None = None, classes: Sequence[str] | None = None
) -> Catalog:
    """Select the first galaxies of a catalog, of all or some classes."""
    if classes is not None and "class" not in catalog.table.colnames:
        raise ValueError(
            message("a catalog with classes", "Name the column: --label.", columns=catalog.table.colnames)
        )
    rows = [row for row in range(len(catalog)) if classes is None or str(catalog.labels[row]) in classes]
    if not rows[:number]:
        raise ValueError(
            message(
                "galaxies with a class of the model in the catalog",
                "Name the column of the classes: --label.",
                n_galaxies=len(catalog),
                classes=classes,
            )
        )
    return catalog.select(rows[:number])
