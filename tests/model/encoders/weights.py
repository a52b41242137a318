"""Random weights for networks of timm, the same on every machine; needs neither torch nor TensorFlow."""

import zlib

import numpy as np

#: Two images of an odd size, with values from 0 to 1.
SIZE = (2, 97, 101)


def images(bands):
    """Return images of shape (2, 97, 101, bands)."""
    return np.random.default_rng(bands).random((*SIZE, bands)).astype(np.float32)


def state(shapes):
    """Return weights by their names in timm, such that each layer keeps the size of its input."""
    return {name: _values(name, shape) for name, shape in shapes.items()}


def _values(name, shape):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if not shape:
        return np.array(7, np.int64)  # num_batches_tracked
    if name.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif name.endswith("weight") and len(shape) > 1:
        values = rng.normal(0, np.prod(shape[1:]) ** -0.5, shape)
    elif name.endswith(("weight", "gamma")):
        values = rng.uniform(0.3, 1.2, shape)
    else:  # bias, running_mean
        values = rng.normal(0, 0.1, shape)
    return values.astype(np.float32)
