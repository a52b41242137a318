"""Write a file or a folder whole, or not at all.

Everything galcnn writes goes to a temporary name beside its target, is flushed to the disk and
then renamed. A reader never sees half a file, and a full disk or a kill leaves the old one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from galcnn.errors import message

__all__ = [
    "check_writable",
    "claim",
    "is_partial",
    "recording",
    "write_json",
    "write_text",
    "writing",
    "writing_folder",
]


#: Those who want to know what is written; any thread may write.
_RECORDS: list[list[Path]] = []


@contextlib.contextmanager
def recording() -> Iterator[list[Path]]:
    """Keep a list of what this process writes.

    Yields
    ------
    list of pathlib.Path
        Files and folders in the order in which they were finished; some may be gone again.
    """
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
    """Give a temporary path to write to; on success it becomes `path`, on failure it vanishes.

    Parameters
    ----------
    path : path-like
        The file to be written. Its folder is made when missing.

    Yields
    ------
    pathlib.Path
        A path in the same folder with the same suffix, for the caller to write.

    Raises
    ------
    OSError
        The folder cannot be written, or the disk is full; `path` is then as it was.
    """
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
def writing_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary folder to fill; on success it becomes `path`, replacing an older one.

    Parameters
    ----------
    path : path-like
        The folder to be written. An existing *file* of this name is refused.

    Yields
    ------
    pathlib.Path
        An empty folder beside `path`.

    Raises
    ------
    OSError
        The parent cannot be written, or the disk is full; an older `path` is then as it was.
    """
    target = Path(path).resolve()  # a link is written through, not replaced
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(
            message("a folder to write", "Remove the file or choose another name.", path=str(target))
        )
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
    """Write `text` as UTF-8, whole or not at all.

    Parameters
    ----------
    path : path-like
        The file.
    text : str
        Its content.
    """
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write `content` as indented JSON, whole or not at all; NaN and infinity are refused.

    Parameters
    ----------
    path : path-like
        The file.
    content : object
        Anything `json` can write.

    Raises
    ------
    ValueError
        A float is not finite (JSON has no word for it).
    """
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def check_writable(path: str | os.PathLike[str], *, folder: bool = False) -> None:
    """Fail now rather than after hours of work when `path` could not be written.

    Parameters
    ----------
    path : path-like
        The file or folder that will be written later.
    folder : bool
        Whether it is to be a folder.

    Raises
    ------
    OSError
        It or its folder cannot be made or written.
    """
    target = Path(path).resolve()
    _make_folder(target.parent)
    if len(os.fsencode(target.name)) > os.pathconf(target.parent, "PC_NAME_MAX"):
        raise OSError(message("a shorter file name", "Choose another one.", name=target.name))
    if folder and target.exists() and not target.is_dir():
        raise NotADirectoryError(message("a folder to write", "Choose another name.", path=str(target)))
    if not folder:
        _refuse_folder(target)
    parent = target.parent
    try:
        with tempfile.TemporaryFile(dir=parent):
            pass
    except OSError as error:
        raise type(error)(
            message(
                "a folder that can be written", "Choose another one.", folder=str(parent), reason=str(error)
            )
        ) from error


def claim(folder: Path, mark: str, described: str, *, what: str) -> Callable[[], None]:
    """Refuse a folder that holds something else than what is to be written there, or go on with it.

    Parameters
    ----------
    folder : pathlib.Path
        Where many files are to be written, perhaps in several runs.
    mark : str
        File in it that says what it holds, by a hash.
    described : str
        All that decides what is written.
    what : str
        The same in words, for the error.

    Returns
    -------
    callable
        Marks the folder as ours; to be called with the first file, so that settings of which
        nothing comes claim nothing.

    Raises
    ------
    ValueError
        The folder is of other settings, or of somebody else.
    """
    file, digest = folder / mark, hashlib.sha256(described.encode()).hexdigest()
    if file.exists():
        if file.read_text(encoding="utf-8") != digest:
            raise ValueError(
                message(
                    f"a new folder, or one with {what}",
                    "Choose another folder or remove it.",
                    folder=str(folder),
                )
            )
        return lambda: None
    # What a kill left of the mark itself is nobody's.
    if folder.is_dir() and any(not is_partial(left.name) for left in folder.iterdir()):
        raise ValueError(message("a new or empty folder", "Choose another one.", folder=str(folder)))
    return lambda: None if file.exists() else write_text(file, digest)


def is_partial(name: str) -> bool:
    """Tell whether a file is one that was being written, and may be of a process that was killed.

    Parameters
    ----------
    name : str
        Of the file.

    Returns
    -------
    bool
        True where a temporary name of this module is meant.
    """
    return name.startswith(".") and ".partial" in name


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
