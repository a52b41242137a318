"""Orientations are drawn evenly, keep every pixel, and never tell a galaxy the wrong class."""

import numpy as np
import pytest
import tensorflow as tf

from galcnn.training import Augmentation
from galcnn.training.augmentation import is_chiral

IMAGE = np.arange(16, dtype="float32").reshape(4, 4)


def turned(augmentation, n=800, classes=("x", "y"), label=0, image=IMAGE, seed=(1, 2)):
    images = np.repeat(image[np.newaxis, ..., np.newaxis], n, axis=0)
    labels = np.full(n, label, dtype=np.int32)
    out, kinds = augmentation.apply(
        tf.constant(images),
        tf.constant(labels),
        tf.constant(augmentation.mirror_of(classes)),
        tf.constant(seed),
    )
    return out.numpy()[..., 0], kinds.numpy()


def kinds_of(images):
    return {image.tobytes() for image in images}


ROTATIONS = [np.rot90(IMAGE, k) for k in range(4)]
MIRRORS = [np.rot90(IMAGE[:, ::-1], k) for k in range(4)]


@pytest.mark.parametrize(
    ("augmentation", "expected"),
    [
        (Augmentation(flips=True, rotations="quarter"), ROTATIONS + MIRRORS),
        (Augmentation(flips=False, rotations="quarter"), ROTATIONS),
        (Augmentation(flips=True, rotations="none"), [IMAGE, IMAGE[::-1], IMAGE[:, ::-1], IMAGE[::-1, ::-1]]),
        (Augmentation(flips=False, rotations="none"), [IMAGE]),
    ],
)
def test_each_orientation_is_drawn_equally_often_and_no_other(augmentation, expected):
    images, _ = turned(augmentation)
    wanted = [np.ascontiguousarray(e).tobytes() for e in expected]
    assert kinds_of(images) == set(wanted)
    drawn = [image.tobytes() for image in images]
    counts = [drawn.count(w) for w in wanted]
    p = 1 / len(wanted)
    assert max(abs(c - 800 * p) for c in counts) <= 4 * np.sqrt(800 * p * (1 - p)) + 1e-9


def test_the_draw_depends_on_the_seed_alone():
    a, b, c = (turned(Augmentation(), seed=s)[0] for s in ((1, 2), (1, 2), (3, 4)))
    assert np.array_equal(a, b)
    assert not np.array_equal(a, c)


def test_a_mirror_swaps_the_sense_of_winding_and_a_rotation_does_not():
    augmentation = Augmentation(rotations="quarter", flip_swaps={"cw": "acw"})
    images, labels = turned(augmentation, classes=("acw", "cw", "e"), label=1)
    mirrored = np.array(
        [image.tobytes() in {np.ascontiguousarray(m).tobytes() for m in MIRRORS} for image in images]
    )
    assert np.array_equal(labels == 0, mirrored)
    assert set(labels) == {0, 1}
    _, labels = turned(augmentation, classes=("acw", "cw", "e"), label=2)
    assert set(labels) == {2}


@pytest.mark.parametrize(
    ("name", "chiral"),
    [
        ("spiral_cw", True),
        ("spiral_acw", True),
        ("CCW", True),
        ("anti-clockwise", True),
        ("counterclockwise spiral", True),
        ("z-wise", True),
        ("spiral", False),
        ("edge_on", False),
        ("macwind", False),
        ("likewise", False),
    ],
)
def test_chiral_names_are_recognised(name, chiral):
    assert is_chiral(name) is chiral


