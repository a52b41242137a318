"""Whatever a command writes, it replaces nothing of the user's unless told to."""

import os

import click
import numpy as np
import pytest
from astropy.table import QTable

from galcnn._runtime.atomic import MARK
from galcnn.cli.main import cli, main

#: Words of each command that writes, with {out} for the place. They name inputs that are not there: what
#: stands in the way is told before anything is read.
FILES = {
    ("", "--manifest"): "--manifest {out} info",
    ("catalog convert", "--out"): "catalog convert none.csv --out {out}",
    ("catalog match", "--out"): "catalog match none.csv other.csv --radius 1arcsec --out {out}",
    ("catalog split", "--out"): "catalog split none.csv --out {out}",
    ("preflight", "--out"): "preflight none.toml --out {out}",
    ("classify", "--out"): "classify none none.fits --out {out}",
    ("drift", "--out"): "drift none none.fits --reference other.fits --out {out}",
    ("explain", "--save"): "explain none none.fits --out new.fits --save {out}",
    ("export", "--out"): "export none --out {out}",
    ("attack", "--save"): "attack none none.fits --out new --save {out}",
    ("convert", "--out"): "convert none.fits --out {out}",
    ("profile", "--out"): "profile --out {out}",
    ("neighbours", "--save"): "neighbours none --galaxy a --catalog none.csv --save {out}",
    ("neighbours", "--out"): "neighbours none --galaxy a --out {out}",
    ("label-next", "--out"): "label-next none --out {out}",
    ("label", "--out"): "label none --classes a,b --out {out}",
    ("embed", "--out"): "embed none --catalog none.csv --out {out}",
    ("train", "--find-learning-rate"): "train --catalog none.csv --find-learning-rate {out}",
    ("dream", "--save"): "dream none none.fits --layer x --out new --save {out}",
    ("view", "--save"): "view none.fits --save {out}",
}
FOLDERS = {
    ("atlas", "--out"): "atlas none --catalog none.csv --out {out}",
    ("classify", "--out"): "classify none none.fits --out {out}",
    ("compare", "--out"): "compare --catalog none.csv --out {out}",
    ("cut", "--out"): "cut none.fits --catalog none.csv --width 9pix --out {out}",
    ("import", "--out"): "import none.keras --classes a,b --bands r --out {out}",
    ("inspect", "--out"): "inspect --catalog none.csv --out {out}",
    ("demo", "--out"): "demo -n 60 --out {out}",
    ("dream", "--out"): "dream none none.fits --layer x --out {out}",
    ("evaluate", "--out"): "evaluate none --catalog none.csv --out {out}",
    ("explain", "--out"): "explain none none.fits --out {out}",
    ("fetch", "--out"): "fetch --catalog none.csv --survey simulated --width 9arcsec --out {out}",
    ("attack", "--out"): "attack none none.fits --out {out}",
    ("diagnose", "--out"): "diagnose none --out {out}",
    ("landscape", "--out"): "landscape none --out {out}",
    ("pack", "--out"): "pack --catalog none.csv --out {out}",
    ("redshift", "--out"): "redshift none.fits --to 0.1 --out {out}",
    ("report", "--out"): "report none --out {out}",
    ("shift", "--out"): "shift none.toml --out {out}",
    ("simulate", "--out"): "simulate -n 1 --out {out}",
    ("train", "--out"): "train --catalog none.csv --out {out}",
    ("train", "--set"): "train --catalog none.csv --out new --set data.shards={out}",
    ("train", "--snapshots"): "train --catalog none.csv --out new --snapshots {out}",
    ("faithfulness", "--out"): "faithfulness none --catalog none.csv --out {out}",
    ("view", "--out"): "view none.fits --out {out}",
}
#: What is written to, but where nothing of another can be replaced.
ADDED_TO = {
    ("fetch", "--cache"): "entries are named by the hash of what was asked",
    ("publish", "--to"): "an address on a hub, where other files end the command",
    ("train", "--tensorboard"): "TensorBoard gives each file of events a name of its own",
}
#: Words of what is no path, and options of files that are read.
NO_PATHS = {
    *(
        "A,B,...",
        "A:B",
        "ADDRESS",
        "ANGLE",
        "B,B,...",
        "B=MAG,...",
        "BAND",
        "C",
        "C,C,...",
        "C[,C]",
        "CLASS",
        "FRAME",
        "H,H,...",
    ),
    *("H[,H]", "ID", "M,M,...", "METHOD", "N", "N,N,...", "NAME", "NAME=VALUE", "NEW=OLD,OLD", "N|all"),
    *("ORDER", "RA,DEC", "RATE", "TEXT", "UNIT", "URL", "WHAT", "WIDTH", "X,X,..."),
    "none|body|all|N",
}
NO_PATHS_BY_NAME = {"--by", "--method", "--prior", "--seeds", "--shares", "--target", "--title"}
READ = {
    *(
        "--between",
        "--catalog",
        "--dust-map",
        "--ensemble",
        "--for",
        "--image",
        "--images",
        "--onto",
        "--labelled",
        "--mask",
    ),
    *(
        "--model",
        "--mosaic",
        "--psf",
        "--reference",
        "--requests",
        "--root",
        "--seed-model",
        "--shuffled-model",
    ),
    *("--sigma", "--weight"),
}
READ_BY = {
    ("", "--module"),
    ("concepts", "--concept"),
    ("label", "--from"),
    ("train", "--from"),
    ("compare", "--set"),
    ("preflight", "--set"),
    ("diagnose", "--set"),
    ("landscape", "--snapshots"),
    ("classify", "--shards"),
}


