"""Bands of different grids on one: conservation, closed forms, our own resampling, two real surveys."""

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.wcs import WCS, Sip

from galcnn.cutout import Cutout
from galcnn.files import load_cutout
from galcnn.photometry import DISPLAY
from galcnn.transforms import align, combine, resample
from galcnn.transforms.cropping import window
from galcnn.transforms.grid import grid_offset, shifted_wcs, stacked_psfs

CENTRE = (150.0, 2.0)


def wcs_of(shape, *, arcsec=1.0, turn=0.0, mirrored=False, swapped=False, shift=(0.0, 0.0)):
    """A tangent plane about the middle of the image, in any orientation."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["DEC--TAN", "RA---TAN"] if swapped else ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = CENTRE[::-1] if swapped else CENTRE
    wcs.wcs.crpix = [(shape[1] + 1) / 2 + shift[0], (shape[0] + 1) / 2 + shift[1]]
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    matrix = np.array([[-c, s], [s, c]]) @ np.diag([-1.0 if mirrored else 1.0, 1.0])
    wcs.wcs.cd = (matrix[::-1] if swapped else matrix) * arcsec / 3600
    wcs.array_shape = shape
    wcs.wcs.set()
    return wcs


def blob(shape, wcs, *, at=CENTRE, arcsec=3.0, flux=1000.0):
    """A round Gaussian at a place on the sky, of this flux in all."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    x0, y0 = wcs.world_to_pixel(SkyCoord(*at, unit="deg"))
    scale = np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix))) * 3600
    radius = np.hypot(x - x0, y - y0) * scale
    return flux * scale**2 / (2 * np.pi * arcsec**2) * np.exp(-(radius**2) / (2 * arcsec**2))


def centroid(plane):
    y, x = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return np.sum(x * plane) / plane.sum(), np.sum(y * plane) / plane.sum()


GRIDS = {
    "finer": {"arcsec": 0.6},
    "coarser": {"arcsec": 2.3},
    "turned": {"turn": 33.0},
    "mirrored": {"mirrored": True},
    "swapped": {"swapped": True},
    "all at once": {"arcsec": 1.4, "turn": -70.0, "mirrored": True, "shift": (0.3, -0.7)},
}


@pytest.mark.parametrize("grid", GRIDS)
def test_flux_is_conserved_and_stars_stay_where_they_are(grid):
    place = (CENTRE[0] + 4 / 3600, CENTRE[1] - 7 / 3600)
    old, new = wcs_of((60, 70)), wcs_of((90, 110), **GRIDS[grid])
    cutout = Cutout(blob((60, 70), old, at=place), ("r",), old)
    moved = align(cutout, Cutout(np.zeros((90, 110)), ("g",), new))
    assert moved.shape == (90, 110)
    assert np.nansum(moved.flux, dtype=float) == pytest.approx(1000, rel=2e-5)
    seen = moved.wcs.pixel_to_world(*centroid(np.nan_to_num(moved.flux[0], nan=0.0).astype(float)))
    assert seen.separation(SkyCoord(*place, unit="deg")) < 0.005 * u.arcsec
    # A Gaussian wider than the pixels looks on the new grid much as if drawn there: squares are flat.
    expected = blob((90, 110), new, at=place)
    good = ~moved.mask[0]
    assert np.abs(moved.flux[0] - expected)[good].max() < 0.07 * expected.max()
    assert moved.meta["geometry"][-1] == {
        "step": "align", "from": [60, 70], "shape": [90, 110], "onto": ["g"]
    }  # fmt: skip


@pytest.mark.parametrize("arcsec", [0.4, 1.7, 3.0])
def test_parallel_grids_agree_with_resample(arcsec):
    """Two programs: products of overlaps along the axes, and polygons on the sphere."""
    rng = np.random.default_rng(5)
    flux, sigma = rng.normal(10, 3, (2, 40, 50)), rng.uniform(1, 2, (2, 40, 50))
    flux[0, 11:18, 20:27] = np.nan
    cutout = Cutout(flux, ("g", "r"), wcs_of((40, 50)), sigma=sigma)
    expected = resample(cutout, arcsec * u.arcsec)
    found = align(cutout, expected)
    np.testing.assert_array_equal(found.mask, expected.mask)
    np.testing.assert_allclose(found.flux, expected.flux, rtol=2e-5)
    np.testing.assert_allclose(found.sigma, expected.sigma, rtol=2e-5)
    assert found.mask[0].any()
    assert not found.mask[1].any()


