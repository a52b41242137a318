"""Redshifting against a galaxy drawn directly at the higher redshift, and against conservation laws."""

from dataclasses import replace

import astropy.units as u
import galsim
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from hypothesis import given, settings
from hypothesis import strategies as st

from galcnn.cutout import Cutout
from galcnn.photometry import DISPLAY
from galcnn.photometry.instruments import OBSERVATIONS
from galcnn.photometry.units import UNCALIBRATED
from galcnn.redshifting import Redshifting, magnification, redshift
from galcnn.redshifting.settings import flux_factor
from tests.redshifting.conftest import FAR, NEAR, drawn, psf_of, sersic

QUIET = Redshifting(bandpass="same", noise="none")


def half_light_radius(image):
    """In pixels, about the brightest place, by the curve of growth in circles."""
    return galsim.Image(np.ascontiguousarray(image, dtype=float), scale=1).calculateHLR()


def centroid(image):
    y, x = np.indices(image.shape)
    return np.array([(x * image).sum(), (y * image).sum()]) / image.sum()


# --- the judge: drawn directly there


@pytest.mark.parametrize("z_to", [0.07, 0.15, 0.3, 0.6])
@pytest.mark.parametrize("index", [1, 2.5, 4])
@pytest.mark.parametrize("radius", [1.5, 4.0])
def test_it_is_the_galaxy_drawn_directly_at_the_higher_redshift(z_to, index, radius):
    side = 256 if radius < 2 else 384
    near = drawn(sersic(index, radius), NEAR, (side, side + 1), redshift=0.05, offset=(0.25, -0.35))
    far = redshift(near, z_to, observation=FAR, settings=QUIET)
    facts = far.meta["redshifting"][-1]
    shrunk = sersic(index, radius).dilate(magnification(0.05, z_to)) * flux_factor(0.05, z_to)
    offset = np.array([0.25, -0.35]) * facts["magnification"]
    judge = drawn(shrunk, FAR, far.shape, offset=tuple(offset)).flux[0]
    assert np.abs(far.flux[0] - judge).max() < 0.01 * judge.max()
    assert far.flux.sum(dtype=float) == pytest.approx(judge.sum(dtype=float), rel=0.003)
    assert half_light_radius(far.flux[0]) == pytest.approx(half_light_radius(judge), rel=0.01)
    assert np.abs(centroid(far.flux[0]) - centroid(judge)).max() < 0.05


def test_galaxies_with_structure_are_those_drawn_directly():
    """Arms, bars, knots and companions of the simulation, in a band that keeps its name."""
    from galcnn.simulation import SIMULATED, draw, from_catalog, simulate_catalog
    from galcnn.simulation.drawing import model_image

    there = FAR
    worst = 0.0
    for galaxy in from_catalog(simulate_catalog(12, seed=5)):
        here = galaxy.at(0.05)
        near = draw(here, seed=1, shape=(288, 288), observation=SIMULATED.only(("r",)), noise=False)
        far = redshift(near, 0.12, observation=there, settings=QUIET)
        # The same light in one rest-frame band: the shape of the galaxy with its fluxes of z = 0.05.
        shape_there = replace(here, half_light_radius=here.half_light_radius * magnification(0.05, 0.12))
        place = tuple(float(v) for v in far.wcs.world_to_pixel(near.position))
        judge = model_image(shape_there, observation=there, shape=far.shape, centre=place)[0]
        judge = judge * flux_factor(0.05, 0.12)
        worst = max(worst, float(np.abs(far.flux[0] - judge).max() / judge.max()))
    assert worst < 0.01


# --- conservation, linearity, composition


def test_nothing_changes_at_the_galaxys_own_redshift(disc):
    assert redshift(disc, 0.05) is disc


def test_the_half_light_radius_shrinks_with_the_magnification():
    """Behind a PSF too small to matter."""
    sharp = replace(NEAR, psf_fwhm=(0.8,))
    near = drawn(sersic(1, 16.0), sharp, (768, 768), redshift=0.05)
    far = redshift(near, 0.1)
    ratio = half_light_radius(far.flux[0]) / half_light_radius(near.flux[0])
    assert ratio == pytest.approx(magnification(0.05, 0.1), rel=0.01)
    assert far.pixel_scale.to_value(u.arcsec) == pytest.approx(0.4, rel=1e-9)


