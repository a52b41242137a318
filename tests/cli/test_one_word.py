"""An option means the same in every command; a command has all options of its input and output."""

from importlib import import_module
from keyword import iskeyword

import click
import pytest

from galcnn.cli.main import COMMANDS


def subcommands():
    for name in COMMANDS:
        module = f"{name}_" if iskeyword(name) else name.replace("-", "_")
        command = import_module(f"galcnn.cli.{module}").command
        if isinstance(command, click.Group):
            yield from ((f"{name} {inner}", one) for inner, one in command.commands.items())
        else:
            yield name, command


ALL = dict(subcommands())
OPTIONS = {
    name: {word for one in command.params if isinstance(one, click.Option) for word in one.opts}
    for name, command in ALL.items()
}
#: Options that read image files.
READING = {"--bands", "--grid", "--width", "--hdu", "--zero-point"}
#: Commands that take IMAGE..., those that read the images of a catalog, and those that run a network.
#: (`cut` reads mosaics, whose pixel values are kept; `convert` has no catalog: a file is written.)
IMAGE = {"classify", "explain", "attack", "dream", "drift", "redshift", "view"}
OF_CATALOG = IMAGE | {
    "evaluate",
    "inspect",
    "pack",
    "atlas",
    "concepts",
    "embed",
    "faithfulness",
    "label",
    "neighbours",
    "report",
    "train",
}
NETWORK = {
    *("demo", "preflight", "train", "compare", "diagnose", "profile", "landscape"),
    *("classify", "calibrate", "evaluate", "embed", "neighbours", "drift"),
    *("explain", "atlas", "attack", "dream", "concepts", "faithfulness", "export"),
}
#: Several galaxies are told from several bands of one by --one-galaxy, but drift needs galaxies.
SEVERAL = IMAGE - {"drift"}
#: Commands that read the images of galaxies as `train` does (by settings), or show what is known of them.
BY_SETTINGS = {"train", "report"}
#: Words of earlier versions.
FORBIDDEN = {
    *("--as", "--class", "--option", "--at-once", "--processes", "--readers", "--most", "--galaxies"),
    *(
        "--figure",
        "--sheet",
        "--export",
        "--onnx",
        "--budgets",
        "--into",
        "--z",
        "--noise-as-mode",
        "--layers",
    ),
    *("-o", "--siblings", "--id-column", "--ebv", "--json", "--noise", "--class-column"),
}
#: Metavars of options that mean the same wherever they are.
SAME = {
    "--catalog": {"FILE"},
    "--id": {"C"},
    "--label": {"C"},
    "--ra": {"C"},
    "--dec": {"C"},
    "--image-column": {"C[,C]", "C"},
    "--images": {"DIR"},
    "--bands": {"B,B,..."},
    "--grid": {"BAND"},
    "--render": {"NAME"},
    "--width": {"ANGLE"},
    "--hdu": {"H[,H]"},
    "--zero-point": {"B=MAG,..."},
    "--instrument": {"NAME"},
    "--survey": {"NAME"},
    "--survey-option": {"NAME=VALUE"},
    "--server": {"URL"},
    "--device": {"NAME"},
}


@pytest.mark.parametrize("name", sorted(IMAGE))
def test_a_catalog_is_accepted_wherever_images_are(name):
    assert {"--catalog", "--id", "--image-column", "--images", *READING} <= OPTIONS[name]
    assert ("--one-galaxy" in OPTIONS[name]) == (name in SEVERAL)


def test_every_command_that_takes_images_is_known():
    taking = {
        name
        for name, command in ALL.items()
        for one in command.params
        if isinstance(one, click.Argument) and one.nargs == -1
    }
    assert taking - {"convert", "cut", "profile", "report"} == IMAGE


@pytest.mark.parametrize("name", sorted(OF_CATALOG))
def test_images_of_a_catalog_are_found_and_read_by_the_same_options(name):
    assert {"--catalog", "--image-column", "--images", "--id"} <= OPTIONS[name]
    assert OPTIONS[name] >= READING or name in BY_SETTINGS


@pytest.mark.parametrize("name", sorted(ALL))
def test_files_are_read_with_hdu_and_zero_point(name):
    assert ("--hdu" in OPTIONS[name]) == ("--zero-point" in OPTIONS[name]) or name == "cut"
    assert ("--bands" in OPTIONS[name]) >= ("--hdu" in OPTIONS[name])


@pytest.mark.parametrize("name", sorted(ALL))
def test_an_option_means_one_thing(name):
    assert not OPTIONS[name] & FORBIDDEN
    for one in ALL[name].params:
        words = {*one.opts}
        if isinstance(one, click.Option):
            assert ("-n" in words) == ("--number" in words)
            assert ("-j" in words) == ("--jobs" in words)
            assert not {word for word in words if len(word) == 2} - {"-n", "-j"}
        for word in words & SAME.keys():
            assert one.metavar in SAME[word], word


@pytest.mark.parametrize("name", sorted(ALL))
def test_a_network_runs_on_a_device_and_output_is_overwritten_when_asked(name):
    assert ("--device" in OPTIONS[name]) == (name in NETWORK)
    if {"--out", "--save"} & OPTIONS[name]:
        assert "--overwrite" in OPTIONS[name]


@pytest.mark.parametrize("name", sorted(ALL))
def test_the_help_has_plain_values_and_every_option_a_sentence(name):
    command = ALL[name]
    shown = command.get_help(click.Context(command, info_name=name))
    assert not {"INTEGER", "RANGE]", "FLOAT", "TEXT"} & {*shown.split()}
    assert "x>" not in shown
    assert "<x" not in shown
    listed = [line.split()[0].rstrip(",") for line in shown.splitlines() if line.startswith("  -")]
    assert {*listed} - {"-h", "--help"} == {
        one.opts[0] for one in command.params if isinstance(one, click.Option)
    }
    arguments = {one.name.upper() for one in command.params if isinstance(one, click.Argument)}
    assert not arguments & {line.strip() for line in shown.splitlines()}
    for one in command.params:
        if isinstance(one, click.Option) and not hasattr(one, "key"):
            text = (one.help or "").split("  [default")[0]
            assert text[:1].isupper(), one.opts
            assert text.endswith("."), one.opts
