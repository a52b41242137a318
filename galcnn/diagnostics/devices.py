"""Check of a device: a short training there and on the CPU must give the same losses."""

from __future__ import annotations

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from astropy.table import Table

from galcnn.dataset import Dataset
from galcnn.model import (
    DeviceSettings,
    InputSpec,
    NetworkSettings,
    assemble,
    build_network,
    fit_preprocessing,
)
from galcnn.model.devices import devices_used, make_strategy
from galcnn.training import Augmentation, TrainingSettings, fit

#: Largest relative difference of the losses in float32; ten times as much in half precision.
TOLERANCE = 0.02
_SIZE, _IMAGES, _EPOCHS, _CLASSES = 32, 256, 3, 2


def check_devices(settings: DeviceSettings, *, precision: str = "float32") -> Table:
    """Train a small network on the CPU in float32 and on the given devices, and compare the losses."""
    checked = make_strategy(settings)  # first, since it may split the CPU into logical devices
    dataset = _blobs()
    rows = [
        _row(make_strategy(DeviceSettings("cpu")), dataset, "float32"),
        _row(checked, dataset, precision),
    ]
    losses = np.array([[row[f"loss_{epoch + 1}"] for epoch in range(_EPOCHS)] for row in rows], dtype=float)
    difference = float(np.max(np.abs(losses[1] / losses[0] - 1)))
    table = Table(rows)
    limit = TOLERANCE * (1 if precision == "float32" else 10)
    table.meta |= {"difference": difference, "agree": difference <= limit, "limit": limit}
    return table


def _row(strategy: tf.distribute.Strategy, dataset: Dataset, precision: str) -> dict[str, object]:
    training, validation = dataset.select(np.arange(192)), dataset.select(np.arange(192, _IMAGES))
    # No dropout, since each device draws its own.
    network = NetworkSettings(
        widths=(16, 32),
        dropout=0,
        precision=precision,  # type: ignore[arg-type]
        synchronized=strategy.num_replicas_in_sync > 1,
    )
    settings = TrainingSettings(
        epochs=_EPOCHS, batch_size=32, augmentation=Augmentation(rotations="quarter"), patience=None
    )
    clock = _Clock()
    with strategy.scope():
        model = assemble(
            fit_preprocessing(training.images),
            build_network(dataset.inputs.image_shape, _CLASSES, settings=network, seed=1),
        )
        history = fit(model, training, validation, settings=settings, seed=1, callbacks=[clock])
    where = model.trainable_weights[0].value
    places = [part.device for part in getattr(where, "values", (where,))]
    row: dict[str, object] = {
        "devices": ", ".join(devices_used(strategy)["devices"]),
        "weights_on": ", ".join(":".join(place.split(":")[-2:]) for place in places),
        "precision": precision,
    }
    row |= {f"loss_{epoch + 1}": round(float(loss), 5) for epoch, loss in enumerate(history["loss"])}
    return row | {"milliseconds": round(1e3 * clock.per_batch, 2)}


class _Clock(keras.callbacks.Callback):
    """Measure the seconds per batch in the last epoch, after all tracing."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        super().__init__()
        self.now, self.per_batch, self.times = now, float("nan"), [0.0]

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        del epoch, logs
        self.times = []

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        del batch, logs
        self.times.append(self.now())

    def on_train_end(self, logs: object = None) -> None:
        del logs
        self.per_batch = float(np.median(np.diff(self.times)))


def _blobs() -> Dataset:
    """Simulate round and elongated sources in noise, in three bands."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:_SIZE, :_SIZE] - (_SIZE - 1) / 2
    labels = np.arange(_IMAGES, dtype=np.int32) % _CLASSES
    images = rng.normal(0, 3, (_IMAGES, _SIZE, _SIZE, 3)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        light = np.exp(-(x**2) / 20 - y**2 / (20 if label else 120))
        image += (light[..., np.newaxis] * rng.uniform(50, 200, 3)).astype(np.float32)
    ids = tuple(f"blob{i}" for i in range(_IMAGES))
    return Dataset(ids, images, labels, ("long", "round"), InputSpec(("g", "r", "i"), "nJy", (_SIZE, _SIZE)))
