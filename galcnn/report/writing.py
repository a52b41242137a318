"""Write a report as a folder that opens from the disk, atomically."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn._runtime.version import __version__
from galcnn.errors import UnreadableImageError, message, wrong_type
from galcnn.model import Card
from galcnn.prediction import BLANK, CHANGED, MASKED, OUTSIDE, UNANSWERED, UNFIT, UNREADABLE
from galcnn.report.objects import ACROSS, SIDE, Sheets, colours, object_of_image, object_of_layers
from galcnn.report.sections import confusion_of, sections_of
from galcnn.report.sources import Known, Material, Rows, gather, image_files, known_of, merge
from galcnn.uncertainty.out_of_distribution import SET_TEST

#: Maximum number of rows; browsers sort and filter them without delay.
MOST_OBJECTS = 200_000
PAGE = ("report.css", "data.js", "sky.js", "table.js", "viewer.js", "overview.js", "main.js")
#: Content of a report, and the tag by which a report is recognised.
_INDEX, _NAMES = "index.html", {"index.html", "page", "data"}
_MARK = '<meta name="generator" content="galcnn report">'
_FLAGS = {
    UNREADABLE: "unreadable",
    UNFIT: "does not fit the model",
    MASKED: "over 10 % masked",
    BLANK: "blank band",
    OUTSIDE: "unlike the training set",
    CHANGED: "checksum does not match",
    UNANSWERED: "no number for an answer",
}


def write_report(
    sources: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    out: str | os.PathLike[str],
    *,
    known: Known | None = None,
    title: str | None = None,
    progress: Progress = silent,
    overwrite: bool = False,
) -> dict[str, int]:
    """Write an HTML report of predictions and explanations.

    Parameters
    ----------
    sources : path-like or sequence of path-like
        Folders of runs and models, tables and layers files, see `galcnn.report.sources.gather`.
    out : path-like
        Output folder with ``index.html``. An earlier report in it is replaced; a folder with other
        content is refused.
    known : Known, optional
        True classes, positions and images. Galaxies without layers take their image from its folder or
        catalog; if no catalog is given, the catalog with which the model was trained is used. If that
        cannot be read, the page gives the reason.
    title : str, optional
        Title of the page. By default the name of the model, or of the first source.
    progress : galcnn._runtime.progress.Progress
        Callback that shows the progress.
    overwrite : bool
        If True, replace files of these names in a folder with other content.

    Returns
    -------
    dict of str to int
        Number of `objects`, of objects with a picture (`pictures`), and of `maps`.

    Raises
    ------
    FileNotFoundError, ValueError
        If a source does not exist or cannot be used, see `galcnn.report.sources.gather` and
        `galcnn.report.sources.merge`, or `out` is a folder with other content.
    galcnn.errors.UnreadableImageError
        If a file of the sources is damaged.

    Notes
    -----
    Galaxies are drawn one by one, so that memory holds only the table and one sheet of thumbnails. A
    galaxy whose image cannot be read is listed without it, with the reason.
    """
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    paths = isinstance(sources, Sequence) and all(isinstance(one, str | os.PathLike) for one in sources)
    if not paths or not isinstance(out, str | os.PathLike):
        raise wrong_type(
            "paths of folders and files, and of the output folder: write_report(['run'], 'report')",
            sources=sources,
            out=out,
        )
    target = Path(out)
    own = _NAMES if _is_report(target) else ()
    what = "that of an older report"
    atomic.check_writable(target, folder=True, own=own, what=what, inputs=sources, overwrite=overwrite)
    material = gather(sources, progress=progress)
    catalog, images = known_of(known) if known is not None and known.catalog else (None, {})
    rows = merge(material.answers, catalog)
    if len(rows.ids) > MOST_OBJECTS:
        raise ValueError(
            message(f"at most {MOST_OBJECTS:,} galaxies", "Select those to look at.", n=len(rows.ids))
        )
    found, trouble = image_files(rows.ids, material.card if catalog is None else None, known)
    images |= found
    with atomic.writing_folder(target, own=_NAMES) as folder:
        drawn = _draw(folder / "data", rows, material, images, trouble, progress=progress)
        content = _content(rows, material, title) | drawn
        _write_script(folder / "data" / "report.js", "globalThis.galcnnReport = ", content, ";\n")
        page = resources.files("galcnn.report") / "page"
        (folder / "page").mkdir()
        for name in PAGE:
            (folder / "page" / name).write_bytes((page / name).read_bytes())
        (folder / _INDEX).write_bytes((page / _INDEX).read_bytes())
    places = drawn["thumbnails"]["places"]
    return {
        "objects": len(rows.ids),
        "pictures": sum(place >= 0 for place in places),
        "maps": sum(drawn["maps"]),
    }


def _draw(
    folder: Path,
    rows: Rows,
    material: Material,
    images: Mapping[str, tuple[Path, ...]],
    trouble: str,
    *,
    progress: Progress,
) -> dict[str, Any]:
    """Write thumbnails and object files; return the fields of the page that refer to them."""
    (folder / "objects").mkdir(parents=True)
    sheets = Sheets(folder / "thumbnails")
    places, maps, troubles = [], [], {}
    with progress("draw", len(rows.ids)) as step:
        for row, name in enumerate(rows.ids):
            place, number = -1, 0
            try:
                if name in material.layers:
                    content, small = object_of_layers(material.layers[name])
                elif name in images:
                    content, small = object_of_image(images[name])
                else:
                    content = None
                    if trouble:
                        troubles[str(row)] = trouble
            except (UnreadableImageError, OSError, ValueError) as error:
                content, troubles[str(row)] = None, str(error)
            if content is not None:
                place, number = sheets.add(small), len(content["maps"])
                _write_script(
                    folder / "objects" / f"{row:06d}.js", f"galcnn.receive({row}, ", content, ");\n"
                )
            places.append(place)
            maps.append(number)
            step()
    sheets.close()
    return {
        "thumbnails": {"side": SIDE, "across": ACROSS, "places": places},
        "maps": maps,
        "troubles": troubles,
    }


#: Keys of the manifest of a run that the page does not list.
_UNSEEN = ("format", "images", SET_TEST)


def _content(rows: Rows, material: Material, title: str | None) -> dict[str, Any]:
    card, history = material.card, material.history
    model = card.name if card else str(material.manifest.get("model", ""))
    return {
        "format": 1,
        "title": title or model or material.names[0],
        "created": datetime.now(UTC).isoformat(timespec="minutes"),
        "creator": f"galcnn {__version__}",
        "sources": material.names,
        "n": len(rows.ids),
        "classes": rows.classes,
        "columns": [asdict(column) for column in rows.columns],
        "flags": {str(bit): words for bit, words in _FLAGS.items()},
        "sections": [asdict(section) for section in sections_of(rows, material.set_test)],
        "confusion": confusion_of(rows),
        "card": _plain(card) if card else None,
        "history": None if history is None else {name: _finite(history[name]) for name in history.colnames},
        "run": {
            key: value
            for key, value in material.manifest.items()
            if key not in ("format", "images", SET_TEST)
        },
        "colours": colours(),
    }


def _finite(values: Any) -> list[float | None]:
    """Return a list with None for values that are not finite, which JSON cannot hold."""
    return [float(v) if np.isfinite(v) else None for v in np.ma.filled(np.ma.asarray(values, float), np.nan)]


def _plain(card: Card) -> dict[str, Any]:
    return asdict(card) | {"inputs": card.inputs.to_dict()}


def _write_script(path: Path, start: str, content: object, end: str) -> None:
    """Write JSON as a script, in ASCII and without tags: a page from the disk cannot read other files."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    path.write_text(start + text + end, encoding="ascii")


def _is_report(target: Path) -> bool:
    index = target / _INDEX
    return index.is_file() and _MARK in index.read_text(encoding="utf-8", errors="replace")
