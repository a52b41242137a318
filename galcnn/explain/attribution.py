"""Application of explainers to cutouts: from a trained model and targets to Explanations."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any

import astropy.units as u
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
from galcnn.model import Target, TrainedModel, images_from, planes_from, prepare
from galcnn.model.forward import outputs
from galcnn.model.gradients import target_scores
from galcnn.model.graph import network_layer
from galcnn.model.inputs import FILL, channels_last
from galcnn.model.receptive import upright_grid
from galcnn.transforms.grid import stacked_psfs

_BATCH = 64

Images = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Inputs and logits of a model for some cutouts, computed once and shared by all methods.

    The properties are computed on first access.

    Attributes
    ----------
    trained : galcnn.model.TrainedModel
        Trained model.
    cutouts : tuple of galcnn.cutout.Cutout
        Cutouts in the bands, unit and shape of the model.
    images : numpy.ndarray
        Images before the preprocessing, float32, shape (n, ny, nx, n_bands).
    context : Context
        Noise, mask, PSF and ids, in the unit of `images`.
    known_logits : numpy.ndarray or None
        Logits that were computed before.
    """

    trained: TrainedModel
    cutouts: tuple[Cutout, ...]
    images: Images
    context: Context
    known_logits: Images | None = None

    @classmethod
    def of(
        cls,
        trained: TrainedModel,
        cutouts: Sequence[Cutout],
        *,
        ids: Sequence[str] | None = None,
        images: Images | None = None,
        logits: Images | None = None,
    ) -> Prepared:
        """Stack cutouts that have the bands, unit and shape of a model; take images and logits if known."""
        spec = trained.card.inputs
        wanted = (spec.bands, spec.unit, spec.shape)
        for found in ((cutout.bands, str(cutout.unit), cutout.shape) for cutout in cutouts):
            if found != wanted:
                raise ValueError(
                    message(f"{wanted} (bands, unit, shape)", "Prepare the cutouts.", found=found)
                )
        names = tuple(str(name) for name in (range(len(cutouts)) if ids is None else ids))
        images = images_from(cutouts) if images is None else images
        return cls(trained, tuple(cutouts), images, _context(cutouts, names), logits)

    @functools.cached_property
    def stretched(self) -> Images:
        """Preprocessed images, as the network sees them, shape (n, ny, nx, n_bands)."""
        return outputs(self.trained.preprocessing, self.images)

    @functools.cached_property
    def logits(self) -> Images:
        """Logits, shape (n, n_classes)."""
        if self.known_logits is not None:
            return self.known_logits
        return outputs(self.trained.network, self.stretched)

    @functools.cached_property
    def stretched_context(self) -> Context:
        """Context in the unit of `stretched`, including the image of zero flux."""
        sigma = self.context.sigma
        if sigma is not None:
            # Finite differences of one sigma in each band, since the preprocessing may mix bands.
            variance = np.zeros_like(self.stretched)
            for band in range(sigma.shape[-1]):
                step = np.zeros_like(sigma)
                step[..., band] = sigma[..., band]
                variance += ((self._stretch(self.images + step) - self._stretch(self.images - step)) / 2) ** 2
            sigma = np.sqrt(variance)
        zero = self._stretch(np.zeros_like(self.images[:1]))[0]
        return replace(self.context, sigma=sigma, zero=zero)

    def _stretch(self, images: Images) -> Images:
        return outputs(self.trained.preprocessing, images)


def explain(
    trained: TrainedModel,
    cutouts: Sequence[Cutout],
    *,
    explainers: Sequence[Explainer],
    targets: Target | Sequence[Target] | None = None,
    wrt: Wrt = "flux",
    ids: Sequence[str] | None = None,
) -> list[tuple[Explanation, ...]]:
    """Compute attribution maps of a trained model for cutouts.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        Trained model.
    cutouts : sequence of galcnn.cutout.Cutout
        Cutouts that `galcnn.model.prepare` accepts for the model: with its bands, shape, pixel
        scale and unit.
    explainers : sequence of Explainer
        Attribution methods.
    targets : Target or sequence of Target, optional
        One target for all cutouts, or one per cutout; by default the predicted class of each.
    wrt : {"flux", "stretched", "sigma"}
        Quantity with respect to which the maps are computed: the flux of the cutout, the stretched
        image that the network sees, or the noise (gradient with respect to flux times sigma).
        Methods of kind ``"amount"`` (occlusion, integrated gradients, input times gradient) treat
        ``"sigma"`` as ``"flux"``; CAM and Grad-CAM always use ``"stretched"``. The explanation
        records what was used.
    ids : sequence of str, optional
        Id of each cutout, the key of its random stream; by default its position in `cutouts`.

    Returns
    -------
    list of tuple of Explanation
        For each cutout, one explanation per explainer, in the order given. Masked pixels are NaN.

    Raises
    ------
    ValueError
        If a cutout or target does not fit the model, sigma is needed and missing, or a method does
        not support this network.
    """
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
        fitting = [prepare(cutout, trained.card.inputs) for cutout in cutouts[piece]]
        own = targets[piece] if isinstance(targets, Sequence) else targets
        seen = Prepared.of(trained, fitting, ids=names[piece])
        results += explain_prepared(seen, explainers=explainers, targets=own, wrt=wrt)
    return results


