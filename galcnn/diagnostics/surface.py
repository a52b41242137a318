"""Surface of the loss in a plane of weight space, its roughness, and its files; independent of Keras."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.table import Table
from astropy.wcs import WCS

from galcnn._runtime import atomic
from galcnn._runtime.version import __version__
from galcnn.errors import message, without_content

Array = npt.NDArray[np.float64]


def curvatures(loss: npt.ArrayLike) -> Array:
    """Compute the curvature of a surface along rows, columns and both diagonals, by second differences.

    The unit is loss per squared grid step. Values are given at inner points, with shape
    (n_beta - 2, n_alpha - 2, 4) for a plane and (1, n_alpha - 2, 1) for a line.
    """
    values = np.atleast_2d(np.asarray(loss, dtype=np.float64))
    if values.ndim != 2 or values.shape[1] < 3 or values.shape[0] == 2:
        raise ValueError(message("at least 3 points of each direction", "", shape=values.shape))
    with np.errstate(invalid="ignore", over="ignore"):  # infinite losses have no curvature
        if values.shape[0] == 1:
            return np.asarray(np.diff(values, n=2, axis=1)[..., np.newaxis])
        twice = 2 * values[1:-1, 1:-1]
        return np.stack(
            [
                values[1:-1, 2:] - twice + values[1:-1, :-2],
                values[2:, 1:-1] - twice + values[:-2, 1:-1],
                (values[2:, 2:] - twice + values[:-2, :-2]) / 2,  # a step along a diagonal is sqrt(2) long
                (values[2:, :-2] - twice + values[:-2, 2:]) / 2,
            ],
            axis=-1,
        )


def departure_from_convexity(loss: npt.ArrayLike) -> float:
    """Fraction of the curvature that is negative: sum of max(-k, 0) over sum of abs(k).

    The curvatures k are second differences along rows, columns and diagonals at all inner points. Li et al.
    (2018, section 6) map abs(smallest / largest eigenvalue) of the Hessian to show the departure from
    convexity. This number compares negative with total curvature in the same way, within the plane and
    summed over it, so flat regions have no weight. Second differences along grid lines are never negative
    for a convex loss, even on a coarse grid; eigenvalues of a finite-difference Hessian can be.

    Parameters
    ----------
    loss : array-like
        Loss, shape (n_beta, n_alpha), or (n_alpha,) for a line.

    Returns
    -------
    float
        0 for a convex or flat surface, 1/2 for a saddle or waves, 1 for a concave surface. Points next to
        an infinite loss are excluded; NaN if no point remains.

    Examples
    --------
    >>> x, y = np.meshgrid(np.arange(9.0), np.arange(9.0))
    >>> departure_from_convexity(x**2 + y**2), departure_from_convexity(x**2 - y**2)
    (0.0, 0.5)
    """
    found = curvatures(loss)
    found = found[np.isfinite(found).all(axis=-1)]
    if not len(found):
        return float("nan")
    # Curvatures at the level of rounding errors are set to 0.
    values = np.asarray(loss, dtype=np.float64)
    found = np.where(np.abs(found) < 16 * np.spacing(np.abs(values[np.isfinite(values)]).max()), 0.0, found)
    total = np.abs(found).sum()
    return float(np.maximum(-found, 0).sum() / total) if total > 0 else 0.0


def variation(loss: npt.ArrayLike) -> float:
    """Normalised total variation: total variation over range, averaged over rows and columns.

    For each row and column f, ``sum abs(f_(i+1) - f_i) / (max f - min f)``. The numerator is the total
    variation of Rudin, Osher & Fatemi (1992) in one dimension.

    Parameters
    ----------
    loss : array-like
        Loss, shape (n_beta, n_alpha), or (n_alpha,) for a line.

    Returns
    -------
    float
        1 if all slices are monotonic, 2 for symmetric valleys, 2 n for n full waves; at most the number
        of steps. Slices that are flat or contain an infinite loss are excluded; NaN if none remains.

    Examples
    --------
    >>> x = np.linspace(-1, 1, 25)
    >>> variation(x), round(variation(x**2), 6), round(variation(np.cos(3 * np.pi * x)), 6)
    (1.0, 2.0, 6.0)
    """
    values = np.atleast_2d(np.asarray(loss, dtype=np.float64))
    ratios = []
    for slices in (values, values.T):
        if slices.shape[1] < 2:
            continue
        whole = slices[np.isfinite(slices).all(axis=1)]
        reach = np.ptp(whole, axis=1)
        runs = np.abs(np.diff(whole, axis=1)).sum(axis=1)
        ratios.extend((runs[reach > 0] / reach[reach > 0]).tolist())
    return float(np.mean(ratios)) if ratios else float("nan")


Plane = Literal["random", "trajectory", "between"]


_PLANES = ("random", "trajectory", "between")


#: FILETYPE of the primary FITS header, and type of an ``.npz`` file.
_FILE_TYPE = "galcnn surface"


@dataclass(frozen=True, eq=False)
class Surface:
    """Loss in a plane or on a line of weight space, ``w = w0 + alpha d1 + beta d2``.

    Attributes
    ----------
    alpha : numpy.ndarray
        Coordinates along the first direction: at least 3, equally spaced and increasing.
    beta : numpy.ndarray
        Coordinates along the second direction; one value for a line.
    loss : numpy.ndarray
        Mean cross-entropy, nat, shape (n_beta, n_alpha); infinite where it is not finite.
    error : numpy.ndarray
        Fraction of the images with a wrong answer, shape (n_beta, n_alpha).
    plane : {"random", "trajectory", "between"}
        Kind of directions.
    facts : mapping
        Further text and numbers on the computation.
    path : numpy.ndarray
        (alpha, beta) of each snapshot of a training, shape (n, 2); empty if there are none.
    """

    alpha: Array
    beta: Array
    loss: Array
    error: Array
    plane: Plane
    facts: Mapping[str, str | int | float] = field(default_factory=dict)
    path: Array = field(default_factory=lambda: np.empty((0, 2)))

    def __post_init__(self) -> None:
        shape = (len(self.beta), len(self.alpha))
        if len(self.alpha) < 3 or self.loss.shape != shape or self.error.shape != shape:
            raise ValueError(
                message(
                    "loss and error of shape (n_beta, n_alpha), with at least 3 of alpha",
                    "",
                    alpha=len(self.alpha),
                    beta=len(self.beta),
                    loss=self.loss.shape,
                    error=self.error.shape,
                )
            )
        for name, steps in (("alpha", np.diff(self.alpha)), ("beta", np.diff(self.beta))):
            if len(steps) and not (steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-9)):
                raise ValueError(
                    message(f"{name} equally spaced and rising", "", **{name: getattr(self, name)})
                )
        if self.plane not in _PLANES or self.path.shape[1:] != (2,):
            raise ValueError(
                message(
                    f"a plane among {_PLANES} and a path of pairs",
                    "",
                    plane=self.plane,
                    path=self.path.shape,
                )
            )

    @property
    def is_line(self) -> bool:
        """True if the surface has one direction only."""
        return len(self.beta) == 1

    @property
    def roughness(self) -> float:
        """Departure from convexity, see `galcnn.diagnostics.departure_from_convexity`."""
        return departure_from_convexity(self.loss)

    @property
    def variation(self) -> float:
        """Normalised total variation, see `galcnn.diagnostics.surface.variation`."""
        return variation(self.loss)

    @property
    def barrier(self) -> float:
        """Loss barrier between two solutions, nat; NaN for other planes.

        It is the maximum of ``L(alpha) - (1 - alpha) L(0) - alpha L(1)`` for alpha in [0, 1] (Frankle et
        al. 2020).
        """
        if self.plane != "between":
            return float("nan")
        inside = (self.alpha > -1e-9) & (self.alpha < 1 + 1e-9)
        alpha, loss = self.alpha[inside], self.loss[0, inside]
        return float(np.max(loss - (1 - alpha) * loss[0] - alpha * loss[-1]))

    def wcs(self) -> WCS:
        """Return the linear WCS of the grid, from pixels to (ALPHA, BETA)."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["ALPHA", "BETA"]
        wcs.wcs.crpix = [1.0, 1.0]
        wcs.wcs.crval = [self.alpha[0], self.beta[0]]
        wcs.wcs.cdelt = [self.alpha[1] - self.alpha[0], 1.0 if self.is_line else self.beta[1] - self.beta[0]]
        wcs.wcs.set()
        return wcs


