"""Widths are angles along x and y, networks get square pixels, and unknown scales must be stated."""

import pickle
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from PIL import Image

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles, SourceSettings
from galcnn.errors import UnfitImageError
from galcnn.files import Treatment, load_cutout, save_cutout
from galcnn.files.loading import treat
from galcnn.model import InputSpec, prepare
from galcnn.mosaic import cut, open_mosaic
from galcnn.transforms import crop_width, fit, resample


def cutout(x_side, y_side, *, turn=30.0, skew=0.0, shape=(60, 90)):
    """Return a round galaxy of 4 arcsec on pixels of these sides, arcsec."""
    c, s = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [200, 40]
    wcs.wcs.crpix = [(shape[1] + 1) / 2, (shape[0] + 1) / 2]
    wcs.wcs.cd = np.array([[-c, s], [s, c]]) @ np.array([[x_side, skew], [0, y_side]]) / 3600
    y, x = np.indices(shape)
    r2 = ((x - (shape[1] - 1) / 2) * x_side) ** 2 + ((y - (shape[0] - 1) / 2) * y_side) ** 2
    return Cutout(np.exp(-r2 / 32) * x_side * y_side, ("r",), wcs)


@pytest.mark.parametrize("turn", [0.0, 30.0, 200.0])
@pytest.mark.parametrize("sides", [(1.0, 0.5), (0.4, 0.9), (0.7, 0.7)])
def test_scales_are_along_x_and_y(sides, turn):
    one = cutout(*sides, turn=turn)
    np.testing.assert_allclose(one.pixel_scales.to_value(u.arcsec), sides, rtol=1e-6)
    assert one.pixel_scale.to_value(u.arcsec) == pytest.approx(np.sqrt(sides[0] * sides[1]), rel=1e-6)


def test_a_scale_includes_the_distortion():
    one = cutout(0.5, 0.5)
    one.wcs.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    from astropy.wcs import Sip

    a, b = np.zeros((2, 3, 3))
    a[2, 0] = 0.01  # dx'/dx = 1 + 0.02 u, where u = 10 at the middle
    one.wcs.sip = Sip(a, b, None, None, one.wcs.wcs.crpix - [10, 0])
    one.wcs.wcs.crpix = one.wcs.wcs.crpix - [10, 0]
    np.testing.assert_allclose(one.pixel_scales.to_value(u.arcsec), [0.6, 0.5], rtol=1e-6)


@pytest.mark.parametrize("sides", [(1.0, 0.5), (0.4, 0.9)])
def test_a_width_is_an_angle_in_both_directions(sides):
    part = crop_width(cutout(*sides), 24 * u.arcsec)
    assert part.shape == (round(24 / sides[1]), round(24 / sides[0]))
    ny, nx = part.shape
    x, y = [-0.5, nx - 0.5, (nx - 1) / 2, (nx - 1) / 2], [(ny - 1) / 2, (ny - 1) / 2, -0.5, ny - 0.5]
    edges = part.wcs.pixel_to_world(x, y)
    np.testing.assert_allclose(edges[::2].separation(edges[1::2]).arcsec, 24, atol=max(sides))


@pytest.mark.parametrize("sides", [(1.0, 0.5), (0.4, 0.9), (1.0, 0.25)])
def test_a_network_gets_round_galaxies_on_square_pixels(sides):
    spec = InputSpec(("r",), "nJy", (24, 24), 1.0)
    one = cutout(*sides)
    with pytest.raises(ValueError, match=r"pixels of 1\.0 arcsec.*along x"):
        prepare(one, replace(spec, shape=one.shape))
    fitting = prepare(one, spec, fit=True)
    np.testing.assert_allclose(fitting.pixel_scales.to_value(u.arcsec), 1.0, rtol=1e-6)
    expected = prepare(cutout(1.0, 1.0), spec, fit=True)
    inner = (slice(None), slice(6, 18), slice(6, 18))
    np.testing.assert_allclose(fitting.flux[inner], expected.flux[inner], rtol=0.06)
    without = fit(one, (24, 24))  # a network of any scale
    assert float(np.ptp(without.pixel_scales.to_value(u.arcsec))) < 0.07 * without.pixel_scale.value


def test_oblique_pixels_are_refused_with_a_remedy():
    one = cutout(0.5, 0.5, skew=0.1)
    for step in (lambda: crop_width(one, 9 * u.arcsec), lambda: resample(one, 1 * u.arcsec)):
        with pytest.raises(UnfitImageError, match=r"right angles.*angle='78\.7 deg'.*align"):
            step()


@pytest.fixture
def nowhere(tmp_path):
    fits.PrimaryHDU(np.ones((40, 40), np.float32), fits.Header({"BUNIT": "nJy", "FILTER": "r"})).writeto(
        tmp_path / "nowhere.fits"
    )
    return tmp_path / "nowhere.fits"


SPEC = InputSpec(("r",), "nJy", (32, 32), 0.4)


