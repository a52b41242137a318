"""Out-of-distribution warnings, from measures of the image and the embedding of the network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import message
from galcnn.model import InputSpec
from galcnn.transforms.background import sky_statistics
from galcnn.uncertainty.prediction_sets import Floats, conformal_rank, smallest_sample, tolerated

#: Measures that do not come from the image: pixel scale of the cutout before resampling, in arcsec, and
#: redshift of the catalog.
PIXEL_SCALE, REDSHIFT = "pixel_scale", "redshift"

_AB = 31.4  # magnitude of 1 nJy
_SMOOTHEST = 1e-6
#: 99.5 % quantile of the normal distribution.
_SIGMA = 2.576
_EDGE = 0.1  # width of the border that counts as sky, as a fraction of the side


def image_measures(images: npt.NDArray[np.float32], spec: InputSpec) -> dict[str, Floats]:
    """Measure galaxy, sky, noise and colours of images with a central galaxy.

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
        Arrays of shape (n,), all values finite. Of the galaxy: ``magnitude_<band>``, AB magnitude, or for
        uncalibrated images ``brightness_<band>``, the decimal logarithm of the counts;
        ``half_light_radius``, arcsec, or pixels if the pixel scale is unknown; ``signal_to_noise``,
        decimal logarithm of the ratio within the half-light radius, in the band where it is highest.
        Flux below the noise is replaced by the noise.

        Of the sky: ``sky_<band>``, inverse hyperbolic sine of its level over the noise;
        ``noise_<band>``, decimal logarithm of the noise; ``sharpness``, decimal logarithm of 1 minus the
        correlation of neighbouring sky pixels, averaged over bands, 0 for white noise and lower for
        smoother images; ``texture_2`` and ``texture_4``, the same for pixels 2 and 4 apart.

        Of the colours, for each pair of adjacent bands: ``colour_<band>_<band>`` in the whole image and
        ``noise_colour_<band>_<band>`` in the border, decimal logarithm of the variance of their
        difference over the sum of their variances: 0 for independent bands, -6 for equal ones.

        Of the whole image: ``power_<k>`` for k = 1, 2, 4, 8 pixels, decimal logarithm of the fraction of
        the variance within blocks of 2 x 2 cells of k x k pixels, for the mean of the bands;
        ``darkest`` and ``brightest``, decimal logarithm of the fraction of pixels with the lowest and
        highest value, averaged over bands.
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
    across = planes.transpose(0, 2, 1, 3)
    strips = (planes[:, :my], planes[:, -my:], across[:, :mx], across[:, -mx:])
    found = {
        name: _decorrelation(strips, lag)
        for name, lag in (("sharpness", 1), ("texture_2", 2), ("texture_4", 4))
        if lag < min(ny, nx)
    }
    found |= _colours(planes, strips, spec.bands) | _powers(planes.mean(axis=-1))
    for name, ends in (("darkest", planes.min(axis=(1, 2))), ("brightest", planes.max(axis=(1, 2)))):
        found[name] = np.log10((planes == ends[:, None, None]).mean(axis=(1, 2)).mean(axis=1))
    planes -= sky[:, np.newaxis, np.newaxis]
    total = np.maximum(planes[:, inside].sum(axis=1), noise * np.sqrt(inside.sum()))
    half = _half_light(planes.mean(axis=-1)[:, inside], radius[inside])
    area = np.pi * half**2
    ratio = 0.5 * total / (noise * np.sqrt(area)[:, np.newaxis])
    scale = spec.pixel_scale or 1.0
    bright = _AB - 2.5 * np.log10(total) if spec.unit == "nJy" else np.log10(total)
    name = "magnitude" if spec.unit == "nJy" else "brightness"
    levels = {name: bright, "sky": np.arcsinh(sky / noise), "noise": np.log10(noise)}
    return {
        **{f"{name}_{band}": one[:, k] for name, one in levels.items() for k, band in enumerate(spec.bands)},
        "half_light_radius": half * scale,
        "signal_to_noise": np.log10(ratio.max(axis=1)),
        **found,
    }


