"""Images in shards on disk, which are read in pieces and may be larger than the memory."""

from __future__ import annotations

import json
import mmap
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn._runtime import atomic
from galcnn.errors import UnreadableImageError, message, without_content
from galcnn.model import InputSpec


@dataclass(frozen=True, eq=False)
class PackedImages:
    """Images in shards on disk, read on access.

    Attributes
    ----------
    shards : tuple of numpy.ndarray
        Memory-mapped images, shape (n_shard, ny, nx, n_bands), uint8 or float32. All shards but the
        last hold the same number of images.
    rows : numpy.ndarray
        Indices of the selected images, counted over all shards, int64.
    """

    shards: tuple[npt.NDArray[Any], ...]
    rows: npt.NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (n, ny, nx, n_bands)."""
        return (len(self.rows), *self.shards[0].shape[1:])

    @property
    def nbytes(self) -> int:
        """Size of the images in memory as float32, in bytes."""
        return 4 * int(np.prod(self.shape))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, which: slice | npt.NDArray[Any] | Sequence[int]) -> npt.NDArray[np.float32]:
        wanted = self.rows[which]
        images = np.empty((len(wanted), *self.shape[1:]), dtype=np.float32)
        size = len(self.shards[0])
        for i in np.argsort(wanted, kind="stable"):  # read in disk order
            shard, row = divmod(int(wanted[i]), size)
            images[i] = self.shards[shard][row]
        for shard in np.unique(wanted // size):
            # Else the pages that were read count as memory of this process until the system needs them.
            pages = self.shards[shard].base
            if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)
        return images

    def select(self, which: npt.NDArray[Any]) -> PackedImages:
        """Return a subset of the images without reading them."""
        return PackedImages(self.shards, self.rows[which])


@dataclass(frozen=True, eq=False)
class Packed:
    """Content of a folder of shards.

    Attributes
    ----------
    images : PackedImages
        Images in the order of the catalog.
    inputs : galcnn.model.InputSpec
        Input specification of the images.
    masked_fraction : float
        Fraction of pixels that were masked and replaced by the fill value.
    failed : mapping of str to str
        Id -> reason, for galaxies without an image; their pixels are zero.
    """

    images: PackedImages
    inputs: InputSpec
    masked_fraction: float
    failed: Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Shard:
    """One shard, as described by its record.

    Attributes
    ----------
    path : pathlib.Path
        File of the images, ``.npy``.
    ids : tuple of str
        Ids of the galaxies, in the order of the images.
    failed : mapping of str to str
        Id -> reason, for galaxies without an image; their pixels are zero.
    sha256 : str
        SHA-256 of the file.
    inputs : galcnn.model.InputSpec
        Input specification of the images.
    """

    path: Path
    ids: tuple[str, ...]
    failed: Mapping[str, str]
    sha256: str
    inputs: InputSpec

    def check(self) -> None:
        """Raise an error if the file was changed or cannot be read."""
        try:
            found = atomic.file_sha256(self.path)
        except OSError as error:
            found = str(error)
        if found != self.sha256:
            raise UnreadableImageError(
                message("the shard as it was written", "Pack again.", path=str(self.path), sha256=found)
            )

    def images(self) -> npt.NDArray[Any]:
        """Open the images, memory-mapped."""
        images: npt.NDArray[Any] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return images


def read_shards(folder: str | os.PathLike[str]) -> tuple[Shard, ...]:
    """Read the records of a folder of shards, without the images.

    Parameters
    ----------
    folder : path-like
        Folder written by `galcnn.dataset.pack_images`.

    Returns
    -------
    tuple of Shard
        Shards in order.

    Raises
    ------
    FileNotFoundError
        If the folder does not exist or holds no shard.
    ValueError
        If a record cannot be read, has no ids (older galcnn), or differs from the first in its inputs.
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
                error=without_content(error),
            )
        ) from error
