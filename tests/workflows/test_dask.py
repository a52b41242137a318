"""Dask: threads of this process; two processes, one of them killed; the command."""

import os
import signal
import threading
import time

import pytest

from galcnn.cli.main import main
from galcnn.pipeline import run_tasks
from galcnn.workflows import on_dask
from tests.workflows.conftest import run_words, same_rows, table_of

distributed = pytest.importorskip("distributed", reason="pip install 'galcnn[dask]' installs it")


def command(sky, out, *more):
    return main([*run_words(sky, out), *more])


def test_the_command_sends_tasks_to_a_scheduler(sky, whole, tmp_path, capsys):
    """Its workers are threads here: they load TensorFlow no second time."""
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address="127.0.0.1:0"
    ) as cluster:
        address = cluster.scheduler_address
        assert command(sky, tmp_path / "run", "--scheduler", address, "--tasks", "5") == 0
        assert "96 rows" in capsys.readouterr().out
        same_rows(table_of(tmp_path / "run"), whole)
        # A task that fails, fails the run, with its own word.
        assert command(sky, tmp_path / "other", "--scheduler", address, "--prior", "nonsense") == 2
        assert "nonsense" in capsys.readouterr().err
    assert command(sky, tmp_path / "third", "--scheduler", "tcp://127.0.0.1:1", "--workers", "2") == 2
    assert "a scheduler or workers" in capsys.readouterr().err


@pytest.mark.full
def test_the_command_starts_workers(sky, whole, tmp_path):
    assert command(sky, tmp_path / "run", "--workers", "2") == 0
    same_rows(table_of(tmp_path / "run"), whole)


@pytest.mark.full
def test_two_workers_and_one_is_killed(work, catalog, whole, tmp_path):
    out, killed = tmp_path / "run", []
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        before = client.run(os.getpid)

        def kill_one():
            deadline = time.monotonic() + 300
            while time.monotonic() < deadline and not list(out.glob("tasks/*/parts/*.parquet")):
                time.sleep(0.002)
            killed.append(next(iter(before.values())))
            os.kill(killed[0], signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        with on_dask(scheduler=cluster.scheduler_address) as engine:
            manifest = run_tasks(work, catalog, out, tasks=12, engine=engine)
        killer.join()
        client.wait_for_workers(2)
        assert killed[0] not in client.run(os.getpid).values()
    same_rows(table_of(out), whole)
    assert manifest["tasks"] == 12
