"""TrainedModel, a Keras model and its card; saving to and loading from a model folder."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras

# Importing these modules registers the preprocessing layers with Keras.
import galcnn.model.preprocessing.pca
import galcnn.model.preprocessing.scaling
import galcnn.model.preprocessing.stretch  # noqa: F401
from galcnn._runtime import atomic
from galcnn._runtime.html import overview
from galcnn._runtime.representation import summary
from galcnn.catalog import Votes
from galcnn.catalog.names import LEFT_OUT
from galcnn.errors import message, without_content, wrong_type
from galcnn.model.build import LOGITS, NETWORK, PREPROCESSING, assemble
from galcnn.model.card import CARD, MODEL, Card, card_lines
from galcnn.model.contents import check_contents, saved_by
from galcnn.model.inputs import check_render
from galcnn.model.logits import ending_in_logits
from galcnn.model.orientations import orientations_of, with_orientations
from galcnn.model.ready import model_folder, no_model

#: Files of a Keras network.
NETWORK_FILES = (".keras", ".h5", ".hdf5")
#: Names that a model folder may contain; a folder with other files is not replaced.
_OWN = {MODEL, CARD, "history.csv", "test.ecsv", LEFT_OUT, "health.csv", "uncertainty.json", "figures"}


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A Keras model and its card.

    Attributes
    ----------
    model : keras.Model
        Model from calibrated images to logits, with the sub-models ``preprocessing`` and
        ``network``. It can be compiled, fitted and called like any Keras model. A softmax at its end, or
        the sigmoid of two classes, is left out, and noted in the card; other models that end in
        probabilities are refused.
    card : galcnn.model.Card
        Model card: training data, settings and test metrics.
    folder : pathlib.Path or None
        Folder from which the model was loaded or to which it was saved; the results of
        ``galcnn calibrate`` are read from there.
    """

    model: keras.Model
    card: Card
    folder: Path | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, keras.Model) or not isinstance(self.card, Card):
            raise wrong_type(
                "a keras.Model and its Card",
                "Load a model folder by load_model.",
                model=self.model,
                card=self.card,
            )
        self._end_in_logits()
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

    def _end_in_logits(self) -> None:
        """Leave out a softmax at the end and note it in the card; refuse other models of probabilities."""
        binary = self.votes is None and len(self.card.classes) == 2
        shape = self.card.inputs.image_shape
        ending = ending_in_logits(self.model, shape, binary=binary, exclusive=True)
        if not ending.removed:
            return
        object.__setattr__(self, "model", ending.model)
        object.__setattr__(self, "card", replace(self.card, notes=(*self.card.notes, ending.note)))

    def __repr__(self) -> str:
        first, reads, tested = card_lines(self.card)
        return summary("TrainedModel", first, reads, f"{self.model.count_params():,} parameters, {tested}")

    @property
    def preprocessing(self) -> keras.Model:
        """Sub-model from calibrated to stretched images."""
        return self.model.get_layer(PREPROCESSING)

    @property
    def network(self) -> keras.Model:
        """Sub-model from stretched images to logits."""
        return self.model.get_layer(NETWORK)

    @property
    def classes(self) -> tuple[str, ...]:
        """Classes in the order of the logits; raises `ValueError` if the model predicts vote fractions."""
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
        """Questions and answers of a model that predicts vote fractions; None for a model of classes."""
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
            "notes": "; ".join(told.notes) or "-",
            "trained on": told.data.get("survey", "unknown"),
        }
        numbers = {key: value for key, value in told.metrics.items() if isinstance(value, int | float)}
        return overview(
            "TrainedModel", facts | {f"test {key}": f"{value:.4g}" for key, value in numbers.items()}
        )

    def with_render(self, render: str | None) -> TrainedModel:
        """Return the model with another render step in its card.

        Parameters
        ----------
        render : str or None
            Name of a render step of `galcnn.transforms`, which converts calibrated cutouts to
            display images. None returns the model unchanged.

        Returns
        -------
        TrainedModel
            Same model with the render step in its input specification.

        Raises
        ------
        ValueError
            If the render step is unknown, or the model does not read display values.
        """
        if render is None:
            return self
        check_render(render, self.card.inputs.unit)
        return replace(self, card=replace(self.card, inputs=replace(self.card.inputs, render=render)))

    @property
    def orientations(self) -> int:
        """Number of orientations of each image that the network averages, by which its cost grows."""
        return orientations_of(self.network)

    def with_orientations(self, count: int | None) -> TrainedModel:
        """Return the model averaging fewer orientations: faster, slightly less accurate.

        Parameters
        ----------
        count : {1, 4, 8} or None
            Number of orientations, at most that of the model. None returns the model unchanged.

        Returns
        -------
        TrainedModel
            Model with the same weights; its name and notes state the number. It has no folder and thus no
            uncertainty record, which was measured with all orientations.

        Raises
        ------
        ValueError
            If the model averages fewer orientations.
        """
        own = self.orientations
        if count is None or count == own:
            return self
        if count not in (1, 4) or count > own:
            raise ValueError(
                message(
                    f"at most the {own} orientations that the model averages: 1, 4 or 8"
                    if own > 1
                    else "1 orientation, since the model averages none",
                    "",
                    orientations=count,
                )
            )
        model = assemble(self.preprocessing, with_orientations(self.network, count))
        note = f"{count} of {own} orientations"
        # Files that were written with another number of orientations must not count as those of this model.
        card = replace(self.card, name=f"{self.card.name} ({note})", notes=(*self.card.notes, note))
        return replace(self, model=model, card=card, folder=None)


