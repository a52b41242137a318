"""Mask, noise and PSF: read by themselves where their roles are certain, else named; never wrongly."""

import io

import numpy as np
import pytest
from astropy.io import fits

from galcnn.errors import UnreadableImageError
from galcnn.files import Companions, load_cutout
from galcnn.files.flags import meaning_of
from galcnn.files.headers import role_of_name

NY, NX = 6, 7
Y, X = np.mgrid[:NY, :NX]
FLUX = (X + 10.0 * Y).astype(np.float32)


def hdu(name="", data=FLUX, **cards):
    made = fits.ImageHDU(np.array(data), name=name)
    for key, value in cards.items():
        made.header["HIERARCH " + key if len(key) > 8 else key] = value
    return made


def content(*hdus, **primary):
    buffer = io.BytesIO()
    first = fits.PrimaryHDU()
    first.header.update(primary)
    fits.HDUList([first, *hdus]).writeto(buffer)
    return buffer.getvalue()


def layer(name, value, **cards):
    return hdu(name, np.full((NY, NX), value, dtype=np.float64), **cards)


def sci(name="SCI", **cards):
    return hdu(name, BUNIT="uJy", **({"FILTER": "r"} | cards))


# Found by themselves --------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("name", "value"), [("ERR", 3.0), ("SIGMA", 3.0), ("VAR", 9.0), ("VARIANCE", 9.0), ("IVAR", 1 / 9)]
)
def test_noise_of_the_same_file(name, value):
    cutout = load_cutout(content(sci(), layer(name, value)))
    np.testing.assert_allclose(cutout.sigma, np.full((1, NY, NX), 3000.0), rtol=1e-6)
    assert cutout.meta["sigma_source"].startswith(f"HDU {name}")


@pytest.mark.parametrize(
    ("cards", "value"),
    [
        ({"UTYPE": "StdDevUncertainty"}, 3.0),  # astropy's CCDData
        ({"UTYPE": "VarianceUncertainty"}, 9.0),
        ({"UTYPE": "InverseVariance"}, 1 / 9),
        ({"HDUCLAS2": "ERROR", "HDUCLAS3": "RMSE"}, 3.0),  # ESO's pipelines, MaNGA
        ({"HDUCLAS2": "ERROR", "HDUCLAS3": "MSE"}, 9.0),
        ({"HDUCLAS2": "ERROR", "HDUCLAS3": "INVMSE"}, 1 / 9),
        ({"HDUCLAS2": "ERROR", "HDUCLAS3": "INVRMSE"}, 1 / 3),
    ],
)
@pytest.mark.parametrize("name", ["UNCERT", "STAT", "ERR", "IVAR"])
def test_cards_state_the_kind_of_noise(tmp_path, name, cards, value):
    both = load_cutout(content(sci("DATA"), layer(name, value, **cards)))
    (tmp_path / "noise.fits").write_bytes(content(layer(name, value, **cards)))
    apart = load_cutout(content(sci()), companions=Companions(sigma=tmp_path / "noise.fits"))
    for cutout in (both, apart):
        np.testing.assert_allclose(cutout.sigma, np.full((1, NY, NX), 3000.0), rtol=1e-6)


def test_noise_of_an_unknown_kind_is_none():
    for cards in ({"UTYPE": "UnknownUncertainty"}, {"HDUCLAS2": "ERROR", "HDUCLAS3": "WHATEVER"}):
        assert load_cutout(content(sci(), layer("UNCERT", 9.0, **cards))).sigma is None


def test_quality_of_eso_and_muse():
    bad = (X == 2).astype(np.int32)
    quality = {"HDUCLAS2": "QUALITY"}
    hdus = [sci("DATA"), layer("STAT", 9.0), hdu("X", bad, HDUCLAS3="FLAG32BIT", **quality)]
    cutout = load_cutout(content(*hdus))
    np.testing.assert_array_equal(cutout.mask[0], bad == 1)
    np.testing.assert_allclose(cutout.sigma, np.full((1, NY, NX), 3000.0), rtol=1e-6)
    cutout = load_cutout(content(sci("DATA"), hdu("X", 1 - bad, HDUCLAS3="MASKONE", **quality)))
    assert not cutout.mask.any()
    assert "HDU X is left out: Expected a mask that is 0" in " ".join(cutout.meta["notes"])


