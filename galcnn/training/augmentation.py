"""Data augmentation: random orientation, zoom, shift, blur, noise, missing bands and redshift.

All changes are applied to calibrated images, before the stretch, where flux is additive. Masked pixels
have already been replaced by the fill value (zero), so their original values do not enter.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from galcnn.errors import message
from galcnn.model.inputs import FILL
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
    """Random changes of the training images, drawn anew in every epoch.

    They are applied to calibrated images, before the stretch, where flux is additive. Rotations, shifts
    and blur conserve the flux of a galaxy that lies within the image; a zoom conserves its surface
    brightness, as a change of distance does. Masked pixels are replaced by the fill value beforehand.

    Attributes
    ----------
    flips : bool
        If True, images are mirrored at random along x and y. Refused for chiral classes unless
        `flip_swaps` gives the class of their mirror images.
    rotations : {"none", "quarter", "any"}
        ``"quarter"``: multiples of 90 degrees, without interpolation. ``"any"``: in addition, half of
        the images are rotated by a random angle, with bilinear interpolation and reflected pixels
        beyond the edge. Interpolation smooths the noise, so the other half is not interpolated: a
        network that never sees unsmoothed noise does worse on it.
    zoom : float or None
        Largest relative change of size, at most 0.2: with more, the reflected pixels in the corners
        would show the galaxy again. Needs ``rotations="any"``, since both share one resampling. None
        means 0.1 with ``rotations="any"`` and 0 otherwise.
    shift : int
        Largest shift along each axis, in whole pixels.
    blur : float
        Largest standard deviation, in pixels, of the Gaussian with which images are convolved.
    noise : float
        Largest standard deviation of the added noise, in units of the sky noise of each band.
    band_dropout : float
        Probability that a band is replaced by the fill value, as if it were masked. At least one band
        is kept.
    flip_swaps : mapping of str to str
        Class -> class of its mirror image; naming one direction of a pair is enough.
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
            raise ValueError(message(f"flip swaps among {tuple(classes)}", "", unknown=unknown))
        if any(swaps[swaps[name]] != name for name in swaps):
            raise ValueError(
                message("pairs of classes that mirror each other", "", flip_swaps=dict(self.flip_swaps))
            )
        chiral = [name for name in classes if is_chiral(name) and name not in swaps]
        if self.flips and chiral:
            raise ValueError(
                message(
                    "classes that a mirror image keeps, or the swap a mirror makes",
                    f"Say --flip-swaps {chiral[0]}:PARTNER, merge them, or switch flips off: --no-flips.",
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
                    "Choose smaller ones.",
                    shift=self.shift,
                    blur=self.blur,
                    shape=shape,
                )
            )
        if self.rotations != "none" and shape[0] != shape[1]:
            raise ValueError(
                message("square images to rotate", "Crop them, or switch rotations off.", shape=shape)
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
        if self.flips or self.rotations != "none":
            images, labels = self._mirrored(images, labels, mirror, seed)
        if self.rotations == "any":
            images = _turn(images, seed + 1, self.zoom_range)
        if self.shift:
            images = _shift(images, self.shift, seed + 5)
        if self.blur:
            images = _blur(images, self.blur, seed + 6)
        if self.noise:
            images = _add_noise(images, self.noise, sky, seed + 7)
        if self.band_dropout:
            images = _drop_bands(images, self.band_dropout, seed + 9)
        return images, labels

    def _mirrored(self, images: Any, labels: Any, mirror: Any, seed: Any) -> tuple[Any, Any]:
        draws = tf.random.stateless_uniform((3, tf.shape(images)[0]), seed) < 0.5
        left, up, across = draws[0], draws[1], draws[2]
        if self.rotations == "none":
            across = tf.zeros_like(left)
        if not self.flips:
            # An even number of reflections is a rotation, which keeps the sense of winding.
            left = tf.math.logical_xor(up, across)
        images = _where(left, tf.reverse(images, [2]), images)
        images = _where(up, tf.reverse(images, [1]), images)
        images = _where(across, tf.transpose(images, (0, 2, 1, 3)), images)
        odd = tf.math.logical_xor(tf.math.logical_xor(left, up), across)
        if len(labels.shape) == 1:
            labels = tf.where(odd, tf.gather(mirror, labels), labels)
        else:
            labels = tf.where(odd[:, tf.newaxis], tf.gather(labels, mirror, axis=1), labels)
        return images, labels


def _where(mask: Any, yes: Any, no: Any) -> Any:
    # Select copies whole images; `tf.where` broadcasts its condition and is many times slower.
    return tf.raw_ops.Select(condition=mask, x=yes, y=no)


def _turn(images: Any, seed: Any, zoom: float) -> Any:
    """Rotate half of the images about the centre by up to 45 degrees, and zoom them."""
    n = tf.shape(images)[0]
    exact = tf.random.stateless_uniform((n,), seed + 2) < 0.5
    side = tf.cast(tf.shape(images)[1] - 1, tf.float32)
    angle = tf.random.stateless_uniform((n,), seed, -math.pi / 4, math.pi / 4)
    scale = tf.random.stateless_uniform((n,), seed + 1, 1 - zoom, 1 + zoom)
    cosine, sine = tf.cos(angle) / scale, tf.sin(angle) / scale
    offset_x = side / 2 * (1 - cosine + sine)
    offset_y = side / 2 * (1 - sine - cosine)
    zero = tf.zeros_like(angle)
    transform = tf.stack([cosine, -sine, offset_x, sine, cosine, offset_y, zero, zero], axis=1)
    turned = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=transform,
        output_shape=tf.shape(images)[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="REFLECT",
    )
    return _where(exact, images, turned)


def _shift(images: Any, most: int, seed: Any) -> Any:
    """Shift each image by whole pixels, without interpolation."""
    moves = tf.random.stateless_uniform((2, tf.shape(images)[0]), seed, -most, most + 1, dtype=tf.int32)
    for axis in (1, 2):
        side = images.shape[axis]
        place = tf.range(side)[tf.newaxis] - moves[axis - 1][:, tf.newaxis]
        place = tf.where(place < 0, -1 - place, place)
        place = tf.where(place >= side, 2 * side - 1 - place, place)
        images = tf.gather(images, place, axis=axis, batch_dims=1)
    return images


def _blur(images: Any, widest: float, seed: Any) -> Any:
    """Convolve each image with a normalised Gaussian."""
    width = tf.random.stateless_uniform((tf.shape(images)[0], 1), seed, 1e-3, widest)
    radius = math.ceil(3 * widest)
    offsets = tf.range(-radius, radius + 1, dtype=tf.float32)[tf.newaxis]
    weights = tf.nn.softmax(-0.5 * (offsets / width) ** 2, axis=1)
    for axis in (1, 2):
        side = images.shape[axis]
        frame = [[0, 0], [0, 0], [0, 0], [0, 0]]
        frame[axis] = [radius, radius]
        wide = tf.pad(images, frame, "SYMMETRIC")
        parts = [
            weights[:, k, tf.newaxis, tf.newaxis, tf.newaxis]
            * (wide[:, k : k + side] if axis == 1 else wide[:, :, k : k + side])
            for k in range(2 * radius + 1)
        ]
        images = tf.add_n(parts)
    return images


def _add_noise(images: Any, most: float, sky: Any, seed: Any) -> Any:
    """Add Gaussian noise to each image, except where pixels have the fill value."""
    share = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), seed, 0.0, most)
    noise = tf.random.stateless_normal(tf.shape(images), seed + 1)
    return tf.where(images == FILL, images, images + share * sky * noise)


def _drop_bands(images: Any, rate: float, seed: Any) -> Any:
    """Replace whole bands by the fill value, but never all bands of an image."""
    n, bands = tf.shape(images)[0], images.shape[-1]
    draw = tf.random.stateless_uniform((n, bands), seed)
    stays = (draw >= rate) | (draw >= tf.reduce_max(draw, axis=1, keepdims=True))
    return tf.where(stays[:, tf.newaxis, tf.newaxis], images, FILL)
