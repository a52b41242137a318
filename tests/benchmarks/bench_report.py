"""A report of 10,000 objects against one of 100, in a real Chromium: to open, sort, filter and scroll.

Nothing without Chromium. Ratios near 1 say that a reader does not feel the number of objects; run by
itself, ``python -m tests.benchmarks.bench_report`` prints milliseconds, too.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from astropy.table import Table
from PIL import Image

from galcnn.report import Known, write_report
from tests.benchmarks.timing import ratio
from tests.report.browser import MISSING, chromium
from tests.report.galaxies import answers, write_answers

_MANY, _FEW = 10_000, 100
_SORT = "document.querySelector('th[data-name=entropy] button').click()"
_FILTER = (
    "const f = document.querySelector('#filters [name=text]'); f.value = f.value ? '' : '7';"
    "f.dispatchEvent(new Event('input', { bubbles: true }))"
)
#: Down by 200 px a frame, to the end or for 60 frames.
_SCROLL = """
const done = arguments[arguments.length - 1], s = document.getElementById('scroller'), at = [];
s.scrollTop = 0;
const frame = (now) => {
  at.push(now);
  s.scrollTop += 200;
  if (at.length > 60) done(at);
  else requestAnimationFrame(frame);
};
requestAnimationFrame(frame);
"""


def ratios() -> dict[str, float]:
    if MISSING:
        return {}
    with _pages() as (driver, many, few):

        def opened(folder: Path) -> None:
            driver.get((folder / "index.html").as_uri())

        result = {f"report.open_{_MANY}_over_{_FEW}": ratio(lambda: opened(many), lambda: opened(few))}
        for name, call in (("sort", _SORT), ("filter", _FILTER)):
            times = {}
            for folder in (many, few):
                opened(folder)
                times[folder] = _milliseconds(driver, call)
            result[f"report.{name}_{_MANY}_over_{_FEW}"] = times[many] / times[few]
        frames = {}
        for folder in (many, few):
            opened(folder)
            frames[folder] = np.median(np.diff(driver.execute_async_script(_SCROLL)))
        result[f"report.frame_{_MANY}_over_{_FEW}"] = float(frames[many] / frames[few])
        return result


@contextmanager
def _pages() -> Iterator[tuple[object, Path, Path]]:
    with tempfile.TemporaryDirectory() as place, chromium() as driver:
        yield driver, *(_report(Path(place), n) for n in (_MANY, _FEW))


def _report(place: Path, n: int) -> Path:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(place / "one.png")
    ids = [f"J{i:05d}" for i in range(n)]
    Table({"id": ids, "image": ["one.png"] * n}).write(place / "known.ecsv", overwrite=True)
    table = write_answers(answers(ids), place / f"{n}.parquet")
    write_report([table], place / f"report-{n}", known=Known(place / "known.ecsv"))
    return place / f"report-{n}"


def _milliseconds(driver, call: str, times: int = 9) -> float:
    """Median time of a call with the layout that follows it."""
    script = f"const t = performance.now(); {call}; document.body.offsetHeight; return performance.now() - t"
    return float(np.median([driver.execute_script(script) for _ in range(times)]))


def _main() -> None:
    start = time.perf_counter()
    with _pages() as (driver, many, _):
        print(f"written in {time.perf_counter() - start:.0f} s")  # noqa: T201
        ready = "return performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
        opens = []
        for _ in range(7):
            driver.get((many / "index.html").as_uri())
            opens.append(driver.execute_script(ready))
        frames = np.diff(driver.execute_async_script(_SCROLL))
        said = {
            "first row": np.median(opens),
            "sort": _milliseconds(driver, _SORT),
            "filter": _milliseconds(driver, _FILTER),
            "frame, median": np.median(frames),
            "frame, longest of 60": frames.max(),
        }
        for name, value in said.items():
            print(f"{name:<22} {value:.0f} ms")  # noqa: T201


if __name__ == "__main__":
    _main()
