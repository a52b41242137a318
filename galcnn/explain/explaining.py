"""Run explainers on cutouts: from a trained model and a target to Explanations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, is_dataclass, replace
from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.explain.explanation import WRT, Context, Explainer, Explanation, Target, Wrt
from galcnn.inputs import images_from, planes_from, prepare
from galcnn.model import TrainedModel

__all__ = ["explain"]

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
        preprocessing, or to the noise (the slope in flux times sigma). A method whose map is an
        amount of logits and not a slope is made on what the network sees, whatever is said here.
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
    results: list[tuple[Explanation, ...]] = []
    for start in range(0, len(cutouts), _BATCH):
        piece = slice(start, start + _BATCH)
        own = targets[piece] if isinstance(targets, Sequence) else targets
        results += _explain_batch(trained, cutouts[piece], explainers, own, wrt, names[piece])
    return results


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
    columns = []
    for explainer in explainers:
        kind: Wrt = wrt if explainer.per_unit else "stretched"
        network, seen = (trained.network, stretched) if kind == "stretched" else (trained.model, images)
        maps = explainer(network, seen, chosen, context=_context(fitting, ids))
        planes = planes_from(maps)
        if kind == "sigma":
            planes = planes * _sigma(fitting)
        columns.append(
            [
                _explanation(explainer, plane, cutout, target, kind, float(score))
                for plane, cutout, target, score in zip(planes, fitting, chosen, scores, strict=True)
            ]
        )
    return [tuple(row) for row in zip(*columns, strict=True)]


def _explanation(
    explainer: Explainer,
    planes: npt.NDArray[np.float32],
    cutout: Cutout,
    target: Target,
    wrt: Wrt,
    score: float,
) -> Explanation:
    mask: npt.NDArray[np.bool_] = cutout.mask
    bands = cutout.bands
    if not explainer.per_band:  # the one map is known wherever any band is
        planes, mask, bands = planes[:1], np.all(mask, axis=0, keepdims=True), ("all",)
    planes = np.where(mask, np.float32(np.nan), planes)
    return Explanation(
        attribution=planes,
        bands=bands,
        method=explainer.name,
        target=target,
        wrt=wrt,
        unit=f"{cutout.unit}-1" if wrt == "flux" else "",
        score=score,
        settings=_settings(explainer),
        seed=getattr(explainer, "seed", None),
    )


def _targets(
    targets: Target | Sequence[Target] | None, logits: npt.NDArray[np.float32], classes: Sequence[str]
) -> list[Target]:
    if targets is None:
        return [Target.of_class(classes[i], classes) for i in np.argmax(logits, axis=1)]
    chosen = [targets] * len(logits) if isinstance(targets, Target) else list(targets)
    if len(chosen) != len(logits):
        raise ValueError(message(f"one target for each of {len(logits)} cutouts", "", n_targets=len(chosen)))
    return chosen


def _context(cutouts: Sequence[Cutout], ids: Sequence[str]) -> Context:
    unmasked = [
        replace(c, sigma=None, mask=np.zeros_like(c.mask), flux=c.mask.astype(np.float32)) for c in cutouts
    ]
    mask = images_from(unmasked) > 0
    sigma = [replace(c, flux=c.sigma, sigma=None) for c in cutouts if c.sigma is not None]
    known = len(sigma) == len(cutouts)
    return Context(sigma=images_from(sigma) if known else None, mask=mask, ids=tuple(ids))


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
