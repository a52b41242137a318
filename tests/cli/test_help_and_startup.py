"""The command line is quick, quiet, and answers in one line."""

import io
import json
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from galcnn.cli import options
from galcnn.cli.main import COMMANDS, GROUPS, cli, main


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name):
    result = CliRunner().invoke(cli, [name, "--help"])
    assert result.exit_code == 0
    assert f"galcnn {name}" in result.output.replace("Usage: cli", "Usage: galcnn")
    assert result.output.count(f"galcnn {name}") >= 2, "a usage line and an example"


def test_help_lists_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name} " in shown for name in COMMANDS)


def test_the_bare_command_shows_the_help(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert main(["--help"]) == 0
    assert capsys.readouterr().out == shown
    assert [heading for heading in GROUPS if f"\n{heading}:\n" in shown] == list(GROUPS)


@pytest.mark.parametrize("width", [80, 100])
def test_every_description_is_whole_within_its_line(width, capsys):
    cli.main(["--help"], prog_name="galcnn", standalone_mode=False, terminal_width=width)
    lines = capsys.readouterr().out.split("Start here:")[1].splitlines()
    described = [line for line in lines if line[2:].split(" ")[0] in COMMANDS]
    assert len(described) == len(COMMANDS)
    assert all(line.endswith(".") and not line.endswith("...") and len(line) <= width for line in described)
    assert set(lines) - set(described) <= {"", *(f"{heading}:" for heading in GROUPS)}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["classify", "--catlog", "x"], "No such option '--catlog'. Did you mean '--catalog'?"),
        (["--jsno", "info"], "No such option '--jsno'. Did you mean '--json'?"),
        (["catalog", "convret"], "No such command 'convret'. Did you mean 'convert'?"),
        (["evaluate", "m", "--split", "tets"], "'tets' is not one of '"),
    ],
)
def test_a_mistyped_option_or_choice_gets_the_nearest_or_all(words, said, capsys):
    assert main(words) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("trian", "Did you mean 'train'?"),
        ("clasify", "Did you mean 'classify'?"),
        ("xyz", "No such command 'xyz'."),
    ],
)
def test_a_mistyped_command_gets_the_nearest(word, said, capsys):
    assert main([word]) == 2
    assert said in capsys.readouterr().err


def imported_by(code):
    """Modules that a fresh Python has imported after running a piece of code."""
    script = f"{code}\nimport sys, json; print('\\n' + json.dumps(sorted(sys.modules)))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=120
    )
    return set(json.loads(result.stdout.splitlines()[-1]))


def test_the_face_and_the_help_import_nothing_slow():
    slow = {"tensorflow", "keras", "astropy.table", "astropy.coordinates", "matplotlib", "galsim", "scipy"}
    assert not slow & imported_by("import galcnn")
    assert not slow & imported_by("from galcnn.cli.main import main; main(['--help'])")


@pytest.mark.parametrize(
    "words",
    [
        ["info"],
        ["plugins"],
        ["simulate", "--help"],
        ["fetch", "--help"],
        ["cut", "--help"],
        ["view", "--help"],
        ["report", "--help"],
        ["view", "tests/layers/data/layers_v1.fits.gz"],
        ["info", "pyproject.toml"],
        ["report", "pyproject.toml", "--out", "nowhere"],
        ["--json", "info"],
    ],
)
def test_commands_that_run_no_network_do_not_import_keras(words):
    assert not {"tensorflow", "keras"} & imported_by(f"from galcnn.cli.main import main; main({words})")


def test_rooms_that_run_no_network_do_not_import_keras():
    rooms = (
        "cutout catalog photometry photometry.instruments transforms simulation files mosaic "
        "surveys.simulated surveys.batch surveys.hips surveys.legacy surveys.panstarrs surveys.sdss "
        "surveys.skyview surveys.mast surveys.vo surveys.folder model.card dataset.reader dataset.splits "
        "prediction evaluation explain.explanation layers viewers.plots.explanations testing report "
        "pipeline.info pipeline.classification pipeline.runs pipeline.tasks pipeline.requests "
        "pipeline.neighbours"
    )
    code = "\n".join(f"import galcnn.{room}" for room in rooms.split())
    assert not {"tensorflow", "keras"} & imported_by(code)


