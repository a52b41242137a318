"""Cutout: the calibrated image of one galaxy, its bands on one pixel grid."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn._runtime.html import MOST_PICTURES, grey_picture, overview
from galcnn._runtime.representation import names, pixels, summary
from galcnn.errors import message

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord
    from astropy.wcs import WCS


#: Side of the largest cutout that is cut or requested, in pixels: 1 GB per band.
LARGEST_SIDE = 16_384
_ROUNDING = 1e-6


class _OnFirstUse:
    """Field of `Cutout` that may be given as a `functools.partial`, which makes its value when it is used."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"_{name}"

    def __get__(self, cutout: object, owner: type | None = None) -> Any:
        if cutout is None:
            return None  # the default of the field
        value = cutout.__dict__[self._name]
        if isinstance(value, functools.partial):
            value = cutout.__dict__[self._name] = value()
        return value

    def __set__(self, cutout: object, value: Any) -> None:
        cutout.__dict__[self._name] = value


@dataclass(frozen=True, eq=False)
class Cutout:
    """The image of one galaxy in one or more bands on one pixel grid.

    Attributes
    ----------
    flux : numpy.ndarray
        Flux, float32, shape (n_bands, ny, nx); row 0 is the bottom row, as in FITS. NaN where
        nothing was measured.
    bands : tuple of str
        Names of the bands, unique, one per plane.
    wcs : astropy.wcs.WCS or None
        Celestial WCS with two pixel axes, or None if the file has none.
    position : astropy.coordinates.SkyCoord or None
        Position of the galaxy, not necessarily of the central pixel.
    survey : str
        Survey that the image comes from, with its release.
    unit : astropy.units.UnitBase
        Unit of `flux` per pixel. Calibrated cutouts are in nJy; others have the unit of their file or
        `galcnn.photometry.DISPLAY` (8-bit pictures) or `UNCALIBRATED`.
    mask : numpy.ndarray
        bool, shape of `flux`; True = do not use. Pixels with NaN or infinite flux are always masked.
        Also accepted: one plane for all bands, or None.
    sigma : numpy.ndarray or None
        Standard deviation of each pixel in `unit`, float32, shape of `flux`.
    psf : numpy.ndarray or None
        PSF, float32, shape (n_bands, py, px), on pixels of the size of `flux`'s; each plane has sum 1.
    redshift : float or None
        Redshift of the galaxy.
    meta : dict
        Provenance: address or path, time, hash, zero point, source of the PSF ...

    Raises
    ------
    TypeError, ValueError
        If a field does not fit the others; the text says which.

    Notes
    -----
    A cutout holds data and checks itself; functions elsewhere read, draw and change it.
    Arrays are copied only where they must be converted, and are made read-only.

    Examples
    --------
    >>> import numpy as np
    >>> cutout = Cutout(np.ones((2, 8, 8)), ("g", "r"), survey="test")
    >>> cutout.shape, cutout.flux.dtype.name, bool(cutout.mask.any())
    ((8, 8), 'float32', False)
    """

    flux: npt.NDArray[np.float32]
    bands: tuple[str, ...]
    wcs: WCS | None = None
    position: SkyCoord | None = _OnFirstUse()  # a SkyCoord takes long to make
    survey: str = "unknown"
    unit: u.UnitBase = u.nJy
    mask: npt.NDArray[np.bool_] = None  # type: ignore[assignment]  # None means: only NaN is masked
    sigma: npt.NDArray[np.float32] | None = None
    psf: npt.NDArray[np.float32] | None = None
    redshift: float | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        flux = _plane_stack(self.flux, "flux")
        bands = (self.bands,) if isinstance(self.bands, str) else tuple(self.bands)
        if len(bands) != len(flux) or len(set(bands)) != len(bands) or not all(bands):
            raise ValueError(
                message(
                    "one unique name for each plane of flux",
                    "Name every band once.",
                    bands=bands,
                    n_planes=len(flux),
                )
            )
        unit = u.Unit(self.unit)
        object.__setattr__(self, "flux", flux)
        object.__setattr__(self, "bands", bands)
        object.__setattr__(self, "unit", unit)
        object.__setattr__(self, "mask", self._checked_mask(flux))
        object.__setattr__(self, "sigma", self._checked_sigma(flux))
        object.__setattr__(self, "psf", self._checked_psf(len(flux)))
        object.__setattr__(self, "meta", dict(self.meta))
        self._check_wcs(flux.shape)
        place = self.__dict__["_position"]
        if not isinstance(place, functools.partial | None) and not place.isscalar:
            raise ValueError(message("one sky position", "", n_positions=place.size))
        if self.redshift is not None and not np.isfinite(self.redshift):
            raise ValueError(message("a finite redshift or None", "", redshift=self.redshift))

    @property
    def shape(self) -> tuple[int, int]:
        """Image shape in pixels, (ny, nx)."""
        return (int(self.flux.shape[1]), int(self.flux.shape[2]))

    @property
    def calibrated(self) -> bool:
        """True if `flux` is a flux density."""
        return bool(self.unit.is_equivalent(u.nJy))

    @functools.cached_property
    def sky_steps(self) -> npt.NDArray[np.float64] | None:
        """Steps on the sky of one pixel along x and y, in the middle of the image and with distortions.

        In arcsec, [[longitude by x, longitude by y], [latitude by x, latitude by y]]. None without a WCS,
        unless ``meta["pixel_scale"]`` states the pixel scale: arcsec along x and y. It is None in cutouts of
        files without WCS until it is stated.
        """
        if self.wcs is not None:
            return pixel_steps(self.wcs, self.shape)
        stated = self.meta.get("pixel_scale")
        return None if stated is None else np.diag(np.array(stated, dtype=np.float64))

    @property
    def pixel_scales(self) -> u.Quantity | None:
        """Angular size of a pixel along x and y, in the middle of the image; None if it is not known."""
        return None if self.sky_steps is None else np.linalg.norm(self.sky_steps, axis=0) * u.arcsec

    @property
    def pixel_scale(self) -> u.Quantity | None:
        """Square root of the area of a pixel in the middle of the image; None if it is not known."""
        return None if self.sky_steps is None else np.sqrt(abs(np.linalg.det(self.sky_steps))) * u.arcsec

    @property
    def masked_fraction(self) -> float:
        """Fraction of masked pixels over all bands."""
        return float(self.mask.mean())

    def planes(self, rows: Sequence[int], names: Sequence[str]) -> Cutout:
        """Return a cutout with selected planes, in any order and with repeats, under new names.

        Parameters
        ----------
        rows : sequence of int
            Indices of the planes.
        names : sequence of str
            Name of the band of each plane.

        Returns
        -------
        Cutout
            The selected planes with their mask, sigma and PSF.

        Examples
        --------
        >>> import numpy as np
        >>> Cutout(np.arange(3.0).reshape(3, 1, 1), ("g", "r", "i")).planes([2, 0], "ig").flux.tolist()
        [[[2.0]], [[0.0]]]
        """
        chosen = list(rows)
        planes = {
            "flux": self.flux[chosen],
            "bands": tuple(names),
            "mask": self.mask[chosen],
            "sigma": None if self.sigma is None else self.sigma[chosen],
            "psf": None if self.psf is None else self.psf[chosen],
        }
        return changed(self, planes)

    def __repr__(self) -> str:
        scale, place = self.pixel_scale, self.position
        facts = [self.survey]
        if place is not None:
            facts.append(place.icrs.to_string("hmsdms", precision=1))
        if self.redshift is not None:
            facts.append(f"redshift {self.redshift:.5g}")
        known = [name for name in ("sigma", "psf") if getattr(self, name) is not None]
        facts += [f"{self.masked_fraction:.1%} masked", f"with {' and '.join(known)}" if known else ""]
        grid = "unknown scale" if scale is None else f"{scale.value:.4g} arcsec per pixel"
        return summary(
            "Cutout",
            f"{names(self.bands)}: {pixels(self.shape)}, {grid}, {self.unit}",
            ", ".join(filter(None, facts)),
        )

    def _repr_html_(self) -> str:
        scale, place = self.pixel_scale, self.position
        facts = {
            "survey": self.survey,
            "bands": ", ".join(self.bands),
            "pixels (ny, nx)": self.shape,
            "unit": self.unit,
            "pixel scale": "unknown" if scale is None else f"{scale:.4g}",
            "position": "unknown" if place is None else place.icrs.to_string("hmsdms", precision=1),
            "redshift": "unknown" if self.redshift is None else f"{self.redshift:.5g}",
            "masked": f"{self.masked_fraction:.1%}",
            "known": ", ".join(name for name in ("sigma", "psf") if getattr(self, name) is not None) or "-",
        }
        planes = zip(self.bands[:MOST_PICTURES], self.flux, strict=False)
        return overview(
            "Cutout", facts, [(band, grey_picture(plane, f"band {band}")) for band, plane in planes]
        )

    def _checked_mask(self, flux: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        holes = ~np.isfinite(flux)
        if self.mask is None:
            return _frozen(holes)
        mask = np.asarray(self.mask)
        if mask.dtype != np.bool_:
            raise TypeError(
                message("a bool mask, True = do not use", "Compare the flags first.", dtype=str(mask.dtype))
            )
        if mask.shape not in (flux.shape, flux.shape[1:]):
            raise ValueError(
                message(f"a mask of shape {flux.shape} or {flux.shape[1:]}", "", shape=mask.shape)
            )
        return _frozen(np.broadcast_to(mask, flux.shape) | holes)

    def _checked_sigma(self, flux: npt.NDArray[np.float32]) -> npt.NDArray[np.float32] | None:
        if self.sigma is None:
            return None
        sigma = _plane_stack(self.sigma, "sigma")
        if sigma.shape != flux.shape:
            raise ValueError(message(f"sigma of shape {flux.shape}", "", shape=sigma.shape))
        if np.any(sigma < 0):
            raise ValueError(
                message(
                    "sigma >= 0 (NaN where unknown)", "Give a standard deviation.", minimum=np.nanmin(sigma)
                )
            )
        return sigma

    def _checked_psf(self, n_bands: int) -> npt.NDArray[np.float32] | None:
        if self.psf is None:
            return None
        psf = _plane_stack(self.psf, "psf")
        if len(psf) != n_bands:
            raise ValueError(message(f"{n_bands} PSF planes", "", n_planes=len(psf)))
        sums = psf.sum(axis=(1, 2), dtype=float)
        if not np.allclose(sums, 1, atol=1e-3):
            raise ValueError(message("PSF planes of sum 1", "Divide each by its sum.", sums=sums.tolist()))
        return psf

    def _check_wcs(self, shape: tuple[int, ...]) -> None:
        if self.wcs is None:
            return
        if self.wcs.naxis != 2 or not self.wcs.has_celestial:
            raise ValueError(
                message(
                    "a celestial WCS with two axes",
                    "Use wcs.celestial.",
                    naxis=self.wcs.naxis,
                    ctype=list(self.wcs.wcs.ctype),
                )
            )
        stated = self.wcs.array_shape
        if stated is not None and tuple(stated) != tuple(shape[1:]):
            raise ValueError(
                message(
                    f"a WCS for {shape[1:]} pixels (ny, nx)",
                    "Slice the WCS with the image.",
                    array_shape=stated,
                )
            )


def changed(cutout: Cutout, changes: Mapping[str, Any]) -> Cutout:
    """Return a copy of a cutout with other values of some fields, without making its position.

    Parameters
    ----------
    cutout : Cutout
        Cutout, which is not changed.
    changes : mapping of str to object
        New values by the name of the field.

    Returns
    -------
    Cutout
        Same as `dataclasses.replace`, which takes longer, since it makes a `SkyCoord`.
    """
    return replace(cutout, **{"position": held_position(cutout), **changes})


def held_position(cutout: Cutout) -> Any:
    """Return the position of a cutout as it is held, for a copy of the cutout.

    Parameters
    ----------
    cutout : Cutout
        Any cutout.

    Returns
    -------
    astropy.coordinates.SkyCoord, functools.partial or None
        Position, or the function that makes it, if it was not used yet.
    """
    return cutout.__dict__["_position"]


def pixel_steps(wcs: WCS, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    """Return the steps on the sky of one pixel along x and y, at the middle of an image.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        Celestial WCS; its distortions count, which its matrix does not hold.
    shape : tuple of int
        Shape of the image in pixels, (ny, nx).

    Returns
    -------
    numpy.ndarray
        [[longitude by x, longitude by y], [latitude by x, latitude by y]], arcsec on the sky, in the frame of
        the WCS. NaN where it has no sky.

    Examples
    --------
    >>> from astropy.wcs import WCS
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 2 / 3600]
    >>> np.abs(pixel_steps(wcs, (1, 1))).round(6).tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    x, y = (shape[1] - 1) / 2, (shape[0] - 1) / 2
    pixels = [[x + 0.5, y], [x - 0.5, y], [x, y + 0.5], [x, y - 0.5], [x, y]]
    world = np.radians(wcs.all_pix2world(pixels, 0))
    places = list(zip(world[:, wcs.wcs.lng].tolist(), world[:, wcs.wcs.lat].tolist(), strict=True))
    right, left, upper, lower = (_direction(lon, lat) for lon, lat in places[:4])
    lon, lat = places[4]
    east = (-math.sin(lon), math.cos(lon), 0.0)
    north = (-math.sin(lat) * math.cos(lon), -math.sin(lat) * math.sin(lon), math.cos(lat))
    along = ((right, left), (upper, lower))
    steps: npt.NDArray[np.float64] = np.degrees(
        [
            [sum(e * (p - q) for e, p, q in zip(axis, a, b, strict=True)) for a, b in along]
            for axis in (east, north)
        ]
    )
    steps *= 3600
    # Differences are rounded; near its reference point, an undistorted WCS has its matrix.
    matrix: npt.NDArray[np.float64] = wcs.pixel_scale_matrix[[wcs.wcs.lng, wcs.wcs.lat]] * 3600
    return matrix if np.abs(steps - matrix).max() < _ROUNDING * np.abs(matrix).max() else steps


def _direction(lon: float, lat: float) -> tuple[float, float, float]:
    """Return the unit vector of a place on the sky, from radians."""
    return (math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat))


def _plane_stack(array: npt.ArrayLike, name: str) -> npt.NDArray[np.float32]:
    """Return a read-only float32 array with three axes, in native byte order (FITS is big-endian)."""
    stack = np.asarray(array)
    if stack.ndim == 2:
        stack = stack[np.newaxis]
    if stack.ndim != 3 or 0 in stack.shape:
        raise ValueError(
            message(f"{name} of shape (n_bands, ny, nx)", "Put the bands first.", shape=np.shape(array))
        )
    if stack.dtype.kind not in "fiu":
        raise TypeError(message(f"real numbers in {name}", "", dtype=str(stack.dtype)))
    return _frozen(stack.astype(np.float32, copy=False))


def _frozen(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
