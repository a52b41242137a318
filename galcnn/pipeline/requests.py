"""Answer JSON requests line by line, in order, with a model that is loaded once."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from astropy.table import Row

from galcnn._runtime.answers import LONGEST_REQUEST, error_record, plain
from galcnn.dataset import InputFiles
from galcnn.errors import message
from galcnn.pipeline.classification import (
    Classifier,
    ClassifySettings,
    Models,
    classify_batch,
    open_classifiers,
)

#: Largest number of waiting requests in one batch.
_AT_ONCE = 256
#: Largest number of files of one galaxy.
_MOST_FILES = 100

#: Id and files of a request.
_Asked = tuple[str, tuple[Path, ...]]


def answer_requests(
    model: Models,
    lines: Iterable[bytes],
    write: Callable[[str], object],
    *,
    root: str | os.PathLike[str] = ".",
    files: InputFiles | None = None,
    settings: ClassifySettings | None = None,
) -> int:
    """Classify the galaxies of JSON requests as they arrive.

    A single waiting request is answered at once; up to 256 waiting requests form one batch. Whatever is
    wrong with a request or its files, it has one answer, and the others are not affected.

    Parameters
    ----------
    model : path-like, galcnn.model.TrainedModel or Classifier, or sequence of them
        The model, or the members of an ensemble, see `galcnn.pipeline.classify_batch`.
    lines : iterable of bytes
        Requests: JSON objects of the schema ``request``, in UTF-8, of at most 64 KiB. Empty lines are
        skipped.
    write : callable
        Called with each answer: a JSON object of the schema ``row`` as a str, without newline.
    root : path-like
        Folder of the files; by default the current one. Relative paths start from it. A request for a
        path outside of it, also by a symbolic link, is not valid, whether or not there is a file.
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
    FileNotFoundError, NotADirectoryError, ValueError
        If the model or the root cannot be found, or the settings do not suit the model.
    """
    folder = Path(root).resolve(strict=True)
    if not folder.is_dir():
        raise NotADirectoryError(message("a folder with the files of the requests", "", root=str(root)))
    settings = settings or ClassifySettings()
    ready = open_classifiers(model, orientations=settings.orientations)
    for one in ready:
        one.check(settings)
    votes = ready[0].trained.votes
    names = ready[0].trained.classes if votes is None else votes.answers
    how = files or InputFiles({})
    bad = number = 0
    for batch in _waiting(lines):
        asked = [_request(line, number + i, folder) for i, line in enumerate(batch, 1)]
        number += len(batch)
        good = [one for one in asked if not isinstance(one, ValueError)]
        rows = iter(_rows(ready, how, good, settings))
        for request in asked:
            row = request if isinstance(request, ValueError) else next(rows)
            if isinstance(row, Exception):
                bad += 1
                name = None if isinstance(request, ValueError) else request[0]
                answer: dict[str, Any] = {"id": name, "error": error_record(row, str(row))}
            else:
                answer = {"id": request[0], **_told(row, names, votes is not None), "error": None}  # type: ignore[index]
            write(json.dumps(plain(answer), allow_nan=False))
    return bad


def _rows(
    ready: Sequence[Classifier], how: InputFiles, good: Sequence[_Asked], settings: ClassifySettings
) -> list[Row | Exception]:
    """Return the row of each request, or an error that none of the steps expects."""
    if not good:
        return []
    # Numbered, because two requests may have the same id.
    files = how.like({str(i): paths for i, (_, paths) in enumerate(good)})
    files.untrusted = True
    cutouts = files.read(range(len(good)))
    try:
        return list(classify_batch(ready, cutouts, [name for name, _ in good], settings=settings))
    except Exception as error:  # noqa: BLE001  one request must not end the service: the others are tried alone
        if len(good) == 1:
            return [error]
        return [row for one in good for row in _rows(ready, how, [one], settings)]


def _waiting(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Yield batches of the lines that are waiting, without waiting for more."""
    read: queue.Queue[bytes | None] = queue.Queue(maxsize=_AT_ONCE)
    failed: list[BaseException] = []

    def reader() -> None:
        try:
            for line in lines:
                if line.strip():
                    read.put(line)
        except BaseException as error:  # noqa: BLE001  raised again in the waiting thread
            failed.append(error)
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
    if failed:
        raise failed[0]


def _request(line: bytes, number: int, root: Path) -> _Asked | ValueError:
    """Return id and files of a request, or the error, which quotes neither the line nor a file."""
    if len(line) > LONGEST_REQUEST:
        return ValueError(message(f"a request of at most {LONGEST_REQUEST} bytes", "", request=number))
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError) as error:
        said = f"{error.msg}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "not text"
        return ValueError(
            message("a line of JSON", "One request per line, in UTF-8.", request=number, error=said)
        )
    path = asked.get("path") if isinstance(asked, dict) else None
    paths: list[Any] = path if isinstance(path, list) else [path]
    named = 0 < len(paths) <= _MOST_FILES and all(isinstance(one, str) and one for one in paths)
    if not named or set(asked) - {"id", "path"} or not isinstance(asked.get("id", ""), str):
        return ValueError(
            message('{"id": "...", "path": "..."}', "See galcnn info --schema request.", request=number)
        )
    inside = [_inside(one, root) for one in paths]
    if None in inside:
        return ValueError(
            message(
                f"files in the folder {root}",
                "Give another folder by --root.",
                request=number,
                path=paths[inside.index(None)],
            )
        )
    return asked.get("id", paths[0]), tuple(one for one in inside if one is not None)


def _inside(path: str, root: Path) -> Path | None:
    """Return the real path, without symbolic links, of a file in a folder; None if it is outside."""
    try:
        real = (root / path).resolve()
        os.fsencode(real)
    except (ValueError, OSError, RuntimeError):  # no name of a file, or links in a circle
        return None
    return real if real.is_relative_to(root) else None


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