@pytest.mark.parametrize(
    ("name", "unit", "value"),
    [
        ("ERR", "nJy", 3000.0),
        ("ERR", "uJy/pix", 3.0),
        ("VAR", "uJy2", 9.0),
        ("VAR", "nJy2", 9e6),
        ("VAR", "mJy2", 9e-6),
        ("VAR", "uJy", 9.0),  # the header of the image
        ("IVAR", "nJy-2", 1 / 9e6),
        ("IVAR", "uJy-2", 1 / 9),
    ],
)
def test_noise_in_another_unit_than_the_image_is_converted(name, unit, value):
    cutout = load_cutout(content(sci(), layer(name, value, BUNIT=unit)))
    np.testing.assert_allclose(cutout.sigma, np.full((1, NY, NX), 3000.0), rtol=1e-6)


@pytest.mark.parametrize(("name", "unit"), [("ERR", "K"), ("VAR", "K2"), ("VAR", "uJy4"), ("IVAR", "uJy-1")])
def test_noise_in_a_unit_of_something_else_is_left_out(name, unit):
    cutout = load_cutout(content(sci(), layer(name, 9.0, BUNIT=unit)))
    assert cutout.sigma is None
    assert any("noise in the unit of the image" in note for note in cutout.meta["notes"])


def test_noise_of_a_surface_brightness_in_another_unit():
    sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4}
    image = hdu("SCI", BUNIT="MJy/sr", FILTER="r", **sky)
    same = load_cutout(content(image, layer("ERR", 2.0, BUNIT="MJy/sr")))
    other = load_cutout(content(image, layer("ERR", 2e9, BUNIT="mJy/sr")))
    np.testing.assert_allclose(other.sigma, same.sigma, rtol=1e-6)
    square = load_cutout(content(image, layer("VAR", 4e12, BUNIT="Jy2 / sr2")))
    np.testing.assert_allclose(square.sigma, same.sigma, rtol=1e-6)


def test_a_standard_deviation_comes_before_a_variance():
    everything = [layer("IVAR", 1.0), layer("VAR", 1.0), layer("ERR", 2.0)]
    assert (load_cutout(content(sci(), *everything)).sigma == 2000).all()
    assert (load_cutout(content(sci(), *everything[:2])).sigma == 1000).all()


def test_jwst_has_one_error_and_several_variances():
    parts = [layer(f"VAR_{name}", 1.0) for name in ("POISSON", "RNOISE", "FLAT")]
    with_error = load_cutout(content(sci(), layer("ERR", 2.0), *parts))
    assert (with_error.sigma == 2000).all()
    without = load_cutout(content(sci(), *parts))
    assert without.sigma is None
    assert without.meta["notes"] == ["3 HDUs of variance, not told apart: name one"]


def test_pixels_of_no_weight_were_not_measured():
    weights = np.where(Y == 2, 0.0, 4.0)
    cutout = load_cutout(content(sci(), hdu("INVVAR", weights)))
    np.testing.assert_array_equal(cutout.mask[0], Y == 2)
    np.testing.assert_array_equal(np.isnan(cutout.sigma[0]), Y == 2)


@pytest.mark.parametrize("name", ["WHT", "ERR", "VAR", "INVVAR"])
def test_weights_and_noise_are_no_mask(name):
    with pytest.raises(UnreadableImageError, match="Expected a mask"):
        load_cutout(content(sci(), layer(name, 4.0)), companions=Companions(mask=name))


def test_a_weight_is_no_noise_unless_it_is_that_of_des():
    assert load_cutout(content(sci(), layer("WHT", 4.0))).sigma is None
    assert (load_cutout(content(sci(), layer("WGT", 4.0, DES_EXT="WEIGHT"))).sigma == 500).all()


def test_layers_are_matched_by_band_end_of_name_or_version():
    by_band = [hdu("A", BUNIT="uJy", FILTER=b) for b in "gr"]
    by_band += [layer("", s, FILTER=b, IMAGETYP="sigma") for b, s in (("r", 2.0), ("g", 1.0))]
    by_name = [hdu(f"SCI_{b}", BUNIT="uJy") for b in "GR"]
    by_name += [layer(f"ERR_{b}", s) for b, s in (("R", 2.0), ("G", 1.0))]
    for hdus in (by_band, by_name):
        cutout = load_cutout(content(*hdus))
        np.testing.assert_array_equal(cutout.sigma[:, 0, 0], [1000.0, 2000.0])
    twins = [sci(), layer("ERR", 1.0), sci(FILTER="z"), layer("ERR", 2.0)]
    for one in twins[2:]:
        one.ver = 2
    for one in (twins[1], twins[3]):
        one.header.pop("FILTER", None)
    second = load_cutout(content(*list(twins)), hdu="SCI,2")
    assert second.bands == ("z",)
    # A layer that states no band, of a file with bands, is for all: two of them are not certain.
    assert second.sigma is None
    for one in (twins[0], twins[2]):
        del one.header["FILTER"]
    assert (load_cutout(content(*twins), hdu="SCI,2").sigma == 2000).all()
    assert (load_cutout(content(*twins), hdu="SCI,1").sigma == 1000).all()


