"""Read the images of a catalog, from files or shards, with classes or votes, into a Dataset."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn._runtime import atomic
from galcnn._runtime.progress import Progress, Step, silent
from galcnn.catalog import Votes, read_votes
from galcnn.catalog.formats import Galaxies, as_catalog
from galcnn.dataset.dataset import Dataset
from galcnn.dataset.reader import MAX_UNREADABLE, InputFiles, LeftOut
from galcnn.dataset.shards import Packed, PackedImages
from galcnn.errors import UnreadableImageError, message
from galcnn.model import InputSpec, images_from
from galcnn.photometry import DISPLAY

_FORMAT = 1
_SHARD = 512  # images per shard
_REMEDY = "--set data.max_unreadable=0.5"


def read_dataset(
    catalog: Galaxies,
    *,
    images: str | os.PathLike[str] | None = None,
    bands: tuple[str, ...] | None = None,
    size: int | None = None,
    render: str | None = None,
    shards: str | os.PathLike[str] | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    inputs: InputSpec | None = None,
    fit: bool = False,
    classes: tuple[str, ...] | None = None,
    progress: Progress = silent,
) -> Dataset:
    """Read the images and classes of a catalog.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog, Table, DataFrame or path-like
        Catalog with columns `image` and `class`.
    images : path-like, optional
        Folder of the images, see `InputFiles.of`.
    bands : tuple of str, optional
        See `InputFiles`.
    size : int, optional
        See `InputFiles`.
    render : str, optional
        See `InputFiles`.
    shards : path-like, optional
        Folder of shards. If given, the images are packed there, or read from there if they are
        already packed, and stay on disk. See `galcnn.dataset.pack_images`.
    max_unreadable : float
        Largest fraction of galaxies without a readable image that fits the first. They are left out, see
        `Dataset`.
    inputs : galcnn.model.InputSpec, optional
        Input specification of a network that the images must fit; by default that of the first image.
    fit : bool
        If True, the pixel grid may be changed to that of `inputs`, see `galcnn.model.prepare`.
    classes : tuple of str, optional
        Classes of a network, in its order; those of the catalog by default.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Returns
    -------
    Dataset
        Dataset in the order of the catalog, without galaxies whose images cannot be read.

    Raises
    ------
    OSError, ValueError
        If more images cannot be read, or do not fit the first; the message names the first such galaxy.
    """
    catalog = as_catalog(catalog)
    files = InputFiles.of(catalog, images, bands=bands, size=size, render=render, fit=fit, spec=inputs)
    if unknown := sorted(set(catalog.classes) - set(classes or catalog.classes)):
        raise ValueError(
            message(
                f"classes of the network, {', '.join(classes or ())}",
                "Name the column of the classes: --label.",
                classes=unknown,
            )
        )
    classes = classes or catalog.classes
    if len(classes) < 2:
        raise ValueError(
            message(
                "at least two classes to tell apart",
                "Name the column of the classes: --label.",
                classes=classes,
            )
        )
    number = {name: i for i, name in enumerate(classes)}
    labels = np.array([number[str(name)] for name in catalog.labels], np.int32)
    kept, pixels, masked, left_out = _images(files, shards, max_unreadable, progress)
    ids = tuple(files.ids[row] for row in kept)
    return Dataset(ids, pixels, labels[kept], classes, files.spec, masked, left_out=left_out)


def read_vote_dataset(
    catalog: Galaxies,
    votes: Votes,
    *,
    images: str | os.PathLike[str] | None = None,
    bands: tuple[str, ...] | None = None,
    size: int | None = None,
    render: str | None = None,
    shards: str | os.PathLike[str] | None = None,
    max_unreadable: float = MAX_UNREADABLE,
    inputs: InputSpec | None = None,
    fit: bool = False,
    progress: Progress = silent,
) -> Dataset:
    """Read the images and votes of a catalog.

    Parameters
    ----------
    catalog : galcnn.catalog.Catalog, Table, DataFrame or path-like
        Catalog with a column `image` and one column per answer.
    votes : galcnn.catalog.Votes
        Questions and answers.
    images : path-like, optional
        Folder of the images, see `InputFiles.of`.
    bands : tuple of str, optional
        See `InputFiles`.
    size : int, optional
        See `InputFiles`.
    render : str, optional
        See `InputFiles`.
    shards : path-like, optional
        See `read_dataset`.
    max_unreadable : float
        See `read_dataset`.
    inputs : galcnn.model.InputSpec, optional
        See `read_dataset`.
    fit : bool
        See `read_dataset`.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Returns
    -------
    Dataset
        Dataset in the order of the catalog, without galaxies whose images cannot be read.

    Raises
    ------
    OSError, ValueError
        See `read_dataset` and `galcnn.catalog.read_votes`.
    """
    catalog = as_catalog(catalog)
    observed = read_votes(catalog, votes)  # refused before reading images
    files = InputFiles.of(catalog, images, bands=bands, size=size, render=render, fit=fit, spec=inputs)
    kept, pixels, masked, left_out = _images(files, shards, max_unreadable, progress)
    ids = tuple(files.ids[row] for row in kept)
    return Dataset(
        ids, pixels, observed[kept], votes.answers, files.spec, masked, votes=votes, left_out=left_out
    )


def claim_shards(folder: str | os.PathLike[str], *, overwrite: bool = False) -> atomic.Claim:
    """Claim a folder as output folder of shards."""
    return atomic.claim(folder, what="one of galcnn pack", own=("shard-*",), overwrite=overwrite)


def pack_images(
    files: InputFiles,
    folder: str | os.PathLike[str],
    *,
    shard_size: int = _SHARD,
    complete: bool = True,
    overwrite: bool = False,
    progress: Progress = silent,
) -> Packed:
    """Write the images of a catalog into shards, or open existing shards.

    Each shard is written atomically, with the hash of its file; an interrupted run resumes after the
    last complete shard. 8-bit pictures take one byte per pixel, other images four.

    Parameters
    ----------
    files : InputFiles
        Image files of the galaxies.
    folder : path-like
        Folder of the shards.
    shard_size : int
        Number of images per shard.
    complete : bool
        If True, raise an error if an image cannot be read or does not fit. If False, fill it with
        zeros and record the reason; `galcnn classify` then gives the galaxy a row with this reason.
    overwrite : bool
        If True, overwrite existing shards.
    progress : galcnn._runtime.progress.Progress
        Progress display.

    Returns
    -------
    Packed
        Packed images; every shard has been checked against its hash.

    Raises
    ------
    ValueError
        If existing shards belong to other galaxies, files or settings or were altered, an image does
        not fit, or no image can be read.
    OSError
        If an image cannot be read or the folder cannot be written.
    """
    if not len(files):
        raise ValueError(message("at least one galaxy", "", n=0))
    if shard_size < 1:
        raise ValueError(message("shards of at least one image", "", shard_size=shard_size))
    place = Path(folder)
    claim = claim_shards(place, overwrite=overwrite)
    pieces = [range(i, min(i + shard_size, len(files))) for i in range(0, len(files), shard_size)]
    if not complete:
        _find_first(files)
    with progress("pack images", len(files)) as step:
        entries = [
            _shard(files, claim, number, rows, step=step, complete=complete)
            for number, rows in enumerate(pieces)
        ]
    left = sorted(path.name for path in place.glob("shard-*.npy"))
    if len(left) != len(entries):
        raise _foreign(place, left[len(entries)])
    shards = tuple(np.load(place / entry["file"], mmap_mode="r", allow_pickle=False) for entry in entries)
    masked = sum(entry["masked"] * len(rows) for entry, rows in zip(entries, pieces, strict=True))
    images = PackedImages(shards, np.arange(len(files)))
    failed = {name: str(why) for entry in entries for name, why in entry["failed"].items()}
    return Packed(images, InputSpec.from_dict(entries[0]["inputs"]), float(masked / len(files)), failed)


def _find_first(files: InputFiles) -> None:
    """Take the input specification from the first readable image."""
    error: Exception | None = None
    for name in files.ids:
        try:
            files.prepared(name)
        except (OSError, ValueError) as why:
            error = error or why
        else:
            return
    raise ValueError(message("an image that can be read", str(error), n_galaxies=len(files)))


def _shard(
    files: InputFiles, claim: atomic.Claim, number: int, rows: range, *, step: Step, complete: bool
) -> dict[str, Any]:
    """Return the record of a shard of these galaxies; write the shard if it does not exist."""
    name, place = f"shard-{number:05d}", claim.folder
    path, record, key = place / f"{name}.npy", place / f"{name}.json", _key(files, rows)
    if claim.written(record.name):
        entry: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        if entry.get("key") != key or entry.get("format") != _FORMAT:
            raise _foreign(place, record.name)
        if not path.is_file() or atomic.file_sha256(path) != entry["sha256"]:
            raise ValueError(
                message("the shard as it was written", "Remove the folder and pack again.", path=str(path))
            )
        if complete and entry.get("failed"):
            raise ValueError(
                message(
                    "a shard without unreadable images",
                    "Remove these galaxies from the catalog.",
                    failed=entry["failed"],
                )
            )
        for _ in rows:
            step()
        return entry
    whole = (
        files.size is None and not files.fit and files.spec.unit == DISPLAY.name
    )  # resampled pictures are not integer
    images = np.empty((len(rows), *files.spec.image_shape), dtype=np.uint8 if whole else np.float32)
    masked, failed = 0.0, {}
    for i, row in enumerate(rows):
        step()
        try:
            cutout = files.prepared(files.ids[row])
        except (OSError, ValueError) as error:
            if complete:
                raise
            images[i], failed[files.ids[row]] = 0, str(error)
            continue
        images[i] = images_from([cutout])[0]
        masked += cutout.masked_fraction / len(rows)
    claim.mark()
    with atomic.writing(path) as temporary:
        np.save(temporary, images, allow_pickle=False)
    entry = {
        "format": _FORMAT,
        "key": key,
        "ids": [files.ids[row] for row in rows],
        "failed": failed,
        "file": path.name,
        "sha256": atomic.file_sha256(path),
        "masked": masked,
        "inputs": files.spec.to_dict(),
    }
    atomic.write_json(record, entry)  # last: a shard without a record is incomplete
    return entry


def _key(files: InputFiles, rows: range) -> str:
    """Hash all that determines a shard: galaxies, size and modification time of files, and settings."""
    ids = [files.ids[row] for row in rows]
    stated = [(path.name, *_as_it_is(path)) for name in ids for path in files.paths[name]]
    told = (ids, stated, files.bands, files.size, files.spec.to_dict())
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _as_it_is(file: Path) -> tuple[int, int]:
    try:
        return file.stat().st_size, file.stat().st_mtime_ns
    except OSError:  # the reader raises the error
        return -1, 0


def _foreign(place: Path, name: str) -> ValueError:
    return ValueError(
        message(
            "a new folder, or shards of these galaxies, files and settings",
            "Choose another folder, or pack again: overwrite=True.",
            folder=str(place),
            other=name,
        )
    )


def _images(
    files: InputFiles, shards: str | os.PathLike[str] | None, max_unreadable: float, progress: Progress
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.float32] | PackedImages, float, dict[str, str]]:
    """Return the rows that can be read, their images, the masked fraction, and why the others cannot."""
    left_out = LeftOut(len(files), max_unreadable, _REMEDY)
    if shards is not None:
        packed = pack_images(files, shards, complete=max_unreadable == 0, progress=progress)
        for name, why in packed.failed.items():
            left_out.add(name, UnreadableImageError(why))
        kept = np.array([row for row, name in enumerate(files.ids) if name not in left_out], np.intp)
        masked = packed.masked_fraction * len(files) / max(len(kept), 1)  # nothing is masked in the others
        return kept, packed.images.select(kept), masked, left_out
    rows, masked = list[int](), 0.0
    images = np.empty((0,), dtype=np.float32)
    with progress("read images", len(files)) as step:
        for row, (name, found) in enumerate(files.each_prepared(files.ids)):
            step()
            if isinstance(found, Exception):
                left_out.add(name, found)
                continue
            if not rows:
                images = np.empty((len(files), *files.spec.image_shape), dtype=np.float32)
            images[len(rows)] = images_from([found])[0]
            masked += found.masked_fraction
            rows.append(row)
    return np.array(rows, np.intp), images[: len(rows)], masked / max(len(rows), 1), left_out