def test_flips_of_chiral_classes_are_refused_until_a_swap_is_named():
    classes = ("elliptical", "spiral_acw", "spiral_cw")
    with pytest.raises(ValueError, match=r"flip_swaps.spiral_acw=CLASS.*flips=false"):
        Augmentation().mirror_of(classes)
    assert Augmentation(flips=False).mirror_of(classes).tolist() == [0, 1, 2]
    swaps = Augmentation(flip_swaps={"spiral_cw": "spiral_acw"})
    assert swaps.mirror_of(classes).tolist() == [0, 2, 1]
    with pytest.raises(ValueError, match=r"flip swaps among"):
        Augmentation(flip_swaps={"spiral_cw": "spiral_ccw"}).mirror_of(classes)
    with pytest.raises(ValueError, match="pairs of classes that mirror each other"):
        Augmentation(flip_swaps={"a": "b", "c": "b"}).mirror_of(("a", "b", "c"))


def test_any_angle_keeps_a_round_galaxy_where_and_what_it_is():
    y, x = np.mgrid[:33, :33] - 16.0
    blob = (np.exp(-(x**2 + y**2) / 20) * 100).astype("float32")
    images, _ = turned(Augmentation(rotations="any", zoom=0.0), n=50, image=blob)
    for image in images:
        assert image.sum() == pytest.approx(blob.sum(), rel=2e-3)
        assert (image * x).sum() / image.sum() == pytest.approx(0, abs=0.02)
        assert (image * y).sum() / image.sum() == pytest.approx(0, abs=0.02)


def test_any_angle_is_uniform_over_the_circle_and_zoom_stays_in_bounds():
    y, x = np.mgrid[:65, :65] - 32.0
    bar = (np.exp(-(x**2 / 60 + y**2 / 10)) * 100).astype("float32")
    images, _ = turned(Augmentation(rotations="any", zoom=0.1), n=1200, image=bar)
    exact = {np.ascontiguousarray(np.rot90(b, k)).tobytes() for k in range(4) for b in (bar, bar[:, ::-1])}
    images = np.array([image for image in images if image.tobytes() not in exact])
    assert len(images) == pytest.approx(600, abs=4 * np.sqrt(300))  # half of them stay exact
    total = images.sum(axis=(1, 2))
    xx, yy, xy = ((images * w).sum(axis=(1, 2)) / total for w in (x * x, y * y, x * y))
    doubled = np.arctan2(2 * xy, xx - yy)  # twice the position angle
    for k in (1, 2):
        # The resultant of n uniform directions has an expected length of 1 / sqrt(n).
        assert abs(np.mean(np.exp(1j * k * doubled))) < 3 / np.sqrt(len(images))
    sizes = np.sqrt((xx + yy) / ((bar * (x * x + y * y)).sum() / bar.sum()))
    assert sizes.min() > 0.88
    assert sizes.max() < 1.12
    assert sizes.std() > 0.045  # a uniform of half-width 0.1: 0.058


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="rotations among"):
        Augmentation(rotations="45")
    for bad in ({"rotations": "quarter", "zoom": 0.1}, {"rotations": "any", "zoom": 0.5}):
        with pytest.raises(ValueError, match="a zoom in"):
            Augmentation(**bad)
    with pytest.raises(ValueError, match="square images to rotate"):
        Augmentation().check((32, 48))
    Augmentation(rotations="none").check((32, 48))


def test_a_mirror_swaps_the_votes_of_the_senses_of_winding_too():
    augmentation = Augmentation(rotations="quarter", flip_swaps={"cw": "acw"})
    classes = ("acw", "cw", "e")
    _, kinds = turned(augmentation, classes=classes, label=1)
    votes = np.tile(np.float32([0.1, 0.7, 0.2]), (800, 1))
    _, mirrored = augmentation.apply(
        tf.constant(np.repeat(IMAGE[np.newaxis, ..., np.newaxis], 800, axis=0)),
        tf.constant(votes),
        tf.constant(augmentation.mirror_of(classes)),
        tf.constant((1, 2)),
    )
    expected = np.where((kinds == 0)[:, np.newaxis], votes[:, [1, 0, 2]], votes)
    np.testing.assert_array_equal(mirrored, expected)
    assert 0 < np.mean(kinds == 0) < 1
