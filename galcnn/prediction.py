"""Prediction: the logits of some galaxies, and the probabilities that follow from them.

No Keras is imported here: a model is called, not made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from astropy.table import Table

from galcnn.errors import UnreadableImageError, message
from galcnn.inputs import InputFiles, blank_bands, images_from, prepare
from galcnn.progress import Progress, silent

if TYPE_CHECKING:
    from galcnn.cutout import Cutout
    from galcnn.model import TrainedModel

__all__ = [
    "BLANK",
    "MASKED",
    "MASKED_LIMIT",
    "UNFIT",
    "UNREADABLE",
    "Prediction",
    "classify_files",
    "predict",
    "prediction_table",
    "prior_of",
]

#: Bits of the column `flag`.
UNREADABLE, UNFIT, MASKED, BLANK = 1, 2, 4, 8
#: Share of masked pixels beyond which a galaxy is flagged `MASKED`.
MASKED_LIMIT = 0.1

_BATCH = 256
_PIECE = 16 * _BATCH


@dataclass(frozen=True, eq=False)
class Prediction:
    """The logits of some galaxies.

    Attributes
    ----------
    ids : tuple of str
        One a galaxy.
    logits : numpy.ndarray
        float32, shape (n, n_classes), as the network gave them; a row of NaN where it could not.
    classes : tuple of str
        In the network's order.
    adjustment : tuple of float
        Added to the logits of each class before the softmax: the logarithm of new over old
        class prior (see `with_prior`); zeros by default.

    Examples
    --------
    >>> import numpy as np
    >>> p = Prediction(("a",), np.log([[0.25, 0.75]]), ("elliptical", "spiral"))
    >>> p.probabilities.round(2).tolist(), p.best
    ([[0.25, 0.75]], ('spiral',))
    """

    ids: tuple[str, ...]
    logits: npt.NDArray[np.float32]
    classes: tuple[str, ...]
    adjustment: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        logits = np.array(self.logits, dtype=np.float32)
        if logits.shape != (len(self.ids), len(self.classes)):
            raise ValueError(
                message(
                    f"logits of shape {(len(self.ids), len(self.classes))} (ids, classes)",
                    "",
                    shape=logits.shape,
                )
            )
        logits.flags.writeable = False
        adjustment = tuple(float(x) for x in self.adjustment) or (0.0,) * len(self.classes)
        if len(adjustment) != len(self.classes):
            raise ValueError(message("one adjustment a class", "", adjustment=adjustment))
        object.__setattr__(self, "ids", tuple(str(name) for name in self.ids))
        object.__setattr__(self, "logits", logits)
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "adjustment", adjustment)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def probabilities(self) -> npt.NDArray[np.float64]:
        """Softmax of the adjusted logits, float64, shape (n, n_classes); NaN where a logit is not finite."""
        scores = self.logits.astype(np.float64) + np.asarray(self.adjustment)
        scores[~np.isfinite(self.logits).all(axis=1)] = np.nan
        scores = scores - scores.max(axis=1, keepdims=True, initial=-np.inf)
        exponentials = np.exp(scores)
        probabilities: npt.NDArray[np.float64] = exponentials / exponentials.sum(axis=1, keepdims=True)
        return probabilities

    @property
    def best(self) -> tuple[str, ...]:
        """The most probable class of each galaxy; empty text where there is no prediction."""
        known = np.atleast_1d(np.isfinite(self.logits).all(axis=1))
        positions = np.argmax(self.logits + np.asarray(self.adjustment), axis=1)
        return tuple(self.classes[i] if ok else "" for i, ok in zip(positions, known, strict=True))

    @property
    def entropy(self) -> npt.NDArray[np.float64]:
        """Shannon entropy of the probabilities in nats: 0 is certain, ln(n_classes) knows nothing."""
        p = self.probabilities
        with np.errstate(divide="ignore", invalid="ignore"):
            terms = np.where(p == 0, 0.0, p * np.log(p))
        entropy: npt.NDArray[np.float64] = -terms.sum(axis=1)
        return entropy + 0.0  # no minus zero in a table

    def select(self, rows: Sequence[int]) -> Prediction:
        """Give some of the galaxies.

        Parameters
        ----------
        rows : sequence of int
            Their positions.

        Returns
        -------
        Prediction
            In this order.
        """
        return replace(self, ids=tuple(self.ids[i] for i in rows), logits=self.logits[list(rows)])

    def with_prior(self, new: Mapping[str, float], old: Mapping[str, float]) -> Prediction:
        """Give the same logits read under another class prior.

        A network trained where classes occur with frequency `old` answers for such a population.
        By Bayes' theorem p_new(c | image) is proportional to p_old(c | image) new(c) / old(c)
        (Saerens et al. 2002, Neural Computation 14, 21; logit adjustment of Menon et al. 2021).

        Parameters
        ----------
        new : mapping of str to float
            Expected frequency of each class; normalised here.
        old : mapping of str to float
            Frequency in the loss of the training, weights included.

        Returns
        -------
        Prediction
            With another `adjustment`.

        Raises
        ------
        ValueError
            A class is missing or a frequency is not positive.
        """
        shifts = _log_prior(new, self.classes) - _log_prior(old, self.classes)
        return replace(self, adjustment=tuple(shifts.tolist()))


def predict(
    trained: TrainedModel, cutouts: Sequence[Cutout], *, ids: Sequence[str] | None = None
) -> Prediction:
    """Run the network on cutouts that fit it.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    cutouts : sequence of galcnn.cutout.Cutout
        In the model's bands, unit and shape, see `galcnn.inputs.prepare`.
    ids : sequence of str, optional
        One a cutout; their numbers by default.

    Returns
    -------
    Prediction
        In the order of the cutouts.

    Raises
    ------
    ValueError
        A cutout does not fit the model.
    """
    spec = trained.card.inputs
    fitting = [prepare(cutout, spec) for cutout in cutouts]
    names = tuple(ids) if ids is not None else tuple(str(i) for i in range(len(fitting)))
    return Prediction(names, predict_images(trained.model, images_from(fitting)), trained.classes)


def predict_images(model: Any, images: Any) -> npt.NDArray[np.float32]:
    """Run a model on images in memory.

    Parameters
    ----------
    model : keras.Model
        From calibrated images to logits.
    images : numpy.ndarray or galcnn.dataset.PackedImages
        Shape (n, ny, nx, n_bands).

    Returns
    -------
    numpy.ndarray
        Logits, float32, shape (n, n_classes).
    """
    if not isinstance(images, np.ndarray):  # on disk: read piece by piece
        starts = range(0, len(images), _PIECE)
        return np.concatenate([predict_images(model, images[i : i + _PIECE]) for i in starts])
    logits: npt.NDArray[np.float32] = model.predict(images, batch_size=_BATCH, verbose=0)
    return logits


def classify_files(
    trained: TrainedModel,
    files: InputFiles,
    *,
    prior: Mapping[str, float] | None = None,
    progress: Progress = silent,
) -> Table:
    """Classify image files; whatever happens to one of them, it has its row.

    Parameters
    ----------
    trained : galcnn.model.TrainedModel
        The model.
    files : galcnn.inputs.InputFiles
        The images.
    prior : mapping of str to float, optional
        Expected frequency of each class; as the model was trained by default.
    progress : galcnn.progress.Progress
        Shows the files.

    Returns
    -------
    astropy.table.Table
        See `prediction_table`. Bounded memory: images are read batch by batch.
    """
    spec = trained.card.inputs
    names = list(files.paths)
    logits = np.full((len(names), len(trained.classes)), np.nan, dtype=np.float32)
    flags, reasons = np.zeros(len(names), dtype=np.int16), [""] * len(names)
    with progress("classify", len(names)) as step:
        for start in range(0, len(names), _BATCH):
            rows, cutouts = [], []
            for row in range(start, min(start + _BATCH, len(names))):
                step()
                try:
                    cutout = prepare(files.load(names[row]), spec, fit=files.fit)
                except (UnreadableImageError, OSError) as error:
                    flags[row], reasons[row] = UNREADABLE, str(error)
                    continue
                except ValueError as error:
                    flags[row], reasons[row] = UNFIT, str(error)
                    continue
                rows.append(row)
                cutouts.append(cutout)
                flags[row], reasons[row] = _doubts(cutout)
            if rows:
                logits[rows] = predict_images(trained.model, images_from(cutouts))
    prediction = Prediction(tuple(names), logits, trained.classes)
    if prior is not None:
        prediction = prediction.with_prior(prior, trained.card.trained_prior)
    return prediction_table(prediction, flags=flags, reasons=reasons)


def _doubts(cutout: Cutout) -> tuple[int, str]:
    """Images that have an answer but little to base it on."""
    flag, reasons = 0, []
    if cutout.masked_fraction > MASKED_LIMIT:
        flag |= MASKED
        reasons.append(f"{cutout.masked_fraction:.0%} of the pixels are masked and were filled with sky")
    if blank := blank_bands(cutout):
        flag |= BLANK
        reasons.append(f"nothing is seen in {', '.join(blank)}: all pixels are equal")
    return flag, "; ".join(reasons)


def prediction_table(
    prediction: Prediction,
    *,
    flags: npt.NDArray[np.int16] | None = None,
    reasons: Sequence[str] | None = None,
) -> Table:
    """Lay a prediction out as a table.

    Parameters
    ----------
    prediction : Prediction
        Of any number of galaxies.
    flags : numpy.ndarray, optional
        Sum of `UNREADABLE`, `UNFIT`, `MASKED` and `BLANK` for each galaxy.
    reasons : sequence of str, optional
        What the flag means here.

    Returns
    -------
    astropy.table.Table
        Columns `id`, `class`, ``p_<class>`` for each class, `entropy` (nats), `flag`, `reason`.
        A galaxy without a prediction has an empty class and NaN.
    """
    table = Table()
    table["id"] = np.array(prediction.ids, dtype=str)
    table["class"] = np.array(prediction.best, dtype=str)
    for name, column in zip(prediction.classes, prediction.probabilities.T, strict=True):
        table[f"p_{name}"] = column
        table[f"p_{name}"].description = f"probability of class {name}"
    table["entropy"] = prediction.entropy
    table["entropy"].description = "Shannon entropy of the probabilities, nats"
    table["flag"] = np.zeros(len(prediction), dtype=np.int16) if flags is None else flags
    table["flag"].description = (
        f"sum of {UNREADABLE} unreadable, {UNFIT} unfit for the model, {MASKED} over "
        f"{MASKED_LIMIT:.0%} masked, {BLANK} blank band"
    )
    table["reason"] = np.array([""] * len(prediction) if reasons is None else list(reasons), dtype=str)
    return table


def prior_of(text: str, trained: TrainedModel) -> dict[str, float] | None:
    """Read a class prior as users type it.

    Parameters
    ----------
    text : str
        ``as-trained`` (whatever weights and sampling taught), ``catalog`` (frequencies in the
        training set), ``uniform``, or ``elliptical=0.6,spiral=0.4``.
    trained : galcnn.model.TrainedModel
        Its card knows the first two.

    Returns
    -------
    dict of str to float or None
        None for ``as-trained``.

    Raises
    ------
    ValueError
        It cannot be read, or a class is missing.
    """
    if text == "as-trained":
        return None
    if text == "catalog":
        return dict(trained.card.class_prior)
    if text == "uniform":
        return dict.fromkeys(trained.classes, 1 / len(trained.classes))
    try:
        prior = {name: float(value) for name, value in (part.split("=") for part in text.split(","))}
    except ValueError as error:
        raise ValueError(
            message("a prior: as-trained, catalog, uniform or CLASS=SHARE,CLASS=SHARE", "", prior=text)
        ) from error
    _log_prior(prior, trained.classes)
    return prior


def _log_prior(prior: Mapping[str, float], classes: Sequence[str]) -> npt.NDArray[np.float64]:
    if set(prior) != set(classes) or not all(np.isfinite(p) and p > 0 for p in prior.values()):
        raise ValueError(message(f"a positive frequency for each of {tuple(classes)}", "", prior=dict(prior)))
    values = np.array([prior[name] for name in classes], dtype=np.float64)
    logs: npt.NDArray[np.float64] = np.log(values / values.sum())
    return logs
