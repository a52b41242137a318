"""What a training suffers from: signs in what was looked at, where and when, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from astropy.table import Table

__all__ = ["HealthLimits", "Remedy", "Sign", "diagnose", "remedy_text"]

Kind = Literal["vanishing", "exploding", "stagnation", "dead"]
#: Keys of an experiment, such as ``network.initializer``, with the values that they should have.
Remedy = Mapping[str, Any]
Floats = npt.NDArray[np.float64]

_GROWTH = "norm of the weights, in units of that at the start,"
_UPDATED = "share of the weights that one update changes"
_RELU = ("relu", "relu6", "leaky_relu", "elu", "gelu", "silu", "swish")
_SATURATING = ("sigmoid", "hard_sigmoid")
_WANTED = dict.fromkeys(_RELU, "he_normal") | {"tanh": "glorot_normal"}
#: Classes of Keras that keep the signal of an activation.
_FITTING = dict.fromkeys(_RELU, ("HeNormal", "HeUniform")) | {
    "tanh": ("GlorotNormal", "GlorotUniform", "LecunNormal", "LecunUniform", "Orthogonal")
}


@dataclass(frozen=True)
class HealthLimits:
    """Beyond which figure something is a sign.

    Attributes
    ----------
    ratio : float
        Between layers, of the signal or the relative gradient: what has become smaller by this
        factor vanishes, what has become larger by it explodes.
    weights : float
        Growth of a layer's norm over that at the start, or its fall.
    update : float
        Share of a layer's weights that one update changes.
    loss : float
        Times the loss at the start.
    dead : float
        Share of a layer's ReLUs that no image of the batch moves.
    answers : float
        Standard deviation of a logit over images, below which all are answered alike.
    still : float
        Share of the weights that an update changes, below which nothing moves.
    patience : int
        Updates after which the last two are stagnation.
    """

    ratio: float = 1e3
    weights: float = 20.0
    update: float = 0.5
    loss: float = 10.0
    dead: float = 0.9
    answers: float = 0.02
    still: float = 1e-6
    patience: int = 200


@dataclass(frozen=True)
class Sign:
    """One thing that is wrong, where it was first seen.

    Attributes
    ----------
    kind : {"vanishing", "exploding", "stagnation", "dead"}
        What it is.
    symptom : str
        In which figure it shows.
    layer : str
        Where it begins.
    update : int
        When it was first seen; 0 is before the first.
    value, limit : float
        The figure, and what it should not pass.
    remedies : tuple of mapping
        What to change in the experiment, the likeliest help first; each is a remedy by itself.
    """

    kind: Kind
    symptom: str
    layer: str
    update: int
    value: float
    limit: float
    remedies: tuple[Remedy, ...]

    def __str__(self) -> str:
        said = "; or ".join(remedy_text(remedy) for remedy in self.remedies)
        return (
            f"{self.kind} at layer {self.layer}, update {self.update}: {self.symptom} {self.value:.3g} "
            f"(limit {self.limit:.3g}). Try {said}."
        )


@dataclass(frozen=True, eq=False)
class _Look:
    """Columns of one update, layer by layer from the input; and the highest learning rate until then."""

    update: int
    peak: float
    columns: Mapping[str, npt.NDArray[Any]]

    def __getitem__(self, name: str) -> Floats:
        return np.asarray(self.columns[name], dtype=np.float64)


def diagnose(record: Table, limits: HealthLimits | None = None) -> list[Sign]:
    """Name the signs in the record of a training.

    Parameters
    ----------
    record : astropy.table.Table
        See `galcnn.health.GradientHealth.table`.
    limits : HealthLimits, optional
        The defaults when not given.

    Returns
    -------
    list of Sign
        Each kind and symptom once, where it was first seen, in the order of the updates.
    """
    limits = limits or HealthLimits()
    found: dict[tuple[str, str], Sign] = {}
    if len(record) == 0:
        return []
    updates = np.asarray(record["update"])
    looks: list[_Look] = []
    for update in np.unique(updates):
        columns = {name: np.asarray(record[name])[updates == update] for name in record.colnames}
        peak = max(float(columns["learning_rate"][0]), looks[-1].peak if looks else 0.0)
        looks.append(_Look(int(update), peak, columns))
    for look in looks:
        for sign in _signs(look, looks[0], limits):
            found.setdefault((sign.kind, sign.symptom), sign)
    return list(found.values())


def remedy_text(remedy: Remedy) -> str:
    """Word a remedy as it stands in an experiment's file.

    Parameters
    ----------
    remedy : mapping
        Of a `Sign`.

    Returns
    -------
    str
        One line.

    Examples
    --------
    >>> remedy_text({"network.initializer": "he_normal"})
    '[network] initializer = "he_normal"'
    """
    words = []
    for key, value in remedy.items():
        section, _, name = key.rpartition(".")
        shown = f'"{value}"' if isinstance(value, str) else str(value).lower()
        words.append(f"[{section}] {name} = {shown}")
    return " with ".join(words)


def _signs(look: _Look, first: _Look, limits: HealthLimits) -> Iterator[Sign]:
    lost = (look["nonfinite"] > 0) | ~np.isfinite(look["weight_norm"]) | ~np.isfinite(look["gradient_norm"])
    if lost.any() or not np.isfinite(look["loss"][0]):
        # The first layer that is lost; where only the loss is, the last.
        at = int(np.argmax(lost)) if lost.any() else len(lost) - 1
        yield _sign("exploding", "values that are not finite", look, at, look["nonfinite"][at], 0)
        return
    dead = look["dead"] > limits.dead
    for at in np.flatnonzero(dead)[:1]:
        yield _sign("dead", "share of ReLUs never active", look, at, look["dead"][at], limits.dead)
    if not dead.any():  # what is behind a dead layer has no signal
        yield from _between_layers(look, limits)
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = look["weight_norm"] / first["weight_norm"]
    for at in np.flatnonzero(growth > limits.weights)[:1]:
        yield _sign("exploding", _GROWTH, look, at, growth[at], limits.weights)
    for at in np.flatnonzero(growth < 1 / limits.weights)[:1]:
        yield _sign("vanishing", _GROWTH, look, at, growth[at], 1 / limits.weights)
    for at in np.flatnonzero(look["update_ratio"] > limits.update)[:1]:
        yield _sign("exploding", _UPDATED, look, at, look["update_ratio"][at], limits.update)
    loss, highest = float(look["loss"][0]), limits.loss * float(first["loss"][0])
    if loss > highest:
        yield _sign("exploding", "loss", look, int(np.argmax(growth)), loss, highest)
    if look.update >= limits.patience:
        yield from _standing_still(look, limits)


def _standing_still(look: _Look, limits: HealthLimits) -> Iterator[Sign]:
    last = len(look["signal"]) - 1
    if (same := look["signal"][last]) < limits.answers:
        yield _sign("stagnation", "scatter of the answers over images", look, last, same, limits.answers)
    # A schedule that ends makes small updates, and may.
    at = int(np.argmax(look["update_ratio"]))
    if look["learning_rate"][0] > 0.1 * look.peak and look["update_ratio"][at] < limits.still:
        yield _sign("stagnation", _UPDATED, look, at, look["update_ratio"][at], limits.still)


def _between_layers(look: _Look, limits: HealthLimits) -> Iterator[Sign]:
    """The signal on its way from the input, and the gradient on its way back."""
    low, high, tiny = 1 / limits.ratio, limits.ratio, np.finfo(float).tiny
    signal = look["signal"]
    grown = signal / max(signal[0], tiny)
    for at in np.flatnonzero(grown > high)[:1]:
        yield _sign("exploding", "signal, in units of the first layer's,", look, at, grown[at], high)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = look["gradient_norm"] / look["weight_norm"]  # of the weights, in units of themselves
    moved = np.where(np.isfinite(moved), moved, 0.0)
    share = moved[:-1] / np.maximum.accumulate(np.maximum(moved, tiny)[::-1])[::-1][1:]
    symptom = "relative gradient, as a share of the largest behind it,"
    for at in np.flatnonzero(share > high)[-1:]:
        yield _sign("exploding", symptom, look, at, share[at], high)
    # Beside what explodes all else is small: that comes first.
    kept = signal[1:] / np.maximum.accumulate(np.maximum(signal, tiny))[:-1]
    for at in np.flatnonzero(kept < low)[:1]:
        yield _sign("vanishing", "signal, as a share of the largest before it,", look, at + 1, kept[at], low)
    for at in np.flatnonzero(share < low)[-1:]:
        yield _sign("vanishing", symptom, look, at, share[at], low)


def _sign(kind: Kind, symptom: str, look: _Look, at: int, value: float, limit: float) -> Sign:
    layer = {name: column[at] for name, column in look.columns.items()}
    return Sign(
        kind, symptom, str(layer["layer"]), look.update, float(value), float(limit),
        tuple(_remedies(kind, symptom, layer, look.peak)),
    )  # fmt: skip


def _remedies(kind: Kind, symptom: str, layer: Mapping[str, Any], rate: float) -> Iterator[Remedy]:
    slower, faster = ({"training.learning_rate": float(f"{rate * by:.3g}")} for by in (0.1, 10))
    if kind == "vanishing" and symptom == _GROWTH:
        yield {"network.l1": 0.0, "network.l2": 0.0, "training.weight_decay": 0.0}
        yield slower
        return
    if kind == "exploding" and layer["update"] > 0:
        yield slower
        yield {"training.global_clipnorm": 1.0}
    elif kind == "dead" and layer["update"] > 0:
        yield slower
        yield {"network.activation": "leaky_relu"}
    else:
        yield from _better_start(str(layer["activation"]), str(layer["initializer"]))
    if not layer["normalized"]:
        yield {"network.normalization": "batch"}
    elif kind != "stagnation":
        yield {"network.residual": True}
    if kind == "stagnation":
        yield faster


def _better_start(activation: str, initializer: str) -> Iterator[Remedy]:
    if activation in _SATURATING:
        yield {"network.activation": "relu", "network.initializer": "he_normal"}
    elif activation in _WANTED and initializer not in _FITTING[activation]:
        yield {"network.initializer": _WANTED[activation]}
