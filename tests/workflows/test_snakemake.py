"""Snakemake: the example's workflow on two cores, one job killed, and started again."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflows.conftest import CHUNK, jobs_of, same_rows, table_of

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "workflows" / "snakemake" / "Snakefile"
SNAKEMAKE = os.environ.get("GALCNN_SNAKEMAKE") or shutil.which("snakemake")
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        not SNAKEMAKE, reason="no snakemake on PATH nor in GALCNN_SNAKEMAKE: make test-engines"
    ),
]


def test_two_jobs_and_one_is_killed(sky, whole, tmp_path):
    out = tmp_path / "run"
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    words = [f"model={sky / 'model'}", f"catalog={sky / 'catalog.ecsv'}", f"images={sky / 'cutouts'}"]
    words += [f"out={out}", "tasks=4", f"chunk={CHUNK}"]
    command = [SNAKEMAKE, "--snakefile", str(EXAMPLE), "--cores", "2", "--quiet", "--config", *words]

    def start(*more):
        return subprocess.Popen([*command, *more], cwd=tmp_path, env=environment)

    running = start("--keep-going")
    deadline = time.monotonic() + 300
    while (
        running.poll() is None
        and time.monotonic() < deadline
        and not list(out.glob("tasks/*/parts/*.parquet"))
    ):
        time.sleep(0.01)
    jobs = jobs_of(out)
    assert len(jobs) == 2
    os.kill(jobs[0].pid, signal.SIGKILL)
    assert running.wait() != 0
    assert not (out / "table.parquet").exists()
    assert 0 < len(list((tmp_path / "run.done").iterdir())) < 4
    assert start().wait() == 0
    same_rows(table_of(out), whole.drop_columns("embedding"))
