"""File names of objects: safe on any file system, whatever characters the ids contain."""

from __future__ import annotations

import hashlib
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from galcnn.errors import message

#: Table of galaxies without a usable image, in the folder of a model or of results: `id` and `reason`.
LEFT_OUT = "left_out.ecsv"

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


#: Ending of a changed name; a name that already ends so is changed, too.
_CHANGED = re.compile(r"-[0-9a-f]{16}", re.IGNORECASE)


#: Device names on Windows, with any suffix.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def image_stem(path: str | os.PathLike[str]) -> str:
    """Return the name of an image file without folder, suffix and suffix of compression."""
    name = Path(path).name
    for suffix in (".gz", ".bz2", ".fz"):
        name = name.removesuffix(suffix)
    return Path(name).stem or name


def file_stems(ids: Iterable[str], *, taken: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return a unique file name, without suffix, for each object.

    A name of ASCII letters, digits and ``. _ + -`` is kept. Any other name is reduced to these, and 16
    hex digits of its SHA-256 are appended; so is a name that differs from another only in case.

    Parameters
    ----------
    ids : iterable of str
        Unique names of objects, with any characters.
    taken : mapping of str to str, optional
        Stems of objects named before, by id; they are kept.

    Returns
    -------
    dict of str to str
        Stem of each id: no separators, no leading dot, at most 64 characters, unique ignoring case.

    Raises
    ------
    ValueError
        If ids are repeated, or two stems are equal.

    Examples
    --------
    >>> file_stems(["NGC1300", "../../etc/passwd"])
    {'NGC1300': 'NGC1300', '../../etc/passwd': 'etc_passwd-3754d6cb3a38e118'}
    """
    kept = dict(taken or {})
    names = list(ids)
    if repeated := [name for name, n in Counter(names).items() if n > 1]:
        raise ValueError(message("unique names of objects", "", repeated=repeated[:5]))
    fresh = [name for name in names if name not in kept]
    used = {stem.casefold() for stem in kept.values()}
    twins = Counter(name.casefold() for name in fresh)
    stems = {name: kept[name] for name in names if name in kept}
    for name in fresh:
        alone = twins[name.casefold()] == 1 and name.casefold() not in used
        stem = name if alone and _is_plain(name) else _changed(name)
        if stem.casefold() in used:
            raise ValueError(message("names that differ", "Rename one of the objects.", name=name, file=stem))
        used.add(stem.casefold())
        stems[name] = stem
    return {name: stems[name] for name in names}


def _is_plain(name: str) -> bool:
    plain = _PLAIN.fullmatch(name) and not name.endswith(".")
    return bool(plain) and not _DEVICE.fullmatch(name) and _CHANGED.search(name[-17:]) is None


def _changed(name: str) -> str:
    """Return the plain characters of a name, with its hash."""
    ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9+-]+", "_", ascii_).strip("_+-")[:40].strip("_+-") or "object"
    # surrogatepass: a name read from a broken file may contain surrogates.
    return f"{slug}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
