"""What a network sees: from Cutouts to images, and from maps back to planes.

The band axis moves in exactly two functions of galcnn, both here: `channels_last` (planes first to
channels last) and `planes_from` (back).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.transforms import cropping, rgb

#: What masked and not-a-number pixels become: the level of a removed sky.
FILL = 0.0

#: Pixel scales that differ by less than this share are one.
SCALE_TOLERANCE = 0.02


@dataclass(frozen=True)
class InputSpec:
    """What a network was built for.

    Attributes
    ----------
    bands : tuple of str
        In order.
    unit : str
        Of the pixels: ``nJy``, ``display`` ...
    shape : tuple of int
        Pixels as (ny, nx).
    pixel_scale : float or None
        Arcsec; None where it varies from image to image or is unknown (Galaxy Zoo scales each
        picture to its galaxy).
    render : str or None
        Named step of `galcnn.transforms` that turns calibrated cutouts into such images.
    """

    bands: tuple[str, ...]
    unit: str
    shape: tuple[int, int]
    pixel_scale: float | None = None
    render: str | None = None

    @classmethod
    def of(cls, cutout: Cutout, *, render: str | None = None) -> InputSpec:
        """Describe an image that a network is to be built for.

        Parameters
        ----------
        cutout : galcnn.cutout.Cutout
            One that is typical.
        render : str, optional
            See the attribute.

        Returns
        -------
        InputSpec
            What fits `cutout`.
        """
        scale = cutout.pixel_scale
        arcsec = None if scale is None else round(float(scale.to_value(u.arcsec)), 5)
        return cls(cutout.bands, str(cutout.unit), cutout.shape, arcsec, render)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> InputSpec:
        """Read what `to_dict` gave.

        Parameters
        ----------
        content : mapping
            From a card.

        Returns
        -------
        InputSpec
            The same as before.
        """
        ny, nx = content["shape"]
        values = dict(content) | {"bands": tuple(content["bands"]), "shape": (int(ny), int(nx))}
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a card.

        Returns
        -------
        dict
            Lists, numbers and text.
        """
        return asdict(self) | {"bands": list(self.bands), "shape": list(self.shape)}

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Keras' shape of one image, (ny, nx, n_bands)."""
        return (*self.shape, len(self.bands))


def prepare(cutout: Cutout, spec: InputSpec, *, fit: bool = False) -> Cutout:
    """Bring a cutout to what a network was built for, or refuse.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    spec : InputSpec
        What is wanted. Its `render` step is applied to calibrated cutouts when the network
        reads display values; bands are picked by name.
    fit : bool
        Whether the pixel grid may be changed: resampled to the pixel scale of `spec` where both
        are known (the whole field otherwise), then cropped or padded about the centre.

    Returns
    -------
    galcnn.cutout.Cutout
        In the bands, unit and shape of `spec`. `cutout` itself where nothing had to be done.

    Raises
    ------
    ValueError
        Bands, unit, shape or pixel scale differ and may not be changed.
    """
    if spec.render is not None and cutout.calibrated and spec.unit == "display":
        cutout = rgb.render(cutout, spec.render)
    if cutout.bands != spec.bands:
        cutout = _pick_bands(cutout, spec.bands)
    if str(cutout.unit) != spec.unit:
        raise ValueError(
            message(
                f"an image in {spec.unit}, like those the network was trained on",
                'A network of 8-bit pictures reads calibrated flux through a render step ("sdss").'
                if spec.unit == "display"
                else "Calibrate the image first.",
                unit=str(cutout.unit),
            )
        )
    if fit:
        scale = None if spec.pixel_scale is None else spec.pixel_scale * u.arcsec
        return cropping.fit(cutout, spec.shape, pixel_scale=scale)
    if cutout.shape != spec.shape:
        raise ValueError(
            message(
                f"an image of {spec.shape} pixels (ny, nx), like those the network was trained on",
                "Let it be resampled and cropped: --fit (fit=True); in training, --size.",
                shape=cutout.shape,
            )
        )
    _check_scale(cutout, spec)
    return cutout


def check_render(render: str, unit: str) -> None:
    """Refuse a render step that cannot be."""
    if render not in rgb.RENDERS:
        raise ValueError(message(f"a render step among {tuple(rgb.RENDERS)}", "", render=render))
    if unit != "display":
        raise ValueError(
            message("a network of 8-bit colour pictures to render for", "Leave the step out.", unit=unit)
        )


def blank_bands(cutout: Cutout) -> tuple[str, ...]:
    """Name the bands in which nothing is seen."""
    return tuple(
        band
        for band, plane, mask in zip(cutout.bands, cutout.flux, cutout.mask, strict=True)
        if mask.all() or plane[~mask].min() == plane[~mask].max()
    )


def images_from(cutouts: Sequence[Cutout]) -> npt.NDArray[np.float32]:
    """Stack cutouts of one shape into what a network sees.

    Parameters
    ----------
    cutouts : sequence of galcnn.cutout.Cutout
        Of one shape and one number of bands.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, ny, nx, n_bands); masked and NaN pixels hold `FILL`.

    Raises
    ------
    ValueError
        None given, or their shapes differ.
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
    """Turn planes, (n_bands, ny, nx), into an image, (ny, nx, n_bands)."""
    return np.moveaxis(planes, 0, -1)


def planes_from(maps: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """Turn maps of images back into planes.

    Parameters
    ----------
    maps : numpy.ndarray
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        float32, shape (n, n_bands, ny, nx).
    """
    return np.ascontiguousarray(np.moveaxis(maps, -1, 1), dtype=np.float32)


def _pick_bands(cutout: Cutout, bands: tuple[str, ...]) -> Cutout:
    missing = [band for band in bands if band not in cutout.bands]
    if missing:
        raise ValueError(
            message(
                f"an image in the bands {bands}, like those the network was trained on",
                "Load the missing bands, name the planes with bands=..., --bands, or use another model.",
                bands=cutout.bands,
            )
        )
    return cutout.planes([cutout.bands.index(band) for band in bands], bands)


def _check_scale(cutout: Cutout, spec: InputSpec) -> None:
    scale = cutout.pixel_scale
    if scale is None or spec.pixel_scale is None:
        return
    ratio = float(scale.to_value(u.arcsec)) / spec.pixel_scale
    if abs(ratio - 1) > SCALE_TOLERANCE:
        raise ValueError(
            message(
                f"pixels of {spec.pixel_scale} arcsec, like those the network was trained on",
                "Let it be resampled: --fit (fit=True); in training, --size.",
                pixel_scale=f"{scale.to_value(u.arcsec):.4f} arcsec",
            )
        )