def test_clients_of_services_are_imported_when_they_are_asked():
    names = "hips legacy panstarrs sdss skyview mast vo folder batch"
    code = "import " + ", ".join(f"galcnn.surveys.{name}" for name in names.split())
    assert not {"astroquery", "pyvo"} & imported_by(code)


def test_tensorflow_says_nothing_on_the_terminal():
    code = (
        "from galcnn.cli.quiet import load_tensorflow; load_tensorflow(); import keras; keras.ops.ones(3) + 1"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stderr == ""
    loud = subprocess.run(
        [sys.executable, "-c", "import keras; keras.ops.ones(3) + 1"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert loud.stderr != "", "if TensorFlow has learned to be quiet, the muting can go"


def test_what_was_muted_is_shown_when_the_import_fails():
    code = (
        "import os\nfrom galcnn.cli.quiet import muted_stderr\n"
        "with muted_stderr():\n    os.write(2, b'no such device\\n')\n    raise ImportError('libcuda')"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.stderr.startswith("no such device\n")
    assert "ImportError: libcuda" in result.stderr


def test_another_backend_is_refused_with_a_remedy():
    code = (
        "import os; os.environ['KERAS_BACKEND'] = 'numpy'\n"
        "from galcnn.cli.quiet import load_tensorflow; load_tensorflow()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "backend='numpy'" in result.stderr
    assert "Unset KERAS_BACKEND" in result.stderr


@pytest.mark.parametrize(
    "words",
    [["nonsense"], ["train"], ["classify", "m"], ["explain", "m"], ["simulate"], ["train", "--epochs", "x"]],
)
def test_wrong_usage_exits_with_2(words, capsys):
    assert main(words) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_plugins_lists_and_checks_ours(capsys):
    assert main(["plugins", "--check"]) == 0
    shown = capsys.readouterr().out
    for name in ("hips", "legacysurvey", "panstarrs", "simulated", "saliency", "cam"):
        assert f"  {name} " in shown
    assert shown.count("  ok") >= 3
    assert "BROKEN" not in shown


def many_options():
    @click.command(name="attack", cls=options.Command)
    @options.section("Attack", click.option("--method", help="A."), options.split)
    @click.option("--out", help="B.")
    @click.option("--catalog", help="C.")
    @click.option("--special", help="D.")
    @options.fit
    @options.grid
    @options.overwrite
    @options.seed
    @options.quiet
    def command(**given): ...

    return command


def test_the_help_of_many_options_has_sections():
    shown = CliRunner().invoke(many_options(), ["--help"]).output
    headings = [line for line in shown.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert headings == ["Options:", "Catalog:", "Input:", "Attack:", "Output:", "Running:"]
    sections = dict(zip(headings, re.split(r"^[A-Z][a-z]+:$", shown, flags=re.MULTILINE)[1:], strict=True))
    assert "--special" in sections["Options:"]
    assert "--method" in sections["Attack:"]
    assert "--split" in sections["Attack:"], "a section of the command comes before that of all commands"
    assert "--catalog" in sections["Catalog:"]
    assert "--grid" in sections["Input:"]
    assert "--overwrite" in sections["Output:"]
    assert "--help" in sections["Running:"]


def test_the_help_of_few_options_has_none():
    command = many_options()
    command.params = command.params[:7]
    shown = CliRunner().invoke(command, ["--help"]).output
    assert "Options:" in shown
    assert "Attack:" not in shown


class _Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("answer", "yes", "code"),
    [("y\n", False, None), ("\n", False, None), ("n\n", False, 130), ("", True, None)],
)
def test_large_work_is_asked_about_on_a_terminal(answer, yes, code, monkeypatch):
    said = _Terminal()
    monkeypatch.setattr(sys, "stdin", _Terminal(answer))
    monkeypatch.setattr(sys, "stderr", said)
    if code is None:
        options.ask_before("10,000 cutouts are downloaded.", yes=yes)
    else:
        with pytest.raises(click.exceptions.Exit) as stopped:
            options.ask_before("10,000 cutouts are downloaded.", yes=yes)
        assert stopped.value.exit_code == code
        assert "Nothing was started." in said.getvalue()
    assert said.getvalue().startswith("10,000 cutouts are downloaded.\n")
    assert ("Start?" in said.getvalue()) == (not yes)


def test_large_work_starts_at_once_off_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    options.ask_before("10,000 cutouts are downloaded.", yes=False)
    assert capsys.readouterr().err == "10,000 cutouts are downloaded.\n"
