"""How rough a loss surface is, in two numbers that do not change when the loss is scaled or shifted."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from galcnn.errors import message

__all__ = ["curvatures", "departure_from_convexity", "variation"]

Array = npt.NDArray[np.float64]


def curvatures(loss: npt.ArrayLike) -> Array:
    """Give the curvature of a surface along rows, columns and both diagonals, by second differences.

    Parameters
    ----------
    loss : array-like
        Shape (n_beta, n_alpha), at least 3 of alpha, and of beta 1 or at least 3.

    Returns
    -------
    numpy.ndarray
        Per step of the grid squared, at each inner point. Of a plane: shape (n_beta - 2,
        n_alpha - 2, 4). Of a line: shape (1, n_alpha - 2, 1).

    Raises
    ------
    ValueError
        Too few points.
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
