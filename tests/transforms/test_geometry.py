"""Grids: flux conserved, middle kept, WCS exact, masks do not leak; idle steps do nothing."""

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from galcnn.cutout import Cutout
from galcnn.files import load_cutout
from galcnn.photometry import DISPLAY
from galcnn.transforms import crop, fit, pad, resample
from galcnn.transforms.resampling import resize

SCALE = 0.3


def a_wcs(shape, *, scale=SCALE, angle=25.0, mirrored=False, **cards):
    ny, nx = shape
    turn, left = np.radians(angle), 1 if mirrored else -1
    header = fits.Header()
    for key, value in {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 30.0, "CRVAL2": -10.0,
        "CRPIX1": nx / 2 + 3.3, "CRPIX2": ny / 2 - 1.7,
        "CD1_1": left * scale / 3600 * np.cos(turn), "CD1_2": scale / 3600 * np.sin(turn),
        "CD2_1": -left * scale / 3600 * np.sin(turn), "CD2_2": scale / 3600 * np.cos(turn), **cards,
    }.items():  # fmt: skip
        header[key] = value
    wcs = WCS(header)
    wcs.array_shape = shape
    return wcs


def galaxy(shape=(48, 56), *, n_bands=2, offset=(2.3, -1.8), width=4.0):
    """A round Gaussian away from the middle, far from the edges."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    y0, x0 = (shape[0] - 1) / 2 + offset[0], (shape[1] - 1) / 2 + offset[1]
    blob = np.exp(-((y - y0) ** 2 + (x - x0) ** 2) / (2 * width**2))
    return np.stack([blob * 10**k for k in range(n_bands)])


def a_cutout(shape=(48, 56), **changes):
    fields = {"flux": galaxy(shape), "bands": ("g", "r"), "wcs": a_wcs(shape)}
    return Cutout(**(fields | changes))


def sky_of_centroid(cutout):
    flux = np.nan_to_num(cutout.flux[0].astype(float))
    y, x = np.mgrid[: flux.shape[0], : flux.shape[1]]
    return cutout.wcs.pixel_to_world((flux * x).sum() / flux.sum(), (flux * y).sum() / flux.sum())


def middle(cutout):
    ny, nx = cutout.shape
    return cutout.wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)


# Crop and pad ---------------------------------------------------------------------------------
@pytest.mark.parametrize("old", [(8, 8), (9, 9), (8, 11)])
@pytest.mark.parametrize("new", [(4, 4), (5, 5), (4, 5), (1, 1)])
def test_crop_keeps_pixels_sky_and_centring(old, new):
    numbers = np.arange(float(old[0] * old[1])).reshape(1, *old)
    cutout = Cutout(numbers, ("r",), a_wcs(old), sigma=numbers + 1, mask=numbers[0] % 7 == 0)
    cropped = crop(cutout, new)
    # The pixel n // 2 becomes the pixel m // 2.
    assert cropped.flux[0, new[0] // 2, new[1] // 2] == cutout.flux[0, old[0] // 2, old[1] // 2]
    top, left = old[0] // 2 - new[0] // 2, old[1] // 2 - new[1] // 2
    window = (slice(None), slice(top, top + new[0]), slice(left, left + new[1]))
    for name in ("flux", "sigma", "mask"):
        np.testing.assert_array_equal(getattr(cropped, name), getattr(cutout, name)[window])
    sky = cropped.wcs.all_pix2world([[0, 0], [new[1] - 1, new[0] - 1]], 0)
    same = cutout.wcs.all_pix2world([[left, top], [left + new[1] - 1, top + new[0] - 1]], 0)
    np.testing.assert_allclose(sky, same, rtol=0, atol=1e-11)
    # The middle of the field moves by half a pixel at most.
    assert middle(cropped).separation(middle(cutout)).arcsec <= SCALE * np.hypot(0.5, 0.5) + 1e-6


def test_crop_about_a_corner():
    cutout = a_cutout()
    part = crop(cutout, (5, 6), corner=(3, 10))
    np.testing.assert_array_equal(part.flux, cutout.flux[:, 3:8, 10:16])
    assert part.meta["geometry"] == [{"step": "crop", "from": [48, 56], "shape": [5, 6], "corner": [3, 10]}]
    for corner in ((-1, 0), (44, 0), (0, 51)):
        with pytest.raises(ValueError, match="a part of"):
            crop(cutout, (5, 6), corner=corner)


@pytest.mark.parametrize(("old", "new"), [((4, 5), (7, 7)), ((5, 5), (8, 6)), ((4, 4), (4, 9))])
def test_pad_adds_masked_nan_and_crop_undoes_it(old, new):
    flux = galaxy(old)
    cutout = Cutout(flux, ("g", "r"), a_wcs(old), sigma=flux + 1, psf=np.full((2, 3, 3), 1 / 9))
    padded = pad(cutout, new)
    assert padded.shape == new
    added = np.isnan(padded.flux)
    assert added.sum() == 2 * (new[0] * new[1] - old[0] * old[1])
    np.testing.assert_array_equal(padded.mask, added)
    np.testing.assert_array_equal(np.isnan(padded.sigma), added)
    back = crop(padded, old)
    for name in ("flux", "sigma", "mask", "psf"):
        np.testing.assert_array_equal(getattr(back, name), getattr(cutout, name))
    corners = [[0, 0], [old[1] - 1, old[0] - 1]]
    np.testing.assert_allclose(
        back.wcs.all_pix2world(corners, 0), cutout.wcs.all_pix2world(corners, 0), rtol=0, atol=1e-11
    )


def test_crop_and_pad_refuse_each_other():
    cutout = a_cutout((6, 6))
    with pytest.raises(ValueError, match="Use pad"):
        crop(cutout, (7, 6))
    with pytest.raises(ValueError, match="Use crop"):
        pad(cutout, (6, 5))
    for bad in ((0, 4), (4.5, 4), (4,)):
        with pytest.raises(ValueError, match="positive whole numbers"):
            crop(cutout, bad)


def test_nothing_to_do_is_nothing_done():
    cutout = a_cutout()
    assert crop(cutout, cutout.shape) is cutout
    assert pad(cutout, cutout.shape) is cutout
    assert resize(cutout, cutout.shape) is cutout
    assert resample(cutout, SCALE * u.arcsec) is cutout
    assert fit(cutout, cutout.shape) is cutout
    assert fit(cutout, cutout.shape, pixel_scale=SCALE * u.arcsec) is cutout


# Resample -------------------------------------------------------------------------------------
@pytest.mark.parametrize("ratio", [0.37, 0.5, 0.9, 1.1, 1.6180339, 2.0, 3.3])
def test_flux_is_conserved_and_the_centroid_stays_on_the_sky(ratio):
    cutout = a_cutout()
    new = resample(cutout, ratio * SCALE * u.arcsec)
    assert new.pixel_scale.to_value("arcsec") == pytest.approx(ratio * SCALE, rel=1e-9)
    assert new.shape == tuple(int(n / ratio + 1e-6) for n in cutout.shape)
    old_sum, new_sum = (np.nansum(c.flux, axis=(1, 2), dtype=float) for c in (cutout, new))
    np.testing.assert_allclose(new_sum, old_sum, rtol=1e-5)
    assert (
        sky_of_centroid(new).separation(sky_of_centroid(cutout)).arcsec < 0.007 * SCALE
    )  # sampling alone does this
    assert middle(new).separation(middle(cutout)).arcsec < 1e-7
    assert not new.mask.any()


@pytest.mark.parametrize("kind", ["reproject_exact", "reproject_adaptive"])
@pytest.mark.parametrize("ratio", [0.8, 1.7])
def test_values_are_those_of_reproject(kind, ratio):
    """An independent implementation, by polygons on the sphere; its adaptive one smooths a little."""
    import reproject

    cutout = a_cutout()
    new = resample(cutout, ratio * SCALE * u.arcsec)
    call = {"reproject_exact": reproject.reproject_exact, "reproject_adaptive": reproject.reproject_adaptive}[
        kind
    ]
    options = {"conserve_flux": True, "kernel": "gaussian"} if kind == "reproject_adaptive" else {}
    theirs, footprint = call(
        (cutout.flux[0].astype(float), cutout.wcs), new.wcs, shape_out=new.shape, **options
    )
    if kind == "reproject_exact":  # gives surface brightness
        theirs = theirs * ratio**2
    inside = footprint > 0.999
    tolerance = 2e-4 if kind == "reproject_exact" else 0.08
    assert inside.mean() > 0.8
    assert np.abs(new.flux[0] - theirs)[inside].max() < tolerance * new.flux[0].max()


@pytest.mark.parametrize("factor", [2, 3])
def test_whole_factors_are_sums_of_blocks(factor):
    shape = (4 * factor, 5 * factor)
    flux = np.random.default_rng(2).normal(size=(1, *shape)).astype(np.float32)
    new = resample(Cutout(flux, ("r",), a_wcs(shape)), factor * SCALE * u.arcsec)
    blocks = flux[0].astype(float).reshape(4, factor, 5, factor).sum(axis=(1, 3))
    np.testing.assert_allclose(new.flux[0], blocks, rtol=1e-5, atol=1e-5)


@given(ratio=st.floats(0.3, 4), seed=st.integers(0, 99), factor=st.floats(-3, 3))
@settings(max_examples=30, deadline=None)
def test_resampling_is_linear(ratio, seed, factor):
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=(2, 1, 12, 17))
    wcs = a_wcs((12, 17))

    def moved(flux):
        return resample(Cutout(flux, ("r",), wcs), ratio * SCALE * u.arcsec, (9, 9)).flux

    together = moved(one + factor * two)
    np.testing.assert_allclose(together, moved(one) + factor * moved(two), atol=1e-5 * max(1, ratio**2) * 10)


CARDS = {
    "plain": {},
    "mirrored": {"mirrored": True},
    "sip": {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 3,
            "A_2_0": 1e-4, "A_1_1": 3e-5, "B_0_3": 1e-6, "B_1_1": -5e-5},
    "tpv": {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.001, "PV1_4": 0.3, "PV2_1": 0.99},
}  # fmt: skip


@pytest.mark.parametrize("kind", CARDS)
@pytest.mark.parametrize("operation", ["crop", "pad", "resample", "resize"])
def test_the_wcs_is_exact_distortions_and_parity_included(kind, operation):
    shape = (30, 41)
    cutout = Cutout(galaxy(shape), ("g", "r"), a_wcs(shape, **CARDS[kind]))
    new, ratios, start = {
        "crop": lambda: (crop(cutout, (11, 12)), (1, 1), (10, 14)),
        "pad": lambda: (pad(cutout, (40, 45)), (1, 1), (-5, -2)),
        "resample": lambda: (resample(cutout, 1.7 * cutout.pixel_scale, (13, 20)), (1.7, 1.7), None),
        "resize": lambda: (resize(cutout, (10, 82)), (3.0, 0.5), None),
    }[operation]()
    rows, columns = np.array([0, 3.3, new.shape[0] - 1]), np.array([0, 5.1, new.shape[1] - 1])
    if start is None:
        start = [(n - 1) / 2 - (m - 1) / 2 * r for n, m, r in zip(shape, new.shape, ratios, strict=True)]
    old = np.stack([start[1] + columns * ratios[1], start[0] + rows * ratios[0]], axis=1)
    np.testing.assert_allclose(
        new.wcs.all_pix2world(np.stack([columns, rows], axis=1), 0),
        cutout.wcs.all_pix2world(old, 0), rtol=0, atol=1e-10,
    )  # fmt: skip
    hands = [np.sign(np.linalg.det(c.wcs.pixel_scale_matrix)) for c in (cutout, new)]
    assert hands == ([1, 1] if kind == "mirrored" else [-1, -1])
    assert new.wcs.array_shape == new.shape


@pytest.mark.parametrize("form", ["cdelt and crota", "pc"])
def test_the_wcs_is_exact_in_every_form(form):
    matrix = (
        {"CROTA2": 33.0}
        if form == "cdelt and crota"
        else {"PC1_1": 0.8, "PC1_2": -0.6, "PC2_1": 0.6, "PC2_2": 0.8}
    )
    header = fits.Header()
    for key, value in {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 30.0, "CRVAL2": -10.0, "CRPIX1": 7.0,
        "CRPIX2": 9.0, "CDELT1": -1e-4, "CDELT2": 1e-4, **matrix,
    }.items():  # fmt: skip
        header[key] = value
    cutout = Cutout(galaxy((30, 30)), ("g", "r"), WCS(header))
    new = resize(cutout, (10, 15))
    np.testing.assert_allclose(
        new.wcs.all_pix2world([[0, 0], [14, 9]], 0),
        cutout.wcs.all_pix2world([[0.5, 1], [28.5, 28]], 0), rtol=0, atol=1e-11,
    )  # fmt: skip


def test_display_values_and_surface_brightness_are_averaged():
    flux = np.random.default_rng(1).uniform(0, 255, (1, 6, 6))
    for unit in (DISPLAY, u.MJy / u.sr, u.nJy / u.arcsec**2):
        new = resize(Cutout(flux, ("r",), unit=unit), (3, 2))
        np.testing.assert_allclose(new.flux[0], flux[0].reshape(3, 2, 2, 3).mean(axis=(1, 3)), rtol=1e-6)
    for unit in (u.nJy, u.adu, u.electron / u.s):
        new = resize(Cutout(flux, ("r",), unit=unit), (3, 2))
        np.testing.assert_allclose(new.flux[0], flux[0].reshape(3, 2, 2, 3).sum(axis=(1, 3)), rtol=1e-6)


# Masks ----------------------------------------------------------------------------------------
def test_masked_pixels_do_not_leak():
    flux = np.ones((1, 8, 8))
    mask = np.zeros((1, 8, 8), bool)
    flux[0, 2, 2], mask[0, 2, 2] = 1e9, True
    flux[0, 5, 5] = np.nan
    new = resample(Cutout(flux, ("r",), a_wcs((8, 8)), mask=mask), 2 * SCALE * u.arcsec)
    # Three of four pixels are good: their mean stands for the fourth.
    np.testing.assert_allclose(new.flux, 4.0, rtol=1e-6)
    assert not new.mask.any()


def test_too_little_coverage_is_masked():
    mask = np.zeros((1, 4, 4), bool)
    mask[0, :2, :2] = [[True, True], [True, False]]  # a quarter is good
    mask[0, 2:, :2] = [[True, False], [True, False]]  # half
    new = resample(Cutout(np.ones((1, 4, 4)), ("r",), a_wcs((4, 4)), mask=mask), 2 * SCALE * u.arcsec)
    np.testing.assert_array_equal(new.mask[0], [[True, False], [False, False]])
    np.testing.assert_array_equal(new.flux[0], [[np.nan, 4.0], [4.0, 4.0]])


def test_outside_of_the_field_is_masked():
    new = resample(a_cutout((8, 8)), 0.5 * SCALE * u.arcsec, (20, 20))
    inside = np.zeros((20, 20), bool)
    inside[2:18, 2:18] = True
    np.testing.assert_array_equal(~new.mask, [inside] * 2)
    np.testing.assert_array_equal(np.isfinite(new.flux), [inside] * 2)


def test_masks_differ_from_band_to_band():
    mask = np.zeros((2, 4, 4), bool)
    mask[1] = True
    mask[1, 0, 0] = False
    new = resample(a_cutout((4, 4), mask=mask), 2 * SCALE * u.arcsec)
    assert not new.mask[0].any()
    assert new.mask[1].all()


# Noise and PSF --------------------------------------------------------------------------------
@pytest.mark.parametrize("ratio", [0.6, 1.0 + 1e-3, 2.0, 2.7])
def test_sigma_is_the_scatter_of_many_noise_images(ratio):
    shape, n = (10, 11), 4000
    rng = np.random.default_rng(3)
    sigma = np.broadcast_to(rng.uniform(0.5, 2, shape), (n, *shape))
    names = tuple(f"b{i}" for i in range(n))
    noise = rng.normal(size=(n, *shape)) * sigma
    new = resample(Cutout(noise, names, a_wcs(shape), sigma=sigma), ratio * SCALE * u.arcsec)
    np.testing.assert_allclose(new.flux.std(axis=0) / new.sigma[0], 1, atol=0.06)


def test_sigma_of_whole_factors_adds_in_quadrature():
    sigma = np.random.default_rng(2).uniform(1, 2, (1, 6, 6))
    cutout = Cutout(np.ones((1, 6, 6)), ("r",), a_wcs((6, 6)), sigma=sigma)
    new = resample(cutout, 2 * SCALE * u.arcsec)
    expected = np.sqrt((sigma[0].reshape(3, 2, 3, 2) ** 2).sum(axis=(1, 3)))
    np.testing.assert_allclose(new.sigma[0], expected, rtol=1e-6)


@pytest.mark.parametrize("n", [21, 20])
@pytest.mark.parametrize("ratio", [0.6, 1.5, 2.0])
def test_the_psf_is_that_of_a_resampled_star(n, ratio):
    y, x = np.mgrid[:n, :n] - (n - 1) / 2
    psf = np.exp(-(x**2 + (y / 1.5) ** 2) / (2 * 2.0**2))
    psf /= psf.sum()
    star = Cutout(psf * 50, ("r",), a_wcs((n, n)), psf=psf)
    new = resample(star, ratio * SCALE * u.arcsec)
    assert new.psf.sum() == pytest.approx(1, abs=1e-6)
    assert new.psf.shape[1] % 2 == n % 2
    p = new.psf.shape[1]
    at = (np.arange(p) - (p - 1) / 2) * new.psf[0]
    assert abs(at.sum()) < 1e-6  # its middle stays the middle
    spread = np.sqrt((((np.arange(p) - (p - 1) / 2) ** 2) * new.psf[0]).sum()) * ratio
    # The square of old and new pixel adds r**2 / 12 to the variance of what it holds.
    assert spread == pytest.approx(np.sqrt(4 + ratio**2 / 12 + 1 / 12), rel=0.03)
    if new.shape[0] % 2 == n % 2:  # star and PSF on one grid
        m = min(p, new.shape[0])
        a, b = (p - m) // 2, (new.shape[0] - m) // 2
        np.testing.assert_allclose(
            new.flux[0, b : b + m, b : b + m], 50 * new.psf[0, a : a + m, a : a + m], atol=1e-5
        )


# Fit ------------------------------------------------------------------------------------------
def test_fit_resamples_to_the_pixel_scale_of_the_model():
    cutout = a_cutout()
    new = fit(cutout, (16, 17), pixel_scale=2 * SCALE * u.arcsec)
    assert new.shape == (16, 17)
    assert new.pixel_scale.to_value("arcsec") == pytest.approx(2 * SCALE, rel=1e-9)
    assert middle(new).separation(middle(cutout)).arcsec < 1e-7
    assert [step["step"] for step in new.meta["geometry"]] == ["resample"]
    assert new.meta["geometry"][0]["ratio"] == pytest.approx([2, 2], rel=1e-9)


def test_fit_crops_and_pads_at_its_own_scale_bit_by_bit():
    cutout = a_cutout((20, 10))
    new = fit(cutout, (12, 14), pixel_scale=SCALE * u.arcsec)
    np.testing.assert_array_equal(new.flux[:, :, 2:12], cutout.flux[:, 4:16])
    assert np.isnan(new.flux[:, :, :2]).all()
    assert [step["step"] for step in new.meta["geometry"]] == ["crop", "pad"]


@pytest.mark.parametrize("known", ["neither", "cutout", "model"])
def test_fit_takes_the_whole_field_where_a_scale_is_unknown(known):
    flux = np.random.default_rng(0).uniform(0, 255, (3, 12, 18))
    wcs = a_wcs((12, 18)) if known == "cutout" else None
    cutout = Cutout(flux, ("R", "G", "B"), wcs, unit=DISPLAY)
    new = fit(cutout, (4, 4), pixel_scale=0.4 * u.arcsec if known == "model" else None)
    # Never stretched: the middle 12 x 12 of 12 x 18.
    np.testing.assert_allclose(new.flux, flux[:, :, 3:15].reshape(3, 4, 3, 4, 3).mean(axis=(2, 4)), rtol=1e-6)
    assert [step["step"] for step in new.meta["geometry"]] == ["crop", "resize"]


def test_meta_of_the_input_is_not_changed():
    cutout = a_cutout(meta={"path": "a.fits"})
    new = fit(cutout, (8, 8), pixel_scale=SCALE * 3 * u.arcsec)
    assert cutout.meta == {"path": "a.fits"}
    assert new.meta["path"] == "a.fits"


@pytest.mark.parametrize("scale", [0 * u.arcsec, -1 * u.arcsec, np.nan * u.arcsec, 1 * u.m])
def test_bad_pixel_scales(scale):
    with pytest.raises(ValueError, match="positive angle"):
        resample(a_cutout(), scale)


def test_resample_wants_a_wcs():
    with pytest.raises(ValueError, match="Use resize"):
        resample(a_cutout(wcs=None), 1 * u.arcsec)


# Real galaxies --------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "name",
    [
        "hostphot/DES_g.fits",
        "decam_interacting/132_rband.fits",
        "hst_candels/deep2_10673/GDS_deep2_10673_h.fits",
    ],
)
def test_real_galaxies_keep_flux_and_place(real_data, name):
    cutout = load_cutout(real_data / "fits" / name)
    ratio = 1.5
    new = resample(cutout, ratio * cutout.pixel_scale)
    ny, nx = new.shape
    # The part of the old field that the new one covers, by whole pixels.
    part = crop(cutout, (int(ny * ratio), int(nx * ratio)))
    assert np.nansum(new.flux, dtype=float) == pytest.approx(np.nansum(part.flux, dtype=float), rel=3e-3)
    y, x = np.unravel_index(np.nanargmax(new.flux[0]), new.shape)
    old_y, old_x = np.unravel_index(np.nanargmax(cutout.flux[0]), cutout.shape)
    peaks = new.wcs.pixel_to_world(x, y).separation(cutout.wcs.pixel_to_world(old_x, old_y))
    assert peaks < 1.5 * ratio * cutout.pixel_scale


def test_a_galaxy_zoo_picture_keeps_its_brightness(real_data):
    picture = load_cutout(sorted((real_data / "gz1/images").glob("*.jpg"))[0])
    small = fit(picture, (48, 48))
    np.testing.assert_allclose(small.flux.mean(axis=(1, 2)), picture.flux.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(small.flux[0, 5, 7], picture.flux[0, 10:12, 14:16].mean(), rtol=1e-6)