def test_whole_pixels_are_moved_not_resampled():
    rng = np.random.default_rng(1)
    cutout = Cutout(rng.normal(0, 1, (1, 20, 24)), ("r",), wcs_of((20, 24)), sigma=np.ones((1, 20, 24)))
    part = window(cutout, (10, 8), corner=(3, 5))
    moved = align(cutout, part)
    np.testing.assert_allclose(moved.flux, part.flux, atol=1e-5)
    np.testing.assert_allclose(moved.sigma, 1, rtol=1e-5)


def test_the_same_grid_is_left_alone():
    cutout = Cutout(np.ones((1, 8, 8)), ("r",), wcs_of((8, 8)))
    assert align(cutout, Cutout(np.zeros((1, 8, 8)), ("g",), wcs_of((8, 8)))) is cutout


@pytest.mark.parametrize("grid", [{"arcsec": 1.3, "turn": 25.0}, {"arcsec": 8.0, "turn": 10.0}])
def test_noise_is_that_of_many_realisations(grid):
    """Exact where the new pixels are small; to a few percent where it is averaged over phases."""
    rng = np.random.default_rng(2)
    shape, size = ((24, 24), (12, 12)) if grid["arcsec"] < 2 else ((64, 64), (6, 6))
    sigma = np.tile(np.linspace(1, 2, shape[1]), (shape[0], 1))
    old, target = wcs_of(shape), Cutout(np.zeros(size), ("x",), wcs_of(size, **grid))
    planes = rng.normal(0, sigma, (250, *shape))
    many = Cutout(planes, tuple(f"b{i}" for i in range(250)), old)
    scatter = align(many, target).flux.std(axis=0)
    said = align(Cutout(planes[:1], ("b",), old, sigma=sigma[np.newaxis]), target).sigma[0]
    np.testing.assert_allclose(np.mean(scatter / said), 1, atol=0.03)
    np.testing.assert_allclose(scatter / said, 1, atol=0.25)


def test_distorted_pixels_conserve_flux():
    """SIP makes the pixels of a corner larger: their flux is spread over more sky, not lost."""
    shape = (60, 60)
    old = wcs_of(shape)
    a = np.zeros((3, 3))
    a[2, 0], a[0, 2] = 1.5e-3, 8e-4
    old.wcs.ctype = ["RA---TAN-SIP", "DEC--TAN-SIP"]
    old.sip = Sip(a, a.T.copy(), None, None, old.wcs.crpix)
    flux = np.random.default_rng(3).uniform(0, 1, shape)
    moved = align(Cutout(flux, ("r",), old), Cutout(np.zeros((120, 120)), ("g",), wcs_of((120, 120))))
    good = moved.flux[0][~moved.mask[0]].sum(dtype=float)
    assert good == pytest.approx(flux.sum(), rel=0.01)  # pixels half covered at the edge are masked
    inner = np.zeros(shape)
    inner[15:45, 15:45] = flux[15:45, 15:45]
    moved = align(Cutout(inner, ("r",), old), Cutout(np.zeros((120, 120)), ("g",), wcs_of((120, 120))))
    assert np.nansum(moved.flux, dtype=float) == pytest.approx(inner.sum(), rel=1e-5)


def test_pictures_and_surface_brightness_are_averaged():
    for unit in (DISPLAY, u.MJy / u.sr):
        cutout = Cutout(np.full((1, 20, 20), 7.0), ("r",), wcs_of((20, 20)), unit=unit)
        moved = align(cutout, Cutout(np.zeros((6, 6)), ("g",), wcs_of((6, 6), arcsec=3.0, turn=20)))
        np.testing.assert_allclose(moved.flux[~moved.mask], 7.0, rtol=1e-6)


def test_what_is_not_covered_is_masked():
    cutout = Cutout(np.ones((1, 20, 20)), ("r",), wcs_of((20, 20)))
    moved = align(cutout, Cutout(np.zeros((40, 40)), ("g",), wcs_of((40, 40), shift=(0.5, 0))))
    assert moved.mask[0].sum() == 40 * 40 - 20 * 21  # the half covered columns count
    assert np.isnan(moved.flux[moved.mask]).all()


