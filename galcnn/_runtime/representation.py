"""Short representations of objects: at most three lines, each at most 120 characters."""

from __future__ import annotations

from collections.abc import Iterable

#: Maximum number of characters in a line, and in a list of names.
_WIDTH, _NAMES = 120, 60


def summary(kind: str, *lines: str) -> str:
    """Return ``<kind first line`` and the other lines, shortened, up to ``>``.

    Examples
    --------
    >>> print(summary("Cutout", "g, r: 8 x 8 pixels", "", "masked: 1 %"))
    <Cutout g, r: 8 x 8 pixels
     masked: 1 %>
    """
    told = [f"<{kind} {lines[0]}".rstrip(), *(f" {line}" for line in lines[1:] if line)][:3]
    return "\n".join(map(_cut, told[:-1])) + ("\n" if len(told) > 1 else "") + _cut(f"{told[-1]}>", ">")


def names(words: Iterable[object]) -> str:
    """Join words by commas; give their number if not all are shown."""
    several = [str(word) for word in words]
    shown = ", ".join(several)
    if len(shown) <= _NAMES:
        return shown
    most = 1
    while len(", ".join(several[: most + 1])) <= _NAMES:
        most += 1
    return f"{', '.join(several[:most])} ... ({len(several)})"


def pixels(shape: tuple[int, ...]) -> str:
    """Return the size of an image, ``64 x 48 pixels (ny, nx)``."""
    return f"{shape[0]} x {shape[1]} pixels (ny, nx)"


def _cut(line: str, end: str = "") -> str:
    line = line.replace("\n", " ")
    return line if len(line) <= _WIDTH else line[: _WIDTH - 3 - len(end)] + "..." + end
