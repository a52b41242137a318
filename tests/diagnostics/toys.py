"""Small trainings on round and thin blobs, healthy and ill."""

import numpy as np

from galcnn.dataset import Dataset
from galcnn.diagnostics import GradientHealth
from galcnn.model import InputSpec, NetworkSettings, assemble, build_network, fit_preprocessing
from galcnn.training import Augmentation, TrainingSettings, fit, training_batches
from tests.conftest import toy_images

#: Twelve convolutions in three blocks: deep enough to vanish, small enough for a test.
DEEP = {"widths": [10, 10, 10], "depth": 4, "stem": 0, "normalization": "none", "dropout": 0.0}
SHALLOW = {"widths": [6, 8], "depth": 1, "stem": 0, "normalization": "none", "dropout": 0.0}


def sides(n=96, n_validation=40):
    images, labels = toy_images(n + n_validation, seed=4)
    spec = InputSpec(("g", "r"), "nJy", (16, 16), 0.4)
    names = tuple(f"toy{i}" for i in range(len(images)))
    data = Dataset(names, images, labels, ("round", "thin"), spec)
    return data.select(np.arange(n)), data.select(np.arange(n, n + n_validation))


def model_of(training, network, seed=0):
    settings = NetworkSettings(**{k: tuple(v) if isinstance(v, list) else v for k, v in network.items()})
    made = build_network(training.inputs.image_shape, 2, settings=settings, seed=seed)
    return assemble(fit_preprocessing(training.images), made)


def watched(network, training=None, *, seed=0, every=10, **options):
    """Train, and give the history, the callback that looked on, and the model."""
    settings = TrainingSettings(
        **{"epochs": 4, "batch_size": 16, "augmentation": Augmentation(rotations="quarter")}
        | (training or {})
    )
    data = sides()
    model = model_of(data[0], network, seed)
    first = next(iter(training_batches(data[0], settings, seed).beginning_at(0)))
    health = GradientHealth(first, every=every, **options)
    history = fit(model, *data, settings=settings, seed=seed, callbacks=[health])
    return history, health, model


def remedied(network, training, remedy):
    """Sections of an experiment with what a sign proposes."""
    sections = {"network": dict(network), "training": dict(training)}
    for key, value in remedy.items():
        section, name = key.split(".")
        sections[section][name] = value
    return sections["network"], sections["training"]
