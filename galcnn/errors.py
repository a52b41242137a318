"""Exceptions of galcnn, and the common format of error messages.

A class of its own exists only where a caller handles the error differently; all other errors are builtins
(`ValueError`, `TypeError`, `FileNotFoundError` ...) whose text has the same format::

    Expected <what>. Received: name=value. <Remedy.>
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType

_LONGEST_VALUE = 200
#: Bytes of an ordinary image: without them no other file can be read either.
_ORDINARY = 64_000_000
#: Shortest text of a library that is shown; a shorter one may be the beginning of what a file holds.
_SHORTEST_TEXT = 8
#: Name of a card or HDU that was looked up in vain, as Python or astropy says it.
_MISSING_NAME = re.compile(r"(?:Keyword ')?([A-Z0-9_-]{1,20})(?:' not found\.)?")
#: Place in a file, as Python and expat (line 1, column 2) or astropy's VOTables (name:1:2:) say it.
_PLACE = re.compile(r"line \d+,? column \d+|^[^\s:]*:(\d+):(\d+):")


class CoverageError(ValueError):
    """A survey has no image at this position; skip the galaxy."""


class DownloadError(OSError):
    """A service did not answer, or not in time; try again later."""


class BadResponseError(DownloadError):
    """A service answered with something other than what was requested; do not use it."""


class AuthRequiredError(DownloadError):
    """A service requires credentials; log in, then try again."""


class UnreadableImageError(ValueError):
    """A file exists but cannot be read as a calibrated image; flag the object."""


class UnfitImageError(ValueError):
    """An image was read but lacks what was requested, such as a WCS; flag the object."""


class NoReaderError(RuntimeError):
    """Python cannot start the process that decodes files, whatever file it is; repair the machine."""


class PluginError(RuntimeError):
    """A plugin is broken or missing, or two packages provide the same name; repair the installation."""


@contextmanager
def reading(expected: str, remedy: str = "", **received: object) -> Iterator[None]:
    """Make any exception in the block, where a file is read, an error of this file.

    Parameters
    ----------
    expected : str
        What was expected, see `message`.
    remedy : str
        What the user can do, see `message`.
    **received : object
        What was received, such as the path, by name.

    Yields
    ------
    None
        Nothing is yielded.

    Raises
    ------
    Exception
        See `error_of_file`.
    """
    try:
        yield
    except Exception as error:
        found = error_of_file(error, expected, remedy, **received)
        if found is error:
            raise
        raise found from error


def error_of_file(error: Exception, expected: str, remedy: str = "", **received: object) -> Exception:
    """Return the error of one file for any exception of its reading.

    Readers of images and tables raise any exception for a damaged file. Its text may quote the file, so
    only what the code of the library says in these words is shown.

    Parameters
    ----------
    error : Exception
        Exception that was raised while the file was read.
    expected : str
        What was expected, see `message`.
    remedy : str
        What the user can do, see `message`.
    **received : object
        What was received, such as the path, by name.

    Returns
    -------
    Exception
        `error` itself if it says already what is wrong with the file: it is missing or not permitted, or
        the error is one of galcnn. Otherwise an `UnreadableImageError`.

    Raises
    ------
    MemoryError
        If there is no memory for an ordinary image either, so that it was not this file that asked for
        too much.
    NoReaderError
        If this is the error: no other file can be read either.
    """
    if isinstance(error, NoReaderError):
        raise error
    if isinstance(error, _TELLING):
        return error
    if isinstance(error, MemoryError):
        try:
            bytearray(_ORDINARY)
        except MemoryError:
            raise error from None
    if error.args and isinstance(error.args[0], Message):
        return UnreadableImageError(error.args[0])
    return UnreadableImageError(message(expected, remedy, **received, error=without_content(error)))


def without_content(error: Exception) -> str:
    """Return what an exception says, without what a library quotes of a file.

    Parameters
    ----------
    error : Exception
        Exception that was raised while a file was read.

    Returns
    -------
    str
        The class of the exception, as much of its text as stands in the code that raised it, and the line
        and column it names.

    Examples
    --------
    >>> import json
    >>> try:
    ...     json.loads('["token", hunter2]')
    ... except ValueError as error:
    ...     without_content(error)
    'JSONDecodeError: Expecting value, line 1 column 11'
    """
    kind, text = type(error).__name__, str(error)
    if error.args and isinstance(error.args[0], Message):
        return f"{kind}: {text}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{kind}: {error.strerror}"
    if isinstance(error, KeyError) and error.args and (name := _MISSING_NAME.fullmatch(str(error.args[0]))):
        return f"{kind}: {name[1]}"
    trace: TracebackType | None = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    known = () if trace is None else trace.tb_frame.f_code.co_consts
    texts = [one for one in known if isinstance(one, str) and len(one) >= _SHORTEST_TEXT]
    said = max((one for one in texts if text.startswith(one)), key=len, default="").strip(" :'\"`([,")
    place = _PLACE.search(text)
    where = [] if place is None else [place[0] if place[1] is None else f"line {place[1]} column {place[2]}"]
    return f"{kind}: {', '.join([said, *where] if said else where)}" if said or where else kind


#: Errors that say already what is wrong with a file.
_TELLING = (
    UnreadableImageError,
    UnfitImageError,
    CoverageError,
    DownloadError,
    FileNotFoundError,
    PermissionError,
    IsADirectoryError,
)


class Message(str):
    """Error text that keeps its parts as attributes.

    Attributes
    ----------
    expected : str
        What was expected.
    received : dict of str to str
        Names and values received, as shown in the text.
    remedy : str
        What the user can do.
    subject : str
        What the error is about, such as a galaxy and its file, shown before *Expected*; may be empty.
    """

    expected: str
    received: dict[str, str]
    remedy: str
    subject: str = ""

    def about(self, subject: str) -> Message:
        """Return the same text about a subject.

        Parameters
        ----------
        subject : str
            What the error is about, such as a galaxy and its file.

        Returns
        -------
        Message
            *Subject: Expected ...*, with the same parts.
        """
        text = Message(f"{subject}: {self}")
        text.expected, text.received, text.remedy = self.expected, self.received, self.remedy
        text.subject = f"{subject}: {self.subject}" if self.subject else subject
        return text


def message(expected: str, remedy: str = "", **received: object) -> Message:
    """Return an error text in galcnn's common format.

    Parameters
    ----------
    expected : str
        What was expected, without the word "Expected" and without a full stop.
    remedy : str
        What the user can do, as a whole sentence; may be empty.
    **received : object
        What was received, by name. Values are shown by `repr`; long ones are shortened.

    Returns
    -------
    Message
        One line: *Expected ... Received: name=value. Remedy.*

    Examples
    --------
    >>> message("a positive width", "Give it in arcsec.", width=-3)
    'Expected a positive width. Received: width=-3. Give it in arcsec.'
    """
    parts = [f"Expected {expected}."]
    shown = {name: _shorten(repr(value)) for name, value in received.items()}
    if shown:
        parts.append(f"Received: {', '.join(f'{name}={value}' for name, value in shown.items())}.")
    if remedy:
        parts.append(remedy)
    text = Message(" ".join(parts))
    text.expected, text.received, text.remedy = expected, shown, remedy
    return text


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return a sentence with the known word nearest to a misspelt one, or another sentence.

    Parameters
    ----------
    word : str
        Misspelt word.
    known : iterable of str
        Known words.
    otherwise : str
        Sentence if no known word is near.

    Returns
    -------
    str
        *Did you mean ...?*, or `otherwise`.

    Examples
    --------
    >>> did_you_mean("epoch", ["epochs", "seed"])
    "Did you mean 'epochs'?"
    """
    words = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(word.casefold(), words, n=1, cutoff=0.7)
    near = near or [one for one in words if word.casefold() in one][:1]
    return f"Did you mean {words[near[0]]!r}?" if near else otherwise


def wrong_type(expected: str, remedy: str = "", **received: object) -> TypeError:
    """Return the error for a value of a type that is not accepted.

    Parameters
    ----------
    expected : str
        The accepted types in the user's words, without a full stop.
    remedy : str
        What the user can do, as a whole sentence; may be empty.
    **received : object
        What was received, by name; the text shows the type, and the values of numbers and text.

    Returns
    -------
    TypeError
        Error to be raised, with a text as made by `message`.

    Examples
    --------
    >>> str(wrong_type("a path", table=5))
    'Expected a path. Received: table=5 (int).'
    """
    return TypeError(message(expected, remedy, **{name: _Typed(value) for name, value in received.items()}))


class _Typed:
    """Shown as ``5 (int)``; arrays and objects by their type alone."""

    def __init__(self, value: object) -> None:
        self.value = value

    def __repr__(self) -> str:
        kind = type(self.value).__name__
        plain = isinstance(self.value, str | int | float | complex | bytes)
        return f"{_shorten(repr(self.value))} ({kind})" if plain else kind


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."
