"""Mask, noise and PSF of an image: from other HDUs of its file, where their roles are certain, or named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from astropy.io import fits

from galcnn.errors import UnreadableImageError, message
from galcnn.files.aside import noise_factor, refuse_no_mask, refuse_other_roles, standard_deviation
from galcnn.files.naming import band_names
from galcnn.files.opening import opened
from galcnn.files.pictures import read_picture
from galcnn.files.planes import Planes
from galcnn.files.roles import bad_pixels, role_of, role_of_name
from galcnn.files.source import FileLike, Source, kind_of
from galcnn.files.stored import inherited, raw_planes

__all__ = ["KINDS", "Companions", "Layer", "attach", "layer_of_file", "layer_of_hdu", "with_own_layers"]

KINDS = ("mask", "sigma", "psf")

#: Roles that serve as each kind, the best first.
_SERVES = {
    "mask": ("mask",),
    "sigma": ("sigma", "variance", "inverse variance"),
    "psf": ("psf",),
}


@dataclass(frozen=True)
class Companions:
    """Where mask, noise and PSF of an image are, if not found by themselves.

    Each is another file (a path, bytes or an open binary file) or the name of an HDU in the file
    of the image.

    Attributes
    ----------
    mask : path-like, bytes or str, optional
        Pixels that must not be used. Flags whose bits are known (HSC and LSST, Legacy Surveys,
        JWST) count as they are meant; of others, all that is not 0.
    sigma : path-like, bytes or str, optional
        Standard deviation in the unit of the image, or, where the HDU's or the file's name says
        so, variance or inverse variance.
    psf : path-like, bytes or str, optional
        On pixels of the image's size, one plane a band or one for all; divided by its sum.
    """

    mask: FileLike | None = None
    sigma: FileLike | None = None
    psf: FileLike | None = None


@dataclass(frozen=True)
class Layer:
    """Planes beside the image.

    Attributes
    ----------
    values : numpy.ndarray
        Shape (n_planes, ny, nx), in the numbers of the file.
    role : str
        See `galcnn.files.roles.role_of`.
    bands : tuple of str or None
        Of the planes, where the file says.
    header : astropy.io.fits.Header
        Of the first plane, with what it inherits.
    source : str
        File or HDU.
    """

    values: npt.NDArray[Any]
    role: str
    bands: tuple[str | None, ...]
    header: fits.Header
    source: str


def layer_of_hdu(hdulist: fits.HDUList, hdu: Any) -> Layer:
    """Take one HDU as a layer.

    Parameters
    ----------
    hdulist : astropy.io.fits.HDUList
        Open.
    hdu : astropy HDU
        One of them.

    Returns
    -------
    Layer
        In memory.
    """
    values = raw_planes(hdu)
    header = inherited(hdulist, hdu)
    name = hdu.name or next(i for i, one in enumerate(hdulist) if one is hdu)
    return Layer(values, role_of(hdu), band_names(hdu.header, len(values)), header, f"HDU {name}")


def layer_of_file(source: Source, kind: str) -> Layer:
    """Read the mask, noise or PSF that another file holds.

    Parameters
    ----------
    source : Source
        FITS, JPEG or PNG.
    kind : {"mask", "sigma", "psf"}
        What is looked for.

    Returns
    -------
    Layer
        Of all bands in the file.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        It holds no such layer, or several and no telling which.
    """
    if kind_of(source) == "picture":
        picture = read_picture(source).values
        return Layer(picture, "image", (None,) * len(picture), fits.Header(), source.name)
    with opened(source) as (hdulist, _):
        images = [one for one in hdulist if one.is_image and len(getattr(one, "shape", None) or ()) >= 2]
        fitting = [one for one in images if role_of(one) in _SERVES[kind]] or images
        layers = [layer_of_hdu(hdulist, one) for one in fitting]
    bands = [layer.bands[0] for layer in layers]
    apart = all(bands) and len(set(bands)) == len(bands) and all(len(one.values) == 1 for one in layers)
    if (len(layers) > 1 and not apart) or not layers:
        raise UnreadableImageError(
            message(f"one image of {kind}, or one a band", "", path=source.name, n_images=len(layers))
        )
    first = layers[0]
    role = role_of_name(source.name) if first.role == "image" else first.role
    if len(layers) == 1:
        return replace(first, role=role, source=source.name)
    if len({one.values.shape for one in layers}) > 1:
        raise UnreadableImageError(message(f"{kind} planes of one shape", "", path=source.name))
    return Layer(
        np.concatenate([one.values for one in layers]), role, tuple(bands), first.header, source.name
    )


def attach(planes: Planes, layer: Layer, kind: str) -> Planes:
    """Give planes their mask, noise or PSF.

    Parameters
    ----------
    planes : Planes
        Of the image.
    layer : Layer
        Of this shape (but for a PSF), one plane a band or one for all.
    kind : {"mask", "sigma", "psf"}
        As what it serves.

    Returns
    -------
    Planes
        With it; a mask is added to what there is.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        Its shape, role or values do not fit.
    """
    planes = replace(planes, facts=planes.facts | {f"{kind}_source": _said(layer, kind)})
    if kind == "psf":
        return replace(planes, psf=_psf(planes, layer))
    _check_shape(planes, layer, kind)
    if kind == "mask":
        refuse_no_mask(layer.role, layer.source)
        return _masked(planes, bad_pixels(_by_band(layer, planes), layer.header, planes.names))
    return _with_sigma(planes, layer)


def with_own_layers(
    planes: Planes, hdulist: fits.HDUList, hdu: Any, *, alone: bool, kinds: Sequence[str]
) -> Planes:
    """Give an image the mask, noise and PSF of its own file, where their roles are certain.

    Parameters
    ----------
    planes : Planes
        Read from `hdu`.
    hdulist : astropy.io.fits.HDUList
        The file.
    hdu : astropy HDU
        Of the image.
    alone : bool
        Whether it is the only image of the file, so that every layer is its own; otherwise they
        are matched by band, by the end of EXTNAME, or by EXTVER.
    kinds : sequence of str
        Among mask, sigma and psf.

    Returns
    -------
    Planes
        With a note on what was not certain.
    """
    others = [(one, role_of(one)) for one in hdulist if one is not hdu and one.is_image and _planes_of(one)]
    for kind in kinds:
        for role in _SERVES[kind]:
            fitting = [
                one
                for one, its in others
                if its == role and _fits(one, planes, kind) and (alone or _belongs(one, hdu))
            ]
            plain = [one for one in fitting if "_" not in one.name]
            chosen = fitting if len(fitting) == 1 else plain
            if len(chosen) == 1:
                planes = _attached_if_good(planes, layer_of_hdu(hdulist, chosen[0]), kind)
                break
            if fitting:
                note = f"{len(fitting)} HDUs of {role}, not told apart: name one"
                planes = replace(planes, notes=(*planes.notes, note))
    return planes


def _attached_if_good(planes: Planes, layer: Layer, kind: str) -> Planes:
    try:
        found = attach(planes, layer, kind)
    except UnreadableImageError as error:
        return replace(planes, notes=(*planes.notes, f"{layer.source} is left out: {error}"))
    if found.mask is not None and found.mask.all() and kind != "psf":
        note = f"{layer.source} is left out: no pixel would be good"
        return replace(planes, notes=(*planes.notes, note))
    return found


def _planes_of(hdu: Any) -> tuple[int, ...]:
    """The shape of an HDU's image, if it has one."""
    shape = tuple(getattr(hdu, "shape", None) or ())
    return shape if len(shape) >= 2 and 0 not in shape else ()


