"""What a room's `__init__` exports has a numpydoc docstring that names its real parameters and returns."""

import dataclasses
import importlib
import inspect
import pkgutil

import pytest
from numpydoc.validate import validate

import galcnn

#: What must hold. Left out: "See Also" and "Extended summary" sections, and capital letters, since names of
#: functions and variables begin sentences here.
CHECKS = {
    "GL06",
    "GL07",
    "GL08",
    "SS01",
    "SS03",
    "SS04",
    "PR01",
    "PR02",
    "PR03",
    "PR04",
    "PR06",
    "PR07",
    "PR10",
    "RT01",
    "RT03",
    "YD01",
}
MODULES = ["galcnn", *(m.name for m in pkgutil.walk_packages(galcnn.__path__, "galcnn."))]
#: Modules that stand at the top, without a room: all their names are public.
#: Functions of `galcnn.errors` that take what was received by name.
WITH_FACTS = {"message", "wrong_type", "reading", "error_of_file"}
ALONE = {"galcnn.cutout", "galcnn.errors", "galcnn.plugins", "galcnn.testing"}
ROOMS = sorted(
    ALONE
    | {
        f"galcnn.{m.name}"
        for m in pkgutil.iter_modules(galcnn.__path__)
        if m.ispkg and m.name not in ("cli", "_runtime")
    }
)


def imported(name, attribute=None):
    """A module or a name of it, or a skip that says which extra it needs."""
    try:
        module = importlib.import_module(name)
        return module if attribute is None else getattr(module, attribute)
    except ImportError as error:
        if not name.startswith("galcnn.workflows"):
            raise
        pytest.skip(f"{name}: {error}")


def exported(room):
    module = imported(room)
    if room not in ALONE:
        return getattr(module, "__all__", [])
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == room
    ]


def members(thing):
    """Public methods and properties that a class itself defines."""
    for name, value in vars(thing).items():
        plain = inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)
        if plain and (not name.startswith("_") or name == "__call__"):
            yield name


def documented_in(thing, member):
    """The class that says what a member does: what a base says need not be repeated."""
    return next((c for c in thing.__mro__ if getattr(vars(c).get(member), "__doc__", None)), thing)


def protocol_members():
    """Names of what the exported protocols document; a class that implements one need not repeat it."""
    found = set()
    for room in ROOMS:
        if room == "galcnn.workflows":
            continue
        for name in exported(room):
            thing = getattr(importlib.import_module(room), name)
            if getattr(thing, "_is_protocol", False):
                found |= set(members(thing))
    return found


PROTOCOL_MEMBERS = protocol_members()


def said_elsewhere(owner, member):
    """Whether a base class of another library, such as Keras' callback, says what a method is for."""
    bases = [base for base in owner.__mro__ if base.__module__.partition(".")[0] != "galcnn"]
    return any(member in vars(base) for base in bases)


def faults(path, thing, owner=None):
    member = path.rsplit(".", 1)[1]
    text = (inspect.getdoc(thing) or "").strip()
    if owner is None and dataclasses.is_dataclass(thing):
        # Fields of a record stand under Attributes, once; a Parameters section would repeat them.
        whole = not dataclasses.fields(thing) or "Attributes\n----------" in text
        return [] if whole else ["no section Attributes"]
    if owner is None and getattr(thing, "_is_protocol", False):
        return [] if text else ["no docstring"]
    if owner is not None and member in PROTOCOL_MEMBERS and not getattr(owner, "_is_protocol", False):
        return []  # the protocol says what it takes and gives
    if owner is not None and said_elsewhere(owner, member):
        return []
    if owner is not None and getattr(owner, "_is_protocol", False) and isinstance(thing, property):
        return []  # attributes of a protocol stand in its class docstring
    if "(INPUT)" in text:
        return []  # a stage of ceci, which writes its parameters there itself
    return [text for code, text in validate(path)["errors"] if code in CHECKS]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_what_it_holds(name):
    assert (imported(name).__doc__ or "").strip(), f"{name} has no docstring"


@pytest.mark.parametrize("room", ROOMS)
def test_what_a_room_exports_is_documented(room):
    wrong = {}
    for name in exported(room):
        thing = imported(room, name)
        if not (inspect.isclass(thing) or inspect.isfunction(thing)):
            continue  # a constant: said in a comment where it stands
        path = f"{thing.__module__}.{thing.__qualname__}"
        wrong[path] = faults(path, thing)
        if inspect.isclass(thing):
            for member in members(thing):
                home = documented_in(thing, member)
                if home.__module__.startswith("galcnn."):
                    inner = f"{home.__module__}.{home.__qualname__}.{member}"
                    wrong[inner] = faults(inner, getattr(home, member), home)
    assert {path: texts for path, texts in wrong.items() if texts} == {}


@pytest.mark.parametrize("room", ROOMS)
def test_signatures_are_plain(room):
    """A boolean in the third place or later says nothing at the call: it must be named there."""
    for name in exported(room):
        thing = imported(room, name)
        functions = {name: thing} if inspect.isfunction(thing) else {}
        if inspect.isclass(thing):
            functions = {m: vars(thing)[m] for m in members(thing) if inspect.isfunction(vars(thing)[m])}
        for own, function in functions.items():
            parameters = [
                p for key, p in inspect.signature(function).parameters.items() if key not in ("self", "cls")
            ]
            if own == "call":  # of a Keras layer
                continue
            assert not any(p.kind is p.VAR_KEYWORD for p in parameters) or own in WITH_FACTS, own
            free = [p for p in parameters[2:] if p.kind is p.POSITIONAL_OR_KEYWORD]
            assert not any(isinstance(p.default, bool) for p in free), own
