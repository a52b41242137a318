"""A page on which a person labels galaxies, in a browser and without a connection."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn._runtime import atomic
from galcnn.catalog.formats import Columns, read_scalars
from galcnn.errors import message
from galcnn.pipeline.sheets import images_of_table, table_of
from galcnn.transforms import display_rgb

_TEMPLATE = Path(__file__).with_suffix(".html")
#: Longest side of a stored picture in pixels; larger ones are thinned out.
_LONGEST = 256
#: Name of the file that the page saves.
CSV = "labels.csv"


@dataclass(frozen=True)
class LabelPage:
    """A page that was written.

    Attributes
    ----------
    ids : tuple of str
        Galaxies on the page, in the order of the table.
    left_out : mapping of str to str
        Galaxies whose image could not be read, with the reason.
    command : str
        Command that trains on the labels which the page saves.
    """

    ids: tuple[str, ...]
    left_out: Mapping[str, str]
    command: str


def write_label_page(
    table: str | os.PathLike[str],
    classes: Sequence[str],
    out: str | os.PathLike[str],
    *,
    n: int | None = None,
    catalog: str | os.PathLike[str] | None = None,
    images: str | os.PathLike[str] | None = None,
    columns: Columns | None = None,
    reading: Mapping[str, Any] | None = None,
    start: str = "MODEL",
) -> LabelPage:
    """Write an HTML page on which the galaxies of a table are labelled.

    The page holds its pictures and needs no server. It keeps the labels in the browser, continues from a CSV
    file that it saved, and saves a CSV table with the columns `id`, `class` and the image files, which
    ``galcnn train --catalog`` reads. Predictions are not shown, since they would bias the labels.

    Parameters
    ----------
    table : path-like
        Table with a column `id`, such as that of ``galcnn label-next``, or a folder of ``galcnn classify``.
    classes : sequence of str
        At least two classes; the first nine have the keys 1 to 9.
    out : path-like
        HTML file.
    n : int, optional
        Use only the first n galaxies.
    catalog : path-like, optional
        Catalog with the paths of the images, see `galcnn.pipeline.table_sheet`.
    images : path-like, optional
        Folder of the images, see `galcnn.pipeline.table_sheet`.
    columns : mapping of str to str or sequence of str, optional
        Columns `id` and `image` of the catalog.
    reading : mapping of str to Any, optional
        Parameters of `galcnn.dataset.InputFiles`, such as `bands`.
    start : str
        Model of the command of training that the page shows.

    Returns
    -------
    LabelPage
        Galaxies on the page, and those that are left out.

    Raises
    ------
    ValueError
        If there are fewer than two classes, they are not different, or no image can be read.
    OSError
        If the table or the images are not found, or the page cannot be written.
    """
    names = [name.strip() for name in classes]
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise ValueError(message("at least two different classes", "", classes=tuple(classes)))
    file = table_of(table) or Path(table)
    read = read_scalars(file, texts=["id"])
    if "id" not in read.colnames:
        raise ValueError(message("a table with a column 'id'", "", columns=read.colnames))
    read = read[:n]
    ids = [str(one) for one in read["id"]]
    listed = images is None and catalog is None and "image" in read.colnames
    files, _ = images_of_table(
        file, ids, listed=listed, catalog=catalog, images=images, columns=columns, reading=reading
    )
    galaxies, left_out = [], {}
    for name in ids:
        try:
            picture = _picture(display_rgb(files.load(name)))
        except (OSError, ValueError, KeyError) as error:
            left_out[name] = f"{name} is not in the catalog" if isinstance(error, KeyError) else str(error)
            continue
        paths = [os.path.realpath(path) for path in files.paths[name]]
        galaxies.append({"id": name, "picture": picture, "files": paths})
    if not galaxies:
        raise ValueError(next(iter(left_out.values()), "The table has no galaxies."))
    most = max(len(one["files"]) for one in galaxies)
    held = ["image"] if most == 1 else [f"image_{number}" for number in range(1, most + 1)]
    words = ["galcnn", "train", "--from", start, "--catalog", CSV, "--out", "mine"]
    if most > 1:
        words += ["--image-column", ",".join(held)]
    command = shlex.join(words)
    shown = tuple(str(one["id"]) for one in galaxies)
    page = {
        "classes": names,
        "columns": held,
        "command": command,
        "csv": CSV,
        "galaxies": [
            one | {"files": [*one["files"], *[""] * (most - len(one["files"]))]} for one in galaxies
        ],
        "sha256": hashlib.sha256(json.dumps([names, shown]).encode()).hexdigest(),
    }
    # A text that closes the element would end the data.
    data = json.dumps(page).replace("<", "\\u003c")
    atomic.write_text(out, _TEMPLATE.read_text(encoding="utf-8").replace("{{data}}", data))
    return LabelPage(shown, left_out, command)


def _picture(rgb: npt.NDArray[np.uint8]) -> str:
    """Return an RGB image (ny, nx, 3), row 0 at the bottom, as a JPEG in a data URL."""
    from PIL import Image

    step = max(1, -(-max(rgb.shape[:2]) // _LONGEST))
    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(rgb[::-1][::step, ::step])).save(file, format="JPEG", quality=92)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
