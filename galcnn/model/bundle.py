"""TrainedModel: a Keras model and its card, in a folder that is whole or is refused."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

# Imported, these register the layers that a saved model is made of.
import galcnn.model.preprocessing.pca
import galcnn.model.preprocessing.scaling
import galcnn.model.preprocessing.stretch  # noqa: F401
from galcnn._runtime import atomic
from galcnn._runtime.html import overview
from galcnn.catalog import Votes
from galcnn.errors import message
from galcnn.model.build import LOGITS, NETWORK, PREPROCESSING
from galcnn.model.card import Card
from galcnn.model.contents import check_contents, saved_by
from galcnn.model.inputs import check_render

_MODEL, _CARD = "model.keras", "card.json"
#: All that a model folder holds; a folder with anything else is not replaced.
_OWN = {_MODEL, _CARD, "history.csv", "test.ecsv", "health.csv", "doubts.json", "figures"}


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A Keras model and what is known of it.

    Attributes
    ----------
    model : keras.Model
        From calibrated images to logits; compile, fit and call it as you like.
    card : galcnn.model.Card
        What it was trained on, and how well it does.
    folder : pathlib.Path or None
        Where it was loaded from or saved: what ``galcnn calibrate`` measured of it lies there.
    """

    model: keras.Model
    card: Card
    folder: Path | None = None

    def __post_init__(self) -> None:
        names = [layer.name for layer in self.model.layers]
        if PREPROCESSING not in names or NETWORK not in names:
            raise ValueError(
                message(
                    f"a model with sub-models {PREPROCESSING!r} and {NETWORK!r}",
                    "Join them with assemble().",
                    layers=names,
                )
            )
        if self.network.layers[-1].name != LOGITS:
            raise ValueError(
                message(
                    f"a network whose last layer is {LOGITS!r}",
                    "Name it so.",
                    last=self.network.layers[-1].name,
                )
            )
        answers = self.card.classes if self.votes is None else self.votes.answers
        if self.model.output_shape[-1] != len(answers):
            raise ValueError(message(f"{self.model.output_shape[-1]} classes or answers", "", names=answers))

    @property
    def preprocessing(self) -> keras.Model:
        """From calibrated to stretched images."""
        return self.model.get_layer(PREPROCESSING)

    @property
    def network(self) -> keras.Model:
        """From stretched images to logits."""
        return self.model.get_layer(NETWORK)

    @property
    def classes(self) -> tuple[str, ...]:
        """In the order of the logits; raises `ValueError` where the model gives vote fractions."""
        if self.votes is not None:
            raise ValueError(
                message(
                    "a model of classes",
                    "This one gives vote fractions: galcnn classify writes them.",
                    model=self.card.name,
                    questions=[question.name for question in self.votes.questions],
                )
            )
        return self.card.classes

    @property
    def votes(self) -> Votes | None:
        """What people were asked, where the model gives vote fractions."""
        return self.card.votes

    def _repr_html_(self) -> str:
        told, spec = self.card, self.card.inputs
        facts = {
            "name": told.name,
            "sha256": told.model_sha256[:12] or "not saved",
            "classes": ", ".join(told.classes),
            "images": f"{spec.shape[0]} x {spec.shape[1]} pixels, {', '.join(spec.bands)}, in {spec.unit}",
            "pixel scale": "any" if spec.pixel_scale is None else f"{spec.pixel_scale} arcsec",
            "parameters": f"{self.model.count_params():,}",
            "network layers": len(self.network.layers),
            "trained on": told.data.get("survey", "unknown"),
        }
        numbers = {key: value for key, value in told.metrics.items() if isinstance(value, int | float)}
        return overview(
            "TrainedModel", facts | {f"test {key}": f"{value:.4g}" for key, value in numbers.items()}
        )

    def with_render(self, render: str | None) -> TrainedModel:
        """Give the same model with another render step in its card.

        Parameters
        ----------
        render : str or None
            Named step of `galcnn.transforms`; None changes nothing.

        Returns
        -------
        TrainedModel
            With the step by which calibrated cutouts become such pictures.

        Raises
        ------
        ValueError
            No such step, or the model reads flux and needs none.
        """
        if render is None:
            return self
        check_render(render, self.card.inputs.unit)
        return replace(self, card=replace(self.card, inputs=replace(self.card.inputs, render=render)))


