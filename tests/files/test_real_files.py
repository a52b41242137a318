"""Real galaxies of SDSS, DES, DECaLS, HSC, HST and Pan-STARRS: pixels, units and places on the sky."""

import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from galcnn.errors import UnreadableImageError
from galcnn.files import Companions, load_cutout, save_cutout
from galcnn.photometry import DISPLAY
from galcnn.photometry.units import UNCALIBRATED

GADOTTI = "fits/sdss_gadotti/Plate0721_MJD52228_Fiber011_r"


def _hst(flam, pivot):
    """nJy of an electron a second, by astropy's own units."""
    density = flam * u.erg / u.s / u.cm**2 / u.AA
    return density.to_value(u.nJy, u.spectral_density(pivot * u.AA))


#: path, HDU of the image, nJy per number (None: not certain), bands, arcsec, handedness of (x, y).
#: North up and east left is -1, a mirror image +1.
SAMPLES = [
    ("fits/decals_gz/example_a.fits", 0, 3631.0, ("g", "r", "z"), 0.262, -1),
    ("services/legacysurvey_fits_cutout/example_b.fits", 0, 3631.0, ("g", "r", "z"), 0.262, -1),
    ("fits/hostphot/DES_g.fits", 0, 3.631, ("g",), 0.263, 1),
    ("fits/hostphot/SDSS_r.fits", 0, 3631.0, ("r",), 0.396, -1),
    (f"{GADOTTI}/image.fits", 0, 3631.0, ("r",), 0.396, None),
    ("fits/hsc_astroquery/image.fits", 1, 3631 * 10**-1.8, ("r",), 0.168, -1),
    ("fits/hsc_galmask/gal1_G.fits", 1, 3631 * 10**-1.8, ("g",), 0.168, -1),
    ("fits/decam_interacting/132_gband.fits", 0, None, ("band1",), 0.262, None),
    ("fits/cosmos_galsim/100610.img.fits", 0, _hst(7.07236e-20, 8059.7598), ("F814W",), 0.03, -1),
    (
        "fits/hst_petrofit/abell_2744_dwarf_galaxy_f105w.fits.gz",
        0,
        _hst(3.03865739999999e-20, 10551.047),
        ("F105W",),
        0.06,
        -1,
    ),
    ("fits/hst_dopterian/SCI_F160W.fits", 0, _hst(1.9275672e-20, 15369.173) / 5029.34, ("F160W",), 0.065, -1),
    ("fits/sdss_imfit/n3073rss_small.fits", 0, None, ("r",), 0.396, None),
    ("services/panstarrs_fitscut/PS1_g.fits", 0, 3631e9 * 10**-10 / 860, ("g",), 0.25, -1),
    (
        "services/native_archive_cutouts/2010H__2MASS__2MASS_J.fits",
        0,
        3631e9 * 10 ** (-0.4 * 21.7158),
        ("j",),
        1.0,
        -1,
    ),
    (
        "services/native_archive_cutouts/2010ai__WISE__WISE_W1.fits",
        0,
        3631e9 * 10 ** (-0.4 * 23.199),
        ("W1",),
        1.375,
        -1,
    ),
]


def plainly(path, hdu):
    """Pixels and WCS by astropy alone; it warns of dates and old keywords, which have no part here."""
    with warnings.catch_warnings(), fits.open(path, memmap=False) as hdulist:
        warnings.simplefilter("ignore", FITSFixedWarning)
        header = hdulist[hdu].header
        wcs = WCS(header, hdulist, naxis=2)
        if "D001VER" in header:  # drizzled: SIP cards are left over, see the test of CANDELS below
            wcs.sip = None
        return np.array(hdulist[hdu].data, dtype=float), wcs


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample[0].split("/", 1)[1])
def test_pixels_unit_and_sky(real_data, sample):
    name, hdu, factor, bands, arcsec, hand = sample
    cutout = load_cutout(real_data / name)
    raw, wcs = plainly(real_data / name, hdu)
    np.testing.assert_allclose(cutout.flux, np.atleast_3d(raw.T).T * (factor or 1), rtol=1e-6)
    assert cutout.calibrated == (factor is not None)
    assert cutout.bands == bands
    # With distortions: 0.2626 arcsec in that corner of DECam.
    assert cutout.pixel_scale.to_value("arcsec") == pytest.approx(arcsec, rel=3e-3)
    ny, nx = cutout.shape
    corners = np.array([[0, 0], [nx - 1, 0], [nx - 1, ny - 1], [nx / 3, ny / 2]])
    ours = SkyCoord(cutout.wcs.pixel_to_world(*corners.T))
    theirs = wcs.pixel_to_world(*corners.T)
    assert ours.separation(theirs).max() < 1e-3 * u.mas
    if hand is not None:
        assert np.sign(np.linalg.det(cutout.wcs.pixel_scale_matrix)) == hand
    centre = wcs.pixel_to_world((nx - 1) / 2, (ny - 1) / 2)
    assert cutout.position.separation(centre) < 1e-3 * u.mas


