"""Dust lanes: optical depths in closed form, light that is absorbed and no other, and its colour."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import k1

from galcnn.simulation import Galaxy, concept_pairs, from_catalog, simulate_catalog, to_catalog
from galcnn.simulation.components import components
from galcnn.simulation.dust import HEIGHT, POWER, depth_along, optical_depth
from galcnn.simulation.spectra import bandpass
from tests.simulation.test_drawing import FINE, seen

EDGE_ON = Galaxy(
    *("edge", 150, 2, 0.05, "edge_on", 15.0, 4.0, 0.12, 0.0, "Sbc"), inclination=90.0, thickness=0.12
)
DUSTY = replace(EDGE_ON, dust_depth=0.3)


def test_the_depth_of_a_disc_is_that_of_its_closed_forms():
    x, y = np.linspace(0.2, 3, 15), np.zeros(1)
    np.testing.assert_allclose(depth_along(x, y, height=0.1, inclination=0), np.exp(-x), rtol=2e-2)
    edge_on = depth_along(x, y + 0.15, height=0.1, inclination=90)
    # An exponential disc edge-on: van der Kruit & Searle 1981, A&A 95, 105.
    np.testing.assert_allclose(edge_on, x * k1(x) * np.exp(-1.5) / 0.1, rtol=2e-3)
    turned = [float(depth_along(y, y, height=0.1, inclination=i)[0]) for i in (0, 40, 80, 90)]
    assert turned[0] == pytest.approx(1, rel=0.02)
    assert turned[1] == pytest.approx(1 / np.cos(np.radians(40)), rel=0.1)  # thin enough to be a sheet
    assert turned[3] == pytest.approx(10, rel=2e-3)
    assert turned == sorted(turned)


def test_dust_absorbs_and_adds_nothing_and_only_where_it_is():
    clean, dusty = (seen(galaxy, FINE, side=192)[0] for galaxy in (EDGE_ON, DUSTY))
    assert (dusty - clean).max() < 2e-3 * clean.max()
    assert clean.sum() == pytest.approx(EDGE_ON.flux("r"), rel=4e-2)  # some falls beside the image
    middle, above = (96, 96), (96, 96 + 9)  # 1 arcsec above the plane, 7 scale heights of the dust
    assert dusty[middle] < 0.5 * clean[middle]
    assert 0.9 * clean[above] < dusty[above] < clean[above]
    np.testing.assert_allclose(dusty, dusty[::-1, ::-1], atol=0.02 * dusty.max())


def test_little_dust_absorbs_in_proportion_to_its_depth():
    fluxes = [components(EDGE_ON, depth)[0][0].flux for depth in (0, 1e-4, 2e-4)]
    assert fluxes[0] == pytest.approx(1)
    assert (fluxes[0] - fluxes[2]) / (fluxes[0] - fluxes[1]) == pytest.approx(2, rel=1e-2)
    assert components(EDGE_ON, 30.0)[0][0].flux > 0, "light above the dust is seen"


def test_dust_reddens_by_its_power_law():
    g, i = (bandpass(band).effective_wavelength for band in "gi")
    ratio = optical_depth(DUSTY, "g") / optical_depth(DUSTY, "i")
    assert ratio == pytest.approx((g / i) ** POWER)
    lost = 1 - seen(DUSTY, side=128).sum(axis=(1, 2)) / seen(EDGE_ON, side=128).sum(axis=(1, 2))
    assert lost[0] > lost[1] > lost[2] > 0.05
    assert 0 < HEIGHT < 1


def test_a_catalog_keeps_dust_and_one_without_is_as_before():
    both = [DUSTY, replace(EDGE_ON, id="clean")]
    assert from_catalog(to_catalog(both)) == both
    assert "dust_depth" not in simulate_catalog(6, seed=1).table.colnames
    with pytest.raises(ValueError, match="edge-on galaxy"):
        replace(from_catalog(simulate_catalog(1, seed=1))[0], dust_depth=1.0)
    assert DUSTY.at(0.1).dust_depth == DUSTY.dust_depth


def test_the_pairs_of_the_concept_differ_by_a_lane():
    with_it, without = concept_pairs("dust", 2, seed=3, shape=(48, 48))
    for one, other in zip(with_it, without, strict=True):
        assert one.meta["class"] == other.meta["class"] == "edge_on"
        assert one.flux.sum() < 0.97 * other.flux.sum()
        change = np.abs(one.flux - other.flux).sum(axis=0)
        assert change.max() > 20 * np.median(change)
