"""Run explainers on cutouts: from a trained model and a target to Explanations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any

import astropy.units as u
import keras
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.explain.explanation import (
    WRT,
    AtCells,
    AtNetworkLayer,
    CoarseMap,
    Context,
    Explainer,
    Explanation,
    FromBaseline,
    Wrt,
)
from galcnn.explain.gradients import target_scores
from galcnn.explain.graph import network_layer
from galcnn.explain.receptive import upright_grid
from galcnn.explain.target import Target
from galcnn.inputs import images_from, planes_from, prepare
from galcnn.model import TrainedModel
from galcnn.transforms.grid import stacked_psfs

__all__ = ["context_of", "explain", "stretched_images"]

_BATCH = 64


def explain(
    trained: TrainedModel,
    cutouts: Sequence[Cutout],
    *,
    explainers: Sequence[Explainer],
    targets: Target | Sequence[Target] | None = None,
    wrt: Wrt = "flux",
    ids: Sequence[str] | None = None,
) -> list[tuple[Explanation, ...]]:
    """Explain what a model says of some cutouts.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    cutouts : sequence of galcnn.cutout.Cutout
        In the model's bands, unit and shape, see `galcnn.inputs.prepare`.
    explainers : sequence of Explainer
        The methods.
    targets : Target or sequence of Target, optional
        One for all, or one a cutout; by default the logit of the class that the model finds most
        probable for each.
    wrt : {"flux", "stretched", "sigma"}
        With respect to the flux of the cutout, to what the network sees behind its
        preprocessing, or to the noise (the slope in flux times sigma). An amount of logits on a
        way through flux stays what it is when flux is counted in sigmas, and a map of features is
        the same whatever is said here: what was done stands in the explanation.
    ids : sequence of str, optional
        They key the random streams of methods that draw; numbers by default.

    Returns
    -------
    list of tuple of Explanation
        For each cutout, one for each explainer, in order. Masked pixels are NaN.

    Raises
    ------
    ValueError
        A cutout or a target does not fit, sigma is missing, or a method cannot work on this
        network.
    """
    if wrt not in WRT:
        raise ValueError(message(f"wrt among {WRT}", "", wrt=wrt))
    names = [str(i) for i in range(len(cutouts))] if ids is None else [str(name) for name in ids]
    n_targets = len(targets) if isinstance(targets, Sequence) else len(cutouts)
    if (n_targets, len(names)) != (len(cutouts), len(cutouts)):
        raise ValueError(
            message(
                f"one target and one id for each of {len(cutouts)} cutouts",
                "",
                n_targets=n_targets,
                n_ids=len(names),
            )
        )
    results: list[tuple[Explanation, ...]] = []
    for start in range(0, len(cutouts), _BATCH):
        piece = slice(start, start + _BATCH)
        own = targets[piece] if isinstance(targets, Sequence) else targets
        results += _explain_batch(trained, cutouts[piece], explainers, own, wrt, names[piece])
    return results


def stretched_images(
    trained: TrainedModel, cutouts: Sequence[Cutout], *, ids: Sequence[str]
) -> tuple[npt.NDArray[np.float32], Context]:
    """Give what the network sees of some cutouts, for methods that are called on the network itself.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    cutouts : sequence of galcnn.cutout.Cutout
        In its bands, unit and shape.
    ids : sequence of str
        One a cutout.

    Returns
    -------
    images : numpy.ndarray
        float32, shape (n, ny, nx, n_bands), behind the preprocessing.
    context : galcnn.explain.Context
        Sigma where all cutouts have it, mask, ids and the image of no flux, in the same unit.
    """
    fitting = [prepare(cutout, trained.card.inputs) for cutout in cutouts]
    images = images_from(fitting)
    stretched = keras.ops.convert_to_numpy(trained.preprocessing(images, training=False))
    seen = _stretched(trained, _Space(trained.model, images, context_of(fitting, ids)), stretched)
    return seen.images, seen.context


def _explain_batch(
    trained: TrainedModel,
    cutouts: Sequence[Cutout],
    explainers: Sequence[Explainer],
    targets: Target | Sequence[Target] | None,
    wrt: Wrt,
    ids: Sequence[str],
) -> list[tuple[Explanation, ...]]:
    fitting = [prepare(cutout, trained.card.inputs) for cutout in cutouts]
    images = images_from(fitting)
    # Called, not predicted: Keras' predict compiles a function for every model it is used on.
    stretched = keras.ops.convert_to_numpy(trained.preprocessing(images, training=False))
    logits = keras.ops.convert_to_numpy(trained.network(stretched, training=False))
    chosen = _targets(targets, logits, trained.classes)
    scores = np.sum(logits * np.array([t.weights for t in chosen]), axis=1)
    flux = _Space(trained.model, images, context_of(fitting, ids))
    seen = None
    columns = []
    for explainer in explainers:
        kind = _wrt(explainer, wrt)
        if kind == "stretched" and seen is None:
            seen = _stretched(trained, flux, stretched)
        space = seen if seen is not None and kind == "stretched" else flux
        columns.append(_explained(explainer, kind, space, fitting, (chosen, scores)))
    return [tuple(row) for row in zip(*columns, strict=True)]


def _explained(
    explainer: Explainer,
    wrt: Wrt,
    space: _Space,
    cutouts: Sequence[Cutout],
    goals: tuple[Sequence[Target], npt.NDArray[np.float32]],
) -> list[Explanation]:
    """Make the explanations of one method; `goals` are the targets and their values."""
    targets, scores = goals
    coarse: list[CoarseMap | None] = [None] * len(cutouts)
    if isinstance(explainer, AtCells):
        maps, cells = explainer.fine_and_coarse(space.network, space.images, targets)
        layer = network_layer(space.network, explainer.network_layer_of(space.network))
        grid = upright_grid(space.network, layer)
        coarse = [CoarseMap(plane, grid) for plane in cells]
    else:
        maps = explainer(space.network, space.images, targets, context=space.context)
    planes = planes_from(maps)
    if wrt == "sigma":
        planes = planes * _sigma(cutouts)
    starts: list[float | None] = [None] * len(cutouts)
    if isinstance(explainer, FromBaseline):
        baselines = explainer.baseline_images(space.images, context=space.context)
        starts = [float(start) for start in target_scores(space.network, baselines, targets)]
    made_at = explainer.network_layer_of(space.network) if isinstance(explainer, AtNetworkLayer) else ""
    explanations = []
    for i, (plane, cutout, target) in enumerate(zip(planes, cutouts, targets, strict=True)):
        attribution, bands = _masked(plane, cutout, explainer.per_band)
        explanations.append(
            Explanation(
                attribution,
                bands,
                method=explainer.name,
                target=target,
                wrt=wrt,
                unit=_per(cutout.unit) if explainer.kind == "slope" and wrt == "flux" else "",
                score=float(scores[i]),
                settings=_settings(explainer),
                baseline_score=starts[i],
                seed=getattr(explainer, "seed", None),
                network_layer=made_at,
                kind=explainer.kind,
                coarse=coarse[i],
            )
        )
    return explanations


def _per(unit: u.UnitBase) -> str:
    """Of a slope: one over the unit, as FITS writes it."""
    return f"{unit}-1" if isinstance(unit, u.NamedUnit) else str(unit**-1)


@dataclass(frozen=True, eq=False)
class _Space:
    """Where maps are made: in flux, or on what the network sees."""

    network: keras.Model
    images: npt.NDArray[np.float32]
    context: Context


def _wrt(explainer: Explainer, wrt: Wrt) -> Wrt:
    """Say with respect to what a method's map is, when a user asks for `wrt`."""
    if explainer.kind == "features":
        return "stretched"
    return "flux" if explainer.kind == "amount" and wrt == "sigma" else wrt


