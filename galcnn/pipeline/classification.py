"""Classify cutouts with one model or an ensemble: one table row per galaxy.

All commands that classify call `classify_batch`. Keras is imported only when a model is opened, so that
a client that only sends tasks to workers does not need it.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, Union

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.catalog import cumulative_fractions, fraction_table
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.model import Card, InputSpec, model_folder
from galcnn.model.card import CARD
from galcnn.prediction import OUTSIDE, UNANSWERED, UNFIT, Prediction
from galcnn.prediction.calibration import UNCERTAINTY_FILE
from galcnn.prediction.flags import flagged
from galcnn.prediction.logits import BATCH, Fitted, fitted, prediction_of
from galcnn.prediction.priors import DEFAULT_PRIOR, parse_prior, prior_of
from galcnn.uncertainty import UncertaintyRecord, image_measures
from galcnn.uncertainty.out_of_distribution import PIXEL_SCALE

if TYPE_CHECKING:
    import keras

    from galcnn.model import TrainedModel
    from galcnn.uncertainty.ensembles import DropoutSampler


Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClassifySettings:
    """Settings of a classification.

    Attributes
    ----------
    prior : str or mapping of str to float
        Class frequencies for which the probabilities hold: ``catalog`` (those of the training set; for a
        model whose card has none, as trained), ``as-trained`` (those in the loss, class weights and
        sampling included), ``sqrt`` (proportional to the square root of those in the training set: half
        their logarithm is subtracted), ``uniform``; or explicit ones, as a mapping, a text such as
        ``elliptical=0.6,spiral=0.4``, or the path of a table with columns `class` and `share`.
    calibrated : bool
        If True and the model folder has ``uncertainty.json``: calibrate the probabilities, add sets of
        classes, and flag galaxies that are out of distribution.
    embeddings : bool
        If True, keep the features that the last layer reads.
    fit : bool
        If True, cutouts are resampled, cropped and padded to the model's pixel grid, see
        `galcnn.model.prepare`.
    render : str or None
        Rendering step, see `galcnn.model.TrainedModel.with_render`.
    dropout_samples : int
        Number of forward passes with dropout on, to measure the uncertainty; 0 for none.
    seed : int
        Seed of the dropout masks, which also depend on the id of the galaxy.
    orientations : {1, 4, 8} or None
        Number of orientations of each image that are averaged, see
        `galcnn.model.TrainedModel.with_orientations`; None for all that the model averages. With fewer,
        the probabilities are not calibrated.
    """

    prior: str | Mapping[str, float] = DEFAULT_PRIOR
    calibrated: bool = True
    embeddings: bool = False
    fit: bool = False
    render: str | None = None
    dropout_samples: int = 0
    seed: int = 0
    orientations: Literal[1, 4, 8] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prior", parse_prior(self.prior))

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as plain values.

        Returns
        -------
        dict
            Attribute name -> value.
        """
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Classifier:
    """A model that is ready to classify.

    Attributes
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    uncertainty : galcnn.uncertainty.UncertaintyRecord or None
        Its uncertainty record, if it was calibrated.
    answering : keras.Model
        Model that returns logits and features, see `galcnn.model.bundle.with_embedding`.
    """

    trained: TrainedModel
    uncertainty: UncertaintyRecord | None
    answering: keras.Model

    @functools.cached_property
    def sampler(self) -> DropoutSampler:
        """Sampler of the same model with dropout on."""
        from galcnn.uncertainty.ensembles import DropoutSampler

        return DropoutSampler(self.trained.model)

    def inputs(self, settings: ClassifySettings) -> InputSpec:
        """Return what the images must be."""
        return self.trained.with_render(settings.render).card.inputs

    def check(self, settings: ClassifySettings) -> None:
        """Check that the settings suit this model, before a long run."""
        if self.trained.votes is None:
            prior_of(settings.prior, self.trained)
        elif settings.prior not in (DEFAULT_PRIOR, "as-trained"):
            raise ValueError(message("no class prior for vote fractions", "", prior=settings.prior))
        self.trained.with_render(settings.render)
        if settings.dropout_samples:
            _ = self.sampler

    def prediction(
        self, ids: Sequence[str], logits: npt.NDArray[np.float32], settings: ClassifySettings
    ) -> Prediction:
        """Return the prediction, calibrated if there is a record, under the requested prior."""
        record = self.uncertainty if settings.calibrated else None
        calibration = None if record is None else record.calibration
        return prediction_of(self.trained, ids, logits, prior=settings.prior, calibration=calibration)

    def shares(self, logits: npt.NDArray[np.float32], settings: ClassifySettings) -> npt.NDArray[np.float64]:
        """Convert logits to class probabilities or vote fractions."""
        if self.trained.votes is not None:
            return cumulative_fractions(logits, self.trained.votes)
        return self.prediction([str(i) for i in range(len(logits))], logits, settings).probabilities