@pytest.mark.parametrize("convention", ["f_nu", "bolometric"])
def test_flux_falls_by_its_factor(disc, convention):
    counts = replace(disc, unit=UNCALIBRATED)
    chosen = Redshifting(convention=convention, linear_counts=True)
    far = redshift(counts, 0.2, settings=chosen)
    ratio = far.flux.sum(dtype=float) / disc.flux.sum(dtype=float)
    assert ratio == pytest.approx(flux_factor(0.05, 0.2, convention=convention), rel=1e-3)


@pytest.mark.parametrize(("convention", "power"), [("f_nu", 3), ("bolometric", 4), ("f_lambda", 5)])
def test_surface_brightness_of_a_wide_plateau(convention, power):
    """The exponent, measured on pixels."""
    plain = Cutout(np.full((1, 80, 80), 7.0), ("r",), unit=UNCALIBRATED, redshift=0.1)
    far = redshift(plain, 0.5, settings=Redshifting(convention=convention, linear_counts=True))
    middle = far.flux[0][far.shape[0] // 2, far.shape[1] // 2]
    assert -np.log(middle / 7.0) / np.log(1.5 / 1.1) == pytest.approx(power, abs=0.02)


def test_f_lambda_goes_with_units_of_flux_per_wavelength():
    unit = u.erg / u.s / u.cm**2 / u.AA
    plain = Cutout(np.full((1, 40, 40), 7.0), ("r",), unit=unit, redshift=0.1)
    assert redshift(plain, 0.2, settings=Redshifting(convention="f_lambda")).unit == unit
    with pytest.raises(ValueError, match="f_lambda for flux per wavelength"):
        redshift(plain, 0.2)


def test_it_is_linear(disc):
    other = drawn(sersic(4, 2.0), NEAR, (256, 256), redshift=0.05)
    both = replace(disc, flux=disc.flux + 2 * other.flux)
    apart = [redshift(one, 0.2, observation=FAR, settings=QUIET).flux for one in (disc, other)]
    together = redshift(both, 0.2, observation=FAR, settings=QUIET).flux
    np.testing.assert_allclose(together, apart[0] + 2 * apart[1], atol=1e-6 * together.max())


@pytest.mark.parametrize("observation", [None, FAR], ids=["own pixels", "observed"])
def test_two_steps_are_one(disc, observation):
    """z1 -> z2 -> z3 = z1 -> z3."""
    half = redshift(disc, 0.08)
    twice = redshift(half, 0.2, observation=observation, shape=(64, 64), settings=QUIET)
    once = redshift(disc, 0.2, observation=observation, shape=(64, 64), settings=QUIET)
    np.testing.assert_allclose(twice.flux, once.flux, atol=0.003 * once.flux.max())
    assert twice.flux.sum(dtype=float) == pytest.approx(once.flux.sum(dtype=float), rel=1e-3)


@pytest.mark.parametrize("shape", [(255, 255), (256, 256), (255, 256)])
@pytest.mark.parametrize("offset", [(0.0, 0.0), (0.4, -0.3)])
@pytest.mark.parametrize("observation", [None, FAR], ids=["own pixels", "observed"])
def test_the_middle_of_the_field_stays_in_the_middle(shape, offset, observation):
    """To 0.05 pixel, for odd and even grids."""
    near = drawn(sersic(1, 3.0), NEAR, shape, redshift=0.05, offset=offset)
    far = redshift(near, 0.15, observation=observation, settings=QUIET)
    scale = far.meta["redshifting"][-1]["magnification"]
    want = np.array([(n - 1) / 2 for n in far.shape[::-1]]) + np.array(offset) * scale
    assert np.abs(centroid(far.flux[0]) - want).max() < 0.05


def test_a_point_source_gets_the_psf_of_the_observation():
    star = Cutout(
        psf_of(NEAR).drawImage(nx=255, ny=255, scale=0.4, method="no_pixel", dtype=float).array,
        ("r",),
        wcs=drawn(sersic(1, 3.0), NEAR, (255, 255)).wcs,
        psf=drawn(sersic(1, 3.0), NEAR, (255, 255)).psf,
        redshift=0.05,
    )
    far = redshift(star, 0.2, observation=FAR, settings=QUIET)
    image = galsim.Image(far.flux[0].astype(float), scale=0.2)
    assert image.calculateFWHM() == pytest.approx(0.8, rel=0.01)
    stated = far.psf[0]
    seen = far.flux[0] / far.flux[0].sum()
    start = [(n - m) // 2 for n, m in zip(seen.shape, stated.shape, strict=True)]
    window = seen[start[0] : start[0] + stated.shape[0], start[1] : start[1] + stated.shape[1]]
    np.testing.assert_allclose(window, stated, atol=0.002 * stated.max())


def test_light_is_averaged_and_not_picked():
    """Point sampling would lose a star between the samples, or count it many times over."""
    for shift in range(6):
        flux = np.zeros((1, 101, 101))
        flux[0, 50, 47 + shift] = 100.0
        far = redshift(Cutout(flux, ("r",), redshift=0.05), 0.3)
        assert far.flux.sum(dtype=float) == pytest.approx(100 * flux_factor(0.05, 0.3), rel=0.02)


# --- WCS, masks, book-keeping


def test_the_wcs_is_true_at_the_galaxy_and_has_the_new_pixels(disc):
    far = redshift(disc, 0.2, observation=FAR, settings=QUIET)
    x, y = far.wcs.world_to_pixel(disc.position)
    want = centroid(far.flux[0])
    assert (float(x), float(y)) == pytest.approx(tuple(want), abs=0.05)
    assert far.pixel_scale.to_value(u.arcsec) == pytest.approx(0.2, rel=1e-9)
    assert far.wcs.array_shape == far.shape


def test_parity_and_rotation_are_kept(disc):
    turned = disc.wcs.deepcopy()
    turned.wcs.pc = [[0, 1], [1, 0]]  # axes swapped
    far = redshift(replace(disc, wcs=turned), 0.2)
    here, there = (wcs.pixel_scale_matrix for wcs in (turned, far.wcs))
    np.testing.assert_allclose(there, here, atol=1e-12)


def test_masked_pixels_and_nan_add_nothing(disc):
    flux, mask = disc.flux.copy(), np.zeros(disc.flux.shape, dtype=bool)
    flux[0, 20:26, 20:26], mask[0, 100:103, 60:66] = np.nan, True
    flux[0, 100:103, 60:66] = 1e9
    far = redshift(replace(disc, flux=flux, mask=mask), 0.1)
    clean = redshift(disc, 0.1)
    scale = far.meta["redshifting"][-1]["magnification"]
    place = ((np.array([101, 62.5]) - 127.5) * scale + (np.array(far.shape) - 1) / 2).round().astype(int)
    assert far.mask[0, place[0], place[1]]
    assert np.isnan(far.flux[0, place[0], place[1]])
    good = ~far.mask
    assert np.abs(far.flux[good] - clean.flux[good]).max() < 0.05 * clean.flux.max()
    assert 8 < far.mask.sum() < 30, "some 54 old pixels of 0.53 squared"


def test_what_was_done_is_written_down(disc):
    far = redshift(disc, 0.2, observation=FAR, settings=QUIET, seed=7)
    facts = far.meta["redshifting"][-1]
    assert far.redshift == 0.2
    assert (facts["z_from"], facts["z_to"], facts["seed"]) == (0.05, 0.2, 7)
    assert facts["magnification"] == pytest.approx(2 * magnification(0.05, 0.2))
    assert facts["flux_factor"] == pytest.approx(flux_factor(0.05, 0.2))
    assert (facts["convention"], facts["cosmology"], facts["observation"]) == ("f_nu", "Planck18", "far")
    assert facts["psf_residual"][0] < 1e-3
    assert len(redshift(far, 0.4).meta["redshifting"]) == 2


def test_the_input_is_left_as_it_was(disc):
    before = [np.array(a) for a in (disc.flux, disc.mask, disc.sigma, disc.psf)]
    redshift(disc, 0.2, observation=FAR, settings=Redshifting(bandpass="same"))
    for old, new in zip(before, (disc.flux, disc.mask, disc.sigma, disc.psf), strict=True):
        np.testing.assert_array_equal(old, new)


def test_evolution_is_off_and_relative_to_the_galaxys_own_redshift(disc):
    plain = redshift(disc, 0.25).flux.sum(dtype=float)
    evolved = redshift(disc, 0.25, settings=Redshifting(evolution=1.5)).flux.sum(dtype=float)
    assert 2.5 * np.log10(evolved / plain) == pytest.approx(1.5 * 0.2, abs=1e-4)


def test_it_survives_a_file(disc, tmp_path):
    from galcnn.files import load_cutout, save_cutout

    far = redshift(disc, 0.2, observation=FAR, settings=QUIET)
    save_cutout(far, tmp_path / "far.fits")
    again = load_cutout(tmp_path / "far.fits")
    np.testing.assert_array_equal(again.flux, far.flux)
    assert again.meta["redshifting"] == far.meta["redshifting"]


# --- refusals


@pytest.mark.parametrize(
    ("change", "z_to", "told"),
    [
        ({"redshift": None}, 0.2, "a galaxy with a known redshift"),
        ({"redshift": -0.01}, 0.2, "redshift=-0.01"),
        ({"redshift": 0.3}, 0.2, "cannot be brought nearer"),
        ({"unit": DISPLAY}, 0.2, "holds no flux"),
        ({"unit": UNCALIBRATED}, 0.2, "linear_counts=True"),
        ({}, float("nan"), "z_to=nan"),
    ],
)
def test_what_cannot_be_done_is_refused(disc, change, z_to, told):
    with pytest.raises(ValueError, match=told):
        redshift(replace(disc, **change), z_to)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"psf": None}, "the PSF of the input"),
        ({"wcs": None}, "whose pixel scale is known"),
        ({"unit": UNCALIBRATED}, "a cutout in nJy"),
        ({"sigma": None}, "not counted twice"),
        ({"bands": ("g",)}, "bands"),
    ],
)
def test_an_observation_needs_to_know_the_input(disc, change, told):
    chosen = Redshifting(bandpass="same", linear_counts=True)
    with pytest.raises(ValueError, match=told):
        redshift(replace(disc, **change), 0.2, observation=FAR, settings=chosen)


