"""Drawn galaxies have the flux, colour, size, place and noise that their truth says."""

from dataclasses import replace

import astropy.units as u
import galsim
import numpy as np
import pytest
from astropy.coordinates import SkyCoord

from galcnn.photometry import Observation
from galcnn.simulation import CLASSES, SIMULATED, Galaxy, draw, from_catalog, psf_planes, simulate_catalog
from galcnn.simulation.components import components
from galcnn.simulation.drawing import model_image
from galcnn.simulation.telescope import add_noise
from tests.simulation.test_components import second_moments

FINE = Observation("fine", ("r",), 0.1 * u.arcsec, (0.2,), (26.0,), (10.0,))
ROUND = Galaxy("round", 150, 2, 0.05, "elliptical", 17.0, 2.0, 1.0, 0.0, "E", sersic_n=1)


def population(kind, n=3, seed=2):
    return from_catalog(simulate_catalog(n, seed=seed, classes=(kind,)))


def seen(galaxy, observation=SIMULATED, side=64):
    return model_image(galaxy, observation=observation, shape=(side, side), centre=((side - 1) / 2,) * 2)


@pytest.mark.parametrize("kind", CLASSES)
def test_all_the_flux_of_every_band_falls_on_a_large_image(kind):
    for galaxy in population(kind):
        small = replace(galaxy, half_light_radius=2.0)
        sums = seen(small, side=256).sum(axis=(1, 2))
        np.testing.assert_allclose(sums, [small.flux(band) for band in "gri"], rtol=5e-3)


@pytest.mark.parametrize("kind", CLASSES)
def test_the_image_is_the_one_that_galsim_draws_chromatically(kind):
    galaxy = population(kind, n=1)[0]
    rest_r = galsim.Bandpass("LSST_r.dat", "nm").withZeropoint("AB")
    flat = galsim.SED("1", "nm", "fnu")
    psf = galsim.Moffat(SIMULATED.psf_beta, fwhm=1.0)
    parts = []
    for profile, sed, share in components(galaxy):
        spectrum = galsim.SED(f"CWW_{sed}_ext.sed", "Ang", "flambda").withMagnitude(0.0, rest_r)
        parts.append(profile * share * spectrum.atRedshift(galaxy.redshift))
    planes, fluxes = [], {}
    for band in "gri":
        passband = galsim.Bandpass(f"LSST_{band}.dat", "nm")
        image = galsim.ImageD(64, 64, scale=0.4)
        galsim.Convolve(galsim.Add(parts), psf).drawImage(passband, image=image, method="no_pixel")
        # Photons of a flat source turn into AB flux; the magnitude in r fixes the scale.
        njy = flat.calculateFlux(passband)
        planes.append(image.array / njy)
        fluxes[band] = sum(part.calculateFlux(passband) for part in parts) / njy
    expected = np.array(planes) * 10 ** (-0.4 * (galaxy.mag_r - 31.4)) / fluxes["r"]
    ours = seen(galaxy)
    for mine, theirs in zip(ours, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-3 * theirs.max())


@pytest.mark.parametrize(("index", "axis_ratio"), [(1.0, 1.0), (2.5, 0.6), (4.0, 1.0), (4.0, 0.6)])
def test_half_the_light_is_within_the_half_light_ellipse(index, axis_ratio):
    # Position angle 90: the major axis is horizontal.
    galaxy = replace(ROUND, sersic_n=index, half_light_radius=4.0, axis_ratio=axis_ratio, position_angle=90.0)
    image = seen(galaxy, FINE, 801)[0]
    y, x = np.mgrid[-400:401, -400:401] * 0.1
    assert image[np.hypot(x, y / axis_ratio) < 4.0].sum() / galaxy.flux("r") == pytest.approx(0.5, abs=0.01)


def test_axis_ratio_and_position_angle_are_those_on_the_sky():
    galaxy = replace(ROUND, axis_ratio=0.5, position_angle=30.0, half_light_radius=3.0)
    cutout = draw(galaxy, seed=1, observation=FINE, shape=(600, 600), noise=False)
    image = cutout.flux[0].astype(float)
    ratio, angle = second_moments(image)
    assert ratio == pytest.approx(0.5, abs=0.01)
    # East of north is counter-clockwise from up in an image with east to the left.
    assert angle == pytest.approx(30.0, abs=0.3)
    y, x = np.mgrid[:600, :600]
    tip = np.where(image > image.max() * 0.02, np.hypot(x - 299.5, y - 299.5), 0)
    where = np.unravel_index(np.argmax(tip), tip.shape)
    on_sky = cutout.position.position_angle(cutout.wcs.pixel_to_world(where[1], where[0]))
    assert on_sky.deg % 180 == pytest.approx(30.0, abs=2)


