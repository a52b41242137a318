"""Names of the layers of maps, and text that fits one header card."""

from __future__ import annotations

from galcnn.files.text import escape, word

__all__ = ["card_text", "extension_name"]

#: What fits between the quotes of one card.
_CARD_LENGTH = 68
#: Method, target and band in a name: together well below one card.
_PART_LENGTHS = (16, 32, 12)
#: Long names have short forms, so that viewers' menus can be read.
_SHORT = {"saliency": "SAL"}


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
    return "_".join(word(part, length) for part, length in zip(parts, _PART_LENGTHS, strict=False))
