"""Manifest: what became of each object of a fetch, line by line, so that it can go on after a kill.

A line is written before its file gets its name: a file that stands without a line cannot be, and
a line whose file is missing, or has another SHA-256, counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn.errors import message

MANIFEST = "manifest.jsonl"
#: Of the cutouts, in that of the fetch.
FOLDER = "cutouts"
FETCHED, NOT_COVERED, FAILED = "fetched", "not covered", "failed"
_VERSION = 1


@dataclass(frozen=True)
class Record:
    """What became of one object.

    Attributes
    ----------
    id : str
        Of the object.
    status : str
        ``fetched``, ``not covered`` or ``failed``.
    request : str
        Hash of all that was asked for.
    file : str
        Path relative to the folder; empty unless fetched.
    sha256 : str
        Of the file.
    reason : str
        Why there is no file.
    """

    id: str
    status: str
    request: str
    file: str = ""
    sha256: str = ""
    reason: str = ""


class Manifest:
    """The records of one folder; the last of an object counts."""

    def __init__(self, folder: Path, of: Mapping[str, Any]) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self.records: dict[str, Record] = {}
        path = folder / MANIFEST
        header = {"galcnn fetch": _VERSION, **of}
        if not path.exists():
            atomic.write_text(path, json.dumps(header) + "\n")
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        _check_header(lines[0] if lines else "", header, folder)
        for line in lines[1:]:
            record = _parsed(line)
            if record is not None:
                self.records[record.id] = record
        self._handle = open(path, "a", encoding="utf-8")  # noqa: SIM115  closed by close
        if lines and not lines[-1].endswith("\n"):  # torn by a kill
            self._handle.write("\n")

    @property
    def stems(self) -> dict[str, str]:
        """Id -> file name without suffix of all that were ever fetched."""
        return {name: Path(record.file).stem for name, record in self.records.items() if record.file}

    def settled(self, name: str, request: str) -> Record | None:
        """Give the record of an object that need not be asked for again, by its id and the request's hash."""
        # Of one whose file is there and whole, or that is not covered.
        record = self.records.get(name)
        if record is None or record.request != request or record.status == FAILED:
            return None
        if record.status == NOT_COVERED:
            return record
        path = self.folder / record.file
        return record if path.is_file() and file_hash(path) == record.sha256 else None

    def add(self, record: Record) -> None:
        """Write a record, the newest of its object; from any thread."""
        with self._lock:
            self._handle.write(json.dumps(asdict(record)) + "\n")
            self._handle.flush()
            self.records[record.id] = record

    def close(self) -> None:
        """Bring all records to the disk."""
        with self._lock:
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._handle.close()


def file_hash(path: Path) -> str:
    """Give the SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


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


def _parsed(line: str) -> Record | None:
    """A record, or None for a line that was torn or changed: its object is then asked for again."""
    try:
        record = Record(**json.loads(line))
    except (json.JSONDecodeError, TypeError):
        return None
    if not all(isinstance(value, str) for value in asdict(record).values()):
        return None
    # A file name is taken from here: one that was tampered with must not lead out of the folder.
    inside = Path(record.file).parts
    safe = record.status != FETCHED or (len(inside) == 2 and inside[0] == FOLDER and inside[1] != "..")
    return record if safe else None
