"""Which galaxies an atlas shows: drawn of all classes in turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from galcnn import seeding
from galcnn.catalog import Catalog
from galcnn.errors import message

__all__ = ["AtlasSettings", "labels_of", "sample"]


@dataclass(frozen=True)
class AtlasSettings:
    """How large an atlas is.

    Attributes
    ----------
    galaxies : int
        That the statistics are made of, of all classes alike as far as there are.
    shown : int
        Galaxies with pages of their own: of each class in turn the one that the network is
        surest of.
    filters : int
        Of each convolution that are visualised: those that the shown galaxies excite most.
    stages : int
        Convolutions that have pages, evenly spaced where there are more.
    steps : int
        Of each gradient ascent.
    seed : int
        Of everything that is drawn.
    """

    galaxies: int = 240
    shown: int = 6
    filters: int = 16
    stages: int = 10
    steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        smallest = {"galaxies": 3, "shown": 1, "filters": 1, "stages": 1, "steps": 1}
        low = {name: getattr(self, name) for name, least in smallest.items() if getattr(self, name) < least}
        if low:
            raise ValueError(message(f"at least {smallest}", "", **low))


def sample(catalog: Catalog, classes: Sequence[str], settings: AtlasSettings) -> Catalog:
    """Draw the galaxies of an atlas, of all classes in turn.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        With a column `image`; a column `class` helps.
    classes : sequence of str
        Of the model: galaxies of other classes are left out where any has one of these.
    settings : AtlasSettings
        How many.

    Returns
    -------
    galcnn.catalog.Catalog
        The same whatever the order of the rows.

    Raises
    ------
    ValueError
        Fewer than three galaxies.
    """
    labels = labels_of(catalog)
    dice = [seeding.uniform(settings.seed, "atlas", name) for name in catalog.ids]
    known = sorted(set(labels) & set(classes))
    queues = [
        sorted((row for row in range(len(catalog)) if not known or labels[row] == name), key=dice.__getitem__)
        for name in known or [""]
    ]
    turns = [queue[i] for i in range(max(map(len, queues))) for queue in queues if i < len(queue)]
    if len(turns) < 3:
        raise ValueError(message("at least three galaxies", "", n_galaxies=len(turns)))
    return catalog.select(turns[: settings.galaxies])


def labels_of(catalog: Catalog) -> list[str]:
    """Give the classes of a catalog.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog
        Any.

    Returns
    -------
    list of str
        Empty texts where it has no classes.
    """
    if "class" not in catalog.table.colnames:
        return [""] * len(catalog)
    return [str(name) for name in catalog.labels]
