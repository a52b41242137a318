"""Images packed into shards: files that are read in pieces, so that a set may be larger than memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn import atomic
from galcnn.dataset.reader import CutoutReader
from galcnn.errors import message
from galcnn.files import files_of
from galcnn.inputs import InputSpec, images_from
from galcnn.photometry import DISPLAY
from galcnn.progress import Progress, Step, silent

__all__ = ["PackedImages", "Packed", "pack_images"]

_FORMAT = 1
_SHARD = 512  # images


@dataclass(frozen=True, eq=False)
class PackedImages:
    """Images in shards on disk, read where they are asked for.

    Attributes
    ----------
    shards : tuple of numpy.ndarray
        Memory-mapped, shape (images of the shard, ny, nx, n_bands), uint8 or float32; all but the
        last of one length.
    rows : numpy.ndarray
        Which of all images, counted through the shards, these are, in order.
    """

    shards: tuple[npt.NDArray[Any], ...]
    rows: npt.NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (n, ny, nx, n_bands)."""
        return (len(self.rows), *self.shards[0].shape[1:])

    @property
    def nbytes(self) -> int:
        """Bytes that they would take in memory, as float32."""
        return 4 * int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: slice | npt.NDArray[Any] | Sequence[int]) -> npt.NDArray[np.float32]:
        wanted = self.rows[which]
        images = np.empty((len(wanted), *self.shape[1:]), dtype=np.float32)
        size = len(self.shards[0])
        for i in np.argsort(wanted, kind="stable"):  # in the order of the disk, whatever was asked for
            shard, row = divmod(int(wanted[i]), size)
            images[i] = self.shards[shard][row]
        return images

    def select(self, which: npt.NDArray[Any]) -> PackedImages:
        """Give some of the images without reading them.

        Parameters
        ----------
        which : array of int
            Which, and in which order.

        Returns
        -------
        PackedImages
            On the same shards.
        """
        return PackedImages(self.shards, self.rows[which])


@dataclass(frozen=True, eq=False)
class Packed:
    """What a folder of shards holds.

    Attributes
    ----------
    images : PackedImages
        In the order of the catalog.
    inputs : galcnn.inputs.InputSpec
        What they are.
    masked_fraction : float
        Share of their pixels that were masked and filled.
    """

    images: PackedImages
    inputs: InputSpec
    masked_fraction: float


def pack_images(
    reader: CutoutReader,
    folder: str | os.PathLike[str],
    *,
    shard_size: int = _SHARD,
    complete: bool = True,
    progress: Progress = silent,
) -> Packed:
    """Write the images of a catalog into shards, or take those that are there.

    Each shard is written whole or not at all, with the hash of its file; a run that was
    interrupted goes on behind the last. 8-bit pictures take a byte a pixel, all else four.

    Parameters
    ----------
    reader : galcnn.dataset.CutoutReader
        The galaxies.
    folder : path-like
        Of the shards.
    shard_size : int
        Images of a shard.
    complete : bool
        Whether an image that cannot be read, or does not fit, is an error. Else its place holds
        zeros, and the record of the shard says why: `galcnn run` gives such a galaxy its row.
    progress : galcnn.progress.Progress
        Shows the reading.

    Returns
    -------
    Packed
        Opened, after every shard was checked against its hash.

    Raises
    ------
    ValueError
        The shards there are of other galaxies, files or settings, or were altered; or an image
        does not fit; or none does.
    OSError
        An image cannot be read, or the folder not written.
    """
    if shard_size < 1:
        raise ValueError(message("shards of at least one image", "", shard_size=shard_size))
    place = Path(folder)
    atomic.check_writable(place, folder=True)
    pieces = [range(i, min(i + shard_size, len(reader))) for i in range(0, len(reader), shard_size)]
    if not complete:
        _find_first(reader)
    with progress("pack images", len(reader)) as step:
        entries = [
            _shard(reader, place, number, rows, step=step, complete=complete)
            for number, rows in enumerate(pieces)
        ]
    left = sorted(path.name for path in place.glob("shard-*.npy"))
    if len(left) != len(entries):
        raise _foreign(place, left[len(entries)])
    shards = tuple(np.load(place / entry["file"], mmap_mode="r", allow_pickle=False) for entry in entries)
    masked = sum(entry["masked"] * len(rows) for entry, rows in zip(entries, pieces, strict=True)) / len(
        reader
    )
    images = PackedImages(shards, np.arange(len(reader)))
    return Packed(images, InputSpec.from_dict(entries[0]["inputs"]), float(masked))


def _find_first(reader: CutoutReader) -> None:
    """Let the first image that can be read settle what all are."""
    error: Exception | None = None
    for row in range(len(reader)):
        try:
            reader.read(row)
        except (OSError, ValueError) as why:
            error = error or why
        else:
            return
    raise ValueError(message("an image that can be read", str(error), n_galaxies=len(reader)))


def _shard(
    reader: CutoutReader, place: Path, number: int, rows: range, *, step: Step, complete: bool
) -> dict[str, Any]:
    """The record of a shard that is whole and of these galaxies, written now if it is not there."""
    name = f"shard-{number:05d}"
    path, record, key = place / f"{name}.npy", place / f"{name}.json", _key(reader, rows)
    if record.is_file():
        entry: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        if entry.get("key") != key or entry.get("format") != _FORMAT:
            raise _foreign(place, record.name)
        if not path.is_file() or _sha256(path) != entry["sha256"]:
            raise ValueError(
                message("the shard as it was written", "Remove the folder and pack again.", path=str(path))
            )
        if complete and entry.get("failed"):
            raise ValueError(
                message("a shard that holds all its galaxies", "Drop the others.", failed=entry["failed"])
            )
        for _ in rows:
            step()
        return entry
    whole = reader.size is None and reader.spec.unit == DISPLAY.name  # resampled pictures have fractions
    images = np.empty((len(rows), *reader.spec.image_shape), dtype=np.uint8 if whole else np.float32)
    masked, failed = 0.0, {}
    for i, row in enumerate(rows):
        step()
        try:
            cutout = reader.read(row)
        except (OSError, ValueError) as error:
            if complete:
                raise
            images[i], failed[reader.ids[row]] = 0, str(error)
            continue
        images[i] = images_from([cutout])[0]
        masked += cutout.masked_fraction / len(rows)
    with atomic.writing(path) as temporary:
        np.save(temporary, images, allow_pickle=False)
    entry = {
        "format": _FORMAT,
        "key": key,
        "ids": [reader.ids[row] for row in rows],
        "failed": failed,
        "file": path.name,
        "sha256": _sha256(path),
        "masked": masked,
        "inputs": reader.spec.to_dict(),
    }
    atomic.write_json(record, entry)  # last: a shard without its record does not count
    return entry


def _key(reader: CutoutReader, rows: range) -> str:
    """Hash what decides what a shard holds: galaxies, their files as they are now, and settings."""
    files = [Path(file) for row in rows for file in files_of(reader.paths[row])]
    stated = [(file.name, *_as_it_is(file)) for file in files]
    told = ([reader.ids[row] for row in rows], stated, reader.bands, reader.size, reader.spec.to_dict())
    return hashlib.sha256(repr(told).encode()).hexdigest()


def _as_it_is(file: Path) -> tuple[int, int]:
    try:
        return file.stat().st_size, file.stat().st_mtime_ns
    except OSError:  # the reader will say so
        return -1, 0


def _foreign(place: Path, name: str) -> ValueError:
    return ValueError(
        message(
            "a new folder, or shards of these galaxies, files and settings",
            "Choose another folder, or remove this one.",
            folder=str(place),
            other=name,
        )
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
