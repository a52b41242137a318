"""ceci: a real pipeline of two MPI processes, one of them killed, and resumed."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from galcnn.catalog import write_catalog
from tests.workflows.conftest import CHUNK, same_rows

pytest.importorskip("ceci", reason="pip install 'galcnn[ceci]' installs it")
pytestmark = pytest.mark.full

PIPELINE = """
modules: galcnn.workflows.ceci
launcher: {{name: mini, interval: 0.2}}
site: {{name: local, max_threads: 2}}
stages:
  - {{name: Morphology, nprocess: {processes}}}
inputs: {{galaxies: {folder}/galaxies.pq}}
config: {folder}/config.yml
output_dir: {folder}/out
log_dir: {folder}/log
resume: true
"""
CONFIG = """
global: {{}}
Morphology:
  model: {model}
  images: {images}
  embeddings: true
  chunk: {chunk}
  tasks: 8
"""


@pytest.fixture
def pipeline(sky, catalog, tmp_path):
    """Start it with so many processes."""
    write_catalog(catalog, tmp_path / "galaxies.parquet")
    (tmp_path / "galaxies.parquet").rename(tmp_path / "galaxies.pq")
    (tmp_path / "config.yml").write_text(
        CONFIG.format(model=sky / "model", images=sky / "cutouts", chunk=CHUNK)
    )
    binaries = Path(sys.executable).parent  # ceci starts the `python3` that it finds
    environment = os.environ | {
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }

    def start(processes):
        (tmp_path / "pipeline.yml").write_text(PIPELINE.format(folder=tmp_path, processes=processes))
        command = [sys.executable, "-m", "ceci.main", str(tmp_path / "pipeline.yml")]
        return subprocess.Popen(command, cwd=tmp_path, env=environment)

    return start


def test_one_process(pipeline, whole, tmp_path):
    assert pipeline(1).wait() == 0, (tmp_path / "log" / "Morphology.out").read_text()
    same_rows(pq.read_table(tmp_path / "out" / "morphology.pq"), whole)
    assert [file.name for file in (tmp_path / "out").iterdir() if file.is_dir()] == []


FAILING = """
import sys
from mpi4py import MPI
from galcnn.workflows.ceci import _together
comm = MPI.COMM_WORLD
try:
    with _together(comm):
        if comm.rank == 1:
            raise OSError("a full disk")
except (OSError, RuntimeError) as error:
    open(f"{sys.argv[1]}/{comm.rank}", "w").write(f"{type(error).__name__}: {error}")
"""


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="apt-get install openmpi-bin installs mpirun")
def test_where_one_process_fails_none_waits_for_it(tmp_path):
    pytest.importorskip("mpi4py", reason="pip install 'galcnn[ceci]' installs it")
    command = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "2", sys.executable, "-c", FAILING]
    assert subprocess.run([*command, str(tmp_path)], timeout=120, check=False).returncode == 0
    assert (tmp_path / "1").read_text() == "OSError: a full disk"
    assert (
        "RuntimeError: Expected all processes to finish. Received: failed=[1]."
        in (tmp_path / "0").read_text()
    )


@pytest.mark.skipif(shutil.which("mpirun") is None, reason="apt-get install openmpi-bin installs mpirun")
def test_two_processes_and_one_is_killed(pipeline, whole, tmp_path):
    pytest.importorskip("mpi4py", reason="pip install 'galcnn[ceci]' installs it")
    running = pipeline(2)
    deadline = time.monotonic() + 300
    while (
        running.poll() is None
        and time.monotonic() < deadline
        and not list(tmp_path.glob("out/*.run/tasks/*/manifest.json"))
    ):
        time.sleep(0.01)
    ranks = [
        process
        for process in psutil.Process(running.pid).children(recursive=True)
        if process.name().startswith("python") and "--mpi" in process.cmdline()
    ]
    assert len(ranks) == 2
    os.kill(ranks[1].pid, signal.SIGKILL)
    assert running.wait() != 0
    assert not (tmp_path / "out" / "morphology.pq").exists()
    done = len(list(tmp_path.glob("out/*.run/tasks/*/manifest.json")))
    assert 0 < done < 8
    assert pipeline(2).wait() == 0, (tmp_path / "log" / "Morphology.out").read_text()
    same_rows(pq.read_table(tmp_path / "out" / "morphology.pq"), whole)
