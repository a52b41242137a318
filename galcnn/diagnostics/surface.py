"""Surface: the loss on a grid of points in a plane of the weights, and how rough it is; no Keras here."""

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
from galcnn.errors import message

Array = npt.NDArray[np.float64]


def curvatures(loss: npt.ArrayLike) -> Array:
    """Give the curvature of a surface along rows, columns and both diagonals, by second differences.

    Per step of the grid squared, at each inner point: shape (n_beta - 2, n_alpha - 2, 4) of a plane,
    (1, n_alpha - 2, 1) of a line.
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
    """Share of the curvature that is negative: sum of max(-k, 0) over sum of abs(k).

    k are the curvatures along rows, columns and diagonals (`curvatures`) at all inner points. Li et
    al. (2018, section 6) map abs(least / greatest eigenvalue) of the Hessian, to see how far from
    convex the loss is. This is the same comparison of negative with all curvature, in the plane
    that is drawn, as one number for the whole of it, in which flat places do not count; and along
    straight lines of the grid no convex loss has a negative second difference, however coarse the
    grid is, while a Hessian by finite differences has.

    Parameters
    ----------
    loss : array-like
        See `curvatures`.

    Returns
    -------
    float
        0 for a convex surface, 1/2 for a saddle or for waves, 1 for a concave one; 0 for a flat
        one. Points with an infinite loss beside them are left out; NaN where none is left.

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
    # What the rounding of the losses leaves of a plane is no curvature.
    values = np.asarray(loss, dtype=np.float64)
    found = np.where(np.abs(found) < 16 * np.spacing(np.abs(values[np.isfinite(values)]).max()), 0.0, found)
    total = np.abs(found).sum()
    return float(np.maximum(-found, 0).sum() / total) if total > 0 else 0.0


def variation(loss: npt.ArrayLike) -> float:
    """How often a slice runs through its own range: total variation by range, the mean over slices.

    Slices are the rows and the columns: ``sum abs(f_(i+1) - f_i) / (max f - min f)``, the total
    variation of Rudin, Osher & Fatemi (1992) without its unit.

    Parameters
    ----------
    loss : array-like
        Shape (n_beta, n_alpha).

    Returns
    -------
    float
        1 where all slices rise or fall all along, 2 where they fall and rise again as much, 2 n
        for n full waves; at most the number of steps. Slices that are flat or hold an infinite
        loss are left out; NaN where none is left.

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


#: FILETYPE of the primary header, and what a file of arrays says it is.
_FILE_TYPE = "galcnn surface"


@dataclass(frozen=True, eq=False)
class Surface:
    """The loss in a plane, or on a line, of the weights: ``w = w0 + alpha d1 + beta d2``.

    Attributes
    ----------
    alpha : numpy.ndarray
        Along the first direction: equally spaced and rising, at least 3.
    beta : numpy.ndarray
        Along the second; one value on a line.
    loss : numpy.ndarray
        Mean cross-entropy, nat, shape (n_beta, n_alpha); infinite where it overflows.
    error : numpy.ndarray
        Share of the images that are answered wrongly, of the same shape.
    plane : {"random", "trajectory", "between"}
        What spans it.
    facts : mapping
        How it came about: text and numbers.
    path : numpy.ndarray
        (alpha, beta) of each snapshot of a training, shape (n, 2); empty without.
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
        """Whether there is one direction only."""
        return len(self.beta) == 1

    @property
    def roughness(self) -> float:
        """How far from convex: see `galcnn.diagnostics.departure_from_convexity`."""
        return departure_from_convexity(self.loss)

    @property
    def variation(self) -> float:
        """How often slices run through their range: see `galcnn.diagnostics.surface.variation`."""
        return variation(self.loss)

    @property
    def barrier(self) -> float:
        """Height of the loss between two solutions over the straight line of their losses, nat.

        The greatest of ``L(alpha) - (1 - alpha) L(0) - alpha L(1)`` for alpha in [0, 1] (Frankle et
        al. 2020); NaN for any other plane.
        """
        if self.plane != "between":
            return float("nan")
        inside = (self.alpha > -1e-9) & (self.alpha < 1 + 1e-9)
        alpha, loss = self.alpha[inside], self.loss[0, inside]
        return float(np.max(loss - (1 - alpha) * loss[0] - alpha * loss[-1]))

    def wcs(self) -> WCS:
        """Give the linear WCS of the grid: pixel to (ALPHA, BETA)."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["ALPHA", "BETA"]
        wcs.wcs.crpix = [1.0, 1.0]
        wcs.wcs.crval = [self.alpha[0], self.beta[0]]
        wcs.wcs.cdelt = [self.alpha[1] - self.alpha[0], 1.0 if self.is_line else self.beta[1] - self.beta[0]]
        wcs.wcs.set()
        return wcs


def write_surface(surface: Surface, path: str | os.PathLike[str]) -> None:
    """Write a surface, whole or not at all.

    Parameters
    ----------
    surface : Surface
        Any.
    path : path-like
        ``.fits``: HDUs LOSS and ERROR on the linear WCS of alpha and beta, and a table PATH where
        there is one; facts are in the header, on cards ``HIERARCH GALCNN``. Or ``.npz``: arrays by
        their names.

    Raises
    ------
    ValueError
        Another ending.
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
    """Read a surface.

    Parameters
    ----------
    path : path-like
        Written by `write_surface`: ``.npz`` gives the same bits, ``.fits`` too but for alpha and
        beta, which come from the WCS and agree to rounding.

    Returns
    -------
    Surface
        As written.

    Raises
    ------
    FileNotFoundError, ValueError
        There is none, or it is something else.
    """
    try:
        return _from_npz(path) if Path(path).suffix.lower() == ".npz" else _from_fits(path)
    except FileNotFoundError:
        raise
    except (OSError, KeyError, ValueError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(
            message("a surface that galcnn wrote", "", path=str(path), error=str(error))
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
