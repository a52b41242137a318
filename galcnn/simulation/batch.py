"""Draw many galaxies, in catalog order, in one process or several."""

from __future__ import annotations

import collections
import itertools
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from galcnn.catalog.formats import Galaxies, as_catalog
from galcnn.cutout import Cutout
from galcnn.errors import message, wrong_type
from galcnn.photometry import Observation
from galcnn.simulation.drawing import Exposure, as_cutout, check_shape, draw, expose
from galcnn.simulation.galaxy import Galaxy, from_catalog
from galcnn.simulation.spectra import bandpass
from galcnn.simulation.telescope import SIMULATED

#: Galaxies per task: many enough that starting a task costs little, few enough to keep processes busy.
_CHUNK = 32


def simulate(
    catalog: Galaxies,
    *,
    seed: int,
    observation: Observation = SIMULATED,
    shape: tuple[int, int] = (64, 64),
    jobs: int = 1,
) -> Iterator[Cutout]:
    """Draw the galaxies of a catalog, in its order.

    A galaxy's image is identical to the last bit, whatever the order of the catalog, the number of processes
    and the other galaxies. Processes are spawned, so a script that uses more than one needs
    ``if __name__ == "__main__":``.

    Parameters
    ----------
    catalog : Catalog, Table, DataFrame or path-like
        Catalog from `simulate_catalog` or `to_catalog`, or a table with its columns.
    seed : int
        Seed of noise and sub-pixel offsets.
    observation : Observation
        Pixel scale, bands, PSF and depth.
    shape : tuple of int
        Shape of each cutout in pixels, (ny, nx).
    jobs : int
        Number of processes; 1 draws in the calling process.

    Returns
    -------
    iterator of Cutout
        One cutout per row, drawn lazily. At most a few dozen per process wait in memory.

    Raises
    ------
    ValueError
        If the catalog lacks a column, a band has no passband, or a number is invalid.
    ImportError
        If GalSim is not installed.

    Examples
    --------
    >>> from galcnn.simulation import simulate_catalog
    >>> catalog = simulate_catalog(2, seed=1)
    >>> [cutout.meta["class"] for cutout in simulate(catalog, seed=1, shape=(16, 16))]
    ['elliptical', 'spiral']
    """
    if not isinstance(observation, Observation):
        raise wrong_type("an Observation, such as galcnn.simulation.SIMULATED", observation=observation)
    # Checked here and not in the generator, so that errors are raised at the call.
    if jobs < 1:
        raise ValueError(message("one process or more", "", jobs=jobs))
    check_shape(shape)
    for band in observation.bands:
        bandpass(band)
    galaxies = from_catalog(as_catalog(catalog))
    if jobs == 1 or len(galaxies) <= _CHUNK:
        return (draw(galaxy, seed=seed, observation=observation, shape=shape) for galaxy in galaxies)
    return _in_processes(galaxies, seed, observation, shape, jobs)


def _in_processes(
    galaxies: Sequence[Galaxy], seed: int, observation: Observation, shape: tuple[int, int], jobs: int
) -> Iterator[Cutout]:
    chunks = iter([galaxies[i : i + _CHUNK] for i in range(0, len(galaxies), _CHUNK)])
    # Spawned, never forked: forking a process with TensorFlow's threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_ignore_interrupts) as pool:
        waiting: collections.deque[tuple[Sequence[Galaxy], Future[Any]]] = collections.deque()
        try:
            for chunk in itertools.islice(chunks, 2 * jobs):
                waiting.append((chunk, pool.submit(_expose, chunk, seed, observation, shape)))
            while waiting:
                done, future = waiting.popleft()
                arrays = future.result()
                for chunk in itertools.islice(chunks, 1):
                    waiting.append((chunk, pool.submit(_expose, chunk, seed, observation, shape)))
                for galaxy, (flux, sigma, centre) in zip(done, arrays, strict=True):
                    yield as_cutout(galaxy, flux, sigma, centre, observation=observation, seed=seed)
        finally:
            # If the caller stops early, do not wait for galaxies that are no longer needed.
            pool.shutdown(wait=True, cancel_futures=True)


def _expose(
    galaxies: Sequence[Galaxy], seed: int, observation: Observation, shape: tuple[int, int]
) -> list[Exposure]:
    return [expose(galaxy, seed=seed, observation=observation, shape=shape) for galaxy in galaxies]


def _ignore_interrupts() -> None:
    """Ignore Ctrl-C, which reaches all processes of a terminal: the main process handles it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
