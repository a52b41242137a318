"""Classification of a catalog over its network alone, on all cores.

2,000 cutouts of 64 x 64 pixels in three bands, as FITS files and as shards, and the default network with one
orientation. Start-up is left out: galaxies before these are classified while the reader processes begin.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np

_GALAXIES, _BEFORE, _SIDE, _BANDS, _CHUNK, _REPEATS = 2000, 6000, 64, ("g", "r", "i"), 512, 3


def ratios() -> dict[str, float]:
    import keras

    from galcnn.catalog import Catalog
    from galcnn.dataset import InputFiles, pack_images
    from galcnn.dataset.sources import FromShards
    from galcnn.model import NetworkSettings
    from galcnn.pipeline.classification import open_classifier

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files, images = _files(folder / "cutouts")
        ready = open_classifier(_model(folder / "model", images, NetworkSettings(orientations=1)))
        packed = InputFiles(files)
        pack_images(packed, folder / "shards")
        catalogs = {
            "fits_catalog": _catalog(Catalog, list(files.values())),
            "shards": _catalog(Catalog, list(files.values())),
        }
        sources = {"fits_catalog": InputFiles.of(catalogs["fits_catalog"])}
        shards = FromShards(Catalog(_table(list(files))), folder / "shards")
        times = (_BEFORE + _GALAXIES) // _GALAXIES
        shards._shard_of, shards._place_of = (
            np.tile(one, times) for one in (shards._shard_of, shards._place_of)
        )
        sources["shards"] = shards
        found: dict[str, list[float]] = {"fits_catalog": [], "shards": []}
        for turn in range(_REPEATS + 1):
            start = time.perf_counter()
            ready.answering.predict(images, batch_size=256, verbose=0)
            alone = time.perf_counter() - start
            for kind, source in sources.items():
                seconds = _seconds(ready, catalogs[kind], source, folder / f"{kind}{turn}")
                if turn:  # the first builds the graphs
                    found[kind].append(seconds / alone)
        keras.backend.clear_session()
    return {f"pipeline.{kind}_over_network": median(values) for kind, values in found.items()}


def _seconds(ready, catalog, source, out: Path) -> float:
    """Return the time of the last galaxies of a run."""
    from galcnn.pipeline import run_catalog
    from galcnn.pipeline.runs import RunSettings

    times = [(0, time.perf_counter())]

    @contextmanager
    def progress(task: str, total: int, *, done: int = 0) -> Iterator[object]:
        def step(note: str = "", *, n: int = 1, log: bool = False) -> None:
            times.append((times[-1][0] + n, time.perf_counter()))

        yield step

    told = run_catalog(
        ready, catalog, source, out, settings=RunSettings(chunk=_CHUNK, readers=1), progress=progress
    )
    assert told["failed"] == 0
    begun, start = next((done, at) for done, at in times if done >= _BEFORE)
    return (times[-1][1] - start) * _GALAXIES / (times[-1][0] - begun)


def _table(ids, images=None):
    from astropy.table import QTable

    return QTable({"id": ids} | ({} if images is None else {"image": images}))


def _catalog(kind, paths):
    n = _BEFORE + _GALAXIES
    chosen = [str(paths[i % len(paths)]) for i in range(n)]
    return kind(_table([f"g{i}" for i in range(n)], chosen))


def _files(folder: Path):
    from astropy.wcs import WCS

    from galcnn.cutout import Cutout
    from galcnn.files import save_cutout

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.4 / 3600, 0.4 / 3600]
    flux = np.random.default_rng(0).normal(size=(_GALAXIES, len(_BANDS), _SIDE, _SIDE)).astype(np.float32)
    paths = {f"g{i}": folder / f"g{i}.fits" for i in range(_GALAXIES)}
    for path, planes in zip(paths.values(), flux, strict=True):
        save_cutout(Cutout(planes, _BANDS, wcs=wcs, survey="bench"), path)
    return paths, np.ascontiguousarray(np.moveaxis(flux, 1, -1))


def _model(folder: Path, images, settings) -> Path:
    from galcnn.model import (
        Card,
        InputSpec,
        TrainedModel,
        assemble,
        build_network,
        fit_preprocessing,
        save_model,
    )

    network = build_network(images.shape[1:], 3, settings=settings, seed=0)
    card = Card(("a", "b", "c"), InputSpec(_BANDS, "nJy", (_SIDE, _SIDE), 0.4))
    save_model(TrainedModel(assemble(fit_preprocessing(images[:64]), network), card), folder)
    return folder
