"""``python -m tests.fuzz``: count the outcomes of damaged files of every format; exit 1 on a failure."""

import argparse
import collections
import sys
from pathlib import Path

from tests.fuzz.files import FORMATS
from tests.fuzz.judging import Outcome, make
from tests.fuzz.running import SECONDS, run

ALLOWED = ("right", "refused", "noted", "changed")
FAILURES = ("wrong", "exception", "death", "hang", "growth")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--fits", type=int, default=20_000, help="number of FITS images")
    parser.add_argument("--others", type=int, default=5_000, help="number of files of each other format")
    parser.add_argument(
        "--formats", nargs="*", default=list(FORMATS), choices=list(FORMATS), metavar="FORMAT"
    )
    parser.add_argument("--start", type=int, default=0, help="index of the first file of each format")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit for one file")
    parser.add_argument("--kinds", action="store_true", help="count by kind, too")
    parser.add_argument("--write", nargs=2, metavar=("FORMAT:INDEX", "FILE"), help="write one file, and end")
    given = parser.parse_args()
    if given.write:
        name, index = given.write[0].split(":")
        made = make(name, given.seed, int(index))
        Path(given.write[1]).write_bytes(made.content)
        say(f"{given.write[1]}: {made.base}, {' + '.join(made.kinds)}")
        return 0
    say(f"{'':12}" + "".join(f"{one:>10}" for one in (*ALLOWED, *FAILURES)))
    failed: list[tuple[str, Outcome]] = []
    for name in given.formats:
        n = given.fits if name == "fits" else given.others
        indices = range(given.start, given.start + n)
        found = run(name, indices, seed=given.seed, jobs=given.jobs, seconds=given.seconds)
        say(row(name, found))
        if given.kinds:
            for kind in sorted({one.kind for one in found if " + " not in one.kind}):
                say(row(f"  {kind}", [one for one in found if one.kind == kind]))
        failed += [(name, one) for one in found if one.outcome in FAILURES]
    for name, one in failed:
        say(f"{name}:{one.index} ({one.base}, {one.kind}): {one.outcome}, {one.detail}")
    if failed:
        say(f"{len(failed)} failures; python -m tests.fuzz --seed {given.seed} --write FORMAT:INDEX FILE")
    return 1 if failed else 0


def row(name: str, found: list[Outcome]) -> str:
    """Return a row of the table of outcomes."""
    counts = collections.Counter(one.outcome for one in found)
    return f"{name:12}" + "".join(f"{counts[one]:10}" for one in (*ALLOWED, *FAILURES))


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
