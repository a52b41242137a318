"""Make an atlas page by page, with an HTML index of all pages."""

from __future__ import annotations

import html
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, silent
from galcnn._runtime.version import __version__
from galcnn.catalog import Catalog
from galcnn.catalog.names import LEFT_OUT
from galcnn.dataset import InputFiles
from galcnn.dataset.reader import MAX_UNREADABLE, write_left_out
from galcnn.model import TrainedModel, network_layers
from galcnn.pipeline.atlas.galaxy_pages import galaxy_pages
from galcnn.pipeline.atlas.network_pages import network_pages
from galcnn.pipeline.atlas.page import Missing, Page
from galcnn.pipeline.atlas.subject import AtlasSettings, AtlasSubject, sample, subject_of
from galcnn.viewers import save_figure

#: Folder with a JSON record of each finished page.
_NOTES = ".atlas"


_DPI = 130


def make_atlas(
    trained: TrainedModel,
    catalog: Catalog,
    folder: str | os.PathLike[str],
    *,
    settings: AtlasSettings | None = None,
    images: str | os.PathLike[str] | None = None,
    reading: Mapping[str, Any] | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    progress: Progress = silent,
    overwrite: bool = False,
) -> Path:
    """Draw an atlas of a model: weights, filters, feature maps, class models, gradients, decision regions.

    An interrupted run is continued; pages of the same model, galaxies and settings are kept.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model; it is not changed.
    catalog : galcnn.catalog.Catalog
        At least three galaxies, e.g. from `galcnn.experiment.galaxies_of`, with a column `image` or ids
        that name files in `images`. With a column `class`, the galaxies are drawn from all classes of
        the model alike.
    folder : path-like
        Output folder for ``index.html``, ``pages/*.png``, ``arrays/*.fits`` and, if galaxies were
        left out, ``left_out.ecsv``.
    settings : AtlasSettings, optional
        Size of the atlas; the defaults if not given.
    images : path-like, optional
        Folder of the images, see `galcnn.dataset.InputFiles.of`.
    reading : mapping of str to Any, optional
        Parameters of `galcnn.dataset.InputFiles`, such as `fit`, `bands` and `width`.
    max_unreadable : float
        Largest fraction of galaxies that are left out since their image cannot be read or does not fit.
    progress : galcnn._runtime.progress.Progress
        Progress display of the reading of files and the drawing of pages.
    overwrite : bool
        If True, discard an earlier atlas in the folder and start again.

    Returns
    -------
    pathlib.Path
        Path of ``index.html``.

    Raises
    ------
    OSError
        If the folder cannot be written, or holds something else.
    ValueError
        If there are too few galaxies, or too many images cannot be read or do not fit the model.
    """
    out, chosen = Path(folder), settings or AtlasSettings()
    own = ("index.html", "pages", "arrays", LEFT_OUT, _NOTES)
    claim = atomic.claim(out, what="an older atlas", own=own, overwrite=overwrite)
    drawn = sample(catalog, trained.classes, chosen)
    files = InputFiles.of(drawn, images, **dict(reading or {}))
    subject = subject_of(
        trained, drawn, files, settings=chosen, max_unreadable=max_unreadable, progress=progress
    )
    all_pages = [*network_pages(subject), *galaxy_pages(subject)]
    pages = [page for page in all_pages if isinstance(page, Page)]
    missing = [page for page in all_pages if isinstance(page, Missing)]
    claim.mark()
    (out / _NOTES).mkdir(exist_ok=True)
    write_left_out(subject.left_out, out)
    _remove_others(out, {page.name for page in pages})
    notes = []
    with progress("atlas", len(pages)) as step:
        for page in pages:
            try:
                notes.append(_note(out, page, subject))
            except ValueError as error:  # the method of this page does not work on this model
                missing.append(Missing(page.title, str(error)))
            step(page.name)
    index = out / "index.html"
    atomic.write_text(index, _index(subject, notes, missing))
    return index


def _note(out: Path, page: Page, subject: AtlasSubject) -> dict[str, str]:
    """Make a page unless it exists; return its record for the index."""
    note, picture, arrays = _files(out, page.name)
    if note.exists() and picture.exists() and arrays.exists():
        found: dict[str, str] = json.loads(note.read_text(encoding="utf-8"))
        if found.get("key") == subject.key:
            return found
    for file in (note, picture, arrays):
        file.unlink(missing_ok=True)
    sheet = page.make(subject)
    arrays.parent.mkdir(exist_ok=True)
    sheet.write(arrays)
    save_figure(sheet.figure, picture, dpi=_DPI)
    made = {"key": subject.key, "name": page.name, "title": page.title, "caption": sheet.caption}
    atomic.write_json(note, made)
    return made


