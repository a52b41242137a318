"""Settings given as text, ``section.key=value``, and the list of all settings with their defaults.

The dataclasses are the only definition: a value is parsed by the type of its field, and the one-line help is
the first sentence of the field's description.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import inspect
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from galcnn.errors import Message, message
from galcnn.experiment.settings import NAMED, SHORT, Experiment, frozen, read_settings, type_fits, type_words

_BOOLS = {"true": True, "false": False}


@dataclass(frozen=True)
class Setting:
    """One setting: its key, such as ``training.epochs``, type, default (as text) and one-line help."""

    key: str
    type: str
    default: str
    help: str


@dataclass(frozen=True)
class Assignment:
    """A setting given on the command line.

    Attributes
    ----------
    option : str
        Option as typed, such as ``--set`` or ``--epochs``.
    key : str
        Key, such as ``training.epochs``.
    texts : tuple of str
        Values; more than one if the option was repeated.
    """

    option: str
    key: str
    texts: tuple[str, ...]

    @classmethod
    def parse(cls, text: str, option: str = "--set") -> Assignment:
        """Parse ``section.key=value``."""
        key, found, value = text.partition("=")
        if not found or not key.strip():
            raise ValueError(
                message(
                    "a setting and its value, such as training.epochs=20",
                    "See galcnn train --list-settings.",
                    **{option: text},
                )
            )
        return cls(option, key.strip(), (value.strip(),))

    def __str__(self) -> str:
        text = ", ".join(self.texts)
        return f"{self.option} {self.key}={text}" if self.option == "--set" else f"{self.option} {text}"


@functools.cache
def list_settings(
    kind: type = Experiment, prefix: str = "", *, optional: bool = False
) -> tuple[Setting, ...]:
    """Return all settings of a dataclass, those of nested dataclasses included; `optional` for a section."""
    found: list[Setting] = []
    hints, texts = get_type_hints(kind), _descriptions(kind)
    for field in fields(kind):
        key, hint = f"{prefix}{field.name}", hints[field.name]
        record = _record(hint)
        short = SHORT.get(field.name) if record is not None else None
        if record is None or short:
            kinds, default = hint, _default(field, short, optional)
            if _is_mapping(hint):
                key, kinds = f"{key}.NAME", get_args(hint)[1]
            elif record is not None and short:
                kinds = get_type_hints(record)[short]
            found.append(Setting(key, type_words(kinds), default, texts.get(field.name, "")))
        if field.name in NAMED:
            found.append(Setting(key, "text", "none", texts.get(field.name, "")))
        if record is not None:
            inner = list_settings(record, f"{key}.", optional=NoneType in _members(hint))
            found += [one for one in inner if one.key != f"{key}.{short}"]
    return tuple(found)


def setting_of(key: str, kind: type = Experiment) -> Setting:
    """Return the setting of a key."""
    return next(one for one in list_settings(kind) if one.key in (key, f"{key}.NAME"))


def with_assignments(
    content: Mapping[str, Any], assignments: Sequence[Assignment], kind: type = Experiment
) -> dict[str, Any]:
    """Return the sections of an experiment with some settings replaced; later assignments win."""
    changed = copy.deepcopy(dict(content))
    for one in assignments:
        path, hint = _field(one, kind)
        section: Any = changed
        for place, name in enumerate(path[:-1]):
            inner = section.get(name)
            if isinstance(inner, str) and name in SHORT | NAMED:
                inner = {(SHORT | NAMED)[name]: inner}
            if inner is not None and not isinstance(inner, Mapping):
                where = ".".join(path[: place + 1])
                raise ValueError(message(f"a section [{where}]", "", **{where: inner}))
            section[name] = dict(inner or {})
            section = section[name]
        section[path[-1]] = _value(one, hint)
    return changed


def content_of(path: str | os.PathLike[str] | None, assignments: Sequence[Assignment]) -> dict[str, Any]:
    """Return the sections of an experiment file, if one is given, with some settings replaced."""
    content = with_assignments(read_settings(path) if path else {}, assignments)
    data = content.get("data", {})
    if isinstance(data, Mapping) and "catalog" not in data:
        raise ValueError("Expected --catalog FILE, or an EXPERIMENT.toml that names a catalog.")
    return content


def experiment_from(path: str | os.PathLike[str] | None, assignments: Sequence[Assignment]) -> Experiment:
    """Return the experiment of a file, if one is given, with some settings replaced."""
    content = content_of(path, assignments)
    with naming_options(assignments):
        return Experiment.from_dict(content)


@contextlib.contextmanager
def naming_options(assignments: Sequence[Assignment]) -> Iterator[None]:
    """Let errors about a value that was given by an option name this option."""
    try:
        yield
    except ValueError as error:
        text = error.args[0] if error.args else None
        if not isinstance(text, Message):
            raise
        keys = {one.key.rpartition(".")[2]: f"{one.option} {one.key}" for one in assignments}
        keys = {leaf: name if name.startswith("--set ") else name.split()[0] for leaf, name in keys.items()}
        shown = ", ".join(f"{keys.get(name, name)}={value}" for name, value in text.received.items())
        worded = Message(f"Expected {text.expected}. Received: {shown}. {text.remedy}".strip())
        worded.expected, worded.remedy = text.expected, text.remedy
        worded.received = {keys.get(name, name): value for name, value in text.received.items()}
        raise type(error)(worded) from error


def _field(one: Assignment, kind: type) -> tuple[list[str], Any]:
    """Return the path to a field, and its type; of a mapping, the path to one of its keys."""
    parts, hint, path = one.key.split("."), None, []
    while parts:
        hints = get_type_hints(kind)
        if parts[0] not in hints:
            raise _unknown(one)
        path.append(name := parts.pop(0))
        hint = hints[name]
        record = _record(hint)
        if parts and record is not None:
            kind = record
        elif parts and _is_mapping(hint):
            return [*path, ".".join(parts)], get_args(hint)[1]
        elif parts:
            raise _unknown(one)
    if _record(hint) is not None and str not in _members(hint) and path[-1] not in NAMED:
        raise _unknown(one)
    return path, hint


def _unknown(one: Assignment) -> ValueError:
    keys = [setting.key for setting in list_settings()]
    leaf = one.key.rpartition(".")[2]
    near = [key for key in keys if key.rpartition(".")[2] == leaf or key.startswith(f"{one.key}.")]
    near.sort(key=lambda key: key.count("."))
    near = near or difflib.get_close_matches(one.key, keys, n=1, cutoff=0.6)
    leaves = {key.rpartition(".")[2]: key for key in reversed(keys)}
    near = near or [leaves[name] for name in difflib.get_close_matches(leaf, leaves, n=1, cutoff=0.6)]
    hint = f"Did you mean {' or '.join(map(repr, near[:3]))}?" if near else ""
    remedy = hint or "See galcnn train --list-settings."
    return ValueError(message("a known setting", remedy, **{one.option: f"{one.key}={', '.join(one.texts)}"}))


def _value(one: Assignment, hint: Any) -> Any:
    try:
        if _is_mapping(hint) and not one.texts[0].startswith("{"):
            return _pairs(one.texts, get_args(hint)[1])
        if one.key.rpartition(".")[2] in NAMED:
            return None if one.texts[0].lower() == "none" else one.texts[0]
        record, short = _record(hint), SHORT.get(one.key.rpartition(".")[2])
        if record is not None and short and not one.texts[0].startswith("{"):
            hint = get_type_hints(record)[short]
        return _parsed(",".join(one.texts), hint)
    except ValueError:
        text = ", ".join(one.texts)
        shown = f"{one.key}={text}" if one.option == "--set" else text
        wanted = type_words(hint) if not _is_mapping(hint) else f"NAME={type_words(get_args(hint)[1])}"
        raise ValueError(message(f"{wanted} for {one.key}", "", **{one.option: shown})) from None


def _pairs(texts: Sequence[str], hint: Any) -> dict[str, Any]:
    """Parse ``NEW=OLD,OLD``; the values of a repeated name are joined if they are lists."""
    pairs: dict[str, Any] = {}
    for text in texts:
        name, found, value = (part.strip() for part in text.partition("="))
        if not found or not name or not value or (name in pairs and get_origin(hint) is not tuple):
            raise ValueError(text)
        parsed = _parsed(value, hint)
        pairs[name] = pairs[name] + parsed if name in pairs else parsed
    return pairs


def _parsed(text: str, hint: Any) -> Any:
    """Parse a value by the type of its field."""
    members = _members(hint)
    if text[:1] in ("{", "["):
        with contextlib.suppress(tomllib.TOMLDecodeError):
            value = frozen(tomllib.loads(f"value = {text}")["value"])
            if type_fits(value, hint) or (isinstance(value, Mapping) and _record(hint) is not None):
                return value
    for choices in (get_args(member) for member in members if get_origin(member) is Literal):
        for choice in choices:
            if str(choice) == text:
                return choice
    if NoneType in members and text.lower() == "none":
        return None
    if bool in members and text.lower() in _BOOLS:
        return _BOOLS[text.lower()]
    for number in (int, float):
        if number in members:
            with contextlib.suppress(ValueError):
                return number(text)
    for member in members:
        if get_origin(member) is tuple and ("," in text or str not in members):
            words = [word.strip() for word in text.strip("[]").split(",") if word.strip()]
            kinds = get_args(member)
            kinds = kinds[:1] * len(words) if kinds[-1] is Ellipsis else kinds
            if len(kinds) == len(words):
                return tuple(_parsed(word, inner) for word, inner in zip(words, kinds, strict=True))
    if str in members:
        return text
    raise ValueError(text)


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _record(hint: Any) -> type | None:
    """Return the dataclass of a field that is a section, if it is one."""
    return next((one for one in _members(hint) if isinstance(one, type) and is_dataclass(one)), None)


def _is_mapping(hint: Any) -> bool:
    return (
        get_origin(hint) is not None
        and inspect.isclass(get_origin(hint))
        and issubclass(get_origin(hint), Mapping)
    )


def _descriptions(kind: type) -> dict[str, str]:
    """Return the first sentence about each field, from the docstring."""
    _, _, text = inspect.cleandoc(kind.__doc__ or "").partition("Attributes\n----------\n")
    found: dict[str, str] = {}
    for names, body in re.findall(r"^(\S[^:\n]*)(?::[^\n]*)?\n((?:[ ]+[^\n]*\n?|\n)+)", text, re.MULTILINE):
        sentence = re.split(r"(?<=\.)\s", " ".join(body.split()), maxsplit=1)[0].replace("`", "")
        for name in names.split(","):
            found[name.strip()] = sentence
    return found


def _default(field: Field[Any], short: str | None, optional: bool) -> str:
    if field.default is MISSING and field.default_factory is MISSING:
        return "none" if optional else "required"
    value = field.default if field.default_factory is MISSING else field.default_factory()
    return _as_text(getattr(value, short) if short else value)


def _as_text(value: Any) -> str:
    """Show a value as it is given to ``--set``."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(_as_text, value))
    if isinstance(value, Mapping):
        return _inline(value) if value else ""
    return str(value)


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_inline(inner)}" for key, inner in value.items()) + "}"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
