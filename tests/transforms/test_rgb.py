"""Pictures: the stated stretch by value, against astropy's, and nothing that is not flux."""

import json
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.visualization import make_lupton_rgb
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

from galcnn.cutout import Cutout
from galcnn.files import load_cutout
from galcnn.photometry import DISPLAY
from galcnn.photometry.units import UNCALIBRATED
from galcnn.transforms import display_rgb, render
from galcnn.transforms.rgb import RENDERS, RenderStep

NMGY = 3631.0


def a_wcs(arcsec=0.396):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-arcsec / 3600, arcsec / 3600]
    return wcs


def a_cutout(*nanomaggies, arcsec=0.396, bands=("g", "r", "i"), **changes):
    """One pixel a given colour, in nanomaggies of g, r, i."""
    flux = np.array(nanomaggies, dtype=float).T[:, np.newaxis, :] * NMGY
    return Cutout(**({"flux": flux, "bands": bands, "wcs": a_wcs(arcsec)} | changes))


def by_hand(g, r, i):
    """Lupton's stretch with the settings of ``sdss``, one pixel."""
    red, green, blue = 4.9 * i, 5.7 * r, 7.8 * g
    total = red + green + blue
    factor = np.arcsinh(2.25 * total) / (2.25 * total)
    colours = np.array([red, green, blue]) * factor
    colours = colours / max(colours.max(), 1)
    return np.rint(255 * np.clip(colours, 0, 1))


PIXELS = [(0.01, 0.02, 0.03), (0.1, 0.2, 0.25), (1, 2, 3), (30, 100, 150), (5, 0.1, 0.1), (-0.01, 0.02, 0.05)]


@pytest.mark.parametrize("pixel", PIXELS)
def test_the_stated_stretch(pixel):
    picture = render(a_cutout(pixel))
    np.testing.assert_array_equal(picture.flux.ravel(), by_hand(*pixel))
    assert (picture.bands, picture.unit) == (("R", "G", "B"), DISPLAY)


def test_astropy_agrees():
    """Lupton's mapping of astropy has other parameters: slope Q / stretch and a fixed fraction 0.1."""
    rng = np.random.default_rng(4)
    flux = 10 ** rng.uniform(-3, 2, (3, 40, 50))
    ours = render(Cutout(flux * NMGY, ("g", "r", "i"), a_wcs())).flux
    # asinh(I q / s) 25.5 / asinh(q / 10) / I is to be 255 asinh(6.75 I) / (6.75 I), I the mean of three.
    q = 10 * np.sinh(0.1 * 6.75)
    theirs = make_lupton_rgb(
        4.9 * flux[2], 5.7 * flux[1], 7.8 * flux[0], minimum=0, stretch=q / 6.75, Q=q
    ).astype(float)
    assert np.abs(ours - np.moveaxis(theirs, -1, 0)).max() <= 1  # they cut off, we round
    assert np.ptp(ours) > 200


@given(
    pixel=st.tuples(*[st.floats(-1, 1e4)] * 3),
)
@settings(max_examples=60, deadline=None)
def test_whole_numbers_from_0_to_255(pixel):
    flux = render(a_cutout(pixel)).flux
    assert ((flux >= 0) & (flux <= 255) & (flux == np.rint(flux))).all()


def test_hue_is_kept_where_it_is_bright():
    picture = render(a_cutout((1e3, 2e3, 4e3))).flux.ravel()
    assert picture[0] == 255
    np.testing.assert_allclose(picture[1:] / picture[0], [5.7 * 2 / (4.9 * 4), 7.8 / (4.9 * 4)], atol=1 / 255)


def test_other_pixels_have_the_same_surface_brightness():
    coarse = render(a_cutout((0.4, 0.8, 1.2)))
    fine = render(a_cutout((0.1, 0.2, 0.3), arcsec=0.198))
    np.testing.assert_array_equal(coarse.flux, fine.flux)
    assert fine.meta["render"]["from_pixel_scale"] == pytest.approx(0.198)


def test_units_of_flux_are_all_read():
    cutout = a_cutout((0.4, 0.8, 1.2))
    in_microjansky = replace(cutout, flux=cutout.flux / 1e3, unit=u.uJy)
    np.testing.assert_array_equal(render(in_microjansky).flux, render(cutout).flux)


