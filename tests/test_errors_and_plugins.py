"""Errors speak one grammar; plugins enter by two doors, and a broken one is named."""

import json
import pickle
import textwrap
import tomllib

import pytest

from galcnn import errors, plugins


def test_messages_speak_one_grammar():
    text = errors.message("a width", "Give one.", width=-1, name="M 31")
    parts = pickle.loads(pickle.dumps(text))  # a worker sends it home
    assert (parts.expected, parts.remedy) == ("a width", "Give one.")
    assert parts.received == {"width": "-1", "name": "'M 31'"}
    assert text == "Expected a width. Received: width=-1, name='M 31'. Give one."
    long = errors.message("x", value="a\n" * 500)
    assert len(long) < 260
    assert "\n" not in long


def test_a_caller_can_act_on_the_kind_of_an_error():
    assert issubclass(errors.BadResponseError, errors.DownloadError)
    assert issubclass(errors.AuthRequiredError, errors.DownloadError)
    assert issubclass(errors.DownloadError, OSError)
    assert issubclass(errors.UnreadableImageError, ValueError)
    assert issubclass(errors.CoverageError, ValueError)
    assert issubclass(errors.UnfitImageError, ValueError)


def test_our_own_plugins_enter_by_the_same_doors():
    assert plugins.available(plugins.SURVEYS)["simulated"].package == "galcnn"
    assert {"saliency", "cam"} <= set(plugins.available(plugins.EXPLAINERS))
    from galcnn.explain import Saliency

    assert plugins.load(plugins.EXPLAINERS, "saliency") is Saliency


def install(folder, package, name, target, source=""):
    """A distribution as pip leaves it: metadata with an entry point, and a module."""
    info = folder / f"{package}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(f"[galcnn.surveys]\n{name} = {target}\n")
    if source:
        (folder / f"{target.split(':')[0]}.py").write_text(textwrap.dedent(source))


def test_a_strangers_plugin_is_found_and_a_broken_one_is_named(tmp_path, monkeypatch):
    install(tmp_path, "goodsky", "good", "goodsky_module:Sky", "class Sky:\n    name = 'good'\n")
    install(tmp_path, "badsky", "bad", "badsky_module:Sky", "raise OSError('no certificates')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert plugins.load(plugins.SURVEYS, "good").name == "good"
    assert plugins.available(plugins.SURVEYS)["bad"].version == "1.2"
    with pytest.raises(errors.PluginError, match=r"badsky 1\.2.*OSError: no certificates.*uninstall badsky"):
        plugins.load(plugins.SURVEYS, "bad")


def test_two_packages_with_one_name_are_both_named(tmp_path, monkeypatch):
    install(tmp_path, "onesky", "twin", "one:Sky")
    install(tmp_path, "twosky", "twin", "two:Sky")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(errors.PluginError, match=r"onesky 1\.2.*twosky 1\.2"):
        plugins.available(plugins.SURVEYS)


def test_a_misspelt_plugin_gets_a_hint():
    with pytest.raises(errors.PluginError, match=r"Did you mean 'saliency'\?"):
        plugins.load(plugins.EXPLAINERS, "salience")


SECRET = "token=hunter2"


def failing(error):
    raise error


def library():
    raise RuntimeError(f"an unknown card {SECRET}")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: int(SECRET), "ValueError"),
        (lambda: {}[SECRET], "KeyError"),
        (lambda: {}["CTYPE1"], "KeyError: CTYPE1"),
        (lambda: b"hunter2\xff".decode("ascii"), "UnicodeDecodeError"),
        (library, "RuntimeError: an unknown card"),
        (lambda: failing(RuntimeError(SECRET * 2)), "RuntimeError"),
        (lambda: failing(RecursionError()), "RecursionError"),
        (lambda: failing(OSError(5, "Input/output error", SECRET)), "OSError: Input/output error"),
        (lambda: bytearray(2**62), "MemoryError"),
    ],
)
def test_the_error_of_a_file_quotes_nothing_of_it(make, said):
    with (
        pytest.raises(errors.UnreadableImageError) as caught,
        errors.reading("a whole file", "Fetch it again.", path="a.fits"),
    ):
        make()
    text = f"Expected a whole file. Received: path='a.fits', error='{said}'. Fetch it again."
    assert str(caught.value) == text


@pytest.mark.parametrize(
    ("read", "said"),
    [
        (json.loads, "JSONDecodeError: Expecting value, line 1 column 1"),
        (tomllib.loads, "TOMLDecodeError: Invalid value, line 1, column 9"),
    ],
)
def test_the_place_in_a_file_is_said(read, said):
    text = "token = hunter2" if read is tomllib.loads else "hunter2"
    with pytest.raises(ValueError) as caught:
        read(text)
    assert errors.without_content(caught.value) == said


def test_an_error_that_says_what_is_wrong_is_passed_on():
    for known in (FileNotFoundError("x"), errors.UnfitImageError("x"), errors.CoverageError("x")):
        with pytest.raises(type(known)) as caught, errors.reading("a file"):
            raise known
        assert caught.value is known
    for kind in (ValueError, TypeError):
        with pytest.raises(errors.UnreadableImageError, match="Received: width=3"), errors.reading("a file"):
            raise kind(errors.message("a width", "", width=3))
    with pytest.raises(KeyboardInterrupt), errors.reading("a file"):
        raise KeyboardInterrupt


def test_the_lack_of_memory_for_any_file_is_not_the_error_of_one(monkeypatch):
    monkeypatch.setattr(errors, "_ORDINARY", 2**62)
    with pytest.raises(MemoryError), errors.reading("a file"):
        raise MemoryError
