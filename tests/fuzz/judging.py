"""Make the n-th file of a format, read it, and judge what came out."""

import contextlib
import functools
import resource
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from tests.fuzz.damage import KEEPS, KINDS, bytes_after_the_end
from tests.fuzz.files import FORMATS, Format

#: Growth of the memory that a file may cause, in bytes.
MOST_GROWTH = 512 << 20
_TEXT = ("csv", "ecsv", "vot", "card")


@dataclass(frozen=True)
class Made:
    """A damaged file: the undamaged one it was made of, the kinds of damage, and the content."""

    base: str
    kinds: tuple[str, ...]
    content: bytes
    keeps: bool


@dataclass(frozen=True)
class Outcome:
    """What reading a file came to, see `tests.fuzz`."""

    index: int
    base: str
    kind: str
    outcome: str
    detail: str = ""

    def to_dict(self) -> dict[str, object]:
        """Return the attributes."""
        return asdict(self)


@functools.cache
def whole(name: str, base: str) -> bytes:
    """Return the content of an undamaged file."""
    return FORMATS[name].bases[base]()


def make(name: str, seed: int, index: int) -> Made:
    """Make the damaged file of a seed and index; kinds and undamaged files take turns."""
    kinds, bases = KINDS[name], list(FORMATS[name].bases)
    kind, base = kinds[index % len(kinds)], bases[index // len(kinds) % len(bases)]
    rng = np.random.default_rng([seed, list(FORMATS).index(name), index])
    chosen = [kind] if rng.random() < 0.8 else [kind, kinds[rng.integers(len(kinds))]]
    content = whole(name, base)
    for one in chosen:
        content = one(rng, content) if content else content
    unseen = KEEPS - ({bytes_after_the_end} if name in _TEXT else set())
    return Made(base, tuple(one.__name__ for one in chosen), content, all(one in unseen for one in chosen))


def judge(name: str, seed: int, index: int, folder: Path) -> Outcome:
    """Make a file, read it, and judge the outcome."""
    form, made = FORMATS[name], make(name, seed, index)
    said = functools.partial(Outcome, index, made.base, " + ".join(made.kinds))
    path = folder / f"file{form.suffix}"
    path.write_bytes(made.content)
    before = _new_peak()
    try:
        found, notes = form.read(path)
    except form.refusals:
        said = functools.partial(said, "refused")
    except Exception as error:
        return said("exception", f"{type(error).__name__}: {error}"[:300])
    else:
        said = functools.partial(said, *_compared(form, made, found, notes, folder))
    if (growth := _peak() - before) > MOST_GROWTH:
        return Outcome(index, made.base, " + ".join(made.kinds), "growth", f"{growth >> 20} MiB")
    return said()


def _new_peak() -> int:
    """Forget the peak of the memory of this process, where the system can; return it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _peak()


def _peak() -> int:
    """Return the peak of the memory of this process, in bytes."""
    with contextlib.suppress(OSError):
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # of macOS: bytes


def _compared(
    form: Format, made: Made, found: Mapping[str, object], notes: list[str], folder: Path
) -> tuple[str, str]:
    """Compare what was read with what the undamaged file holds."""
    right, known = _reference(form.name, made.base, folder)
    changed = sorted(key for key in {*right, *found} if not _same(right.get(key), found.get(key)))
    if not changed:
        return "right", ""
    if set(notes) - set(known):
        return "noted", ""
    if made.keeps or form.sealed(whole(form.name, made.base), made.content):
        return "wrong", f"changed without a note: {', '.join(changed)}"
    return "changed", ""


@functools.cache
def _reference(name: str, base: str, folder: Path) -> tuple[dict[str, object], list[str]]:
    form = FORMATS[name]
    path = folder / f"whole{form.suffix}"
    path.write_bytes(whole(name, base))
    return form.read(path)


def _same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    return repr(one) == repr(other)