def _decorrelation(strips: Sequence[Floats], lag: int) -> Floats:
    """Logarithm of the mean squared difference of border pixels so far apart over twice the variance."""
    # The median of the four strips, so that a neighbouring galaxy in one of them has no effect.
    steps = [((strip[:, :, lag:] - strip[:, :, :-lag]) ** 2).mean(axis=(1, 2)) for strip in strips]
    parts = [_quotient(step, 2 * strip.var(axis=(1, 2))) for step, strip in zip(steps, strips, strict=True)]
    return _log(np.maximum(np.median(parts, axis=0), _SMOOTHEST).mean(axis=1))


def _colours(planes: Floats, strips: Sequence[Floats], bands: Sequence[str]) -> dict[str, Floats]:
    """Compare adjacent bands in the whole image and, by the median of the strips, in its border."""

    def unlike(pixels: Floats) -> Floats:
        variance = pixels.var(axis=(1, 2))
        return _quotient(np.diff(pixels).var(axis=(1, 2)), variance[:, 1:] + variance[:, :-1])

    found = {
        "colour": _log(unlike(planes)),
        "noise_colour": _log(np.median(list(map(unlike, strips)), axis=0)),
    }
    return {
        f"{name}_{one}_{other}": values[:, k]
        for name, values in found.items()
        for k, (one, other) in enumerate(pairwise(bands))
    }


