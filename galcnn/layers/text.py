"""Text for FITS: any Unicode as printable ASCII and back, names of extensions, short cards."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

__all__ = ["card_text", "escape", "extension_name", "unescape", "unique_name"]

#: What fits between the quotes of one card.
_CARD_LENGTH = 68
#: Method, target and band in a name: together well below one card.
_PART_LENGTHS = (16, 32, 12)
#: Long names have short forms, so that viewers' menus can be read.
_SHORT = {"saliency": "SAL"}


def escape(text: str) -> str:
    r"""Write any text in printable ASCII, as FITS tables and cards want it.

    Parameters
    ----------
    text : str
        Anything.

    Returns
    -------
    str
        The same where `text` is printable ASCII without a backslash and without a space at its
        end (FITS drops those); backslash escapes elsewhere.

    Examples
    --------
    >>> escape("spiral"), escape("gal\né "), unescape(escape("gal\né "))
    ('spiral', 'gal\\n\\xe9\\x20', 'gal\né ')
    """
    escaped = text.encode("unicode_escape").decode("ascii")
    kept = escaped.rstrip(" ")
    return kept + r"\x20" * (len(escaped) - len(kept))


def unescape(text: str) -> str:
    """Undo `escape`.

    Parameters
    ----------
    text : str
        From `escape`.

    Returns
    -------
    str
        What it was made of.

    Raises
    ------
    ValueError
        It was not made by `escape`.
    """
    return text.encode("ascii").decode("unicode_escape")


def card_text(text: str) -> str:
    """Write any text so that it fills one header card at most; a long one ends in dots.

    Parameters
    ----------
    text : str
        Anything.

    Returns
    -------
    str
        For human readers: the exact text is in the tables.
    """
    escaped = escape(text)
    room = _CARD_LENGTH - escaped[:_CARD_LENGTH].count("'")  # a quote is written twice
    return escaped if len(escaped) <= room else escaped[: room - 3] + "..."


def extension_name(method: str, target: str, band: str) -> str:
    """Name the layer of a map, such as ``SAL_SPIRAL_G``, or ``CAM_SPIRAL`` for the band ``all``.

    Parameters
    ----------
    method, target, band : str
        Any text.

    Returns
    -------
    str
        Of A-Z, 0-9 and underscores: viewers address it as ``file.fits[NAME]`` without quoting.

    Examples
    --------
    >>> extension_name("saliency", "edge-on / disc", "g"), extension_name("cam", "spiral", "all")
    ('SAL_EDGE_ON_DISC_G', 'CAM_SPIRAL')
    """
    parts = [_SHORT.get(method, method), target] + ([] if band == "all" else [band])
    return "_".join(
        _word(part)[:length].strip("_") for part, length in zip(parts, _PART_LENGTHS, strict=False)
    )


def unique_name(name: str, taken: Sequence[str] | set[str]) -> str:
    """Number a name that is taken: DS9 cannot address EXTVER.

    Parameters
    ----------
    name : str
        Wanted.
    taken : sequence or set of str
        In use.

    Returns
    -------
    str
        `name`, or `name` and a number from 2 on.
    """
    number, free = 2, name
    while free in taken:
        free = f"{name}_{number}"
        number += 1
    return free


def _word(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").upper()
    return re.sub("[^A-Z0-9]+", "_", plain).strip("_") or "X"
