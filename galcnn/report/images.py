"""Where the images of galaxies without layers are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from galcnn.catalog.names import file_stems
from galcnn.errors import message
from galcnn.experiment.galaxies import galaxies_of
from galcnn.model.card import Card
from galcnn.report.rows import Known

__all__ = ["image_files"]

_IMAGE = re.compile(r"\.(fits?|fits?\.(gz|fz|bz2)|jpe?g|png)$", re.IGNORECASE)


def image_files(
    ids: Sequence[str], card: Card | None, known: Known | None
) -> tuple[dict[str, tuple[Path, ...]], str]:
    """Find images.

    Parameters
    ----------
    ids : sequence of str
        The galaxies.
    card : galcnn.model.Card or None
        Of a model: the catalog by which it was trained is read.
    known : Known or None
        Its folder of images comes first; files are named by ids, as `galcnn fetch` and `galcnn cut`
        do it, or by the ids as they are.

    Returns
    -------
    files : dict of str to tuple of pathlib.Path
        Id -> files, of those that have one.
    trouble : str
        Why the catalog of the training gave none; empty where it did, or was not asked.
    """
    found: dict[str, tuple[Path, ...]] = {}
    trouble = ""
    if card is not None and card.settings:
        try:
            found = galaxies_of(card).images
        except (ValueError, OSError) as error:  # it is gone, or another table by now
            trouble = str(error)
    if known is not None and known.images is not None:
        folder = Path(known.images)
        if not folder.is_dir():
            raise FileNotFoundError(message("a folder of images", "Check the path.", images=str(folder)))
        there = {_IMAGE.sub("", path.name): path for path in folder.iterdir() if _IMAGE.search(path.name)}
        stems = file_stems(ids)
        files = {name: there.get(name, there.get(stems[name])) for name in ids}
        found |= {name: (file,) for name, file in files.items() if file}
    return found, trouble
