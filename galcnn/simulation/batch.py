"""Many galaxies, in catalog order, on one core or several."""

from __future__ import annotations

import collections
import itertools
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import Observation
from galcnn.simulation.drawing import Exposure, as_cutout, check_shape, draw, expose
from galcnn.simulation.galaxy import Galaxy, from_catalog
from galcnn.simulation.spectra import bandpass
from galcnn.simulation.telescope import SIMULATED

#: Galaxies a task: enough that starting one costs nothing, few enough to keep all processes busy.
_CHUNK = 32


def simulate(
    catalog: Catalog,
    *,
    seed: int,
    observation: Observation = SIMULATED,
    shape: tuple[int, int] = (64, 64),
    processes: int = 1,
) -> Iterator[Cutout]:
    """Draw the galaxies of a catalog, in its order.

    The same galaxy is drawn bit by bit the same whatever the order of the catalog, the number of
    processes or the galaxies around it. Processes are spawned, so a script that asks for more
    than one needs the usual ``if __name__ == "__main__":``.

    Parameters
    ----------
    catalog : Catalog
        From `simulate_catalog` or `to_catalog`.
    seed : int
        Of noise and sub-pixel offsets.
    observation : Observation
        The telescope.
    shape : tuple of int
        Pixels (ny, nx) of each cutout.
    processes : int
        How many draw at once; 1 draws in this one.

    Returns
    -------
    iterator of Cutout
        One a row, drawn as they are asked for. At most a few dozen a process wait in memory.

    Raises
    ------
    ValueError
        The catalog lacks a column, a band has no passband, or a number makes no sense.
    ImportError
        GalSim is not installed.

    Examples
    --------
    >>> from galcnn.simulation import simulate_catalog
    >>> catalog = simulate_catalog(2, seed=1)
    >>> [cutout.meta["class"] for cutout in simulate(catalog, seed=1, shape=(16, 16))]
    ['elliptical', 'spiral']
    """
    # Checked here and not in the generator, so that an error comes at the call.
    if processes < 1:
        raise ValueError(message("at least one process", "", processes=processes))
    check_shape(shape)
    for band in observation.bands:
        bandpass(band)
    galaxies = from_catalog(catalog)
    if processes == 1 or len(galaxies) <= _CHUNK:
        return (draw(galaxy, seed=seed, observation=observation, shape=shape) for galaxy in galaxies)
    return _in_processes(galaxies, seed, observation, shape, processes)


def _in_processes(
    galaxies: Sequence[Galaxy], seed: int, observation: Observation, shape: tuple[int, int], processes: int
) -> Iterator[Cutout]:
    chunks = iter([galaxies[i : i + _CHUNK] for i in range(0, len(galaxies), _CHUNK)])
    # Spawned, never forked: a fork of a process that runs TensorFlow's threads may hang.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context, initializer=_ignore_interrupts) as pool:
        waiting: collections.deque[tuple[Sequence[Galaxy], Future[Any]]] = collections.deque()
        try:
            for chunk in itertools.islice(chunks, 2 * processes):
                waiting.append((chunk, pool.submit(_expose, chunk, seed, observation, shape)))
            while waiting:
                done, future = waiting.popleft()
                arrays = future.result()
                for chunk in itertools.islice(chunks, 1):
                    waiting.append((chunk, pool.submit(_expose, chunk, seed, observation, shape)))
                for galaxy, (flux, sigma, centre) in zip(done, arrays, strict=True):
                    yield as_cutout(galaxy, flux, sigma, centre, observation=observation, seed=seed)
        finally:
            # A caller who stops early must not wait for what nobody will read.
            pool.shutdown(wait=True, cancel_futures=True)


def _expose(
    galaxies: Sequence[Galaxy], seed: int, observation: Observation, shape: tuple[int, int]
) -> list[Exposure]:
    return [expose(galaxy, seed=seed, observation=observation, shape=shape) for galaxy in galaxies]


def _ignore_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal: the one that asked for the galaxies answers it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
