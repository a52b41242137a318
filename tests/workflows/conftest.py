"""A sky of toy galaxies, one missing and one too large, and the table of a single process."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from galcnn.catalog import read_catalog
from galcnn.dataset import SourceSettings
from galcnn.pipeline import ClassifySettings, Work
from tests.conftest import toy_images, write_toy_sky

N, CHUNK = 96, 4


@pytest.fixture(scope="session")
def sky(trained, tmp_path_factory):
    """Folder with ``model``, ``cutouts`` and ``catalog.ecsv``."""
    from galcnn.model import save_model

    folder = tmp_path_factory.mktemp("engines")
    save_model(trained, folder / "model")
    rng = np.random.default_rng(0)
    positions = rng.uniform(140, 160, N), rng.uniform(-10, 10, N)
    write_toy_sky(folder, toy_images(N, seed=8)[0], positions)
    return folder


@pytest.fixture(scope="session")
def catalog(sky):
    return read_catalog(sky / "catalog.ecsv")


@pytest.fixture(scope="session")
def work(sky):
    source = SourceSettings(str(sky / "cutouts"))
    return Work((str(sky / "model"),), source, ClassifySettings(embeddings=True), CHUNK)


@pytest.fixture(scope="session")
def whole(work, catalog, tmp_path_factory):
    """What a single process writes."""
    from galcnn.pipeline import run_catalog
    from galcnn.pipeline.runs import RunSettings

    folder = tmp_path_factory.mktemp("whole") / "run"
    with work.source.open(catalog) as source:
        run_catalog(work.models, catalog, source, folder, settings=RunSettings(work.classify, CHUNK))
    return pq.read_table(folder / "table.parquet")


def same_rows(found, whole, *, bits=True):
    """Every row once, in order, with the same answer: to the last bit where the batches were the same."""
    assert found.schema.equals(whole.schema)
    for name in whole.column_names:
        ours, theirs = (np.array(table[name].to_pylist()) for table in (found, whole))
        if bits or theirs.dtype.kind != "f":
            np.testing.assert_array_equal(ours, theirs, err_msg=name)
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6, err_msg=name)


def run_words(sky, out):
    """The command of the run that `whole` is of."""
    words = ["classify", str(sky / "model"), "--catalog", str(sky / "catalog.ecsv")]
    words += ["--images", str(sky / "cutouts"), "--embeddings", "--chunk", str(CHUNK)]
    return [*words, "--out", str(out), "--quiet"]


def table_of(folder):
    return pq.read_table(Path(folder) / "table.parquet")


def jobs_of(out):
    """Processes of `galcnn classify --task` that write to a folder."""
    import psutil

    lines = [(process, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    return [process for process, words in lines if str(out) in words and "--task" in words]