def write_surface(surface: Surface, path: str | os.PathLike[str]) -> None:
    """Write a surface to a FITS or NumPy file, atomically.

    Parameters
    ----------
    surface : Surface
        Surface to be written.
    path : path-like
        Output file. ``.fits``: HDUs LOSS and ERROR with the linear WCS of alpha and beta, and a table
        PATH if there is a path; facts are header cards ``HIERARCH GALCNN``. ``.npz``: arrays by name.

    Raises
    ------
    ValueError
        If the file name has another suffix.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".fits", ".npz"):
        raise ValueError(message("a file name that ends in .fits or .npz", "", path=str(path)))
    with atomic.writing(path) as temporary:
        if suffix == ".fits":
            _hdus(surface).writeto(temporary, checksum=True)
            return
        plain = {"type": _FILE_TYPE, "plane": surface.plane, "facts": dict(surface.facts)}
        arrays = {name: getattr(surface, name) for name in ("alpha", "beta", "loss", "error", "path")}
        with temporary.open("wb") as file:
            np.savez(file, about=np.array(json.dumps(plain)), **arrays)


def read_surface(path: str | os.PathLike[str]) -> Surface:
    """Read a surface from a FITS or NumPy file.

    Parameters
    ----------
    path : path-like
        File written by `write_surface`.

    Returns
    -------
    Surface
        Surface as written; alpha and beta of a FITS file come from its WCS and agree to rounding.

    Raises
    ------
    FileNotFoundError
        If the file does not exist.
    ValueError
        If the file is not a surface or is damaged.
    """
    try:
        return _from_npz(path) if Path(path).suffix.lower() == ".npz" else _from_fits(path)
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            message("a surface that galcnn wrote", "", path=str(path), error=without_content(error))
        ) from error


def _hdus(surface: Surface) -> fits.HDUList:
    header = surface.wcs().to_header()
    header["FILETYPE"] = (_FILE_TYPE, "kind of this file")
    header["CREATOR"] = (f"galcnn {__version__}", "software that wrote this file")
    header["PLANE"] = (surface.plane, "what spans the plane of the weights")
    for key, value, comment in (
        ("ROUGH", surface.roughness, "departure from convexity, 0 is convex"),
        ("VARIATN", surface.variation, "runs of slices through their range"),
        ("BARRIER", surface.barrier, "[nat] over the line of both ends"),
    ):
        if np.isfinite(value):
            header[key] = (value, comment)
    for name, fact in surface.facts.items():
        plain = fact.encode("ascii", "backslashreplace").decode() if isinstance(fact, str) else fact
        header[f"HIERARCH GALCNN {name}"] = plain  # FITS headers are ASCII
    loss = fits.PrimaryHDU(surface.loss, header.copy())
    loss.header["EXTNAME"] = ("LOSS", "mean cross-entropy")
    loss.header["BUNIT"] = ("", "nat")
    error = fits.ImageHDU(surface.error, surface.wcs().to_header(), name="ERROR")
    path = fits.table_to_hdu(Table(surface.path, names=("alpha", "beta")))
    path.name = "PATH"
    return fits.HDUList([loss, error, *([path] if len(surface.path) else [])])


def _from_fits(path: str | os.PathLike[str]) -> Surface:
    with fits.open(path, checksum=True) as hdus:
        header = hdus[0].header
        if header.get("FILETYPE") != _FILE_TYPE:
            raise ValueError(f"FILETYPE is {header.get('FILETYPE')!r}")
        wcs, (n_beta, n_alpha) = WCS(header), hdus[0].data.shape
        table = hdus["PATH"].data if "PATH" in hdus else {"alpha": [], "beta": []}
        return Surface(
            alpha=wcs.wcs_pix2world(np.arange(n_alpha), 0, 0)[0],
            beta=wcs.wcs_pix2world(0, np.arange(n_beta), 0)[1],
            loss=hdus[0].data.astype(np.float64),
            error=hdus["ERROR"].data.astype(np.float64),
            plane=header["PLANE"],
            facts={
                key.removeprefix("GALCNN ").lower(): value
                for key, value in header.items()
                if key.startswith("GALCNN ")
            },
            path=np.column_stack([np.asarray(table[name], dtype=np.float64) for name in ("alpha", "beta")]),
        )


def _from_npz(path: str | os.PathLike[str]) -> Surface:
    with open(path, "rb") as handle, np.load(handle, allow_pickle=False) as file:
        about: dict[str, Any] = json.loads(str(file["about"]))
        if about["type"] != _FILE_TYPE:
            raise ValueError(f"type is {about['type']!r}")
        names = {f.name for f in fields(Surface)} - {"plane", "facts"}
        return Surface(plane=about["plane"], facts=about["facts"], **{name: file[name] for name in names})
