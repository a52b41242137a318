"""Is this object like those that the network was trained on?"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import message

__all__ = ["Domain", "fit_domain"]

Floats = npt.NDArray[np.float64]

#: Principal components of the embedding that are kept: more would be noise of a few thousand galaxies.
_COMPONENTS = 12


@dataclass(frozen=True, eq=False)
class Domain:
    """The range of a training set, and the distance from it at which to warn.

    Attributes
    ----------
    features : mapping of str to tuple of float
        Median, and distances from it to the 15.87 % and 84.13 % quantiles: a robust deviation
        below and above.
    mean, components, variances : numpy.ndarray
        Of the embedding: its mean, shape (n_features,); its principal components, shape
        (n_components, n_features); the variance along each.
    limit : float
        Distance beyond which an object is warned of.
    false_alarms : float
        Share of objects like the training set that are warned of all the same.
    n : int
        Galaxies, none of them trained on, by which the limit was measured.
    ranges : mapping of str to tuple of float
        Least and greatest value of what all images of the training share, such as their pixel
        scale: whatever lies beyond is warned of, whatever the limit.
    """

    features: Mapping[str, tuple[float, float, float]]
    mean: Floats
    components: Floats
    variances: Floats
    limit: float
    false_alarms: float
    n: int
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def deviations(
        self, measures: Mapping[str, npt.ArrayLike], embedding: npt.NDArray[np.floating]
    ) -> dict[str, Floats]:
        """Say how far out objects lie in each feature.

        Parameters
        ----------
        measures : mapping of str to array-like
            Of the features, shape (n,) each. One that is missing, or NaN, is not judged.
        embedding : numpy.ndarray
            Shape (n, n_features).

        Returns
        -------
        dict of str to numpy.ndarray
            Robust deviations, 0 at the median, and for ``embedding`` the Mahalanobis distance
            among the first principal components over the square root of their number.
        """
        found: dict[str, Floats] = {}
        for name, (median, below, above) in self.features.items():
            if name in measures:
                offset = np.asarray(measures[name], dtype=np.float64) - median
                found[name] = np.where(offset < 0, -offset / below, offset / above)
        if len(self.components):
            scores = (np.asarray(embedding, dtype=np.float64) - self.mean) @ self.components.T
            found["embedding"] = np.sqrt((scores**2 / self.variances).mean(axis=1))
        return found

    def warn(
        self, measures: Mapping[str, npt.ArrayLike], embedding: npt.NDArray[np.floating]
    ) -> tuple[npt.NDArray[np.bool_], list[str], Floats]:
        """Warn of objects that lie outside.

        Parameters
        ----------
        measures : mapping of str to array-like
            See `deviations`.
        embedding : numpy.ndarray
            Shape (n, n_features).

        Returns
        -------
        outside : numpy.ndarray
            bool, shape (n,).
        reasons : list of str
            What is beyond its range, else which feature lies farthest out, and by how much; empty
            inside.
        distance : numpy.ndarray
            The largest deviation of each.
        """
        found = self.deviations(measures, embedding)
        names = list(found)
        table = np.nan_to_num(np.stack([found[name] for name in names], axis=1), nan=0.0, posinf=np.inf)
        distance: Floats = table.max(axis=1)
        outside = distance > self.limit
        reasons = [
            f"{names[k]} is {d:.1f} deviations from the training set's median (limit {self.limit:.1f})"
            if out
            else ""
            for out, d, k in zip(outside, distance, table.argmax(axis=1), strict=True)
        ]
        for name, (low, high) in self.ranges.items():
            values = np.asarray(measures.get(name, np.nan), dtype=np.float64)
            beyond = np.broadcast_to((values < low) | (values > high), outside.shape)
            outside = outside | beyond
            for row in np.flatnonzero(beyond):
                value = np.broadcast_to(values, outside.shape)[row]
                reasons[row] = f"{name} is {value:.4g}, the training set's {low:.4g} to {high:.4g}"
        return outside, reasons, distance

    def to_dict(self) -> dict[str, Any]:
        """Give plain values.

        Returns
        -------
        dict
            `from_dict` makes the same of them.
        """
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "components", "variances")}
        named = {
            key: {k: list(v) for k, v in values.items()}
            for key, values in (("features", self.features), ("ranges", self.ranges))
        }
        return asdict(self) | arrays | named

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Domain:
        """Read what `to_dict` gave.

        Parameters
        ----------
        content : mapping
            Plain values.

        Returns
        -------
        Domain
            The same as before.
        """
        arrays = {name: np.array(content[name]) for name in ("mean", "components", "variances")}
        features = {name: (float(m), float(a), float(b)) for name, (m, a, b) in content["features"].items()}
        ranges = {name: (float(low), float(high)) for name, (low, high) in content.get("ranges", {}).items()}
        return cls(**(dict(content) | arrays | {"features": features, "ranges": ranges}))


def fit_domain(
    training: tuple[Mapping[str, npt.ArrayLike], npt.NDArray[np.floating]],
    aside: tuple[Mapping[str, npt.ArrayLike], npt.NDArray[np.floating]],
    *,
    false_alarms: float = 0.01,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Domain:
    """Learn the range of a training set, and measure the limit on galaxies set aside.

    An object's distance is its largest deviation over all features. The limit is the k-th
    smallest distance of the galaxies set aside, k = ceil((n + 1) (1 - false_alarms)): one that is
    exchangeable with them exceeds it with a probability of at most `false_alarms`, however the
    features hang together (the conformal p-value of Bates et al. 2023, Annals of Statistics 51, 149).

    Parameters
    ----------
    training, aside : tuple of (mapping of str to array-like, numpy.ndarray)
        Measures and embedding; see `Domain.deviations`. Those set aside took no part in training:
        a network embeds what it was trained on more tightly than anything else.
    false_alarms : float
        In (0, 1).
    ranges : mapping of str to tuple of float, optional
        See `Domain`.

    Returns
    -------
    Domain
        A feature without any spread in the training set is left out, since nothing is known of it.

    Raises
    ------
    ValueError
        Too few galaxies set aside for so few false alarms.
    """
    if not 0 < false_alarms < 1:
        raise ValueError(message("a share of false alarms in (0, 1)", "", false_alarms=false_alarms))
    measures, embedding = training
    features = {}
    for name, values in measures.items():
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        if not len(known):
            continue
        low, middle, high = np.quantile(known, [0.1587, 0.5, 0.8413])
        if high > low:
            least = 0.05 * (high - low)  # a heap at the median must not make every other value far
            features[name] = (
                float(middle),
                float(max(middle - low, least)),
                float(max(high - middle, least)),
            )
    values = np.asarray(embedding, dtype=np.float64)
    mean = values.mean(axis=0)
    _, singular, directions = np.linalg.svd(values - mean, full_matrices=False)
    variances = singular**2 / max(len(values) - 1, 1)
    kept = min(_COMPONENTS, int(np.sum(variances > 1e-9 * max(variances[0], 1e-300))))
    n = len(aside[1])
    domain = Domain(features, mean, directions[:kept], variances[:kept], np.inf, false_alarms, n)
    *_, distance = domain.warn(*aside)
    rank = int(np.ceil((n + 1) * (1 - false_alarms) - 1e-9))
    if rank > n:
        raise ValueError(
            message(
                f"at least {int(np.ceil(1 / false_alarms)) - 1} galaxies set aside for {false_alarms:.2g} "
                "false alarms",
                "Allow more false alarms.",
                galaxies=n,
            )
        )
    limit = float(np.sort(distance)[rank - 1])
    return replace(domain, limit=limit, ranges=dict(ranges or {}))
