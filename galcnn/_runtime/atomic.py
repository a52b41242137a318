"""Write files and folders atomically.

All output is written to a temporary name beside its target, flushed to the disk and then renamed.
Readers never see a partial file, and a full disk or a killed process leaves the old one intact.

Existing files of the user are not replaced without `overwrite`: `check_writable` fails before any
work begins, and `claim` continues a folder of the same run and refuses all others.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from galcnn.errors import message

_ANEW = "or replace it: overwrite=True."

#: One file, or the files of one galaxy.
Input = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
#: File in an output folder that identifies its run by a hash.
MARK = ".galcnn"
#: Temporary names, as made by `_unused_name`.
_PARTIAL = re.compile(r"\.[0-9a-f]{12}-[0-9]+-[0-9a-f]+\.partial(\..*)?")
#: Number of files to write in a folder until it is searched for partial files, if it has more than a few.
_UNTIL_SWEEP: dict[Path, int] = {}
_FEW = 100
#: Active lists of `recording`; files may be written in any thread.
_RECORDS: list[WrittenPaths] = []


class WrittenPaths(list[Path]):
    """Paths that were written, in the order in which they were finished.

    Attributes
    ----------
    claimed : list of pathlib.Path
        Folders of runs that were begun or continued; the same run can be continued.
    """

    def __init__(self) -> None:
        super().__init__()
        self.claimed: list[Path] = []


@contextlib.contextmanager
def recording() -> Iterator[WrittenPaths]:
    """Collect the paths that this process writes."""
    record = WrittenPaths()
    _RECORDS.append(record)
    try:
        yield record
    finally:
        _RECORDS[:] = [one for one in _RECORDS if one is not record]


def _finished(target: Path) -> None:
    for record in list(_RECORDS):
        record.append(target)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str], *, name_at_once: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to; it is renamed to `path` on success and removed on failure.

    The content is on the disk before it is renamed. With `name_at_once` the new name is, too; without it a
    power failure can undo the renaming, until the folder is flushed by `flush_folder`.
    """
    target = Path(path).resolve()  # symbolic links are followed, not replaced
    _refuse_folder(target)
    _make_folder(target.parent)
    _sweep(target.parent)
    # mkstemp would create every file with mode 0600: apply the user's umask instead.
    temporary = Path(_unused_name(target))
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        if name_at_once:
            flush_folder(target.parent)
        _finished(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(path: str | os.PathLike[str], *, own: Collection[str] | None = None) -> Iterator[Path]:
    """Yield a temporary folder to fill; on success it is renamed to `path` and replaces an older one.

    `own` lists the names (with wildcards) that belong to this kind of folder. If the older folder
    holds other files, they are kept and only its own files are replaced. None replaces the folder.
    """
    target = Path(path).resolve()  # symbolic links are followed, not replaced
    _refuse_file(target)
    _make_folder(target.parent)
    _sweep(target.parent)
    temporary = Path(_unused_name(target))
    temporary.mkdir()
    old: Path | None = None
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        flush_folder(temporary)
        if own is not None and _foreign(target, own):
            _remove(target, [*own, *(new.name for new in temporary.iterdir())])
            for new in temporary.iterdir():
                os.replace(new, target / new.name)
            flush_folder(target)
        else:
            if target.exists():
                old = Path(_unused_name(target))
                os.replace(target, old)
            try:
                os.replace(temporary, target)
            except OSError:
                if old is not None:
                    os.replace(old, target)
                raise
        flush_folder(target.parent)
        _finished(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old is not None and target.exists():
            shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, atomically."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write `content` as indented JSON, atomically; NaN and infinity are refused."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def check_writable(
    path: str | os.PathLike[str],
    *,
    folder: bool = False,
    own: Collection[str] | None = None,
    what: str = "",
    inputs: Iterable[Input] = (),
    overwrite: bool = False,
) -> None:
    """Raise an error before the work begins if `path` cannot be written or holds something else.

    An existing folder may hold only files with names in `own`. An empty `own` accepts a folder that
    was claimed, None accepts any folder. `inputs` are never replaced, even with `overwrite`.
    """
    target = Path(path).resolve()
    _make_folder(target.parent)
    if len(os.fsencode(target.name)) > os.pathconf(target.parent, "PC_NAME_MAX"):
        raise OSError(message("a shorter file name", "Choose another one.", name=target.name))
    if folder:
        _refuse_file(target)
    else:
        _refuse_folder(target)
    _refuse_inputs(target, inputs, own if overwrite else None)
    if not overwrite:
        _refuse_existing(target, own, what)
    try:
        with tempfile.TemporaryFile(dir=target.parent):
            pass
    except OSError as error:
        raise type(error)(
            message(
                "a folder that can be written",
                "Choose another one.",
                folder=str(target.parent),
                reason=str(error),
            )
        ) from error


class Claim:
    """Output folder of one run, as returned by `claim`."""

    def __init__(self, folder: Path, digest: str, *, own: Collection[str], anew: bool) -> None:
        self.folder = folder
        self._digest, self._own, self._anew = digest, own, anew

    def written(self, name: str) -> bool:
        """Return True if this run has already written a file or folder; False if it overwrites."""
        return not self._anew and (self.folder / name).exists()

    def mark(self) -> None:
        """Mark the folder for this run before the first file is written; with overwrite, remove old files."""
        if self._anew:
            _remove(self.folder, self._own)
        if self._anew or not (self.folder / MARK).exists():
            write_text(self.folder / MARK, self._digest)
        self._anew = False
        for record in list(_RECORDS):
            record.claimed.append(self.folder)

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Yield a temporary folder to fill; its content replaces the run's own files in this folder."""
        with writing_folder(self.folder, own=(*self._own, MARK)) as temporary:
            (temporary / MARK).write_text(self._digest, encoding="utf-8")
            yield temporary

    def once(self, name: str, write: Callable[[Path], object]) -> bool:
        """Write a file unless this run has written it; return True if it existed."""
        there = self.written(name)
        if not there:
            self.mark()
            write(self.folder / name)
        return there


def claim(
    folder: str | os.PathLike[str],
    described: str = "",
    *,
    what: str,
    own: Collection[str] = (),
    inputs: Iterable[Input] = (),
    overwrite: bool = False,
) -> Claim:
    """Continue a folder of the same settings; refuse a folder that holds anything else.

    `described` is a text with all settings that affect the output, `what` the name of the kind of
    folder, which distinguishes commands. With `overwrite`, files with names in `own` are removed and
    others kept. `Claim.mark` is called before the first file is written, so that failed runs leave no
    marker.
    """
    place, digest = Path(folder), hashlib.sha256(f"{what}\n{described}".encode()).hexdigest()
    check_writable(place, folder=True, own=(), what=what, overwrite=overwrite)
    _refuse_inputs(place.resolve(), inputs, own if overwrite else None)
    file = place / MARK
    if not overwrite and file.exists() and file.read_text(encoding="utf-8") != digest:
        raise ExistsError(
            message(f"a new folder, or {what}", f"Choose another one, {_ANEW}", folder=str(place))
        )
    return Claim(place, digest, own=own, anew=overwrite)


class ExistsError(FileExistsError, ValueError):
    """Error for an existing output; both a FileExistsError and a ValueError."""


def _refuse_existing(target: Path, own: Collection[str] | None, what: str) -> None:
    """Raise an error if the target exists and does not belong to this run."""
    if not target.is_dir():
        if target.exists():
            raise ExistsError(
                message("a file that is not there yet", f"Choose another name, {_ANEW}", path=str(target))
            )
        return
    if own is None:
        return
    # Hidden files, such as locks, are kept and allowed unless `own` names are given.
    foreign = _foreign(target, own or (".*",))
    # The mark is checked last, since several processes of one run may start in the same folder.
    if foreign and (own or not (target / MARK).exists()):
        raise ExistsError(
            message(
                f"a new or empty folder{what and f', or {what}'}",
                f"Choose another one, {_ANEW}",
                folder=str(target),
                holds=foreign[:3],
            )
        )


def _refuse_inputs(target: Path, inputs: Iterable[Input], own: Collection[str] | None) -> None:
    for given in (path for one in inputs for path in ([one] if isinstance(one, str | os.PathLike) else one)):
        source = Path(given).resolve()
        inside = source.is_relative_to(target) and source != target
        replaced = inside and own is not None and _is_own(source.relative_to(target).parts[0], own)
        if replaced or (target.is_file() and source.exists() and target.samefile(source)):
            raise ExistsError(
                message("another place than that of the input", "Choose another name.", path=str(given))
            )


def _is_own(name: str, own: Iterable[str]) -> bool:
    return any(fnmatch(name, pattern) for pattern in own)


def _foreign(folder: Path, own: Collection[str]) -> list[str]:
    """Return names in a folder that are not `own`; partial files are ignored."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in names if not is_partial(name) and not _is_own(name, own)]


def _remove(folder: Path, own: Iterable[str]) -> None:
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if _is_own(path.name, own):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def is_partial(name: str) -> bool:
    """Return True for a partial file, which may have been left by a killed process."""
    return _PARTIAL.fullmatch(name) is not None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise type(error)(
            message(
                "a folder that can be made", "Choose another one.", folder=str(folder), reason=error.strerror
            )
        ) from error


def _unused_name(target: Path) -> str:
    """Return a hidden name in the same folder (same file system) with the same suffix (writers use it)."""
    return str(target.with_name(f"{_ours()}{os.getpid()}-{secrets.token_hex(4)}.partial{target.suffix}"))


@functools.cache
def _ours() -> str:
    """Return the prefix of temporary names of this machine, or of this container of it."""
    owner = platform.node()
    with contextlib.suppress(OSError):  # process numbers are those of a namespace; not on every system
        owner += str(Path("/proc/self/ns/pid").readlink())
    return f".{hashlib.sha256(owner.encode()).hexdigest()[:12]}-"


def _sweep(folder: Path) -> None:
    """Remove partial files that killed processes of this machine have left in a folder."""
    # A large folder is listed again only after as many files as it held, so that the time stays linear.
    if (wait := _UNTIL_SWEEP.get(folder, 0)) > 0:
        _UNTIL_SWEEP[folder] = wait - 1
        return
    files = list(folder.iterdir())
    _UNTIL_SWEEP[folder] = len(files) if len(files) > _FEW else 0
    for left in (file for file in files if file.name.startswith(_ours()) and is_partial(file.name)):
        owner = left.name.removeprefix(_ours()).partition("-")[0]
        if not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # process of another user
        return True
    return True


def _refuse_file(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(
            message("a folder to write", "Remove the file or choose another name.", path=str(target))
        )


def _refuse_folder(target: Path) -> None:
    if target.is_dir():
        raise IsADirectoryError(message("a file to write", "Name a file in it.", path=str(target)))


def _flush(file: Path) -> None:
    with open(file, "rb") as handle:
        os.fsync(handle.fileno())


def flush_folder(folder: Path) -> None:
    """Write the names of the files of a folder to the disk."""
    if os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
