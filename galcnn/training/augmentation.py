"""Data augmentation: random orientation, zoom, shift, blur, noise, missing bands and redshift.

All changes are applied to calibrated images, before the stretch, where flux is additive. Masked pixels
have already been replaced by the fill value (zero), so their original values do not enter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from galcnn.errors import did_you_mean, message
from galcnn.training.redshifts import RandomRedshift

#: Class names that state a sense of winding, which a mirror image reverses.
_CHIRAL = re.compile(
    r"(^|[^a-z])(a?cw|ccw|(anti|counter)?-?_?clockwise|[sz]-?_?wise)([^a-z]|$)", re.IGNORECASE
)


def is_chiral(name: str) -> bool:
    """Tell whether a class name states a sense of winding.

    Parameters
    ----------
    name : str
        Name of a class.

    Returns
    -------
    bool
        True for names such as ``spiral_cw`` or ``anticlockwise``.

    Examples
    --------
    >>> is_chiral("spiral_acw"), is_chiral("spiral")
    (True, False)
    """
    return _CHIRAL.search(name) is not None


@dataclass(frozen=True)
class Augmentation:
    """Random changes of the training images, drawn again in every epoch.

    They are applied to calibrated images, before the stretch, where flux is additive. Rotations, shifts
    and blur conserve the flux of a galaxy that lies within the image; a zoom conserves its surface
    brightness, as a change of distance does. Masked pixels are replaced by the fill value beforehand.

    Attributes
    ----------
    flips : bool
        If true, images are mirrored at random along x and y. Refused for chiral classes unless
        `flip_swaps` gives the class of their mirror images.
    rotations : {"none", "quarter", "any"}
        Random rotations: none, by quarter turns, or by any angle.
        ``"quarter"``: multiples of 90 degrees, without interpolation. ``"any"``: in addition, half of
        the images are rotated by a random angle, with bilinear interpolation and reflected pixels
        beyond the edge. Interpolation smooths the noise, so the other half is not interpolated: a
        network that never sees unsmoothed noise does worse on it.
    zoom : float or None
        Largest relative change of size, at most 0.2; needs rotations by any angle. With more, the
        reflected pixels in the corners would show the galaxy again. Zoom and rotation share one
        resampling. None means 0.1 with ``rotations="any"`` and 0 otherwise.
    shift : int
        Largest shift along each axis, in whole pixels.
    blur : float
        Largest standard deviation of a Gaussian blur, in pixels.
    noise : float
        Largest standard deviation of the added noise, in units of the sky noise of each band.
    band_dropout : float
        Probability that a band is removed, as if it were masked. At least one band
        is kept.
    flip_swaps : mapping of str to str
        Class of the mirror image of a class, such as ``spiral_cw=spiral_acw``. One direction is enough.
    redshift : RandomRedshift or None
        Random redshifts, applied with `galcnn.redshifting` before all other changes.
    """

    flips: bool = True
    rotations: Literal["none", "quarter", "any"] = "any"
    zoom: float | None = None
    shift: int = 0
    blur: float = 0.0
    noise: float = 0.0
    band_dropout: float = 0.0
    flip_swaps: Mapping[str, str] = field(default_factory=dict)
    redshift: RandomRedshift | None = None

    def __post_init__(self) -> None:
        if self.rotations not in ("none", "quarter", "any"):
            raise ValueError(
                message("rotations among ('none', 'quarter', 'any')", "", rotations=self.rotations)
            )
        if not 0 <= self.zoom_range <= 0.2 or (self.zoom and self.rotations != "any"):
            raise ValueError(
                message(
                    "a zoom in [0, 0.2], and 0 unless rotations are 'any'",
                    "",
                    zoom=self.zoom,
                    rotations=self.rotations,
                )
            )

        if min(self.shift, self.blur, self.noise) < 0 or not 0 <= self.band_dropout < 1:
            raise ValueError(
                message(
                    "shift, blur and noise of 0 or more, band dropout in [0, 1)",
                    "",
                    shift=self.shift,
                    blur=self.blur,
                    noise=self.noise,
                    band_dropout=self.band_dropout,
                )
            )

    @property
    def zoom_range(self) -> float:
        """Largest relative change of size, with the default resolved."""
        if self.zoom is None:
            return 0.1 if self.rotations == "any" else 0.0
        return self.zoom

    def mirror_of(self, classes: Sequence[str]) -> npt.NDArray[np.int32]:
        """Return the class of the mirror image of each class.

        Parameters
        ----------
        classes : sequence of str
            Class names, in the order of the logits.

        Returns
        -------
        numpy.ndarray
            Indices into `classes`, int32; the identity if images are not mirrored.

        Raises
        ------
        ValueError
            If a chiral class has no partner, or a name is not a class.
        """
        swaps = dict(self.flip_swaps) | {b: a for a, b in self.flip_swaps.items()}
        if unknown := sorted(set(swaps) - set(classes)):
            raise ValueError(
                message(
                    f"flip swaps among {tuple(classes)}", did_you_mean(unknown[0], classes), unknown=unknown
                )
            )
        if any(swaps[swaps[name]] != name for name in swaps):
            raise ValueError(
                message("pairs of classes that mirror each other", "", flip_swaps=dict(self.flip_swaps))
            )
        chiral = [name for name in classes if is_chiral(name) and name not in swaps]
        if self.flips and chiral:
            raise ValueError(
                message(
                    "classes that mirroring does not change",
                    f"Name the mirror class: --set training.augmentation.flip_swaps.{chiral[0]}=CLASS; or "
                    "merge them (--merge), or do not mirror: --set training.augmentation.flips=false.",
                    chiral=chiral,
                )
            )
        mirrored = [swaps.get(name, name) if self.flips else name for name in classes]
        return np.array([list(classes).index(name) for name in mirrored], dtype=np.int32)

    def check(self, shape: tuple[int, int]) -> None:
        """Check that the augmentation can be applied to images of this shape.

        Parameters
        ----------
        shape : tuple of int
            Image shape in pixels, (ny, nx).

        Raises
        ------
        ValueError
            If images to rotate are not square, or the shift or three times the blur exceeds a third
            of the shorter side.
        """
        if max(self.shift, 3 * self.blur) > min(shape) / 3:
            raise ValueError(
                message(
                    "a shift, and three times a blur, of at most a third of the image",
                    "Choose a smaller shift or blur.",
                    shift=self.shift,
                    blur=self.blur,
                    shape=shape,
                )
            )
        if self.rotations != "none" and shape[0] != shape[1]:
            raise ValueError(
                message(
                    "square images to rotate",
                    "Crop them (--size), or do not rotate: --set training.augmentation.rotations=none.",
                    shape=shape,
                )
            )

    def apply(self, images: Any, labels: Any, mirror: Any, seed: Any, *, sky: Any = None) -> tuple[Any, Any]:
        """Apply random changes to a batch, drawn for each image.

        Parameters
        ----------
        images : tensor
            Calibrated images, shape (n, ny, nx, n_bands), float32.
        labels : tensor
            Class indices, int32, shape (n,); or one value per class, shape (n, n_classes).
        mirror : tensor
            Class indices from `mirror_of`.
        seed : tensor
            Seed of two integers; the same seed gives the same changes.
        sky : tensor, optional
            Sky noise of each band, in the unit of the images. Required if `noise` is not 0.

        Returns
        -------
        tuple of tensor
            Images and labels; a mirrored galaxy has the class (or values) of its mirror image.
        """
        from galcnn.training import random_changes as change  # imports TensorFlow

        if self.flips or self.rotations != "none":
            turns = self.rotations != "none"
            images, labels = change.mirror(
                images, labels, mirror, seed, flips=self.flips, quarter_turns=turns
            )
        if self.rotations == "any":
            images = change.turn(images, seed + 1, self.zoom_range)
        if self.shift:
            images = change.shift(images, self.shift, seed + 5)
        if self.blur:
            images = change.blur(images, self.blur, seed + 6)
        if self.noise:
            images = change.add_noise(images, self.noise, sky, seed + 7)
        if self.band_dropout:
            images = change.drop_bands(images, self.band_dropout, seed + 9)
        return images, labels
