"""Stability of maps under rotation and reflection, and under changes within the noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.explain import Context, Explainer
from galcnn.explain.baselines import noise_of
from galcnn.faithfulness.parameter_randomisation import relative_change
from galcnn.faithfulness.sample import Sample, maps_of, moved

_Values = npt.NDArray[np.float64]
_Images = npt.NDArray[Any]
_Turn = Callable[[_Images], _Images]


def equivariance(
    network: keras.Model,
    explainer: Explainer,
    sample: Sample,
    *,
    maps: npt.NDArray[np.float32] | None = None,
) -> _Values:
    """Measure how much a map changes if the image is rotated or mirrored and the map transformed back.

    Parameters
    ----------
    network : keras.Model
        Network that ends in logits.
    explainer : Explainer
        The attribution method.
    sample : galcnn.faithfulness.Sample
        The galaxies.
    maps : numpy.ndarray, optional
        Maps of the sample, from `galcnn.faithfulness.sample.maps_of`, if they are known.

    Returns
    -------
    numpy.ndarray
        Norm of the change over the norm of the map, shape (n_orientations, n), with 7 orientations
        for square images and 3 for others. It includes the change of the network's own output: a
        network that is not equivariant has another map for the rotated galaxy.
    """
    before = maps_of(network, explainer, sample) if maps is None else maps
    rows = []
    for turn, back in orientations(sample.images.shape[1] == sample.images.shape[2]):
        turned = replace(sample, images=turn(sample.images), context=_turned(sample.context, turn))
        rows.append(relative_change(before, back(maps_of(network, explainer, turned))))
    return np.stack(rows)


def orientations(square: bool) -> list[tuple[_Turn, _Turn]]:
    """List the transformations that rotate or mirror images, each with its inverse."""
    found: list[tuple[_Turn, _Turn]] = []
    for mirrored in (False, True):
        for quarters in range(4) if square else (0, 2):
            if not mirrored and not quarters:
                continue

            def turn(images: _Images, quarters: int = quarters, mirrored: bool = mirrored) -> _Images:
                first = images[:, ::-1] if mirrored else images
                return np.ascontiguousarray(np.rot90(first, quarters, axes=(1, 2)))

            def back(images: _Images, quarters: int = quarters, mirrored: bool = mirrored) -> _Images:
                first = np.rot90(images, -quarters, axes=(1, 2))
                return np.ascontiguousarray(first[:, ::-1] if mirrored else first)

            found.append((turn, back))
    return found


def sensitivity(
    network: keras.Model,
    explainer: Explainer,
    sample: Sample,
    *,
    epsilon: float = 1.0,
    draws: int = 8,
    seed: int = 0,
    maps: npt.NDArray[np.float32] | None = None,
) -> _Values:
    """Measure the largest change of a map under small changes of the image (Yeh et al. 2019).

    Maximal sensitivity, arXiv:1901.09392.

    Parameters
    ----------
    network : keras.Model
        Network that ends in logits.
    explainer : Explainer
        The attribution method.
    sample : galcnn.faithfulness.Sample
        The galaxies.
    epsilon : float
        Largest change of a pixel in sigma of its noise; changes are uniform within it.
    draws : int
        Number of random changes. The largest change of the map among them is a lower bound of the
        true maximum.
    seed : int
        Random seed of the changes, combined with the ids.
    maps : numpy.ndarray, optional
        Maps of the sample, from `galcnn.faithfulness.sample.maps_of`, if they are known.

    Returns
    -------
    numpy.ndarray
        Norm of the change over the norm of the map, shape (n,).

    Raises
    ------
    ValueError
        If `draws` or `epsilon` is not positive, or an image has no noise.
    """
    if draws < 1 or epsilon <= 0:
        raise ValueError(message("at least one draw and epsilon above 0", "", draws=draws, epsilon=epsilon))
    reach = epsilon * noise_of(sample.images, sample.context)
    before = maps_of(network, explainer, sample) if maps is None else maps
    largest = np.full(len(before), -np.inf)
    for draw in range(draws):
        near = moved(sample, reach, lambda rng, shape: rng.uniform(-1, 1, shape), seed, "sensitivity", draw)
        change = relative_change(before, maps_of(network, explainer, near))
        largest = np.maximum(largest, change)  # NaN stays NaN
    return largest


def _turned(context: Context, turn: _Turn) -> Context:
    return replace(
        context,
        sigma=None if context.sigma is None else turn(context.sigma),
        mask=None if context.mask is None else turn(context.mask),
        zero=None if context.zero is None else turn(context.zero[np.newaxis])[0],  # shape (ny, nx, n_bands)
    )
