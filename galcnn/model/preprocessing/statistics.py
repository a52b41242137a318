"""Statistics of the training set, computed piece by piece so that it may exceed the memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.transforms.background import SKY_FRAME, sky_statistics

_PIECE = 256


class ImageStack(Protocol):
    """Stack of images of shape (n, ny, nx, n_bands): an array, or an object whose slices are arrays."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape (n, ny, nx, n_bands)."""

    def __len__(self) -> int:
        """Return the number of images."""

    def __getitem__(self, rows: slice, /) -> Any:
        """Read a slice of the images."""


def pieces(images: ImageStack) -> Iterator[npt.NDArray[np.float32]]:
    """Read images piece by piece."""
    for start in range(0, len(images), _PIECE):
        yield np.asarray(images[start : start + _PIECE], dtype=np.float32)


def moments(images: ImageStack) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Measure mean and covariance of the bands over all pixels, in two passes in double precision."""
    n_bands, n_pixels = images.shape[-1], int(np.prod(images.shape[:-1]))
    mean = np.zeros(n_bands)
    for piece in pieces(images):
        mean += piece.reshape(-1, n_bands).sum(axis=0, dtype=np.float64) / n_pixels
    covariance = np.zeros((n_bands, n_bands))
    # A second pass about the mean: the difference of sum of squares and squared sum loses precision.
    for piece in pieces(images):
        offsets = piece.reshape(-1, n_bands) - mean
        covariance += offsets.T @ offsets / n_pixels
    if not np.all(np.diag(covariance) > 0):
        variance = np.diag(covariance).tolist()
        raise ValueError(message("images that vary in every band", "Drop the empty band.", variance=variance))
    return mean, covariance


def sky_noise(images: ImageStack) -> npt.NDArray[np.float64]:
    """Return the median sky noise of each band, measured at the border of the images."""
    noise: npt.NDArray[np.float64] = np.median(
        np.concatenate([frame_noise(piece) for piece in pieces(images)]), axis=0
    )
    return noise


def frame_noise(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Measure the noise at the border of images (n, ny, nx, n_bands); return an array (n, n_bands)."""
    return sky_statistics(np.moveaxis(images, -1, 1), border=SKY_FRAME)[1]