def save_model(
    trained: TrainedModel,
    folder: str | os.PathLike[str],
    *,
    extra: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> TrainedModel:
    """Write ``model.keras`` and ``card.json`` into a folder, whole or not at all.

    Parameters
    ----------
    trained : TrainedModel
        What to save.
    folder : path-like
        Replaced when it exists and holds a model; refused when it holds anything else.
    extra : dict of str to callable, optional
        Further files: name -> function that writes to the path it is given.
    overwrite : bool
        Whether to write into a folder that holds other files too; these stay.

    Returns
    -------
    TrainedModel
        The same model with the hash of the file in its card, and its folder.

    Raises
    ------
    OSError
        The folder cannot be written, or holds something that is not a model.
    """
    refuse_foreign_folder(folder, overwrite=overwrite)
    with atomic.writing_folder(folder, own=_OWN) as temporary:
        trained.model.save(temporary / _MODEL)
        card = replace(
            trained.card, name=Path(folder).resolve().name, model_sha256=_sha256(temporary / _MODEL)
        )
        saved = replace(trained, card=card, folder=Path(folder).resolve())
        saved.card.write(temporary / _CARD)
        for name, write in (extra or {}).items():
            write(temporary / name)
    return saved


def load_model(folder: str | os.PathLike[str]) -> TrainedModel:
    """Load a model folder after checking that it is whole and unchanged.

    No code is run from the file, see `galcnn.model.contents.check_contents`. The hash tells of
    accidents; who forges a model forges its card too.

    Parameters
    ----------
    folder : path-like
        Written by `save_model`.

    Returns
    -------
    TrainedModel
        Model, card and folder.

    Raises
    ------
    FileNotFoundError
        The folder or one of its files is missing.
    ValueError
        The model file is not the one that the card describes, holds what could run or reach
        outside, or comes from a newer galcnn or Keras.
    """
    path = Path(folder)
    for file in (path, path / _CARD, path / _MODEL):
        if not file.exists():
            raise FileNotFoundError(
                message(
                    f"a model folder with {_MODEL} and {_CARD}",
                    "Check the path, or train again.",
                    missing=str(file),
                )
            )
    card = Card.read(path / _CARD)
    found = _sha256(path / _MODEL)
    if found != card.model_sha256:
        raise ValueError(
            message(
                f"{_MODEL} with the hash in {_CARD}, {card.model_sha256[:12]}...",
                "The file was altered or belongs to another card: restore it.",
                sha256=f"{found[:12]}...",
                folder=str(path),
            )
        )
    check_contents(path / _MODEL)
    return TrainedModel(_read(path / _MODEL), card, path.resolve())


def _read(path: Path) -> keras.Model:
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        # Keras looks its way through a configuration; what it trips over has no error of its own.
        written = saved_by(path)
        newer = _release(written) > _release(keras.__version__)
        raise ValueError(
            message(
                f"a model file that Keras {keras.__version__} can read",
                "Update keras." if newer else "Restore the file, or train again.",
                written_by=f"Keras {written}",
                error=f"{type(error).__name__}: {error}",
            )
        ) from error


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def refuse_foreign_folder(folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Fail when saving a model here would destroy something that is not a model."""
    what = "an older model and nothing else"
    atomic.check_writable(folder, folder=True, own=_OWN, what=what, overwrite=overwrite)


def with_embedding(trained: TrainedModel) -> keras.Model:
    """Give a model that answers with its logits and the features that they are made from."""
    network = trained.network
    both = keras.Model(network.inputs, [network.get_layer(LOGITS).output, network.get_layer(LOGITS).input])
    inputs = trained.model.inputs[0]
    return keras.Model(inputs, both(trained.preprocessing(inputs)))


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
