"""Random streams keyed by seed and object, independent of order, batches and number of workers.

The key is hashed by SHA-256, since Python's `hash` differs between runs and sums of integers
collide. Streams of different keys are independent for all practical purposes, and the same key
gives the same stream on every machine.
"""

from __future__ import annotations

import hashlib

import numpy as np

Key = str | int


def generator(seed: int, *key: Key) -> np.random.Generator:
    """Return the random generator of one object.

    Parameters
    ----------
    seed : int
        Seed given by the user.
    *key : str or int
        Purpose of the stream, for example ``("noise", galaxy_id)``.

    Returns
    -------
    numpy.random.Generator
        PCG64 generator that depends only on `seed` and `key`.

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
    """Return a positive 31-bit seed for libraries that take an integer (GalSim uses the clock for 0)."""
    return 1 + int.from_bytes(_digest(seed, key)[:8], "little") % (2**31 - 1)


def uniform(seed: int, *key: Key) -> float:
    """Return a number in [0, 1) for the key, for example to assign objects to splits."""
    return float((int.from_bytes(_digest(seed, key)[:8], "little") >> 11) / 2**53)


def _digest(seed: int, key: tuple[Key, ...]) -> bytes:
    # Lengths distinguish ("ab", "c") from ("a", "bc"), and the type letter distinguishes 1 from "1".
    text = f"{int(seed)}"
    for part in key:
        kind = "s" if isinstance(part, str) else "i"
        shown = part if isinstance(part, str) else str(int(part))
        text += f"|{kind}{len(shown)}:{shown}"
    return hashlib.sha256(text.encode()).digest()
