"""Does a map stay the same where the galaxy does? Turned and mirrored, and moved within its noise."""

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


def equivariance(network: keras.Model, explainer: Explainer, sample: Sample) -> _Values:
    """Turn and mirror each image, turn its map back, and compare.

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    explainer : Explainer
        The method.
    sample : galcnn.faithfulness.Sample
        The galaxies.

    Returns
    -------
    numpy.ndarray
        Shape (n_orientations, n): norm of the change over the norm of the map; 7 orientations of
        a square image, 3 of others. A network that itself answers otherwise to a turned galaxy
        has another map: the error is of network and method together.
    """
    before = maps_of(network, explainer, sample)
    rows = []
    for turn, back in orientations(sample.images.shape[1] == sample.images.shape[2]):
        turned = replace(sample, images=turn(sample.images), context=_turned(sample.context, turn))
        rows.append(relative_change(before, back(maps_of(network, explainer, turned))))
    return np.stack(rows)


def orientations(square: bool) -> list[tuple[_Turn, _Turn]]:
    """List the ways to turn and mirror images, without the one that leaves them."""
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
    noise: float = 1.0,
    draws: int = 8,
    seed: int = 0,
) -> _Values:
    """Move every pixel a little, and find the largest change of the map (Yeh et al. 2019, arXiv:1901.09392).

    Parameters
    ----------
    network : keras.Model
        Ends in logits.
    explainer : Explainer
        The method.
    sample : galcnn.faithfulness.Sample
        The galaxies.
    noise : float
        By how many sigma of its own noise a pixel moves at most; uniform within.
    draws : int
        Over which the largest is taken: a lower bound of the true one.
    seed : int
        Of the moves, with the ids.

    Returns
    -------
    numpy.ndarray
        Shape (n,): norm of the change over the norm of the map.

    Raises
    ------
    ValueError
        No draw, or an image without noise that could be seen.
    """
    if draws < 1 or noise <= 0:
        raise ValueError(message("a draw or more, and noise above 0", "", draws=draws, noise=noise))
    reach = noise * noise_of(sample.images, sample.context)
    before = maps_of(network, explainer, sample)
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
