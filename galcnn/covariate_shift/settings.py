"""Settings of a covariate-shift test, as read from a TOML file."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, get_args

import astropy.units as u

from galcnn.errors import message
from galcnn.model import NetworkSettings
from galcnn.photometry import Observation
from galcnn.simulation import CLASSES, telescope_of
from galcnn.training import Augmentation, TrainingSettings

#: Variants that are compared. The adapted ones are the network of "batch" with other statistics. "oracle" is
#: trained on galaxies simulated at redshifts up to the highest test redshift; "augmented" on the training
#: galaxies, artificially redshifted by `galcnn.redshift` to the redshifts of the oracle.
Variant = Literal[
    "none", "batch", "batch_adapted", "batch_adapted_skewed", "group", "standardised", "oracle", "augmented"
]
VARIANTS: tuple[str, ...] = get_args(Variant)


def _network() -> NetworkSettings:
    return NetworkSettings(widths=(16, 32, 64, 128), poolings=3, depth=1, stem=0, field=1.0, dropout=0.0)


def _training() -> TrainingSettings:
    # Few, clean galaxies: only rotations by 90 degrees and reflections, and no early stopping.
    return TrainingSettings(
        epochs=20,
        label_smoothing=0.0,
        patience=None,
        optimizer="Adam",
        augmentation=Augmentation(rotations="quarter"),
    )


@dataclass(frozen=True)
class ShiftSettings:
    """Settings of a covariate-shift test: simulated galaxies, networks and comparisons.

    Attributes
    ----------
    classes : tuple of str
        Classes of simulated galaxies.
    observation : str
        Telescope: ``simulated``, or a preset of `galcnn.photometry.instruments`.
    bands : tuple of str
        Bands of the observation.
    pixel_scale, psf_fwhm : float or None
        Pixel scale and PSF width (FWHM), in arcsec; if None, those of the observation.
    depth : tuple of float or None
        AB magnitude of a 5 sigma point source in each band; if None, that of the observation.
    size : int
        Side of the images, in pixels.
    width : {"fixed", "scaled"}
        Angular side of the images: the same for all, or proportional to the size of the galaxy, as
        in Galaxy Zoo.
    scaled_radii : float
        Side of scaled images, in half-light radii of the galaxy.
    magnitudes : tuple of float
        Range of r magnitudes at the training redshifts.
    train_redshifts : tuple of float
        Range of redshifts in training.
    test_redshifts : tuple of float
        Redshifts at which each test galaxy is simulated; the first is the reference.
    n_train, n_validation, n_test, n_adapt : int
        Number of galaxies for training, validation, test and adaptation; these sets are disjoint.
    variants : tuple of str
        Variants to compare, from `VARIANTS`; by default all but ``augmented``.
    primary : tuple of str
        Two variants whose comparison is the primary contrast of the test.
    repeats : int
        Number of trainings of each variant.
    learning_rates : tuple of float
        Learning rates to try. For each variant the one with the lowest validation loss is used, from
        trainings with a separate seed.
    delta : float
        Largest difference of accuracy that counts as negligible, in (0, 1).
    skew : float
        Share of the first class among the images to which ``batch_adapted_skewed`` is adapted.
    source_weight : float
        Weight of the training statistics, see `galcnn.covariate_shift.adapt_batchnorm`.
    network : galcnn.model.NetworkSettings
        Network of all variants; only the normalisation differs.
    training : galcnn.training.TrainingSettings
        Training of all variants; only the learning rate differs.
    seed : int
        Random seed of the galaxies, from which those of the trainings are derived.
    """

    classes: tuple[str, ...] = ("elliptical", "spiral", "barred_spiral", "edge_on")
    observation: str = "simulated"
    bands: tuple[str, ...] = ("g", "r", "i")
    pixel_scale: float | None = None
    psf_fwhm: float | None = None
    depth: tuple[float, ...] | None = (25.0, 25.0, 25.0)
    size: int = 48
    width: Literal["fixed", "scaled"] = "fixed"
    scaled_radii: float = 8.0
    magnitudes: tuple[float, float] = (14.0, 17.0)
    train_redshifts: tuple[float, float] = (0.03, 0.08)
    test_redshifts: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.25)
    n_train: int = 1600
    n_validation: int = 400
    n_test: int = 600
    n_adapt: int = 400
    variants: tuple[str, ...] = VARIANTS[:-1]
    primary: tuple[str, str] = ("batch", "none")
    repeats: int = 5
    learning_rates: tuple[float, ...] = (1e-3, 3e-3)
    delta: float = 0.02
    skew: float = 0.7
    source_weight: float = 0.0
    network: NetworkSettings = field(default_factory=_network)
    training: TrainingSettings = field(default_factory=_training)
    seed: int = 0

    def __post_init__(self) -> None:
        for name, known in (("classes", CLASSES), ("variants", VARIANTS), ("primary", self.variants)):
            given = getattr(self, name)
            if not given or len(set(given)) != len(given) or not set(given) <= set(known):
                raise ValueError(message(f"different {name} among {tuple(known)}", "", **{name: given}))
        if len(self.classes) < 2:
            raise ValueError(message("two classes or more", "", classes=self.classes))
        counts = (self.n_train, self.n_validation, self.n_test, self.n_adapt, self.repeats, self.size - 7)
        if min(counts) < 1 or not self.learning_rates or not self.test_redshifts:
            raise ValueError(
                message(
                    "numbers of galaxies, repeats, redshifts and rates above 0; 8 pixels", "", counts=counts
                )
            )
        if min(self.test_redshifts) <= 0 or list(self.test_redshifts) != sorted(set(self.test_redshifts)):
            raise ValueError(message("rising test redshifts", "", test_redshifts=self.test_redshifts))
        if not 0 < self.delta < 1 or not 0 < self.skew < 1 or not 0 <= self.source_weight <= 1:
            raise ValueError(
                message(
                    "delta and skew in (0, 1), source_weight in [0, 1]",
                    "",
                    delta=self.delta,
                    skew=self.skew,
                    source_weight=self.source_weight,
                )
            )
        if "augmented" in self.variants and self.width != "fixed":
            raise ValueError(message("images of a fixed angle to redshift", "", width=self.width))
        self.telescope()

    def telescope(self) -> Observation:
        """Return the observation with the changed pixel scale, PSF and depth."""
        own = telescope_of(self.observation).only(self.bands)
        changes: dict[str, Any] = {}
        if self.pixel_scale is not None:
            changes["pixel_scale"] = self.pixel_scale * u.arcsec
        if self.psf_fwhm is not None:
            changes["psf_fwhm"] = (self.psf_fwhm,) * len(self.bands)
        if self.depth is not None:
            changes["depth"] = self.depth
        return replace(own, **changes) if changes else own

    def quick(self) -> ShiftSettings:
        """Return settings of a quick test: two repeats, fewer galaxies and redshifts, and no verdict."""
        return replace(
            self,
            n_train=min(self.n_train, 800),
            n_validation=min(self.n_validation, 120),
            n_test=min(self.n_test, 200),
            n_adapt=min(self.n_adapt, 120),
            repeats=min(self.repeats, 2),
            test_redshifts=self.test_redshifts[::2],
            learning_rates=self.learning_rates[-1:],
            training=replace(self.training, epochs=min(self.training.epochs, 12)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a dictionary of plain values, equal for two runs of the same test."""
        return asdict(replace(self, training=TrainingSettings())) | {"training": self.training.to_dict()}
