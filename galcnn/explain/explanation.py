"""The `Explainer` protocols and the `Explanation` record. Does not import Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from galcnn._runtime.html import MOST_PICTURES, overview, signed_picture
from galcnn._runtime.representation import names, pixels, summary
from galcnn.errors import message
from galcnn.model import Target as Target  # re-exported by galcnn.explain
from galcnn.model.cells import CellGrid

if TYPE_CHECKING:
    import keras


Wrt = Literal["stretched", "flux", "sigma"]
WRT: tuple[Wrt, ...] = ("stretched", "flux", "sigma")
#: Meaning of the values of a map, see `Explainer`.
Kind = Literal["slope", "amount", "features"]
KINDS: tuple[Kind, ...] = ("slope", "amount", "features")
#: Meaning of positive values by method, or else by kind.
_MEANINGS = {
    "occlusion": "Covering red pixels by {cover} lowers {score}; blue ones raise it.",
    "integrated_gradients": "Share of each pixel in {score} = {value} instead of {start} for {cover}.",
    "input_x_gradient": "Share of each pixel in {score} to first order, relative to an image of zeros.",
    "guided": "Signals of {score} that ReLUs pass back where all are positive: not its slope.",
    "deconvnet": "Signals of {score} that ReLUs pass back if positive: not its slope.",
    "lrp": "Share of each pixel in {score}, passed back layer by layer: red for it, blue against it.",
    "rise": "Showing red pixels raises the mean of {score} over random masks; blue ones lower it.",
    "slope": "More light in red pixels raises {score}, in blue ones lowers it.",
    "amount": "Share of each pixel in {score}: red raises it, blue lowers it.",
    "features": "Evidence in the feature maps: red for {score}, blue against it.",
}
_BASELINES = {"sky": "blank sky", "zero": "zero flux", "blurred": "the blurred image"}
#: Readable names of units.
_UNITS = {"display": "display value", "uncalibrated": "pixel value"}


@dataclass(frozen=True)
class Context:
    """Additional data that a method may use; every field may be None.

    Attributes
    ----------
    sigma, mask : numpy.ndarray or None
        Noise, in the unit of the images, and mask (True for pixels that are not used), shape
        (n, ny, nx, n_bands).
    psf : numpy.ndarray or None
        Point spread functions, shape (n, py, px, n_bands).
    ids : tuple of str or None
        Id of each image, the key of its random stream.
    zero : numpy.ndarray or None
        Image of zero flux in the unit of the images, shape (ny, nx, n_bands); None if it is zero.
        After preprocessing it may differ from zero.
    """

    sigma: npt.NDArray[np.float32] | None = None
    mask: npt.NDArray[np.bool_] | None = None
    psf: npt.NDArray[np.float32] | None = None
    ids: tuple[str, ...] | None = None
    zero: npt.NDArray[np.float32] | None = None


@runtime_checkable
class Explainer(Protocol):
    """Attribution method; plugins are registered in the entry-point group `galcnn.explainers`.

    The fields of a method are its settings. `per_band` is True if the map differs between bands; a
    method with one map for all bands returns it in each band. `kind` is the meaning of the map:

    - ``"slope"``: logits per unit of the image, that is a gradient; it can be computed with respect
      to flux, sigma or the stretched image;
    - ``"amount"``: logits contributed by each pixel, for example relative to a baseline image; it can
      be computed for flux or for stretched images, and ``wrt="sigma"`` is the same as ``"flux"``;
    - ``"features"``: evidence in the feature maps of the network, independent of `wrt`.
    """

    @property
    def name(self) -> str: ...

    @property
    def per_band(self) -> bool: ...

    @property
    def kind(self) -> Kind: ...

    def __call__(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> npt.NDArray[np.float32]:
        """Compute the attribution maps of images.

        Parameters
        ----------
        network : keras.Model
            Network that ends in logits.
        images : numpy.ndarray
            Images, shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One target for all images, or one per image.
        context : Context, optional
            Noise, mask, PSF and ids of the images.

        Returns
        -------
        numpy.ndarray
            Signed maps, shape of `images`.
        """
        ...


@runtime_checkable
class FromBaseline(Protocol):
    """Explainer whose map sums to the score of the image minus the score of a baseline image.

    The error of this sum is `Explanation.delta`.
    """

    def baseline_images(
        self, images: npt.NDArray[np.float32], *, context: Context | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the baseline of each image.

        Parameters
        ----------
        images : numpy.ndarray
            Images, shape (n, ny, nx, n_bands).
        context : Context, optional
            Noise, mask, PSF and ids of the images.

        Returns
        -------
        numpy.ndarray
            Baseline images, shape of `images`.
        """
        ...


