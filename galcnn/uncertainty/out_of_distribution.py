"""Out-of-distribution warnings, from measures of the image and the embedding of the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model import InputSpec
from galcnn.transforms.background import sky_statistics
from galcnn.uncertainty.prediction_sets import Floats, conformal_rank

#: Measures that do not come from the image: pixel scale of the cutout before resampling, in arcsec, and
#: redshift of the catalog.
PIXEL_SCALE, REDSHIFT = "pixel_scale", "redshift"

_AB = 31.4  # magnitude of 1 nJy
_SMOOTHEST = 1e-6
_EDGE = 0.1  # width of the border that counts as sky, as a fraction of the side


def image_measures(images: npt.NDArray[np.float32], spec: InputSpec) -> dict[str, Floats]:
    """Measure brightness, size, signal-to-noise ratio and sharpness of images with a central galaxy.

    Sky level and noise are the median and the scaled median absolute deviation of a border that is a
    tenth of the side wide. The half-light radius is that of the circle about the centre with half of
    the flux of the largest circle in the image, for the mean of the bands.

    Parameters
    ----------
    images : numpy.ndarray
        Images as the network receives them, shape (n, ny, nx, n_bands).
    spec : galcnn.model.InputSpec
        Unit, bands and pixel scale of the images.

    Returns
    -------
    dict of str to numpy.ndarray
        Arrays of shape (n,). ``magnitude_<band>``: AB magnitude, or for uncalibrated images
        ``brightness_<band>``, the decimal logarithm of the counts. ``half_light_radius``: arcsec, or
        pixels if the pixel scale is unknown. ``signal_to_noise``: decimal logarithm of the ratio
        within the half-light radius, in the band where it is highest. ``sharpness``: decimal
        logarithm of 1 minus the correlation of neighbouring sky pixels, averaged over bands: 0 for
        white noise, lower for smoother images. Flux below the noise is replaced by the noise, so that
        all values are finite.
    """
    ny, nx = images.shape[1:3]
    y, x = np.mgrid[:ny, :nx]
    radius = np.hypot(y - (ny - 1) / 2, x - (nx - 1) / 2)
    widest = min(ny, nx) / 2
    inside = radius <= widest
    my, mx = max(1, round(_EDGE * ny)), max(1, round(_EDGE * nx))
    planes = images.astype(np.float64)
    sky, noise = sky_statistics(np.moveaxis(planes, -1, 1), border=(my, mx))
    noise = np.maximum(noise, 1e-6 * np.abs(planes).max(axis=(1, 2)) + 1e-12)
    sharpness = _sharpness(planes, my, mx)
    planes -= sky[:, np.newaxis, np.newaxis]
    total = np.maximum(planes[:, inside].sum(axis=1), noise * np.sqrt(inside.sum()))
    half = _half_light(planes.mean(axis=-1)[:, inside], radius[inside])
    area = np.pi * half**2
    ratio = 0.5 * total / (noise * np.sqrt(area)[:, np.newaxis])
    scale = spec.pixel_scale or 1.0
    bright = _AB - 2.5 * np.log10(total) if spec.unit == "nJy" else np.log10(total)
    name = "magnitude" if spec.unit == "nJy" else "brightness"
    found = {f"{name}_{band}": bright[:, k] for k, band in enumerate(spec.bands)}
    return found | {
        "half_light_radius": half * scale,
        "signal_to_noise": np.log10(ratio.max(axis=1)),
        "sharpness": sharpness,
    }


def _sharpness(planes: Floats, my: int, mx: int) -> Floats:
    """Logarithm of the mean squared difference of neighbouring border pixels over twice the variance."""
    # The median of the four strips, so that a neighbouring galaxy in one of them has no effect.
    across = planes.transpose(0, 2, 1, 3)
    found = []
    for strip in (planes[:, :my], planes[:, -my:], across[:, :mx], across[:, -mx:]):
        variance = strip.var(axis=(1, 2))
        steps = (np.diff(strip, axis=2) ** 2).mean(axis=(1, 2))
        found.append(np.where(variance > 0, steps / np.maximum(2 * variance, 1e-300), 1.0))
    sharp: Floats = np.log10(np.clip(np.median(found, axis=0), _SMOOTHEST, None).mean(axis=1))
    return sharp


def _half_light(flux: Floats, radius: Floats) -> Floats:
    """Radius at which the curve of growth reaches half of its final value, interpolated between rings."""
    order = np.argsort(radius, kind="stable")
    rings, starts = np.unique(np.round(radius[order], 9), return_index=True)
    grown = np.add.reduceat(flux[:, order], starts, axis=1).cumsum(axis=1)
    half = 0.5 * grown[:, -1]
    reached = np.maximum((grown >= half[:, np.newaxis]).argmax(axis=1), 1)
    rows = np.arange(len(flux))
    below, above = grown[rows, reached - 1], grown[rows, reached]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip(np.nan_to_num((half - below) / (above - below)), 0.0, 1.0)
    found = rings[reached - 1] + share * (rings[reached] - rings[reached - 1])
    found[half <= 0] = rings[-1]  # no flux at all: as wide as the image
    half_light: Floats = np.maximum(found, 0.5)
    return half_light


#: Number of principal components of the embedding: with a few thousand galaxies, more would be noise.
_COMPONENTS = 12


@dataclass(frozen=True, eq=False)
class OutOfDistribution:
    """Distribution of a training set, and the distance beyond which an object is out of distribution.

    Attributes
    ----------
    features : mapping of str to tuple of float
        Median of each feature, and the distances from it to the 15.87 % and 84.13 % quantiles, which
        serve as robust standard deviations below and above the median.
    mean, components, variances : numpy.ndarray
        Mean of the embedding, shape (n_features,); its principal components, shape
        (n_components, n_features); and the variance along each, shape (n_components,).
    limit : float
        Distance beyond which an object is out of distribution.
    false_alarms : float
        Largest expected share of objects like the training set that exceed the limit.
    n : int
        Number of galaxies, not used in training, from which the limit was derived.
    ranges : mapping of str to tuple of float
        Smallest and largest value in training of a property such as the pixel scale. An object
        outside this range is out of distribution regardless of its distance.
    """

    features: Mapping[str, tuple[float, float, float]]
    mean: Floats
    components: Floats
    variances: Floats
    limit: float
    false_alarms: float
    n: int
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.false_alarms < 1 or not self.limit >= 0:
            raise ValueError(
                message(
                    "a limit from 0, and false alarms between 0 and 1",
                    "",
                    limit=self.limit,
                    false_alarms=self.false_alarms,
                )
            )
        values = (*self.features.values(), self.mean, self.components, self.variances)
        if not all(np.isfinite(np.asarray(value, dtype=float)).all() for value in values):
            raise ValueError(message("finite medians, means, components and variances", "", n=self.n))

    def deviations(
        self, measures: Mapping[str, npt.ArrayLike], embedding: npt.NDArray[np.floating]
    ) -> dict[str, Floats]:
        """Compute the deviation of objects from the training set in each feature.

        Parameters
        ----------
        measures : mapping of str to array-like
            Values of the features, shape (n,) each. Missing features are left out of the result; NaN
            gives NaN.
        embedding : numpy.ndarray
            Embedding of the objects, shape (n, n_features).

        Returns
        -------
        dict of str to numpy.ndarray
            Distance from the median in robust standard deviations, shape (n,), for each feature; and
            as ``embedding`` the Mahalanobis distance along the principal components, divided by the
            square root of their number.
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
        """Find objects that are out of distribution.

        Parameters
        ----------
        measures : mapping of str to array-like
            Values of the features, see `deviations`, and of the properties in `ranges`.
        embedding : numpy.ndarray
            Embedding of the objects, shape (n, n_features).

        Returns
        -------
        outside : numpy.ndarray
            True for objects that are out of distribution, bool, shape (n,).
        reasons : list of str
            For each such object, the property outside its range or else the feature with the largest
            deviation, with its value; an empty string for all others.
        distance : numpy.ndarray
            Largest deviation of each object over all features, shape (n,).
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
        """Return a dictionary of plain values.

        Returns
        -------
        dict
            Input of `from_dict`, which restores an equal object.
        """
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "components", "variances")}
        named = {
            key: {k: list(v) for k, v in values.items()}
            for key, values in (("features", self.features), ("ranges", self.ranges))
        }
        return asdict(self) | arrays | named

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> OutOfDistribution:
        """Restore the distribution from a dictionary.

        Parameters
        ----------
        content : mapping
            Dictionary from `to_dict`.

        Returns
        -------
        OutOfDistribution
            Object equal to the one that `to_dict` was called on.
        """
        arrays = {name: np.array(content[name]) for name in ("mean", "components", "variances")}
        features = {name: (float(m), float(a), float(b)) for name, (m, a, b) in content["features"].items()}
        ranges = {name: (float(low), float(high)) for name, (low, high) in content.get("ranges", {}).items()}
        return cls(**(dict(content) | arrays | {"features": features, "ranges": ranges}))


def fit_out_of_distribution(
    measures: Mapping[str, npt.ArrayLike],
    embedding: npt.NDArray[np.floating],
    measures_aside: Mapping[str, npt.ArrayLike],
    embedding_aside: npt.NDArray[np.floating],
    *,
    false_alarms: float = 0.01,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> OutOfDistribution:
    """Fit the distribution of a training set, and derive the limit from held-out galaxies.

    The distance of an object is its largest deviation over all features. The limit is the k-th
    smallest distance of the n held-out galaxies, k = ceil((n + 1) (1 - false_alarms)). An object
    that is exchangeable with them exceeds it with a probability of at most `false_alarms`, whatever
    the correlations of the features (conformal p-value, Bates et al. 2023, Annals of Statistics
    51, 149).

    Parameters
    ----------
    measures, embedding : mapping of str to array-like, numpy.ndarray
        Features and embedding of the training set, see `OutOfDistribution.deviations`.
    measures_aside, embedding_aside : mapping of str to array-like, numpy.ndarray
        Features and embedding of held-out galaxies. They must not be training galaxies, whose
        embedding is more concentrated than that of new ones.
    false_alarms : float
        Largest accepted share of false alarms, in (0, 1).
    ranges : mapping of str to tuple of float, optional
        Ranges of properties, see `OutOfDistribution`.

    Returns
    -------
    OutOfDistribution
        Fitted distribution. Features with the same value in the whole training set are left out.

    Raises
    ------
    ValueError
        If `false_alarms` is outside (0, 1), or there are too few held-out galaxies for it.
    """
    if not 0 < false_alarms < 1:
        raise ValueError(message("a share of false alarms in (0, 1)", "", false_alarms=false_alarms))
    features = {}
    for name, values in measures.items():
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        if not len(known):
            continue
        low, middle, high = np.quantile(known, [0.1587, 0.5, 0.8413])
        if high > low:
            # Else, where many values equal the median, all others would be far from it.
            least = 0.05 * (high - low)
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
    n = len(embedding_aside)
    rank = conformal_rank(n, 1 - false_alarms)
    if rank > n:
        raise ValueError(
            message(
                f"at least {int(np.ceil(1 / false_alarms)) - 1} galaxies set aside for {false_alarms:.2g} "
                "false alarms",
                "Allow more false alarms.",
                galaxies=n,
            )
        )
    ood = OutOfDistribution(features, mean, directions[:kept], variances[:kept], np.inf, false_alarms, n)
    *_, distance = ood.warn(measures_aside, embedding_aside)
    limit = float(np.sort(distance)[rank - 1])
    return replace(ood, limit=limit, ranges=dict(ranges or {}))
