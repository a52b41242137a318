"""Planes of images and pictures before they become a Cutout; joined, and selected by band."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import astropy.units as u
import numpy as np
import numpy.typing as npt
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS

from galcnn.errors import UnreadableImageError, message
from galcnn.files.sources import Source, decoded_picture
from galcnn.files.zero_points import Factor
from galcnn.photometry import DISPLAY
from galcnn.photometry.units import UNCALIBRATED
from galcnn.transforms.grid import grid_offset

#: Grids are equal if their corners differ by less than this, in pixels.
GRID_TOLERANCE = 0.1


@dataclass(frozen=True)
class Planes:
    """Planes read from one image or more.

    Attributes
    ----------
    values : numpy.ndarray
        Values in `unit`, float32, shape (n_planes, ny, nx).
    names : tuple of str or None
        Names of the bands; None if the file does not name them.
    unit : astropy.units.UnitBase
        Unit of `values`.
    factors : tuple of float or numpy.ndarray
        Factor by which each plane of the file was multiplied, for all its pixels or for each.
    wcs : astropy.wcs.WCS or None
        Celestial WCS.
    survey : str
        Survey, if the file names it.
    mask : numpy.ndarray or None
        Mask, bool, shape of `values`; True = do not use.
    sigma : numpy.ndarray or None
        Standard deviation in `unit`, float32, shape of `values`.
    psf : numpy.ndarray or None
        PSF, float32, one plane per band.
    position : astropy.coordinates.SkyCoord, functools.partial or None
        Position of the galaxy, or the function that makes it, if the file states it.
    redshift : float or None
        Redshift of the galaxy, if the file states it.
    facts : dict
        Entries for the meta of the cutout.
    notes : tuple of str
        Notes on what was repaired or is missing.
    linear : bool
        If False, the file holds logarithms; `factors` are then those of small differences.
    ours : bool
        If True, galcnn wrote the file, and position and meta are kept unchanged.
    bunit : str
        BUNIT of the values of the file; empty if it is not stated.
    changed : tuple of str
        HDUs that do not match their checksums.
    """

    values: npt.NDArray[np.float32]
    names: tuple[str | None, ...]
    unit: u.UnitBase
    factors: tuple[Factor, ...]
    wcs: WCS | None = None
    survey: str = "unknown"
    mask: npt.NDArray[np.bool_] | None = None
    sigma: npt.NDArray[np.float32] | None = None
    psf: npt.NDArray[np.float32] | None = None
    position: SkyCoord | functools.partial[SkyCoord] | None = None
    redshift: float | None = None
    facts: dict[str, object] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    linear: bool = True
    ours: bool = False
    bunit: str = ""
    changed: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Image shape in pixels, (ny, nx)."""
        return (int(self.values.shape[1]), int(self.values.shape[2]))

    @property
    def factor_planes(self) -> npt.NDArray[np.float64]:
        """Factors of all planes, shape (n_planes, 1, 1) or that of `values`."""
        planes = [
            np.reshape(factor, (1, *np.shape(factor)) if np.ndim(factor) else (1, 1, 1))
            for factor in self.factors
        ]
        if any(plane.size > 1 for plane in planes):
            planes = [np.broadcast_to(plane, (1, *self.shape)) for plane in planes]
        return np.concatenate(planes)

    def pick(self, order: Sequence[int]) -> Planes:
        """Return selected planes."""
        rows = list(order)
        return replace(
            self,
            values=self.values[rows],
            names=tuple(self.names[row] for row in rows),
            factors=tuple(self.factors[row] for row in rows),
            mask=None if self.mask is None else self.mask[rows],
            sigma=None if self.sigma is None else self.sigma[rows],
            psf=None if self.psf is None else self.psf[rows],
        )


def join(parts: Sequence[Planes]) -> Planes:
    """Stack planes of several HDUs or files."""
    first = parts[0]
    if len(parts) == 1:
        return first
    shapes = [part.values.shape[1:] for part in parts]
    if len(set(shapes)) > 1:
        raise UnreadableImageError(
            message(
                "bands of one shape (ny, nx)",
                "Use grid=... to resample them to the grid of one band.",
                shapes=shapes,
            )
        )
    units = [part.unit for part in parts]
    if any(unit != first.unit for unit in units):
        raise UnreadableImageError(
            message("bands in one unit", "Calibrate them first.", units=[str(unit) for unit in units])
        )
    placed = [part.wcs for part in parts if part.wcs is not None]
    for other in placed[1:]:
        offset = grid_offset(placed[0], other, shapes[0])
        if not offset <= GRID_TOLERANCE:
            raise UnreadableImageError(
                message(
                    "bands on one grid",
                    "Resample them to one grid first (reproject).",
                    offset_pixels=round(offset, 2),
                    bands=[name for part in parts for name in part.names],
                )
            )
    notes = [note for part in parts for note in part.notes]
    if placed and len(placed) < len(parts):
        notes.append("some bands have no WCS: taken to be on the grid of the others")
    masks = None
    if any(part.mask is not None for part in parts):
        masks = np.concatenate(
            [np.zeros(part.values.shape, bool) if part.mask is None else part.mask for part in parts]
        )
    sigmas = _stacked([part.sigma for part in parts], "sigma", notes)
    psfs = _stacked([part.psf for part in parts], "PSF", notes)
    return Planes(
        np.concatenate([part.values for part in parts]),
        tuple(name for part in parts for name in part.names),
        first.unit,
        factors=tuple(factor for part in parts for factor in part.factors),
        bunit=first.bunit if len({part.bunit for part in parts}) == 1 else "",
        wcs=placed[0] if placed else None,
        survey=first.survey,
        mask=masks,
        sigma=sigmas,
        psf=psfs,
        position=first.position,
        redshift=first.redshift,
        facts=joined_facts([part.facts for part in parts]),
        linear=all(part.linear for part in parts),
        ours=all(part.ours for part in parts),
        changed=tuple(name for part in parts for name in part.changed),
        notes=tuple(dict.fromkeys(notes)),
    )


