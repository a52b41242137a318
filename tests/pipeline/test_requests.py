"""Requests in, rows out, in their order, with the numbers of galcnn classify."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys

import astropy.units as u
import numpy as np
import pytest
from jsonschema import Draft202012Validator

from galcnn import Cutout, save_cutout
from galcnn._runtime.answers import schema
from galcnn.cli.main import main
from galcnn.dataset import InputFiles
from galcnn.model import (
    Card,
    InputSpec,
    NetworkSettings,
    TrainedModel,
    assemble,
    build_network,
    fit_preprocessing,
    save_model,
)
from galcnn.pipeline import answer_requests, classify_batch
from galcnn.pipeline import requests as requests_module
from tests.conftest import toy_images

ROW, REQUEST = (Draft202012Validator(schema(name)) for name in ("row", "request"))


@pytest.fixture(scope="module")
def model():
    images, _ = toy_images(16)
    network = build_network((16, 16, 2), 2, settings=NetworkSettings(widths=(4,), depth=1), seed=0)
    card = Card(("round", "thin"), InputSpec(("g", "r"), "nJy", (16, 16)))
    return TrainedModel(assemble(fit_preprocessing(images), network), card)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    place = tmp_path_factory.mktemp("service")
    for name, image in zip("abc", toy_images(3, seed=5)[0], strict=True):
        save_cutout(Cutout(np.moveaxis(image, -1, 0), ("g", "r"), unit=u.nJy), place / f"{name} ä.fits")
    save_model(model, place / "model")
    return place


def table_of(model, paths, ids="abc"):
    files = InputFiles(dict(zip(ids, paths, strict=True)))
    return classify_batch(model, files.read(range(len(paths))), files.ids)


def answered(model, lines, root="/"):
    rows = []
    bad = answer_requests(model, lines, rows.append, root=root)
    rows = [json.loads(row) for row in rows]
    for row in rows:
        ROW.validate(row)
    return rows, bad


def test_rows_are_those_of_classify_in_the_order_of_the_requests(model, folder):
    paths = [str(folder / f"{name} ä.fits") for name in "cab"]
    requests = [{"path": path, "id": f"galaxy {i}"} for i, path in enumerate(paths)]
    requests[1]["id"] = "galaxy 0"  # two requests may bear one id
    del requests[2]["id"]
    for request in requests:
        REQUEST.validate(request)
    rows, bad = answered(model, [json.dumps(one, ensure_ascii=False).encode() + b"\n" for one in requests])
    assert bad == 0
    assert [row["id"] for row in rows] == ["galaxy 0", "galaxy 0", paths[2]]
    table = table_of(model, paths)
    for row, expected in zip(rows, table, strict=True):
        assert row["class"] == expected["class"]
        assert row["probabilities"] == {"round": expected["p_round"], "thin": expected["p_thin"]}
        assert row["entropy_nats"] == expected["entropy"]
        assert (row["flag"], row["reason"], row["error"]) == (0, "", None)


def test_files_of_one_galaxy_a_band_each(model, tmp_path):
    (image,), _ = toy_images(1)
    for band, plane in zip("gr", np.moveaxis(image, -1, 0), strict=True):
        save_cutout(Cutout(plane[np.newaxis], (band,), unit=u.nJy), tmp_path / f"{band}.fits")
    request = {"path": [str(tmp_path / "g.fits"), str(tmp_path / "r.fits")]}
    REQUEST.validate(request)
    (row,), _ = answered(model, [json.dumps(request).encode()])
    assert row["class"] in ("round", "thin")
    assert row["flag"] == 0


def test_a_file_that_is_not_there_has_its_row_with_nulls(model):
    (row,), bad = answered(model, [b'{"path": "nowhere.fits"}'])
    assert bad == 0, "the request was one"
    assert row["class"] is row["entropy_nats"] is row["probabilities"]["round"] is None
    assert row["flag"] == 1
    assert "nowhere.fits" in row["reason"]


@pytest.fixture
def rooted(folder, tmp_path):
    """A folder of one image with files beside it, and ways out of it."""
    root, image = tmp_path / "root", (folder / "a ä.fits").read_bytes()
    (root / "sub").mkdir(parents=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "rootless").mkdir()
    for place in (
        root / "a.fits",
        root / "sub/a.fits",
        tmp_path / "outside/a.fits",
        tmp_path / "rootless/a.fits",
    ):
        place.write_bytes(image)
    (tmp_path / "secret").write_text("token=hunter2hunter2\n")
    (root / "link.fits").symlink_to(tmp_path / "outside/a.fits")
    (root / "link").symlink_to(tmp_path / "outside")
    (root / "inner.fits").symlink_to("sub/a.fits")
    (root / "circle").symlink_to("circle")
    (root / "text.fits").write_text("token=hunter2hunter2\n")
    return root


@pytest.mark.parametrize(
    "path", ["a.fits", "sub/a.fits", "sub/../a.fits", "./a.fits", "inner.fits", "{root}/a.fits"]
)
def test_a_file_in_the_root_is_read(model, rooted, path):
    path = path.format(root=rooted)
    (row,), bad = answered(model, [json.dumps({"path": path}).encode()], rooted)
    assert (bad, row["flag"], row["id"], row["error"]) == (0, 0, path, None)


@pytest.mark.parametrize(
    "path",
    [
        "../outside/a.fits",
        "sub/../../outside/a.fits",
        "{root}/../outside/a.fits",
        "{root}less/a.fits",
        "link.fits",
        "link/a.fits",
        "link/../secret",
        "../outside/none.fits",
        "/etc/passwd",
        "/proc/self/environ",
        "circle",
        "..",
        "~/a.fits/../..",
        ["a.fits", "../secret"],
        ["link.fits"],
    ],
    ids=str,
)
def test_no_path_outside_of_the_root_is_read(model, rooted, path):
    """Nor does the answer tell whether there is a file."""
    paths = [one.format(root=rooted) for one in ([path] if isinstance(path, str) else path)]
    request = {"id": "x", "path": paths if isinstance(path, list) else paths[0]}
    good = b'{"path": "a.fits"}'
    rows, bad = answered(model, [good, json.dumps(request).encode(), good], rooted)
    if path == "~/a.fits/../..":  # ~ is no home here, and so the root itself
        assert (bad, rows[1]["flag"]) == (0, 1)
        return
    assert bad == 1
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert rows[1]["error"]["expected"] == f"files in the folder {rooted}"
    assert "hunter2" not in json.dumps(rows)


def test_addresses_are_names_of_files(model, rooted):
    """No library opens them."""
    for path in ("file:/etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/x", "s3://bucket/x"):
        (row,), _ = answered(model, [json.dumps({"path": path}).encode()], rooted)
        assert row["flag"] == 1
        assert "File not found" in row["reason"]


def test_no_reason_quotes_a_file(model, rooted):
    (row,), bad = answered(model, [b'{"path": "text.fits"}'], rooted)
    assert (bad, row["flag"]) == (0, 1)
    assert "token" not in json.dumps(row)


def test_the_root_is_the_current_folder_by_default(model, rooted, monkeypatch):
    rows = []
    monkeypatch.chdir(rooted / "sub")
    assert answer_requests(model, [b'{"path": "a.fits"}', b'{"path": "../a.fits"}'], rows.append) == 1
    assert [json.loads(row)["error"] is None for row in rows] == [True, False]
    with pytest.raises(FileNotFoundError):
        answer_requests(model, [], rows.append, root=rooted / "none")
    with pytest.raises(NotADirectoryError):
        answer_requests(model, [], rows.append, root=rooted / "a.fits")


@pytest.mark.parametrize("kind", [AttributeError, RecursionError, SystemError, MemoryError])
def test_what_no_step_expects_is_the_answer_of_its_request(model, rooted, monkeypatch, kind):
    real = requests_module.classify_batch

    def broken(ready, cutouts, ids, **settings):
        if "bad" in ids:
            raise kind("'int' object has no attribute 'upper'")
        return real(ready, cutouts, ids, **settings)

    monkeypatch.setattr(requests_module, "classify_batch", broken)
    lines = [json.dumps({"id": name, "path": "a.fits"}).encode() for name in ("a", "bad", "c")]
    rows, bad = answered(model, lines, rooted)
    assert bad == 1
    assert [row["id"] for row in rows] == ["a", "bad", "c"]
    assert [row["error"] and row["error"]["kind"] for row in rows] == [None, kind.__name__, None]


def test_a_source_of_requests_that_fails_says_so(model):
    def lines():
        yield b"{}"
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        answered(model, lines())


@pytest.mark.parametrize(
    "line",
    [
        b"rubbish",
        b"\xff\xfe",
        b"[1]",
        b"{}",
        b'{"path": ""}',
        b'{"path": []}',
        b'{"path": [1]}',
        b'{"path": "x", "id": 3}',
        b'{"path": "x", "width": "3arcsec"}',
        b"[" * 100_000,
        b'{"path": "a\\u0000b"}',
        b'{"path": "\\ud800.fits"}',
        json.dumps({"path": ["a.fits"] * 101}).encode(),
        b'{"path": "' + b"a" * (1 << 16) + b'"}',
        b'{"path": "xy", "other": "' + "ä".encode() * 99 + b'"}',  # its first 80 bytes end within one
        '{"path": 3}'.encode("utf-16"),
    ],
)
def test_a_line_that_is_no_request_is_answered_and_the_next_one_too(model, folder, line):
    good = json.dumps({"path": str(folder / "a ä.fits")}).encode()
    rows, bad = answered(model, [good, line, b"  \n", good])
    assert bad == 1
    assert [row["error"] is None for row in rows] == [True, False, True]
    assert rows[1]["id"] is None
    assert rows[1]["error"]["kind"] == "ValueError"
    assert rows[1]["error"]["received"]["request"] == "2"
    assert rows[0]["probabilities"] == pytest.approx(rows[2]["probabilities"])


def test_the_command_reads_a_file_and_tells_by_its_exit_code(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(folder)
    requests = tmp_path / "requests.jsonl"
    requests.write_text('{"path": "a ä.fits"}\n', encoding="utf-8")
    words = ["classify", "model", "--requests", str(requests)]
    manifest = tmp_path / "m.json"
    assert main(["--manifest", str(manifest), *words]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["class"] in ("round", "thin")
    told = json.loads(manifest.read_text())
    assert told["messages"] == [], "rows are no messages"
    assert [(one["path"], one["kind"]) for one in told["inputs"]] == [
        (str(requests), "file"),
        ("model", "model"),
    ]
    requests.write_text("rubbish\n" + "x" * 200_000 + '\n{"path": "a ä.fits"}', encoding="utf-8")
    assert main(words) == 3
    rows = [json.loads(row) for row in capsys.readouterr().out.splitlines()]
    assert [row["error"] is None for row in rows] == [False, False, True]
    capsys.readouterr()
    assert main(["--json", *words]) == 2
    assert "--manifest FILE in place of --json" in capsys.readouterr().err
    for wrong in (["--requests", str(requests), "--out", "x.csv"], ["a ä.fits", *words[2:]]):
        assert main(["classify", "model", *wrong]) == 2


NODE = """
const { spawn } = require('child_process'), lines = require('readline');
const [python, model, ...paths] = process.argv.slice(1);
const galcnn = spawn(python, ['-m', 'galcnn.cli.main', 'classify', model, '--requests', '-'],
                     {stdio: ['pipe', 'pipe', 'inherit']});
