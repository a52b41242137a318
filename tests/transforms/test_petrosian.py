"""The Petrosian radius of Sersic profiles against its closed form and of real galaxies, and its frames."""

from dataclasses import replace

import astropy.units as u
import galsim
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from scipy.optimize import brentq
from scipy.special import gammainc, gammaincinv

from galcnn.cutout import Cutout
from galcnn.errors import UnfitImageError
from galcnn.files import load_bands, load_cutout
from galcnn.model import InputSpec, prepare
from galcnn.transforms import petrosian_radius, remove_sky, render

SIDE = 161


def wcs_of(y_scale=0.396, x_scale=0.396):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [SIDE / 2, SIDE / 2]
    wcs.wcs.crval, wcs.wcs.cdelt = [150.0, 2.0], [-x_scale / 3600, y_scale / 3600]
    return wcs


def radius_of_sersic(n):
    """Petrosian radius of a circular Sersic profile in units of its half-light radius."""
    b = gammaincinv(2 * n, 0.5)

    def excess(r):
        inner, middle, outer = (gammainc(2 * n, b * (f * r) ** (1 / n)) for f in (0.8, 1, 1.25))
        return (outer - inner) / (1.25**2 - 0.8**2) / middle - 0.2

    return brentq(excess, 0.5, 10)


def sersic(n, half_light, *, noise=0.0, shift=(0.0, 0.0), shear=0.0, scale=0.396, seed=0, flux=1e5):
    """A galaxy in three bands, red, with Gaussian noise."""
    profile = galsim.Sersic(n, half_light_radius=half_light, flux=flux).shift(shift).shear(g1=shear)
    blurred = galsim.Convolve(profile, galsim.Gaussian(sigma=0.5 * scale))
    plane = blurred.drawImage(nx=SIDE, ny=SIDE, scale=scale).array.astype(float)
    rng = np.random.default_rng(seed)
    planes = np.array([f * plane for f in (0.5, 1.0, 1.4)]) + rng.normal(0, max(noise, 1e-9), (3, SIDE, SIDE))
    return Cutout(planes, ("g", "r", "i"), wcs_of(scale, scale))


@pytest.mark.parametrize("n", [0.5, 1.0, 2.0, 4.0])
def test_a_sersic_profile_has_its_petrosian_radius(n):
    """Noise-free, and a PSF of a tenth of the radius: within 2 per cent of the closed form."""
    measured = petrosian_radius(sersic(n, 5.0))
    assert measured.unit == u.arcsec
    assert measured.value == pytest.approx(5.0 * radius_of_sersic(n), rel=0.01)


def test_noise_a_shift_and_a_neighbour_change_little():
    true = 5.0 * radius_of_sersic(1.0)
    found = [petrosian_radius(sersic(1.0, 5.0, noise=3.0, shift=(1.0, -0.7), seed=k)).value for k in range(5)]
    assert np.mean(found) == pytest.approx(true, rel=0.03)
    galaxy = sersic(1.0, 5.0, noise=3.0)
    y, x = np.indices((SIDE, SIDE))
    star = 3000 * np.exp(-((y - 80) ** 2 + (x - 118) ** 2) / 4)
    with_star = replace(galaxy, flux=(galaxy.flux + star).astype(np.float32))
    assert petrosian_radius(with_star).value == pytest.approx(true, rel=0.05)


def test_masked_pixels_do_not_count():
    galaxy = sersic(1.0, 5.0)
    mask = np.zeros((3, SIDE, SIDE), bool)
    mask[:, 60:70, 60:70] = True
    damaged = Cutout(np.where(mask, 1e6, galaxy.flux), galaxy.bands, galaxy.wcs, mask=mask)
    expected = petrosian_radius(galaxy).value
    assert petrosian_radius(damaged).value == pytest.approx(expected, rel=0.05)


