"""Application of explainers to cutouts: from a trained model and targets to Explanations."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass, replace
from typing import Any

import astropy.units as u
import keras
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message, wrong_type
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
from galcnn.explain.registry import DEFAULT, explainers_by_name
from galcnn.files.conversion import as_cutouts
from galcnn.model import Target, TrainedModel, images_from, planes_from, prepare
from galcnn.model.bundle import AnyModel, as_trained
from galcnn.model.forward import check_images, outputs, working_dtype
from galcnn.model.gradients import number_of_classes, target_scores
from galcnn.model.graph import is_functional, network_layer
from galcnn.model.inputs import FILL, channels_last, cutouts_like
from galcnn.model.logits import ending_in_logits
from galcnn.model.preprocessing.fitting import unit_of
from galcnn.model.receptive import looked_at, upright_grid
from galcnn.model.target import AnyTarget, as_targets
from galcnn.photometry.units import UNCALIBRATED
from galcnn.transforms.grid import stacked_psfs

_BATCH = 64

Images = npt.NDArray[np.float32]
#: Attribution methods, or their names.
AnyExplainers = Explainer | str | Sequence[Explainer | str]


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

    @property
    def network(self) -> keras.Model:
        """Network from stretched images to logits."""
        return self.trained.network

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in the order of the logits."""
        return self.trained.classes

    @functools.cached_property
    def stretched(self) -> Images:
        """Preprocessed images, as the network sees them, shape (n, ny, nx, n_bands)."""
        return outputs(self.trained.preprocessing, self.images)

    @functools.cached_property
    def field(self) -> tuple[int, int, int, int] | None:
        """Field of view of the network, see `Explanation.field`."""
        if not is_functional(self.network):
            return None
        seen = looked_at(self.network, self.stretched.shape[1:3])
        (y, x) = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
        return int(y[0]), int(y[-1]) + 1, int(x[0]), int(x[-1]) + 1

    @property
    def stretched_unit(self) -> str:
        """Unit of `stretched` in words."""
        return unit_of(self.trained.preprocessing)

    @functools.cached_property
    def logits(self) -> Images:
        """Logits, shape (n, n_classes)."""
        if self.known_logits is not None:
            return self.known_logits
        return outputs(self.network, self.stretched)

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
    model: AnyModel | keras.Model,
    images: Any,
    *,
    explainers: AnyExplainers | None = None,
    target: AnyTarget | Sequence[AnyTarget] | None = None,
    wrt: Wrt | None = None,
    ids: Sequence[str] | None = None,
    fit: bool = False,
    classes: Sequence[str] | None = None,
    bands: Sequence[str] | None = None,
) -> list[tuple[Explanation, ...]]:
    """Compute attribution maps of any Keras model, or of a trained model.

    For a trained model or a model folder see `explain_cutouts`. A plain Keras model needs no card: its
    maps are those of its own input.

    Parameters
    ----------
    model : keras.Model, galcnn.model.TrainedModel or path-like
        Functional, sequential or subclassed model of one input, or a trained model. A softmax or
        sigmoid at the end of a plain model is left out, which `Explanation.notes` says; a model that
        otherwise does not end in logits is refused.
    images : numpy.ndarray, or one or more cutouts
        For a plain model, an array as `keras.Model.predict` takes it, shape (n, ny, nx, n_bands), or one
        image, shape (ny, nx, n_bands); or cutouts, whose noise, mask and PSF the methods may use. For a
        trained model, the images of `explain_cutouts`, where an array has the bands first.
    explainers : str or Explainer, or sequence of them, optional
        Attribution methods, or their names, see `explainers_by_name`; by default occlusion, integrated
        gradients from blank sky, and CAM. A default method that the network does not support, such as
        CAM of a head that is not global average pooling and Dense, is left out with a warning.
    target : str, int or Target, or sequence of them, optional
        One target for all images, or one per image: class name, margin (``spiral-elliptical``), class
        number, array or tensor (class numbers, or one weight for each class) or `Target`; by default
        the predicted class of each against the runner-up.
    wrt : {"stretched", "flux", "sigma"}, optional
        See `explain_cutouts`. Of a plain model always ``"stretched"``: what the network sees.
    ids : sequence of str, optional
        Id of each image, the key of its random stream; by default its position.
    fit : bool
        See `explain_cutouts`; not for a plain model, whose pixel grid is not known.
    classes : sequence of str, optional
        Class names of a plain model, in the order of its outputs; by default "0", "1", ...
    bands : sequence of str, optional
        Band names of the array for a plain model; by default "band1", "band2", ...

    Returns
    -------
    list of tuple of Explanation
        For each image, one explanation per explainer. Maps are planes first, shape (n_bands, ny, nx);
        masked pixels are NaN.

    Raises
    ------
    TypeError
        If `model`, `images` or `target` has a type that is not accepted; the text says which are.
    ValueError
        If the model does not end in logits, an image or target does not fit it, or a method does not
        support it.

    Examples
    --------
    >>> import keras, numpy as np
    >>> network = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten(), keras.layers.Dense(2)])
    >>> images = np.ones((1, 8, 8, 1), dtype=np.float32)
    >>> classes = ("elliptical", "spiral")
    >>> ((found,),) = explain(network, images, explainers="saliency", target="spiral", classes=classes)
    >>> found.method, found.target.name, found.attribution.shape
    ('saliency', 'spiral', (1, 8, 8))
    """
    if isinstance(model, keras.Model):
        if wrt not in (None, "stretched"):
            raise ValueError(
                message(
                    "wrt='stretched' for a plain Keras model: the maps are those of its own input",
                    "Flux and noise are known for a TrainedModel.",
                    wrt=wrt,
                )
            )
        if fit:
            raise ValueError(
                message("no fit=True for a plain Keras model", "Its pixel grid is not known.", fit=fit)
            )
        seen = _Plain.of_images(model, images, classes=classes, bands=bands, ids=ids)
        found = explain_prepared(seen, explainers=_explainers(explainers), target=target, wrt="stretched")
        notes = (seen.note,) if seen.note else ()
        return [tuple(replace(one, notes=notes) for one in row) for row in found]
    if not isinstance(model, str | os.PathLike) and not hasattr(model, "card"):
        raise wrong_type("a model: a keras.Model, a TrainedModel or the path of a model folder", model=model)
    if classes is not None or bands is not None:
        raise ValueError(
            message(
                "classes and bands for a plain Keras model only",
                "The card of a trained model states them.",
                classes=classes,
                bands=bands,
            )
        )
    return explain_cutouts(
        model, images, explainers=explainers, target=target, wrt=wrt or "stretched", ids=ids, fit=fit
    )


