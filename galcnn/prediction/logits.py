"""Compute logits of images or cutouts, and flag cutouts that do not fit the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import UnfitImageError, error_of_file
from galcnn.model import InputSpec, images_from, prepare
from galcnn.model.inputs import blank_bands, cutouts_like
from galcnn.prediction.calibration import Calibration, calibration_of
from galcnn.prediction.flags import BLANK, CHANGED, MASKED, MASKED_LIMIT, UNFIT, UNREADABLE
from galcnn.prediction.prediction import Prediction
from galcnn.prediction.priors import DEFAULT_PRIOR, prior_of

if TYPE_CHECKING:
    from galcnn.cutout import Cutout
    from galcnn.model import TrainedModel
    from galcnn.model.bundle import AnyModel


#: Batch size of predictions. A model that averages 8 orientations sees 8 times as many images at once.
BATCH = 32
_PIECE = 128 * BATCH


def predict(
    model: AnyModel,
    cutouts: Any,
    *,
    ids: Sequence[str] | None = None,
    fit: bool = False,
    prior: str | Mapping[str, float] = DEFAULT_PRIOR,
    calibrated: bool = True,
) -> Prediction:
    """Predict the classes of cutouts, with the probabilities of ``galcnn classify``.

    Parameters
    ----------
    model : galcnn.model.TrainedModel or path-like
        The model, or its folder.
    cutouts : galcnn.cutout.Cutout, path-like, NDData, HDUList or numpy.ndarray, or several
        One or more images in the model's bands, unit and shape, see `galcnn.model.prepare`. An array has
        the model's bands first, shape (n_bands, ny, nx) or (n, n_bands, ny, nx), and its unit; see
        `galcnn.files.as_cutout`.
    ids : sequence of str, optional
        Identifiers, one per cutout; "0", "1", ... by default.
    fit : bool
        If True, images are resampled and cropped to the model's pixel grid, see `galcnn.model.prepare`.
    prior : str or mapping of str to float
        Class prior of the probabilities, see `galcnn.pipeline.ClassifySettings`.
    calibrated : bool
        If True and the model folder has ``uncertainty.json``, the logits are calibrated; otherwise they are
        those of the network.

    Returns
    -------
    Prediction
        Logits, in the order of the cutouts, with the `adjustment` to the class prior.

    Raises
    ------
    TypeError
        If the type of an argument is not accepted; the text says which are.
    ValueError
        If a cutout does not fit the model, the prior is not one of its classes, or ``uncertainty.json``
        belongs to another model.
    """
    from galcnn.model.bundle import as_trained  # imports Keras

    trained = as_trained(model)
    spec, calibration = trained.card.inputs, calibration_of(trained) if calibrated else None
    prior_of(prior, trained)  # before the images are read
    fitting = [prepare(cutout, spec, fit=fit) for cutout in cutouts_like(cutouts, spec)]
    names = tuple(ids) if ids is not None else tuple(str(i) for i in range(len(fitting)))
    logits = predict_images(trained.model, images_from(fitting))
    return prediction_of(trained, names, logits, prior=prior, calibration=calibration)


def prediction_of(
    trained: TrainedModel,
    ids: Sequence[str],
    logits: npt.NDArray[np.float32],
    *,
    prior: str | Mapping[str, float] = DEFAULT_PRIOR,
    calibration: Calibration | None = None,
) -> Prediction:
    """Return the prediction that a model's logits give: calibrated, then under a class prior."""
    found = Prediction(tuple(ids), logits, trained.classes)
    if calibration is not None:
        found = calibration.apply(found)
    shares = prior_of(prior, trained)
    return found if shares is None else found.with_prior(shares, trained.card.trained_prior)


