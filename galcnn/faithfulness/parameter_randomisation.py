"""Model parameter randomisation test (Adebayo et al. 2018, arXiv:1810.03292).

The weights of the network are randomised, from the output down (*cascading*) or one stage at a time
(*independent*), and the maps are compared with those of the trained network. A map that does not
change depends on the image only, not on what the network has learned.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Literal

import keras
import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata
from skimage.metrics import structural_similarity

from galcnn._runtime import seeding
from galcnn.errors import message
from galcnn.explain import Explainer
from galcnn.faithfulness.sample import Sample, maps_of
from galcnn.model import network_layers
from galcnn.model.weights import refresh

Mode = Literal["cascading", "independent"]

_Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Similarities:
    """Similarity of maps before and after weights are randomised.

    Attributes
    ----------
    stages : tuple of str
        First layer of each stage, from the last stage of the network to the first.
    rank, signed_rank : numpy.ndarray
        Spearman's rank correlation of the absolute maps, and absolute value of that of the signed
        maps (an untrained network may have either sign), shape (n_stages, n).
    ssim, signed_ssim : numpy.ndarray
        Structural similarity of absolute and of signed maps, shape (n_stages, n).
    """

    stages: tuple[str, ...]
    rank: _Values
    signed_rank: _Values
    ssim: _Values
    signed_ssim: _Values


def randomisation(
    network: keras.Model,
    explainer: Explainer,
    sample: Sample,
    *,
    seed: int = 0,
    maps: npt.NDArray[np.float32] | None = None,
) -> dict[Mode, Similarities]:
    """Compare maps of a network with those of the same network with random weights.

    Parameters
    ----------
    network : keras.Model
        Functional or sequential model that ends in logits. It is not changed.
    explainer : Explainer
        The attribution method.
    sample : galcnn.faithfulness.Sample
        The galaxies.
    seed : int
        Random seed of the weights.
    maps : numpy.ndarray, optional
        Maps of the sample, from `galcnn.faithfulness.sample.maps_of`, if they are known.

    Returns
    -------
    dict of str to Similarities
        Similarities for each stage: ``cascading`` with this stage and all later ones of the network
        randomised, so that the last entry is for a fully random network; ``independent`` with this
        stage only.

    Raises
    ------
    ValueError
        If the network has no weights, or is neither functional nor sequential.
    """
    names = stages(network)
    copy = keras.models.clone_model(network)
    before = maps_of(network, explainer, sample) if maps is None else maps
    chosen: dict[Mode, list[tuple[tuple[str, ...], ...]]] = {
        "cascading": [tuple(names[: i + 1]) for i in range(len(names))],
        "independent": [(stage,) for stage in names],
    }
    found, known = {}, dict[tuple[tuple[str, ...], ...], tuple[_Values, ...]]()
    last: tuple[tuple[str, ...], ...] | None = None
    for mode, turns in chosen.items():
        rows = []
        for turn in turns:
            if turn not in known:  # the last stage alone comes in both modes
                differing = None if last is None else set(chain(*turn)) ^ set(chain(*last))
                redrawn(copy, network, turn, seed=seed, only=differing)
                last = turn
                known[turn] = _compared(before, maps_of(copy, explainer, sample))
            rows.append(known[turn])
        found[mode] = Similarities(
            tuple(stage[0] for stage in names), *map(np.array, zip(*rows, strict=True))
        )
    return found


def stages(network: keras.Model) -> list[tuple[str, ...]]:
    """Group layers with weights into stages, last first; each starts at a layer with a kernel."""
    groups: list[list[str]] = []
    for name, layer in _with_weights(network).items():
        if isinstance(layer, keras.layers.Normalization):  # statistics of images, nothing that is learned
            continue
        if not groups or any(len(variable.shape) > 1 for variable in layer.weights):
            groups.append([])
        groups[-1].append(name)
    if not groups:
        raise ValueError(
            message(
                "a functional or sequential Keras model with weights",
                "Build the network with the functional API.",
                network=network.name,
                kind=type(network).__name__,
            )
        )
    return [tuple(group) for group in reversed(groups)]


def redrawn(
    copy: keras.Model,
    network: keras.Model,
    names: Sequence[Sequence[str]],
    *,
    seed: int = 0,
    only: Collection[str] | None = None,
) -> None:
    """Copy the weights of a network to its copy, but randomise those of some layers.

    With `only`, the other layers of the copy are left as they are: a network of a hundred layers is
    randomised layer by layer, and drawing all of it each time would take most of the time.
    """
    chosen = set(chain(*names))
    copies = _with_weights(copy)
    for name, layer in _with_weights(network).items():
        if only is not None and name not in only:
            continue
        values = layer.get_weights()
        if name in chosen:
            rng = seeding.generator(seed, "redrawn", name)
            values = [_drawn(value, rng) for value in values]
        copies[name].set_weights(values)
        refresh(copies[name])


def _with_weights(network: keras.Model) -> dict[str, Any]:
    """Return the layers with weights of their own by the name of their first call."""
    found: dict[str, Any] = {}
    for name, step in network_layers(network).items():
        layer = step.layer
        own = not isinstance(layer, keras.Model) and getattr(layer, "weights", [])
        if own and not any(layer is other for other in found.values()):
            found[name] = layer
    return found


def _drawn(values: npt.NDArray[Any], rng: np.random.Generator) -> npt.NDArray[Any]:
    """Draw a kernel from a normal distribution with the rms of the trained one; shuffle vectors."""
    if values.ndim < 2:
        return rng.permutation(values) if values.ndim else values
    size = np.sqrt(np.mean(np.square(values, dtype=np.float64)))
    return rng.normal(0.0, size, values.shape).astype(values.dtype)


def _compared(before: npt.NDArray[np.float32], after: npt.NDArray[np.float32]) -> tuple[_Values, ...]:
    # Outside the network's field of view both maps are zero: this must not count as similarity.
    seen = np.any(before, axis=(0, 3)) | np.any(after, axis=(0, 3))
    rows, columns = (np.flatnonzero(np.any(seen, axis=axis)) for axis in (1, 0))
    if not len(rows):
        return (np.full(len(before), np.nan),) * 4
    field = (slice(None), slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    sizes, signs = (
        [folded(maps[field], signed=signed) for maps in (before, after)] for signed in (False, True)
    )
    return rank_correlation(*sizes), np.abs(rank_correlation(*signs)), ssim(*sizes), ssim(*signs)


_Maps = npt.NDArray[np.floating[Any]]


def folded(maps: _Maps, *, signed: bool) -> _Values:
    """Sum maps over bands, if not `signed` after taking absolute values; shape (n, ny, nx)."""
    exact = np.asarray(maps, dtype=np.float64)
    total: _Values = (exact if signed else np.abs(exact)).sum(axis=-1)
    return total


def rank_correlation(first: _Maps, second: _Maps) -> _Values:
    """Spearman's rank correlation over the pixels of each pair of maps, shape (n,)."""
    a, b = (rankdata(x.reshape(len(x), -1), axis=1) for x in _paired(first, second))
    a, b = (x - x.mean(axis=1, keepdims=True) for x in (a, b))
    return _over((a * b).sum(axis=1), np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)))


