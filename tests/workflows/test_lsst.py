"""LSST: a butler of four patches, `pipetask run` on two processes, one of them killed, and again."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from astropy.table import Table

from tests.conftest import toy_images
from tests.workflows.conftest import CHUNK, N

pytest.importorskip("lsst.ctrl.mpexec", reason="pip install 'galcnn[lsst]' installs it, in a venv of its own")
pytestmark = pytest.mark.full

PATCHES = 4
PIPELINE = """
description: Morphology of galaxies
tasks:
  morphology:
    class: galcnn.workflows.MorphologyTask
    config:
      model: {model}
      embeddings: true
      chunk: {chunk}
"""


@pytest.fixture
def repository(sky, catalog, tmp_path):
    """A butler with the galaxies and their cutouts, the missing one without a finite pixel."""
    from lsst.daf.butler import Butler, DatasetType

    place = tmp_path / "repo"
    Butler.makeRepo(str(place))
    images = np.moveaxis(toy_images(N, seed=8)[0], -1, 1)
    with Butler.from_config(str(place), writeable=True, run="inputs") as butler:
        registry = butler.registry
        registry.insertDimensionData(
            "skymap",
            {"name": "toy", "hash": b"0" * 20, "tract_max": 1, "patch_nx_max": PATCHES, "patch_ny_max": 1},
        )
        registry.insertDimensionData("tract", {"skymap": "toy", "id": 0})
        dimensions = butler.dimensions.conform(("tract", "patch", "skymap"))
        for name, storage in (("galaxies", "ArrowAstropy"), ("galaxy_cutouts", "NumpyArray")):
            registry.registerDatasetType(DatasetType(name, dimensions, storage))
        for patch, rows in enumerate(np.array_split(np.arange(N), PATCHES)):
            registry.insertDimensionData(
                "patch", {"skymap": "toy", "tract": 0, "id": patch, "cell_x": patch, "cell_y": 0}
            )
            table = Table({"objectId": [catalog.ids[row] for row in rows]})
            table["coord_ra"], table["coord_dec"] = (
                catalog.table["ra"][rows].value,
                catalog.table["dec"][rows].value,
            )
            where = {"skymap": "toy", "tract": 0, "patch": patch}
            butler.put(table, "galaxies", where)
            butler.put(images[rows], "galaxy_cutouts", where)
    (tmp_path / "pipeline.yaml").write_text(PIPELINE.format(model=sky / "model", chunk=CHUNK))
    return place


def test_two_processes_and_one_is_killed(repository, whole, tmp_path):
    from lsst.daf.butler import Butler

    command = [str(Path(sys.executable).parent / "pipetask"), "run", "-b", str(repository), "-i", "inputs"]
    command += [
        "-o",
        "morphology",
        "-p",
        str(tmp_path / "pipeline.yaml"),
        "-j",
        "2",
        "--register-dataset-types",
    ]
    running = subprocess.Popen(command)
    deadline = time.monotonic() + 400
    workers = []
    while running.poll() is None and time.monotonic() < deadline and not workers:
        time.sleep(0.05)
        children = psutil.Process(running.pid).children(recursive=True)
        workers = [child for child in children if child.memory_info().rss > 2 * 10**8]  # with TensorFlow
    # Killed before any table is written: one that has written its own would leave nothing to do again.
    assert not list(repository.rglob("*galaxy_morphology*.parq"))
    os.kill(workers[0].pid, signal.SIGKILL)
    assert running.wait() != 0
    again = [*command, "--extend-run", "--skip-existing"]
    assert subprocess.run(again, check=False).returncode == 0
    with Butler.from_config(str(repository), collections="morphology") as butler:
        tables = [
            butler.get("galaxy_morphology", skymap="toy", tract=0, patch=patch).to_pandas()
            for patch in range(PATCHES)
        ]
    found = {name: [value for table in tables for value in table[name]] for name in tables[0].columns}
    theirs = whole.to_pandas()
    assert found["id"] == list(theirs["id"])
    good = (theirs["flag"] == 0).to_numpy()  # of the others the files were missing or too large: not so here
    for name in theirs.columns.drop(["id"]):
        ours = [value for value, use in zip(found[name], good, strict=True) if use]
        if theirs[name].dtype.kind in "fO" and name not in ("class", "reason"):
            np.testing.assert_allclose(np.stack(ours), np.stack(theirs[name][good]), rtol=1e-5, atol=1e-5)
        else:
            assert ours == list(theirs[name][good])
