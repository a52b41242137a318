"""Pointing game and energy: chance is 0 and 1, and half of a Gaussian's light lies within 1.177 sigma."""

from dataclasses import replace

import numpy as np
import pytest

from galcnn.cutout import Cutout
from galcnn.evaluation import Regions, judge, segmented
from galcnn.faithfulness import FaithfulnessSettings, energy_density, pointing
from galcnn.faithfulness.criteria import CHECKS, Subject, criterion
from galcnn.faithfulness.localisation import half_light
from galcnn.model import NetworkSettings, build_network
from tests.faithfulness.conftest import sample_of_images


def quarter(side=8):
    galaxy = np.zeros((side, side), dtype=bool)
    galaxy[: side // 2, : side // 2] = True
    return Regions(galaxy, np.zeros_like(galaxy), ~galaxy)


def test_a_hit_counts_one_and_a_miss_what_chance_would_have_hit():
    maps = np.zeros((3, 8, 8, 2), dtype=np.float32)
    maps[0, 1, 1, 0] = -2  # the sign does not count
    maps[1, 6, 6, 1] = 2
    found = pointing(maps, (quarter(), quarter(), quarter()))
    assert found[:2].tolist() == [1.0, pytest.approx(-1 / 3)]
    assert np.isnan(found[2])
    assert np.isnan(pointing(maps[:1], (None,))).all()


def test_where_a_map_has_no_value_it_has_no_peak_and_no_energy():
    maps = np.full((1, 8, 8, 2), np.nan, dtype=np.float32)
    maps[0, :, :6] = 1
    maps[0, 1, 1] = 2
    assert pointing(maps, (quarter(),)) == [1.0]
    maps[0, 1, 1], maps[0, 6, 4] = 1, 2  # 16 of the 48 pixels with a value are the galaxy's
    assert pointing(maps, (quarter(),)) == pytest.approx(-(1 / 3) / (2 / 3))
    assert energy_density(maps, (quarter(),)) == pytest.approx((16 / 51) / (16 / 48))
    maps[~np.isnan(maps)] = 0
    assert np.isnan([pointing(maps, (quarter(),)), energy_density(maps, (quarter(),))]).all()


def test_a_random_map_fails_and_one_on_the_galaxy_passes():
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(400, 8, 8, 1)).astype(np.float32)
    regions = (quarter(),) * 400
    assert pointing(noise, regions).mean() == pytest.approx(0, abs=0.1)
    assert energy_density(noise, regions).mean() == pytest.approx(1, abs=0.05)
    on_it = noise * np.where(quarter().galaxy, 10, 1)[:, :, np.newaxis].astype(np.float32)
    for values, name in ((pointing, "pointing"), (energy_density, "energy")):
        assert judge(values(noise, regions), criterion(name)).word == "fails"
        assert judge(values(on_it, regions), criterion(name)).word == "passes"


def test_energy_is_that_of_the_squares():
    maps = np.ones((1, 8, 8, 2), dtype=np.float32)
    maps[0, :4, :4] = 3  # 9 * 16 of 9 * 16 + 48, on a quarter of the pixels
    assert energy_density(maps, (quarter(),)) == pytest.approx(4 * 144 / 192)
    assert np.isnan(energy_density(0 * maps, (quarter(),))).all()


def test_the_half_light_circle_of_a_gaussian():
    y, x = np.indices((96, 96))
    blob = 500 * np.exp(-((y - 46.0) ** 2 + (x - 49.0) ** 2) / (2 * 8.0**2))
    cutout = Cutout((blob + np.random.default_rng(2).normal(0, 1, blob.shape))[np.newaxis], ("r",))
    found = half_light(cutout, segmented(cutout))
    radius = np.sqrt(found.galaxy.sum() / np.pi)
    assert radius == pytest.approx(8 * np.sqrt(2 * np.log(2)), rel=0.05)
    rows, columns = np.nonzero(found.galaxy)
    assert (rows.mean(), columns.mean()) == (pytest.approx(46, abs=0.5), pytest.approx(49, abs=0.5))
    assert half_light(cutout, None) is None


def test_a_network_that_looks_at_the_middle_gains_nothing_by_it():
    """Random numbers where the network looks, at the galaxy in the middle or beside it, are at chance."""
    network = build_network((16, 16, 2), 3, settings=NetworkSettings(widths=(4,), field=0.5))
    middle = np.zeros((16, 16), dtype=bool)
    middle[5:11, 5:11] = True
    sample = replace(
        sample_of_images(np.ones((400, 16, 16, 2), dtype="float32")),
        regions=(Regions(middle, np.zeros_like(middle), ~middle),) * 400,
    )
    maps = np.random.default_rng(2).normal(size=sample.images.shape).astype("float32")
    maps[:, :4] = maps[:, 12:] = 0
    maps[:, :, :4] = maps[:, :, 12:] = 0
    check, _ = CHECKS["localisation"]
    found = check(Subject(network, sample, sample.regions, FaithfulnessSettings()), lambda *a, **k: maps)
    assert found["energy"].mean() == pytest.approx(1, abs=0.02)
    assert found["pointing"].mean() == pytest.approx(0, abs=0.2)
    assert energy_density(maps, sample.regions).mean() > 3.5, "256 / 64 pixels: the frame counts as sky"