def test_a_psf_that_would_have_to_be_sharpened_is_refused(disc):
    with pytest.raises(ValueError, match="sharper than far's"):
        redshift(disc, 0.055, observation=FAR, settings=QUIET)
    sharp = replace(FAR, psf_fwhm=(0.15,), pixel_scale=0.05 * u.arcsec)
    with pytest.raises(ValueError, match="gain="):
        redshift(disc, 0.1, observation=sharp, settings=QUIET)


def test_an_under_sampled_input_is_refused_but_finer_pixels_alone_are_not():
    coarse = replace(NEAR, pixel_scale=1.0 * u.arcsec)
    near = drawn(sersic(1, 4.0), coarse, (96, 96), redshift=0.05)
    fine = replace(FAR, pixel_scale=0.1 * u.arcsec, psf_fwhm=(0.5,))
    with pytest.raises(ValueError, match="well sampled"):
        redshift(near, 0.08, observation=fine, settings=QUIET)
    finer = redshift(
        drawn(sersic(1, 4.0), NEAR, (96, 96), redshift=0.05), 0.07, observation=FAR, settings=QUIET
    )
    assert finer.meta["redshifting"][-1]["magnification"] > 1


def test_a_field_too_small_for_the_output_is_refused_or_filled_on_request(disc):
    with pytest.raises(ValueError, match=r"input of at least \(\d+, \d+\) pixels"):
        redshift(disc, 0.3, shape=(128, 128))
    masked = redshift(disc, 0.3, shape=(128, 128), settings=Redshifting(fill="mask"))
    inside = int(256 * masked.meta["redshifting"][-1]["magnification"])
    assert masked.mask.sum() == pytest.approx(128**2 - inside**2, rel=0.01)
    with pytest.raises(ValueError, match="sigma, whose sky is filled in"):
        redshift(replace(disc, sigma=None), 0.3, shape=(128, 128), settings=Redshifting(fill="sky"))


