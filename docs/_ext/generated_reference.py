"""Pages of the reference that are written from the package itself: its API, commands, settings and schemas.

They are made anew by each build, below ``reference/generated``, and are not part of the repository.
"""

import importlib
import inspect
import json
import re
from pathlib import Path

import click

import galcnn
from galcnn import plugins
from galcnn._runtime import answers
from galcnn.cli.main import GROUPS, cli
from galcnn.cli.options import Command

FOLDER = Path("reference", "generated")
#: Modules of a single file: all their names are public.
ALONE = ("cutout", "plugins", "errors", "testing")

API = """
The rooms of the package, in the order in which data travel. What a room exports is public and shown here;
everything else may change. Names are imported when they are first used.

The names of everyday use can also be imported from ``galcnn`` itself, as ``from galcnn import classify``:
"""
COMMAND_LINE = """
``galcnn COMMAND --help`` shows the same in a terminal. Options of ``galcnn`` itself stand before the name
of the command.
"""
SETTINGS = """
Every key of an experiment file, from the records of the package: the list of ``galcnn train
--list-settings``. A key ``training.epochs`` is ``epochs`` in the section ``[training]`` of a file, and
``--set training.epochs=20`` on the command line. ``NAME`` stands for a name of your own, such as a class.
:doc:`Training </training>` says how they are used.
"""
SHIFT = """
Keys of a file for :doc:`galcnn shift <cli/shift>`, such as ``examples/shift_lsst.toml``; those of
``[network]`` and ``[training]`` are as above, with defaults of their own.
"""
SCHEMAS = """
``galcnn info --schema NAME`` prints them. :doc:`Use from other languages </requests>` has examples.
"""


def rooms():
    """The rooms in the order of the map of the house, which is the docstring of the package."""
    named = re.findall(r"`galcnn\.(\w+)`", galcnn.__doc__)
    return [*dict.fromkeys(named), "errors"]


def public(module, room):
    """Names that a room exports, in its order."""
    if room not in ALONE:
        return list(module.__all__)
    return [
        name
        for name, thing in vars(module).items()
        if not name.startswith("_") and getattr(thing, "__module__", None) == module.__name__
    ]


def heading(text, line="="):
    """A title with its line."""
    return f"{text}\n{line * len(text)}\n"


def entry(module, name):
    """Directive for one name, or a sentence if its extra is not installed; the kind decides its table."""
    try:
        thing = getattr(module, name)
    except ImportError as error:
        return (
            "other",
            f"``{name}``: not shown, since {error.name} was not installed when this page was made.\n",
        )
    home = getattr(thing, "__module__", "").rpartition(".")[0]
    if home.startswith("galcnn.") and not home.startswith(module.__name__) and hasattr(module, "__path__"):
        other = ".".join(home.split(".")[:2])
        if name in getattr(importlib.import_module(other), "__all__", ()):
            return "other", f"`{name} <{other}.{name}>`: the same as in `{other}`.\n"
    if inspect.isclass(thing):
        special = "   :special-members: __call__\n" if "__call__" in vars(thing) else ""
        signature = "()" if getattr(thing, "_is_protocol", False) else ""
        return "class", f".. autoclass:: {name}{signature}\n   :members:\n{special}"
    if callable(thing):
        return "function", f".. autofunction:: {name}\n"
    return "constant", f".. autodata:: {name}\n   :no-value:\n"


def room_page(room):
    """The page of a room: what it is for, tables of its names, and each of them."""
    module = importlib.import_module(f"galcnn.{room}")
    kinds = {}
    for name in public(module, room):
        kind, text = entry(module, name)
        kinds.setdefault(kind, []).append((name, text))
    words = {"class": "Classes", "function": "Functions", "constant": "Constants", "other": "Others"}
    parts = [heading(module.__name__), inspect.getdoc(module), f".. currentmodule:: {module.__name__}\n"]
    for kind, title in words.items():
        found = kinds.get(kind, [])
        if not found:
            continue
        parts.append(heading(title, "-"))
        if kind in ("class", "function"):
            parts.append(".. autosummary::\n   :nosignatures:\n\n" + listed(name for name, _ in found))
        parts += [text for _, text in found]
    return "\n\n".join(parts)


def api_pages():
    """Path -> text of the API: one page a room, and the names of the face."""
    names = rooms()
    parts = [
        heading("Python API"),
        API,
        ".. autosummary::\n   :nosignatures:\n\n" + listed(home_of(name) for name in galcnn.__all__),
        toctree(names, "maxdepth: 1"),
    ]
    yield "api/index", "\n\n".join(parts)
    for room in names:
        yield f"api/{room}", room_page(room)


def home_of(name):
    """Dotted name, in its room, of a name of the face."""
    parts = getattr(galcnn, name).__module__.split(".")
    return f"galcnn.{parts[1]}.{name}"


def paragraphs(text):
    """The help of a command in reStructuredText; a paragraph that begins with \\b holds commands."""
    for part in inspect.cleandoc(text).split("\n\n"):
        if part.startswith("\b"):
            lines = part.splitlines()[1:]
            yield ".. code-block:: bash\n\n" + "".join(f"   {line}\n" for line in lines)
        else:
            yield escaped(part.replace("\f", ""))


def escaped(text):
    """Text in which no character has a meaning for reStructuredText; options and file names as code."""
    text = re.sub(r"([\\*`_|])", r"\\\1", text)
    return re.sub(r"(?<![\w-])(--[a-z][\w-]*)", r"``\1``", text)