def test_circles_are_on_the_sky_also_with_oblong_pixels():
    """The same galaxy with pixels that are twice as long along y."""
    square = sersic(1.0, 5.0)
    pairs = square.flux[:, : SIDE - 1].reshape(3, (SIDE - 1) // 2, 2, SIDE).sum(axis=2)
    oblong = Cutout(pairs, square.bands, wcs_of(2 * 0.396, 0.396))
    assert petrosian_radius(oblong).value == pytest.approx(petrosian_radius(square).value, rel=0.01)


def test_without_a_wcs_it_is_in_pixels():
    galaxy = sersic(1.0, 5.0)
    found = petrosian_radius(Cutout(galaxy.flux, galaxy.bands))
    assert found.unit == u.pix
    assert found.value * 0.396 == pytest.approx(petrosian_radius(galaxy).value, rel=1e-6)


def test_a_galaxy_that_fills_the_field_has_none():
    with pytest.raises(
        UnfitImageError, match=r"Petrosian radius can be measured within the image.*wider field"
    ):
        petrosian_radius(sersic(1.0, 30.0))
    with pytest.raises(ValueError, match="one of the bands g, r, i"):
        petrosian_radius(sersic(1.0, 5.0), "z")


def test_a_frame_makes_galaxies_of_any_size_alike():
    """Two discs, one twice as large: four Petrosian radii of both are the same picture."""
    spec = InputSpec(("R", "G", "B"), "display", (48, 48), None, render="sdss:petrosian:4")
    small, large = sersic(1.0, 3.0, flux=2e5), sersic(1.0, 6.0, flux=8e5)
    pictures = [prepare(one, spec) for one in (small, large)]
    assert [one.shape for one in pictures] == [(48, 48)] * 2
    # Equal surface brightness at equal fractions of the radius; the PSF blurs the centre of the smaller one.
    difference = np.abs(pictures[0].flux - pictures[1].flux)
    assert np.median(difference) <= 1
    assert np.quantile(difference, 0.95) < 8
    record = pictures[1].meta["render"]
    assert record["frame"] == 4
    assert record["petrosian_radius_arcsec"] == pytest.approx(6.0 * radius_of_sersic(1.0), rel=0.01)


def test_the_frame_is_so_many_radii_wide():
    picture = render(sersic(1.0, 5.0), "sdss:petrosian:3")
    assert picture.bands == ("R", "G", "B")
    width = picture.shape[0] * 0.396
    assert width == pytest.approx(3 * 5.0 * radius_of_sersic(1.0), rel=0.01)
    with pytest.raises(UnfitImageError, match="a width within the image"):
        render(sersic(1.0, 10.0), "sdss:petrosian:6")


@pytest.mark.parametrize("name", ["sdss:petrosian", "sdss:petrosian:0", "sdss:kron:4", "sdss:petrosian:-1"])
def test_other_frames_are_refused(name):
    with pytest.raises(ValueError, match="a frame petrosian:N"):
        render(sersic(1.0, 5.0), name)
    with pytest.raises(ValueError, match="a frame petrosian:N"):
        InputSpec.from_dict(
            {"bands": "RGB", "unit": "display", "shape": (8, 8), "pixel_scale": None, "render": name}
        )


def test_a_network_with_a_pixel_scale_has_no_frame():
    spec = InputSpec(("R", "G", "B"), "display", (48, 48), 0.396, render="sdss:petrosian:4")
    with pytest.raises(ValueError, match="pictures that are scaled to their galaxy"):
        prepare(sersic(1.0, 5.0), spec)


def test_a_real_spiral_in_two_surveys(real_data):
    """A face-on spiral: the radii in DES and SDSS agree, and its frame in DES is filled by it."""
    folder = real_data / "fits" / "hostphot"
    des = remove_sky(load_bands([folder / f"DES_{band}.fits" for band in "gri"], reference="r"))
    sdss = remove_sky(load_cutout(folder / "SDSS_r.fits"))
    radius = petrosian_radius(des, "r")
    assert float(petrosian_radius(sdss) / radius) == pytest.approx(1, abs=0.15)
    spec = InputSpec(("R", "G", "B"), "display", (96, 96), None, render="sdss:petrosian:2.5")
    picture = prepare(des, spec)
    assert picture.shape == (96, 96)
    distance = np.hypot(*(np.indices((96, 96)) - 47.5))
    levels = [picture.flux[:, part].mean() for part in (distance < 12, abs(distance - 36) < 4, distance > 60)]
    assert levels[0] > 2 * levels[1] > 4 * levels[2], "bright centre, disc, sky in the corners"
    assert 4 * radius > min(des.shape) * des.pixel_scale
    with pytest.raises(UnfitImageError, match=r"a width within the image.*wider field"):
        prepare(des, replace(spec, render="sdss:petrosian:4"))


def test_real_galaxies_of_sdss(real_data):
    """Barred galaxies of Gadotti (2009) in r, z = 0.02 to 0.07, with and without their masks."""
    found = []
    for folder in sorted((real_data / "fits" / "sdss_gadotti").iterdir())[::3]:
        cutout = remove_sky(load_cutout(folder / "image.fits"))
        radius = petrosian_radius(cutout).to_value(u.arcsec)
        mask = fits.getdata(folder / "mask.fits").astype(bool)
        masked = replace(cutout, mask=cutout.mask | mask)
        assert petrosian_radius(masked).to_value(u.arcsec) == pytest.approx(radius, rel=0.1)
        found.append(radius)
    assert len(found) == 4
    assert 4 < min(found) < max(found) < 15