let asked = 0;
const ask = () => galcnn.stdin.write(JSON.stringify({id: 'n' + asked, path: paths[asked++]}) + '\\n');
lines.createInterface({input: galcnn.stdout}).on('line', line => {
  const row = JSON.parse(line);
  console.log(row.id, row.class, row.probabilities[row.class].toFixed(6));
  asked < paths.length ? ask() : galcnn.stdin.end();   // the next is asked after an answer has come
});
ask();
galcnn.on('close', code => process.exit(code));
"""


@pytest.mark.full
def test_a_program_in_another_language_asks_and_is_answered_one_by_one(model, folder):
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    paths = [str(folder / f"{name} ä.fits") for name in "abc"]
    words = ["node", "-e", NODE, sys.executable, str(folder / "model"), *paths]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, cwd=folder)
    assert done.returncode == 0, done.stderr
    table = table_of(model, paths, ["n0", "n1", "n2"])
    for line, row in zip(done.stdout.splitlines(), table, strict=True):
        name, best, share = line.split()
        assert (name, best) == (row["id"], row["class"])
        assert float(share) == pytest.approx(row[f"p_{best}"], abs=1e-5)


@pytest.mark.full
@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (None, 141), (signal.SIGTERM, 143)])
def test_signals_end_it_with_their_codes(folder, sent, code):
    words = [sys.executable, "-m", "galcnn.cli.main", "classify", str(folder / "model"), "--requests", "-"]
    words += ["--root", str(folder)]
    request = json.dumps({"path": str(folder / "a ä.fits")}).encode() + b"\n"
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        process.stdin.write(request)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["error"] is None
        if sent is None:  # whoever read the rows has gone
            process.stdout.close()
            process.stdin.write(request)
            process.stdin.flush()
        else:
            os.kill(process.pid, sent)
        assert process.wait(120) == code
        assert b"Traceback" not in process.stderr.read()


def test_lines_are_answered_before_the_end_of_the_input(model, folder):
    """A pipeline waits for the answer before it asks again: reading on would wait for ever."""
    reading, writing = os.pipe()
    request = json.dumps({"path": str(folder / "a ä.fits")}).encode() + b"\n"
    os.write(writing, request)
    rows = []

    def write(row):
        rows.append(row)
        if len(rows) < 3:
            os.write(writing, request)
        else:
            os.close(writing)

    with io.FileIO(reading) as raw, io.BufferedReader(raw) as lines:
        assert answer_requests(model, lines, write, root=folder) == 0
    assert len(rows) == 3
