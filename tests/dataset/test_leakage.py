"""What stands in two splits is found: by name, by pixels, or as a copy turned and mirrored."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, rotate

from galcnn.dataset import Dataset
from galcnn.dataset.leakage import near_duplicates, shared_images
from galcnn.model import InputSpec
from tests.conftest import toy_images


@pytest.fixture(scope="module")
def sides():
    images, labels = toy_images(240, seed=2, size=64)
    images = gaussian_filter(images, (0, 2, 2, 0))  # a PSF: pixels of real images are not independent
    spec = InputSpec(("g", "r"), "nJy", (64, 64), 0.4)
    data = Dataset(tuple(f"g{i}" for i in range(240)), images, labels, ("round", "thin"), spec)
    return {"train": data.select(range(160)), "test": data.select(range(160, 240))}


def planted(sides, row, image, name="copy"):
    """The training set with another image, and name, in one row."""
    train = sides["train"]
    images, ids = train.images.copy(), list(train.ids)
    images[row], ids[row] = image, name
    return {**sides, "train": replace(train, images=images, ids=tuple(ids))}


def test_different_galaxies_are_no_pairs(sides):
    assert shared_images(sides) == []
    assert near_duplicates(sides) == []


def test_a_name_or_the_same_pixels_in_two_splits_are_found(sides):
    stolen = sides["test"].images[7]
    (pair,) = shared_images(planted(sides, 3, stolen))
    assert (pair.id, pair.other_id, pair.split, pair.other_split) == ("copy", "g167", "train", "test")
    (pair,) = shared_images(planted(sides, 3, sides["train"].images[3], name="g167"))
    assert pair.id == pair.other_id == "g167"


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
@pytest.mark.parametrize("mirrored", [False, True])
def test_turned_and_mirrored_copies_are_found_exactly(sides, turns, mirrored):
    image = np.rot90(sides["test"].images[11], turns)
    image = image[:, ::-1] if mirrored else image
    (pair,) = near_duplicates(planted(sides, 5, image))
    assert (pair.id, pair.other_id) == ("copy", "g171")
    assert pair.likeness == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("angle", [30, 101, 222.5])
def test_a_copy_turned_by_any_angle_and_fainter_on_brighter_sky_is_found(sides, angle):
    image = rotate(sides["test"].images[20], angle, reshape=False, order=1, mode="nearest")
    (pair,) = near_duplicates(planted(sides, 5, 0.3 * image + 5))
    assert (pair.id, pair.other_id) == ("copy", "g180")


def test_half_a_turn_is_looked_at_like_all_others():
    # One odd wave on each ring: the opposite image is the same one, turned by 180 degrees, and no less alike.
    y, x = np.mgrid[:33, :33] - 16.0
    images = np.random.default_rng(4).normal(size=(12, 33, 33, 1)).astype(np.float32)
    images[0, ..., 0] = np.cos(3 * np.arctan2(y, x))
    images[1] = -images[0]
    (pair,) = near_duplicates(split(images))
    assert (pair.id, pair.other_id) == ("g0", "g1")
    assert pair.likeness == pytest.approx(1, abs=1e-5)


def test_images_without_structure_are_like_nothing():
    assert near_duplicates(split(np.ones((4, 16, 16, 1), np.float32)), limit=0.0) == []


def split(images):
    """Images with an even number on one side, the others on the other."""
    n = len(images)
    spec = InputSpec(("r",), "nJy", images.shape[1:3], None)
    data = Dataset(tuple(f"g{i}" for i in range(n)), images, np.arange(n) // 2 % 2, ("a", "b"), spec)
    return {"even": data.select(range(0, n, 2)), "odd": data.select(range(1, n, 2))}
