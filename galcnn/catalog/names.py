"""Names of objects -> names of files: whatever an id holds, no path leaves its folder."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping

from galcnn.errors import message

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")


#: How a name that had to be changed ends; a plain name that looks so is changed too.
_CHANGED = re.compile(r"-[0-9a-f]{16}", re.IGNORECASE)


#: Devices, not files, on Windows, with any suffix.
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def file_stems(ids: Iterable[str], *, taken: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give each object a file name of its own, without suffix, on any disk.

    A name of plain letters, digits and ``. _ + -`` stays as it is. Any other becomes what is plain
    in it and 16 hex digits of its SHA-256, and so does one that a disk that does not know upper
    from lower case would take for another.

    Parameters
    ----------
    ids : iterable of str
        Unique names of objects, which may hold anything.
    taken : mapping of str to str, optional
        Id -> stem of those that were named before, which keep their name.

    Returns
    -------
    dict of str to str
        Id -> stem: no separators, no leading dot, at most 64 characters, unique without case.

    Raises
    ------
    ValueError
        Ids are repeated, or two names cannot be told apart.

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
    """What is plain in a name, and what makes it unique."""
    ascii_ = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    slug = re.sub(r"[^A-Za-z0-9+-]+", "_", ascii_).strip("_+-")[:40].strip("_+-") or "object"
    # surrogatepass: a name read from a broken file is still a name.
    return f"{slug}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