#: A model folder, a model, or an open classifier; a sequence of them is an ensemble.
Model = Union[str, os.PathLike[str], "TrainedModel", Classifier]
Models = Model | Sequence[Model]


def open_classifiers(model: Models, *, orientations: int | None = None) -> tuple[Classifier, ...]:
    """Open one model, or the members of an ensemble; see `ClassifySettings` for `orientations`."""
    several = model if isinstance(model, Sequence) and not isinstance(model, str) else [model]
    found = tuple(open_classifier(one, orientations=orientations) for one in several)
    if not found:
        raise ValueError(message("at least one model", "", models=0))
    if len(found) > 1:
        from galcnn.uncertainty.ensembles import check_alike

        check_alike([one.trained for one in found])
    return found


def open_classifier(model: Model, *, orientations: int | None = None) -> Classifier:
    """Open a model together with the uncertainty record that ``galcnn calibrate`` wrote.

    A folder is loaded once per process and cached until its content changes. Workers receive its path,
    never a pickled model.
    """
    if isinstance(model, str | os.PathLike):
        path = model_folder(model).resolve()
        record, card = path / UNCERTAINTY_FILE, path / CARD
        stamp = record.read_text(encoding="utf-8") if record.exists() else ""
        sha256 = Card.read(card).model_sha256 if card.exists() else ""
        return _loaded(str(path), sha256, stamp, orientations)
    from galcnn.model.bundle import as_trained, with_embedding

    if isinstance(model, Classifier):
        if orientations in (None, model.trained.orientations):
            return model
        model = model.trained
    model = as_trained(model).with_orientations(orientations)
    uncertainty = (
        None if model.folder is None else UncertaintyRecord.read(model.folder, model.card.model_sha256)
    )
    return Classifier(model, uncertainty, with_embedding(model))


@functools.lru_cache(maxsize=16)
def _loaded(folder: str, sha256: str, stamp: str, orientations: int | None) -> Classifier:
    del sha256, stamp  # only part of the cache key
    from galcnn.model import load_model

    return open_classifier(load_model(folder), orientations=orientations)


