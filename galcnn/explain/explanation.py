"""Explainer and Explanation: what is asked of a method, and the answer. Nouns only; no Keras here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from galcnn._runtime.html import MOST_PICTURES, overview, signed_picture
from galcnn.errors import message
from galcnn.model import Target as Target  # of this room's interface too
from galcnn.model.cells import CellGrid

if TYPE_CHECKING:
    import keras


Wrt = Literal["stretched", "flux", "sigma"]
WRT: tuple[Wrt, ...] = ("stretched", "flux", "sigma")
#: What a value of a map is, see `Explainer`.
Kind = Literal["slope", "amount", "features"]
KINDS: tuple[Kind, ...] = ("slope", "amount", "features")


@dataclass(frozen=True)
class Context:
    """What a method may need beside the images; every field may be None.

    Attributes
    ----------
    sigma, mask : numpy.ndarray or None
        Shape of the images, (n, ny, nx, n_bands); sigma in the images' unit.
    psf : numpy.ndarray or None
        Shape (n, py, px, n_bands).
    ids : tuple of str or None
        One an image: they key the random streams.
    zero : numpy.ndarray or None
        The image of no flux at all, shape (ny, nx, n_bands), in the images' unit; None where that
        is zero. A stretch may move it.
    """

    sigma: npt.NDArray[np.float32] | None = None
    mask: npt.NDArray[np.bool_] | None = None
    psf: npt.NDArray[np.float32] | None = None
    ids: tuple[str, ...] | None = None
    zero: npt.NDArray[np.float32] | None = None


@runtime_checkable
class Explainer(Protocol):
    """A method that makes maps; a plugin of the group `galcnn.explainers`.

    Its fields are its settings. `per_band` says whether its map differs from band to band; a
    method that has one map for all bands gives it in each. `kind` says what a value of the map is:

    - ``"slope"``: logits per unit of the image; can be asked for with respect to flux, to sigma,
      or to what the network sees;
    - ``"amount"``: logits, gained or lost along a way through images; the way through flux
      differs from that through stretched images, and sigma changes nothing;
    - ``"features"``: logits or the like, of what the network makes of the image; the same
      whatever the image's unit.
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
        """Make the maps of some images.

        Parameters
        ----------
        network : keras.Model
            Ends in logits.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Noise, mask, PSF and ids of the images.

        Returns
        -------
        numpy.ndarray
            Signed, shape of `images`.
        """
        ...


@runtime_checkable
class FromBaseline(Protocol):
    """An explainer whose map sums to the score less that of a baseline image.

    The error of that sum is the `delta` of an `Explanation`.
    """

    def baseline_images(
        self, images: npt.NDArray[np.float32], *, context: Context | None = None
    ) -> npt.NDArray[np.float32]:
        """Give the baseline of each image.

        Parameters
        ----------
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        context : Context, optional
            As for the maps.

        Returns
        -------
        numpy.ndarray
            Shape of `images`.
        """
        ...


@runtime_checkable
class AtNetworkLayer(Protocol):
    """An explainer whose map is made at a layer inside the network."""

    def network_layer_of(self, network: keras.Model) -> str:
        """Name that layer.

        Parameters
        ----------
        network : keras.Model
            Functional or sequential.

        Returns
        -------
        str
            As `galcnn.model.network_layers` names it: names of nested models joined by slashes.
        """
        ...


@runtime_checkable
class AtCells(AtNetworkLayer, Protocol):
    """An explainer whose map is made of the cells of a feature map."""

    def fine_and_coarse(
        self,
        network: keras.Model,
        images: npt.NDArray[np.float32],
        target: Target | Sequence[Target],
        *,
        context: Context | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Make the maps at both resolutions, from one run of the network.

        Parameters
        ----------
        network : keras.Model
            Functional or sequential, ends in logits.
        images : numpy.ndarray
            Shape (n, ny, nx, n_bands).
        target : Target or sequence of Target
            One for all, or one an image.
        context : Context, optional
            Noise, mask, PSF and ids of the images.

        Returns
        -------
        fine : numpy.ndarray
            What a call gives: shape of `images`.
        coarse : numpy.ndarray
            Shape (n, cells_y, cells_x).
        """
        ...


def read_only(array: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """View an array as float32 that a record may hold."""
    view = np.ascontiguousarray(array, dtype=np.float32).view()
    view.flags.writeable = False  # of our view: the caller's array stays as it was
    return view


@dataclass(frozen=True, eq=False)
class CoarseMap:
    """A map with one value a cell, as it was before it was brought to the pixels of the image.

    Attributes
    ----------
    values : numpy.ndarray
        float32, shape (cells_y, cells_x).
    grid : CellGrid
        Where on the image the cells look.

    Raises
    ------
    ValueError
        The values have no two axes.
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
    """The map of one galaxy, one method and one target.

    Attributes
    ----------
    attribution : numpy.ndarray
        float32, shape (n_planes, ny, nx), signed, on the cutout's grid; NaN outside support.
    bands : tuple of str
        One a plane; ``("all",)`` for a method that has one map for all bands.
    method : str
        Name of the explainer.
    target : Target
        What is explained.
    wrt : {"stretched", "flux", "sigma"}
        With respect to what: what the network sees, the flux, or the noise.
    unit : str
        Of the attribution, as FITS writes it: ``""`` for logits, ``nJy-1`` for logits per nJy.
    score : float
        Value of the target for this image.
    settings : mapping
        Of the explainer.
    baseline_score : float or None
        Value of the target for the baseline of a path method.
    seed : int or None
        Of a method that draws random numbers.
    network_layer : str
        The network layer a map was made at, if not the input.
    kind : {"slope", "amount", "features"} or None
        What a value of the map is, see `Explainer`; None where that is not known.
    coarse : CoarseMap or None
        The map at the resolution of that network layer, for a method that makes one there.
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

    def _repr_html_(self) -> str:
        facts = {
            "method": self.method,
            "target": self.target.name,
            "with respect to": self.wrt,
            "unit": self.unit or "logit",
            "score": f"{self.score:.4g}",
            "delta": "-" if self.delta is None else f"{self.delta:.3g}",
            "settings": ", ".join(f"{key}={value}" for key, value in self.settings.items()) or "-",
        }
        planes = zip(self.bands[:MOST_PICTURES], self.attribution, strict=False)
        pictures = [(band, signed_picture(plane, f"{self.method}, {band}")) for band, plane in planes]
        return overview("Explanation", facts, pictures)

    @property
    def delta(self) -> float | None:
        """Error of a path method: sum of the map minus the difference of scores; None for others."""
        if self.baseline_score is None:
            return None
        return float(np.nansum(self.attribution, dtype=float) - (self.score - self.baseline_score))
