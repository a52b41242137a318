"""Conformance tests for plugin authors: check that a survey or an explainer meets galcnn's requirements.

Keras is imported only when a network is built, since surveys do not need it.
"""

from __future__ import annotations

import dataclasses
import gc
import pickle
import re
import tempfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import CoverageError
from galcnn.explain import Context, Explainer
from galcnn.explain.explanation import KINDS, AtCells, AtNetworkLayer, FromBaseline
from galcnn.files import load_cutout, save_cutout
from galcnn.model import Target
from galcnn.surveys import Survey
from galcnn.surveys.survey import RemoteSurvey
from galcnn.transforms.grid import icrs_steps

if TYPE_CHECKING:
    import keras
    from astropy.coordinates import SkyCoord


_HALF = 0.51
_NO_BAND = "no such band"
_BANDS = 2
_SIDES = (16, 20)
_TARGET = Target("third less first", (-1.0, 0.0, 1.0))


def check_survey(
    survey: Survey, position: SkyCoord, *, width: u.Quantity, outside: SkyCoord | None = None
) -> None:
    """Check that a survey meets the protocol of `galcnn.surveys.survey`.

    Use it in the tests of a plugin, with a local server or the real service. It checks

    - the name, bands and pixel scale of the survey;
    - the shape, bands, pixel scale, centre and unit of a cutout;
    - that a repeated request gives the same image, another order of bands the same planes, and a
      shifted position the same sky;
    - that invalid requests are refused;
    - that a cutout can be saved and the survey can be pickled;
    - for a `RemoteSurvey`, that it lists its requests and records the origin of the cutout.

    Parameters
    ----------
    survey : Survey
        Survey to check, with all its options.
    position : astropy.coordinates.SkyCoord
        Position of a galaxy with high signal-to-noise ratio, far from the edge of the survey.
    width : astropy.units.Quantity
        Angular width of the cutouts.
    outside : astropy.coordinates.SkyCoord, optional
        Position that the survey did not observe.

    Raises
    ------
    AssertionError
        If a check fails; the message lists all failures.

    Examples
    --------
    >>> import astropy.units as u
    >>> from galcnn.surveys.simulated import SimulatedSurvey
    >>> survey = SimulatedSurvey(n_galaxies=20)
    >>> check_survey(survey, survey.catalog.positions[1], width=25 * u.arcsec)
    """
    faults = list(_survey_description(survey))
    if not faults:
        cutout = survey.cutout(position, width)
        if isinstance(cutout, Cutout):
            faults += _image(survey, cutout, position, width)
        else:
            faults.append(f"cutout gives a {type(cutout).__name__}, not a Cutout")
    if not faults:  # the remaining checks compare valid images
        faults += _repeated(survey, cutout, position, width)
        faults += _moved(survey, cutout, width)
        faults += _refusals(survey, position, width, outside)
        faults += _travels(survey, cutout)
        if isinstance(survey, RemoteSurvey):
            faults += _origin(survey, cutout, position, width)
    if faults:
        shown = "".join(f"\n- {fault}" for fault in faults)
        raise AssertionError(f"{type(survey).__name__} fails the checks of a survey:{shown}")


def _survey_description(survey: Survey) -> Iterator[str]:
    if not isinstance(survey, Survey):
        yield "it lacks one of name, bands, pixel_scale, cutout"
        return
    if not isinstance(survey.name, str) or not survey.name.strip():
        yield f"name is {survey.name!r}, not a word"
    bands = survey.bands
    if not isinstance(bands, tuple) or not bands or len(set(bands)) != len(bands):
        yield f"bands are {bands!r}, not a tuple of different names"
    elif not all(isinstance(band, str) and band for band in bands):
        yield f"bands are {bands!r}, not all of them words"
    scale = survey.pixel_scale
    if (
        not isinstance(scale, u.Quantity)
        or not scale.unit.is_equivalent(u.arcsec)
        or not scale > 0 * u.arcsec
    ):
        yield f"pixel_scale is {scale!r}, not a positive angle"


