"""Memory of a calibration on N galaxies beside TensorFlow's own: flat, whatever N.

`python -m tests.benchmarks.run_calibration_memory 100000` prints the peak in megabytes: pictures of 96 x 96
pixels in shards, 70 % of them for training, and a tiny network. The peak of all memory counts, pages of
the shards included.
"""

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.run_memory import _status

_SIDE, _SHARD = 96, 512


def measured(n: int) -> tuple[float, float]:
    """Peak in megabytes beyond TensorFlow with its network, and seconds."""
    from galcnn.experiment.settings import CalibrationSettings
    from galcnn.experiment.uncertainty import measure_uncertainty
    from galcnn.model.bundle import with_embedding

    with tempfile.TemporaryDirectory() as name:
        trained, prepared = _experiment(Path(name), n)
        images = np.zeros((256, _SIDE, _SIDE, 3), dtype=np.float32)
        with_embedding(trained).predict(images, batch_size=256, verbose=0)
        before, start = _status("VmHWM"), time.monotonic()
        record = measure_uncertainty(trained, prepared, CalibrationSettings()).record
        assert record.measured["n_test"] == len(prepared.sides["test"])
        return _status("VmHWM") - before, time.monotonic() - start


def _experiment(folder: Path, n: int):  # type: ignore[no-untyped-def]
    """A network that was not trained, and galaxies in shards that are one file under many names."""
    from astropy.table import QTable

    from galcnn.catalog import Catalog
    from galcnn.dataset import Dataset
    from galcnn.dataset.shards import PackedImages
    from galcnn.experiment import Experiment
    from galcnn.experiment.data import ExperimentData
    from galcnn.experiment.settings import DataSettings
    from galcnn.model import (
        Card,
        InputSpec,
        NetworkSettings,
        TrainedModel,
        assemble,
        build_network,
        fit_preprocessing,
    )

    rng = np.random.default_rng(0)
    shape = (_SIDE, _SIDE, 3)
    np.save(folder / "0.npy", rng.integers(0, 256, (_SHARD, *shape), dtype=np.uint8))
    shards = []
    for number in range(-(-n // _SHARD)):
        if number:
            os.link(folder / "0.npy", folder / f"{number}.npy")
        shards.append(np.load(folder / f"{number}.npy", mmap_mode="r"))
    classes, spec = ("a", "b", "c"), InputSpec(("R", "G", "B"), "display", shape[:2])
    ids = tuple(f"galaxy-{i:09d}" for i in range(n))
    dataset = Dataset(
        ids, PackedImages(tuple(shards), np.arange(n)), np.arange(n, dtype=np.int32) % 3, classes, spec
    )
    split = np.array(["train", "validation", "test"])[np.digitize(rng.random(n), [0.7, 0.85])]
    sides = {side: dataset.select(split == side) for side in ("train", "validation", "test")}
    network = build_network(shape, 3, settings=NetworkSettings(widths=(8,), depth=1), seed=0)
    prior = dict.fromkeys(classes, 1 / 3)
    card = Card(classes, spec, class_prior=prior, trained_prior=prior)
    trained = TrainedModel(assemble(fit_preprocessing(dataset.images[:64]), network), card)
    experiment = Experiment(DataSettings("catalog.ecsv"))
    return trained, ExperimentData(experiment, Catalog(QTable({"id": ids})), dataset, sides)


if __name__ == "__main__":
    for word in sys.argv[1:]:
        print(f"{word:>9}  {'%8.1f MB  %8.1f s' % measured(int(word))}", flush=True)  # noqa: T201, UP031