def table(rows, head=(), widths="auto", style="facts"):
    """A table of cells in reStructuredText."""
    lines = [".. list-table::", f"   :widths: {widths}", f"   :class: {style}"]
    lines += ["   :header-rows: 1", ""] if head else [""]
    for row in [head, *rows] if head else rows:
        lines += [f"   {'*' if place == 0 else ' '} - {cell or ' '}" for place, cell in enumerate(row)]
    return "\n".join(lines) + "\n"


def options_table(rows):
    """A table of options and their descriptions."""
    return table([(f"``{option}``", escaped(text)) for option, text in rows], widths="35 65")


def toctree(names, *settings):
    """A table of contents."""
    return ".. toctree::\n" + "".join(f"   :{one}\n" for one in settings) + "\n" + listed(names)


def listed(names):
    """Names, one a line, in a directive."""
    return "".join(f"   {name}\n" for name in names)


def command_parts(command, context, level="-"):
    """Usage, help and options of a command; those of its own commands after it."""
    yield ".. code-block:: text\n\n   " + command.get_usage(context).removeprefix("Usage: ") + "\n"
    yield from paragraphs(command.help)
    rows = command.sections(context) if isinstance(command, Command) else {}
    for title, found in rows.items():
        yield heading(title, level)
        yield options_table(found)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            yield heading(f"{context.command_path} {name}", level)
            yield from command_parts(
                inner, click.Context(inner, info_name=name, parent=context, max_content_width=100), "~"
            )


def command_pages():
    """Path -> text of the commands: one page each."""
    top = click.Context(cli, info_name="galcnn", max_content_width=100)
    text = [
        heading("Command line"),
        COMMAND_LINE,
        options_table([found for one in cli.get_params(top) if (found := one.get_help_record(top))]),
        heading("Exit codes", "-"),
        options_table([(str(code), meaning) for code, meaning in answers.EXIT_CODES.items()]),
    ]
    for group, names in GROUPS.items():
        rows = []
        for name in names:
            command = cli.get_command(top, name)
            context = click.Context(command, info_name=name, parent=top, max_content_width=100)
            yield f"cli/{name}", "\n\n".join([heading(f"galcnn {name}"), *command_parts(command, context)])
            rows.append((f":doc:`galcnn {name} <{name}>`", escaped(command.get_short_help_str(200))))
        text += [heading(group, "-"), table(rows, widths="30 70")]
    text.append(toctree([name for names in GROUPS.values() for name in names], "hidden:"))
    yield "cli/index", "\n\n".join(text)


def settings_page():
    """Path -> text of the settings of experiment files and of shift tests, from the records."""
    from galcnn.covariate_shift.settings import ShiftSettings
    from galcnn.experiment.assignments import list_settings

    own = [one for one in list_settings(ShiftSettings) if not one.key.startswith(("network.", "training."))]
    parts = [
        heading("Settings"),
        SETTINGS,
        heading("Experiment files", "-"),
        *sections_of(list_settings()),
        heading("Covariate-shift tests", "-"),
        SHIFT,
        *sections_of(own),
    ]
    yield "settings", "\n\n".join(parts)


def sections_of(settings):
    """A table for each section; keys without one come last."""
    groups = {}
    for one in settings:
        head = one.key.rpartition(".")[0]
        default = f"``{one.default}``" if one.default.strip() else ""
        row = (f"``{one.key}``", escaped(one.type), default, escaped(one.help))
        groups.setdefault(head, []).append(row)
    for head, rows in sorted(groups.items(), key=lambda pair: pair[0] == ""):
        yield f"**{f'[{head}]' if head else 'Without a section'}**"
        yield table(rows, ("key", "type", "default", "meaning"), "30 20 15 35")


def schema_page():
    """Path -> text of the JSON schemas: a table of the keys, and the schema."""
    parts = [heading("JSON schemas"), SCHEMAS]
    for name in answers.SCHEMAS:
        schema = answers.schema(name)
        rows = []
        for key, value in schema["properties"].items():
            meaning = value.get("description") or json.dumps(value.get("type", value.get("const", "")))
            rows.append((f"``{key}``", "yes" if key in schema["required"] else "no", escaped(meaning)))
        lines = json.dumps(schema, indent=2).splitlines()
        parts += [
            heading(name, "-"),
            escaped(schema["title"]) + ".",
            table(rows, ("key", "required", "meaning"), "25 15 60"),
            ".. dropdown:: The schema\n\n   .. code-block:: json\n",
            "".join(f"      {line}\n" for line in lines),
        ]
    yield "schemas", "\n\n".join(parts)


def plugins_page():
    """Path -> text of the surveys and attribution methods that are part of galcnn."""
    parts = []
    for group, title in ((plugins.SURVEYS, "Surveys"), (plugins.EXPLAINERS, "Attribution methods")):
        rows = [
            (f"``{one.name}``", f"``{one.target.replace(':', '.')}``")
            for one in plugins.available(group).values()
            if one.package == "galcnn"
        ]
        parts += [f"**{title}** (``{group}``)", table(rows, ("name", "class"))]
    yield "plugins.inc", "\n\n".join(parts)


def all_pages():
    """Path -> text of every page."""
    for make in (api_pages, command_pages, settings_page, schema_page, plugins_page):
        yield from make()


def write(app):
    """Write the pages that have changed, and remove those of names that are gone."""
    folder = Path(app.srcdir) / FOLDER
    kept = set()
    for name, text in all_pages():
        path = folder / (name if name.endswith(".inc") else f"{name}.rst")
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        kept.add(path)
    for path in folder.rglob("*.*"):
        if path not in kept:
            path.unlink()


def setup(app):
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
