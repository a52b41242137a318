"""A full disk and a kill at any moment leave what was there, and a second run goes on."""

import contextlib
import os
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
        "--widths",
        "4",
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