def parameters(command=cli, words=()):
    """All options that take a text, of all commands."""
    for option in command.params:
        if isinstance(option, click.Option) and isinstance(option.type, click.types.StringParamType):
            yield " ".join(words), next(name for name in option.opts if name.startswith("--")), option.metavar
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from parameters(command.get_command(context, name), (*words, name))


def test_every_option_that_names_an_output_is_tried():
    """A new option of a path is an output with a case above, or an input that is named there."""
    known = FILES.keys() | FOLDERS.keys() | ADDED_TO.keys() | READ_BY
    left = [
        (command, name)
        for command, name, metavar in parameters()
        if metavar not in NO_PATHS and name not in READ | NO_PATHS_BY_NAME and (command, name) not in known
    ]
    assert left == []
    there = {(command, name) for command, name, _ in parameters()}
    assert known - there == set(), "cases of options that are gone"


def test_every_command_that_writes_may_be_told_to_overwrite():
    commands = {command for command, _ in FILES.keys() | FOLDERS.keys()}
    for words in commands:
        command = cli
        for name in words.split():
            command = command.get_command(click.Context(command), name)
        assert "--overwrite" in {opt for option in command.params for opt in option.opts}, words


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


SUFFIX = {"--json": ".json", "--manifest": ".json", "--figure": ".png", "--save": ".png"}


@pytest.mark.parametrize(("command", "name"), FILES)
def test_a_file_that_stands_there_is_not_replaced(command, name, folder, capsys):
    suffix = SUFFIX.get(name, ".fits" if command == "convert" else ".csv")
    mine = folder / f"mine{suffix}"
    mine.write_bytes(b"years of work\n\0")
    assert main(FILES[command, name].format(out=mine.name).split()) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert mine.read_bytes() == b"years of work\n\0"
    assert [path.name for path in folder.iterdir()] == [mine.name]


@pytest.mark.parametrize(("command", "name"), FOLDERS)
def test_a_folder_of_something_else_is_left_alone(command, name, folder, capsys):
    mine = folder / "mine"
    mine.mkdir()
    (mine / "catalog.ecsv").write_bytes(b"years of work\n\0")
    assert main(FOLDERS[command, name].format(out="mine").split()) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in mine.iterdir()] == ["catalog.ecsv"]
    assert (mine / "catalog.ecsv").read_bytes() == b"years of work\n\0"


def table(path, **columns):
    QTable({"id": ["a", "b"], **columns}).write(path)
    return path.read_bytes()


def test_said_so_a_file_is_replaced(folder):
    table(folder / "a.csv", x=[1, 2])
    old = table(folder / "b.csv", x=[3, 4])
    words = ["catalog", "convert", "a.csv", "--out", "b.csv"]
    assert main(words) != 0
    assert (folder / "b.csv").read_bytes() == old
    assert main([*words, "--overwrite"]) == 0
    assert QTable.read(folder / "b.csv")["x"].tolist() == [1, 2]


@pytest.mark.parametrize("out", ["a.csv", "./a.csv", "sub/../a.csv", "link.csv", "hard.csv"])
def test_an_input_is_never_replaced(out, folder, capsys):
    old = table(folder / "a.csv", x=[1, 2])
    (folder / "sub").mkdir()
    (folder / "link.csv").symlink_to(folder / "a.csv")
    os.link(folder / "a.csv", folder / "hard.csv")
    for more in ([], ["--overwrite"]):
        assert main(["catalog", "convert", "a.csv", "--out", out, *more]) != 0
        assert "another place than that of the input" in capsys.readouterr().err
    assert (folder / "a.csv").read_bytes() == old


def test_a_folder_of_its_own_goes_on_and_one_begun_anew_keeps_what_is_not_its_own(folder, capsys):
    words = ["simulate", "-n", "1", "--size", "16", "--classes", "elliptical", "--quiet", "--out"]
    assert main([*words, "sky"]) == 0
    (image,) = (folder / "sky" / "cutouts").glob("*.fits")
    first = image.read_bytes()
    (folder / "sky" / "notes.txt").write_text("mine")
    assert main([*words, "sky"]) == 0, "the same again"
    assert main([*words, "sky", "--seed", "5"]) != 0
    assert "--overwrite" in capsys.readouterr().err
    assert image.read_bytes() == first
    assert main([*words, "sky", "--seed", "5", "--overwrite"]) == 0
    assert [path.read_bytes() == first for path in (folder / "sky" / "cutouts").glob("*.fits")] == [False]
    assert (folder / "sky" / "notes.txt").read_text() == "mine"
    (folder / "foreign").mkdir()
    (folder / "foreign" / "notes.txt").write_text("mine")
    assert main([*words, "foreign", "--overwrite"]) == 0
    assert {path.name for path in (folder / "foreign").iterdir()} == {
        *("notes.txt", "catalog.ecsv", "cutouts", MARK)
    }


def test_inputs_in_the_folder_that_would_go_are_refused(folder, capsys):
    words = ["simulate", "-n", "1", "--size", "16", "--quiet", "--out", "sky"]
    assert main(words) == 0
    (image,) = (folder / "sky" / "cutouts").glob("*.fits")
    old = image.read_bytes()
    assert main(["redshift", str(image), "--to", "0.4", "--out", "sky", "--overwrite"]) != 0
    assert "another place than that of the input" in capsys.readouterr().err
    assert image.read_bytes() == old
    assert np.isfinite(old[0])