def explain_cutouts(
    model: AnyModel,
    cutouts: Any,
    *,
    explainers: AnyExplainers | None = None,
    target: AnyTarget | Sequence[AnyTarget] | None = None,
    wrt: Wrt = "stretched",
    ids: Sequence[str] | None = None,
    fit: bool = False,
) -> list[tuple[Explanation, ...]]:
    """Compute attribution maps of a trained model for cutouts.

    Parameters
    ----------
    model : galcnn.model.TrainedModel or path-like
        Trained model, or its folder.
    cutouts : galcnn.cutout.Cutout, path-like, NDData, HDUList or numpy.ndarray, or several
        One or more images of galaxies that `galcnn.model.prepare` accepts for the model: with its bands,
        shape, pixel scale and unit. An array has the model's bands first, shape (n_bands, ny, nx) or
        (n, n_bands, ny, nx), see `galcnn.files.as_cutout`.
    explainers : str or Explainer, or sequence of them, optional
        Attribution methods, or their names, see `explainers_by_name`; by default occlusion, integrated
        gradients from blank sky, and CAM. A default method that the network does not support, such as
        CAM of a head that is not global average pooling and Dense, is left out with a warning.
    target : str, int or Target, or sequence of them, optional
        One target for all cutouts, or one per cutout: class name, margin (``spiral-elliptical``), class
        number or `Target`; by default the predicted class of each against the runner-up.
    wrt : {"stretched", "flux", "sigma"}
        Quantity with respect to which the maps are computed: the stretched image that the network
        sees, the flux of the cutout, or the noise (gradient with respect to flux times sigma). Behind
        an asinh stretch, slopes in flux or per sigma are damped where the galaxy is bright.
        Methods of kind ``"amount"`` (occlusion, integrated gradients, input times gradient) treat
        ``"sigma"`` as ``"flux"``; CAM and Grad-CAM always use ``"stretched"``. The explanation
        records what was used.
    ids : sequence of str, optional
        Id of each cutout, the key of its random stream; by default its position in `cutouts`.
    fit : bool
        If True, images are resampled and cropped to the model's pixel grid, see `galcnn.model.prepare`.

    Returns
    -------
    list of tuple of Explanation
        For each cutout, one explanation per explainer, in the order given. Masked pixels are NaN.

    Raises
    ------
    TypeError
        If an argument has a type that is not accepted; the text says which are.
    ValueError
        If a cutout or target does not fit the model, sigma is needed and missing, or a method does
        not support this network.
    """
    trained, methods = as_trained(model), _explainers(explainers)
    spec = trained.card.inputs
    own = cutouts_like(cutouts, spec)
    names = _names(ids, len(own))
    targets = as_targets(target, trained.classes, len(own))
    results: list[tuple[Explanation, ...]] = []
    for start in range(0, len(own), _BATCH):
        piece = slice(start, start + _BATCH)
        fitting = [prepare(cutout, spec, fit=fit) for cutout in own[piece]]
        seen = Prepared.of(trained, fitting, ids=names[piece])
        results += explain_prepared(
            seen, explainers=methods, target=None if targets is None else targets[piece], wrt=wrt
        )
    return results


def _names(ids: Sequence[str] | None, n: int) -> list[str]:
    names = [str(name) for name in (range(n) if ids is None else ids)]
    if len(names) != n:
        raise ValueError(message(f"one id for each of {n} images", "", n_ids=len(names)))
    return names