@runtime_checkable
class AtNetworkLayer(Protocol):
    """Explainer whose map is computed at a layer inside the network."""

    def network_layer_of(self, network: keras.Model) -> str:
        """Return the name of the network layer at which the map is computed.

        Parameters
        ----------
        network : keras.Model
            Functional or sequential model.

        Returns
        -------
        str
            Name as in `galcnn.model.network_layers`, with the names of nested models joined by slashes.
        """
        ...


@runtime_checkable
class AtCells(AtNetworkLayer, Protocol):
    """Explainer whose map is computed on the cells of a feature map."""

    def fine_and_coarse(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Compute the maps at the resolutions of image and feature map, in one run of the network.

        Parameters
        ----------
        network : keras.Model
            Functional or sequential model that ends in logits.
        images : numpy.ndarray
            Images, shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One target for all images, or one per image.
        context : Context, optional
            Noise, mask, PSF and ids of the images.

        Returns
        -------
        fine : numpy.ndarray
            Maps on the pixels of the images, shape of `images`, as returned by a call.
        coarse : numpy.ndarray
            Maps on the cells of the feature map, shape (n, cells_y, cells_x).
        """
        ...


def read_only(array: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """Return a read-only float32 view of an array."""
    view = np.ascontiguousarray(array, dtype=np.float32).view()
    view.flags.writeable = False  # only of this view, not of the caller's array
    return view


@dataclass(frozen=True, eq=False)
class CoarseMap:
    """Map on the cells of a feature map, before interpolation to the pixels of the image.

    Attributes
    ----------
    values : numpy.ndarray
        Values of the cells, float32, shape (cells_y, cells_x).
    grid : CellGrid
        Position of the cells on the image.

    Raises
    ------
    ValueError
        If `values` is empty or not two-dimensional.
    """

    values: npt.NDArray[np.float32]
    grid: CellGrid

    def __post_init__(self) -> None:
        values = read_only(self.values)
        if values.ndim != 2 or 0 in values.shape:
            raise ValueError(message("values of shape (cells_y, cells_x)", "", shape=values.shape))
        object.__setattr__(self, "values", values)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Attribution map of one galaxy by one method for one target.

    Attributes
    ----------
    attribution : numpy.ndarray
        Signed map on the grid of the cutout, float32, shape (n_planes, ny, nx); NaN for masked
        pixels, and in maps of CAM and Grad-CAM for pixels that the network does not see.
    bands : tuple of str
        Band of each plane; ``("all",)`` for a method with one map for all bands.
    method : str
        Name of the explainer.
    target : Target
        Target that is explained.
    wrt : {"stretched", "flux", "sigma"}
        Quantity with respect to which the map was computed: the stretched image that the network
        sees, the flux, or the noise. It may differ from the requested one, see `explain`.
    unit : str
        Unit of the attribution: ``""`` for logits, also per sigma of noise; ``nJy-1`` for logits per nJy,
        as in FITS. A unit of words is in parentheses: ``(training sigma)-1`` for slopes with respect to
        stretched pixels that were divided by the standard deviation of the training set.
    score : float
        Value of the target for this image.
    settings : mapping
        Settings of the explainer.
    baseline_score : float or None
        Value of the target for the baseline image; None for methods without a baseline.
    seed : int or None
        Seed of a method that draws random numbers.
    network_layer : str
        Network layer at which the map was computed; empty for the input.
    kind : {"slope", "amount", "features"} or None
        Meaning of the values, see `Explainer`; None if it is not known.
    coarse : CoarseMap or None
        Map on the cells of `network_layer`, for methods that compute one.
    notes : tuple of str
        What was changed of the network, such as a softmax that was left out.
    field : tuple of int or None
        Field of view of the network on the image, (y0, y1, x0, x1): rows y0 to y1 - 1 and columns x0 to
        x1 - 1. The other pixels have no effect. None if it is not known.
    """

    attribution: npt.NDArray[np.float32]
    bands: tuple[str, ...]
    method: str
    target: Target
    wrt: Wrt
    unit: str
    score: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    baseline_score: float | None = None
    seed: int | None = None
    network_layer: str = ""
    kind: Kind | None = None
    coarse: CoarseMap | None = None
    notes: tuple[str, ...] = ()
    field: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        attribution = read_only(self.attribution)
        bands = tuple(self.bands)
        if attribution.ndim != 3 or len(attribution) != len(bands) or len(set(bands)) != len(bands):
            raise ValueError(
                message(
                    "attribution of shape (n_bands, ny, nx), each band named once",
                    "",
                    shape=attribution.shape,
                    bands=bands,
                )
            )
        if self.wrt not in WRT:
            raise ValueError(message(f"wrt among {WRT}", "", wrt=self.wrt))
        if self.kind is not None and self.kind not in KINDS:
            raise ValueError(message(f"kind among {KINDS}, or None", "", kind=self.kind))
        object.__setattr__(self, "attribution", attribution)
        object.__setattr__(self, "bands", bands)
        object.__setattr__(self, "settings", dict(self.settings))

    def __repr__(self) -> str:
        return summary(
            "Explanation",
            f"of {self.target.name} by {self.method}: {names(self.bands)}, "
            f"{pixels(self.attribution.shape[1:])}, in {self.unit_label}",
            f"score {self.score:.4g}, with respect to {self.wrt}"
            + ("" if self.delta is None else f", delta {self.delta:.3g}"),
            *self.notes,
        )

    def _repr_html_(self) -> str:
        facts = {
            "method": self.method,
            "target": self.target.name,
            "with respect to": self.wrt,
            "unit": self.unit_label,
            "score": f"{self.score:.4g}",
            "delta": "-" if self.delta is None else f"{self.delta:.3g}",
            "settings": ", ".join(f"{key}={value}" for key, value in self.settings.items()) or "-",
        }
        planes = zip(self.bands[:MOST_PICTURES], self.attribution, strict=False)
        pictures = [(band, signed_picture(plane, f"{self.method}, {band}")) for band, plane in planes]
        return overview("Explanation", facts, pictures)

    @property
    def unit_label(self) -> str:
        """Unit in words: ``logit``, ``logit per nJy``, ``logit per training sigma``."""
        if not self.unit:
            return "logit per sigma of noise" if self.wrt == "sigma" else "logit"
        if not self.unit.endswith("-1"):
            return f"logit [{self.unit}]"
        per = self.unit.removesuffix("-1").removeprefix("(").removesuffix(")")  # of words
        return f"logit per {_UNITS.get(per, per)}"

    @property
    def meaning(self) -> str:
        """One sentence that says what the values of the map mean; for positive values, drawn in red."""
        score = self.target.name
        said = _MEANINGS.get(self.method) or _MEANINGS.get(str(self.kind), _MEANINGS["amount"])
        start = "-" if self.baseline_score is None else f"{self.baseline_score:.2f}"
        cover = _BASELINES.get(str(self.settings.get("baseline")), "the baseline")
        return said.format(score=score, value=f"{self.score:.2f}", start=start, cover=cover)

    @property
    def delta(self) -> float | None:
        """Sum of the map minus (score - baseline score); None for methods without a baseline."""
        if self.baseline_score is None:
            return None
        return float(np.nansum(self.attribution, dtype=float) - (self.score - self.baseline_score))
