"""Text in FITS: Unicode written as printable ASCII, JSON, table columns and names of extensions."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Collection, Sequence

import numpy as np
from astropy.io import fits

from galcnn.errors import message


def escape(text: str) -> str:
    r"""Write text as printable ASCII, as FITS tables and cards require.

    Printable ASCII without backslashes and trailing spaces (which FITS drops) is unchanged; anything else is
    written with backslash escapes.

    Examples
    --------
    >>> escape("spiral"), escape("gal\né "), unescape(escape("gal\né "))
    ('spiral', 'gal\\n\\xe9\\x20', 'gal\né ')
    """
    escaped = text.encode("unicode_escape").decode("ascii")
    kept = escaped.rstrip(" ")
    return kept + r"\x20" * (len(escaped) - len(kept))


def unescape(text: str) -> str:
    """Undo `escape`."""
    return text.encode("ascii").decode("unicode_escape")


def to_json(value: object, what: str, *, allow_nan: bool = True) -> str:
    """Write a value as JSON in printable ASCII."""
    try:
        text = json.dumps(value, allow_nan=allow_nan, default=_plain_python)
    except (TypeError, ValueError) as error:
        raise type(error)(
            message(
                f"{what} of numbers, text, lists and mappings", "Give its name instead.", error=str(error)
            )
        ) from error
    return text.replace("\x7f", "\\u007f")  # the only character that json writes and FITS forbids


def text_column(name: str, values: Sequence[str]) -> fits.Column:
    """Make a column of a FITS table from texts."""
    array = np.array(values, dtype="S") if values else np.zeros(0, dtype="S1")
    return fits.Column(name, f"{max(array.dtype.itemsize, 1)}A", array=array)


def word(text: str, longest: int) -> str:
    """Convert text to a part of an EXTNAME that viewers can address without quotes.

    Examples
    --------
    >>> word("edge-on / disc", 40), word("銀河", 40)
    ('EDGE_ON_DISC', 'X')
    """
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").upper()
    return re.sub("[^A-Z0-9]+", "_", plain).strip("_")[:longest].strip("_") or "X"


def unique_name(name: str, taken: Collection[str]) -> str:
    """Append a number to a name that is taken, since DS9 cannot address EXTVER."""
    number, free = 2, name
    while free in taken:
        free = f"{name}_{number}"
        number += 1
    return free


def _plain_python(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not known to JSON")