def _image(survey: Survey, cutout: Cutout, position: SkyCoord, width: u.Quantity) -> Iterator[str]:
    if cutout.bands != survey.bands:
        yield f"without bands it gives {cutout.bands}, not all of them: {survey.bands}"
    if cutout.survey != survey.name:
        yield f"the cutout's survey is {cutout.survey!r}, not its name {survey.name!r}"
    sides = float((width / survey.pixel_scale).to_value(u.one))
    if max(abs(side - sides) for side in cutout.shape) > 1:
        yield f"{width} are {sides:.1f} pixels, but the shape is {cutout.shape}"
    if cutout.unit.is_equivalent(u.nJy) and cutout.unit != u.nJy:
        yield f"calibrated flux is in {cutout.unit}, not nJy"
    if cutout.position is None or cutout.position.separation(position) > 1e-3 * u.arcsec:
        yield "the cutout's position is not the one that was asked for"
    if cutout.wcs is None or cutout.pixel_scale is None:
        yield "the cutout has no WCS"
        return
    steps = icrs_steps(cutout.wcs, cutout.shape) / survey.pixel_scale.to_value(u.arcsec)
    if not abs(np.linalg.norm(steps, axis=0) - 1).max() <= 0.01:
        yield f"pixel_scale is {survey.pixel_scale}, but that of the image {cutout.pixel_scales}"
    if np.linalg.det(steps) > 0:
        yield "the image is mirrored: east must be to the left where north is up"
    x, y = (float(value) for value in cutout.wcs.world_to_pixel(position))
    off = (x - (cutout.shape[1] - 1) / 2, y - (cutout.shape[0] - 1) / 2)
    if not max(map(abs, off)) <= _HALF:
        yield f"the position is {off[0]:.2f}, {off[1]:.2f} pixels from the middle, more than half a pixel"
    if not np.isfinite(cutout.flux).any():
        yield "all pixels are NaN: raise CoverageError"
    elif np.nanmin(cutout.flux) == np.nanmax(cutout.flux):
        yield "all pixels are the same: choose the position of a galaxy"


def _repeated(survey: Survey, cutout: Cutout, position: SkyCoord, width: u.Quantity) -> Iterator[str]:
    again = survey.cutout(position, width)
    if not np.array_equal(again.flux, cutout.flux, equal_nan=True):
        yield "the same question gives another image"
    if not np.array_equal(survey.cutout(position.galactic, width).shape, cutout.shape):
        yield "the same position in galactic coordinates gives another shape"
    for order in ([*survey.bands[::-1]], [survey.bands[-1]]):
        some = survey.cutout(position, width, tuple(order))
        if some.bands != tuple(order):
            yield f"asked for the bands {tuple(order)} it gives {some.bands}"
            continue
        planes = cutout.flux[[cutout.bands.index(band) for band in order]]
        if not np.array_equal(some.flux, planes, equal_nan=True):
            yield f"asked for the bands {tuple(order)} it gives other pixels than when asked for all"