def _stretched(trained: TrainedModel, flux: _Space, stretched: npt.NDArray[np.float32]) -> _Space:
    def stretch(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        return np.asarray(keras.ops.convert_to_numpy(trained.preprocessing(images, training=False)))

    sigma = flux.context.sigma
    if sigma is not None:
        # By one sigma up and down in each band, since a preprocessing may mix bands.
        variance = np.zeros_like(stretched)
        for band in range(sigma.shape[-1]):
            step = np.zeros_like(sigma)
            step[..., band] = sigma[..., band]
            variance += ((stretch(flux.images + step) - stretch(flux.images - step)) / 2) ** 2
        sigma = np.sqrt(variance)
    zero = stretch(np.zeros_like(flux.images[:1]))[0]
    return _Space(trained.network, stretched, replace(flux.context, sigma=sigma, zero=zero))


def _masked(
    planes: npt.NDArray[np.float32], cutout: Cutout, per_band: bool
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    mask: npt.NDArray[np.bool_] = cutout.mask
    bands = cutout.bands
    if not per_band:  # the one map is known wherever any band is
        planes, mask, bands = planes[:1], np.all(mask, axis=0, keepdims=True), ("all",)
    return np.where(mask, np.float32(np.nan), planes), bands


def _targets(
    targets: Target | Sequence[Target] | None, logits: npt.NDArray[np.float32], classes: Sequence[str]
) -> list[Target]:
    if targets is None:
        return [Target.of_class(classes[i], classes) for i in np.argmax(logits, axis=1)]
    return [targets] * len(logits) if isinstance(targets, Target) else list(targets)


def context_of(cutouts: Sequence[Cutout], ids: Sequence[str]) -> Context:
    """Give what methods may need beside the images.

    Parameters
    ----------
    cutouts : sequence of galcnn.cutout.Cutout
        Of one shape.
    ids : sequence of str
        One a cutout.

    Returns
    -------
    Context
        Sigma where all have one, mask, and PSF where all have one on pixels of one kind (an odd or
        even number a side), zeros around the smaller ones.
    """
    unmasked = [
        replace(c, sigma=None, mask=np.zeros_like(c.mask), flux=c.mask.astype(np.float32)) for c in cutouts
    ]
    mask = images_from(unmasked) > 0
    sigma = [replace(c, flux=c.sigma, sigma=None) for c in cutouts if c.sigma is not None]
    known = len(sigma) == len(cutouts)
    return Context(sigma=images_from(sigma) if known else None, mask=mask, psf=_psfs(cutouts), ids=tuple(ids))


def _psfs(cutouts: Sequence[Cutout]) -> npt.NDArray[np.float32] | None:
    stack = stacked_psfs([cutout.psf for cutout in cutouts])
    if stack is None:
        return None
    planes = stack.reshape(len(cutouts), -1, *stack.shape[1:])
    return images_from([Cutout(psf, cutout.bands) for psf, cutout in zip(planes, cutouts, strict=True)])


def _sigma(cutouts: Sequence[Cutout]) -> npt.NDArray[np.float32]:
    planes = [cutout.sigma for cutout in cutouts if cutout.sigma is not None]
    if len(planes) != len(cutouts):
        raise ValueError(
            message(
                "the noise of every pixel for wrt='sigma'",
                "Load the cutouts with their sigma, or ask for wrt='flux'.",
                without_sigma=len(cutouts) - len(planes),
            )
        )
    return np.stack(planes)


def _settings(explainer: Explainer) -> dict[str, Any]:
    if is_dataclass(explainer) and not isinstance(explainer, type):
        return asdict(explainer)
    return {}