def ssim(first: _Maps, second: _Maps) -> _Values:
    """Structural similarity (Wang et al. 2004) of each pair of maps, normalised by their largest values."""
    _paired(first, second)
    found = np.full(len(first), np.nan)
    if min(first.shape[1:]) < 7:  # the window
        return found
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        peaks = np.abs(a).max(), np.abs(b).max()
        if min(peaks) > 0:
            found[i] = structural_similarity(
                np.asarray(a / peaks[0], dtype=np.float64),
                np.asarray(b / peaks[1], dtype=np.float64),
                data_range=1.0,
            )
    return found


def relative_change(before: _Maps, after: _Maps) -> _Values:
    """Norm of the change of each map over its norm before: 1.41 for an unrelated map of equal norm."""
    a, b = (np.asarray(x, dtype=np.float64).reshape(len(x), -1) for x in _paired(before, after))
    return _over(np.linalg.norm(b - a, axis=1), np.linalg.norm(a, axis=1))


def top_overlap(before: _Maps, after: _Maps, *, share: float = 0.05) -> _Values:
    """Fraction of the largest pixels of each map that are also among the largest of the other, shape (n,)."""
    if not 0 < share < 1:
        raise ValueError(message("a share between 0 and 1", "", share=share))
    a, b = (x.reshape(len(x), -1) for x in _paired(before, after))
    top = max(1, round(share * a.shape[1]))
    firsts, seconds = (np.argsort(-x, axis=1, kind="stable")[:, :top] for x in (a, b))
    hits = np.array([len(np.intersect1d(i, j)) / top for i, j in zip(firsts, seconds, strict=True)])
    flat = (np.ptp(a, axis=1) == 0) | (np.ptp(b, axis=1) == 0)
    return np.where(flat, np.nan, hits)


def _paired(first: _Maps, second: _Maps) -> tuple[_Maps, _Maps]:
    if first.shape != second.shape:
        raise ValueError(message("two sets of maps of one shape", "", first=first.shape, second=second.shape))
    return first, second


def _over(part: _Values, whole: _Values) -> _Values:
    ratio: _Values = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return ratio