def test_one_mask_without_a_band_is_for_all_bands():
    flags = np.where(X == 1, 1, 0).astype(np.int16)
    cutout = load_cutout(content(hdu("SCI_G", BUNIT="uJy"), hdu("SCI_R", BUNIT="uJy"), hdu("MASK", flags)))
    np.testing.assert_array_equal(cutout.mask, np.broadcast_to(X == 1, (2, NY, NX)))


def test_a_mask_that_leaves_nothing_is_left_out_and_said():
    cutout = load_cutout(content(sci(), layer("MASK", 1.0)))
    assert not cutout.mask.any()
    assert cutout.meta["notes"] == ["HDU MASK is left out: no pixel would be good"]
    assert "mask_source" not in cutout.meta


def test_layers_of_another_shape_are_not_its_own():
    cutout = load_cutout(content(sci(), hdu("ERR", np.ones((3, 3)))))
    assert cutout.sigma is None


def test_the_psf_of_the_same_file():
    psf = np.outer([1, 2, 1], [1, 2, 1]).astype(float)
    cutout = load_cutout(content(sci(), hdu("PSF", psf)))
    np.testing.assert_allclose(cutout.psf[0], psf / 16)
    zero = load_cutout(content(sci(), hdu("PSF", 0 * psf)))
    assert zero.psf is None
    assert "HDU PSF is left out: Expected a PSF of finite numbers" in zero.meta["notes"][0]


# Bits of a mask -------------------------------------------------------------------------------
BITS = np.array([[[0, 1, 2, 4, 8, 16, 32, 64, 128]]], dtype=np.int32)


def test_hsc_flags_by_their_planes():
    planes = {
        "MP_BAD": 0,
        "MP_SAT": 1,
        "MP_INTRP": 2,
        "MP_CR": 3,
        "MP_EDGE": 4,
        "MP_DETECTED": 5,
        "MP_NO_DATA": 6,
        "MP_BRIGHT_OBJECT": 7,
    }
    header = fits.Header()
    for key, bit in planes.items():
        header[f"HIERARCH {key}"] = bit
    bad = meaning_of(header).bad_pixels(BITS, ("r",))
    np.testing.assert_array_equal(bad[0, 0], [0, 1, 1, 0, 1, 1, 0, 1, 0])


def test_hsc_flags_in_a_file():
    flags = np.where(X == 3, 32, np.where(Y == 1, 2, 0)).astype(np.int32)
    mask = hdu("MASK", flags)
    mask.header["HIERARCH MP_SAT"], mask.header["HIERARCH MP_DETECTED"] = 1, 5
    cutout = load_cutout(content(sci("IMAGE"), mask, layer("VARIANCE", 4.0)))
    np.testing.assert_array_equal(cutout.mask[0], (Y == 1) & (X != 3))
    assert (cutout.sigma == 2000).all()


def test_flags_of_the_legacy_surveys_are_of_one_band():
    flags = np.array([[[0, 1, 2, 4, 8, 16, 1 << 5, 1 << 7, 1 << 12]]])
    bad = meaning_of(fits.Header({"IMAGETYP": "maskbits"})).bad_pixels(flags, ("g", "z"))
    #        NPRIMARY BRIGHT SATUR_G SATUR_R SATUR_Z ALLMASK_G ALLMASK_Z GALAXY
    np.testing.assert_array_equal(bad[0, 0], [0, 0, 0, 1, 0, 0, 1, 0, 0])
    np.testing.assert_array_equal(bad[1, 0], [0, 0, 0, 0, 0, 1, 0, 1, 0])


