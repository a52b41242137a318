"""Answer JSON requests line by line, in order, with a model that is loaded once."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from astropy.table import Row

from galcnn._runtime.answers import error_record, plain
from galcnn.dataset import InputFiles
from galcnn.errors import message
from galcnn.pipeline.classification import ClassifySettings, Models, classify_batch, open_classifiers

#: Largest number of waiting requests in one batch.
_AT_ONCE = 256


def answer_requests(
    model: Models,
    lines: Iterable[bytes],
    write: Callable[[str], object],
    *,
    files: InputFiles | None = None,
    settings: ClassifySettings | None = None,
) -> int:
    """Classify the galaxies of JSON requests as they arrive.

    A single waiting request is answered at once; up to 256 waiting requests form one batch.

    Parameters
    ----------
    model : path-like, galcnn.model.TrainedModel or Classifier, or sequence of them
        The model, or the members of an ensemble, see `galcnn.pipeline.classify_batch`.
    lines : iterable of bytes
        Requests: JSON objects of the schema ``request``, in UTF-8. Empty lines are skipped.
    write : callable
        Called with each answer: a JSON object of the schema ``row`` as a str, without newline.
    files : galcnn.dataset.InputFiles, optional
        Options for reading files (bands, grid, width); its own paths are ignored.
    settings : ClassifySettings, optional
        Settings of the classification; the defaults if not given.

    Returns
    -------
    int
        Number of lines that were not valid requests. Each is answered with its error.

    Raises
    ------
    FileNotFoundError, ValueError
        If the model cannot be found, or the settings do not suit it.
    """
    ready, settings = open_classifiers(model), settings or ClassifySettings()
    for one in ready:
        one.check(settings)
    votes = ready[0].trained.votes
    names = ready[0].trained.classes if votes is None else votes.answers
    how = files or InputFiles({})
    bad = 0
    for batch in _waiting(lines):
        asked = [_request(line) for line in batch]
        good = [one for one in asked if not isinstance(one, ValueError)]
        # Numbered, because two requests may have the same id.
        cutouts = how.like({str(i): paths for i, (_, paths) in enumerate(good)}).read(range(len(good)))
        rows: Iterator[Row] = iter(())
        if good:
            rows = iter(classify_batch(ready, cutouts, [name for name, _ in good], settings=settings))
        for request in asked:
            if isinstance(request, ValueError):
                bad += 1
                answer: dict[str, Any] = {"id": None, "error": error_record(request, str(request))}
            else:
                answer = {"id": request[0], **_told(next(rows), names, votes is not None), "error": None}
            write(json.dumps(plain(answer), allow_nan=False))
    return bad


def _waiting(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield batches of the lines that are waiting, without waiting for more."""
    read: queue.Queue[bytes | None] = queue.Queue(maxsize=_AT_ONCE)

    def reader() -> None:
        try:
            for line in lines:
                if line.strip():
                    read.put(line)
        finally:
            read.put(None)

    threading.Thread(target=reader, daemon=True).start()
    ended = False
    while not ended:
        batch = [read.get()]
        while batch[-1] is not None and len(batch) < _AT_ONCE and not read.empty():
            batch.append(read.get())
        ended = batch[-1] is None
        if some := [line for line in batch if line is not None]:
            yield some


def _request(line: bytes) -> tuple[str, tuple[Path, ...]] | ValueError:
    """Return id and files of a request, or the error."""
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError) as error:
        return ValueError(
            message("a line of JSON", "One request per line, in UTF-8.", line=line[:80], error=str(error))
        )
    path = asked.get("path") if isinstance(asked, dict) else None
    paths: list[Any] = path if isinstance(path, list) else [path]
    named = bool(paths) and all(isinstance(one, str) and one for one in paths)
    if not named or set(asked) - {"id", "path"} or not isinstance(asked.get("id", ""), str):
        return ValueError(
            message('{"id": "...", "path": "..."}', "See galcnn info --schema request.", line=line[:80])
        )
    return asked.get("id", paths[0]), tuple(map(Path, paths))


def _told(row: Row, names: Sequence[str], fractions: bool) -> dict[str, Any]:
    """Convert a table row to a dict; values per class are grouped under the class names."""
    told: dict[str, Any] = {}
    if fractions:
        told["fractions"] = {name: row[f"f_{name}"] for name in names}
    else:
        told["class"] = str(row["class"]) or None
        told["probabilities"] = {name: row[f"p_{name}"] for name in names}
        told["entropy_nats"] = row["entropy"]
    if "set" in row.colnames:
        told["set"] = str(row["set"]).split("|") if row["set"] else []
    if f"std_{names[0]}" in row.colnames:
        told["standard_deviation"] = {name: row[f"std_{name}"] for name in names}
    columns = {
        "distance": "distance",
        "mutual_information": "mutual_information_nats",
        "embedding": "embedding",
    }
    told |= {key: row[name] for name, key in columns.items() if name in row.colnames}
    return told | {"flag": row["flag"], "reason": str(row["reason"])}
