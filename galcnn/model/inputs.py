"""Inputs of a network: conversion of cutouts to images, and of maps back to planes.

The band axis is moved in exactly two functions of galcnn, both here: `channels_last` (planes first to
channels last) and `planes_from` (back).
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn._runtime.representation import names, pixels, summary
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.files.conversion import as_cutouts
from galcnn.photometry import parse_unit
from galcnn.transforms import cropping, rgb
from galcnn.transforms.grid import pixel_sides

#: Value of masked and NaN pixels: the level of the subtracted sky.
FILL = 0.0

#: Largest side of an image in pixels, and largest pixel scale in arcsec (ten degrees).
MAX_SIDE, MAX_SCALE = 2**16, 36_000.0

#: Pixel scales with a smaller relative difference count as equal.
SCALE_TOLERANCE = 0.02


@dataclass(frozen=True)
class InputSpec:
    """Input specification of a network.

    Attributes
    ----------
    bands : tuple of str
        Names of the bands, in the order of the image channels.
    unit : str
        Unit of the pixel values, such as ``nJy`` or ``display``.
    shape : tuple of int
        Image shape in pixels, (ny, nx).
    pixel_scale : float or None
        Pixel scale in arcsec; None if it is unknown or varies between images (Galaxy Zoo scales
        each picture to its galaxy).
    render : str or None
        Name of the step of `galcnn.transforms.render` that converts calibrated cutouts to display images.
    """

    bands: tuple[str, ...]
    unit: str
    shape: tuple[int, int]
    pixel_scale: float | None = None
    render: str | None = None

    def __post_init__(self) -> None:
        bands, shape, scale = tuple(self.bands), tuple(self.shape), self.pixel_scale
        if not bands or not all(isinstance(band, str) and band for band in bands):
            raise ValueError(message("one or more names of bands", "", bands=self.bands))
        whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) for side in shape)
        if len(shape) != 2 or not whole or not all(1 <= side <= MAX_SIDE for side in shape):
            raise ValueError(message(f"a shape (ny, nx) of 1 to {MAX_SIDE} pixels", "", shape=self.shape))
        if scale is not None and not (is_number(scale) and 0 < scale <= MAX_SCALE):
            raise ValueError(
                message(f"a pixel scale of more than 0 and at most {MAX_SCALE} arcsec", "", pixel_scale=scale)
            )
        for name in ("unit", "render"):
            value = getattr(self, name)
            if not isinstance(value, str) and not (name == "render" and value is None):
                raise ValueError(message(f"{name} as text", "", **{name: value}))

    @classmethod
    def of(cls, cutout: Cutout, *, render: str | None = None) -> InputSpec:
        """Derive the input specification from a typical cutout.

        Parameters
        ----------
        cutout : galcnn.cutout.Cutout
            Cutout with the bands, unit, shape and pixel scale of all images.
        render : str, optional
            Name of the render step, see the attribute.

        Returns
        -------
        InputSpec
            Input specification that `cutout` satisfies.
        """
        scale = cutout.pixel_scale
        arcsec = None if scale is None else round(float(scale.to_value(u.arcsec)), 5)
        return cls(cutout.bands, str(cutout.unit), cutout.shape, arcsec, render)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> InputSpec:
        """Create an input specification from a mapping.

        Parameters
        ----------
        content : mapping
            Values as returned by `to_dict`, for example from a card.

        Returns
        -------
        InputSpec
            Specification with these values.
        """
        values = {name: tuple(content[name]) for name in ("bands", "shape")}
        spec = cls(**(dict(content) | values))
        if spec.render is not None:
            check_render(spec.render, spec.unit)
        return spec

    def to_dict(self) -> dict[str, Any]:
        """Return the specification as plain values that can be written as JSON.

        Returns
        -------
        dict
            Attributes by name; tuples are converted to lists.
        """
        return asdict(self) | {"bands": list(self.bands), "shape": list(self.shape)}

    def __repr__(self) -> str:
        scale = "any scale" if self.pixel_scale is None else f"{self.pixel_scale:.4g} arcsec per pixel"
        render = "" if self.render is None else f", rendered by {self.render}"
        return summary(
            "InputSpec", f"{names(self.bands)}: {pixels(self.shape)}, {scale}, {self.unit}{render}"
        )

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image as used by Keras, (ny, nx, n_bands)."""
        return (*self.shape, len(self.bands))


