"""Write a file or a folder whole, or not at all.

Everything galcnn writes goes to a temporary name beside its target, is flushed to the disk and
then renamed. A reader never sees half a file, and a full disk or a kill leaves the old one.

Nothing of the user's is replaced unasked: `check_writable` refuses what stands there before any
work begins, and `claim` tells a folder of the same run, which goes on, from all others.
"""

from __future__ import annotations

import contextlib
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

_ANEW = "or replace it: --overwrite (in Python: overwrite=True)."

#: A file, or the files of one galaxy.
Input = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
#: File in a folder of galcnn's that says of which run it is, by a hash.
MARK = ".galcnn"
#: How `_unused_name` calls what is being written.
_PARTIAL = re.compile(r"\.[0-9a-f]{12}-[0-9]+-[0-9a-f]+\.partial(\..*)?")
#: Those who want to know what is written; any thread may write.
_RECORDS: list[list[Path]] = []


@contextlib.contextmanager
def recording() -> Iterator[list[Path]]:
    """Keep a list of what this process writes, in the order in which it is finished."""
    record: list[Path] = []
    _RECORDS.append(record)
    try:
        yield record
    finally:
        _RECORDS[:] = [one for one in _RECORDS if one is not record]


def _finished(target: Path) -> None:
    for record in list(_RECORDS):
        record.append(target)


@contextlib.contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path to write to; on success it becomes `path`, on failure it vanishes."""
    target = Path(path).resolve()  # a link is written through, not replaced
    _refuse_folder(target)
    _make_folder(target.parent)
    _sweep(target)
    # mkstemp's 0600 would make every product private: keep the user's own umask instead.
    temporary = Path(_unused_name(target))
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, target)
        _flush_folder(target.parent)
        _finished(target)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writing_folder(path: str | os.PathLike[str], *, own: Collection[str] | None = None) -> Iterator[Path]:
    """Give a temporary folder to fill; on success it becomes `path`, replacing an older one.

    Where an older one holds what is not `own` by its name (``*`` for any characters; None: all is),
    that stays, and the new content is put beside it piece by piece.
    """
    target = Path(path).resolve()  # a link is written through, not replaced
    _refuse_file(target)
    _make_folder(target.parent)
    _sweep(target)
    temporary = Path(_unused_name(target))
    temporary.mkdir()
    old: Path | None = None
    try:
        yield temporary
        for file in temporary.rglob("*"):
            if file.is_file():
                _flush(file)
        _flush_folder(temporary)
        if own is not None and _foreign(target, own):
            _remove(target, [*own, *(new.name for new in temporary.iterdir())])
            for new in temporary.iterdir():
                os.replace(new, target / new.name)
            _flush_folder(target)
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
        _flush_folder(target.parent)
        _finished(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if old is not None and target.exists():
            shutil.rmtree(old, ignore_errors=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write `content` as indented JSON, whole or not at all; NaN and infinity are refused."""
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
    """Fail now rather than after hours of work when `path` could not be written, or holds something else.

    A folder may hold what is `own` by its name; with no names it may be one that was claimed; with
    None it may hold anything. `inputs` are never replaced, even if `overwrite` is said.
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
    """A folder that holds one run, or will: made by `claim`."""

    def __init__(self, folder: Path, digest: str, *, own: Collection[str], anew: bool) -> None:
        self.folder = folder
        self._digest, self._own, self._anew = digest, own, anew

    def written(self, name: str) -> bool:
        """Tell whether this run has written a file or folder already; nothing, where it begins anew."""
        return not self._anew and (self.folder / name).exists()

    def mark(self) -> None:
        """Mark the folder as this run's, before the first file; what an older one left goes now."""
        if self._anew:
            _remove(self.folder, self._own)
        if self._anew or not (self.folder / MARK).exists():
            write_text(self.folder / MARK, self._digest)
        self._anew = False

    @contextlib.contextmanager
    def writing(self) -> Iterator[Path]:
        """Give a temporary folder to fill, whose content replaces what is its own in this one."""
        with writing_folder(self.folder, own=(*self._own, MARK)) as temporary:
            (temporary / MARK).write_text(self._digest, encoding="utf-8")
            yield temporary

    def once(self, name: str, write: Callable[[Path], object]) -> bool:
        """Write a file unless this run has; tell whether it was there."""
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
    """Go on with a folder of the same settings; refuse one that holds anything else.

    `described` is all that decides what is written; `what` says it in words, which tell the folders
    of one command from those of others. With `overwrite` what is `own` by its name goes, the rest
    stays. Settings of which nothing comes claim nothing: the folder is marked with the first file.
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
    """What is to be written is there already: an error of the system, and of the value that was given."""


def _refuse_existing(target: Path, own: Collection[str] | None, what: str) -> None:
    """The one place where what stands there is refused."""
    if not target.is_dir():
        if target.exists():
            raise ExistsError(
                message("a file that is not there yet", f"Choose another name, {_ANEW}", path=str(target))
            )
        return
    if own is None:
        return
    # What is hidden is never replaced, but where a whole folder is: locks, and what lists of files leave.
    foreign = _foreign(target, own or (".*",))
    # The mark is looked for last: several processes of one run may begin in one folder.
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
    """Names in a folder that are of others; what a kill left of a file is nobody's."""
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return [name for name in names if not is_partial(name) and not _is_own(name, own)]


def _remove(folder: Path, own: Iterable[str]) -> None:
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if _is_own(path.name, own):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()


def is_partial(name: str) -> bool:
    """Tell whether a file is one that was being written, and may be of a process that was killed."""
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
    """Hidden, beside the target (renames cross no file system), same suffix (writers look at it)."""
    return str(
        target.with_name(f"{_ours(target)}{os.getpid()}-{secrets.token_hex(4)}.partial{target.suffix}")
    )


def _ours(target: Path) -> str:
    """How temporary names of this target and this machine begin; short, whatever the target's length."""
    owner = f"{platform.node()}/{target.name}".encode()
    return f".{hashlib.sha256(owner).hexdigest()[:12]}-"


def _sweep(target: Path) -> None:
    """Remove what a killed process of this machine left of this target."""
    for left in target.parent.glob(f"{_ours(target)}*.partial{target.suffix}"):
        owner = left.name.removeprefix(_ours(target)).partition("-")[0]
        if owner.isdigit() and not _alive(int(owner)):
            shutil.rmtree(left) if left.is_dir() else left.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # of another user: it lives
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


def _flush_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows cannot open a folder
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