@pytest.mark.parametrize(
    "setting", [{"convention": "flux"}, {"noise": True}, {"fill": "zero"}, {"max_mismatch": -1}]
)
def test_unknown_choices_are_refused(setting):
    with pytest.raises(ValueError, match="Expected"):
        Redshifting(**setting)


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_every_preset_can_look_at_a_deep_sharp_galaxy(name):
    """From the nearest band; a galaxy that HST saw at z = 0.05 would do for all of them."""
    observation = OBSERVATIONS[name]
    band = observation.bands[0]
    scale = observation.pixel_scale.to_value(u.arcsec) / 2
    sharp = replace(NEAR, bands=(band,), pixel_scale=scale * u.arcsec, psf_fwhm=(2.5 * scale,), depth=(30.0,))
    near = drawn(sersic(1, 12 * scale), sharp, (200, 200), redshift=0.05, sigma=1e-4)
    far = redshift(near, 0.06, observation=observation.only((band,)), settings=Redshifting(max_mismatch=0.02))
    assert far.bands == (band,)
    assert np.median(far.sigma[0, :4]) == pytest.approx(observation.sky_sigma[0], rel=0.02)


# --- order, batch, process


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 2**31 - 1))
def test_order_and_batch_change_nothing(order, seed):
    cutouts = [
        drawn(sersic(1, 1.5 + 0.1 * i), NEAR, (48, 48), redshift=0.05, offset=(0.1 * i, 0)) for i in range(4)
    ]
    chosen = Redshifting(bandpass="same")

    def moved(i):
        return redshift(cutouts[i], 0.12, observation=FAR, settings=chosen, seed=seed).flux

    forward = [moved(i) for i in range(4)]
    for i in order:
        np.testing.assert_array_equal(moved(i), forward[i])
    noise = [forward[i] - redshift(cutouts[i], 0.12, observation=FAR, settings=QUIET).flux for i in (0, 1)]
    assert abs(np.corrcoef(noise[0].ravel(), noise[1].ravel())[0, 1]) < 0.15


