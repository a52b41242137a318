"""The two places where the band axis moves, and what a network refuses to see."""

import astropy.units as u
import numpy as np
import pytest
from astropy.wcs import WCS

from galcnn.cutout import Cutout
from galcnn.model import InputSpec, images_from, planes_from, prepare
from galcnn.model.inputs import FILL
from galcnn.photometry import DISPLAY


def wcs(scale=0.4, shape=(8, 10)):
    w = WCS(naxis=2)
    w.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    w.wcs.crval = [150, 2]
    w.wcs.cdelt = [-scale / 3600, scale / 3600]
    w.wcs.crpix = [shape[1] / 2, shape[0] / 2]
    w.array_shape = shape
    return w


def cutout(bands=("g", "r", "i"), shape=(8, 10), **fields):
    flux = np.arange(len(bands) * shape[0] * shape[1], dtype="float32").reshape(len(bands), *shape)
    return Cutout(flux, bands, **({"wcs": wcs(shape=shape)} | fields))


def test_planes_become_channels_and_come_back():
    one = cutout()
    images = images_from([one, one])
    assert images.shape == (2, 8, 10, 3)
    assert images[1, 3, 7, 2] == one.flux[2, 3, 7]
    np.testing.assert_array_equal(planes_from(images)[0], one.flux)


def test_masked_and_nan_pixels_become_sky():
    flux = np.full((1, 4, 4), 7.0)
    flux[0, 0, 0] = np.nan
    mask = np.zeros((4, 4), bool)
    mask[2, 3] = True
    image = images_from([Cutout(flux, ("r",), mask=mask)])[0, ..., 0]
    assert image[0, 0] == image[2, 3] == FILL
    assert image.sum() == 7 * 14


def test_a_cutout_that_fits_passes_untouched_and_bands_are_picked_by_name():
    one = cutout()
    spec = InputSpec.of(one)
    assert prepare(one, spec) is one
    assert spec == InputSpec.from_dict(spec.to_dict())
    assert spec.image_shape == (8, 10, 3)
    two = prepare(one, InputSpec(("i", "g"), "nJy", (8, 10), 0.4))
    assert two.bands == ("i", "g")
    np.testing.assert_array_equal(two.flux, one.flux[[2, 0]])


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (InputSpec(("g", "z"), "nJy", (8, 10), 0.4), r"the bands g, z, like.*bands='g, r, i'"),
        (InputSpec(("g",), "display", (8, 10)), r"an 8-bit colour image.*unit='nJy'.*render='sdss'"),
        (InputSpec(("g",), "nJy", (8, 8), 0.4), r"an image of \(8, 8\) pixels.*shape=\(8, 10\).*fit=True"),
        (InputSpec(("g",), "nJy", (8, 10), 0.5), r"pixels of 0.5 arcsec.*0.4000 arcsec.*fit=True"),
    ],
)
def test_what_differs_is_said(spec, text):
    with pytest.raises(ValueError, match=text):
        prepare(cutout(), spec)


def test_a_pixel_scale_within_two_percent_is_the_same():
    prepare(cutout(wcs=wcs(0.396)), InputSpec(("g",), "nJy", (8, 10), 0.4))
    with pytest.raises(ValueError, match="pixels of"):
        prepare(cutout(wcs=wcs(0.39)), InputSpec(("g",), "nJy", (8, 10), 0.4))


def test_pictures_have_no_scale():
    picture = cutout(("R", "G", "B"), unit=DISPLAY, wcs=None)
    spec = InputSpec.of(picture, render="sdss")
    assert (spec.unit, spec.pixel_scale, spec.render) == ("display", None, "sdss")
    assert prepare(picture, spec) is picture


def test_fit_brings_a_cutout_to_the_models_grid():
    small = prepare(cutout(shape=(20, 24)), InputSpec(("r",), "nJy", (16, 16), 0.4), fit=True)
    assert small.shape == (16, 16)
    np.testing.assert_array_equal(small.flux[0], cutout(shape=(20, 24)).flux[1, 2:18, 4:20])
    coarse = prepare(cutout(shape=(20, 24)), InputSpec(("r",), "nJy", (8, 8), 0.8), fit=True)
    assert coarse.pixel_scale.to_value(u.arcsec) == pytest.approx(0.8, rel=1e-4)


def test_calibrated_cutouts_are_rendered_for_a_network_of_pictures():
    spec = InputSpec(("R", "G", "B"), "display", (8, 10), None, render="sdss")
    seen = prepare(cutout(), spec)
    assert seen.unit == DISPLAY
    assert seen.bands == ("R", "G", "B")
    assert np.array_equal(seen.flux, np.round(seen.flux))


def test_stacks_need_one_shape():
    with pytest.raises(ValueError, match="cutouts of one shape"):
        images_from([cutout(), cutout(shape=(9, 10))])
    with pytest.raises(ValueError, match="at least one cutout"):
        images_from([])