def predict_images(model: Any, images: Any) -> npt.NDArray[np.float32]:
    """Compute the logits of an array of images.

    Parameters
    ----------
    model : keras.Model
        Model with calibrated images as input and logits as output.
    images : numpy.ndarray or galcnn.dataset.shards.PackedImages
        Images, shape (n, ny, nx, n_bands). Packed images are read piece by piece.

    Returns
    -------
    numpy.ndarray
        Logits, float32, shape (n, n_classes).
    """
    if not isinstance(images, np.ndarray):  # on disk
        starts = range(0, len(images), _PIECE)
        return np.concatenate([predict_images(model, images[i : i + _PIECE]) for i in starts])
    logits: npt.NDArray[np.float32] = model.predict(images, batch_size=BATCH, verbose=0)
    return logits


@dataclass(frozen=True, eq=False)
class Fitted:
    """Images prepared for the network, with a flag and a reason for every galaxy.

    Attributes
    ----------
    rows : numpy.ndarray
        Rows of the galaxies with an image, int, shape (n_images,).
    images : numpy.ndarray
        Images of these galaxies, float32, shape (n_images, ny, nx, n_bands).
    flags : numpy.ndarray
        Flags of all galaxies, int16, shape (n,): sums of `UNREADABLE`, `UNFIT`, `MASKED`, `BLANK`
        and `CHANGED`.
    reasons : list of str
        Reason for each flag; empty if the flag is 0.
    pixel_scales : numpy.ndarray
        Pixel scales of the original cutouts in arcsec, shape (n,); NaN if unknown.
    cutouts : list of galcnn.cutout.Cutout
        Cutouts of `images`, if they were to be kept.
    """

    rows: npt.NDArray[np.intp]
    images: npt.NDArray[np.float32]
    flags: npt.NDArray[np.int16]
    reasons: list[str]
    pixel_scales: npt.NDArray[np.float64]
    cutouts: list[Cutout] = field(default_factory=list)


def fitted(
    cutouts: Sequence[Cutout | Exception], spec: InputSpec, *, fit: bool, keep: bool = False
) -> Fitted:
    """Prepare cutouts for a network; flag those that cannot be prepared."""
    flags, reasons = np.zeros(len(cutouts), dtype=np.int16), [""] * len(cutouts)
    scales = np.full(len(cutouts), np.nan)
    rows, fitting = [], []
    for row, cutout in enumerate(cutouts):
        if isinstance(cutout, Exception):
            # UnfitImageError: was read, but has no WCS, or is smaller than the requested width.
            flags[row] = UNFIT if isinstance(cutout, UnfitImageError) else UNREADABLE
            reasons[row] = _words(cutout)
            continue
        try:
            if (scale := cutout.pixel_scale) is not None:
                scales[row] = scale.to_value("arcsec")
            ready = prepare(cutout, spec, fit=fit)
            flags[row], reasons[row] = faults(ready)
        except Exception as error:  # noqa: BLE001  an error in one galaxy must not affect the others
            flags[row], reasons[row] = UNFIT, str(error_of_file(error, "an image that fits the model"))
            continue
        rows.append(row)
        fitting.append(ready)
    images = images_from(fitting) if fitting else np.empty((0, *spec.image_shape), dtype=np.float32)
    kept = fitting if keep else []
    return Fitted(np.array(rows, dtype=np.intp), images, flags, reasons, scales, kept)


def _words(error: Exception) -> str:
    """Return the message of an error, with its class unless it is a ValueError or OSError."""
    told = str(error)
    return told if told and isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {told}"


def faults(cutout: Cutout) -> tuple[int, str]:
    """Return flag and reason of an image with many masked pixels, blank bands or a changed file."""
    flag, reasons = 0, []
    if cutout.masked_fraction > MASKED_LIMIT:
        flag |= MASKED
        reasons.append(f"{cutout.masked_fraction:.0%} of the pixels are masked and were filled with sky")
    if blank := blank_bands(cutout):
        flag |= BLANK
        reasons.append(f"nothing is seen in {', '.join(blank)}: all pixels are equal")
    if changed := cutout.meta.get("checksum_mismatch"):
        flag |= CHANGED
        reasons.append(f"the checksum of HDU {', '.join(map(str, changed))} does not match")
    return flag, "; ".join(reasons)