def cutouts_like(images: Any, spec: InputSpec) -> list[Cutout]:
    """Convert one or many images to cutouts; arrays have the bands (first axis) and unit of `spec`.

    Accepted are the types of `galcnn.files.as_cutout`. The cutouts are not prepared.
    """
    return as_cutouts(images, bands=spec.bands, unit=parse_unit(spec.unit), shape=spec.shape)


def prepare(cutout: Cutout, spec: InputSpec, *, fit: bool = False) -> Cutout:
    """Convert a cutout to the input specification of a network.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout to convert.
    spec : InputSpec
        Input specification of the network. Bands are selected by name. If the network reads
        display values, the `render` step is applied to calibrated cutouts.
    fit : bool
        If True, the pixel grid may be changed. If the pixel scales of `cutout` and `spec` are known,
        the cutout is resampled to that of `spec`, then cropped or padded about the centre;
        otherwise the whole field, cropped to the aspect ratio of `spec`, is resampled to its shape. The frame
        of a render step, such as ``sdss:petrosian:4``, is always resampled to it.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout in the bands, unit and shape of `spec`; `cutout` itself if it needs no change.

    Raises
    ------
    ValueError
        If bands, unit, shape or pixel scale do not match and cannot be converted; also if a file has no
        WCS, the network has a pixel scale, and neither the file's pixel scale (`Treatment`) nor a width in
        pixels was stated.
    """
    if spec.render is not None and cutout.calibrated and spec.unit == "display":
        cutout = rgb.render(cutout, spec.render)
        if rgb.render_step(spec.render).frame is not None:
            if spec.pixel_scale is not None:
                raise ValueError(
                    message(
                        "a network of pictures that are scaled to their galaxy, for a frame",
                        "Leave the frame out: this network has a pixel scale.",
                        render=spec.render,
                        pixel_scale=spec.pixel_scale,
                    )
                )
            fit = True
    if "display" in (spec.unit, str(cutout.unit)):  # bands of a picture are red, green and blue
        _check_unit(cutout, spec)
    if cutout.bands != spec.bands:
        cutout = _pick_bands(cutout, spec.bands)
    _check_unit(cutout, spec)
    _check_known(cutout, spec)
    if fit:
        scale = None if spec.pixel_scale is None else spec.pixel_scale * u.arcsec
        return cropping.fit(cutout, spec.shape, pixel_scale=scale)
    if cutout.shape != spec.shape:
        raise ValueError(
            message(
                f"an image of {spec.shape} pixels (ny, nx), like those the network was trained on",
                "Resample and crop it with fit=True; in training, with --size.",
                shape=cutout.shape,
            )
        )
    _check_scale(cutout, spec)
    return cutout