def test_a_cube_of_the_legacy_surveys_with_invvar_and_maskbits():
    cards = {"SURVEY": "LegacySurvey", "VERSION": "DR10", "BANDS": "gz"}
    wcs = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 10.0,
        "CRVAL2": 1.0,
        "CRPIX1": 4.0,
        "CRPIX2": 3.5,
        "CD1_1": -0.262 / 3600,
        "CD1_2": 0.0,
        "CD2_1": 0.0,
        "CD2_2": 0.262 / 3600,
    }
    cube = np.stack([FLUX, 2 * FLUX])
    bits = np.where(X == 2, 4, 0).astype(np.int32)  # SATUR_G
    cutout = load_cutout(
        content(
            hdu("", cube, IMAGETYP="image", **cards, **wcs),
            hdu("", np.full(cube.shape, 0.25), IMAGETYP="invvar", **cards, **wcs),
            hdu("", bits, IMAGETYP="maskbits", **cards, **wcs),
        )
    )
    np.testing.assert_allclose(cutout.flux, cube * 3631.0, rtol=1e-6)
    np.testing.assert_allclose(cutout.sigma, 2 * 3631.0)
    np.testing.assert_array_equal(cutout.mask[0], X == 2)
    assert not cutout.mask[1].any()


def test_jwst_flags_and_unknown_ones():
    np.testing.assert_array_equal(
        meaning_of(fits.Header({"TELESCOP": "JWST"})).bad_pixels(BITS, ("r",))[0, 0],
        [0, 1, 0, 0, 0, 0, 0, 0, 0],
    )
    np.testing.assert_array_equal(meaning_of(fits.Header()).bad_pixels(BITS, ("r",))[0, 0], BITS[0, 0] != 0)


# Named ----------------------------------------------------------------------------------------
def test_files_name_their_role(tmp_path):
    image = content(sci())
    stack = "rings.v3.skycell.1.2.stk.r.unconv.wt.fits"
    for name, value in (("a_rms.fits", 3.0), ("a.var.fits", 9.0), ("invvar.fits", 1 / 9), (stack, 9.0)):
        path = tmp_path / name
        path.write_bytes(content(layer("", value)))
        cutout = load_cutout(image, companions=Companions(sigma=path))
        np.testing.assert_allclose(cutout.sigma, 3000.0, rtol=1e-6)
    weight = tmp_path / "a_wht.fits"
    weight.write_bytes(content(layer("", 1.0)))
    with pytest.raises(UnreadableImageError, match=r"a standard deviation.*kind='weight'"):
        load_cutout(image, companions=Companions(sigma=weight))


def test_what_is_named_comes_before_what_is_found():
    file = content(sci(), layer("ERR", 1.0), layer("OTHER", 5.0))
    assert (load_cutout(file).sigma == 1000).all()
    assert (load_cutout(file, companions=Companions(sigma="OTHER")).sigma == 5000).all()


def test_layers_in_another_file_are_matched_by_band():
    image = content(hdu("", BUNIT="uJy", FILTER="g"), hdu("", BUNIT="uJy", FILTER="r"))
    noise = content(layer("", 2.0, FILTER="r"), layer("", 1.0, FILTER="g"))
    cutout = load_cutout(image, companions=Companions(sigma=noise))
    np.testing.assert_array_equal(cutout.sigma[:, 0, 0], [1000.0, 2000.0])
    psf = content(*[hdu("", np.full((3, 3), v), FILTER=b) for b, v in (("r", 7.0), ("g", 3.0))])
    np.testing.assert_allclose(load_cutout(image, companions=Companions(psf=psf)).psf, 1 / 9, rtol=1e-6)


@pytest.mark.parametrize(
    ("psf", "said"),
    [
        (np.full((2, 3, 3), 1.0), "a PSF for 1 bands"),
        (np.zeros((3, 3)), "positive sum"),
        (np.full((3, 3), np.nan), "finite"),
    ],
)
def test_what_is_no_psf_is_refused(psf, said):
    with pytest.raises(UnreadableImageError, match=said):
        load_cutout(content(sci()), companions=Companions(psf=content(hdu("", psf))))


def test_a_file_of_several_masks_is_not_guessed_at():
    several = content(layer("MASK", 0.0), layer("DQ", 1.0))
    with pytest.raises(UnreadableImageError, match=r"one image of mask, or one per band.*n_images=2"):
        load_cutout(content(sci()), companions=Companions(mask=several))


