"""Models by name: those that ship with galcnn, model folders, and models on the Hugging Face hub."""

from __future__ import annotations

import os
from pathlib import Path

from galcnn.errors import message, wrong_type
from galcnn.model.card import CARD, SCHEME, Card

_SHIPPED = Path(__file__).with_name("shipped")


def ready_models() -> dict[str, Path]:
    """Return the models that ship with galcnn, which need no download.

    Returns
    -------
    dict of str to pathlib.Path
        Folder of each model by its name, which stands for it wherever a model is asked for.

    Examples
    --------
    >>> "gz1" in ready_models()
    True
    """
    return {card.parent.name: card.parent for card in sorted(_SHIPPED.glob(f"*/{CARD}"))}


def is_shipped(folder: Path) -> bool:
    """Return True for the folder of a model that ships with galcnn, in which nothing is changed."""
    return _SHIPPED in folder.resolve().parents


def model_folder(model: str | os.PathLike[str]) -> Path:
    """Find the folder of a model.

    Parameters
    ----------
    model : path-like
        Model folder; the name of a model that ships with galcnn, see `ready_models`; or
        ``hf://owner/name@revision``, which is fetched from the Hugging Face hub. A model folder of the same
        name in the current folder comes first.

    Returns
    -------
    pathlib.Path
        Folder of the model; a path that is neither is returned as it is.

    Raises
    ------
    TypeError
        If it is neither text nor a path.
    ValueError
        If the repository holds an encoder, which classifies nothing.
    OSError
        If the hub cannot be reached, or has no such repository.
    """
    if not isinstance(model, str | os.PathLike):
        raise wrong_type("the name or the folder of a model", folder=model)
    text = os.fspath(model)
    if text.startswith(SCHEME):
        from galcnn.model.hub import fetch_from_hub

        fetched = fetch_from_hub(text)
        if not fetched.is_model:
            raise ValueError(
                message(
                    "a model of galcnn", "An encoder is the start of a training: train --from.", model=text
                )
            )
        return fetched.folder
    path = Path(text)
    return path if (path / CARD).exists() else ready_models().get(text, path)


def read_card(model: str | os.PathLike[str]) -> Card:
    """Read the card of a model, for which Keras is not needed.

    Parameters
    ----------
    model : path-like
        Folder, name or address of the model, see `model_folder`.

    Returns
    -------
    Card
        Card of the model.

    Raises
    ------
    FileNotFoundError
        If there is no such model.
    ValueError
        If the card was altered, or written by a newer galcnn.

    Examples
    --------
    >>> read_card("gz1").classes
    ('edge_on', 'elliptical', 'merger', 'spiral')
    """
    folder = model_folder(model)
    if not (folder / CARD).is_file():
        raise no_model(folder)
    return Card.read(folder / CARD)


def no_model(folder: Path, missing: str = CARD) -> FileNotFoundError:
    """Return the error for a path that is no model folder."""
    if not folder.exists():
        known = f"Models that ship with galcnn: {', '.join(ready_models())}."
        return FileNotFoundError(f"Model folder not found: {folder}. {known}")
    return FileNotFoundError(f"{folder} is not a model folder: it has no {missing}.")
