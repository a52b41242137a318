"""What is measured is measured in pieces, and is what NumPy finds in one."""

import numpy as np
import pytest

from galcnn.model.preprocessing.statistics import moments, pieces, sky_noise
from tests.model.preprocessing.toys import sky


def test_sky_noise_is_measured_on_the_frame_and_ignores_the_galaxy():
    images = sky()
    images[:, 8:16, 8:16] += 1e4
    # 40 images of 320 frame pixels; the MAD is 37 % efficient.
    assert sky_noise(images) == pytest.approx([2.0, 5.0], rel=0.03)


def test_moments_over_many_pieces_are_those_of_numpy():
    images = sky(n=600, size=6, sigma=(1.0, 3.0)) + np.float32(1e4)
    assert len(list(pieces(images))) == 3
    mean, covariance = moments(images)
    pixels = images.reshape(-1, 2).astype(float)
    assert mean == pytest.approx(pixels.mean(axis=0), rel=1e-12)
    assert covariance == pytest.approx(np.cov(pixels.T, bias=True), rel=1e-9)


def test_images_are_read_in_slices_and_never_all_at_once():
    class OnDisk:
        """Stands for images larger than memory: counts what is read at a time."""

        shape = (600, 24, 24, 2)
        largest = 0

        def __len__(self):
            return 600

        def __getitem__(self, rows):
            n = len(range(*rows.indices(600)))
            self.largest = max(self.largest, n)
            return sky(n=n, seed=rows.start)

    from galcnn.model import fit_preprocessing

    images = OnDisk()
    model = fit_preprocessing(images, scaling="whiten")
    assert images.largest == 256
    whole = np.concatenate([images[start : start + 256] for start in (0, 256, 512)])
    expected = fit_preprocessing(whole, scaling="whiten")
    for ours, theirs in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