def _files(out: Path, name: str) -> tuple[Path, Path, Path]:
    return out / _NOTES / f"{name}.json", out / "pages" / f"{name}.png", out / "arrays" / f"{name}.fits"


def _remove_others(out: Path, names: set[str]) -> None:
    """Remove pages of an earlier run that this one does not have."""
    for note in (out / _NOTES).glob("*.json"):
        if note.stem not in names:
            for file in _files(out, note.stem):
                file.unlink(missing_ok=True)


def _index(subject: AtlasSubject, notes: Sequence[dict[str, str]], missing: Sequence[Missing]) -> str:
    card = subject.trained.card
    told = {
        "model": f"{card.name}, sha256 {card.model_sha256[:12]}, made {card.created}",
        "classes": ", ".join(card.classes),
        "images": f"{card.inputs.shape[1]} x {card.inputs.shape[0]} pixels in {card.inputs.unit}, bands "
        + ", ".join(card.inputs.bands),
        "trained on": str(card.data.get("survey", "unknown")),
        "shown with": f"{len(subject.ids)} galaxies, sigma {subject.sigma_source}; "
        f"{sum(a == subject.answer(i) for i, a in enumerate(subject.labels))} of "
        f"{sum(bool(a) for a in subject.labels)} labelled ones called by their label",
        "left out": f"{len(subject.left_out)} galaxies without a usable image",
        "made by": f"galcnn {__version__}, {subject.settings}",
    }
    rows = "\n".join(f"<tr><th>{_text(key)}</th><td>{_text(value)}</td></tr>" for key, value in told.items())
    layers = "\n".join(
        "<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in cells) + "</tr>" for cells in _layers(subject)
    )
    contents = "\n".join(f'<li><a href="#{n["name"]}">{_text(n["title"])}</a></li>' for n in notes)
    pages = "\n".join(
        f'<section id="{n["name"]}">\n<h2>{_text(n["title"])}</h2>\n'
        f'<img src="pages/{n["name"]}.png" alt="{_text(n["title"])}">\n<p>{_text(n["caption"])} '
        f'(<a href="arrays/{n["name"]}.fits">arrays, FITS</a>)</p>\n</section>'
        for n in notes
    )
    absent = "\n".join(f"<li>{_text(m.title)}: {_text(m.reason)}</li>" for m in missing)
    not_drawn = f'<h2>Not drawn of this model</h2>\n<ul id="missing">\n{absent}\n</ul>\n' if missing else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Atlas of {_text(card.name)}</title>
<style>
body {{ font-family: sans-serif; max-width: 72rem; margin: 1rem auto; padding: 0 1rem; line-height: 1.4; }}
img {{ max-width: 100%; height: auto; }}
table {{ border-collapse: collapse; font-size: 0.9rem; }}
th, td {{ text-align: left; padding: 0.15rem 0.7rem 0.15rem 0; vertical-align: top; }}
ul {{ font-size: 0.9rem; }}
#contents {{ columns: 3; }}
section {{ border-top: 1px solid #ccc; margin-top: 1.5rem; }}
p {{ max-width: 50rem; }}
</style>
</head>
<body>
<h1>Atlas of {_text(card.name)}</h1>
<table>
{rows}
</table>
<ul id="contents">
{contents}
</ul>
<h2>Network layers</h2>
<table>
<tr><th>network layer</th><th>kind</th><th>output (y, x, channels)</th><th>reads</th><th>weights</th></tr>
{layers}
</table>
{not_drawn}{pages}
</body>
</html>
"""


def _layers(subject: AtlasSubject) -> list[tuple[str, ...]]:
    return [
        (name, step.kind, str(step.shape), ", ".join(step.sources), str(_weights(step.layer)))
        for name, step in network_layers(subject.trained.network).items()
    ]


def _weights(layer: Any) -> int:
    return sum(math.prod(variable.shape) for variable in getattr(layer, "weights", []))


def _text(value: str) -> str:
    return html.escape(value)
