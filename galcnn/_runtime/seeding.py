"""Random streams keyed by (seed, object), so that order, batch and worker count change nothing.

Python's `hash` differs from run to run and adding integers collides, so the key goes through
SHA-256: streams of different keys are independent for all practical purposes, and the same key
gives the same stream on every machine.
"""

from __future__ import annotations

import hashlib

import numpy as np

Key = str | int


def generator(seed: int, *key: Key) -> np.random.Generator:
    """Give the random stream of one object.

    Parameters
    ----------
    seed : int
        The user's seed.
    *key : str or int
        What the stream is for, e.g. ``("noise", galaxy_id)``.

    Returns
    -------
    numpy.random.Generator
        A PCG64 stream that depends on `seed` and `key` alone.

    Examples
    --------
    >>> a = generator(1, "noise", "ngc1300").normal()
    >>> b = generator(1, "noise", "ngc1300").normal()
    >>> a == b
    True
    """
    words = np.frombuffer(_digest(seed, key), dtype="<u4")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words.tolist())))


def integer(seed: int, *key: Key) -> int:
    """Give a seed of 31 bits for libraries that take an integer; never 0, by which GalSim takes the clock."""
    return 1 + int.from_bytes(_digest(seed, key)[:8], "little") % (2**31 - 1)


def uniform(seed: int, *key: Key) -> float:
    """Give one number in [0, 1) for the key, e.g. to deal objects into splits."""
    return float((int.from_bytes(_digest(seed, key)[:8], "little") >> 11) / 2**53)


def _digest(seed: int, key: tuple[Key, ...]) -> bytes:
    # The length before each part keeps ("ab", "c") and ("a", "bc") apart; the type letter 1 and "1".
    text = f"{int(seed)}"
    for part in key:
        kind = "s" if isinstance(part, str) else "i"
        shown = part if isinstance(part, str) else str(int(part))
        text += f"|{kind}{len(shown)}:{shown}"
    return hashlib.sha256(text.encode()).digest()