def _powers(level: Floats) -> dict[str, Floats]:
    """Fraction of the variance within 2 x 2 cells, whose side doubles."""
    total, found = level.var(axis=(1, 2)), {}
    for size in (1, 2, 4, 8):
        ny, nx = (n // 2 for n in level.shape[1:])
        if min(ny, nx) < 1:
            break
        cells = level[:, : 2 * ny, : 2 * nx].reshape(len(level), ny, 2, nx, 2)
        found[f"power_{size}"] = _log(_quotient(cells.var(axis=(2, 4)).mean(axis=(1, 2)), total))
        level = cells.mean(axis=(2, 4))
    return found


def _quotient(above: Floats, below: Floats) -> Floats:
    """Divide variances; 1 where the image is constant."""
    return np.where(below > 0, above / np.maximum(below, 1e-300), 1.0)


def _log(values: Floats) -> Floats:
    logs: Floats = np.log10(np.maximum(values, _SMOOTHEST))
    return logs


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


_ARRAYS = ("mean", "components", "variances", "center", "precision")
#: Names of the deviations of each feature alone and of all together.
_EACH, _TOGETHER = "each", "together"
#: Number of bins of the training set in `OutOfDistribution.bins`.
_BINS = 50
#: Number of objects from which a set is judged, and name of its test in manifests and tables.
SMALLEST_SET, SET_TEST = 50, "set_test"


@dataclass(frozen=True)
class SetTest:
    """Result of `OutOfDistribution.set_test`.

    Attributes
    ----------
    n : int
        Number of objects.
    level : float
        Level of the test.
    p_value : float
        Smallest p-value of all features, times their number.
    differences : tuple of tuple of str and float
        Features whose distributions differ at the level, and the Kolmogorov-Smirnov distance of each,
        between 0 and 1; the smallest p-value first.
    """

    n: int
    level: float
    p_value: float
    differences: tuple[tuple[str, float], ...]

    @property
    def unlike(self) -> bool:
        """True if the set differs from the galaxies of the training."""
        return bool(self.differences)

    def __str__(self) -> str:
        if not self.unlike:
            return (
                f"the {self.n} galaxies as a set do not differ from those of the training "
                f"(p = {self.p_value:.2g}, level {self.level:.0%})"
            )
        shown = ", ".join(f"{name} ({distance:.2f})" for name, distance in self.differences[:3])
        more = f" and {len(self.differences) - 3} more" if len(self.differences) > 3 else ""
        return (
            f"the {self.n} galaxies as a set are unlike those of the training (p = {self.p_value:.2g}, level "
            f"{self.level:.0%}): {shown}{more}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of plain values.

        Returns
        -------
        dict
            Attributes, `unlike`, and `text`, the result in words.
        """
        return asdict(self) | {
            "differences": dict(self.differences),
            "unlike": self.unlike,
            "text": str(self),
        }


def _signed(
    features: Mapping[str, tuple[float, float, float]], measures: Mapping[str, npt.ArrayLike]
) -> dict[str, Floats]:
    """Return the offsets from the medians, in robust standard deviations of that side."""
    found: dict[str, Floats] = {}
    for name, (median, below, above) in features.items():
        if name in measures:
            offset = np.asarray(measures[name], dtype=np.float64) - median
            found[name] = np.where(offset < 0, offset / below, offset / above)
    return found


def _counted(values: Floats, edges: Sequence[float]) -> npt.NDArray[np.int64]:
    places = np.searchsorted(edges, values[np.isfinite(values)], side="right")
    return np.bincount(places, minlength=len(edges) + 1)


#: Number of principal components of the embedding: with a few thousand galaxies, more would be noise.
_COMPONENTS = 12


@dataclass(frozen=True, eq=False)
class OutOfDistribution:
    """Distribution of a training set, and the distance beyond which an object is out of distribution.

    Attributes
    ----------
    features : mapping of str to tuple of float
        Median of each feature, and robust standard deviations below and above it: the distances to the
        15.87 % and 84.13 % quantiles or, if larger, those to the 0.5 % and 99.5 % quantiles over 2.576.
    mean, components, variances : numpy.ndarray
        Mean of the embedding, shape (n_features,); its principal components, shape
        (n_components, n_features); and the variance along each, shape (n_components,).
    limit : float
        Distance beyond which an object is out of distribution.
    false_alarms : float
        Largest share of objects like the training set that exceed the limit, see `confidence`.
    n : int
        Number of galaxies, not used in training, from which the limit was derived.
    ranges : mapping of str to tuple of float
        Smallest and largest value in training of a property such as the pixel scale. An object
        outside this range is out of distribution regardless of its distance.
    center, precision : numpy.ndarray
        Mean and inverse covariance of the deviations of all features, shapes (k,) and (k, k). Empty in
        records of an older galcnn, which judged each feature alone.
    weights : mapping of str to float
        Factors of the deviations of the features, of all ``together`` and of the ``embedding``.
    bins : mapping of str to tuple
        Upper edges of the bins of each feature, and number of held-out galaxies in each bin, for
        `set_test`. Empty in records of an older galcnn.
    confidence : float or None
        Probability, over samples of held-out galaxies, that the share is at most `false_alarms`. None if only
        its expected value is.
    """

    features: Mapping[str, tuple[float, float, float]]
    mean: Floats
    components: Floats
    variances: Floats
    limit: float
    false_alarms: float
    n: int
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    center: Floats = field(default_factory=lambda: np.zeros(0))
    precision: Floats = field(default_factory=lambda: np.zeros((0, 0)))
    weights: Mapping[str, float] = field(default_factory=dict)
    bins: Mapping[str, tuple[tuple[float, ...], tuple[int, ...]]] = field(default_factory=dict)
    confidence: float | None = None

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
        values += (self.center, self.precision, list(self.weights.values()))
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
            Distance from the median in robust standard deviations, shape (n,), for each feature; as
            ``together`` the Mahalanobis distance of all of them, in which a missing value counts as the
            mean, and as ``embedding`` that along the principal components, each divided by the square
            root of its number of dimensions.
        """
        signed = _signed(self.features, measures)
        found = {name: np.abs(values) for name, values in signed.items()}
        if len(self.center):
            offsets = np.zeros((len(embedding), len(self.center)))
            for k, name in enumerate(self.features):
                if name in signed:
                    offsets[:, k] = np.nan_to_num(signed[name] - self.center[k])
            squares = ((offsets @ self.precision) * offsets).sum(axis=1)
            found[_TOGETHER] = np.sqrt(np.maximum(squares, 0.0) / len(self.center))
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
            Largest deviation of each object, shape (n,): of a feature, of all together or of the
            embedding, each times its weight.
        """
        found = self.deviations(measures, embedding)
        names = list(found)
        factors = [self.weights.get(name, self.weights.get(_EACH, 1.0)) for name in names]
        columns = [found[name] * factor for name, factor in zip(names, factors, strict=True)]
        table = np.nan_to_num(np.stack(columns, axis=1), nan=0.0, posinf=np.inf)
        distance: Floats = table.max(axis=1)
        outside = distance > self.limit
        single = np.where([name in (_TOGETHER, "embedding") for name in names], -1.0, table).argmax(axis=1)
        most = table.argmax(axis=1)
        reasons = [""] * len(distance)
        for row in np.flatnonzero(outside):
            name = names[most[row]]
            if name == _TOGETHER:
                name = f"{names[single[row]]} with all other measures"
            reasons[row] = (
                f"{name} is {distance[row]:.1f} deviations from the training set's median "
                f"(limit {self.limit:.1f})"
            )
        for name, (low, high) in self.ranges.items():
            values = np.asarray(measures.get(name, np.nan), dtype=np.float64)
            beyond = np.broadcast_to((values < low) | (values > high), outside.shape)
            outside = outside | beyond
            for row in np.flatnonzero(beyond):
                value = np.broadcast_to(values, outside.shape)[row]
                reasons[row] = f"{name} is {value:.4g}, the training set's {low:.4g} to {high:.4g}"
        return outside, reasons, distance

    def counts(
        self, measures: Mapping[str, npt.ArrayLike], embedding: npt.NDArray[np.floating]
    ) -> dict[str, npt.NDArray[np.int64]]:
        """Count objects in the bins of each feature, for `set_test`.

        Parameters
        ----------
        measures, embedding : mapping of str to array-like, numpy.ndarray
            See `deviations`.

        Returns
        -------
        dict of str to numpy.ndarray
            Number of objects in each bin of `bins`; values that are missing or not finite are not
            counted. Counts of parts of a set add up to those of the set.
        """
        values: dict[str, npt.ArrayLike] = {**measures, **self.deviations({}, embedding)}
        return {
            name: _counted(np.asarray(values[name], dtype=np.float64), edges)
            for name, (edges, _) in self.bins.items()
            if name in values
        }

    def set_test(self, counts: Mapping[str, npt.ArrayLike], *, level: float = 0.01) -> SetTest | None:
        """Test whether a set of objects as a whole is distributed as the held-out galaxies.

        Two-sample Kolmogorov-Smirnov test of each feature, evaluated at the edges of the bins, which
        makes it conservative; the p-values are multiplied by the number of features (Bonferroni). With a
        large set also small differences are found, such as another selection of galaxies.

        Parameters
        ----------
        counts : mapping of str to array-like
            Number of objects in each bin, from `counts`.
        level : float
            Largest probability that a set like the held-out galaxies is called unlike.

        Returns
        -------
        SetTest or None
            Result; None for fewer than 50 objects, or without `bins`.
        """
        from scipy.stats import kstwobign

        found = []
        largest = 0
        for name, (_, aside) in self.bins.items():
            own = np.asarray(counts.get(name, np.zeros(len(aside))))
            if (m := int(own.sum())) < SMALLEST_SET:
                continue
            n, largest = sum(aside), max(largest, m)
            distance = float(np.abs(own.cumsum() / m - np.cumsum(aside) / n).max())
            root = np.sqrt(n * m / (n + m))
            # Stephens 1970, J. R. Stat. Soc. B 32, 115
            found.append((float(kstwobign.sf((root + 0.12 + 0.11 / root) * distance)), name, distance))
        if not found:
            return None
        found.sort()
        adjusted = [(min(1.0, p * len(found)), name, distance) for p, name, distance in found]
        unlike = tuple((name, distance) for p, name, distance in adjusted if p <= level)
        return SetTest(largest, level, adjusted[0][0], unlike)

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of plain values.

        Returns
        -------
        dict
            Input of `from_dict`, which restores an equal object.
        """
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        named = {
            key: {k: list(v) for k, v in values.items()}
            for key, values in (("features", self.features), ("ranges", self.ranges))
        }
        bins = {name: [list(edges), list(counts)] for name, (edges, counts) in self.bins.items()}
        return asdict(self) | arrays | named | {"bins": bins}

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
        arrays = {name: np.array(content[name]) for name in _ARRAYS if name in content}
        features = {name: (float(m), float(a), float(b)) for name, (m, a, b) in content["features"].items()}
        ranges = {name: (float(low), float(high)) for name, (low, high) in content.get("ranges", {}).items()}
        bins = {
            name: (tuple(map(float, edges)), tuple(map(int, counts)))
            for name, (edges, counts) in content.get("bins", {}).items()
        }
        return cls(**(dict(content) | arrays | {"features": features, "ranges": ranges, "bins": bins}))


def fit_out_of_distribution(
    measures: Mapping[str, npt.ArrayLike],
    embedding: npt.NDArray[np.floating],
    measures_aside: Mapping[str, npt.ArrayLike],
    embedding_aside: npt.NDArray[np.floating],
    *,
    false_alarms: float = 0.01,
    confidence: float | None = None,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> OutOfDistribution:
    """Fit the distribution of a training set, and derive the limit from held-out galaxies.

    The distance of an object is its largest deviation: of a single feature, of all features together or of
    the embedding. Each of the three is scaled such that 1 % of the training set exceed 2.58. The limit is
    the k-th smallest distance of the n held-out galaxies, k = ceil((n + 1) (1 - false_alarms)). An object
    that is exchangeable with them exceeds it with a probability of at most `false_alarms`, whatever the
    correlations of the features (conformal p-value, Bates et al. 2023, Annals of Statistics 51, 149). That is
    a mean over samples of held-out galaxies. With a `confidence`, k is larger: in this fraction of samples,
    the share of false alarms is at most `false_alarms` (Vovk 2012, Proc. Machine Learning Research 25,
    475, proposition 2a).

    Parameters
    ----------
    measures, embedding : mapping of str to array-like, numpy.ndarray
        Features and embedding of the training set, see `OutOfDistribution.deviations`.
    measures_aside, embedding_aside : mapping of str to array-like, numpy.ndarray
        Features and embedding of held-out galaxies. They must not be training galaxies, whose
        embedding is more concentrated than that of new ones.
    false_alarms : float
        Largest accepted share of false alarms, in (0, 1).
    confidence : float, optional
        Confidence with which the share holds, in (0, 1). If there are too few held-out galaxies for it (299
        for 0.01 and 0.95), the limit is the largest distance, which keeps the share in the mean.
    ranges : mapping of str to tuple of float, optional
        Ranges of properties, see `OutOfDistribution`.

    Returns
    -------
    OutOfDistribution
        Fitted distribution. Features with the same value in the whole training set are left out.

    Raises
    ------
    ValueError
        If `false_alarms` or `confidence` is outside (0, 1), or there are too few held-out galaxies for
        `false_alarms`.
    """
    if not 0 < false_alarms < 1:
        raise ValueError(message("a share of false alarms in (0, 1)", "", false_alarms=false_alarms))
    if confidence is not None and not 0 < confidence < 1:
        raise ValueError(message("a confidence in (0, 1)", "", confidence=confidence))
    features = {}
    for name, values in measures.items():
        known = np.asarray(values, dtype=np.float64)
        known = known[np.isfinite(known)]
        if not len(known):
            continue
        lowest, low, middle, high, highest = np.quantile(known, [0.005, 0.1587, 0.5, 0.8413, 0.995])
        if highest > lowest:
            # Else, where many values equal the median, all others would be far from it.
            least = 0.05 * max(high - low, (highest - lowest) / (2 * _SIGMA))
            # Long tails count as wide, so that they do not hide the deviations of other features.
            below = max(middle - low, (middle - lowest) / _SIGMA, least)
            above = max(high - middle, (highest - middle) / _SIGMA, least)
            features[name] = (float(middle), float(below), float(above))
    values = np.asarray(embedding, dtype=np.float64)
    mean = values.mean(axis=0)
    offsets = values - mean
    ascending, columns = np.linalg.eigh(offsets.T @ offsets / max(len(values) - 1, 1))
    variances, directions = ascending[::-1], columns.T[::-1]
    kept = min(_COMPONENTS, int(np.sum(variances > 1e-9 * max(variances[0], 1e-300))))
    n = len(embedding_aside)
    rank = conformal_rank(n, 1 - false_alarms)
    if rank > n:
        raise ValueError(
            message(
                f"at least {smallest_sample(false_alarms)} galaxies set aside for {false_alarms:.2g} "
                "false alarms",
                "Allow more false alarms.",
                galaxies=n,
            )
        )
    if confidence is not None:
        above = tolerated(n, false_alarms, confidence)
        rank, confidence = n + 1 - max(above, 1), confidence if above else None
    ood = OutOfDistribution(
        features, mean, directions[:kept], variances[:kept], np.inf, false_alarms, n, confidence=confidence
    )
    signed = _signed(features, measures)
    offsets = np.nan_to_num(np.stack([signed[name] for name in features], axis=1)) if features else None
    if offsets is not None:
        # Clipped, so that a few objects do not determine the covariance, and shrunk towards a multiple of the
        # identity, which has the weight of as many galaxies as there are features.
        clipped = np.clip(offsets, -4.0, 4.0)
        k, share = clipped.shape[1], clipped.shape[1] / sum(clipped.shape)
        covariance = (1 - share) * np.cov(clipped.T, bias=True).reshape(k, k)
        covariance += share * np.trace(covariance) / k * np.eye(k)
        ood = replace(ood, center=clipped.mean(axis=0), precision=np.linalg.inv(covariance))
    found = ood.deviations(measures, embedding)
    groups = {name: found.pop(name) for name in (_TOGETHER, "embedding") if name in found}
    if found:
        groups[_EACH] = np.nan_to_num(np.stack(list(found.values())), nan=0.0).max(axis=0)
    ends = {name: float(np.quantile(values, 0.99)) for name, values in groups.items()}
    weights = {name: _SIGMA / end for name, end in ends.items() if end > 0}
    inside = {name: np.asarray(measures[name], dtype=np.float64) for name in features}
    inside |= {name: values for name, values in groups.items() if name == "embedding"}
    edges = {name: _edges(values) for name, values in inside.items()}
    ood = replace(ood, weights=weights, bins={name: (own, ()) for name, own in edges.items()})
    counts = ood.counts(measures_aside, embedding_aside)
    ood = replace(
        ood, bins={name: (edges[name], tuple(own.tolist())) for name, own in counts.items() if own.any()}
    )
    *_, distance = ood.warn(measures_aside, embedding_aside)
    limit = float(np.sort(distance)[rank - 1])
    return replace(ood, limit=limit, ranges=dict(ranges or {}))


def _edges(values: Floats) -> tuple[float, ...]:
    """Return edges of bins with equal numbers of training galaxies, rounded to eight digits."""
    ends = np.quantile(values[np.isfinite(values)], np.linspace(0, 1, _BINS + 1)[1:-1])
    # A value that many galaxies share, such as a whole number, has a bin of its own.
    single, times = np.unique(ends, return_counts=True)
    shared, margin = single[times > 1], 1e-5 * np.ptp(ends)
    edges = np.concatenate([single[times == 1], shared - margin, shared + margin])
    return tuple(sorted({float(f"{edge:.8g}") for edge in edges}))
