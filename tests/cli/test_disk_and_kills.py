"""A full disk and a kill at any moment leave what was there, and a second run goes on."""

import contextlib
import os
import re
import resource
import signal
import subprocess
import sys
import time

import pytest

from galcnn._runtime.atomic import MARK
from galcnn.catalog import read_catalog
from galcnn.cli.main import main
from galcnn.files import load_cutout
from galcnn.simulation import simulate_catalog


@contextlib.contextmanager
def full_disk():
    """The kernel's limit on the size of a file stands in for a full disk: every longer write fails.

    Only around the call: pytest's own log may be a longer file.
    """
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3000, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)


@pytest.fixture(scope="module")
def ready(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ready")
    sky = ["simulate", "-n", "24", "--size", "24", "--classes", "elliptical,merger", "--quiet"]
    assert main([*sky, "--out", str(folder / "sky")]) == 0
    assert main([*train_words(folder), "--out", str(folder / "model")]) == 0
    return folder


def train_words(folder):
    words = [
        "train",
        "--catalog",
        str(folder / "sky" / "catalog.ecsv"),
        "--epochs",
        "1",
        "--set",
        "network.widths=4",
        "--quiet",
    ]
    return [*words, "--batch-size", "8"]


@pytest.mark.parametrize("command", ["simulate", "train", "classify", "explain"])
def test_a_full_disk_is_one_line_and_leaves_nothing(command, ready, tmp_path, capsys):
    image = str(next((ready / "sky" / "cutouts").glob("*.fits")))
    out = {"simulate": "sky", "train": "model", "classify": "t.fits", "explain": "l.fits"}[command]
    words = {
        "simulate": ["simulate", "-n", "2", "--quiet"],
        "train": train_words(ready),
        "classify": ["classify", str(ready / "model"), image, "--quiet"],
        "explain": ["explain", str(ready / "model"), image, "--quiet"],
    }[command]
    with full_disk():
        assert main([*words, "--out", str(tmp_path / out)]) == 2
    said = capsys.readouterr().err.strip()
    assert "Traceback" not in said
    assert said.startswith("galcnn: ")
    assert said.endswith("The disk takes no file of this size.")
    left = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != MARK]
    assert left == []


def kill_simulate(out, after):
    words = ["simulate", "-n", "60", "--size", "32", "--seed", "8", "--quiet", "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "galcnn.cli.main", *words], start_new_session=True)
    deadline = time.monotonic() + 60
    while process.poll() is None and len(list(out.glob("cutouts/[!.]*.fits"))) < after:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)
    return words


def interrupted(words, sent, ready):
    """Exit code and standard error of a command that gets a signal after the first `ready(line)`."""
    lines = []
    with subprocess.Popen(
        [sys.executable, "-m", "galcnn.cli.main", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        for line in process.stderr:
            lines.append(line.rstrip())
            if ready is not None and ready(line):
                process.send_signal(sent)
                ready = None
    return process.returncode, lines


#: Signals that end a command, and its exit code.
_SIGNALS = [(signal.SIGINT, 130), pytest.param(signal.SIGTERM, 143, marks=pytest.mark.full)]


@pytest.mark.parametrize(("sent", "code"), _SIGNALS)
def test_an_interrupted_training_says_where_it_continues_and_then_does(sent, code, ready, tmp_path, capsys):
    from galcnn.model import load_model

    words = [word for word in train_words(ready) if word != "--quiet"]
    words[words.index("--epochs") + 1] = "20"
    words += ["--out", str(tmp_path / "model")]
    found, lines = interrupted(words, sent, lambda line: line.startswith("train epoch 2/20"))
    assert found == code
    said = re.fullmatch(r"galcnn: Interrupted. The same command continues after epoch (\d+)\.", lines[-1])
    assert said, lines
    done = int(said[1])
    assert 1 <= done < 20
    epochs = [line for line in lines if line.startswith("train epoch")]
    assert len(epochs) >= 2
    pattern = (
        r"train epoch \d+/20, loss [\d.]+, validation [\d.]+, accuracy [\d.]+, [\d.e+]+ images/s, .*left"
    )
    assert all(re.fullmatch(pattern, line) for line in epochs[:2])
    assert not (tmp_path / "model").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["model.checkpoint.npz"]
    if sent is signal.SIGTERM:
        return  # it continues as after Ctrl-C
    capsys.readouterr()
    assert main(words) == 0
    assert f"train epoch: resumes after {done} of 20" in capsys.readouterr().err.splitlines()
    assert load_model(tmp_path / "model").card.metrics["epochs"] == 20


def test_a_training_interrupted_before_its_first_epoch_has_written_nothing(
    ready, tmp_path, monkeypatch, capsys
):
    def fit(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("galcnn.experiment.training.fit", fit)
    assert main([*train_words(ready), "--out", str(tmp_path / "model")]) == 130
    assert capsys.readouterr().err == "galcnn: Interrupted; no file was written.\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("sent", "code"), _SIGNALS)
def test_an_interrupted_run_says_that_the_same_command_continues(sent, code, tmp_path, capsys):
    out = tmp_path / "sky"
    words = ["simulate", "-n", "400", "--size", "32", "--seed", "8", "--out", str(out)]
    script = (
        "import galcnn._runtime.progress as p, sys\n"
        "from galcnn.cli.main import main\n"
        "p._INTERVAL = 0.0\n"
        f"sys.exit(main({words}))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert re.fullmatch(r"simulate 1/400, .* left\n", process.stderr.readline())
        process.send_signal(sent)
        *_, last = process.stderr.readlines()
    assert process.returncode == code
    assert last == f"galcnn: Interrupted. The same command continues; {out} holds what is finished.\n"
    done = len(list(out.glob("cutouts/[!.]*.fits")))
    assert 1 <= done < 400
    assert not list(out.rglob("*.partial*"))


@pytest.mark.full
@pytest.mark.parametrize("after", [0, 1, 7, 23, 41, 59])
def test_simulate_killed_anywhere_goes_on_to_the_same_survey(after, tmp_path):
    out = tmp_path / "sky"
    words = kill_simulate(out, after)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("cutouts/[!.]*.fits")}
    for path in out.glob("cutouts/[!.]*.fits"):
        load_cutout(path)  # what stands is whole
    assert main(words) == 0
    catalog = read_catalog(out / "catalog.ecsv")
    assert catalog.ids == simulate_catalog(60, seed=8).ids
    for image in catalog.table["image"]:
        load_cutout(str(image))
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("cutouts/[!.]*.fits")}
    assert before.items() <= kept.items()


@pytest.mark.full
@pytest.mark.parametrize("seconds", [1.0, 3.0, 5.0, 6.5, 8.0])
def test_train_killed_anywhere_leaves_no_model_or_a_whole_one(seconds, ready, tmp_path):
    from galcnn.model import load_model

    out = tmp_path / "model"
    words = [*train_words(ready), "--out", str(out)]
    process = subprocess.Popen([sys.executable, "-m", "galcnn.cli.main", *words], stdout=subprocess.DEVNULL)
    try:
        process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(timeout=30)
    if out.exists():
        load_model(out)
    assert main(words) == 0
    load_model(out)