def test_the_wcs_puts_the_centroid_at_the_position_and_east_to_the_left():
    for galaxy in population("elliptical", 5):
        small = replace(galaxy, half_light_radius=1.0, sersic_n=1.0)
        cutout = draw(small, seed=3, shape=(96, 80), noise=False)
        y, x = np.mgrid[:96, :80]
        light = cutout.flux[1].astype(float)
        centroid = ((light * x).sum() / light.sum(), (light * y).sum() / light.sum())
        assert cutout.wcs.pixel_to_world(*centroid).separation(cutout.position) < 0.004 * u.arcsec
        assert abs(centroid[0] - 39.5) <= 0.5
        assert abs(centroid[1] - 47.5) <= 0.5
        left, up = cutout.wcs.pixel_to_world(0, 48), cutout.wcs.pixel_to_world(40, 95)
        assert left.ra > cutout.position.ra
        assert up.dec > cutout.position.dec
        assert cutout.pixel_scale.to_value(u.arcsec) == pytest.approx(0.4)
        assert cutout.wcs.array_shape == (96, 80)


def test_offsets_differ_from_galaxy_to_galaxy_and_fill_the_pixel():
    galaxies = [replace(ROUND, id=f"g{i}") for i in range(200)]
    offsets = np.array([draw(g, seed=1, shape=(4, 4), noise=False).wcs.wcs.crpix - 2.5 for g in galaxies])
    assert offsets.mean(axis=0) == pytest.approx([0, 0], abs=4 * np.sqrt(1 / 12 / 200))
    assert offsets.std(axis=0) == pytest.approx([np.sqrt(1 / 12)] * 2, rel=0.15)
    assert np.abs(offsets).max() <= 0.5


def test_noise_is_of_unit_variance_in_units_of_sigma():
    galaxies = population("spiral", 8)
    residuals = []
    for galaxy in galaxies:
        noisy, clean = draw(galaxy, seed=1), draw(galaxy, seed=1, noise=False)
        electrons = np.array(SIMULATED.electrons_per_njy)[:, None, None]
        sky = np.array(SIMULATED.sky_sigma)[:, None, None]
        np.testing.assert_allclose(
            noisy.sigma, np.sqrt(sky**2 + np.clip(clean.flux, 0, None) / electrons), rtol=1e-5
        )
        assert np.array_equal(noisy.sigma, clean.sigma)
        residuals.append((noisy.flux - clean.flux) / noisy.sigma)
    stack = np.array(residuals)
    n = stack.size
    assert stack.mean() == pytest.approx(0, abs=4 / np.sqrt(n))
    assert stack.var() == pytest.approx(1, abs=4 * np.sqrt(2 / n))
    # No galaxy shares noise with another, no band with another, no pixel with its neighbour.
    flat = stack.reshape(len(stack) * 3, -1)
    correlation = np.corrcoef(flat) - np.eye(len(flat))
    assert np.abs(correlation).max() < 5 / np.sqrt(flat.shape[1])
    lagged = np.mean(stack[..., 1:] * stack[..., :-1])
    assert lagged == pytest.approx(0, abs=4 / np.sqrt(n))


def test_seed_and_id_alone_decide_the_noise():
    again = draw(ROUND, seed=1)
    assert np.array_equal(again.flux, draw(ROUND, seed=1).flux)
    assert not np.array_equal(again.flux, draw(ROUND, seed=2).flux)
    assert not np.array_equal(again.flux, draw(replace(ROUND, id="other"), seed=1).flux)
    one_band = draw(ROUND, seed=1, observation=SIMULATED.only(("r",)))
    assert np.array_equal(one_band.flux[0], again.flux[1])


def test_a_pixel_below_zero_has_the_noise_of_the_sky():
    model = np.full((1, 2, 2), -5.0)
    _, sigma = add_noise(model, observation=FINE, seed=1, key="x")
    np.testing.assert_allclose(sigma, FINE.sky_sigma[0], rtol=1e-6)


def test_psf_planes_are_the_moffat_of_the_observation():
    two = Observation("two", ("g", "r"), 0.25 * u.arcsec, (1.4, 0.9), (24, 24), (1, 1), psf_beta=3.0)
    planes = psf_planes(two)
    assert planes.shape[1] % 2 == planes.shape[2] % 2 == 1
    half = planes.shape[1] // 2
    radius = np.hypot(*np.mgrid[-half : half + 1, -half : half + 1]) * 0.25
    for plane, fwhm in zip(planes.astype(float), two.psf_fwhm, strict=True):
        assert plane.sum() == pytest.approx(1, abs=1e-5)
        alpha = fwhm / 2 / np.sqrt(2 ** (1 / 3.0) - 1)
        moffat = (1 + (radius / alpha) ** 2) ** -3.0
        np.testing.assert_allclose(plane / plane.max(), moffat, atol=3e-3)


