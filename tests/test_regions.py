"""Segmentation into galaxy, neighbours and sky, and the energy of maps on them."""

import numpy as np
import pytest

from galcnn.cutout import Cutout
from galcnn.evaluation.regions import Regions, energy_shares, segmented


def blob(y, x, flux, sigma=3.0, side=64):
    rows, columns = np.indices((side, side))
    return flux * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2))


@pytest.fixture(scope="module")
def crowded():
    """A galaxy in the middle, a brighter star beside it, and noise."""
    noise = np.random.default_rng(0).normal(0, 1, (2, 64, 64))
    return Cutout(noise + blob(31, 33, 60) + blob(12, 50, 300, sigma=1.5), ("g", "r"))


def test_the_galaxy_is_the_source_in_the_middle_and_not_the_brightest(crowded):
    parts = segmented(crowded)
    assert parts.galaxy[31, 33]
    assert parts.neighbours[12, 50]
    assert not parts.galaxy[12, 50]
    assert parts.sky[60, 3]
    total = parts.galaxy.astype(int) + parts.neighbours + parts.sky
    assert (total == 1).all()
    # Three deviations of the summed noise: out to a radius of 3 sqrt(2 ln(120 / (3 sqrt 2))) pixels.
    radius = 3 * np.sqrt(2 * np.log(120 / (3 * np.sqrt(2))))
    assert parts.galaxy.sum() == pytest.approx(np.pi * radius**2, rel=0.15)


def test_touching_sources_are_parted():
    noise = np.random.default_rng(1).normal(0, 1, (1, 64, 64))
    parts = segmented(Cutout(noise + blob(31, 31, 100) + blob(31, 43, 100), ("r",)))
    assert parts.galaxy[31, 31]
    assert parts.neighbours[31, 43]


def test_masked_pixels_are_in_no_part(crowded):
    mask = np.zeros((64, 64), dtype=bool)
    mask[:5] = True
    parts = segmented(Cutout(crowded.flux, ("g", "r"), mask=mask))
    assert not (parts.galaxy | parts.neighbours | parts.sky)[:5].any()


def test_a_blank_image_has_no_galaxy():
    with pytest.raises(ValueError, match="a source in the image"):
        segmented(Cutout(np.zeros((1, 32, 32)), ("r",)))


def test_shares_are_those_of_the_squares():
    galaxy = np.zeros((4, 4), dtype=bool)
    galaxy[:2, :2] = True
    neighbours = np.zeros((4, 4), dtype=bool)
    neighbours[3, 3] = True
    parts = Regions(galaxy, neighbours, ~(galaxy | neighbours))
    flat = energy_shares(np.ones((2, 4, 4), np.float32), parts)
    assert (flat["galaxy"], flat["neighbours"]) == (4 / 16, 1 / 16)
    assert flat["density_galaxy"] == flat["density_neighbours"] == flat["density_sky"] == 1
    map_ = np.zeros((2, 4, 4), np.float32)
    map_[0, 0, 0], map_[1, 3, 3], map_[0, 2, 2] = -3, 1, np.nan
    peaked = energy_shares(map_, parts)
    assert peaked["galaxy"] == pytest.approx(0.9)
    assert peaked["neighbours"] == pytest.approx(0.1)
    assert peaked["density_galaxy"] == pytest.approx(0.9 * 4)


def test_maps_that_cannot_be_placed_are_refused():
    parts = Regions(*(np.ones((4, 4), dtype=bool) for _ in range(3)))
    with pytest.raises(ValueError, match="a map of"):
        energy_shares(np.ones((1, 3, 3), np.float32), parts)
    with pytest.raises(ValueError, match="not zero everywhere"):
        energy_shares(np.zeros((1, 4, 4), np.float32), parts)
