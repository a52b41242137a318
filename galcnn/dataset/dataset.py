"""Dataset: images with ids, and classes or votes."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn._runtime.representation import names, pixels, summary
from galcnn.catalog import Votes
from galcnn.cutout import Cutout
from galcnn.dataset.shards import PackedImages
from galcnn.errors import message
from galcnn.model import InputSpec

_PIECE = 256


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images of equal shape, bands and unit, with ids and with classes or votes.

    Attributes
    ----------
    ids : tuple of str
        One id per image.
    images : numpy.ndarray or galcnn.dataset.shards.PackedImages
        Images, float32, shape (n, ny, nx, n_bands), in memory or in shards on disk.
    labels : numpy.ndarray
        Class indices, int32, shape (n,); or votes, float32, shape (n, n_answers), see
        `galcnn.catalog.read_votes`.
    classes : tuple of str
        Class names, at least two; the answers if the labels are votes.
    inputs : galcnn.model.InputSpec
        Input specification of the images.
    masked_fraction : float
        Fraction of pixels that were masked and replaced by the fill value.
    cutouts : mapping of str to galcnn.cutout.Cutout, or None
        Id -> calibrated cutout of the galaxy, possibly with a wider field. Required to redshift
        galaxies in training.
    votes : galcnn.catalog.Votes or None
        Questions and answers of the votes; None if the labels are classes.
    left_out : mapping of str to str
        Id -> reason, for galaxies of the catalog whose images cannot be read.
    """

    ids: tuple[str, ...]
    images: Any  # slices of both types are arrays; a union type would need a check at every use
    labels: npt.NDArray[Any]
    classes: tuple[str, ...]
    inputs: InputSpec
    masked_fraction: float = 0.0
    cutouts: Mapping[str, Cutout] | None = None
    votes: Votes | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)

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
                message(
                    "at least two classes to tell apart",
                    "Name the column of the classes: --label.",
                    classes=self.classes,
                )
            )

    def __len__(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        spec, counts = self.inputs, [f"{name} {n}" for name, n in self.counts.items()]
        told = f"classes: {names(counts)}" if self.votes is None else f"votes: {names(self.classes)}"
        return summary(
            "Dataset",
            f"of {len(self)} images, {pixels(spec.shape)}, {names(spec.bands)}, {spec.unit}",
            told,
        )

    @property
    def counts(self) -> dict[str, int]:
        """Number of images per class; with votes, the number of all images as ``galaxies``."""
        if self.votes is not None:
            return {"galaxies": len(self)}
        numbers = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, numbers, strict=True)}

    def select(self, rows: npt.NDArray[np.bool_] | npt.NDArray[np.integer] | Sequence[int]) -> Dataset:
        """Return a subset of the images.

        Parameters
        ----------
        rows : array of bool or int
            Boolean mask, or row numbers in the wanted order.

        Returns
        -------
        Dataset
            Subset with the same classes, even if some no longer occur.
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
        """Read the images into memory if they are small enough.

        Parameters
        ----------
        megabytes : float
            Maximum size of the images in memory, MB.

        Returns
        -------
        Dataset
            Dataset with its images in memory; unchanged if they are larger or already in memory.
        """
        if not isinstance(self.images, PackedImages) or self.images.nbytes > megabytes * 1e6:
            return self
        return replace(self, images=self.images[:])

    def sha256(self) -> str:
        """Hash ids, classes, labels and pixels, to identify the data in a model card.

        Returns
        -------
        str
            SHA-256, hexadecimal.
        """
        digest = hashlib.sha256(repr((self.ids, self.classes, self.images.shape)).encode())
        digest.update(np.ascontiguousarray(self.labels).data)
        for start in range(0, len(self), _PIECE):
            digest.update(np.ascontiguousarray(self.images[start : start + _PIECE]).data)
        return digest.hexdigest()
