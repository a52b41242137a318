"""A folder of shards, as `pack_images` wrote it, read by the ids of its galaxies."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import UnreadableImageError, message
from galcnn.inputs import InputSpec

__all__ = ["Shard", "read_shards"]


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
    inputs : galcnn.inputs.InputSpec
        What the images are.
    """

    path: Path
    ids: tuple[str, ...]
    failed: Mapping[str, str]
    sha256: str
    inputs: InputSpec

    def check(self) -> None:
        """Refuse a file that is not the one that was written.

        Raises
        ------
        galcnn.errors.UnreadableImageError
            It is missing or was altered.
        """
        try:
            with self.path.open("rb") as handle:
                found = hashlib.file_digest(handle, "sha256").hexdigest()
        except OSError as error:
            found = str(error)
        if found != self.sha256:
            raise UnreadableImageError(
                message("the shard as it was written", "Pack again.", path=str(self.path), sha256=found)
            )

    def images(self) -> npt.NDArray[Any]:
        """Open the images.

        Returns
        -------
        numpy.ndarray
            Memory-mapped, shape (n, ny, nx, n_bands), uint8 or float32.
        """
        images: npt.NDArray[Any] = np.load(self.path, mmap_mode="r", allow_pickle=False)
        return images


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
