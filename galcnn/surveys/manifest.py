"""Manifest: the status of each object of a fetch, one line per record, so that a fetch can resume.

A record is written before its file gets its final name, so that every complete file has a record.
Records whose file is missing or has another SHA-256 are ignored.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn.errors import message

MANIFEST = "manifest.jsonl"
#: Folder of the cutouts, within the folder of the fetch.
FOLDER = "cutouts"
FETCHED, NOT_COVERED, FAILED = "fetched", "not covered", "failed"
_VERSION = 1


@dataclass(frozen=True)
class Record:
    """Status of one object.

    Attributes
    ----------
    id : str
        Id of the object.
    status : str
        ``fetched``, ``not covered`` or ``failed``.
    request : str
        Hash of the full request.
    file : str
        Path relative to the folder of the fetch; empty unless fetched.
    sha256 : str
        SHA-256 of the file.
    reason : str
        Reason why there is no file.
    """

    id: str
    status: str
    request: str
    file: str = ""
    sha256: str = ""
    reason: str = ""


class Manifest:
    """Records of one folder; the last record of each object is used."""

    def __init__(self, folder: Path, of: Mapping[str, Any]) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        path = folder / MANIFEST
        header = {"galcnn fetch": _VERSION, **of}
        if not path.exists():
            atomic.write_text(path, json.dumps(header) + "\n")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        _check_header(lines[0] if lines else "", header, folder)
        self.records = _records(lines[1:])
        self._handle = open(path, "a", encoding="utf-8")  # noqa: SIM115  closed by close
        if lines and not lines[-1].endswith("\n"):  # cut off when the process was killed
            self._handle.write("\n")

    @property
    def stems(self) -> dict[str, str]:
        """File name without suffix by id, for all objects that were ever fetched."""
        return {name: Path(record.file).stem for name, record in self.records.items() if record.file}

    def settled(self, name: str, request: str) -> Record | None:
        """Return the record of an object that need not be requested again, else None."""
        # That is: the request is the same, and the file is complete or the object not covered.
        record = self.records.get(name)
        if record is None or record.request != request or record.status == FAILED:
            return None
        if record.status == NOT_COVERED:
            return record
        path = self.folder / record.file
        return record if path.is_file() and atomic.file_sha256(path) == record.sha256 else None

    def add(self, record: Record) -> None:
        """Append a record, which replaces earlier ones of the same object; safe in any thread."""
        with self._lock:
            self._handle.write(json.dumps(asdict(record)) + "\n")
            self._handle.flush()
            self.records[record.id] = record

    def close(self) -> None:
        """Flush the names of all files and all records to the disk, and close the file."""
        if (self.folder / FOLDER).is_dir():
            atomic.flush_folder(self.folder / FOLDER)
        with self._lock:
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._handle.close()


def read_records(folder: Path) -> dict[str, Record]:
    """Return the last record of each object in a folder, by id; none if it has no manifest."""
    path = folder / MANIFEST
    if not path.is_file():
        return {}
    return _records(path.read_text(encoding="utf-8", errors="replace").splitlines()[1:])


def _check_header(line: str, wanted: Mapping[str, Any], folder: Path) -> None:
    try:
        found = json.loads(line)
    except json.JSONDecodeError:
        found = None
    if found != json.loads(json.dumps(wanted)):
        known = isinstance(found, dict) and "survey" in found
        held = {key: found[key] for key in ("survey", "bands")} if known else "a damaged manifest"
        raise ValueError(
            message(
                "a new folder, or one of a fetch of the same survey, options and bands",
                "Choose another folder or remove it.",
                folder=str(folder),
                holds=held,
            )
        )


def _records(lines: Iterable[str]) -> dict[str, Record]:
    found = (_parsed(line) for line in lines)
    return {record.id: record for record in found if record is not None}


def _parsed(line: str) -> Record | None:
    """Return a record, or None for a damaged line; its object is then requested again."""
    try:
        record = Record(**json.loads(line))
    except (json.JSONDecodeError, TypeError):
        return None
    if not all(isinstance(value, str) for value in asdict(record).values()):
        return None
    # The file name is taken from here: a modified manifest must not refer to files outside the folder.
    inside = Path(record.file).parts
    safe = record.status != FETCHED or (len(inside) == 2 and inside[0] == FOLDER and inside[1] != "..")
    return record if safe else None