def classify_batch(
    model: Models,
    cutouts: Sequence[Cutout | Exception] | npt.NDArray[np.float32],
    ids: Sequence[str],
    *,
    settings: ClassifySettings | None = None,
    measures: Mapping[str, npt.ArrayLike] | None = None,
) -> Table:
    """Classify a batch of galaxies: one row per galaxy, even if it has no usable image.

    Parameters
    ----------
    model : path-like, galcnn.model.TrainedModel or Classifier, or sequence of them
        A model folder, loaded once per process; a model; or the result of `open_classifier`, to be
        reused for many batches. A sequence is a deep ensemble, whose probabilities are averaged.
    cutouts : sequence of galcnn.cutout.Cutout or Exception, or numpy.ndarray
        One per galaxy; an exception in place of a cutout becomes the `reason` of its row. Or
        calibrated images with the model's input shape, (n, ny, nx, n_bands).
    ids : sequence of str
        Identifiers, one per galaxy.
    settings : ClassifySettings, optional
        Settings; the defaults if not given.
    measures : mapping of str to array-like, optional
        Further quantities for the out-of-distribution test, one value per galaxy: ``redshift``.

    Returns
    -------
    astropy.table.Table
        Columns of `galcnn.prediction.Prediction.to_table`; for a model of vote fractions, those of
        `galcnn.catalog.fraction_table` with `flag` and `reason`. If the (first) model has
        ``uncertainty.json``: `distance` from its training set, in robust standard deviations (beyond the
        limit, `flag` has the bit `OUTSIDE`), and, for a single model of classes, `set`: the classes
        that cannot be excluded, joined by ``|``, with the promised coverage under the requested prior
        (none if the record cannot give it). For an ensemble or with dropout samples: ``std_<class>``
        (standard deviation over the members or samples) and, except for vote fractions,
        `mutual_information` (nats). If requested, `embedding`: features of the first model, float32,
        shape (n, n_features).

    Raises
    ------
    ValueError
        If the number of ids differs from that of the cutouts, the images have another shape, the model
        has no dropout to sample, or a prior is given for vote fractions.
    """
    settings = settings or ClassifySettings()
    models = open_classifiers(model, orientations=settings.orientations)
    for one in models:
        one.check(settings)
    found = _usable(models[0].inputs(settings), cutouts, fit=settings.fit)
    if len(ids) != len(found.flags):
        raise ValueError(message(f"an id for each of {len(found.flags)} galaxies", "", n_ids=len(ids)))
    return answered(models, found, ids, settings=settings, measures=measures).table


@dataclass(frozen=True, eq=False)
class Answered:
    """What models answer for a batch.

    Attributes
    ----------
    found : Fitted
        The images, with the final flags and reasons.
    logits : list of numpy.ndarray
        Logits of each model, shape (n, n_outputs), NaN without an image.
    table : astropy.table.Table
        Table of `classify_batch`.
    counts : mapping of str to numpy.ndarray
        Numbers of galaxies for the test of the whole set, see `OutOfDistribution.counts`; empty without a
        record.
    """

    found: Fitted
    logits: list[Floats]
    table: Table
    counts: Mapping[str, npt.NDArray[np.int64]]


def answered(
    models: Sequence[Classifier],
    found: Fitted,
    ids: Sequence[str],
    *,
    settings: ClassifySettings,
    measures: Mapping[str, npt.ArrayLike] | None = None,
) -> Answered:
    """Classify prepared images with models that suit the settings; adds to the flags of `found`."""
    trained = models[0].trained
    logits, features = _logits_and_features(models, found)
    extra: dict[str, Any] = {}
    counts: dict[str, npt.NDArray[np.int64]] = {}
    uncertainty = models[0].uncertainty if settings.calibrated else None
    if uncertainty is not None:
        known = {PIXEL_SCALE: found.pixel_scales} | dict(measures or {})
        spec = models[0].inputs(settings)
        extra["distance"], counts = _distances(uncertainty, spec, found, features, known)
    shares = [one.shares(scores, settings) for one, scores in zip(models, logits, strict=True)]
    mean = np.mean(shares, axis=0)
    members = _members(models, found, ids, shares, settings)
    if trained.votes is not None:
        names = trained.votes.answers
        table = flagged(fraction_table(ids, mean, trained.votes), found.flags, found.reasons)
    else:
        names = trained.classes
        prediction = models[0].prediction(ids, logits[0], settings)
        if len(models) > 1:
            prediction = Prediction(tuple(ids), np.log(np.maximum(mean, _LEAST)), names)
        elif uncertainty is not None and uncertainty.sets.limits_of(prediction) is not None:
            extra["set"] = np.array(uncertainty.sets.words(prediction), dtype=str)
        table = prediction.to_table(flags=found.flags, reasons=found.reasons)
    if len(members) > 1:
        from galcnn.uncertainty import Uncertainty

        several = Uncertainty(np.stack(members))
        extra |= {f"std_{name}": several.std[:, k] for k, name in enumerate(names)}
        if trained.votes is None:
            extra["mutual_information"] = several.mutual_information
    if settings.embeddings:
        extra["embedding"] = features
    for name, values in extra.items():
        table[name] = values
    return Answered(found, logits, table, counts)


