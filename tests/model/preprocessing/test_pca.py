"""Principal components of the bands: covariance, order, and back."""

import keras
import numpy as np
import pytest

from galcnn.model.preprocessing.pca import PCA, PCAWhitening
from tests.model.preprocessing.toys import MIXING, mixed, sky


def covariance(images):
    return np.cov(np.asarray(images, dtype=float).reshape(-1, images.shape[-1]).T, bias=True)


def test_whitening_gives_the_identity_covariance_on_the_training_set():
    layer = PCAWhitening()
    layer.adapt(mixed())
    assert covariance(layer(mixed())) == pytest.approx(np.eye(3), abs=1e-4)
    # Fitted once: other images are whitened by the same constants, to the noise of the sample.
    other = covariance(layer(mixed(seed=5)))
    assert other == pytest.approx(np.eye(3), abs=0.05)
    assert other != pytest.approx(np.eye(3), abs=1e-4)


def test_bands_that_are_nearly_copies_are_still_whitened_to_a_thousandth():
    """Variances of 1 to 2e-9, the ratio beyond which float32 would no longer hold."""
    one, other = sky(sigma=(1.0,)), sky(sigma=(1.0,), seed=1)
    twins = np.concatenate([one, one + np.float32(1e-4) * other], axis=-1)
    layer = PCAWhitening()
    layer.adapt(twins)
    assert covariance(layer(twins)) == pytest.approx(np.eye(2), abs=1e-3)


def test_pca_rotates_and_leaves_the_variances_of_numpy_by_decreasing_size():
    layer = PCA()
    layer.adapt(mixed())
    out = covariance(layer(mixed()))
    assert out == pytest.approx(np.diag(np.linalg.eigvalsh(covariance(mixed()))[::-1]), abs=1e-4)
    rotation = np.asarray(layer.rotation, dtype=float)
    assert rotation @ rotation.T == pytest.approx(np.eye(3), abs=1e-6)
    assert np.all(rotation.sum(axis=0) > 0)
    population = np.linalg.eigvalsh(MIXING.T.astype(float) @ MIXING)[::-1]
    assert np.diag(out) == pytest.approx(population, rel=0.05)


@pytest.mark.parametrize("kind", [PCA, PCAWhitening])
def test_rotations_can_be_undone(kind):
    layer = kind()
    layer.adapt(mixed())
    back = layer.inverse(keras.ops.convert_to_numpy(layer(mixed())))
    np.testing.assert_allclose(back, mixed(), atol=1e-4)