def test_the_psf_turns_and_scales_with_the_image():
    y, x = np.mgrid[-10:11, -10:11]
    psf = np.exp(-(x**2) / (2 * 3.0**2) - y**2 / (2 * 1.5**2))
    psf /= psf.sum()
    cutout = Cutout(np.ones((1, 40, 40)), ("r",), wcs_of((40, 40)), psf=psf)
    moved = align(cutout, Cutout(np.zeros((80, 80)), ("g",), wcs_of((80, 80), arcsec=0.5, turn=90.0))).psf[0]
    assert moved.shape[0] % 2 == moved.shape[1] % 2 == 1
    assert moved.sum() == pytest.approx(1, abs=1e-5)
    rows, columns = (
        np.mgrid[: moved.shape[0], : moved.shape[1]] - (np.array(moved.shape) - 1)[:, None, None] / 2
    )
    variances = (moved * columns**2).sum(), (moved * rows**2).sum()
    # Long in x becomes long in y; twice as many pixels; an old pixel becomes 1/4, 1/2, 1/4.
    old = (psf * y**2).sum(), (psf * x**2).sum()
    np.testing.assert_allclose(variances, 4 * np.array(old) + 1 / 2, rtol=5e-3)
    assert abs((moved * columns).sum()) < 0.01


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (Cutout(np.ones((4, 4)), ("g",)), "cutouts with a WCS"),
        (Cutout(np.ones((4, 4)), ("g",), wcs_of((4, 4), shift=(500, 0))), "overlap.*may be wrong"),
    ],
    ids=["no WCS", "elsewhere"],
)
def test_images_that_have_nothing_in_common(other, said):
    with pytest.raises(ValueError, match=said):
        align(other, Cutout(np.ones((8, 8)), ("r",), wcs_of((8, 8))))


# Several bands --------------------------------------------------------------------------------
def two():
    first = Cutout(
        blob((40, 40), wcs_of((40, 40))), ("g",), wcs_of((40, 40)), survey="A", sigma=np.ones((1, 40, 40)),
        psf=np.full((3, 3), 1 / 9), meta={"path": "g.fits"}, position=SkyCoord(*CENTRE, unit="deg"),
    )  # fmt: skip
    grid = wcs_of((60, 60), arcsec=0.5, mirrored=True)
    second = Cutout(
        blob((60, 60), grid, flux=500.0), ("r",), grid, survey="B", sigma=np.ones((1, 60, 60)),
        psf=np.full((5, 5), 1 / 25), meta={"path": "r.fits"}, redshift=0.1,
    )  # fmt: skip
    return first, second


def test_bands_come_on_the_grid_of_the_reference():
    first, second = two()
    both = combine([first, second], reference="g")
    assert (both.bands, both.shape, both.survey, both.redshift) == (("g", "r"), (40, 40), "A + B", 0.1)
    np.testing.assert_array_equal(both.flux[0], first.flux[0])
    np.testing.assert_allclose(np.nansum(both.flux[1]), 500, rtol=1e-3)
    assert both.wcs.wcs_pix2world([[3, 4]], 0)[0] == pytest.approx(first.wcs.wcs_pix2world([[3, 4]], 0)[0])
    assert both.psf.sum(axis=(1, 2)) == pytest.approx(1, abs=1e-4)
    assert both.sigma.shape == both.flux.shape
    assert both.position == first.position
    assert both.meta["reference_band"] == "g"
    assert [part["path"] for part in both.meta["parts"]] == ["g.fits", "r.fits"]
    assert combine([second, first], reference="r").shape == (60, 60)


def test_what_is_not_known_for_all_is_left_out_and_said():
    from dataclasses import replace

    first, second = two()
    both = combine([first, replace(second, sigma=None, psf=None)], reference="g")
    assert both.sigma is None
    assert both.psf is None
    assert [note[:5] for note in both.meta["notes"]] == ["sigma", "PSF l"]