def test_a_map_of_noise_with_the_header_of_its_image_is_no_flux(tmp_path):
    for name, role in (("a_rms.fits", "sigma"), ("a.wt.fits", "weight"), ("a_segmap.fits", "other")):
        path = tmp_path / name
        path.write_bytes(content(sci()))
        cutout = load_cutout(path)
        assert not cutout.calibrated
        assert cutout.meta["calibration"] == f"none: the name of the file says {role}"
        np.testing.assert_allclose(cutout.flux[0], FLUX, rtol=1e-6)
    (tmp_path / "ngc1_variable.fits").write_bytes(content(sci()))
    assert load_cutout(tmp_path / "ngc1_variable.fits").calibrated


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("galaxy.fits", "image"),
        ("mask.fits", "mask"),
        ("/d.mask/m51.fits.gz", "image"),
        ("a-psf.fits.bz2", "psf"),
        ("PSF.FITS", "psf"),
        ("a_ivar.fits.fz", "inverse variance"),
        ("AIS_1-nd-wt.fits", "weight"),  # GALEX
        ("rings.v3.skycell.2381.083.stk.g.unconv.wt.fits", "variance"),  # Pan-STARRS
        ("a_stdev.fits", "sigma"),
        ("M51-cov.fits", "weight"),
        ("GDS_1_segmap.fits", "other"),
        ("sky.fits", "image"),
        ("3 bytes in memory", "image"),
        ("147246_masknoise.fits", "image"),
    ],
)
def test_roles_by_name(name, role):
    assert role_of_name(name) == role


# Real files -----------------------------------------------------------------------------------
def test_legacy_cutout_with_inverse_variance(real_data):
    path = real_data / "fits/decals_pysersic/cutout_59.1067_-30.4848.fits"
    psf = real_data / "fits/decals_pysersic/copsf_59.1067_-30.4848.fits"
    cutout = load_cutout(path, companions=Companions(psf=psf))
    with fits.open(path) as hdulist, fits.open(psf) as kernels:
        for row, n in enumerate((1, 3, 5)):
            image, weight = hdulist[n].data, hdulist[n + 1].data
            expected = 3631 / np.sqrt(weight)
            np.testing.assert_allclose(cutout.sigma[row], expected, rtol=1e-5)
            kernel = kernels[row].data.astype(float)
            np.testing.assert_allclose(cutout.psf[row], kernel / kernel.sum(), rtol=1e-4, atol=1e-8)
            # Independent: the scatter of neighbouring pixels, in sigma.
            steps = np.diff(image) * np.sqrt(weight[:, 1:]) / np.sqrt(2)
            assert 0.8 < 1.4826 * np.median(np.abs(steps)) < 1.1
    assert cutout.meta["sigma_source"] == [
        "HDU 2 (inverse variance)",
        "HDU 4 (inverse variance)",
        "HDU 6 (inverse variance)",
    ]


def test_des_weights_are_inverse_variances(real_data):
    path = real_data / "fits/hostphot/DES_r.fits"
    cutout = load_cutout(path)
    weight = fits.getdata(path, 1)
    np.testing.assert_allclose(cutout.sigma[0], 3.631 / np.sqrt(weight), rtol=1e-5)
    steps = np.diff(cutout.flux[0]) / cutout.sigma[0][:, 1:] / np.sqrt(2)
    assert 0.85 < 1.4826 * np.median(np.abs(steps)) < 1.1


def test_hst_with_the_rms_and_psf_beside_it(real_data):
    folder = real_data / "fits/hst_petrofit"
    rms = folder / "abell_2744_dwarf_galaxy_f105w_rms.fits.gz"
    files = Companions(sigma=rms, psf=folder / "f105w_psf.fits.gz")
    cutout = load_cutout(folder / "abell_2744_dwarf_galaxy_f105w.fits.gz", companions=files)
    np.testing.assert_allclose(cutout.sigma[0], fits.getdata(rms) * 112.837, rtol=1e-3)
    assert cutout.psf.shape == (1, 51, 51)
    assert np.hypot(*np.subtract(np.unravel_index(cutout.psf[0].argmax(), (51, 51)), 25)) < 1.5


def test_candels_segments_are_a_mask_of_the_other_galaxies(real_data):
    folder = real_data / "fits/hst_candels/wide2_3550"
    segments = folder / "GDS_wide2_3550_segmap.fits"
    cutout = load_cutout(folder / "GDS_wide2_3550_v.fits", companions=Companions(mask=segments))
    np.testing.assert_array_equal(cutout.mask[0], fits.getdata(segments) != 0)