def test_z_stands_in_for_i_where_there_is_none():
    flux = (0.4, 0.8, 1.2)
    picture = render(a_cutout(flux, bands=("g", "r", "z")))
    np.testing.assert_array_equal(picture.flux.ravel(), by_hand(0.4, 0.8, 1.2 * 4.1 / 4.9))
    assert picture.meta["render"]["bands"] == ["z", "r", "g"]
    both = a_cutout((*flux, 9.0), bands=("g", "r", "i", "z"))
    assert render(both).meta["render"]["bands"] == ["i", "r", "g"]


def test_bands_may_be_named():
    cutout = a_cutout((0.4, 0.8, 1.2), bands=("F435W", "F606W", "F814W"))
    with pytest.raises(ValueError, match=r"Name them: bands=\(red, green, blue\)"):
        render(cutout)
    picture = render(cutout, bands=("F814W", "F606W", "F435W"))
    np.testing.assert_array_equal(picture.flux.ravel(), by_hand(0.4, 0.8, 1.2))
    for bad in (("F814W", "F606W"), ("F814W", "F606W", "r")):
        with pytest.raises(ValueError, match="three bands"):
            render(cutout, bands=bad)


def test_only_flux_is_rendered():
    for unit in (DISPLAY, UNCALIBRATED, u.adu, u.MJy / u.sr):
        with pytest.raises(ValueError, match="in a unit of flux"):
            render(a_cutout((1, 1, 1), unit=unit))
    with pytest.raises(ValueError, match="whose pixel scale is known"):
        render(a_cutout((1, 1, 1), wcs=None))
    with pytest.raises(ValueError, match=r"a render step among \('sdss',\)"):
        render(a_cutout((1, 1, 1)), "hubble")


def test_holes_stay_holes_and_masks_of_all_bands_count():
    cutout = a_cutout((1, 1, 1), (np.nan, 1, 1), (1, 1, 1), sigma=None)
    mask = np.zeros((3, 1, 3), bool)
    mask[2, 0, 2] = True
    picture = render(replace(cutout, mask=mask))
    np.testing.assert_array_equal(picture.mask, [[[False, True, True]]] * 3)
    assert np.isnan(picture.flux[:, 0, 1]).all()
    np.testing.assert_array_equal(picture.flux[:, 0, 2], picture.flux[:, 0, 0])


def test_grid_and_provenance_stay():
    cutout = a_cutout((1, 1, 1), redshift=0.1, survey="SDSS", meta={"path": "a.fits"})
    picture = render(cutout)
    assert picture.wcs is cutout.wcs
    assert (picture.redshift, picture.survey, picture.meta["path"]) == (0.1, "SDSS", "a.fits")
    assert picture.sigma is None


def test_settings_of_your_own_are_applied_and_recorded():
    cutout = a_cutout((0.004, 0.008, 0.012))
    np.testing.assert_array_equal(render(cutout, RENDERS["sdss"]).flux, render(cutout, "sdss").flux)
    linear = RenderStep("linear", ("i", "r", "g"), (50.0, 25.0, 12.5), 0.0, 0.396, {})
    picture = render(cutout, linear)
    np.testing.assert_array_equal(picture.flux.ravel(), np.rint([255 * 0.6, 255 * 0.2, 255 * 0.05]))
    record = json.loads(json.dumps(picture.meta["render"], allow_nan=False))
    assert record == {
        "name": "linear", "bands": ["i", "r", "g"], "scales": [50.0, 25.0, 12.5], "nonlinearity": 0.0,
        "pixel_scale": 0.396, "substitutes": {}, "frame": None, "from_pixel_scale": pytest.approx(0.396),
    }  # fmt: skip


# For eyes -------------------------------------------------------------------------------------
def blob(height=100.0, size=64):
    y, x = np.mgrid[:size, :size] - size / 2
    return height * np.exp(-(x**2 + y**2) / (2 * 6.0**2))


