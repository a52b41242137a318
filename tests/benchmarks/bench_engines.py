"""Tasks on Dask: two workers against one, many small tasks against a large one, and one that is empty."""

import os
import tempfile
from pathlib import Path

import numpy as np
from astropy.table import QTable
from distributed import Client, LocalCluster

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.files import save_cutout
from galcnn.pipeline import ClassifySettings, Work, run_tasks
from galcnn.workflows import on_dask
from tests.benchmarks.timing import ratio

_GALAXIES, _CHUNK, _SIDE, _EMPTY = 1024, 32, 64, 100


def _sky(folder: Path) -> tuple[Work, Catalog]:
    """A network that was not trained, and files that serve several galaxies each."""
    from galcnn.model import (
        Card,
        InputSpec,
        TrainedModel,
        assemble,
        build_network,
        fit_preprocessing,
        save_model,
    )

    draws = np.random.default_rng(0).normal(size=(128, 3, _SIDE, _SIDE)).astype(np.float32)
    files = [folder / f"{i}.fits" for i in range(len(draws))]
    for file, planes in zip(files, draws, strict=True):
        save_cutout(Cutout(planes, ("g", "r", "i")), file)
    shape = (_SIDE, _SIDE, 3)
    model = assemble(fit_preprocessing(np.moveaxis(draws, 1, -1)), build_network(shape, 2, seed=0))
    card = Card(("round", "thin"), InputSpec(("g", "r", "i"), "nJy", shape[:2]))
    save_model(TrainedModel(model, card), folder / "model")
    table = QTable({"id": [str(i) for i in range(_GALAXIES)]})
    table["image"] = [str(files[i % len(files)]) for i in range(_GALAXIES)]
    return Work((str(folder / "model"),), classify=ClassifySettings(), chunk=_CHUNK), Catalog(table)


def _pin(client: Client) -> None:
    """A core a worker, as on a cluster: its reading thread would take a part of a second one."""
    for core, worker in zip(sorted(os.sched_getaffinity(0)), client.nthreads(), strict=False):
        client.run(_stay, core, workers=[worker])


def _stay(core: int) -> None:
    for thread in Path("/proc/self/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def ratios() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as place:
        work, catalog = _sky(Path(place))
        turns = iter(range(10**6))

        def run(engine: object, tasks: int) -> None:
            run_tasks(work, catalog, Path(place) / f"run{next(turns)}", tasks=tasks, engine=engine)

        one_, two_ = (
            LocalCluster(n_workers=n, threads_per_worker=1, dashboard_address="127.0.0.1:0") for n in (1, 2)
        )
        with (
            one_,
            two_,
            on_dask(scheduler=one_.scheduler_address) as one,
            on_dask(scheduler=two_.scheduler_address) as two,
            Client(one_) as client,
            Client(two_) as both,
        ):
            _pin(client)
            _pin(both)

            def nothing() -> None:
                for _ in range(_EMPTY):
                    client.submit(int, pure=False).result()

            shares = ratio(nothing, lambda: run(one, 8), 5)
            return {
                "engines.one_worker_over_two": ratio(lambda: run(one, 8), lambda: run(two, 8), 5),
                "engines.tasks_of_a_chunk_over_one_task": ratio(lambda: run(one, 32), lambda: run(one, 1), 5),
                "engines.empty_task_over_galaxy": shares / _EMPTY * _GALAXIES,
            }
