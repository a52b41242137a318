"""Everything public has a numpydoc docstring whose parameters and returns are the real ones."""

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
}
CHECKS |= {"RT01", "RT03", "YD01"}

# Commands are documented by click for users; their functions take what click gives.
MODULES = [
    m.name for m in pkgutil.walk_packages(galcnn.__path__, "galcnn.") if not m.name.startswith("galcnn.cli.")
]


def imported(module_name):
    """The module, or a skip that says which extra it needs."""
    try:
        return importlib.import_module(module_name)
    except ImportError as error:
        if not module_name.startswith("galcnn.engines."):
            raise
        pytest.skip(f"{module_name}: {error}")


def public_names(module_name):
    module = imported(module_name)
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if getattr(thing, "__module__", None) != module_name:
            continue
        yield name
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                plain = inspect.isfunction(value) or isinstance(value, property | classmethod | staticmethod)
                if plain and (not member.startswith("_") or member == "__call__"):
                    yield f"{name}.{member}"


def faults(module_name, name):
    thing = getattr(importlib.import_module(module_name), name.split(".")[0])
    if "." not in name and dataclasses.is_dataclass(thing):
        # Fields of a record stand under Attributes, once; a Parameters section would repeat them.
        return (
            []
            if "Attributes\n    ----------" in thing.__doc__ or not dataclasses.fields(thing)
            else ["Attributes"]
        )
    if "." not in name and getattr(thing, "_is_protocol", False):
        return [] if thing.__doc__ else ["docstring"]
    if "(INPUT)" in (thing.__doc__ or ""):
        return []  # a stage of ceci, which writes its parameters there itself
    found = validate(f"{module_name}.{name}")["errors"]
    if (
        "." in name
        and getattr(thing, "_is_protocol", False)
        and isinstance(vars(thing)[name.split(".")[1]], property)
    ):
        return []  # attributes of a protocol stand in its class docstring
    return [text for code, text in found if code in CHECKS]


@pytest.mark.parametrize("module_name", ["galcnn", *MODULES])
def test_public_docstrings_are_whole(module_name):
    assert imported(module_name).__doc__, f"{module_name} has no docstring"
    wrong = {name: faults(module_name, name) for name in public_names(module_name)}
    assert {name: texts for name, texts in wrong.items() if texts} == {}


@pytest.mark.parametrize("module_name", MODULES)
def test_public_signatures_are_short_and_plain(module_name):
    module = imported(module_name)
    for name in public_names(module_name):
        thing = module
        for part in name.split("."):
            thing = inspect.getattr_static(thing, part)
        if not inspect.isfunction(thing) or name.endswith(("__init__", ".call")):
            continue
        parameters = [
            p for key, p in inspect.signature(thing).parameters.items() if key not in ("self", "cls")
        ]
        assert not any(p.kind is p.VAR_KEYWORD for p in parameters) or name == "message", name
        # A boolean in the third place or later says nothing at the call: it must be named there.
        free = [p for p in parameters[2:] if p.kind is p.POSITIONAL_OR_KEYWORD]
        assert not any(isinstance(p.default, bool) for p in free), name