def test_another_process_gives_the_same(disc, tmp_path):
    import subprocess
    import sys

    from galcnn.files import save_cutout

    save_cutout(disc, tmp_path / "near.fits")
    code = """
import sys
import numpy as np
from galcnn.files import load_cutout
from galcnn.redshifting import Redshifting, redshift
from tests.redshifting.conftest import FAR
far = redshift(load_cutout(sys.argv[1]), 0.2, observation=FAR, settings=Redshifting(bandpass="same"))
np.save(sys.argv[2], far.flux)
assert not {"keras", "tensorflow"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "near.fits", tmp_path / "far.npy"], check=True)
    here = redshift(disc, 0.2, observation=FAR, settings=Redshifting(bandpass="same")).flux
    np.testing.assert_array_equal(np.load(tmp_path / "far.npy"), here)


def test_a_position_is_not_needed(disc):
    far = redshift(replace(disc, position=None), 0.2)
    middle = far.wcs.pixel_to_world(*[(n - 1) / 2 for n in far.shape[::-1]])
    want = disc.wcs.pixel_to_world(127.5, 127.5)
    assert middle.separation(SkyCoord(want)).to_value(u.arcsec) < 1e-3


@pytest.mark.parametrize("frame", ["galactic", "fk4", "swapped"])
def test_north_stays_north_in_other_frames(disc, frame):
    middle = [(n - 1) / 2 for n in disc.shape[::-1]]
    at = disc.wcs.pixel_to_world(*middle)
    wcs = disc.wcs.deepcopy()
    if frame == "swapped":
        wcs.wcs.ctype, wcs.wcs.crval = ["DEC--TAN", "RA---TAN"], wcs.wcs.crval[::-1]
        wcs.wcs.cd = [[0.0, 1e-4], [-1e-4, 0.0]]
    else:
        own = at.galactic if frame == "galactic" else at.transform_to("fk4")
        wcs.wcs.crval = [own.spherical.lon.deg, own.spherical.lat.deg]
        if frame == "galactic":
            wcs.wcs.ctype, wcs.wcs.radesys = ["GLON-TAN", "GLAT-TAN"], ""
        else:
            wcs.wcs.radesys, wcs.wcs.equinox = "FK4", 1950.0
    wcs.wcs.crpix = [n + 1 for n in middle]
    wcs.wcs.set()
    near = replace(disc, wcs=wcs, position=wcs.pixel_to_world(*middle).icrs)
    far = redshift(near, 0.2)
    angles = []
    for one in (near, far):
        x, y = [(n - 1) / 2 for n in one.shape[::-1]]
        centre, right, up = one.wcs.pixel_to_world([x, x + 1, x], [y, y, y + 1]).icrs
        angles.append([centre.position_angle(right).deg, centre.position_angle(up).deg])
    turns = (np.array(angles[1]) - angles[0] + 180) % 360 - 180
    np.testing.assert_allclose(turns, 0, atol=1e-2)
    assert far.wcs.pixel_to_world(x, y).separation(near.position) < 1 * far.pixel_scale


def test_oblong_pixels_are_not_redshifted(disc):
    wcs = disc.wcs.deepcopy()
    wcs.wcs.pc = [[2, 0], [0, 1]]
    with pytest.raises(ValueError, match=r"square pixels.*along x.*galcnn\.transforms\.resample"):
        redshift(replace(disc, wcs=wcs), 0.2, observation=FAR)
