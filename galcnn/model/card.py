"""The card of a model: what it was trained on, how, and how well it does."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from galcnn._runtime import atomic
from galcnn.catalog import Votes
from galcnn.errors import message
from galcnn.model.inputs import InputSpec

CARD_FORMAT = 1


@dataclass(frozen=True)
class Card:
    """What is known of a trained model; beside it as ``card.json``.

    Attributes
    ----------
    classes : tuple of str
        In the order of the logits; none where the model gives vote fractions.
    inputs : galcnn.model.InputSpec
        Bands, unit, shape, pixel scale and render step of its images.
    data : mapping
        Survey, number of galaxies by split and class, rule of the split, SHA-256 over ids,
        labels and pixels, range of magnitudes and redshifts where known, licence.
    class_prior : mapping of str to float
        Frequency of each class in the training set.
    trained_prior : mapping of str to float
        Frequency of each class in the loss: weights and sampling included. The network's
        probabilities are those of such a population.
    settings : mapping
        The whole experiment, so that it can be repeated.
    votes : galcnn.catalog.Votes or None
        What people were asked, where the model gives vote fractions.
    metrics : mapping
        Of the untouched test set.
    cost : mapping
        Of the network for one image, see `galcnn.model.network_table`.
    versions : mapping
        Of the software.
    devices : mapping
        On which it was trained, see `galcnn.model.devices.devices_used`.
    name : str
        Of the model: that of its folder, filled in by `save_model`.
    model_sha256 : str
        Of ``model.keras``; filled in by `save_model`.
    created : str
        ISO time, UTC.
    format : int
        Of the card.
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
    name: str = "galcnn"
    model_sha256: str = ""
    created: str = ""
    format: int = CARD_FORMAT

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.votes is not None and self.classes:
            raise ValueError(message("classes or votes", "Leave one out.", classes=self.classes))
        if self.votes is None and (len(self.classes) < 2 or len(set(self.classes)) != len(self.classes)):
            raise ValueError(message("at least two distinct classes", "", classes=self.classes))

    def write(self, path: Path) -> None:
        """Write the card as JSON.

        Parameters
        ----------
        path : pathlib.Path
            Usually ``card.json``.
        """
        atomic.write_json(path, self.to_dict() | {"card_sha256": self.sha256})

    def to_dict(self) -> dict[str, Any]:
        """Give plain values.

        Returns
        -------
        dict
            What `write` writes, but for its hash.
        """
        return asdict(self) | {"inputs": self.inputs.to_dict(), "classes": list(self.classes)}

    @property
    def sha256(self) -> str:
        """Of what it tells: ``card_sha256`` of the file."""
        return _digest(self.to_dict())

    @classmethod
    def read(cls, path: Path) -> Card:
        """Read a card.

        Parameters
        ----------
        path : pathlib.Path
            Written by `write`.

        Returns
        -------
        Card
            The same.

        Raises
        ------
        ValueError
            It is not a card, was altered, or comes from a newer galcnn.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            newer = int(content["format"]) > CARD_FORMAT
            stated = content.pop("card_sha256", None)
            # What a newer galcnn writes need not be understood here.
            card = None if newer else cls._of(content)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
            raise ValueError(
                message(
                    "a model card",
                    "Restore the file.",
                    path=str(path),
                    error=f"{type(error).__name__}: {error}",
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


def _digest(content: Mapping[str, Any]) -> str:
    """Of the card's content: classes in another order would answer wrongly without a word."""
    plain = json.loads(json.dumps(content))
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()