def is_number(value: object) -> bool:
    """Return True for a finite real number, which True and False are not."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def check_render(render: str, unit: str) -> None:
    """Raise if the render step is unknown, or the network does not read display values."""
    rgb.render_step(render)
    if unit != "display":
        raise ValueError(
            message("a network of 8-bit colour pictures to render for", "Leave the step out.", unit=unit)
        )


def blank_bands(cutout: Cutout) -> tuple[str, ...]:
    """Return the bands in which all pixels are masked or have the same value."""
    blank = []
    for band, plane, mask in zip(cutout.bands, cutout.flux, cutout.mask, strict=True):
        seen = plane[~mask] if mask.any() else plane
        if not seen.size or seen.min() == seen.max():
            blank.append(band)
    return tuple(blank)


def images_from(cutouts: Sequence[Cutout]) -> npt.NDArray[np.float32]:
    """Stack cutouts of the same shape to a batch of images.

    Parameters
    ----------
    cutouts : sequence of galcnn.cutout.Cutout
        At least one cutout; all have the same shape and number of bands.

    Returns
    -------
    numpy.ndarray
        Images, float32, shape (n, ny, nx, n_bands); masked and NaN pixels are set to `FILL`.

    Raises
    ------
    ValueError
        If there is no cutout, or the shapes differ.
    """
    if not cutouts:
        raise ValueError(message("at least one cutout", "", n=0))
    shapes = {cutout.flux.shape for cutout in cutouts}
    if len(shapes) > 1:
        raise ValueError(
            message(
                "cutouts of one shape (n_bands, ny, nx)",
                "Bring them to one grid first.",
                shapes=sorted(shapes),
            )
        )
    images = np.empty((len(cutouts), *cutouts[0].shape, len(cutouts[0].bands)), dtype=np.float32)
    for image, cutout in zip(images, cutouts, strict=True):
        image[...] = channels_last(np.where(cutout.mask, np.float32(FILL), cutout.flux))
    return images


def channels_last(planes: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Convert planes, shape (n_bands, ny, nx), to an image, shape (ny, nx, n_bands)."""
    return np.moveaxis(planes, 0, -1)


def planes_from(maps: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Convert images or maps from channels last to planes first.

    Parameters
    ----------
    maps : numpy.ndarray
        Images or maps, shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        Planes, float32, shape (n, n_bands, ny, nx).
    """
    return np.ascontiguousarray(np.moveaxis(maps, -1, 1), dtype=np.float32)


def _check_unit(cutout: Cutout, spec: InputSpec) -> None:
    if str(cutout.unit) == spec.unit:
        return
    expected, remedy = f"an image in {spec.unit}", "Calibrate the image first."
    if spec.unit == "display":
        expected = "an 8-bit colour image"
        remedy = "Render calibrated images in these colours, with render='sdss' and fit=True."
    elif str(cutout.unit) == "display":
        remedy = "A JPEG or PNG image holds no flux: use the FITS image."
    raise ValueError(
        message(f"{expected}, like those the network was trained on", remedy, unit=str(cutout.unit))
    )


def _pick_bands(cutout: Cutout, bands: tuple[str, ...]) -> Cutout:
    missing = [band for band in bands if band not in cutout.bands]
    if missing:
        raise ValueError(
            message(
                f"an image in the bands {', '.join(bands)}, like those the network was trained on",
                "Give the files of all bands together (--one-galaxy), name the planes with bands=..., or use "
                "another model.",
                bands=", ".join(cutout.bands),
            )
        )
    return cutout.planes([cutout.bands.index(band) for band in bands], bands)


def _check_scale(cutout: Cutout, spec: InputSpec) -> None:
    if cutout.sky_steps is None or spec.pixel_scale is None:
        return
    y_side, x_side = pixel_sides(cutout)
    if not max(abs(side / spec.pixel_scale - 1) for side in (x_side, y_side)) <= SCALE_TOLERANCE:
        alike = abs(x_side / y_side - 1) < SCALE_TOLERANCE
        shown = f"{cutout.pixel_scale:.4f}" if alike else f"{x_side:.4f} arcsec along x, {y_side:.4f} along y"
        raise ValueError(
            message(
                f"pixels of {spec.pixel_scale} arcsec, like those the network was trained on",
                "Resample it with fit=True; in training, with --size.",
                pixel_scale=shown,
            )
        )


def _check_known(cutout: Cutout, spec: InputSpec) -> None:
    """Raise if the network has a pixel scale, and that of a file is neither known nor stated."""
    # Files without WCS say that their scale is not known; arrays have the scale that their user knows.
    unknown = cutout.meta.get("pixel_scale", "") is None
    if spec.pixel_scale is not None and unknown and "width" not in cutout.meta:
        pixel_sides(cutout)
