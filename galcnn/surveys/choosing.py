"""A survey by its name and the words of a command line."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import astropy.units as u

from galcnn import plugins
from galcnn.errors import message

if TYPE_CHECKING:
    from galcnn.surveys.survey import Survey

__all__ = ["open_survey", "options_of"]


def open_survey(name: str, options: Mapping[str, str] | None = None) -> Survey:
    """Make a survey of a plugin of the group `galcnn.surveys`.

    Parameters
    ----------
    name : str
        Of the plugin, see ``galcnn plugins``.
    options : mapping of str to str, optional
        Field of the survey's dataclass -> value in words: numbers, ``true``, ``0.262arcsec``,
        ``g,r,z``, as the field's default has it.

    Returns
    -------
    galcnn.surveys.survey.Survey
        Ready to be asked.

    Raises
    ------
    galcnn.errors.PluginError
        No such plugin, or it is broken.
    ValueError
        No such option, or a value that cannot be read; or an option that is needed is missing.

    Examples
    --------
    >>> open_survey("simulated", {"n_galaxies": "30"}).n_galaxies
    30
    """
    kind = plugins.load(plugins.SURVEYS, name)
    known = options_of(kind)
    values = {}
    for option, text in (options or {}).items():
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else ""
            raise ValueError(
                message(f"options of {name} among {', '.join(known) or 'none'}", hint, option=option)
            )
        values[option] = _value(option, text, known[option])
    if missing := [option for option, field in known.items() if _needed(field) and option not in values]:
        raise ValueError(
            message(
                f"the option {missing[0]!r} of {name}",
                f"Say it: --option {missing[0]}=...",
                options=sorted(values),
            )
        )
    survey: Survey = kind(**values)
    return survey


def options_of(kind: Any) -> dict[str, dataclasses.Field[Any]]:
    """List the options of a survey.

    Parameters
    ----------
    kind : type
        A survey's class.

    Returns
    -------
    dict of str to dataclasses.Field
        Those that words can say; empty for a class that is no dataclass.
    """
    if not dataclasses.is_dataclass(kind):
        return {}
    return {field.name: field for field in dataclasses.fields(kind) if field.init and _speakable(field)}


def _needed(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _speakable(field: dataclasses.Field[Any]) -> bool:
    plain = isinstance(field.default, str | int | float | tuple | u.Quantity | None)
    return plain or (_needed(field) and "str" in str(field.type))


def _value(name: str, text: str, field: dataclasses.Field[Any]) -> Any:
    """Read a value as the field's default, else its annotation, says."""
    kind = str(field.type)
    default = field.default
    try:
        if isinstance(default, bool) or kind.startswith("bool"):
            return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}[
                text.lower()
            ]
        if isinstance(default, tuple) or kind.startswith("tuple"):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if isinstance(default, u.Quantity) or "Quantity" in kind:
            return u.Quantity(text)
        if isinstance(default, int) or kind.startswith("int"):
            return int(text)
        if isinstance(default, float) or kind.startswith("float"):
            return float(text)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(message(f"a value of {name} like {default!r}", "", **{name: text})) from error
    return text
