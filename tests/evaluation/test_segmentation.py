"""Segmentation into galaxy, neighbours and sky, then bulge, arms and disc; the energy of maps on them."""

from dataclasses import replace

import numpy as np
import pytest

from galcnn.cutout import Cutout
from galcnn.evaluation import Regions, energy_shares, segmented, structure
from galcnn.evaluation.segmentation import Structure
from galcnn.simulation import Galaxy, draw


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


def test_a_flat_map_of_the_middle_alone_is_nowhere_dense():
    """A network that looks at the middle alone has no map of the rest: that is no empty sky."""
    galaxy = np.zeros((8, 8), dtype=bool)
    galaxy[3:5, 3:5] = True
    neighbours = np.zeros((8, 8), dtype=bool)
    neighbours[2, 2:6] = True
    map_ = np.full((1, 8, 8), np.nan, np.float32)
    map_[:, 2:6, 2:6] = 1
    shares = energy_shares(map_, Regions(galaxy, neighbours, ~(galaxy | neighbours)))
    assert [shares[f"density_{name}"] for name in ("galaxy", "neighbours", "sky")] == [1, 1, 1]
    assert (shares["galaxy"], shares["neighbours"], shares["sky"]) == (4 / 16, 4 / 16, 8 / 16)


def test_maps_that_cannot_be_placed_are_refused():
    parts = Regions(*(np.ones((4, 4), dtype=bool) for _ in range(3)))
    with pytest.raises(ValueError, match="a map of"):
        energy_shares(np.ones((1, 3, 3), np.float32), parts)
    with pytest.raises(ValueError, match="not zero everywhere"):
        energy_shares(np.zeros((1, 4, 4), np.float32), parts)


def tilted(y, x, ratio, angle, side=96):
    """Elliptical radius about (y, x), the major axis `angle` radians from the x axis."""
    rows, columns = np.indices((side, side))
    major = (columns - x) * np.cos(angle) + (rows - y) * np.sin(angle)
    minor = (rows - y) * np.cos(angle) - (columns - x) * np.sin(angle)
    return np.hypot(major, minor / ratio)


@pytest.mark.parametrize(("ratio", "angle"), [(1.0, 0.0), (0.5, 0.6), (0.3, -1.2)])
def test_a_smooth_disc_has_no_arms_and_its_bulge_holds_a_fifth_of_the_light(ratio, angle):
    radius = tilted(47.3, 48.8, ratio, angle)
    noise = np.random.default_rng(0).normal(0, 0.3, (1, 96, 96))
    cutout = Cutout(noise + 100 * np.exp(-radius / 7), ("r",))
    regions = segmented(cutout)
    parts = structure(cutout, regions)
    assert parts.arms.sum() <= 0.03 * regions.galaxy.sum()
    assert (parts.bulge.astype(int) + parts.arms + parts.disc == regions.galaxy).all()
    light = cutout.flux[0] - np.median(cutout.flux)
    assert light[parts.bulge].sum() / light[regions.galaxy].sum() == pytest.approx(0.2, abs=0.04)
    # Of an exponential disc 1 - (1 + u) exp(-u) lies within u scale lengths: a fifth within 0.824.
    assert parts.bulge.sum() == pytest.approx(np.pi * ratio * (0.824 * 7) ** 2, rel=0.2)
    inside = radius < 0.6 * 0.824 * 7
    assert parts.bulge[inside].all()
    assert not parts.bulge[radius > 1.4 * 0.824 * 7].any()


@pytest.fixture(scope="module")
def spirals():
    """Simulated spirals of one spectrum, with what arms and bulge alone give; they overlap smoothly."""
    found = []
    for seed, (n_arms, ratio) in enumerate([(2, 0.9), (3, 0.7), (2, 0.6), (4, 1.0)]):
        galaxy = Galaxy(
            f"g{seed}", 150, 2, 0.03, "spiral", 14.5, 6.0, ratio, 40.0 * seed, "Sbc",
            bulge_fraction=0.15, bulge_size=0.2, bulge_n=1.0, young_sed="Sbc",
            arm_fraction=0.4, n_arms=n_arms, pitch_angle=18.0, arm_phase=25.0,
        )  # fmt: skip

        def clean(galaxy=galaxy, **fields):
            return draw(replace(galaxy, **fields), seed=1, shape=(128, 128), noise=False).flux.sum(axis=0)

        disc = clean(arm_fraction=0.0, bulge_fraction=0.0)
        arms = clean(bulge_fraction=0.0) - 0.6 * disc  # linear in the shares: what is left is theirs
        bulge = clean(arm_fraction=0.0) - 0.85 * disc
        found.append((draw(galaxy, seed=1, shape=(128, 128)), arms, bulge, disc))
    return found


def test_arms_and_bulge_of_simulated_spirals_are_where_they_were_put(spirals):
    for cutout, arms, bulge, disc in spirals:
        regions = segmented(cutout)
        parts = structure(cutout, regions)
        total = arms + bulge + disc
        share = {name: arms[part].sum() / total[part].sum() for name, part in vars(parts).items()}
        assert 0.05 < parts.arms.sum() / regions.galaxy.sum() < 0.5
        assert share["arms"] > 1.6 * share["disc"]
        assert share["arms"] > 1.6 * share["bulge"]
        # Of the brightest tenth of arm light outside the bulge most is found, of the faintest half little.
        outside = regions.galaxy & ~parts.bulge
        contrast = (arms / total)[outside]
        named = parts.arms[outside]
        assert named[contrast > np.percentile(contrast, 90)].mean() > 0.6
        assert named[contrast < np.percentile(contrast, 50)].mean() < 0.15
        peak = np.unravel_index(np.argmax(bulge), bulge.shape)
        assert parts.bulge[peak]
        dense = {name: bulge[part].mean() for name, part in vars(parts).items()}
        assert dense["bulge"] > 5 * dense["disc"]


def test_the_same_galaxy_without_arms_has_next_to_none(spirals):
    for cutout, arms, *_ in spirals:
        smooth = Cutout(cutout.flux - arms / len(cutout.flux), cutout.bands)
        regions = segmented(smooth)
        assert structure(smooth, regions).arms.sum() < 0.06 * regions.galaxy.sum()


def test_shares_inside_the_galaxy_are_those_of_its_parts():
    bulge, arms, disc = np.zeros((3, 4, 4), dtype=bool)
    bulge[0, 0], arms[1, :2], disc[2:, :] = True, True, True
    map_ = np.full((1, 4, 4), 100.0, np.float32)
    map_[0, disc], map_[0, arms], map_[0, bulge] = 1, 2, 4
    found = energy_shares(map_, Structure(bulge, arms, disc))
    assert [found[name] for name in ("bulge", "arms", "disc")] == pytest.approx([0.5, 0.25, 0.25])
    assert found["density_bulge"] == pytest.approx(0.5 * 11)
    none = energy_shares(map_, Structure(bulge, np.zeros_like(arms), disc))
    assert none["arms"] == 0
    assert np.isnan(none["density_arms"])
