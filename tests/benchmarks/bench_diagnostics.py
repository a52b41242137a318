"""A training whose gradients are looked at, at the default cadence, against the same training without."""

import numpy as np

from galcnn.dataset import Dataset
from galcnn.diagnostics import GradientHealth
from galcnn.model import InputSpec, assemble, build_network, fit_preprocessing
from galcnn.training import Augmentation, TrainingSettings, training_batches
from galcnn.training.training import compile_model
from tests.benchmarks.timing import ratio

_N, _SHAPE, _BATCH = 1600, (32, 32, 3), 16


def ratios() -> dict[str, float]:
    """100 updates of 16 images of 32 x 32 x 3, the network of the defaults: two looks in each.

    Tracing and the looks at the start are aside: they are done in the round of warm-up.
    """
    rng = np.random.default_rng(0)
    images = rng.normal(size=(_N, *_SHAPE)).astype(np.float32)
    labels = rng.integers(0, 4, _N).astype(np.int32)
    spec = InputSpec(("g", "r", "i"), "nJy", _SHAPE[:2])
    dataset = Dataset(tuple(map(str, range(_N))), images, labels, tuple("abcd"), spec)
    settings = TrainingSettings(
        epochs=1000, batch_size=_BATCH, augmentation=Augmentation(flips=False, rotations="none")
    )
    batches = training_batches(dataset, settings, seed=1)
    first = next(iter(batches.beginning_at(0)))

    def trained(callbacks: list[GradientHealth]):
        model = assemble(fit_preprocessing(images), build_network(_SHAPE, 4, seed=1))
        compile_model(model, batches, settings)

        def run() -> None:
            model.fit(
                batches.beginning_at(0),
                epochs=1,
                steps_per_epoch=batches.updates_per_epoch,
                callbacks=callbacks,
                shuffle=False,
                verbose=0,
            )

        return run

    return {"train.health_overhead": ratio(trained([_Looking(first)]), trained([]), repeats=9)}


class _Looking(GradientHealth):
    """`fit` is called again and again: the function is traced once, as in one long training."""

    def on_train_begin(self, logs=None) -> None:
        if not self.rows:
            super().on_train_begin(logs)