def save_model(
    trained: TrainedModel,
    folder: str | os.PathLike[str],
    *,
    extra: dict[str, Any] | None = None,
    overwrite: bool = False,
) -> TrainedModel:
    """Save a model as ``model.keras`` and ``card.json`` in a folder.

    Parameters
    ----------
    trained : TrainedModel
        Model to save.
    folder : path-like
        Output folder. An existing model folder is replaced; a folder with other files is refused.
        Nothing is changed if saving fails.
    extra : dict of str to callable, optional
        Further files: function by file name, called with the path to write to.
    overwrite : bool
        If True, a folder that contains other files is accepted; these files are kept.

    Returns
    -------
    TrainedModel
        Saved model, with its folder, and its name and the hash of the file in the card.

    Raises
    ------
    OSError
        If the folder cannot be written, or contains files that do not belong to a model.
    """
    if not isinstance(trained, TrainedModel):
        raise wrong_type(
            "a TrainedModel", "Join a Keras model and its card: TrainedModel(model, card).", trained=trained
        )
    if not isinstance(folder, str | os.PathLike):
        raise wrong_type("the path of a folder", folder=folder)
    refuse_foreign_folder(folder, overwrite=overwrite)
    with atomic.writing_folder(folder, own=_OWN) as temporary:
        trained.model.save(temporary / MODEL)
        card = replace(
            trained.card,
            name=Path(folder).resolve().name,
            model_sha256=atomic.file_sha256(temporary / MODEL),
        )
        saved = replace(trained, card=card, folder=Path(folder).resolve())
        saved.card.write(temporary / CARD)
        for name, write in (extra or {}).items():
            write(temporary / name)
    return saved


#: What is accepted as a model.
AnyModel = TrainedModel | str | os.PathLike[str]


def as_trained(model: AnyModel) -> TrainedModel:
    """Return a trained model as it is, or load its folder."""
    if isinstance(model, str | os.PathLike):
        return load_model(model)
    if hasattr(model, "model") and hasattr(model, "card") and not isinstance(model, type):
        return model
    plain = isinstance(model, keras.Model)
    raise wrong_type(
        "a model: a TrainedModel or the path of a model folder",
        "A plain Keras model has no card: galcnn.model.import_model(model, classes=..., bands=...)."
        if plain
        else "",
        model=model,
    )


def load_model(folder: str | os.PathLike[str]) -> TrainedModel:
    """Load a model folder after checking that it is complete and unaltered.

    No code from the file is executed, see `galcnn.model.contents.check_contents`. The hash in the card
    detects accidental changes only, since a forger can change the card too.

    Parameters
    ----------
    folder : path-like
        Model folder written by `save_model`; the name of a model that ships with galcnn, such as
        ``gz1`` (`galcnn models` lists them; a model folder of this name in the current folder comes
        first); or ``hf://owner/name@revision`` on the Hugging Face hub.

    Returns
    -------
    TrainedModel
        Model with its card and folder.

    Raises
    ------
    FileNotFoundError
        If the folder, ``model.keras`` or ``card.json`` does not exist.
    ValueError
        If the hash of the model file differs from that in the card, the file contains anything
        except arithmetic layers and weights, or Keras cannot read it, or if the card was altered or
        written by a newer galcnn.
    """
    path = model_folder(folder)
    if path.is_file() and path.suffix.lower() in NETWORK_FILES:
        raise ValueError(
            message(
                "a model folder",
                f"Make one of this Keras network: galcnn import {path} --classes A,B --bands B,B --out M.",
                folder=str(path),
            )
        )
    for name in (CARD, MODEL):
        if not (path / name).exists():
            raise no_model(path, name)
    card = Card.read(path / CARD)
    found = atomic.file_sha256(path / MODEL)
    if found != card.model_sha256:
        raise ValueError(
            message(
                f"{MODEL} with the hash in {CARD}, {card.model_sha256[:12]}...",
                "The file was altered or belongs to another card: restore it.",
                sha256=f"{found[:12]}...",
                folder=str(path),
            )
        )
    return TrainedModel(read_network(path / MODEL), card, path.resolve())


def read_network(path: Path) -> keras.Model:
    """Read a Keras network from a file of `NETWORK_FILES` after checking that it runs no code."""
    check_contents(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        # Keras has no error class of its own for an invalid configuration.
        written = saved_by(path)
        newer = _release(written) > _release(keras.__version__)
        raise ValueError(
            message(
                f"a model file that Keras {keras.__version__} can read",
                "Update keras."
                if newer
                else "Restore the file, or save it again as .keras where it was made.",
                written_by=f"Keras {written}",
                error=without_content(error),
            )
        ) from error


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())


def refuse_foreign_folder(folder: str | os.PathLike[str], *, overwrite: bool = False) -> None:
    """Raise if saving a model to the folder would replace files that do not belong to a model."""
    what = "an older model and nothing else"
    atomic.check_writable(folder, folder=True, own=_OWN, what=what, overwrite=overwrite)


def with_embedding(trained: TrainedModel) -> keras.Model:
    """Return a model with two outputs: the logits and the features that enter the last layer."""
    network = trained.network
    both = keras.Model(network.inputs, [network.get_layer(LOGITS).output, network.get_layer(LOGITS).input])
    inputs = trained.model.inputs[0]
    return keras.Model(inputs, both(trained.preprocessing(inputs)))
