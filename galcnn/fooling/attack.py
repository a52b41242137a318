"""What an attack is, and the unit in which it counts what it does to a pixel. No Keras here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from galcnn.errors import message

if TYPE_CHECKING:
    import keras

    from galcnn.explain.explanation import Context
    from galcnn.explain.target import Target

__all__ = ["UNITS", "Attack", "Unit", "as_box", "check_within", "pixel_scale", "psf_stack"]

#: A pixel's change is counted in standard deviations of its noise, or in the unit of the image.
Unit = Literal["sigma", "image"]
UNITS: tuple[Unit, ...] = ("sigma", "image")

Images = npt.NDArray[np.floating[Any]]


class Attack(Protocol):
    """A way to fool a network. Its fields are its settings.

    Attributes
    ----------
    name : str
        Short.
    from_sky : bool
        Whether it makes images out of a blank sky instead of changing galaxies.
    confidence : float
        Probability of what the target wants, among all that it weighs, at which the attack is a
        success; at 0.5 and below it is enough that the best wanted class comes first.
    """

    @property
    def name(self) -> str: ...

    @property
    def from_sky(self) -> bool: ...

    @property
    def confidence(self) -> float: ...

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Make the images.

        Parameters
        ----------
        network : keras.Model
            Ends in logits; left as it is.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image. It is reached where the best of the classes that it
            weighs most exceeds the best of those that it weighs least.
        context : Context, optional
            Sigma, mask (masked pixels stay as they are, bit by bit), PSF and ids.

        Returns
        -------
        numpy.ndarray
            Shape of `images`.
        """
        ...


def pixel_scale(images: Images, context: Context | None, unit: Unit) -> Images:
    """Give what one unit of change is in each pixel.

    Parameters
    ----------
    images : numpy.ndarray
        Shape (n, ny, nx, n_bands).
    context : Context or None
        Sigma and mask.
    unit : {"sigma", "image"}
        The noise of the pixel, or 1.

    Returns
    -------
    numpy.ndarray
        Type of `images`, 0 in masked pixels. Shape of `images`, or (n, 1, 1, 1) where all pixels
        of an image are alike.

    Raises
    ------
    ValueError
        The noise is asked for and not known.
    """
    mask = None if context is None else context.mask
    if unit == "image":
        if mask is None or not mask.any():
            return np.ones((len(images), 1, 1, 1), dtype=images.dtype)
        return (~mask).astype(images.dtype)
    sigma = None if context is None else context.sigma
    if sigma is None:
        raise ValueError(
            message(
                "the noise of every pixel for an attack in sigma",
                "Load the images with their sigma, or attack with unit='image' (--unit image).",
                unit=unit,
            )
        )
    scale = sigma.astype(images.dtype) if mask is None else np.where(mask, 0, sigma).astype(images.dtype)
    if not np.all(np.isfinite(scale)) or scale.min() < 0 or not np.all(scale.any(axis=(1, 2, 3))):
        raise ValueError(
            message(
                "noise that is finite, not negative and above zero somewhere in each image",
                "Mask pixels without noise.",
                lowest=float(scale.min()),
                highest=float(scale.max()),
            )
        )
    return scale


def psf_stack(context: Context | None, n: int) -> npt.NDArray[np.float32]:
    """Give the PSFs that perturbations are convolved with.

    Parameters
    ----------
    context : Context or None
        With `psf`.
    n : int
        Images.

    Returns
    -------
    numpy.ndarray
        Shape (n, py, px, n_bands).

    Raises
    ------
    ValueError
        There are none.
    """
    if context is None or context.psf is None:
        raise ValueError(
            message(
                "the PSF of every image for perturbations that a telescope could see",
                "Load the images with their PSF, or attack with light='pixels'.",
                psf=None,
            )
        )
    if len(context.psf) != n:
        raise ValueError(message(f"one PSF for each of {n} images", "", n_psfs=len(context.psf)))
    return context.psf


def as_box(lower: float | None, upper: float | None) -> tuple[float, float]:
    """Give the bounds of a pixel.

    Parameters
    ----------
    lower, upper : float or None
        None is no bound.

    Returns
    -------
    tuple of float
        With infinities.

    Raises
    ------
    ValueError
        They leave no room.
    """
    low, high = -np.inf if lower is None else float(lower), np.inf if upper is None else float(upper)
    if not low < high:
        raise ValueError(message("lower < upper", "", lower=lower, upper=upper))
    return low, high


def check_within(images: Images, box: tuple[float, float]) -> None:
    """Refuse images that lie outside the box before they are attacked.

    Parameters
    ----------
    images : numpy.ndarray
        Any.
    box : tuple of float
        Lowest and highest value.

    Raises
    ------
    ValueError
        A pixel lies outside, or is not finite.
    """
    low, high = float(np.min(images)), float(np.max(images))
    if not (box[0] <= low and high <= box[1] and np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            message(f"finite images from {box[0]:g} to {box[1]:g}", "", lowest=low, highest=high)
        )
