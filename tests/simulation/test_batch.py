"""The same galaxy whatever the order, the batch or the number of processes."""

import multiprocessing
import subprocess
import sys

import numpy as np
import pytest

from galcnn.simulation import SIMULATED, draw, from_catalog, simulate, simulate_catalog


@pytest.fixture(scope="module")
def catalog():
    return simulate_catalog(70, seed=8)


@pytest.fixture(scope="module")
def serial(catalog):
    return list(simulate(catalog, seed=2, shape=(32, 32)))


def same(a, b):
    return (
        np.array_equal(a.flux, b.flux)
        and np.array_equal(a.sigma, b.sigma)
        and np.array_equal(a.psf, b.psf)
        and a.meta == b.meta
        and a.redshift == b.redshift
        and a.wcs.to_header_string() == b.wcs.to_header_string()
    )


def test_cutouts_come_in_catalog_order(catalog, serial):
    assert [cutout.meta["id"] for cutout in serial] == catalog.ids


def test_order_and_batch_change_nothing(catalog, serial):
    rows = np.random.default_rng(0).permutation(70)[:20]
    shuffled = list(simulate(catalog.select(rows), seed=2, shape=(32, 32)))
    assert all(same(cutout, serial[row]) for cutout, row in zip(shuffled, rows, strict=True))
    alone = draw(from_catalog(catalog)[17], seed=2, shape=(32, 32))
    assert same(alone, serial[17])


def test_the_number_of_processes_changes_nothing(catalog, serial):
    spread = list(simulate(catalog, seed=2, shape=(32, 32), jobs=2))
    assert len(spread) == 70
    assert all(same(a, b) for a, b in zip(spread, serial, strict=True))


def test_stopping_early_leaves_no_process_behind(catalog, serial):
    stream = simulate(catalog, seed=2, shape=(32, 32), jobs=2)
    assert same(next(stream), serial[0])
    assert multiprocessing.active_children()
    stream.close()
    assert not multiprocessing.active_children()


def test_a_worker_does_not_import_tensorflow():
    code = (
        "import sys\n"
        "from galcnn.simulation import SIMULATED, batch, from_catalog, simulate_catalog\n"
        "galaxies = from_catalog(simulate_catalog(1, seed=1))\n"
        "batch._expose(galaxies, 1, SIMULATED, (8, 8))\n"
        "print([m for m in ('keras', 'tensorflow', 'galsim') if m in sys.modules])\n"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['galsim']"


def test_errors_come_at_the_call(catalog):
    with pytest.raises(ValueError, match="one process or more"):
        simulate(catalog, seed=1, jobs=0)
    with pytest.raises(ValueError, match="two positive whole numbers"):
        simulate(catalog, seed=1, shape=(0, 3))
    from dataclasses import replace

    with pytest.raises(ValueError, match="bands among"):
        simulate(catalog, seed=1, observation=replace(SIMULATED, bands=("g", "r", "VIS")))
