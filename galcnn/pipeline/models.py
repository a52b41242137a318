"""The models at hand, and which of them fit an image. Does not import Keras."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles
from galcnn.model import Card, InputSpec, prepare, read_card, ready_models
from galcnn.model.card import CARD
from galcnn.photometry import DISPLAY
from galcnn.transforms.rgb import render_step

#: Options with which a calibrated image becomes a picture like those of Galaxy Zoo, and their render step.
_RENDERED = "--render sdss --frame petrosian:4", "sdss:petrosian:4"


@dataclass(frozen=True)
class KnownModel:
    """A model at hand, and whether it fits an image.

    Attributes
    ----------
    name : str
        Name by which every command finds it: that of a model that ships with galcnn, or its folder.
    card : galcnn.model.Card or None
        Card of the model; None if it cannot be read, and `reason` says why.
    ships : bool
        True if it ships with galcnn.
    fits : bool or None
        True if it can classify the image, with the options `needs`; None without an image.
    needs : str
        Options that the image needs, such as ``--fit``.
    reason : str
        Why it does not fit as it is, or why its card cannot be read.
    """

    name: str
    card: Card | None
    ships: bool
    fits: bool | None = None
    needs: str = ""
    reason: str = ""


def known_models(
    folder: str | os.PathLike[str] = ".",
    *,
    image: Sequence[str | os.PathLike[str]] = (),
    reading: Mapping[str, Any] | None = None,
) -> list[KnownModel]:
    """List the models that ship with galcnn and those in a folder, and say which fit an image.

    Parameters
    ----------
    folder : path-like
        Folder whose model folders are listed.
    image : sequence of path-like
        Image file, or several of one galaxy, one per band. A model fits if its bands, unit, pixel scale and
        shape are those of the image, or can be made of it by the options of galcnn.
    reading : mapping of str to Any, optional
        Parameters of `galcnn.dataset.InputFiles`, such as `bands`.

    Returns
    -------
    list of KnownModel
        Models that ship with galcnn first, then those of the folder by name.

    Raises
    ------
    NotADirectoryError
        If there is no such folder.
    galcnn.errors.UnreadableImageError, FileNotFoundError
        If the image cannot be read.
    """
    place = Path(folder)
    if not place.is_dir():
        raise NotADirectoryError(f"Folder not found: {place}.")
    own = sorted(card.parent for card in place.glob(f"*/{CARD}"))
    names = [*ready_models(), *(os.fspath(one) for one in own)]
    cutout = None
    if image:
        shown = ",".join(os.fspath(one) for one in image)
        cutout = InputFiles({shown: [*image]}, **dict(reading or {})).load(shown)
    found = []
    for name in names:
        ships = name in ready_models()
        try:
            card = Card.read(ready_models()[name] / CARD) if ships else read_card(name)
        except (OSError, ValueError) as error:
            found.append(KnownModel(name, None, ships, reason=str(error)))
            continue
        one = KnownModel(name, card, ships)
        found.append(one if cutout is None else _judged(one, card.inputs, cutout))
    return found


def _judged(model: KnownModel, inputs: InputSpec, cutout: Cutout) -> KnownModel:
    """Say whether an image fits a model, and by which options."""
    reason = ""
    for needs, spec, fit in _ways(inputs, cutout):
        try:
            prepare(cutout, spec, fit=fit)
        except ValueError as error:
            reason = reason or str(error)
        else:
            return replace(model, fits=True, needs=needs, reason=reason)
    return replace(model, fits=False, reason=reason)


def _ways(spec: InputSpec, cutout: Cutout) -> Iterator[tuple[str, InputSpec, bool]]:
    """Yield options by which an image may fit, the fewest first."""
    scaled = spec.unit == DISPLAY.name and spec.pixel_scale is None
    if scaled and cutout.calibrated and (spec.render is None or render_step(spec.render).frame is None):
        words, step = _RENDERED  # without a frame, the whole field would be taken for the galaxy's
        yield words, replace(spec, render=step), True
        return
    yield "", spec, False
    yield "--fit", spec, True
