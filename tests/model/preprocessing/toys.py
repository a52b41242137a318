"""Images of known noise, mean and covariance."""

import numpy as np


def sky(n=40, size=24, sigma=(2.0, 5.0), seed=0):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, size, size, len(sigma))) * np.array(sigma)).astype("float32")


#: Bands that share most of their light, as those of galaxies do.
MIXING = np.array([[3, 1, 0], [0, 1, 2], [0, 0, 0.5]], "float32")


def mixed(seed=0):
    return sky(sigma=(1, 1, 1), seed=seed) @ MIXING + np.float32(7)
