"""Shapes: arms are logarithmic and symmetric, bars point where they say, nothing ends at a box."""

from dataclasses import replace

import galsim
import numpy as np
import pytest

from galcnn.simulation import CLASSES, Galaxy, components, from_catalog, simulate_catalog

ARMS = Galaxy(
    "a",
    150,
    2,
    0.05,
    "spiral",
    16.0,
    4.0,
    1.0,
    0.0,
    "Sbc",
    arm_fraction=0.4,
    n_arms=2,
    pitch_angle=20,
    arm_phase=35,
)
BARRED = replace(ARMS, morphology="barred_spiral", bar_fraction=0.3, bar_length=1.0)


def azimuthal_mode(pattern, radius, order):
    """Complex Fourier amplitude around a ring, relative to its mean; radius in half-light radii."""
    reach, n = components._ARMS_REACH, len(pattern)
    angle = np.linspace(0, 2 * np.pi, 720, endpoint=False)
    place = (np.array([np.sin(angle), np.cos(angle)]) * radius / reach + 1) * n / 2 - 0.5
    from scipy.ndimage import map_coordinates

    ring = map_coordinates(pattern, place, order=3)
    return np.mean(ring * np.exp(-1j * order * angle)) / ring.mean()


def second_moments(image):
    """Axis ratio and position angle (deg, counter-clockwise from +y) of an image."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(float)
    total = image.sum()
    x -= (image * x).sum() / total
    y -= (image * y).sum() / total
    xx, yy, xy = ((image * a).sum() / total for a in (x * x, y * y, x * y))
    low, high = np.linalg.eigvalsh([[xx, xy], [xy, yy]])
    return np.sqrt(low / high), (np.degrees(0.5 * np.arctan2(2 * xy, xx - yy)) - 90) % 180


@pytest.mark.parametrize("kind", CLASSES)
def test_every_part_has_unit_flux_and_its_share(kind):
    for galaxy in from_catalog(simulate_catalog(5, seed=2, classes=(kind,))):
        parts = components.components(galaxy)
        assert sum(share for _, _, share in parts) == pytest.approx(1)
        for profile, sed, _ in parts:
            assert profile.flux == pytest.approx(1)
            assert sed in ("E", "Sbc", "Scd", "Im")


def test_two_arms_are_symmetric_under_half_a_turn_and_not_axisymmetric():
    pattern = components.arm_pattern(ARMS)
    np.testing.assert_allclose(pattern, pattern[::-1, ::-1], rtol=1e-9, atol=1e-12)
    assert abs(azimuthal_mode(pattern, 1.5, 1)) < 1e-3
    assert abs(azimuthal_mode(pattern, 1.5, 2)) > 0.5


@pytest.mark.parametrize("pitch", [12.0, 25.0, -25.0])
def test_arms_are_logarithmic_spirals_of_the_stated_pitch(pitch):
    pattern = components.arm_pattern(replace(ARMS, pitch_angle=pitch))
    radii = np.geomspace(0.8, 2.0, 25)
    phase = -np.unwrap([np.angle(azimuthal_mode(pattern, radius, 2)) for radius in radii]) / 2
    slope = np.polyfit(np.log(radii), phase, 1)[0]
    assert np.degrees(np.arctan(1 / slope)) == pytest.approx(pitch, abs=0.2)


def test_the_number_of_arms_is_the_strongest_mode():
    for n_arms in (2, 3, 4):
        pattern = components.arm_pattern(replace(ARMS, n_arms=n_arms))
        modes = [abs(azimuthal_mode(pattern, 1.2, order)) for order in range(1, 6)]
        assert int(np.argmax(modes)) + 1 == n_arms


def test_arms_begin_at_the_ends_of_the_bar():
    pattern = components.arm_pattern(BARRED)
    angle = -np.angle(azimuthal_mode(pattern, BARRED.bar_length, 2)) / 2
    assert np.degrees(angle) % 180 == pytest.approx(35, abs=1)


@pytest.mark.parametrize("turn", [0.0, 50.0])
def test_the_bar_of_a_face_on_disc_points_where_it_says(turn):
    galaxy = replace(BARRED, position_angle=turn)
    parts = components.components(galaxy)
    bar = next(profile for profile, _, share in parts if share == galaxy.bar_fraction)
    image = bar.drawImage(nx=256, ny=256, scale=0.1, method="no_pixel").array
    ratio, angle = second_moments(image)
    assert ratio == pytest.approx(0.22, rel=0.02)
    assert angle == pytest.approx(35 + turn, abs=0.5)


def test_an_inclined_bar_is_foreshortened():
    across = replace(BARRED, arm_phase=90, axis_ratio=0.5)
    image = components._bar(across).drawImage(nx=256, ny=256, scale=0.1, method="no_pixel").array
    along = components._bar(replace(across, arm_phase=0))
    flat = along.drawImage(nx=256, ny=256, scale=0.1, method="no_pixel").array
    # Along the minor axis the bar shortens by the axis ratio, along the major axis it thins.
    assert second_moments(image)[0] == pytest.approx(0.22 / 0.5, rel=0.02)
    assert second_moments(flat)[0] == pytest.approx(0.22 * 0.5, rel=0.05)


def test_patterns_vanish_at_the_edge_of_their_box():
    galaxies = from_catalog(simulate_catalog(300, seed=4, classes=("spiral", "barred_spiral", "merger")))
    for galaxy in galaxies:
        pattern = (
            components.tidal_pattern(galaxy)
            if galaxy.morphology == "merger"
            else components.arm_pattern(galaxy)
        )
        border = max(side.max() for side in (pattern[0], pattern[-1], pattern[:, 0], pattern[:, -1]))
        assert border < 1e-3 * pattern.max(), galaxy.id


def test_interpolation_does_not_ring():
    picture = components._arms(ARMS)
    image = galsim.Convolve(picture, galsim.Moffat(3.5, fwhm=1.0)).drawImage(
        nx=128, ny=128, scale=0.4, method="no_pixel"
    )
    assert image.array.min() > -1e-4 * image.array.max()


def test_drawn_arms_are_the_pattern_blurred_by_the_psf():
    from scipy.signal import fftconvolve

    pattern = components.arm_pattern(ARMS)
    scale = 2 * components._ARMS_REACH * ARMS.half_light_radius / len(pattern)
    psf = galsim.Moffat(3.5, fwhm=1.5)
    kernel = psf.drawImage(nx=127, ny=127, scale=scale, method="no_pixel", dtype=float).array
    expected = fftconvolve(pattern / pattern.sum(), kernel, mode="same")
    drawn = galsim.Convolve(components._arms(ARMS), psf).drawImage(
        nx=128, ny=128, scale=scale, method="no_pixel", dtype=float
    )
    np.testing.assert_allclose(drawn.array, expected, atol=5e-3 * expected.max())


def test_knots_are_the_galaxy_s_own():
    galaxy = Galaxy("k", 150, 2, 0.05, "irregular", 16.0, 4.0, 0.7, 0.0, "Im", knot_fraction=0.5, n_knots=12)

    def drawn(g):
        return components._knots(g).drawImage(nx=64, ny=64, scale=0.4, method="no_pixel").array

    assert np.array_equal(drawn(galaxy), drawn(galaxy))
    assert not np.allclose(drawn(galaxy), drawn(replace(galaxy, structure_seed=2)))


def test_the_companion_stands_where_it_says():
    galaxy = Galaxy(
        "m",
        150,
        2,
        0.05,
        "merger",
        16.0,
        2.0,
        0.8,
        20.0,
        "E",
        companion_fraction=0.4,
        companion_distance=2.0,
        companion_angle=70,
    )
    companion = components.components(galaxy)[1][0]
    # 4 arcsec away at 20 + 70 deg east of north: due east, which is to the left.
    assert companion.centroid.x == pytest.approx(-4.0)
    assert companion.centroid.y == pytest.approx(0.0, abs=1e-9)
