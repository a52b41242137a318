"""What a program reads of a command: valid by the schema, whatever happens, and true."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator, ValidationError

import galcnn
from galcnn import errors
from galcnn._runtime import atomic
from galcnn._runtime.answers import EXIT_CODES, SCHEMAS, JsonAnswer, error_record, plain, schema
from galcnn.cli.main import COMMANDS, main

VALID = Draft202012Validator(schema("answer"), format_checker=Draft202012Validator.FORMAT_CHECKER)
GALCNN = [sys.executable, "-m", "galcnn.cli.main"]


def asked(capsys, *words):
    """Exit code and answer; standard output holds nothing else."""
    code = main(["--json", *words])
    said = capsys.readouterr()
    answer = json.loads(said.out)
    assert said.out.count("\n") == 1
    VALID.validate(answer)
    assert answer["exit_code"] == code
    return answer, said.err


@pytest.fixture
def catalog(tmp_path):
    path = tmp_path / "gälaxies.csv"
    path.write_text("id,ra,dec,class\na,10.5,-3,spiral\nb,11,-3.25,elliptical\n")
    return path


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_schemas_are_schemas(name, capsys):
    Draft202012Validator.check_schema(schema(name))
    assert main(["info", "--schema", name]) == 0
    assert json.loads(capsys.readouterr().out) == schema(name)
    with pytest.raises(ValueError, match="a schema among"):
        schema("manifest")


def test_values_without_a_word_in_json_become_null():
    given = {
        "nan": float("nan"),
        "inf": np.float32(np.inf),
        "array": np.array([[1.5, np.nan], [2, 3]]),
        "int": np.int64(3),
        "bool": np.bool_(True),
        "path": Path("a/b"),
        "text": np.str_("é"),
        "nested": ({"x": [None, -np.inf]},),
    }
    assert plain(given) == {
        "nan": None,
        "inf": None,
        "array": [[1.5, None], [2.0, 3.0]],
        "int": 3,
        "bool": True,
        "path": "a/b",
        "text": "é",
        "nested": [{"x": [None, None]}],
    }
    json.dumps(plain(given), allow_nan=False)


def test_an_error_is_told_in_its_parts():
    error = errors.DownloadError(errors.message("an answer", "Try again.", status=503, url="x"))
    assert error_record(error, str(error)) == {
        "kind": "DownloadError",
        "message": "Expected an answer. Received: status=503, url='x'. Try again.",
        "expected": "an answer",
        "received": {"status": "503", "url": "'x'"},
        "remedy": "Try again.",
    }
    other = error_record(OSError(28, "No space left"), "said\notherwise")
    assert other == {
        "kind": "OSError",
        "message": "said otherwise",
        "expected": None,
        "received": None,
        "remedy": None,
    }


def test_an_answer_tells_inputs_outputs_settings_and_result(catalog, tmp_path, capsys):
    out = tmp_path / "made" / "out.ecsv"
    answer, said = asked(capsys, "catalog", "convert", str(catalog), "--out", str(out))
    assert answer["exit_code"] == 0
    assert (answer["command"], answer["galcnn"]) == ("catalog convert", galcnn.__version__)
    assert answer["arguments"] == ["--json", "catalog", "convert", str(catalog), "--out", str(out)]
    assert answer["settings"]["out"] == str(out)
    assert f"wrote {out}" in " ".join(answer["messages"])
    assert f"wrote {out}" in said, "people read on standard error what a program reads in the answer"
    for told, path in ((answer["inputs"], catalog), (answer["outputs"], out)):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert told == [{"path": str(path), "kind": "file", "sha256": digest, "bytes": path.stat().st_size}]
    assert answer["error"] is None


def test_what_is_overwritten_is_an_output_and_no_input(catalog, tmp_path, capsys):
    out = tmp_path / "out.ecsv"
    out.write_text("old")
    answer, _ = asked(capsys, "catalog", "convert", str(catalog), "--out", str(out), "--overwrite")
    assert [one["path"] for one in answer["inputs"]] == [str(catalog)]
    assert [one["path"] for one in answer["outputs"]] == [str(out)]


def test_of_a_folder_the_files_are_listed_of_a_model_the_whole_and_of_a_cache_nothing(tmp_path):
    out, cache = tmp_path / "out", tmp_path / "cache"
    answer = JsonAnswer((), settings={"out": str(out), "also": str(out / "model"), "n": 3})
    with atomic.recording() as answer.written:
        with atomic.writing_folder(out) as folder:
            (folder / "b").mkdir()
            (folder / "b" / "one.txt").write_text("1")
            (folder / "two.txt").write_text("2")
        with atomic.writing_folder(out / "model") as folder:
            (folder / "card.json").write_text(json.dumps({"model_sha256": "a" * 64}))
            (folder / "model.keras").write_text("x")
        atomic.write_text(cache / "kept", "")
        atomic.write_text(out / "gone", "")
    (out / "gone").unlink()
    document = answer.document(0)
    VALID.validate(document)
    told = {(Path(one["path"]).relative_to(out).as_posix(), one["kind"]) for one in document["outputs"]}
    assert {("b/one.txt", "file"), ("two.txt", "file"), ("model", "model")} <= told
    assert not {name for name, _ in told} & {"gone", "../cache/kept", "."}
    assert next(one for one in document["outputs"] if one["kind"] == "model")["sha256"] == "a" * 64
    assert document["inputs"] == []


def test_a_manifest_is_the_same_in_a_file_and_leaves_standard_output_to_people(catalog, tmp_path, capsys):
    manifest = tmp_path / "out.json"
    words = ["catalog", "convert", str(catalog), "--out", str(tmp_path / "out.ecsv"), "--overwrite"]
    assert main(["--manifest", str(manifest), *words]) == 0
    assert "wrote" in capsys.readouterr().out
    kept = json.loads(manifest.read_text())
    VALID.validate(kept)
    answer, _ = asked(capsys, *words)
    passing = {"started", "seconds", "arguments"}
    assert {k: v for k, v in kept.items() if k not in passing} == {
        k: v for k, v in answer.items() if k not in passing
    }


def test_a_manifest_that_could_not_be_written_stops_before_the_work(catalog, tmp_path, capsys):
    out = tmp_path / "out.ecsv"
    (tmp_path / "file").write_text("")
    words = [
        "--manifest",
        str(tmp_path / "file" / "m.json"),
        "catalog",
        "convert",
        str(catalog),
        "--out",
        str(out),
    ]
    assert main(words) == 2
    assert not out.exists()
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["nonsense"], "NoSuchCommand"),
        (["classify"], "MissingParameter"),
        (["info", "nowhere"], "FileNotFoundError"),
        (["classify", "m", "x.fits"], "FileNotFoundError"),
        (["classify", "m", "--requests", "nowhere"], "FileNotFoundError"),
    ],
)
def test_bad_input_is_an_answer_too(words, kind, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer, said = asked(capsys, *words)
    assert (answer["exit_code"], answer["error"]["kind"]) == (2, kind)
    assert said.endswith(f"galcnn: {answer['error']['message']}\n")
    assert answer["outputs"] == []


@pytest.mark.parametrize(("raised", "code"), [(KeyboardInterrupt(), 130), (ZeroDivisionError("x"), 1)])
def test_interruptions_and_faults_of_our_own_are_answers(raised, code, capsys, monkeypatch):
    def fail(path):
        raise raised

    monkeypatch.setattr("galcnn.pipeline.describe", fail)
    answer, _ = asked(capsys, "info", "x")
    assert answer["exit_code"] == code
    assert answer["error"]["kind"] == type(raised).__name__


def test_the_schema_refuses_what_is_no_answer(capsys):
    answer, _ = asked(capsys, "info", "nowhere")
    VALID.validate(answer)
    for wrong in ({"exit_code": 7}, {"error": None}, {"format": 2}, {"outputs": ["x"]}, {"extra": 1}):
        with pytest.raises(ValidationError):
            VALID.validate(answer | wrong)


def test_every_exit_code_that_an_answer_may_have_is_in_the_table():
    codes = set(schema("answer")["properties"]["exit_code"]["enum"])
    assert codes == set(EXIT_CODES)
    docs = (Path(__file__).resolve().parents[2] / "docs" / "requests.md").read_text(encoding="utf-8")
    assert all(f"| {code} | {text} |" in docs for code, text in EXIT_CODES.items())


@pytest.mark.skipif(not Path("/proc/self/mem").is_file(), reason="no file here that opens but cannot be read")
def test_an_input_that_cannot_be_read_is_told_without_a_hash():
    document = JsonAnswer((), settings={"catalog": "/proc/self/mem"}).document(2)
    assert [(one["path"], one["kind"], one["sha256"]) for one in document["inputs"]] == [
        ("/proc/self/mem", "file", None)
    ]


def test_help_is_for_people_with_and_without_json(capsys):
    answer, said = asked(capsys, "info", "--help")
    assert answer["exit_code"] == 0
    assert "galcnn info catalog.ecsv" in said
    assert "info" in COMMANDS


def test_a_reader_that_goes_away_ends_it_without_a_word(tmp_path):
    """SIGPIPE's exit code, no traceback: a pipe into `head` is everyday life."""
    code = "import sys; sys.argv[1:] = ['--help']; from galcnn.cli.main import main; sys.exit(main())"
    for words in (code, code.replace("['--help']", "['--json', 'info', 'nowhere']")):
        with subprocess.Popen(
            [sys.executable, "-c", f"import time; time.sleep(1)\n{words}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            process.stdout.close()
            said = process.stderr.read()
            assert process.wait(60) == 141
        assert "Traceback" not in said
        assert "Broken pipe" not in said


PERL = """
open(my $f, "-|", @ARGV); local $/; print decode_json(<$f>)->{error}{remedy}, "\n"; close $f;
exit($? >> 8 == 2 ? 0 : 1)
"""
NODE = """
const [program, ...words] = process.argv.slice(1);
const done = require('child_process').spawnSync(program, words, {encoding: 'utf8'});
if (done.status !== 2) process.exit(1);
console.log(JSON.parse(done.stdout).error.remedy)
"""
LANGUAGES = {
    "jq": ["sh", "-c", '"$@" | jq -r .error.remedy', "sh"],
    "perl": ["perl", "-MJSON::PP", "-e", PERL],
    "node": ["node", "-e", NODE],
}


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_languages_read_it(language, tmp_path):
    if shutil.which(language) is None:
        pytest.skip(f"{language} is not installed")
    words = [*LANGUAGES[language], *GALCNN, "--json", "simulate", "--instrument", "lst"]
    words += ["--out", str(tmp_path / "ä")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stdout == "Did you mean 'lsst'?\n", done.stderr
