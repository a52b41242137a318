"""Requests in, rows out: lines of JSON, answered in their order by a model that is loaded once."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from astropy.table import Row

from galcnn.catalog import image_paths
from galcnn.dataset import InputFiles
from galcnn.errors import message
from galcnn.prediction import classify_files
from galcnn.service.answer import error_record, plain

if TYPE_CHECKING:
    from galcnn.model import TrainedModel

__all__ = ["answer_requests"]

#: Requests that the network is given at once, where as many are waiting.
_AT_ONCE = 256


def answer_requests(
    trained: TrainedModel,
    lines: Iterable[bytes],
    write: Callable[[str], object],
    *,
    how: InputFiles,
    prior: Mapping[str, float] | None = None,
) -> int:
    """Classify the galaxies of requests as they come.

    A request that waits alone is answered alone; of many that wait, up to 256 go through the network
    at once.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    lines : iterable of bytes
        Each a JSON object of the schema ``request``, UTF-8; empty lines are passed over.
    write : callable
        Is given each answer, a JSON object of the schema ``row``, without a newline.
    how : galcnn.dataset.InputFiles
        How files are read; its paths are not looked at.
    prior : mapping of str to float, optional
        See `galcnn.prediction.classify_files`.

    Returns
    -------
    int
        Number of lines that were no requests; each has been answered with its error.
    """
    bad = 0
    for batch in _waiting(lines):
        asked: list[tuple[str, tuple[Path, ...]] | ValueError] = [_request(line) for line in batch]
        # By number: two requests may bear one id.
        paths = {str(i): one[1] for i, one in enumerate(asked) if not isinstance(one, ValueError)}
        rows: Iterator[Row] = iter(())
        if paths:
            rows = iter(classify_files(trained, how.like(paths), prior=prior))
        for one in asked:
            if isinstance(one, ValueError):
                bad += 1
                answer: dict[str, Any] = {"id": None, "error": error_record(one, str(one))}
            else:
                answer = {"id": one[0], **_row(next(rows)), "error": None}
            write(json.dumps(plain(answer), allow_nan=False))
    return bad


def _waiting(lines: Iterable[bytes]) -> Iterator[list[bytes]]:
    """Batches of lines: of what is there, without waiting for more."""
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
    """Id and files of a request, or what is wrong with it."""
    try:
        asked = json.loads(line)
    except (ValueError, RecursionError) as error:
        return ValueError(
            message("a line of JSON", "One request a line, in UTF-8.", line=line[:80], error=str(error))
        )
    path = asked.get("path") if isinstance(asked, dict) else None
    paths = path if isinstance(path, list) else [path]
    names = [one for one in paths if isinstance(one, str) and one]
    named = bool(names) and len(names) == len(paths)
    if not named or set(asked) - {"id", "path"} or not isinstance(asked.get("id", ""), str):
        return ValueError(
            message('{"id": "...", "path": "..."}', "See galcnn schema request.", line=line[:80])
        )
    joined = ",".join(names)
    return asked.get("id", joined), image_paths(joined)


def _row(row: Row) -> dict[str, Any]:
    names = row.colnames
    told: dict[str, Any] = {"flag": row["flag"], "reason": str(row["reason"])}
    if "class" not in names:
        return {"fractions": {n.removeprefix("f_"): row[n] for n in names if n.startswith("f_")}} | told
    shares = {name.removeprefix("p_"): row[name] for name in names if name.startswith("p_")}
    return {
        "class": str(row["class"]) or None,
        "probabilities": shares,
        "entropy_nats": row["entropy"],
    } | told
