"""What docs, examples and docstrings name is there: modules and their names, commands, files and pages."""

import importlib
import re
from pathlib import Path

import pytest

import galcnn
from galcnn.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
#: `galcnn.room.name`; not a part of a path or of an address.
DOTTED = re.compile(r"(?<![\w./\"'-])galcnn(?:\.[A-Za-z_]\w*)+(?![\w/-])")
IMPORT = re.compile(r"^ *(?:>>> )?from (galcnn(?:\.\w+)*) import (?:\(([^)]*)\)|([^#\n]*))", re.MULTILINE)
PATH = re.compile(r"(?<![\w./<-])(?:galcnn|tests|examples|docs|catalogs)/[\w./-]*\w(?![\w*<{])")
COMMAND = re.compile(r"(?:^|`)galcnn ([a-z][a-z-]*)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
#: Entry-point groups are no modules.
GROUPS = {"galcnn.surveys", "galcnn.explainers"}
PATTERNS = ["README.md", "docs/*.md", "examples/**/*.md", "examples/**/*.py", "examples/**/*.toml"]
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in [*PATTERNS, "galcnn/**/*.py"]
    for path in ROOT.glob(pattern)
)


def resolves(name):
    """Whether a dotted name is a module, or something that a module or a class holds."""
    parts, thing = name.split("."), None
    for end, part in enumerate(parts, 1):
        try:
            thing = getattr(thing, part) if hasattr(thing, part) else import_of(parts[:end])
        except ModuleNotFoundError as error:
            return not (error.name or "").startswith("galcnn")  # an extra that is not installed
    return True


def import_of(parts):
    return importlib.import_module(".".join(parts))


def named(text):
    """Dotted names in a text, those of its imports too."""
    yield from DOTTED.findall(text)
    for module, in_brackets, in_line in IMPORT.findall(text):
        for name in re.sub(r"#.*| as \w+", "", in_brackets or in_line).split(","):
            if name.strip():
                yield f"{module}.{name.strip()}"


def stale(text, folder):
    """Names, paths, and in Markdown commands and links, that lead nowhere."""
    found = {name for name in named(text) if name not in GROUPS and not resolves(name)}
    found |= {path for path in PATH.findall(text) if not (ROOT / path).exists()}
    found |= {f"galcnn {name}" for name in COMMAND.findall(text) if name not in COMMANDS}
    return found | {link for link in LINK.findall(text) if not (folder / link).exists()}


@pytest.mark.parametrize("path", FILES)
def test_what_is_named_is_there(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    if path.endswith(".py"):  # code has calls and tuples that look like links
        text = LINK.sub("", text)
    assert stale(text, (ROOT / path).parent) == set()


def test_what_is_not_there_is_found():
    text = (
        "`galcnn.doubt`, `galcnn.cutout.Cutout.crop`, tests/health/test_a.py, [a](b.md)\n"
        "galcnn run x\nfrom galcnn.model import (\n    Card,\n    Nothing as N,  # a\n)\n"
    )
    assert stale(text, ROOT) == {
        "galcnn.doubt",
        "galcnn.cutout.Cutout.crop",
        "tests/health/test_a.py",
        "b.md",
        "galcnn run",
        "galcnn.model.Nothing",
    }


def test_the_readme_shows_the_map_of_the_house():
    lines = galcnn.__doc__.splitlines()
    first = next(i for i, line in enumerate(lines) if "->" in line)
    last = max(i for i, line in enumerate(lines) if line.startswith("- "))
    house = "\n".join(lines[first : last + 1])
    assert house in (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"galcnn.{room}" in house for room in rooms())


def rooms():
    """All that stands in the package; what has an underscore and the command line are no part of the map."""
    return {path.stem for path in (ROOT / "galcnn").iterdir() if path.stem[0] not in "_."} - {
        "cli",
        "errors",
        "py",
    }


def test_the_citation_is_of_this_version():
    assert f"\nversion: {galcnn.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
