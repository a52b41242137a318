"""Time things in interleaved pairs, so that a busy machine slows both alike."""

import time
from collections.abc import Callable
from statistics import median


def ratio(ours: Callable[[], object], theirs: Callable[[], object], repeats: int = 7) -> float:
    """Give the median over pairs of our time over theirs; one round of warm-up is not counted."""
    ours()
    theirs()
    ratios = []
    for turn in range(repeats):
        order = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
        times = {}
        for call in order:
            start = time.perf_counter()
            call()
            times[call] = time.perf_counter() - start
        ratios.append(times[ours] / times[theirs])
    return median(ratios)
