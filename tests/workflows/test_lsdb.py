"""LSDB: a HATS catalog classified on two workers, one of them killed, and written as HATS."""

import os
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

lsdb = pytest.importorskip("lsdb", reason="pip install 'galcnn[lsdb]' installs it")
distributed = pytest.importorskip("distributed")
pytestmark = [
    pytest.mark.full,
    # LSDB 0.11 and nested-pandas use what pandas 4 will drop.
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]


@pytest.fixture
def stars(catalog):
    table = catalog.table
    frame = pd.DataFrame({"name": catalog.ids, "alpha": table["ra"].value, "delta": table["dec"].value})
    return lsdb.from_dataframe(frame, ra_column="alpha", dec_column="delta", partition_rows=12)


def test_two_workers_and_one_is_killed(work, stars, whole, tmp_path):
    from galcnn.workflows import classify_catalog

    assert stars.npartitions > 4
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        before = client.run(os.getpid)
        found = classify_catalog(stars, work, id_column="name")

        def kill_one():
            deadline = time.monotonic() + 200
            while time.monotonic() < deadline and not list(tmp_path.rglob("*.parquet")):
                time.sleep(0.01)
            os.kill(next(iter(before.values())), signal.SIGKILL)

        killer = threading.Thread(target=kill_one)
        killer.start()
        found.write_catalog(tmp_path / "hats", catalog_name="morphology")
        killer.join()
        assert set(client.run(os.getpid).values()) != set(before.values())
    again = lsdb.open_catalog(tmp_path / "hats").compute()
    table = whole.to_pandas().set_index("id")
    assert sorted(again["name"]) == sorted(table.index)
    again = again.set_index("name").loc[table.index]
    for name in table.columns.drop(["_healpix_29"]):
        ours, theirs = again[{"ra": "alpha", "dec": "delta"}.get(name, name)], table[name]
        if name == "embedding":
            np.testing.assert_allclose(np.stack(ours), np.stack(theirs), rtol=1e-5, atol=1e-5)
        elif theirs.dtype.kind == "f":
            np.testing.assert_allclose(ours.astype(float), theirs, rtol=1e-5, atol=1e-6)
        else:
            assert list(ours) == list(theirs), name
    np.testing.assert_array_equal(
        lsdb.open_catalog(tmp_path / "hats").compute().sort_values("name").index,
        whole.to_pandas().sort_values("id")["_healpix_29"],
    )


def test_a_column_that_is_not_there(work, stars):
    from galcnn.workflows import classify_catalog

    with pytest.raises(ValueError, match="id_column='id'"):
        classify_catalog(stars, work)