def _explainers(explainers: AnyExplainers | None) -> list[Explainer] | None:
    if explainers is None:
        return None
    several = (
        explainers if isinstance(explainers, Sequence) and not isinstance(explainers, str) else [explainers]
    )
    found: list[Explainer] = []
    for one in several:
        if isinstance(one, str):
            found += explainers_by_name([one])
        elif isinstance(one, Explainer) and not isinstance(one, type):
            found.append(one)
        else:
            raise wrong_type(
                "an attribution method or its name, or several: 'saliency', GradCAM() ...", explainer=one
            )
    return found


@dataclass(frozen=True, eq=False)
class _Bare:
    """A plain Keras model in the place of a trained model."""

    network: keras.Model
    classes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Plain(Prepared):
    """Images of a plain Keras model, which has no preprocessing that is known."""

    note: str = ""

    @classmethod
    def of_images(
        cls,
        model: keras.Model,
        images: Any,
        *,
        classes: Sequence[str] | None,
        bands: Sequence[str] | None,
        ids: Sequence[str] | None,
    ) -> _Plain:
        if isinstance(images, np.ndarray):
            array = images[np.newaxis] if images.ndim == 3 else images
            array = array.astype(working_dtype(model), copy=False)
            _check_channels_last(model, array)
            check_images(model, array)
            given = tuple(bands or (f"band{i + 1}" for i in range(array.shape[-1])))
            if len(given) != array.shape[-1]:
                raise ValueError(message(f"names of {array.shape[-1]} bands", "", bands=given))
            own = [Cutout(planes, given, survey="array", unit=UNCALIBRATED) for planes in planes_from(array)]
        else:
            own = as_cutouts(images, bands=bands)
            array = images_from(own)
            check_images(model, array)
        ending = ending_in_logits(model, array.shape[1:], binary=classes is not None and len(classes) == 2)
        plain = ending.model
        n_classes = number_of_classes(plain, array.shape[1:])
        names = tuple(str(name) for name in (range(n_classes) if classes is None else classes))
        if len(names) != n_classes:
            raise ValueError(message(f"names of {n_classes} classes, one per output", "", classes=names))
        context = _context(own, tuple(_names(ids, len(own))))
        bare = _Bare(plain, names)
        return cls(bare, tuple(own), array, context, note=ending.note)  # type: ignore[arg-type]

    @property
    def stretched_unit(self) -> str:
        return "input value"

    @functools.cached_property
    def stretched(self) -> Images:
        return self.images

    @functools.cached_property
    def stretched_context(self) -> Context:
        return self.context


def _check_channels_last(network: keras.Model, images: npt.NDArray[Any]) -> None:
    expected = getattr(network, "input_shape", None)
    if images.ndim != 4 or not isinstance(expected, tuple) or len(expected) != 4:
        return
    n = expected[-1]
    if n is not None and images.shape[-1] != n and images.shape[1] == n:
        raise ValueError(
            message(
                f"an array for a plain Keras model of shape (n, ny, nx, n_bands), as its predict takes: "
                f"{expected}",
                "The bands come first here: use numpy.moveaxis(images, 1, -1).",
                shape=images.shape,
            )
        )


def explain_prepared(
    prepared: Prepared,
    *,
    explainers: Sequence[Explainer] | None = None,
    target: AnyTarget | Sequence[AnyTarget] | None = None,
    wrt: Wrt = "stretched",
) -> list[tuple[Explanation, ...]]:
    """Compute attribution maps for prepared cutouts, like `explain_cutouts`."""
    if wrt not in WRT:
        raise ValueError(message(f"wrt among {WRT}", "", wrt=wrt))
    logits, classes = prepared.logits, prepared.classes
    chosen = as_targets(target, classes, len(logits))
    if chosen is None:
        chosen = [Target.of_prediction(row, classes) for row in logits]
    scores = np.sum(logits * np.array([one.weights for one in chosen]), axis=1)
    if explainers is not None:
        columns = [_explained(prepared, explainer, chosen, scores, wrt) for explainer in explainers]
        return [tuple(row) for row in zip(*columns, strict=True)]
    columns = []
    for explainer in explainers_by_name(DEFAULT):
        try:
            columns.append(_explained(prepared, explainer, chosen, scores, wrt))
        except ValueError as error:  # for example no head for CAM
            warnings.warn(f"without {explainer.name}: {error}", stacklevel=2)
    if not columns:
        raise ValueError(message("a network for one of the default methods", "Name a method.", tried=DEFAULT))
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
        network, images = prepared.network, prepared.stretched
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
                unit=_per(wrt, cutout.unit, prepared) if explainer.kind == "slope" else "",
                score=float(scores[i]),
                settings=_settings(explainer),
                baseline_score=starts[i],
                seed=getattr(explainer, "seed", None),
                network_layer=made_at,
                kind=explainer.kind,
                coarse=coarse[i],
                field=prepared.field,
            )
        )
    return explanations


def _per(wrt: Wrt, unit: u.UnitBase, prepared: Prepared) -> str:
    """Return the unit of a slope, see `Explanation.unit`."""
    if wrt == "sigma":
        return ""
    if wrt == "stretched":
        return f"({prepared.stretched_unit})-1"
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