@pytest.mark.parametrize("fit_it", [False, True])
def test_a_file_without_wcs_needs_a_statement(nowhere, fit_it):
    spec = SPEC if fit_it else replace(SPEC, shape=(40, 40))
    with pytest.raises(ValueError, match=r"a WCS, whose pixel scale is known.*--width 96pix.*--pixel-scale"):
        prepare(load_cutout(nowhere), spec, fit=fit_it)
    assert prepare(load_cutout(nowhere), replace(spec, pixel_scale=None), fit=fit_it).shape == spec.shape
    named = InputFiles({"a": nowhere}, width=32 * u.pix, fit=fit_it)
    ready = named.prepared("a", SPEC)
    assert (ready.shape, ready.meta["width"]) == ((32, 32), "32 pix")
    renamed = replace(load_cutout(nowhere), meta={"pixel_scale": None})  # not known by its path
    with pytest.raises(ValueError, match="--width 96pix"):
        prepare(renamed, spec, fit=fit_it)
    whole = crop_width(load_cutout(nowhere), 40 * u.pix)
    assert prepare(whole, spec, fit=fit_it).shape == spec.shape


def test_a_stated_scale_counts_like_that_of_a_wcs(nowhere, tmp_path):
    stated = treat(load_cutout(nowhere), Treatment(pixel_scale=0.8 * u.arcsec))
    with pytest.raises(ValueError, match=r"pixels of 0\.4 arcsec.*0\.8000"):
        prepare(stated, replace(SPEC, shape=(40, 40)))
    save_cutout(stated, tmp_path / "stated.fits")
    again = load_cutout(tmp_path / "stated.fits")
    np.testing.assert_allclose(again.pixel_scales.to_value(u.arcsec), 0.8)
    fitting = prepare(again, SPEC, fit=True)
    np.testing.assert_allclose(fitting.pixel_scales.to_value(u.arcsec), 0.4)
    assert fitting.flux[0, 16, 16] == pytest.approx(0.25)
    assert crop_width(again, 8 * u.arcsec).shape == (10, 10)
    with pytest.raises(ValueError, match="an image without a WCS, for the pixel scale"):
        treat(cutout(1.0, 1.0), Treatment(pixel_scale=1 * u.arcsec))


def test_a_scale_stated_for_files_is_that_of_those_without_a_wcs(nowhere, tmp_path):
    save_cutout(cutout(0.4, 0.4), tmp_path / "known.fits")
    paths = {"a": nowhere, "b": tmp_path / "known.fits"}
    found = InputFiles(paths, pixel_scale=0.8 * u.arcsec)
    for name, scale in (("a", 0.8), ("b", 0.4)):
        for files in (found, found.like(paths), pickle.loads(pickle.dumps(found))):
            np.testing.assert_allclose(files.load(name).pixel_scales.to_value(u.arcsec), scale, rtol=1e-6)
    assert "pixel_scale 0.8 arcsec" in found.described
    table = Catalog(QTable({"id": ["a"], "image": [str(nowhere)]}))
    with SourceSettings(pixel_scale="0.8 arcsec").open(table) as source:
        assert source.read([0])[0].pixel_scale == 0.8 * u.arcsec
    with pytest.raises(ValueError, match="pixel_scale with image files only"):
        SourceSettings(pixel_scale="0.8 arcsec", shards="s")


def test_a_picture_for_a_rendered_network_needs_one_too(tmp_path):
    Image.fromarray(np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)).save(tmp_path / "a.png")
    spec = InputSpec(("R", "G", "B"), "display", (32, 32), 0.396)
    with pytest.raises(ValueError, match="--width 96pix"):
        prepare(load_cutout(tmp_path / "a.png"), spec)
    assert prepare(crop_width(load_cutout(tmp_path / "a.png"), 32 * u.pix), spec).shape == (32, 32)


def test_a_mosaic_says_where_its_pixels_are_oblong(tmp_path):
    from astropy.table import QTable

    from galcnn.catalog import Catalog

    cards = fits.Header({"BUNIT": "nJy", "FILTER": "r", "CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR"})
    cards.update(
        {"CRVAL1": 10.0, "CRVAL2": 0.0, "CDELT1": -0.5, "CDELT2": 0.5, "CRPIX1": 20.0, "CRPIX2": 1.0}
    )
    fits.PrimaryHDU(np.ones((160, 40), np.float32), cards).writeto(tmp_path / "car.fits")
    catalog = Catalog(QTable({"id": ["low", "high"], "ra": [10.0, 10.0], "dec": [6.0, 60.0]}))
    with open_mosaic(tmp_path / "car.fits") as mosaic:
        found = {one.id: one for one in cut(mosaic, catalog, width=4 * u.deg)}
        assert found["low"].cutout.shape == (8, 8)
        assert "oblong" in found["high"].reason
        by_pixels = {one.id: one for one in cut(mosaic, catalog, width=8 * u.pix)}
    np.testing.assert_allclose(by_pixels["high"].cutout.pixel_scales.to_value(u.deg), [0.25, 0.5], rtol=1e-2)


def test_pixels_that_a_distortion_makes_slightly_oblong_count_as_square():
    one = cutout(0.5, 0.503)
    assert crop_width(one, 24 * u.arcsec).shape == (48, 48)
    assert resample(one, 1 * u.arcsec).meta["geometry"][0]["ratio"] == pytest.approx(
        [1 / 0.5015] * 2, rel=1e-4
    )