@pytest.mark.parametrize(
    ("change", "reference", "said"),
    [
        ({"bands": ("g",)}, "g", "each band once"),
        ({}, "z", "a reference band among"),
        ({"unit": u.adu}, "g", "bands in one unit"),
    ],
)
def test_what_cannot_be_combined(change, reference, said):
    from dataclasses import replace

    first, second = two()
    with pytest.raises(ValueError, match=said):
        combine([first, replace(second, **change)], reference=reference)


# One galaxy in two surveys --------------------------------------------------------------------
@pytest.mark.parametrize("band", "gri")
def test_des_and_pan_starrs_see_one_galaxy(real_data, band):
    """DES is mirrored, at zero point 30; Pan-STARRS at 25 + 2.5 log10(EXPTIME), of other pixels."""
    des = load_cutout(real_data / f"fits/hostphot/DES_{band}.fits")
    ps1 = load_cutout(real_data / f"services/panstarrs_fitscut/PS1_{band}.fits")
    assert np.sign(np.linalg.det(des.wcs.pixel_scale_matrix)) == 1
    moved = align(ps1, des)
    y, x = np.indices(des.shape)
    x0, y0 = des.wcs.world_to_pixel(SkyCoord(27.952, 0.2635, unit="deg"))
    within = ~moved.mask[0] & (np.hypot(x - x0, y - y0) * 0.263 < 15)
    theirs, ours = moved.flux[0][within], des.flux[0][within]
    # The filters differ: the galaxy is red, and those of Pan-STARRS are bluer, least so in g.
    assert theirs.sum(dtype=float) / ours.sum(dtype=float) == pytest.approx(
        1, abs=0.03 if band == "g" else 0.07
    )
    assert np.corrcoef(theirs, ours)[0, 1] > 0.96
    mirrored = np.where(moved.mask, 0.0, moved.flux)[0, :, ::-1][within]
    assert np.corrcoef(mirrored, ours)[0, 1] < 0.9  # the wrong parity would be seen
    # Resampling moves nothing: the nucleus stays where the raw file has it. The two surveys' own
    # WCS are 0.3 arcsec apart, as the raw files say, too.
    nucleus = {name: nucleus_of(one) for name, one in (("raw", ps1), ("moved", moved), ("des", des))}
    assert nucleus["raw"].separation(nucleus["moved"]) < 0.05 * u.arcsec
    assert nucleus["raw"].separation(nucleus["des"]) < 0.45 * u.arcsec


def nucleus_of(cutout):
    """Centroid of what is brighter than half of the peak, within 3 arcsec of the middle."""
    y, x = np.indices(cutout.shape)
    x0, y0 = cutout.wcs.world_to_pixel(SkyCoord(27.952, 0.2635, unit="deg"))
    plane = np.where(np.hypot(x - x0, y - y0) * cutout.pixel_scale.value < 3, cutout.flux[0], 0.0)
    return cutout.wcs.pixel_to_world(*centroid(np.clip(plane - plane.max() / 2, 0, None).astype(float)))


def test_psfs_are_framed_about_their_middles():
    narrow, wide = np.full((1, 1, 3), 2.0, "float32"), np.arange(30, dtype="float32").reshape(2, 3, 5)
    framed = stacked_psfs([narrow, wide])
    np.testing.assert_array_equal(framed[0], [[0] * 5, [0, 2, 2, 2, 0], [0] * 5])
    np.testing.assert_array_equal(framed[1:], wide)
    assert framed.dtype == np.float32
    assert stacked_psfs([narrow, None]) is None
    assert stacked_psfs([narrow, wide[:, :2]]) is None  # an even side: its middle is between pixels
    assert stacked_psfs([None]) is None


def test_the_offset_of_two_grids_is_in_pixels():
    wcs = wcs_of((20, 30), turn=20)
    assert grid_offset(wcs, shifted_wcs(wcs, (3, -4), (20, 30)), (20, 30)) == pytest.approx(5, abs=1e-6)
    assert grid_offset(wcs, wcs, (20, 30)) == pytest.approx(0, abs=1e-9)
    turned = wcs_of((20, 30), turn=21)
    corner = np.hypot(9.5, 14.5)  # from the middle
    assert grid_offset(wcs, turned, (20, 30)) == pytest.approx(2 * corner * np.sin(np.deg2rad(0.5)), rel=1e-5)
