"""Read damaged files in worker processes with limits of time and memory, which may die."""

import contextlib
import importlib
import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

from tests.fuzz.files import FORMATS
from tests.fuzz.judging import Outcome, judge, make

#: Limit of time for one file, in seconds; that of a reader process of galcnn is shorter.
SECONDS = 60.0
#: Limit of the address space of a worker, in bytes.
MEMORY = 8 << 30
_ROOT = Path(__file__).resolve().parents[2]


def run(
    name: str,
    indices: Sequence[int],
    *,
    seed: int = 0,
    jobs: int = 1,
    seconds: float = SECONDS,
    each: Callable[[Outcome], object] = lambda outcome: None,
) -> list[Outcome]:
    """Read the files of a format with these indices; `each` is called with every outcome."""

    def part(first: int) -> list[Outcome]:
        found = []
        for outcome in _answers(name, list(indices[first::jobs]), seed, seconds):
            each(outcome)
            found.append(outcome)
        return found

    with ThreadPoolExecutor(jobs) as pool:
        return sorted((one for some in pool.map(part, range(jobs)) for one in some), key=lambda o: o.index)


def _answers(name: str, indices: list[int], seed: int, seconds: float) -> Iterator[Outcome]:
    """Yield the outcome of each file; after a death, a hang or growth, another worker goes on."""
    while indices:
        with tempfile.TemporaryDirectory(prefix="galcnn-fuzz-") as folder, _worker(folder) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps([name, seed, indices]).encode() + b"\n")
            process.stdin.close()
            lines = _Lines(process.stdout)
            try:
                lines.next(10 * seconds)  # the imports
                while indices:
                    line = lines.next(seconds)
                    index = indices.pop(0)
                    if line:
                        outcome = Outcome(**json.loads(line))
                    else:
                        made = make(name, seed, index)
                        hangs = line is None
                        fate = f"no answer in {seconds} s" if hangs else f"exit code {process.wait(seconds)}"
                        kind = " + ".join(made.kinds)
                        outcome = Outcome(index, made.base, kind, "hang" if hangs else "death", fate)
                    yield outcome
                    if outcome.outcome in ("hang", "death", "growth"):
                        break
            finally:
                _end(process)


def _worker(folder: str) -> "subprocess.Popen[bytes]":
    """Start a worker in a session of its own, so that it can be ended with its children."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fuzz.running", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd=_ROOT,
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def _end(process: "subprocess.Popen[bytes]") -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class _Lines:
    """Lines of a pipe, each within a time."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe, self._read = pipe, b""

    def next(self, seconds: float) -> bytes | None:
        """Return the next line, empty at the end of the pipe; None if there is none in time."""
        ends = time.monotonic() + seconds
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._pipe], [], [], max(0.0, ends - time.monotonic()))
            if not ready:
                return None
            part = os.read(self._pipe.fileno(), 1 << 16)
            if not part:
                return b""
            self._read += part
        line, _, self._read = self._read.partition(b"\n")
        return line


def _work(folder: Path) -> None:
    """Read files as told on standard input; one line per outcome."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries in C may print
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("ignore")
    name, seed, indices = json.loads(sys.stdin.readline())
    if name not in FORMATS:  # a test of the fuzzer
        importlib.import_module(f"tests.fuzz.{name}").add()
    answers.write("ready\n")
    for index in indices:
        answers.write(json.dumps(judge(name, seed, index, folder).to_dict()) + "\n")


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
