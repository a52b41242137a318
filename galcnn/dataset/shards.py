"""Images in shards: files that are read in pieces, so that a set may be larger than memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import UnreadableImageError, message
from galcnn.model import InputSpec


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
        """Give some of the images without reading them."""
        return PackedImages(self.shards, self.rows[which])


@dataclass(frozen=True, eq=False)
class Packed:
    """What a folder of shards holds.

    Attributes
    ----------
    images : PackedImages
        In the order of the catalog.
    inputs : galcnn.model.InputSpec
        What they are.
    masked_fraction : float
        Share of their pixels that were masked and filled.
    """

    images: PackedImages
    inputs: InputSpec
    masked_fraction: float


@dataclass(frozen=True, eq=False)
class Shard:
    """One shard: what its record says of it.

    Attributes
    ----------
    path : pathlib.Path
        The ``.npy`` file.
    ids : tuple of str
        Of its galaxies, in the order of its images.
    failed : mapping of str to str
        Id -> why there is no image, for those whose place holds zeros.
    sha256 : str
        Of the file.
    inputs : galcnn.model.InputSpec
        What the images are.
    """

    path: Path
    ids: tuple[str, ...]
    failed: Mapping[str, str]
    sha256: str
    inputs: InputSpec

    def check(self) -> None:
        """Refuse a file that is not the one that was written."""
        try:
            found = file_sha256(self.path)
        except OSError as error:
            found = str(error)
        if found != self.sha256:
            raise UnreadableImageError(
                message("the shard as it was written", "Pack again.", path=str(self.path), sha256=found)
            )

    def images(self) -> npt.NDArray[Any]:
        """Open the images."""
        images: npt.NDArray[Any] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return images


def file_sha256(path: Path) -> str:
    """Hash a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def read_shards(folder: str | os.PathLike[str]) -> tuple[Shard, ...]:
    """Read the records of a folder of shards; no image yet.

    Parameters
    ----------
    folder : path-like
        Written by `galcnn.dataset.pack_images`.

    Returns
    -------
    tuple of Shard
        In order.

    Raises
    ------
    FileNotFoundError
        No such folder, or no shard in it.
    ValueError
        A record cannot be read, knows no ids (older galcnn), or is of other images than the first.
    """
    place = Path(folder)
    records = sorted(place.glob("shard-*.json"))
    if not records:
        raise FileNotFoundError(
            message("a folder of shards", "Write them: galcnn pack.", shards=os.fspath(folder))
        )
    shards = tuple(_read(record) for record in records)
    if other := [shard.path.name for shard in shards if shard.inputs != shards[0].inputs]:
        raise ValueError(message("shards of images of one kind", "Pack again.", other=other[:3]))
    return shards


def _read(record: Path) -> Shard:
    try:
        entry = json.loads(record.read_text(encoding="utf-8"))
        ids, inputs = tuple(str(name) for name in entry["ids"]), InputSpec.from_dict(entry["inputs"])
        return Shard(record.parent / entry["file"], ids, dict(entry["failed"]), str(entry["sha256"]), inputs)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            message(
                "the record of a shard, with the ids of its galaxies",
                "Pack again.",
                path=str(record),
                error=f"{type(error).__name__}: {error}",
            )
        ) from error
