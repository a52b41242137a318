"""Thumbnails, binning, and the sky between nodes."""

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, Sip

from galcnn.cutout import Cutout
from galcnn.explain import Explanation
from galcnn.layers import LayerStack
from galcnn.model import Target
from galcnn.prediction import Prediction
from galcnn.report.objects import LARGEST, SIDE, binned, colours, object_of_layers, sky_grid, thumbnail
from galcnn.viewers.plots.panels import summed
from tests.report.galaxies import CLASSES, plane_of, sky


def test_a_large_picture_becomes_the_mean_of_its_pixels():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (3 * SIDE, 3 * SIDE, 3), dtype=np.uint8)
    means = rgb[::-1].reshape(SIDE, 3, SIDE, 3, 3).mean(axis=(1, 3))
    assert np.abs(thumbnail(rgb) - means).max() <= 1  # Pillow rounds after each axis
    gradient = np.broadcast_to(
        np.arange(10, 10 + 2 * SIDE, dtype=np.uint8)[:, np.newaxis, np.newaxis], (2 * SIDE, SIDE, 3)
    )
    tile = thumbnail(np.ascontiguousarray(gradient))
    assert (tile[:, :16] == 236).all()
    assert (tile[:, -16:] == 236).all()
    assert tile[0, SIDE // 2, 0] > tile[-1, SIDE // 2, 0]  # row 0 lies at the bottom


def test_binning_is_the_mean_of_what_is_known():
    values = np.arange(15.0).reshape(3, 5)
    values[0, 0] = np.nan
    values[:2, 2:4] = np.nan
    np.testing.assert_array_equal(
        binned(values, 2), [[(1 + 5 + 6) / 3, np.nan, (4 + 9) / 2], [10.5, 12.5, 14.0]]
    )


def test_the_signed_colours_are_white_in_their_middle_and_dark_at_both_ends():
    signed = np.array(colours()["signed"])
    assert len(signed) % 2 == 1
    middle = signed[len(signed) // 2]
    assert middle.min() > 240
    assert np.ptp(middle) <= 2
    assert signed[0, 2] > 2 * signed[0, 0]  # blue below
    assert signed[-1, 0] > 2 * signed[-1, 2]  # red above
    light = signed @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light[:128]) > 0).all()  # told apart without hue, too
    assert (np.diff(light[127:]) < 0).all()
    assert colours()["none"] == [191] * 3


def at(grid, u_, v):
    """As the page does it: bilinear between unit vectors."""
    grid = np.array(grid)
    n = len(grid) - 1
    i, j = (np.clip(np.floor(share * n).astype(int), 0, n - 1) for share in (v, u_))
    a, b = (v * n - i)[:, np.newaxis], (u_ * n - j)[:, np.newaxis]
    mixed = (1 - a) * ((1 - b) * grid[i, j] + b * grid[i, j + 1]) + a * (
        (1 - b) * grid[i + 1, j] + b * grid[i + 1, j + 1]
    )
    return SkyCoord(*mixed.T, representation_type="cartesian").represent_as("unitspherical")


def galactic():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["GLON-CAR", "GLAT-CAR"], [359.99, 30.0], [50, 50]
    wcs.wcs.cdelt = [-0.01, 0.01]
    return wcs


def distorted():
    """A degree a side, bent by some pixels at its corners."""
    wcs = sky((1200, 1200), scale=3.0)
    wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    bend = np.zeros((4, 4))
    bend[2, 0], bend[1, 2] = 1e-5, 1e-8
    wcs.sip = Sip(bend, bend.T, None, None, wcs.wcs.crpix)
    return wcs


@pytest.mark.parametrize(
    ("wcs", "shape", "binning"),
    [
        (sky(), (24, 32), 1),
        (sky(ra=0.0, dec=0.0), (24, 32), 1),
        (sky(ra=10.0, dec=90.0), (24, 32), 1),
        (sky(ra=10.0, dec=-89.999), (24, 32), 2),
        (galactic(), (100, 80), 1),
        (distorted(), (400, 400), 3),
    ],
    ids=["tan", "ra-0", "pole", "south-pole-binned", "galactic", "sip-binned"],
)
def test_positions_between_the_nodes_are_those_of_the_wcs(wcs, shape, binning):
    rng = np.random.default_rng(0)
    across, up = rng.random((2, 500))
    grid = sky_grid(wcs, shape, binning)
    x, y = across * shape[1] * binning - 0.5, up * shape[0] * binning - 0.5
    true = wcs.pixel_to_world(x, y).icrs
    found = at(grid, across, up)
    off = SkyCoord(found.lon, found.lat).separation(true)
    pixel = np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))) * binning * u.deg
    assert off.max() < 0.02 * pixel


def test_a_small_field_needs_its_corners_alone_and_no_wcs_gives_no_sky():
    assert np.shape(sky_grid(sky(), (24, 32))) == (2, 2, 3)
    assert sky_grid(None, (24, 32)) is None
    whole = WCS(naxis=2)
    whole.wcs.ctype, whole.wcs.cdelt, whole.wcs.crpix = ["RA---AIT", "DEC--AIT"], [-4, 4], [50, 50]
    assert sky_grid(whole, (100, 100)) is None  # corners outside the sky


def large(known):
    """A stack of 700 x 1100 pixels, whose map has values in a window."""
    shape = (700, 1100)
    values = np.add.outer(np.arange(700.0), np.arange(1100.0))[np.newaxis] - 900
    values[:, ~known(*np.indices(shape))] = np.nan
    target = Target.of_class("spiral", CLASSES)
    cutout = Cutout(np.random.default_rng(0).normal(size=(1, *shape)), ("r",), wcs=sky(shape))
    made = Explanation(values, ("all",), "cam", target, "stretched", "", 1.0)
    return LayerStack(cutout, Prediction(("a",), [[0.0, 0, 1]], CLASSES), (made,))


def test_of_a_large_image_the_part_with_maps_is_shown(tmp_path):
    stack = large(lambda y, x: (y >= 100) & (y < 160) & (x >= 300) & (x < 390))
    stack.write(tmp_path / "a.fits")
    content, _ = object_of_layers([tmp_path / "a.fits"])
    shown = content["pictures"][0]
    assert (shown["shape"], shown["corner"], shown["binning"]) == ([60, 90], [100, 300], 1)
    found = plane_of(content["maps"][0]["planes"][0], (60, 90))
    np.testing.assert_allclose(found, summed(stack.explanations[0])[100:160, 300:390], atol=0.02)
    middle = at(shown["sky"], np.array([0.5]), np.array([0.5]))
    true = stack.cutout.wcs.pixel_to_world(300 + 44.5, 100 + 29.5).icrs
    assert SkyCoord(middle.lon, middle.lat)[0].separation(true) < 0.005 * u.arcsec


def test_what_is_still_too_large_is_averaged(tmp_path):
    stack = large(lambda y, x: x >= 0)
    stack.write(tmp_path / "a.fits")
    content, _ = object_of_layers([tmp_path / "a.fits"])
    shown = content["pictures"][0]
    assert (shown["shape"], shown["binning"]) == ([234, 367], 3)
    assert max(shown["shape"]) <= LARGEST
    found = plane_of(content["maps"][0]["planes"][0], (234, 367))
    means = summed(stack.explanations[0])[:699, :1098].reshape(233, 3, 366, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(found[:233, :366], means, atol=0.02)
    assert shown["pixel_scale"] == pytest.approx(1.5)