_NO_NUMBER = "the network's answer is no number"
#: Lower limit of a mean probability before its logarithm is taken: log(0) is not a logit.
_LEAST = 1e-37


def _usable(spec: InputSpec, cutouts: Sequence[Cutout | Exception] | Floats, *, fit: bool) -> Fitted:
    """Prepare cutouts; check the shape and finite values of images that are given as an array."""
    if not isinstance(cutouts, np.ndarray):
        return fitted(cutouts, spec, fit=fit)
    if cutouts.shape[1:] != spec.image_shape:
        raise ValueError(message(f"images of shape {spec.image_shape}", "", shape=cutouts.shape[1:]))
    # ReLU may turn NaN into 0, so that the network would return a number for an invalid image.
    good = np.asarray(np.isfinite(cutouts).all(axis=(1, 2, 3)))
    flags = np.where(good, 0, UNFIT).astype(np.int16)
    reasons = ["" if one else "pixels that are no numbers: mask them" for one in good.tolist()]
    return Fitted(
        np.flatnonzero(good),
        np.asarray(cutouts[good], dtype=np.float32),
        flags,
        reasons,
        np.full(len(good), np.nan),
    )


def _logits_and_features(models: Sequence[Classifier], found: Fitted) -> tuple[list[Floats], Floats]:
    """Return the logits of each model and features of the first, NaN without image; flag NaN logits."""
    answers = []
    for one in models:
        sizes = [shape[-1] for shape in one.answering.output_shape]
        whole = [np.full((len(found.flags), size), np.nan, dtype=np.float32) for size in sizes]
        if len(found.rows):
            given = one.answering.predict(found.images, batch_size=BATCH, verbose=0)
            for all_rows, some in zip(whole, given, strict=True):
                all_rows[found.rows] = some
        answers.append(whole)
    logits = [one for one, _ in answers]
    numbers = np.isfinite(np.concatenate(logits, axis=1)).all(axis=1)
    _flag(found, UNANSWERED, {row: _NO_NUMBER for row in found.rows if not numbers[row]})
    return logits, answers[0][1]


def _flag(found: Fitted, bit: int, reasons: Mapping[int, str]) -> None:
    for row, reason in reasons.items():
        found.flags[row] |= bit
        found.reasons[row] = "; ".join(text for text in (found.reasons[row], reason) if text)


def _distances(
    uncertainty: UncertaintyRecord,
    spec: InputSpec,
    found: Fitted,
    features: Floats,
    measures: Mapping[str, npt.ArrayLike],
) -> tuple[Floats, dict[str, npt.NDArray[np.int64]]]:
    """Return distances from the training set, and counts of the measures; flag galaxies beyond the limit."""
    ood, counts = uncertainty.out_of_distribution, dict[str, npt.NDArray[np.int64]]()
    distances = np.full(len(found.flags), np.nan, dtype=np.float32)
    rows = found.rows
    if len(rows):
        known = image_measures(found.images, spec)
        known |= {name: np.asarray(values, dtype=np.float64)[rows] for name, values in measures.items()}
        outside, words, distances[rows] = ood.warn(known, features[rows])
        counts = ood.counts(known, features[rows])
        _flag(found, OUTSIDE, {row: why for row, out, why in zip(rows, outside, words, strict=True) if out})
    return distances, counts


def _members(
    models: Sequence[Classifier],
    found: Fitted,
    ids: Sequence[str],
    shares: list[npt.NDArray[np.float64]],
    settings: ClassifySettings,
) -> list[npt.NDArray[np.float64]]:
    """Return the probabilities of each model, or of each dropout sample of each model."""
    if not settings.dropout_samples:
        return shares
    own, n = [ids[row] for row in found.rows], settings.dropout_samples
    members = []
    for one in models:
        drawn = np.full((n, *shares[0].shape), np.nan, dtype=np.float32)
        if own:
            drawn[:, found.rows] = one.sampler.logits(found.images, own, n_samples=n, seed=settings.seed)
        members += [one.shares(logits, settings) for logits in drawn]
    return members
