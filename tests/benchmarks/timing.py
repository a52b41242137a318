"""Time things in interleaved pairs, so that a busy machine slows both alike."""

import resource
import time
from collections.abc import Callable
from statistics import median
from typing import Self

from scipy.stats import binom


class Ratio(float):
    """The median over pairs of our wall time over theirs, with what is known of it.

    `interval` holds the median of such pairs with a probability of at least 90 %, whatever their
    distribution (order statistics); `cpu` is the median ratio of processor time, of child
    processes too, which a busy machine disturbs less.
    """

    interval: tuple[float, float]
    cpu: float
    pairs: int

    @classmethod
    def of(cls, walls: list[float], cpus: list[float]) -> Self:
        made = cls(median(walls))
        cut = max(int(binom.ppf(0.05, len(walls), 0.5)) - 1, 0)
        while cut > 0 and binom.cdf(cut - 1, len(walls), 0.5) > 0.05:
            cut -= 1
        ordered = sorted(walls)
        made.interval, made.cpu, made.pairs = (ordered[cut], ordered[-1 - cut]), median(cpus), len(walls)
        return made


def ratio(ours: Callable[[], object], theirs: Callable[[], object], repeats: int = 7) -> Ratio:
    """Give the median over pairs of our time over theirs; one round of warm-up is not counted."""
    ours()
    theirs()
    walls, cpus = [], []
    for turn in range(repeats):
        order = (ours, theirs) if turn % 2 == 0 else (theirs, ours)
        wall, cpu = {}, {}
        for call in order:
            start, start_cpu = time.perf_counter(), _processor_time()
            call()
            wall[call], cpu[call] = time.perf_counter() - start, _processor_time() - start_cpu
        walls.append(wall[ours] / wall[theirs])
        cpus.append(cpu[ours] / cpu[theirs])
    return Ratio.of(walls, cpus)


def _processor_time() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
