"""What docs, examples and docstrings name is there: modules and their names, commands, files and pages."""

import importlib
import importlib.util
import re
import shlex
from pathlib import Path

import click
import pytest

import galcnn
from galcnn.cli.main import COMMANDS, cli
from galcnn.experiment.assignments import Assignment, list_settings, with_assignments

ROOT = Path(__file__).resolve().parents[1]
#: `galcnn.room.name`; not a part of a path or of an address.
DOTTED = re.compile(r"(?<![\w./\"'-])galcnn(?:\.[A-Za-z_]\w*)+(?![\w/-])")
IMPORT = re.compile(r"^ *(?:>>> )?from (galcnn(?:\.\w+)*) import (?:\(([^)]*)\)|([^#\n]*))", re.MULTILINE)
PATH = re.compile(r"(?<![\w./<-])(?:galcnn|tests|examples|docs|catalogs)/[\w./-]*\w(?![\w*<{])")
COMMAND = re.compile(r"(?:^|`)galcnn ([a-z][a-z-]*)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
#: A block of commands in Markdown; one with another language is none.
BLOCK = re.compile(r"^```(?:bash|sh)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: A command of galcnn in a line of such a block.
CALL = re.compile(r"(?:^|[;|&] *|\bdo +)galcnn (.*)")
#: Entry-point groups are no modules.
GROUPS = {"galcnn.surveys", "galcnn.explainers"}
PATTERNS = ["README.md", "docs/**/*.md", "examples/**/*.md", "examples/**/*.py", "examples/**/*.toml"]
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


def calls(text):
    """The words of each command of galcnn in the blocks of a page, up to a pipe or a redirection."""
    for block in BLOCK.findall(text):
        for line in block.replace("\\\n", "").splitlines():
            if found := CALL.search(line):
                lexer = shlex.shlex(found[1], posix=True, punctuation_chars="|&;<>")
                lexer.whitespace_split = True
                words = list(lexer)
                ends = [i for i, word in enumerate(words) if set(word) <= set("|&;<>")]
                yield words[: ends[0]] if ends else words


def parse(words, command=cli, context=None):
    """Parse a command as click does, without running it; an error says what is wrong."""
    context = context or click.Context(cli, info_name="galcnn")
    given, rest, order = command.make_parser(context).parse_args(list(words))
    for parameter in order:
        if isinstance(parameter.type, click.Choice) and parameter.name in given:
            parameter.type_cast_value(context, given[parameter.name])
    with_assignments({}, [Assignment.parse(one) for one in given.get("set") or ()])
    if isinstance(command, click.Group):
        inner = command.get_command(context, rest[0]) if rest else None
        if inner is not None:
            parse(rest[1:], inner, click.Context(inner, info_name=rest[0], parent=context))
        return
    assert not rest, f"more words than the command takes: {rest}"


CALLS = sorted(
    {
        (path.relative_to(ROOT).as_posix(), shlex.join(words))
        for pattern in ["README.md", "docs/**/*.md", "examples/**/*.md"]
        for path in ROOT.glob(pattern)
        for words in calls(path.read_text(encoding="utf-8"))
    }
)


@pytest.mark.parametrize("path", sorted({path for path, _ in CALLS}))
def test_commands_of_the_docs_have_the_options_they_name(path):
    wrong = {}
    for words in [words for other, words in CALLS if other == path]:
        try:
            parse(shlex.split(words))
        except (click.ClickException, ValueError, AssertionError) as error:
            wrong[words] = str(error)
    assert wrong == {}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train --catlog x", "--catlog"),
        ("train --set training.epoch=3", "training.epochs"),
        ("catalog split x.csv --by object y.csv", "more words"),
        ("evaluate m --split tets", "tets"),
    ],
)
def test_wrong_options_are_found(words, said):
    with pytest.raises((click.ClickException, ValueError, AssertionError), match=said):
        parse(words.split())


def test_commands_are_found_in_blocks():
    lines = "# galcnn a\nfor i in 1; do galcnn train \\\n --seed $i; done\necho | galcnn info 'a b' > c\n"
    assert list(calls(f"```\n{lines}```\n")) == [["train", "--seed", "$i"], ["info", "a b"]]
    assert list(calls("```toml\ngalcnn = 1\n```\n")) == []
    assert len(CALLS) > 150


def test_every_page_stands_in_one_table_of_contents():
    """A page that no table of contents names is not found on the site; the build refuses it too."""
    listed = []
    for path in (ROOT / "docs").glob("**/*.md"):
        text = path.read_text(encoding="utf-8")
        for block in re.findall(r"^```{toctree}\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            for line in block.splitlines():
                name = re.sub(r".*<(.*)>", r"\1", line.strip())
                if name and name[0] != ":" and "generated/" not in name:
                    place = ROOT / "docs" if name[0] == "/" else path.parent
                    listed.append((place / name.lstrip("/")).resolve().relative_to(ROOT / "docs").as_posix())
    pages = {p.relative_to(ROOT / "docs").with_suffix("").as_posix() for p in (ROOT / "docs").glob("**/*.md")}
    assert sorted(listed) == sorted(pages - {"index"})


@pytest.fixture(scope="module")
def reference():
    """Pages of the reference, as the site writes them: path -> text."""
    path = ROOT / "docs" / "_ext" / "generated_reference.py"
    spec = importlib.util.spec_from_file_location("generated_reference", path)
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    makers = (
        pages.api_pages,
        pages.command_pages,
        pages.settings_page,
        pages.schema_page,
        pages.plugins_page,
    )
    return dict(page for make in makers for page in make())


def test_the_reference_holds_every_public_name(reference):
    for room in rooms() - {"plugins", "cutout", "testing"}:
        directives = set(re.findall(r"^\.\. auto\w+:: (\w+)", reference[f"api/{room}"], re.MULTILINE))
        others = set(re.findall(r"^`{1,2}(\w+)", reference[f"api/{room}"], re.MULTILINE))
        assert set(importlib.import_module(f"galcnn.{room}").__all__) <= directives | others, room
    assert ".. autoclass:: Cutout\n" in reference["api/cutout"]
    assert "autofunction:: check_survey" in reference["api/testing"]


def test_the_reference_holds_every_command_and_setting(reference):
    context = click.Context(cli, info_name="galcnn")
    for name in COMMANDS:
        text = reference[f"cli/{name}"]
        for option in cli.get_command(context, name).get_params(context):
            if isinstance(option, click.Option) and not option.hidden:
                assert max(option.opts, key=len) in text, (name, option.opts)
    for one in list_settings():
        assert f"``{one.key}``" in reference["settings"]
    for key in ("exit_code", "path", "probabilities"):
        assert f"``{key}``" in reference["schemas"]
    assert "``legacysurvey``" in reference["plugins.inc"]
