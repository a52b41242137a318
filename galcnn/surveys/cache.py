"""Disk cache shared between runs, with a size limit and a hash of every entry."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from galcnn._runtime import atomic
from galcnn.errors import message

#: Default limit in bytes.
DEFAULT_LIMIT = 5_000_000_000
#: Fraction of the limit that old entries are removed down to, so that not every write removes some.
_ROOM = 0.8
#: Seconds after which a partial file is taken to be left by a killed process.
_ABANDONED = 86400.0
#: Path of an entry within the folder; other files are never counted or removed.
_ENTRY = re.compile(r"([0-9a-f]{2})/\1[0-9a-f]{62}-[0-9a-f]{64}")


def default_folder() -> Path:
    """Return the default cache folder: $GALCNN_CACHE, else galcnn in $XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get("GALCNN_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "galcnn"


@dataclass(frozen=True)
class Cache:
    """Cache of fetched files, by request.

    An entry is one file, named by the hash of its key and the hash of its content and written
    atomically. An entry whose content does not match its hash is removed and not returned. When the
    total size exceeds the limit, the least recently used entries are removed. Several threads and
    processes may share a cache.

    Attributes
    ----------
    folder : pathlib.Path
        Folder of the cache; created when the first entry is written.
    limit : int
        Maximum total size of the entries in bytes.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = Cache(Path(folder))
    ...     cache.put("what was asked", b"the answer")
    ...     cache.get("what was asked"), cache.get("anything else")
    (b'the answer', None)
    """

    folder: Path
    limit: int = DEFAULT_LIMIT
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False, compare=False)
    #: Total bytes as far as this process knows; -1 before the first count.
    _known: list[int] = field(default_factory=lambda: [-1], init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError(message("a limit in bytes that is not negative", "", limit=self.limit))
        object.__setattr__(self, "folder", Path(self.folder))

    def get(self, key: str) -> bytes | None:
        """Return the entry of a key, the full description of the request; None if missing or damaged."""
        for path in self._folder(key).glob(f"{_hash(key.encode())}-*"):
            if not self._is_entry(path):
                continue
            try:
                content = path.read_bytes()
            except FileNotFoundError:  # removed by another process
                continue
            if path.name.endswith(_hash(content)):
                with contextlib.suppress(FileNotFoundError):
                    os.utime(path)  # time of last use
                return content
            path.unlink(missing_ok=True)
        return None

    def put(self, key: str, content: bytes) -> None:
        """Store an entry, unless it is larger than the limit, and remove old entries if necessary."""
        if len(content) > self.limit:
            return
        with atomic.writing(self._folder(key) / f"{_hash(key.encode())}-{_hash(content)}") as temporary:
            temporary.write_bytes(content)
        with self._lock:
            if self._known[0] >= 0:
                self._known[0] += len(content)
            if self._known[0] < 0 or self._known[0] > self.limit:
                self._make_room()

    def _folder(self, key: str) -> Path:
        return self.folder / _hash(key.encode())[:2]

    def _is_entry(self, path: Path) -> bool:
        return _ENTRY.fullmatch(path.relative_to(self.folder).as_posix()) is not None and path.is_file()

    def _make_room(self) -> None:
        """Count the entries of all processes, and remove the least recently used ones beyond the limit."""
        entries = []
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            with contextlib.suppress(FileNotFoundError):
                age = path.stat()
                if self._is_entry(path):
                    entries.append((age.st_mtime_ns, age.st_size, path))
                elif atomic.is_partial(path.name) and age.st_mtime < time.time() - _ABANDONED:
                    path.unlink()
        total = sum(size for _, size, _ in entries)
        if total > self.limit:
            *older, newest = sorted(entries)
            for _, size, path in [*older, newest]:
                if total <= self.limit * (_ROOM if path != newest[2] else 1):
                    break
                path.unlink(missing_ok=True)
                total -= size
        self._known[0] = total


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
