"""Shift, blur, noise and lost bands: what they conserve, how often, and what never leaks."""

import astropy.units as u
import numpy as np
import pytest
import tensorflow as tf
from astropy.coordinates import SkyCoord

from galcnn.cutout import Cutout
from galcnn.model import images_from
from galcnn.training import Augmentation, TrainingSettings, training_batches
from galcnn.training.random_changes import add_noise, blur, drop_bands, shift

RNG = np.random.default_rng(4)


def images(n=40, side=16, bands=2):
    return RNG.normal(10, 3, (n, side, side, bands)).astype("float32")


def test_a_shift_moves_whole_pixels_and_draws_each_place_equally_often():
    one = np.zeros((1, 9, 9, 1), "float32")
    one[0, 4, 4, 0] = 7
    moved = shift(np.repeat(one, 2000, axis=0), 2, (1, 2)).numpy()[..., 0]
    assert np.all(moved.sum(axis=(1, 2)) == 7)
    places = np.argwhere(moved == 7)[:, 1:] - 4
    counts = np.unique(places, axis=0, return_counts=True)
    assert counts[0].tolist() == [[y, x] for y in range(-2, 3) for x in range(-2, 3)]
    assert np.abs(counts[1] - 80).max() <= 4 * np.sqrt(80)


def test_a_shift_brings_in_mirrored_pixels():
    row = np.arange(1.0, 7.0, dtype="float32").reshape(1, 6, 1, 1)
    found = {
        tuple(m.ravel())
        for m in shift(np.repeat(np.tile(row, (1, 1, 6, 1)), 200, 0), 2, (0, 3)).numpy()[:, :, 0]
    }
    assert found == {
        (2, 1, 1, 2, 3, 4),
        (1, 1, 2, 3, 4, 5),
        (1, 2, 3, 4, 5, 6),
        (2, 3, 4, 5, 6, 6),
        (3, 4, 5, 6, 6, 5),
    }


def test_blur_conserves_flux_and_adds_its_variance():
    wide = images()
    blurred = blur(wide, 1.2, (5, 6)).numpy()
    np.testing.assert_allclose(blurred.sum(axis=(1, 2)), wide.sum(axis=(1, 2)), rtol=1e-5)
    point = np.zeros((300, 25, 25, 1), "float32")
    point[:, 12, 12] = 1
    x = np.arange(25) - 12.0
    spots = blur(point, 1.2, (7, 8)).numpy()[..., 0]
    across, along = (np.einsum("nyx,x->n", s, x**2) for s in (spots, spots.transpose(0, 2, 1)))
    np.testing.assert_allclose(across, along, rtol=1e-4, atol=1e-6)
    sigma = np.sqrt(across)
    assert 0 <= sigma.min() < 0.25
    assert 1.1 < sigma.max() < 1.2
    # Sampled on pixels, a Gaussian keeps its variance once it is wider than a pixel or so.
    assert np.mean(sigma > 0.6) == pytest.approx(0.5, abs=4 * np.sqrt(0.25 / 300))


def test_noise_has_the_stated_size_in_each_band_and_leaves_the_fill_alone():
    flat = np.ones((600, 12, 12, 2), "float32")
    flat[:, 3:5] = 0  # masked, filled
    noisy = add_noise(flat, 2.0, tf.constant([3.0, 0.5]), tf.constant([1, 2])).numpy()
    assert np.all(noisy[:, 3:5] == 0)
    added = np.delete(noisy - flat, [3, 4], axis=1).std(axis=(1, 2))
    np.testing.assert_allclose(added[:, 0] / added[:, 1], 6, rtol=0.4)
    # Uniform in [0, 2] times the sky noise: mean 1, deviation 2 / sqrt(12).
    assert (added / [3, 0.5]).mean(axis=0) == pytest.approx([1, 1], abs=4 * 2 / np.sqrt(12 * 600))
    assert added[:, 0].max() < 2 * 3 * 1.3


def test_bands_are_dropped_as_often_as_said_and_one_always_stays():
    kept = drop_bands(np.ones((6000, 2, 2, 3), "float32"), 0.4, (3, 4)).numpy()
    by_band = kept.reshape(6000, 4, 3)
    assert np.all(by_band == by_band[:, :1]), "whole bands"
    dropped = by_band[:, 0] == 0
    assert dropped.sum(axis=1).max() == 2
    # Each band goes with 0.4, but where all three would (0.4**3), one of them, evenly, stays.
    expected = 0.4 - 0.4**3 / 3
    assert dropped.mean(axis=0) == pytest.approx([expected] * 3, abs=4 * np.sqrt(0.24 / 6000))


def cutout(hidden):
    rng = np.random.default_rng(1)
    flux = rng.normal(0, 1, (2, 24, 24)).astype("float32")
    mask = np.zeros(flux.shape, bool)
    mask[:, 10:12, 3:6] = True
    mask[1, 0] = True
    flux[mask] = hidden
    return Cutout(flux, ("g", "r"), None, SkyCoord(1 * u.deg, 2 * u.deg), "test", u.nJy, mask)


def test_masked_pixels_never_leak():
    everything = Augmentation(shift=3, blur=1.0, noise=1.0, band_dropout=0.2)
    results = []
    for hidden in (0.0, 1e9, np.nan, -np.inf):
        batch = np.repeat(images_from([cutout(hidden)]), 30, axis=0)
        out, _ = everything.apply(
            batch, np.zeros(30, "int32"), np.arange(2), tf.constant([3, 4]), sky=np.ones(2, "float32")
        )
        results.append(out.numpy())
    assert np.isfinite(results[0]).all()
    for other in results[1:]:
        np.testing.assert_array_equal(other, results[0])


def test_each_option_reaches_the_training_batches(toy_dataset):
    plain = {"flips": False, "rotations": "none"}
    rows = toy_dataset.select(np.arange(32))
    given = {image.tobytes() for image in rows.images}

    def share_unchanged(**options):
        settings = TrainingSettings(epochs=1, augmentation=Augmentation(**plain, **options))
        fed = [
            image
            for batch in training_batches(rows, settings, 1).beginning_at(0)
            for image in batch[0].numpy()
        ]
        return np.mean([image.tobytes() in given for image in fed])

    assert share_unchanged() == 1
    assert share_unchanged(shift=2) < 0.3
    assert share_unchanged(blur=1.0) < 0.5  # the narrowest change no pixel
    assert share_unchanged(noise=0.5) == 0
    assert share_unchanged(band_dropout=0.5) < 0.6


def test_what_does_not_fit_is_refused(toy_dataset):
    for bad in ({"shift": -1}, {"blur": -0.1}, {"noise": -1.0}, {"band_dropout": 1.0}):
        with pytest.raises(ValueError, match="band dropout in"):
            Augmentation(**bad)
    with pytest.raises(ValueError, match="at most a third of the image"):
        Augmentation(shift=6).check((16, 16))
    black = toy_dataset.select(np.arange(8))
    black.images[:] = 0
    with pytest.raises(ValueError, match="images with sky noise in every band"):
        training_batches(black, TrainingSettings(augmentation=Augmentation(noise=1.0)), 1)