def choose_bands(planes: Planes, bands: Sequence[str] | None) -> Planes:
    """Select and order planes by name, or name them; names that a user gives overrule the header."""
    given = [name for name in planes.names if name is not None]
    twins = sorted({name for name in given if given.count(name) > 1})
    # All grey pictures, one per band, name their plane L, so this name may be replaced.
    nameless = len(given) < len(planes.names) or set(given) == {"L"}
    if bands is None:
        if twins:
            raise UnreadableImageError(
                message("one plane for each band", "Choose HDUs or files of different bands.", twice=twins)
            )
        if len(given) == len(planes.names):
            return planes
        names = tuple(name or f"band{i + 1}" for i, name in enumerate(planes.names))
        return replace(planes, names=names, notes=(*planes.notes, "the file does not name its bands"))
    wanted = tuple(bands)
    if len(set(wanted)) != len(wanted) or not wanted:
        raise UnreadableImageError(message("each band once", "", bands=wanted))
    if not twins and set(wanted) <= set(given):
        return planes.pick([planes.names.index(band) for band in wanted])
    # Names of which the header has some are a choice among its bands; others overrule it.
    renamed = len(given) == 1 or twins or not set(wanted) & set(given)
    renamed = bool(renamed) and not planes.ours and planes.unit != DISPLAY
    if len(wanted) == len(planes.names) and (nameless or renamed):
        if set(given) <= {"L"}:
            return replace(planes, names=wanted)
        said = ", ".join(name or "nothing" for name in planes.names)
        note = f"bands as given: {', '.join(wanted)}; the header says {said}"
        return replace(planes, names=wanted, notes=(*planes.notes, note))
    if nameless:
        raise UnreadableImageError(
            message(
                f"{len(planes.names)} names, since the file does not name its {len(planes.names)} planes",
                "Name every plane with bands=..., in the order of the file.",
                bands=wanted,
            )
        )
    raise UnreadableImageError(
        message(
            f"bands among {tuple(given)}",
            "Choose bands=... among these, or give every plane another name.",
            bands=wanted,
        )
    )


def joined_facts(facts: Sequence[dict[str, object]]) -> dict[str, object]:
    """Merge facts: one value where all parts agree, else a list of the values."""
    joined: dict[str, object] = {}
    for key in dict.fromkeys(key for own in facts for key in own):
        said = [own[key] for own in facts if key in own]
        joined[key] = said[0] if all(one == said[0] for one in said) else [own.get(key) for own in facts]
    return joined


def _stacked(
    stacks: Sequence[npt.NDArray[np.float32] | None], what: str, notes: list[str]
) -> npt.NDArray[np.float32] | None:
    known = [stack for stack in stacks if stack is not None]
    if not known:
        return None
    if len(known) < len(stacks) or len({stack.shape[1:] for stack in known}) > 1:
        notes.append(f"{what} left out: not known for all bands, or of different shapes")
        return None
    return np.concatenate(known)


def read_picture(source: Source) -> Planes:
    """Read a JPEG or PNG; rows are reversed, since FITS counts them from the bottom."""
    # Pixels that are not opaque are masked. 16-bit grey is uncalibrated, everything else has the unit
    # `display`.
    kind, deep, pixels = decoded_picture(source)
    pixels = pixels[::-1] if pixels.ndim == 3 else pixels[::-1, :, np.newaxis]
    transparent = np.zeros(pixels.shape[:2], dtype=np.bool_)
    if pixels.shape[2] in (2, 4):  # the last channel is opacity
        transparent = pixels[:, :, -1] < 255
        pixels = pixels[:, :, :-1]
    values = np.ascontiguousarray(np.moveaxis(pixels, -1, 0), dtype=np.float32)
    grey = len(values) == 1
    return Planes(
        values,
        ("L",) if grey else ("R", "G", "B"),
        UNCALIBRATED if deep else DISPLAY,
        factors=(1.0,) * len(values),
        mask=np.broadcast_to(transparent, values.shape),
        facts={"format": kind},
    )
