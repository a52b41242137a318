"""The card of a model: training data, settings and test metrics."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn._runtime.representation import names, pixels, summary
from galcnn.catalog import Votes
from galcnn.errors import message, without_content
from galcnn.model.inputs import InputSpec, is_number

CARD_FORMAT = 1
#: Files of a model folder, and the beginning of the address of a model on the Hugging Face hub.
CARD, MODEL, SCHEME = "card.json", "model.keras", "hf://"
#: Accepted difference between the sum of a class prior and 1.
_PRIOR_TOLERANCE = 1e-3
#: No number of a card reaches this.
_LARGEST = 1e15


@dataclass(frozen=True)
class Card:
    """Model card: description of a trained model, saved beside it as ``card.json``.

    Attributes
    ----------
    classes : tuple of str
        Classes in the order of the logits; empty if the model predicts vote fractions.
    inputs : galcnn.model.InputSpec
        Bands, unit, shape, pixel scale and render step of the images.
    data : mapping
        Survey, number of galaxies by split and class, rule of the split, SHA-256 of ids,
        labels and pixels, range of magnitudes and redshifts if known, licence.
    class_prior : mapping of str to float
        Frequency of each class in the training set.
    trained_prior : mapping of str to float
        Frequency of each class as seen by the loss, including weights and sampling. The predicted
        probabilities hold for a population with these frequencies.
    settings : mapping
        All settings of the experiment, so that it can be repeated.
    votes : galcnn.catalog.Votes or None
        Questions and answers of a model that predicts vote fractions; None for a model of classes.
    metrics : mapping
        Metrics of the test set, which was not used in training.
    cost : mapping
        Cost of the network for one image, see `galcnn.model.network_table`.
    versions : mapping
        Versions of the software.
    devices : mapping
        Devices used in training, see `galcnn.model.devices.devices_used`.
    parent : mapping
        Model from which the training started: its name, SHA-256, licence and data, what was frozen, and how
        bands and preprocessing were adapted; empty for a network of new weights.
    notes : tuple of str
        What galcnn changed of the model, such as a softmax that it left out.
    name : str
        Name of the model, which is the name of its folder; set by `save_model`.
    model_sha256 : str
        SHA-256 of ``model.keras``; set by `save_model`.
    created : str
        Time of creation, ISO 8601, UTC.
    format : int
        Format version of the card.
    """

    classes: tuple[str, ...]
    inputs: InputSpec
    data: Mapping[str, Any] = field(default_factory=dict)
    class_prior: Mapping[str, float] = field(default_factory=dict)
    trained_prior: Mapping[str, float] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    votes: Votes | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    cost: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    devices: Mapping[str, Any] = field(default_factory=dict)
    parent: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    name: str = "galcnn"
    model_sha256: str = ""
    created: str = ""
    format: int = CARD_FORMAT

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "notes", tuple(self.notes))
        if self.votes is not None and self.classes:
            raise ValueError(message("classes or votes", "Leave one out.", classes=self.classes))
        if self.votes is None and (len(self.classes) < 2 or len(set(self.classes)) != len(self.classes)):
            raise ValueError(message("at least two distinct classes", "", classes=self.classes))
        for name in ("classes", "notes"):
            if not all(isinstance(one, str) and one for one in getattr(self, name)):
                raise ValueError(message(f"{name} as text", "", **{name: getattr(self, name)}))
        for name in ("name", "model_sha256", "created"):
            if not isinstance(getattr(self, name), str):
                raise ValueError(message(f"{name} as text", "", **{name: getattr(self, name)}))
        for name in (
            "data",
            "class_prior",
            "trained_prior",
            "settings",
            "metrics",
            "cost",
            "versions",
            "devices",
            "parent",
        ):
            if not isinstance(getattr(self, name), Mapping):
                raise ValueError(message(f"{name} as a mapping", "", **{name: getattr(self, name)}))
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Raise if a number is not finite, out of its range, or no number."""
        for name in ("class_prior", "trained_prior"):
            prior = getattr(self, name)
            shares = all(is_number(share) and 0 <= share <= 1 for share in prior.values())
            if prior and not (shares and abs(sum(prior.values()) - 1) < _PRIOR_TOLERANCE):
                raise ValueError(message(f"{name} of shares from 0 to 1 with sum 1", "", **{name: prior}))
            if prior and set(prior) != set(self.classes):
                raise ValueError(message(f"{name} of the classes {self.classes}", "", **{name: prior}))
        if not isinstance(self.format, int) or isinstance(self.format, bool) or self.format < 1:
            raise ValueError(message("a format number from 1", "", format=self.format))
        for name, value in self.cost.items():
            lowest = -1 if name == "receptive_field" else 0  # -1: not known
            if not is_number(value) or not lowest <= value < _LARGEST:
                raise ValueError(message(f"cost.{name} as a number from {lowest}", "", value=value))
        for side in ("test", "test_sqrt"):
            test = self.metrics.get(side, {})
            if not isinstance(test, Mapping) or not all(isinstance(one, Mapping) for one in test.values()):
                raise ValueError(message(f"metrics.{side} as mappings by name", "", **{side: test}))
            for score, parts in test.items():
                for name in ("value", "low", "high", *parts):
                    value = parts.get(name)
                    if value is not None and not (is_number(value) and abs(value) < _LARGEST):
                        wanted = f"metrics.{side}.{score}.{name} as a finite number or null"
                        raise ValueError(message(wanted, "", value=value))
        count = self.metrics.get("n_test")
        if count is not None and not (is_number(count) and 0 <= count < _LARGEST):
            raise ValueError(message("metrics.n_test as a number from 0", "", n_test=count))
        rest = {name: getattr(self, name) for name in ("data", "settings", "metrics", "devices", "parent")}
        for name, value in _numbers(rest, ""):
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(message(f"{name} as a finite number", "", value=value))

    def __repr__(self) -> str:
        return summary("Card", *card_lines(self))

    def write(self, path: Path) -> None:
        """Write the card as JSON.

        Parameters
        ----------
        path : pathlib.Path
            Output file, usually ``card.json``.
        """
        atomic.write_json(path, self.to_dict() | {"card_sha256": self.sha256})

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain values.

        Returns
        -------
        dict
            Content of the file that `write` writes, without its hash.
        """
        lists = {"classes": list(self.classes), "notes": list(self.notes)}
        return asdict(self) | lists | {"inputs": self.inputs.to_dict()}

    @property
    def sha256(self) -> str:
        """SHA-256 of the content of the card, ``card_sha256`` in the file."""
        return _digest(self.to_dict())

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read a card from a file.

        Parameters
        ----------
        path : pathlib.Path
            File written by `write`.

        Returns
        -------
        Card
            Card with the content of the file.

        Raises
        ------
        ValueError
            If the file is not a card, was altered, or was written by a newer galcnn.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            newer = is_number(content["format"]) and content["format"] > CARD_FORMAT
            stated = content.pop("card_sha256", None)
            # The fields of a newer format may be unknown here.
            card = None if newer else cls._of(content)
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            IndexError,
            OverflowError,
            RecursionError,
        ) as error:
            raise ValueError(
                message(
                    "a model card",
                    "Restore the file.",
                    path=str(path),
                    error=without_content(error),
                )
            ) from error
        if card is None:
            raise ValueError(
                message(
                    f"a card of format {CARD_FORMAT} or older", "Update galcnn.", format=content["format"]
                )
            )
        if stated != _digest(content):
            raise ValueError(
                message("the card as it was written", "It was altered: restore it.", path=str(path))
            )
        return card

    @classmethod
    def _of(cls, content: Mapping[str, Any]) -> Card:
        known = {f.name for f in fields(cls)}
        values = {name: value for name, value in content.items() if name in known}
        values["inputs"] = InputSpec.from_dict(content["inputs"])
        if values.get("votes") is not None:
            values["votes"] = Votes.from_dict(values["votes"])
        return cls(**values)


def _numbers(content: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Iterate over the values in nested mappings and lists, and their names."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from _numbers(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _numbers(value, name)
    else:
        yield name, content


def _digest(content: Mapping[str, Any]) -> str:
    """SHA-256 of the content; it detects changes, such as reordered classes, that no other check finds."""
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


def card_lines(card: Card) -> tuple[str, str, str]:
    """Return three lines: name and classes, the images that the model reads, and its test scores."""
    kinds = card.classes if card.votes is None else card.votes.answers
    spec, test = card.inputs, card.metrics.get("test", {})
    scale = "any scale" if spec.pixel_scale is None else f"{spec.pixel_scale:.4g} arcsec per pixel"
    scores = [
        f"{name} {one['value']:.3f} [{one['low']:.3f}, {one['high']:.3f}]"
        for name, one in list(test.items())[:2]
        if None not in (one.get("value"), one.get("low"), one.get("high"))
    ]
    n = card.metrics.get("n_test")
    return (
        f"{card.name!r}: {names(kinds)}",
        f"reads {names(spec.bands)}, {pixels(spec.shape)}, {scale}, {spec.unit}",
        f"test: {', '.join(scores)}, {n} galaxies" if scores else "not tested",
    )


def statement(card: Card) -> list[tuple[str, str]]:
    """Return data, licence, whom to cite and what a model is not for, as far as its card says it."""
    names = ("survey", "pixels", "labels", "licence")
    told = [(name, str(card.data[name])) for name in names if card.data.get(name)]
    told += [("cite", str(source)) for source in card.data.get("cite", ())]
    return told + [("not for", str(what)) for what in card.data.get("not_for", ())]
