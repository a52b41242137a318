"""Explainers from text: a name, optionally followed by a colon and settings."""

from __future__ import annotations

import dataclasses
import types
import typing
import warnings
from collections.abc import Sequence
from typing import Any, Literal

from galcnn import plugins
from galcnn.errors import PluginError, did_you_mean, message
from galcnn.explain.explanation import Explainer

#: Name for all installed methods with their default settings.
ALL = "all"
#: Methods that are used if none is named, if the network has the layers that they need.
DEFAULT = ("occlusion", "integrated_gradients", "cam")


def explainers_by_name(texts: Sequence[str]) -> list[Explainer]:
    """Create explainers from text such as ``cam`` or ``smoothgrad:n=50,noise=sigma``.

    Parameters
    ----------
    texts : sequence of str
        Names as listed by ``galcnn plugins``, each optionally followed by a colon and settings;
        ``all`` for every installed method with its default settings.

    Returns
    -------
    list of Explainer
        Explainers in the order given, without duplicates. With ``all``, plugins that cannot be loaded
        are left out with a warning.

    Raises
    ------
    galcnn.errors.PluginError
        If no method has this name, or it cannot be loaded.
    ValueError
        If the method has no such setting, or the value is invalid.

    Examples
    --------
    >>> explainers_by_name(["smoothgrad:n=50,noise=0.1", "cam"])
    [SmoothGrad(n=50, noise=0.1, seed=0), CAM()]
    """
    explainers: list[Explainer] = []
    for text in texts:
        name, _, settings = text.partition(":")
        if name == ALL and settings:
            raise ValueError(
                message(
                    "all without settings",
                    "Name the method with settings beside all.",
                    method=text,
                )
            )
        for one in plugins.available(plugins.EXPLAINERS) if name == ALL else [name]:
            try:
                kind = plugins.load(plugins.EXPLAINERS, one)
            except PluginError as error:
                if name != ALL:
                    raise
                warnings.warn(f"without {one}: {error}", stacklevel=2)
                continue
            made = kind(**settings_from(text, kind, settings))
            if made not in explainers:
                explainers.append(made)
    return explainers


def settings_from(text: str, kind: Any, settings: str) -> dict[str, Any]:
    """Parse settings such as ``n=50,noise=sigma``."""
    known = {f.name for f in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    hints = typing.get_type_hints(kind)
    found: dict[str, Any] = {}
    for pair in filter(None, settings.split(",")):
        key, equals, word = pair.partition("=")
        if not equals or key not in known or key in found:
            raise ValueError(
                message(
                    "NAME:SETTING=VALUE,..., each setting once, with settings among "
                    f"{', '.join(sorted(known)) or 'none'}",
                    did_you_mean(key, known),
                    method=text,
                    setting=key,
                )
            )
        found[key] = _value(text, key, word, hints[key])
    return found


def _value(text: str, key: str, word: str, hint: Any) -> Any:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    options = typing.get_args(hint) if union else (hint,)
    for option in options:
        if typing.get_origin(option) is Literal:
            if word in typing.get_args(option):
                return word
        elif option is str:
            return word
        elif option in (int, float):
            try:
                return option(word)
            except ValueError:
                continue
    words = [x for option in options if typing.get_origin(option) is Literal for x in typing.get_args(option)]
    kinds = [option.__name__ for option in options if option in (int, float)]
    expected = " or ".join([*map(repr, words), *kinds])
    raise ValueError(message(f"{key} as {expected}", "", method=text, value=word))
