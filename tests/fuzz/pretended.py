"""A format whose files fail in every way, to test the fuzzer."""

import os
import time
from pathlib import Path

import numpy as np

from galcnn.errors import UnreadableImageError
from tests.fuzz.damage import KINDS, Kind
from tests.fuzz.files import FORMATS, Format

NAME = "pretended"
#: Content of a file -> outcome.
FATES = {
    "whole sum": "right",
    "refuses": "refused",
    "notes": "noted",
    "changes": "changed",
    "changes sum": "wrong",
    "raises": "exception",
    "dies": "death",
    "hangs": "hang",
    "grows": "growth",
}


def read(path: Path) -> tuple[dict[str, object], list[str]]:
    """Do what the file says."""
    fate = path.read_text()
    if fate == "refuses":
        raise UnreadableImageError("no image")
    if fate == "raises":
        raise KeyError("CTYPE1")
    if fate == "dies":
        os.abort()
    if fate == "hangs":
        time.sleep(600)
    if fate == "grows":
        return {"value": float(np.ones(80_000_000).mean())}, []
    return {"value": 1.0 if fate == "whole sum" else 2.0}, ["a note"] if fate == "notes" else []


def _kind(fate: str) -> Kind:
    def kind(rng: np.random.Generator, content: bytes) -> bytes:
        return fate.encode()

    kind.__name__ = fate
    return kind


def add() -> None:
    """Add the format; not on import, since pytest imports every module."""
    whole = {"whole": lambda: b"whole sum"}
    FORMATS[NAME] = Format(NAME, ".txt", whole, read, (UnreadableImageError,), (b"sum",))
    KINDS[NAME] = tuple(map(_kind, FATES))