def noisy(levels, **changes):
    rng = np.random.default_rng(8)
    flux = np.stack([level * blob() / 100 + rng.normal(3, 1, (64, 64)) for level in levels])
    return Cutout(**({"flux": flux, "bands": tuple(f"x{i}" for i in range(len(levels)))} | changes))


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_display_shows_galaxy_on_black_sky(n):
    shown = display_rgb(noisy([100.0] * n, unit=UNCALIBRATED))
    assert (shown.shape, shown.dtype) == ((64, 64, 3), np.uint8)
    assert shown[28:36, 28:36].mean() > 150
    assert np.median(shown[:10]) < 12
    if n == 1:
        assert (shown[..., 0] == shown[..., 1]).all()
        assert (shown[..., 0] == shown[..., 2]).all()


def test_display_keeps_row_0_at_the_bottom():
    flux = np.zeros((1, 8, 8))
    flux[0, 0] = 5.0
    shown = display_rgb(Cutout(flux, ("r",)))
    assert shown[0].min() > 150
    assert shown[1:].max() == 0


def test_display_gives_pictures_back():
    picture = Cutout(np.arange(12.0).reshape(3, 2, 2), ("R", "G", "B"), unit=DISPLAY)
    np.testing.assert_array_equal(display_rgb(picture), np.moveaxis(picture.flux, 0, -1))


@pytest.mark.parametrize(
    ("bands", "red"),
    [
        (("i", "g", "r"), 0),
        (("F160W", "F435W", "F814W"), 0),
        (("F606W", "F435W", "F105W"), 2),
        (("J", "H", "K"), 2),
        (("red", "green", "blue"), 2),
    ],
)  # fmt: skip
def test_display_orders_bands_by_wavelength(bands, red):
    """The reddest band is the only one with light: the picture is red; unknown names run to the red."""
    levels = [100.0 if i == red else 0.0 for i in range(3)]
    centre = display_rgb(noisy(levels, bands=bands))[32, 32].astype(int)
    assert centre[0] > 100
    assert centre[1:].max() < 60


def test_display_balances_what_is_not_calibrated():
    flux = noisy([100.0, 100.0, 100.0], unit=UNCALIBRATED).flux * np.array([1, 50, 1000.0])[:, None, None]
    centre = (
        display_rgb(Cutout(flux, ("x", "y", "z0"), unit=UNCALIBRATED))[30:34, 30:34]
        .reshape(-1, 3)
        .mean(axis=0)
    )
    assert np.ptp(centre) < 15


def test_display_of_holes_and_of_nothing():
    flux = np.ones((3, 6, 6))
    flux[:, 2] = np.nan
    assert (display_rgb(Cutout(flux, ("g", "r", "i")))[2] == 0).all()
    assert (display_rgb(Cutout(np.full((1, 4, 4), np.nan), ("r",))) == 0).all()
    assert (display_rgb(Cutout(np.zeros((2, 4, 4)), ("g", "r"))) == 0).all()


# Real galaxies --------------------------------------------------------------------------------
def test_a_real_spiral_looks_like_a_galaxy_zoo_picture(real_data):
    """Bright warm core, colder arms, dark sky; brightness as in the pictures networks were trained on."""
    folder = real_data / "fits/hostphot"
    cutout = load_cutout([folder / f"DES_{band}.fits" for band in "gri"])
    picture = np.moveaxis(render(cutout).flux, 0, -1)
    core, arms, sky = picture[118:123, 118:123], picture[40:200, 40:200], picture[2:20, 2:20]
    core, arms, sky = (part.reshape(-1, 3).mean(axis=0) for part in (core, arms, sky))
    assert core[0] > 230
    assert core[0] > core[1] > core[2]
    assert arms[2] / arms[0] > core[2] / core[0] + 0.05
    assert sky.max() < 30
    zoo = [load_cutout(p).flux.mean() for p in sorted((real_data / "gz1/images").glob("*.jpg"))[:200]]
    assert 0.2 < sky.mean() / np.median(zoo) < 5


def test_des_and_legacy_filters_give_one_picture(real_data):
    folder = real_data / "fits/hostphot"
    cutout = load_cutout([folder / f"DES_{band}.fits" for band in "griz"])
    with_i = render(cutout).flux
    with_z = render(cutout, bands=("z", "r", "g")).flux
    substituted = render(load_cutout([folder / f"DES_{band}.fits" for band in "grz"])).flux
    # The substitute's own scale brings the red plane nearer to that of i than that of z would be.
    assert np.abs(substituted - with_i).mean() < np.abs(with_z - with_i).mean()
    assert np.abs(substituted - with_i).mean() < 8