@pytest.mark.parametrize(
    ("name", "place"),
    [
        # Places stated outside these files: by who made them, or in the name.
        ("fits/hostphot/DES_r.fits", (27.952, 0.2635)),
        ("services/panstarrs_fitscut/PS1_g.fits", (27.952, 0.2635)),
        ("fits/decals_pysersic/cutout_59.1067_-30.4848.fits", (59.1067, -30.4848)),
        ("fits/cosmos_galsim/147246.0_150.416558_1.998697_masknoise.fits", (150.416558, 1.998697)),
    ],
)
def test_the_galaxy_is_in_the_middle(real_data, name, place):
    cutout = load_cutout(real_data / name)
    assert cutout.position.separation(SkyCoord(*place, unit="deg")) < 0.5 * u.arcsec


def test_des_and_sdss_agree_on_the_flux_of_one_galaxy(real_data):
    """Zero point 30 of DES and nanomaggies of SDSS: a factor of 1000 between the numbers in the files."""
    ratios = []
    for band in "gri":
        des = load_cutout(real_data / f"fits/hostphot/DES_{band}.fits")
        sdss = load_cutout(real_data / f"fits/hostphot/SDSS_{band}.fits")
        totals = []
        for cutout in (des, sdss):
            # The SDSS WCS is stale: take the brightest place, an aperture of 20 arcsec around it.
            flux = cutout.flux[0].astype(float)
            y, x = np.mgrid[: flux.shape[0], : flux.shape[1]]
            middle = np.hypot(y - flux.shape[0] / 2, x - flux.shape[1] / 2) * cutout.pixel_scale.value < 15
            row, column = np.unravel_index(np.argmax(np.where(middle, flux, -np.inf)), flux.shape)
            radius = np.hypot(y - row, x - column) * cutout.pixel_scale.value
            totals.append(flux[radius < 20].sum())
        ratios.append(totals[0] / totals[1])
    np.testing.assert_allclose(ratios, 1, atol=0.1)


def test_decals_extensions_are_bands_and_their_weights_are_not(real_data):
    path = real_data / "fits/decals_pysersic/cutout_59.1067_-30.4848.fits"
    cutout = load_cutout(path, bands=("z", "g"))
    with fits.open(path) as hdulist:
        np.testing.assert_allclose(cutout.flux[0], hdulist[5].data * 3631.0, rtol=1e-6)
        np.testing.assert_allclose(cutout.flux[1], hdulist[1].data * 3631.0, rtol=1e-6)
    assert cutout.survey == "DECaLS DR9-south"


