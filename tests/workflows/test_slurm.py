"""Slurm: an array on a real controller and node (started by slurm/run.sh), one of its tasks killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.workflows.conftest import CHUNK, jobs_of, same_rows, table_of

SUBMIT = Path(__file__).resolve().parents[2] / "examples" / "workflows" / "slurm" / "submit.sh"
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(
        "GALCNN_SLURM" not in os.environ, reason="no Slurm is running here: make test-engines"
    ),
]


def test_an_array_of_which_a_task_is_killed(sky, whole, tmp_path):
    out = tmp_path / "run"
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "CHUNK": str(CHUNK),
        "SBATCH_OUTPUT": str(tmp_path / "%A_%a.out"),
    }
    arguments = [str(sky / "model"), str(sky / "catalog.ecsv"), str(sky / "cutouts"), str(out), "4"]
    said = subprocess.run(
        [SUBMIT, *arguments], cwd=tmp_path, env=environment, check=True, capture_output=True, text=True
    )
    join = said.stdout.strip()
    deadline = time.monotonic() + 500
    while time.monotonic() < deadline and not list(out.glob("tasks/*/parts/*.parquet")):
        time.sleep(0.01)
    killed = jobs_of(out)
    assert len(killed) == 2
    os.kill(killed[0].pid, signal.SIGKILL)
    states = set()
    while time.monotonic() < deadline:
        shown = subprocess.run(["scontrol", "show", "job", join], capture_output=True, text=True, check=True)
        state = shown.stdout.split("JobState=")[1].split()[0]
        states.add(state)
        if state not in ("PENDING", "RUNNING", "COMPLETING"):
            break
        time.sleep(0.5)
    assert state == "COMPLETED", "\n".join(file.read_text() for file in tmp_path.glob("*.out"))
    assert len(list(tmp_path.glob("*.out"))) == 5  # four tasks and the join
    same_rows(table_of(out), whole.drop_columns("embedding"))
