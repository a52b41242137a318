"""Errors are told in the words of the command line: sentences for events, options for arguments of Python."""

import errno
import os
import socket

import click
import pytest

from galcnn.cli.main import main
from galcnn.cli.wording import sentence
from galcnn.errors import message


@click.command
@click.option("--image-column")
@click.option("--from", "from_")
@click.option("--grid")
@click.option("--fit", is_flag=True)
@click.option("--bands")
@click.option("--overwrite", is_flag=True)
def command(**given): ...


def system_error(number, path=None):
    return OSError(number, os.strerror(number), path)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (system_error(errno.ENOENT, "x.fits"), "File not found: x.fits."),
        (system_error(errno.EISDIR, "x"), "x is a folder; give a file."),
        (system_error(errno.EACCES, "x.fits"), "No permission to use x.fits."),
        (system_error(errno.ENOSPC), "The disk is full."),
        (system_error(errno.EIO, "x.fits"), "Input/output error: x.fits."),
        (system_error(errno.ENOENT, "it's.fits"), "File not found: it's.fits."),
        (OSError("a.fits: [Errno 28] No space left on device"), "a.fits: The disk is full."),
        (socket.gaierror(-2, "unknown"), "Cannot reach the host; check its name and the network."),
        (MemoryError(), "Not enough memory. Use smaller images or fewer at a time."),
        (FileNotFoundError("File not found: x.fits."), "File not found: x.fits."),
        (ValueError(), "ValueError"),
    ],
)
def test_events_are_plain_sentences(error, said):
    assert sentence(error, command) == said


@pytest.mark.parametrize(
    ("worded", "said"),
    [
        (("a column", "Name it with image_column='file'."), "Name it with --image-column file."),
        (("a column", "Name image_column."), "Name --image-column."),
        (("a file", "Give from_=3 or grid=..., with fit=True."), "Give --from 3 or --grid, with --fit."),
        (
            ("a new file", "Choose another name, or replace it: overwrite=True."),
            "or replace it: --overwrite.",
        ),
        (("a layer", "Use hdu=... of it."), "Use hdu=... of it."),
        (("numbers", "The card says network.fit=3 and refit=True."), "says network.fit=3 and refit=True."),
    ],
)
def test_arguments_of_python_are_told_as_options(worded, said):
    assert sentence(ValueError(message(*worded)), command).endswith(said)


def test_a_value_is_told_as_its_option_if_the_user_gave_it():
    error = ValueError(message("a band of the model", "", bands="x", shape=(3, 4)))
    assert sentence(error, command, ["classify"]) == (
        "Expected a band of the model. Received: bands='x', shape=(3, 4)."
    )
    for words in (["--bands", "x"], ["--bands=x"]):
        assert sentence(error, command, words) == (
            "Expected a band of the model. Received: --bands x, shape=(3, 4)."
        )


@pytest.mark.parametrize(
    "told",
    [
        "HTTP 404 from https://h/cutout?grid=1&fit=True&bands=gr.",
        "File not found: /data/image_column/x.fits.",
        "File not found: /data/grid=3/fit=True/x.fits.",
        "There is no column 'image_column'.",
        "The value 'fit=True' is unknown.",
        "Files of bands=g and image_column.",
    ],
)
def test_what_a_plain_sentence_quotes_is_kept(told):
    assert sentence(ValueError(told), command, ["classify", "--grid", "r"]) == told


def test_arguments_in_a_plain_sentence_are_told_as_options():
    assert sentence(ValueError("Use fit=True or grid=... here."), command) == "Use --fit or --grid here."


def test_quoted_words_and_paths_of_a_message_are_kept():
    worded = message("a column 'image_column'", "See /data/image_column/fit=True, or use fit=True.")
    assert sentence(ValueError(worded), command) == (
        "Expected a column 'image_column'. See /data/image_column/fit=True, or use --fit."
    )


def test_the_subject_and_values_that_the_user_did_not_give_are_kept():
    worded = message("an image in the bands ('g',)", "Use grid=...", bands=("r",))
    error = ValueError(worded.about("Galaxy fit=True (fit=True.fits)"))
    said = "Galaxy fit=True (fit=True.fits): Expected an image in the bands ('g',). Received: "
    assert str(error) == f"{said}bands=('r',). Use grid=..."
    assert sentence(error, command, ["classify"]) == f"{said}bands=('r',). Use --grid"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["info", "{tmp}/x.fits"], "File not found: {tmp}/x.fits."),
        (["info", "{tmp}"], "{tmp} is not a model folder: it has no card.json."),
        (["convert", "{tmp}/x.fits", "--out", "{tmp}/y.fits"], "File not found: {tmp}/x.fits."),
        (["catalog", "convert", "{tmp}/no.csv", "--out", "{tmp}/y.csv"], "File not found: {tmp}/no.csv."),
        (["preflight", "{tmp}/labels.csv"], "is a table, not a TOML file of settings; give it as --catalog "),
        (["preflight", "{tmp}"], "{tmp} is a folder; give a TOML file of settings."),
        (["preflight", "{tmp}/none.toml"], "File not found: {tmp}/none.toml."),
        (
            ["cut", "--catalog", "{tmp}/none.csv", "{tmp}/x.fits", "--width", "9pix", "--out", "{tmp}/o"],
            "not found",
        ),
    ],
)
def test_mistakes_on_the_command_line(words, said, tmp_path, capsys):
    (tmp_path / "labels.csv").write_text("id,image,class\na,a.fits,x\n")
    assert main([word.format(tmp=tmp_path) for word in words]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("galcnn: ")
    assert said.format(tmp=tmp_path) in shown
