"""Near duplicates of two splits, by hashing: time in proportion to the number of images.

`python -m tests.benchmarks.bench_duplicates 1000000` prints time, memory and the copies that were found:
images of 16 x 16 pixels of noise with correlated pixels, 85 % of them in the training set, and 200 turned and
mirrored copies.
"""

import resource
import sys
import time

import numpy as np
from scipy.ndimage import uniform_filter

from galcnn.dataset import Dataset
from galcnn.dataset.leakage import near_duplicates
from galcnn.model import InputSpec

_SIDE, _COPIES = 16, 200


def splits(n: int, seed: int = 0) -> dict[str, Dataset]:
    """Return two splits of n images in all, with copies of the first images of one in the other."""
    rng = np.random.default_rng(seed)
    images = rng.standard_normal((n, _SIDE, _SIDE, 1), dtype=np.float32)
    for start in range(0, n, 100_000):
        images[start : start + 100_000] = uniform_filter(images[start : start + 100_000], (1, 3, 3, 1))
    first = n * 85 // 100
    for i in range(_COPIES):
        images[first + i] = np.rot90(images[i], i % 4)[:, :: 1 - 2 * (i % 2)]
    spec, labels = InputSpec(("r",), "nJy", (_SIDE, _SIDE)), np.zeros(n, np.int32)
    parts = {"train": range(first), "test": range(first, n)}
    return {
        name: Dataset(tuple(map(str, rows)), images[rows.start : rows.stop], labels[rows], ("a", "b"), spec)
        for name, rows in parts.items()
    }


def seconds(n: int) -> float:
    """Return the time of a search, which must find the copies and nothing else."""
    sides = splits(n)
    start = time.perf_counter()
    pairs = near_duplicates(sides)
    taken = time.perf_counter() - start
    first = len(sides["train"])
    found = {(int(pair.id), int(pair.other_id) - first) for pair in pairs}
    assert found == {(i, i) for i in range(_COPIES)}, (len(found), sorted(found)[:5])
    return taken


def ratios() -> dict[str, float]:
    few, many = 30_000, 120_000  # both beyond the number of pairs up to which all are compared
    return {"duplicates.time_per_image_120000_over_30000": seconds(many) / many / (seconds(few) / few)}


def main() -> None:
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    taken = seconds(n)
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{n} images: {taken:.0f} s, {megabytes:.0f} MB at most; {_COPIES} copies found, nothing else")  # noqa: T201


if __name__ == "__main__":
    main()