def explain_prepared(
    prepared: Prepared,
    *,
    explainers: Sequence[Explainer],
    targets: Target | Sequence[Target] | None = None,
    wrt: Wrt = "flux",
) -> list[tuple[Explanation, ...]]:
    """Compute attribution maps for prepared cutouts, like `explain`."""
    if wrt not in WRT:
        raise ValueError(message(f"wrt among {WRT}", "", wrt=wrt))
    logits, classes = prepared.logits, prepared.trained.classes
    if targets is None:
        chosen = [Target.of_class(classes[i], classes) for i in np.argmax(logits, axis=1)]
    else:
        chosen = [targets] * len(logits) if isinstance(targets, Target) else list(targets)
    scores = np.sum(logits * np.array([target.weights for target in chosen]), axis=1)
    columns = [_explained(prepared, explainer, chosen, scores, wrt) for explainer in explainers]
    return [tuple(row) for row in zip(*columns, strict=True)]


def _explained(
    prepared: Prepared,
    explainer: Explainer,
    targets: Sequence[Target],
    scores: npt.NDArray[np.floating[Any]],
    wrt: Wrt,
) -> list[Explanation]:
    """Compute the explanations of one method; `scores` are the values of the targets."""
    if explainer.kind == "features":
        wrt = "stretched"
    elif explainer.kind == "amount" and wrt == "sigma":
        wrt = "flux"
    if wrt == "stretched":
        network, images = prepared.trained.network, prepared.stretched
        context = prepared.stretched_context
    else:
        network, images, context = prepared.trained.model, prepared.images, prepared.context
    made_at = explainer.network_layer_of(network) if isinstance(explainer, AtNetworkLayer) else ""
    coarse: list[CoarseMap | None] = [None] * len(targets)
    if isinstance(explainer, AtCells):
        maps, cells = explainer.fine_and_coarse(network, images, targets, context=context)
        grid = upright_grid(network, network_layer(network, made_at))
        coarse = [CoarseMap(plane, grid) for plane in cells]
    else:
        maps = explainer(network, images, targets, context=context)
    planes = planes_from(maps)
    if wrt == "sigma":
        planes = planes * _sigma(prepared.cutouts)
    starts: list[float | None] = [None] * len(targets)
    if isinstance(explainer, FromBaseline):
        baselines = explainer.baseline_images(images, context=context)
        starts = [float(start) for start in target_scores(network, baselines, targets)]
    explanations = []
    for i, (plane, cutout, target) in enumerate(zip(planes, prepared.cutouts, targets, strict=True)):
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
    """Return the inverse of a unit in FITS notation."""
    return f"{unit}-1" if isinstance(unit, u.NamedUnit) else str(unit**-1)


def _masked(
    planes: npt.NDArray[np.float32], cutout: Cutout, per_band: bool
) -> tuple[npt.NDArray[np.float32], tuple[str, ...]]:
    mask: npt.NDArray[np.bool_] = cutout.mask
    bands = cutout.bands
    if not per_band:  # a map of all bands is valid where at least one band is not masked
        planes, mask, bands = planes[:1], np.all(mask, axis=0, keepdims=True), ("all",)
    return np.where(mask, np.float32(np.nan), planes), bands


def _context(cutouts: Sequence[Cutout], ids: tuple[str, ...]) -> Context:
    """Collect noise, masks and PSFs of the cutouts; sigma is None unless all cutouts have it."""
    mask = np.stack([channels_last(cutout.mask) for cutout in cutouts])
    sigma = [
        channels_last(np.where(cutout.mask | ~np.isfinite(cutout.sigma), np.float32(FILL), cutout.sigma))
        for cutout in cutouts
        if cutout.sigma is not None
    ]
    known = len(sigma) == len(cutouts)
    return Context(sigma=np.stack(sigma) if known else None, mask=mask, psf=_psfs(cutouts), ids=ids)


def _psfs(cutouts: Sequence[Cutout]) -> npt.NDArray[np.float32] | None:
    stack = stacked_psfs([cutout.psf for cutout in cutouts])
    if stack is None:
        return None
    planes = stack.reshape(len(cutouts), -1, *stack.shape[1:])
    return np.stack([channels_last(psf) for psf in planes])


def _sigma(cutouts: Sequence[Cutout]) -> npt.NDArray[np.float32]:
    planes = [cutout.sigma for cutout in cutouts if cutout.sigma is not None]
    if len(planes) != len(cutouts):
        raise ValueError(
            message(
                "cutouts with sigma, the noise of every pixel, for wrt='sigma'",
                "Use files with sigma, or wrt='flux'.",
                without_sigma=len(cutouts) - len(planes),
            )
        )
    return np.stack(planes)


def _settings(explainer: Explainer) -> dict[str, Any]:
    if is_dataclass(explainer) and not isinstance(explainer, type):
        return asdict(explainer)
    return {}
