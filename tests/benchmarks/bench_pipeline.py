"""Loading and prediction at once: the slower of the two alone over the whole of `galcnn classify`.

Real FITS files of 64 x 64 pixels in three bands, a network that takes about as long for an image as
its file takes to be read: the hardest case. In a process of its own whose TensorFlow has one thread,
as if the network had a device of its own; the other core reads. `python -m
tests.benchmarks.bench_pipeline` prints what each part takes.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

_GALAXIES, _CHUNK, _SIDE, _BANDS = 1536, 64, 64, ("g", "r", "i")


def ratios() -> dict[str, float]:
    from tests.benchmarks.timing import Ratio  # scipy would be imported by every process that reads

    environment = os.environ | {"TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.bench_pipeline", "--json"],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    told = json.loads(result.stdout.splitlines()[-1])
    made = Ratio(told["value"])
    made.interval, made.cpu, made.pairs = tuple(told["interval"]), told["cpu"], told["pairs"]
    return {"pipeline.slower_alone_over_galcnn": made}


def _measured(say: Callable[[str], object]) -> Any:
    from galcnn.catalog import Catalog
    from galcnn.dataset import InputFiles
    from galcnn.pipeline import classify_batch, run_catalog
    from galcnn.pipeline.classification import open_classifier
    from galcnn.pipeline.runs import RunSettings
    from tests.benchmarks.timing import ratio

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        catalog = Catalog(_files(folder / "cutouts"))
        _model(folder / "model")
        ready, source = open_classifier(folder / "model"), InputFiles.of(catalog, folder / "cutouts")
        chunks = [range(start, start + _CHUNK) for start in range(0, _GALAXIES, _CHUNK)]
        held, numbers = [source.read(rows) for rows in chunks], iter(range(10**6))

        def load() -> None:
            for rows in chunks:
                source.read(rows)

        def predict() -> None:
            for rows, cutouts in zip(chunks, held, strict=True):
                classify_batch(ready, cutouts, catalog.ids[rows.start : rows.stop])

        def run() -> None:
            settings = RunSettings(chunk=_CHUNK, readers=1)
            told = run_catalog(ready, catalog, source, folder / f"{next(numbers)}", settings=settings)
            assert told["failed"] == 0

        alone = {}
        for part in (load, predict, run):
            part()
            start = time.perf_counter()
            part()
            alone[part] = time.perf_counter() - start
            say(f"{part.__name__:<8} {_GALAXIES / alone[part]:7.0f} galaxies a second")
        slower = load if alone[load] > alone[predict] else predict
        return ratio(slower, run, repeats=4)


def _files(folder: Path):
    from astropy.table import QTable
    from astropy.wcs import WCS

    from galcnn.cutout import Cutout
    from galcnn.files import save_cutout

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.4 / 3600, 0.4 / 3600]
    rng = np.random.default_rng(0)
    ids = [f"g{i}" for i in range(_GALAXIES)]
    for galaxy in ids:
        flux = rng.normal(size=(len(_BANDS), _SIDE, _SIDE)).astype(np.float32)
        save_cutout(Cutout(flux, _BANDS, wcs=wcs, survey="bench"), folder / f"{galaxy}.fits")
    return QTable({"id": ids})


def _model(folder: Path) -> None:
    from galcnn.model import (
        Card,
        InputSpec,
        NetworkSettings,
        TrainedModel,
        assemble,
        build_network,
        fit_preprocessing,
        save_model,
    )

    images = np.random.default_rng(1).normal(size=(64, _SIDE, _SIDE, len(_BANDS))).astype(np.float32)
    settings = NetworkSettings(widths=(32, 32, 64), depth=2)
    model = assemble(fit_preprocessing(images), build_network(images.shape[1:], 3, settings=settings, seed=0))
    card = Card(("a", "b", "c"), InputSpec(_BANDS, "nJy", (_SIDE, _SIDE), 0.4))
    save_model(TrainedModel(model, card), folder)


if __name__ == "__main__":
    shown = "--json" not in sys.argv
    found = _measured(print if shown else lambda text: None)
    if shown:
        print(f"pipeline.slower_alone_over_galcnn {found:.3f}  90 % {found.interval}")  # noqa: T201
    else:
        told = {"value": found, "interval": found.interval, "cpu": found.cpu, "pairs": found.pairs}
        print(json.dumps(told))  # noqa: T201