def _moved(survey: Survey, cutout: Cutout, width: u.Quantity) -> Iterator[str]:
    """Compare with a cutout shifted by a quarter of the width: both must show the same sky."""
    ny, nx = cutout.shape
    assert cutout.wcs is not None  # checked by `_image`
    shifted = survey.cutout(cutout.wcs.pixel_to_world(nx // 2 + nx // 4, ny // 2 + ny // 4), width)
    assert shifted.wcs is not None
    y, x = np.mgrid[: shifted.shape[0], : shifted.shape[1]]
    column, row = np.round(np.stack(cutout.wcs.world_to_pixel(shifted.wcs.pixel_to_world(x, y)))).astype(int)
    shared = (column >= 0) & (column < nx) & (row >= 0) & (row < ny)
    if not shared.any():
        yield "an image a quarter of the width further on shows none of the same sky"
        return
    band = int(
        np.nanargmax(np.nanstd(cutout.flux, axis=(1, 2)) / np.nanmedian(np.abs(cutout.flux), axis=(1, 2)))
    )
    seen = cutout.flux[band][row[shared], column[shared]]
    plane = shifted.flux[band]
    true = _correlation(plane[shared], seen)
    flipped = {
        "upside down": plane[::-1],
        "mirrored": plane[:, ::-1],
        "turned by 180 degrees": plane[::-1, ::-1],
    }
    for how, other in flipped.items():
        if not true > _correlation(other[shared], seen):
            yield f"an image further on fits better when it is {how}: the WCS is not that of the pixels"
            return


def _correlation(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    good = np.isfinite(one) & np.isfinite(other)
    if good.sum() < 3 or one[good].std() == 0 or other[good].std() == 0:
        return 0.0
    return float(np.corrcoef(one[good].astype(float), other[good].astype(float))[0, 1])


def _refusals(
    survey: Survey, position: SkyCoord, width: u.Quantity, outside: SkyCoord | None
) -> Iterator[str]:
    two = position.directional_offset_by([0, 90] * u.deg, 1 * u.arcsec)
    questions: list[tuple[str, type[Exception], Callable[[], object]]] = [
        ("an unknown band", ValueError, lambda: survey.cutout(position, width, (_NO_BAND,))),
        ("no band", ValueError, lambda: survey.cutout(position, width, ())),
        ("a width of 0", ValueError, lambda: survey.cutout(position, 0 * u.arcsec)),
        ("a width in metres", ValueError, lambda: survey.cutout(position, 1 * u.m)),
        ("two positions", ValueError, lambda: survey.cutout(two, width)),
    ]
    if outside is not None:
        questions.append(("a place outside", CoverageError, lambda: survey.cutout(outside, width)))
    for what, kind, ask in questions:
        try:
            ask()
        except kind:
            continue
        except Exception as error:  # noqa: BLE001  any other exception is a fault
            yield f"{what} raises {type(error).__name__}, not {kind.__name__}: {error}"
        else:
            yield f"{what} is answered: raise {kind.__name__}"


def _travels(survey: Survey, cutout: Cutout) -> Iterator[str]:
    try:
        twin = pickle.loads(pickle.dumps(survey))
        if (twin.name, twin.bands) != (survey.name, survey.bands):
            yield "sent to another process it is another survey"
    except Exception as error:  # noqa: BLE001  a plugin may raise anything
        yield f"it cannot be sent to another process: {type(error).__name__}: {error}"
    if re.search(r" at 0x[0-9a-f]+", repr(survey)):
        yield f"its repr differs from run to run: {survey!r}"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "cutout.fits"
        try:
            save_cutout(cutout, path)
        except (TypeError, ValueError) as error:
            yield f"the cutout cannot be saved: {error}"
            return
        if not np.array_equal(load_cutout(path).flux, cutout.flux, equal_nan=True):
            yield "a saved cutout is another one"


def _origin(survey: RemoteSurvey, cutout: Cutout, position: SkyCoord, width: u.Quantity) -> Iterator[str]:
    said = survey.requests(position, width)
    if not isinstance(said, tuple) or not said or not all(str(one).startswith("http") for one in said):
        yield f"requests gives {said!r}, not a tuple of addresses"
    elif not all(str(one).startswith(survey.server.rstrip("/")) for one in said):
        yield f"requests go to other places than its server {survey.server}"
    made = cutout.meta.get("requests", [])
    if not made or not all({"url", "time", "sha256"} <= set(one) for one in made):
        yield 'meta["requests"] does not give url, time and sha256 of each answer'
    if cutout.psf is not None and not cutout.meta.get("psf_source"):
        yield 'meta["psf_source"] does not say where the PSF is from'


def check_explainer(explainer: Explainer, *, symmetric: bool = True) -> None:
    """Check that a method meets the protocol `galcnn.explain.Explainer`.

    Use it in the tests of a plugin. The method is applied to small networks of convolutions, batch
    normalisation, ReLU, max-pooling, global average pooling and Dense. It checks

    - the name, kind and settings of the method, and that it can be pickled;
    - the shape and dtype of the maps, and that they are finite, not zero everywhere, and differ
      between bands if and only if `per_band` is True;
    - that the maps depend on the target, and that each image may have its own target;
    - that the maps do not depend on batch or order, and are the same for nested and flat networks;
    - that images and network are not modified, and that the network can be freed;
    - that a network that ends in a softmax is refused;
    - the baseline, the network layer and the coarse maps of methods that have them.

    Parameters
    ----------
    explainer : Explainer
        Explainer to check, with its settings. Random numbers, if any, must be keyed by the ids of
        the context.
    symmetric : bool
        If True, check that doubling the target doubles the map. Set it to False for methods that
        synthesise images or scale their maps.

    Raises
    ------
    AssertionError
        If a check fails; the message lists all failures.

    Examples
    --------
    >>> from galcnn.explain import Saliency
    >>> check_explainer(Saliency())
    """
    faults = list(_explainer_description(explainer))
    if not faults:
        network, images, context = _network(), _images(), _context()
        maps = np.asarray(explainer(network, images, _TARGET, context=context))
        faults += _map_faults(explainer, maps, images)
    if not faults:  # the remaining checks compare valid maps
        faults += _targets(explainer, maps, symmetric)
        faults += _batches(explainer, maps)
        faults += _left_alone(explainer)
        faults += _extras(explainer, maps)
    if faults:
        shown = "".join(f"\n- {fault}" for fault in faults)
        raise AssertionError(f"{type(explainer).__name__} fails the checks of an explainer:{shown}")


def _explainer_description(explainer: Explainer) -> Iterator[str]:
    name = getattr(explainer, "name", None)
    if not isinstance(name, str) or not name:
        yield f"name is {name!r}, not a text"
    if getattr(explainer, "kind", None) not in KINDS:
        yield f"kind is {getattr(explainer, 'kind', None)!r}, not one of {KINDS}"
    if not isinstance(getattr(explainer, "per_band", None), bool):
        yield f"per_band is {getattr(explainer, 'per_band', None)!r}, not True or False"
    if not dataclasses.is_dataclass(explainer):
        yield "it is not a dataclass: its settings would not be recorded"
    else:
        try:
            if pickle.loads(pickle.dumps(explainer)) != explainer:
                yield "it does not come back from pickle as it was: workers could not use it"
        except (AttributeError, TypeError, pickle.PicklingError) as error:
            yield f"it cannot be sent to another process: {error}"
    try:
        type(explainer)()
    except TypeError as error:
        yield f"it cannot be made without settings, as the command line does: {error}"


def _map_faults(explainer: Explainer, maps: npt.NDArray[Any], images: npt.NDArray[Any]) -> Iterator[str]:
    if maps.shape != images.shape or maps.dtype != np.float32:
        yield f"maps are {maps.dtype} of {maps.shape}, not float32 of the images' {images.shape}"
        return
    if not np.all(np.isfinite(maps)):
        yield "maps are not finite everywhere, though the network looks at every pixel"
    if not np.any(maps):
        yield "maps are zero everywhere"
    if not explainer.per_band and np.any(maps != maps[..., :1]):
        yield "per_band is False, and yet the bands differ"
    if explainer.per_band and np.array_equal(maps, np.broadcast_to(maps[..., :1], maps.shape)):
        yield "per_band is True, and yet all bands are the same"


def _targets(explainer: Explainer, maps: npt.NDArray[Any], symmetric: bool) -> Iterator[str]:
    network, images, context = _network(), _images(), _context()
    other = Target("second", (0.0, 1.0, 0.0))
    mixed = np.asarray(explainer(network, images, [_TARGET, other, _TARGET, other], context=context))
    alone = np.asarray(explainer(network, images, other, context=context))
    if not _same(mixed[::2], maps[::2]) or not _same(mixed[1::2], alone[1::2]):
        yield "a target for each image gives other maps than each target for all"
    if _same(alone, maps):
        yield "another target has the same map"
    doubled = Target("doubled", tuple(2 * weight for weight in _TARGET.weights))
    if symmetric and not _same(np.asarray(explainer(network, images, doubled, context=context)), 2 * maps):
        yield "twice the target is not twice the map"
    try:
        explainer(network, images, Target("short", (1.0, -1.0)), context=context)
        yield "a target with a weight too few is not refused"
    except ValueError:
        pass


def _batches(explainer: Explainer, maps: npt.NDArray[Any]) -> Iterator[str]:
    import keras

    network, images, context = _network(), _images(), _context()
    if not _same(np.asarray(explainer(network, images, _TARGET, context=context)), maps):
        yield "the same question has another answer the second time"
    turned = explainer(network, images[::-1], _TARGET, context=_context(slice(None, None, -1)))
    if not _same(np.asarray(turned)[::-1], maps):
        yield "the order of the images changes the maps: key random numbers by context.ids"
    single = explainer(network, images[1:2], _TARGET, context=_context(slice(1, 2)))
    if not _same(np.asarray(single), maps[1:2]):
        yield "an image by itself has another map than in a batch"
    inputs = keras.Input(images.shape[1:])
    nested = keras.Model(inputs, network(keras.layers.Identity()(inputs)))
    if not _same(np.asarray(explainer(nested, images, _TARGET, context=context)), maps):
        yield "a network inside a model has another map than by itself"


def _left_alone(explainer: Explainer) -> Iterator[str]:
    import keras

    network, images = _network(), _images()
    before, kept = [np.asarray(v).tobytes() for v in network.variables], images.copy()
    nodes = [len(layer._inbound_nodes) for layer in network.layers]
    flags = [(layer.trainable, getattr(layer, "activation", None)) for layer in network.layers]
    images.flags.writeable = False
    explainer(network, images, _TARGET, context=_context())
    if before != [np.asarray(v).tobytes() for v in network.variables]:
        yield "the weights of the network change"
    if flags != [(layer.trainable, getattr(layer, "activation", None)) for layer in network.layers]:
        yield "activations or trainable flags of the network change"
    if nodes != [len(layer._inbound_nodes) for layer in network.layers]:
        yield "the network's layers are called again, which adds nodes to the user's graph"
    if not np.array_equal(images, kept):
        yield "the images are written to"
    gone = weakref.ref(network)
    del network
    gc.collect()
    if gone() is not None:
        yield "a dropped network is not freed: hold networks weakly"
    soft = _network()
    squashed = keras.Model(soft.input, keras.layers.Softmax()(soft.output))
    try:
        explainer(squashed, images, _TARGET, context=_context())
        yield "a softmax at the end is not refused"
    except ValueError:
        pass


def _extras(explainer: Explainer, maps: npt.NDArray[Any]) -> Iterator[str]:
    network, images, context = _network(), _images(), _context()
    if isinstance(explainer, FromBaseline):
        start = explainer.baseline_images(images, context=context)
        if start.shape != images.shape:
            yield f"baseline images are of {start.shape}, not of the images' {images.shape}"
        else:
            scores = [np.asarray(network(x, training=False)) @ _TARGET.weights for x in (images, start)]
            error = np.abs(maps.sum((1, 2, 3)) - (scores[0] - scores[1])).max()
            if error > 0.1 * np.abs(scores[0] - scores[1]).max():
                yield f"the sum of a map is not the score less that of the baseline: off by {error:.3g}"
    if isinstance(explainer, AtCells):
        fine, coarse = explainer.fine_and_coarse(network, images, _TARGET, context=context)
        if not np.array_equal(fine, maps):
            yield "fine_and_coarse gives other maps than a call"
        if coarse.ndim != 3 or len(coarse) != len(images):
            yield f"coarse maps are of {coarse.shape}, not (n, cells_y, cells_x) of {len(images)} images"
    if isinstance(explainer, AtNetworkLayer) and not explainer.network_layer_of(network):
        yield "network_layer_of names no layer"


def _network() -> keras.Model:
    """Return a small network with fixed weights."""
    import keras

    inputs = keras.Input((*_SIDES, _BANDS))
    x = keras.layers.Conv2D(6, 3, padding="same")(inputs)
    x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
    x = keras.layers.MaxPooling2D(2)(x)
    x = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    network = keras.Model(inputs, keras.layers.Dense(3)(x))
    rng = np.random.default_rng(11)
    for variable in network.weights:
        values = rng.normal(0, 0.4, variable.shape)
        variable.assign(np.abs(values) + 0.5 if "variance" in variable.name else values)
    return network


def _images() -> npt.NDArray[np.float32]:
    return np.random.default_rng(7).normal(size=(4, *_SIDES, _BANDS)).astype(np.float32)


def _context(rows: slice = slice(None)) -> Context:
    shape = (4, *_SIDES, _BANDS)
    return Context(
        sigma=np.full(shape, 0.5, dtype=np.float32)[rows],
        mask=np.zeros(shape, dtype=bool)[rows],
        ids=tuple("abcd"[rows]),
        zero=np.zeros(shape[1:], dtype=np.float32),
    )


def _same(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-3, atol=1e-4 * float(np.abs(b).max())))
