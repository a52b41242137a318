"""The few errors of galcnn's own, and the grammar in which every error speaks.

An own class exists only where a caller acts differently on it; everything else is a builtin
(`ValueError`, `TypeError`, `FileNotFoundError` ...) whose text follows the same grammar::

    Expected <what>. Received: name=value. <Remedy.>
"""

from __future__ import annotations

_LONGEST_VALUE = 200


class CoverageError(ValueError):
    """A survey holds no image of this position: skip the galaxy."""


class DownloadError(OSError):
    """A service did not answer, or not in time: try again later."""


class BadResponseError(DownloadError):
    """A service answered with something that is not what was asked for: do not trust it."""


class AuthRequiredError(DownloadError):
    """A service wants credentials: log in, then try again."""


class UnreadableImageError(ValueError):
    """A file exists but no calibrated image can be made of it: flag the object."""


class UnfitImageError(ValueError):
    """An image was read but is not what was asked for, such as one without a WCS: flag the object."""


class PluginError(RuntimeError):
    """A plugin is broken, missing, or two packages claim one name: mend the installation."""


class Message(str):
    """The text of an error, which remembers its parts.

    Attributes
    ----------
    expected : str
        What was wanted.
    received : dict of str to str
        What came instead, by name, as it is shown.
    remedy : str
        What the user can do.
    """

    expected: str
    received: dict[str, str]
    remedy: str


def message(expected: str, remedy: str = "", **received: object) -> str:
    """Word an error in the grammar of the house.

    Parameters
    ----------
    expected : str
        What was wanted, without the word "Expected" and without a full stop.
    remedy : str
        What the user can do, a whole sentence; may be empty.
    **received : object
        What came instead, by name. Strings are quoted; long values are shortened.

    Returns
    -------
    str
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


def _shorten(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."