def test_a_point_of_light_has_the_psf_and_is_not_blurred_by_the_pixel_again():
    point = replace(ROUND, half_light_radius=1e-3)
    psf = psf_planes(SIMULATED)[1]
    image = seen(point, side=psf.shape[0])[1]
    np.testing.assert_allclose(image / image.max(), psf / psf.max(), atol=2e-3)


def test_each_band_has_its_own_psf():
    sharp, soft = SIMULATED.only(("g", "r")), SIMULATED.only(("g", "r"))
    soft = replace(soft, psf_fwhm=(1.0, 2.0))
    galaxy = population("spiral", 1)[0]
    a, b = seen(galaxy, sharp), seen(galaxy, soft)
    np.testing.assert_allclose(a[0], b[0])
    alone = seen(galaxy, soft.only(("r",)))
    np.testing.assert_allclose(alone[0], b[1])
    assert b[1].max() < 0.8 * a[1].max()


def test_a_galaxy_beyond_the_edge_is_the_part_of_a_larger_image():
    galaxy = replace(ROUND, axis_ratio=0.6, position_angle=40)
    whole = model_image(galaxy, observation=SIMULATED, shape=(120, 120), centre=(20.3, 90.6))
    part = model_image(galaxy, observation=SIMULATED, shape=(80, 90), centre=(-9.7, 50.6))
    np.testing.assert_allclose(part, whole[:, 40:, 30:], atol=1e-4 * whole.max())
    far = model_image(galaxy, observation=SIMULATED, shape=(64, 64), centre=(5000.0, 10.0))
    assert not far.any()


def test_moving_a_galaxy_away_shrinks_and_dims_its_image():
    galaxy = replace(ROUND, half_light_radius=6.0)
    near, far = seen(galaxy, FINE, 700)[0], seen(galaxy.at(0.2), FINE, 700)[0]
    assert far.sum() / near.sum() == pytest.approx(galaxy.at(0.2).flux("r") / galaxy.flux("r"), rel=5e-3)

    def area(image):
        y, x = np.mgrid[: len(image), : len(image)] - (len(image) - 1) / 2
        return (image * (x**2 + y**2)).sum() / image.sum()

    ratio = galaxy.at(0.2).half_light_radius / 6.0
    assert np.sqrt(area(far) / area(near)) == pytest.approx(ratio, rel=0.02)


def asymmetry(image):
    return np.abs(image - image[::-1, ::-1]).sum() / np.abs(image).sum()


def test_classes_look_like_themselves():
    looks = {kind: [seen(g)[1] for g in population(kind, 30, seed=9)] for kind in CLASSES}
    mean = {kind: np.mean([asymmetry(image) for image in images]) for kind, images in looks.items()}
    assert mean["elliptical"] < 0.01
    assert mean["edge_on"] < 0.01
    assert mean["merger"] > 0.4
    assert mean["irregular"] > 0.15
    ratio = {kind: np.mean([second_moments(image)[0] for image in looks[kind]]) for kind in looks}
    assert ratio["edge_on"] < 0.45 < ratio["spiral"]


def test_a_cutout_says_where_it_comes_from():
    galaxy = population("merger", 1)[0]
    cutout = draw(galaxy, seed=4)
    assert cutout.meta == {
        "id": galaxy.id,
        "class": "merger",
        "origin": "galcnn.simulation",
        "seed": 4,
    }
    assert cutout.unit == u.nJy
    assert cutout.redshift == galaxy.redshift
    assert cutout.survey == "simulated"
    assert cutout.position.separation(SkyCoord(galaxy.ra, galaxy.dec, unit="deg")) < 1e-6 * u.arcsec


@pytest.mark.parametrize("shape", [(64,), (0, 64), (64.0, 64.0), (64, 64, 3)])
def test_a_shape_is_two_positive_whole_numbers(shape):
    with pytest.raises(ValueError, match="two positive whole numbers"):
        draw(ROUND, seed=1, shape=shape)


def test_a_galaxy_of_too_many_pixels_says_so():
    large = replace(ROUND, half_light_radius=20.0, sersic_n=4.0)
    assert draw(large, seed=1, observation=FINE).flux.max() > 0
    huge = replace(large, half_light_radius=100.0)
    with pytest.raises(ValueError, match="few hundred pixels"):
        draw(huge, seed=1, observation=FINE)


def test_a_band_without_a_passband_is_refused():
    with pytest.raises(ValueError, match="bands among u, g, r"):
        draw(ROUND, seed=1, observation=replace(FINE, bands=("VIS",)))
