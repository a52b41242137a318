"""Dataset: images of one kind with their ids, and their classes or votes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.catalog import Votes
from galcnn.cutout import Cutout
from galcnn.dataset.shards import PackedImages
from galcnn.errors import message
from galcnn.model import InputSpec

_PIECE = 1024


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of one kind with their ids, and their classes or votes.

    Attributes
    ----------
    ids : tuple of str
        One an image.
    images : numpy.ndarray or galcnn.dataset.shards.PackedImages
        float32, shape (n, ny, nx, n_bands): in memory, or in shards on disk.
    labels : numpy.ndarray
        int32, position in `classes` of each image; or of votes float32, shape (n, n_answers), see
        `galcnn.catalog.read_votes`.
    classes : tuple of str
        At least two; of votes the answers.
    inputs : galcnn.model.InputSpec
        What the images are.
    masked_fraction : float
        Share of their pixels that were masked and filled.
    cutouts : mapping of str to galcnn.cutout.Cutout, or None
        Id -> the calibrated cutout behind an image, its field often wider: what is needed to put
        a galaxy further away in training.
    votes : galcnn.catalog.Votes or None
        What the labels are votes on; None where they are classes.
    """

    ids: tuple[str, ...]
    images: Any  # both give slices as arrays; a union would have to be told apart by all who only slice
    labels: npt.NDArray[Any]
    classes: tuple[str, ...]
    inputs: InputSpec
    masked_fraction: float = 0.0
    cutouts: Mapping[str, Cutout] | None = None
    votes: Votes | None = None

    def __post_init__(self) -> None:
        n = len(self.ids)
        labels = (n,) if self.votes is None else (n, len(self.votes.answers))
        if self.images.shape != (n, *self.inputs.image_shape) or self.labels.shape != labels:
            raise ValueError(
                message(
                    f"{n} images of shape {self.inputs.image_shape} and as many labels",
                    "",
                    images=self.images.shape,
                    labels=self.labels.shape,
                )
            )
        if len(self.classes) < 2:
            raise ValueError(
                message("at least two classes to tell apart", "Check the label column.", classes=self.classes)
            )

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counts(self) -> dict[str, int]:
        """Number of images of each class; of votes the number of all, as ``galaxies``."""
        if self.votes is not None:
            return {"galaxies": len(self)}
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, numbers, strict=True)}

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer] | Sequence[int]) -> Dataset:
        """Give some of the images.

        Parameters
        ----------
        rows : array of bool or int
            Which, and in which order.

        Returns
        -------
        Dataset
            With the same classes, whether or not each still occurs.
        """
        chosen = np.arange(len(self))[np.asarray(rows)]
        packed = isinstance(self.images, PackedImages)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in chosen),
            images=self.images.select(chosen) if packed else self.images[chosen],
            labels=self.labels[chosen],
        )

    def cached(self, megabytes: float) -> Dataset:
        """Hold the images in memory where they are small enough.

        Parameters
        ----------
        megabytes : float
            The most that they may take.

        Returns
        -------
        Dataset
            The same, read from its shards at once; or as it is.
        """
        if not isinstance(self.images, PackedImages) or self.images.nbytes > megabytes * 1e6:
            return self
        return replace(self, images=self.images[:])

    def sha256(self) -> str:
        """Hash ids, classes and pixels, so that a card can name its data.

        Returns
        -------
        str
            Hexadecimal.
        """
        digest = hashlib.sha256(repr((self.ids, self.classes, self.images.shape)).encode())
        digest.update(np.ascontiguousarray(self.labels).data)
        for start in range(0, len(self), _PIECE):
            digest.update(np.ascontiguousarray(self.images[start : start + _PIECE]).data)
        return digest.hexdigest()