def _fits(hdu: Any, planes: Planes, kind: str) -> bool:
    return kind == "psf" or _planes_of(hdu)[-2:] == planes.shape


def _belongs(layer: Any, image: Any) -> bool:
    own, its = _key(layer), _key(image)
    # A layer without a band beside images with one is for all of them.
    return own == its or (own[0] == "version" and its[0] != "version")


def _key(hdu: Any) -> tuple[str, object]:
    """What an image and its layers share: the band, the end of their names, or their version."""
    band = band_names(hdu.header, 1)[0]
    if band is not None:
        return ("band", band)
    _, underscore, end = hdu.name.partition("_")
    return ("name", end) if underscore else ("version", hdu.ver)


def _said(layer: Layer, kind: str) -> str:
    plain = layer.role in (kind, "image")
    return layer.source if plain else f"{layer.source} ({layer.role})"


def _check_shape(planes: Planes, layer: Layer, kind: str) -> None:
    n_planes, *shape = layer.values.shape
    if tuple(shape) != planes.values.shape[1:] or n_planes not in (1, len(planes.values)):
        raise UnreadableImageError(
            message(f"{kind} for planes of shape {planes.values.shape}", "", shape=layer.values.shape)
        )


def _by_band(layer: Layer, planes: Planes) -> npt.NDArray[Any]:
    """Its planes in the order of the image's."""
    named = set(layer.bands) == set(planes.names) and None not in layer.bands
    if not named or layer.bands == planes.names:
        return layer.values
    return layer.values[[layer.bands.index(name) for name in planes.names]]


def _masked(planes: Planes, bad: npt.NDArray[np.bool_]) -> Planes:
    fresh = np.broadcast_to(bad, planes.values.shape)
    return replace(planes, mask=fresh if planes.mask is None else fresh | planes.mask)


def _with_sigma(planes: Planes, layer: Layer) -> Planes:
    refuse_other_roles(layer.role, layer.source)
    values = np.broadcast_to(_by_band(layer, planes), planes.values.shape)
    own = noise_factor(layer.header, layer.role, planes.unit)
    factors = np.array([own] if own is not None else planes.factors)[:, np.newaxis, np.newaxis]
    if layer.role == "inverse variance":
        planes = _masked(planes, ~(values > 0))  # no weight: nothing was measured there
    return replace(planes, sigma=standard_deviation(values, layer.role, factors))


def _psf(planes: Planes, layer: Layer) -> npt.NDArray[np.float32]:
    if layer.role not in ("psf", "image") or len(layer.values) not in (1, len(planes.values)):
        raise UnreadableImageError(
            message(
                f"a PSF for {len(planes.values)} bands",
                "",
                found=layer.source,
                kind=layer.role,
                shape=layer.values.shape,
            )
        )
    values = np.broadcast_to(_by_band(layer, planes), (len(planes.values), *layer.values.shape[1:])).astype(
        np.float64
    )
    sums = values.sum(axis=(1, 2), keepdims=True)
    if not np.isfinite(values).all() or not (sums > 0).all():
        raise UnreadableImageError(
            message(
                "a PSF of finite numbers with a positive sum",
                "",
                found=layer.source,
                sums=sums.ravel().tolist(),
            )
        )
    unit_sum: npt.NDArray[np.float32] = (values / sums).astype(np.float32)
    return unit_sum
