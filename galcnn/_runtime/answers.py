"""The JSON record of a command: settings, inputs and outputs with hashes, result, error."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import math
import os
import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn.errors import Message, message

#: Exit codes of all commands.
EXIT_CODES: Mapping[int, str] = {
    0: "done",
    1: "a bug in galcnn",
    2: "invalid input, or a missing file, package, network or permission",
    3: "some galaxies have no result: they could not be downloaded, or their requests were invalid",
    4: "a check failed",
    130: "interrupted (SIGINT)",
    141: "the program that read the output has ended (SIGPIPE)",
    143: "interrupted (SIGTERM)",
}
SCHEMAS = ("answer", "request", "row")
#: Longest request in bytes.
LONGEST_REQUEST = 1 << 16
#: Format version of the answer: raised when a change would mislead programs that read the old one.
_FORMAT = 1
_PACKAGES = ("galcnn", "tensorflow", "keras", "astropy", "numpy")
#: Number of output files that are listed by name; of the others only the number is given.
_LISTED = 1000


def schema(name: str) -> dict[str, Any]:
    """Return a JSON Schema (draft 2020-12) of ``galcnn --json``, of a request, or of its row."""
    if name not in SCHEMAS:
        raise ValueError(message(f"a schema among {SCHEMAS}", "", schema=name))
    content: dict[str, Any] = json.loads(
        (resources.files("galcnn._runtime") / f"{name}.schema.json").read_text(encoding="utf-8")
    )
    return content


def plain(value: Any) -> Any:
    """Convert a value to JSON types: NaN and infinity become null, arrays become lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if hasattr(value, "tolist"):  # numpy, without importing it
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(one) for one in value]
    return str(getattr(value, "name", value) if hasattr(value, "read") else value)  # the name of an open file


def error_record(error: BaseException, text: str) -> dict[str, Any]:
    """Return the parts of an error.

    Parameters
    ----------
    error : BaseException
        The exception.
    text : str
        The error message as shown to the user.

    Returns
    -------
    dict
        ``kind`` (name of the exception class), ``message``, and ``expected``, ``received`` and
        ``remedy``, which are None if the message was not made by `galcnn.errors.message`.
    """
    worded = error.args[0] if error.args and isinstance(error.args[0], Message) else None
    return {
        "kind": type(error).__name__,
        "message": " ".join(text.split()),
        "expected": worded and worded.expected,
        "received": worded and worded.received,
        "remedy": (worded and worded.remedy) or None,
    }


@dataclass
class JsonAnswer:
    """The record of one run of a command; filled while it runs.

    Attributes
    ----------
    arguments : tuple of str
        Command-line arguments as given.
    command : str
        Name of the command; empty before it is known.
    settings : dict
        All options with their values, including defaults.
    result : dict
        Results that the command reports, such as numbers of rows.
    messages : list of str
        Lines that the command printed on standard output.
    written : list of pathlib.Path
        Files and folders that it wrote, see `galcnn._runtime.atomic.recording`.
    error : dict or None
        The error, if there was one, see `error_record`.
    """

    arguments: tuple[str, ...]
    command: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)
    written: list[Path] = field(default_factory=list)
    error: dict[str, Any] | None = None
    _began: float = field(default_factory=time.time)

    def document(self, exit_code: int) -> dict[str, Any]:
        """Return the whole record in JSON types.

        Parameters
        ----------
        exit_code : int
            Exit code of the command, see `EXIT_CODES`.

        Returns
        -------
        dict
            Document that follows the schema ``answer``.
        """
        named = [Path(word) for word in _words(self.settings.values()) if os.path.lexists(word)]
        # Only files below a path that the command line names are outputs: caches lie elsewhere.
        places = {path.resolve() for path in named}
        finished = [path for path in self.written if path.exists() and not places.isdisjoint(_above(path))]
        products = list(dict.fromkeys(one for path in finished for one in _contents(path)))
        inputs = [path for path in dict.fromkeys(named) if not _made(path, products)]
        return {
            "format": _FORMAT,
            "galcnn": importlib.metadata.version("galcnn"),
            "command": self.command,
            "arguments": list(self.arguments),
            "settings": plain(self.settings),
            "started": datetime.fromtimestamp(self._began, UTC).isoformat(timespec="seconds"),
            "seconds": round(time.time() - self._began, 3),
            "exit_code": exit_code,
            "inputs": [_described(path) for path in inputs],
            "outputs": [_described(path) for path in products[:_LISTED]],
            "outputs_not_listed": max(0, len(products) - _LISTED),
            "versions": {"python": platform.python_version()} | dict(_versions()),
            "messages": list(self.messages),
            "result": plain(self.result),
            "error": self.error,
        }


def _words(values: Iterable[Any]) -> Iterator[str]:
    """Yield the strings among settings."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list | tuple):
            yield from _words(value)


def _contents(path: Path) -> list[Path]:
    """List the files of an output folder; a file or a model folder is one output."""
    if path.is_file() or (path / "card.json").is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file())


def _above(path: Path) -> tuple[Path, ...]:
    """Return the path and its parent folders."""
    return (path, *path.parents)


def _made(path: Path, products: list[Path]) -> bool:
    """Tell whether a path is an output or holds one, and so is no input; a model is one path."""
    place = path.resolve()
    if (path / "card.json").exists():
        return any(place == one or one == place / "card.json" for one in products)
    return any(place in _above(one) for one in products)


def _described(path: Path) -> dict[str, Any]:
    """Return kind, size and hash of a path; a model has the hash in its card, other folders have none."""
    kind, sha256, size = "folder", None, None
    if path.is_file():
        kind, size = "file", path.stat().st_size
        # An unreadable file may be the cause of the error that is reported.
        with contextlib.suppress(OSError):
            sha256 = atomic.file_sha256(path)
    elif (path / "card.json").is_file():
        kind = "model"
        try:
            sha256 = str(json.loads((path / "card.json").read_text(encoding="utf-8"))["model_sha256"])
        except (ValueError, KeyError, TypeError, OSError):
            sha256 = None
    return {"path": str(path), "kind": kind, "sha256": sha256, "bytes": size}


def _versions() -> Iterator[tuple[str, str]]:
    for name in _PACKAGES:
        try:
            yield name, importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
