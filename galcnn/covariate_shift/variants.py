"""The variants of a covariate-shift test: training, and classification at each redshift."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from galcnn._runtime import seeding
from galcnn.covariate_shift.batch_norm import AdaptationWarning, adapt_batchnorm
from galcnn.covariate_shift.distances import drift, model_features
from galcnn.covariate_shift.sample import RedshiftedSample, name_at
from galcnn.covariate_shift.settings import ShiftSettings
from galcnn.dataset import Dataset
from galcnn.model import Card, TrainedModel, assemble, build_network, fit_preprocessing
from galcnn.model.forward import outputs
from galcnn.training import class_frequency, fit

#: Trained variant -> the variants that use its network.
TRAININGS: Mapping[str, tuple[str, ...]] = {
    "none": ("none",),
    "batch": ("batch", "batch_adapted", "batch_adapted_skewed"),
    "group": ("group",),
    "standardised": ("standardised",),
    "oracle": ("oracle",),
    "augmented": ("augmented",),
}
_Normalisation = Literal["none", "batch", "group"]
_NORMALISATION: Mapping[str, _Normalisation] = {
    "none": "none",
    "batch": "batch",
    "group": "group",
    "standardised": "none",
    "oracle": "batch",
    "augmented": "batch",
}


def train_variant(
    variant: str, sample: RedshiftedSample, *, rate: float, seed: int
) -> tuple[TrainedModel, float]:
    """Train one variant; return the model and its lowest validation loss."""
    settings = sample.settings
    prefix = f"{variant}_" if variant in ("oracle", "augmented") else ""
    training, validation = sample.read(f"{prefix}train"), sample.read(f"{prefix}validation")
    network = replace(settings.network, normalization=_NORMALISATION[variant])
    model = assemble(
        fit_preprocessing(training.images, per="image-band" if variant == "standardised" else "band"),
        build_network(training.inputs.image_shape, len(training.classes), settings=network, seed=seed),
    )
    chosen = replace(settings.training, learning_rate=rate)
    history = fit(model, training, validation, settings=chosen, seed=seed)
    card = Card(training.classes, training.inputs, class_prior=class_frequency(training))
    return TrainedModel(model, card), min(history["val_loss"])


def best_rate(variant: str, sample: RedshiftedSample) -> float:
    """Return the learning rate of a variant with the lowest validation loss."""
    rates = sample.settings.learning_rates
    if len(rates) == 1:
        return rates[0]
    seed = seeding.integer(sample.settings.seed, "rate", variant)
    losses = {rate: train_variant(variant, sample, rate=rate, seed=seed)[1] for rate in rates}
    return min(losses, key=lambda rate: losses[rate])


def variant_logits(
    variant: str, trained: TrainedModel, sample: RedshiftedSample
) -> dict[str, npt.NDArray[np.float32]]:
    """Compute logits of the test galaxies at each redshift, for the variants that use a trained network."""
    settings = sample.settings
    wanted = [one for one in TRAININGS[variant] if one in settings.variants]
    logits: dict[str, list[npt.NDArray[np.float32]]] = {one: [] for one in wanted}
    for z in settings.test_redshifts:
        test = sample.read(name_at("test", z))
        for one in wanted:
            model = trained
            if one != variant:
                model = _adapted(trained, sample.read(name_at("adapt", z)), settings, skewed="skewed" in one)
            logits[one].append(outputs(model.model, test.images))
    return {one: np.stack(rows) for one, rows in logits.items()}


def layer_drift(trained: TrainedModel, sample: RedshiftedSample, *, n: int = 150) -> list[dict[str, Any]]:
    """Measure the drift of the input and of each network layer at each redshift."""
    reference = model_features(trained, sample.read("train").images[:n])
    rows = []
    for z in sample.settings.test_redshifts:
        there = model_features(trained, sample.read(name_at("test", z)).images[:n])
        for layer, features in there.items():
            found = drift(reference[layer], features, measure="sliced_wasserstein", permutations=199)
            rows.append({"z": z, "layer": layer, "distance": found.value, "p_value": found.p_value})
    return rows


def _adapted(
    trained: TrainedModel, images: Dataset, settings: ShiftSettings, *, skewed: bool
) -> TrainedModel:
    rows = np.arange(len(images))
    if skewed:
        first = np.flatnonzero(images.labels == 0)
        others = np.flatnonzero(images.labels != 0)
        keep = round(len(first) * (1 - settings.skew) / settings.skew)
        rows = np.sort(np.concatenate([first, others[:keep]]))
    with warnings.catch_warnings():
        # The test itself measures the effect of adapting to few or skewed images.
        warnings.simplefilter("ignore", AdaptationWarning)
        return adapt_batchnorm(trained, images.images[rows], source_weight=settings.source_weight)