def test_sdss_with_mask_and_sigma_files(real_data):
    folder = real_data / GADOTTI
    files = Companions(folder / "mask.fits", folder / "sigma.fits", folder / "psf.fits")
    cutout = load_cutout(folder / "image.fits", companions=files)
    image, mask, sigma = (fits.getdata(folder / f"{name}.fits") for name in ("image", "mask", "sigma"))
    np.testing.assert_array_equal(cutout.mask[0], (mask != 0) | ~np.isfinite(image))
    np.testing.assert_allclose(cutout.sigma[0], sigma * 3631.0, rtol=1e-6)
    sky = cutout.flux[0][~cutout.mask[0]]
    spread = 1.4826 * np.median(np.abs(sky - np.median(sky)))
    assert 0.5 < spread / np.median(cutout.sigma) < 2  # noise in the unit of the flux
    psf = fits.getdata(folder / "psf.fits")
    np.testing.assert_allclose(cutout.psf[0], psf / psf.sum(dtype=float), rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("name", ["wide2_3550", "deep2_10673", "ers2_12623"])
def test_drizzled_candels_images_lie_on_those_without_sip(real_data, name):
    """H has SIP cards left over, V none, on one grid of 0.06 arcsec; applied, they would be 14 to 48 off."""
    folder = real_data / "fits/hst_candels" / name
    infrared, optical = (load_cutout(folder / f"GDS_{name}_{band}.fits") for band in "hv")
    corners = [0, 83, 0, 83, 41.5], [0, 0, 83, 83, 41.5]
    apart = infrared.wcs.pixel_to_world(*corners).separation(optical.wcs.pixel_to_world(*corners))
    assert apart.max() < 0.02 * u.arcsec
    assert load_cutout([folder / f"GDS_{name}_{band}.fits" for band in "hj"]).bands == ("F160W", "F125W")


def test_des_bands_share_a_grid_and_stale_sdss_bands_do_not(real_data):
    folder = real_data / "fits/hostphot"
    assert load_cutout([folder / f"DES_{band}.fits" for band in "griz"]).bands == ("g", "r", "i", "z")
    with pytest.raises(UnreadableImageError, match="on one grid"):
        load_cutout([folder / f"SDSS_{band}.fits" for band in "griz"])


def test_hundred_galaxies_in_one_file_are_not_guessed_at(real_data):
    path = real_data / "fits/cosmos_galsim/real_galaxy_images_extension.fits"
    with pytest.raises(UnreadableImageError, match="Choose with hdu"):
        load_cutout(path)
    one = load_cutout(path, hdu=42, bands=("F814W",))
    np.testing.assert_allclose(one.flux[0], fits.getdata(path, 42).astype(np.float32))
    assert (one.unit, one.wcs) == (UNCALIBRATED, None)


def test_segmentation_maps_by_path_are_masks(real_data):
    folder = real_data / "fits/sdss_imfit"
    cutout = load_cutout(
        folder / "ic3478rss_256.fits", companions=Companions(mask=folder / "ic3478rss_256_mask.fits")
    )
    np.testing.assert_array_equal(cutout.mask[0], fits.getdata(folder / "ic3478rss_256_mask.fits") != 0)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample[0].split("/", 1)[1])
def test_real_galaxies_survive_saving(real_data, tmp_path, sample):
    cutout = load_cutout(real_data / sample[0])
    save_cutout(cutout, tmp_path / "a.fits")
    again = load_cutout(tmp_path / "a.fits")
    assert again.flux.tobytes() == cutout.flux.tobytes()
    assert (again.bands, again.unit, again.meta) == (cutout.bands, cutout.unit, cutout.meta)
    corners = np.array([[0, 0], [cutout.shape[1], 0], [0, cutout.shape[0]]])
    moved = again.wcs.all_pix2world(corners, 0) - cutout.wcs.all_pix2world(corners, 0)
    assert np.abs(moved).max() < 1e-9


def test_galaxy_zoo_pictures(real_data):
    from PIL import Image

    path = sorted((real_data / "gz1/images").glob("*.jpg"))[0]
    cutout = load_cutout(path)
    assert (cutout.shape, cutout.bands, cutout.unit) == ((96, 96), ("R", "G", "B"), DISPLAY)
    np.testing.assert_array_equal(cutout.flux[:, 0], np.asarray(Image.open(path))[-1].T)


def test_a_picture_and_the_fits_file_of_one_field_agree(real_data):
    """The rows of a JPEG run downward: after loading, north is up and east left."""
    picture = load_cutout(real_data / "services/legacysurvey_jpeg_cutout/Legacy_cuts__L132.jpg").flux.mean(
        axis=0
    )
    cutout = load_cutout(real_data / "fits/decam_interacting/132_rband.fits")
    # This detector's rows run along right ascension: x of the sky picture is -y, its y is -x.
    np.testing.assert_allclose(cutout.wcs.pixel_scale_matrix / 7.29e-5, [[0, 1], [-1, 0]], atol=0.01)
    sky = np.nanmedian(cutout.flux)  # this exposure still has its sky
    flux = np.arcsinh((cutout.flux[0] - sky) / np.nanstd(cutout.flux))
    north_up = np.nan_to_num(flux[::-1, ::-1].T)

    def agreement(one, other):
        shifted = [np.roll(other, (dy, dx), (0, 1)) for dy in range(-4, 5) for dx in range(-4, 5)]
        return max(np.corrcoef(one.ravel(), two.ravel())[0, 1] for two in shifted)

    assert agreement(north_up, picture) > 0.8
    assert agreement(north_up, picture[::-1]) < 0.7
