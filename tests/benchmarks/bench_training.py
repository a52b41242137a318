"""A training from packed shards against a bare `model.fit` on the same images in memory."""

import tempfile
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np

from galcnn.dataset import Dataset
from galcnn.dataset.shards import PackedImages
from galcnn.model import InputSpec, assemble, build_network, fit_preprocessing
from galcnn.training import Augmentation, TrainingSettings, training_batches
from tests.benchmarks.timing import ratio

_N, _SHAPE, _BATCH, _SHARD, _EPOCHS = 1024, (64, 64, 3), 64, 256, 4


def ratios() -> dict[str, float]:
    """Four epochs of one training: 1024 images of 64 x 64 x 3 in batches of 64, the network of the defaults.

    Nothing is augmented on either side: what is timed is reading, shuffling and feeding.
    """
    rng = np.random.default_rng(0)
    images = rng.normal(size=(_N, *_SHAPE)).astype(np.float32)
    labels = rng.integers(0, 4, _N).astype(np.int32)
    targets = np.eye(4, dtype=np.float32)[labels]
    spec = InputSpec(("g", "r", "i"), "nJy", _SHAPE[:2])
    dataset = Dataset(tuple(map(str, range(_N))), images, labels, tuple("abcd"), spec)

    def model() -> keras.Model:
        made = assemble(fit_preprocessing(images), build_network(_SHAPE, 4, seed=1))
        loss = keras.losses.CategoricalCrossentropy(from_logits=True)
        made.compile(keras.optimizers.AdamW(1e-3), loss, metrics=["accuracy"])
        return made

    with tempfile.TemporaryDirectory() as folder:
        shards = []
        for number, start in enumerate(range(0, _N, _SHARD)):
            path = Path(folder) / f"{number}.npy"
            np.save(path, images[start : start + _SHARD])
            shards.append(np.load(path, mmap_mode="r"))
        packed = replace(dataset, images=PackedImages(tuple(shards), np.arange(_N)))
        settings = TrainingSettings(
            epochs=1000, batch_size=_BATCH, augmentation=Augmentation(flips=False, rotations="none")
        )
        batches = training_batches(packed, settings, seed=1)
        ours, bare, epoch = model(), model(), iter(range(0, 1000, _EPOCHS))

        def from_shards() -> None:
            stream = batches.beginning_at(next(epoch))
            ours.fit(stream, epochs=_EPOCHS, steps_per_epoch=batches.per_epoch, shuffle=False, verbose=0)

        def from_arrays() -> None:
            bare.fit(images, targets, batch_size=_BATCH, epochs=_EPOCHS, verbose=0)

        return {"train.galcnn_over_bare_keras": ratio(from_shards, from_arrays, repeats=15)}
