"""Near duplicates of two splits, by hashing: time in proportion to the number of images.

`python -m tests.benchmarks.bench_duplicates 1000000` prints time and memory: images of 16 x 16 pixels of
noise, 85 % of them in the training set, and 200 turned and mirrored copies, which must be found.
"""

import resource
import sys
import time

import numpy as np

from galcnn.dataset import Dataset
from galcnn.dataset.leakage import near_duplicates
from galcnn.model import InputSpec

_SIDE, _COPIES = 16, 200


def splits(n: int, seed: int = 0) -> dict[str, Dataset]:
    """Return two splits of n images in all, with copies of the first images of one in the other."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((n, _SIDE, _SIDE, 1), dtype=np.float32)
    first = n * 85 // 100
    for i in range(_COPIES):
        images[first + i] = np.rot90(images[i], i % 4)[:, :: 1 - 2 * (i % 2)]
    spec, labels = InputSpec(("r",), "nJy", (_SIDE, _SIDE)), np.zeros(n, np.int32)
    parts = {"train": range(first), "test": range(first, n)}
    return {
        name: Dataset(tuple(map(str, rows)), images[rows.start : rows.stop], labels[rows], ("a", "b"), spec)
        for name, rows in parts.items()
    }


def seconds(n: int) -> tuple[float, float]:
    """Return the time of a search, which must find the copies and nothing else, and that of all cores."""
    sides = splits(n)
    start, used = time.perf_counter(), time.process_time()
    pairs = near_duplicates(sides)
    taken = time.perf_counter() - start, time.process_time() - used
    first = len(sides["train"])
    found = {(int(pair.id), int(pair.other_id) - first) for pair in pairs}
    assert found == {(i, i) for i in range(_COPIES)}, (len(found), sorted(found)[:5])
    return taken


def ratios() -> dict[str, float]:
    few, many = 30_000, 120_000  # both beyond the number of pairs up to which all are compared
    return {"duplicates.time_per_image_120000_over_30000": seconds(many)[0] / many / (seconds(few)[0] / few)}


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    taken, used = seconds(n)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{n} images: {taken:.0f} s, {used:.0f} s of all cores, {megabytes:.0f} MB at most")  # noqa: T201


if __name__ == "__main__":
    main()
