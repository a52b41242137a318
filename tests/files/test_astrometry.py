"""WCS: every way of writing it gives the same sky; faults give None and a note, never a warning."""

import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, Sip

from galcnn.errors import UnreadableImageError
from galcnn.files import load_cutout
from galcnn.files.astrometry import celestial_wcs, lost_tables, pixel_of, wcs_cards

SHAPE = (40, 60)
BASE = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CUNIT1": "deg", "CUNIT2": "deg", "RADESYS": "ICRS",
    "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 30.0, "CRPIX2": 20.0,
}  # fmt: skip
SCALE, ANGLE = 7.5e-5, np.radians(30)
COS, SIN = SCALE * np.cos(ANGLE), SCALE * np.sin(ANGLE)
CD = {"CD1_1": -COS, "CD1_2": SIN, "CD2_1": SIN, "CD2_2": COS}
FORMS = {
    "cd": CD,
    "pc": {"CDELT1": -SCALE, "CDELT2": SCALE, "PC1_1": np.cos(ANGLE), "PC1_2": -np.sin(ANGLE),
           "PC2_1": np.sin(ANGLE), "PC2_2": np.cos(ANGLE)},
    "pan-starrs": {"CDELT1": -SCALE, "CDELT2": SCALE, "PC001001": np.cos(ANGLE),
                   "PC001002": -np.sin(ANGLE), "PC002001": np.sin(ANGLE), "PC002002": np.cos(ANGLE)},
    "crota": {"CDELT1": -SCALE, "CDELT2": SCALE, "CROTA2": -30.0},
}  # fmt: skip


def sky(x, y, signs=(-1, 1)):
    """Closed form of the gnomonic projection (Calabretta & Greisen 2002, eq. 54 and 2)."""
    dx, dy = x - 29.0, y - 19.0
    xi = np.radians(signs[0] * COS * dx + SIN * dy)
    eta = np.radians(-signs[0] * SIN * dx + COS * dy)
    dec0 = np.radians(2.0)
    ra = 150.0 + np.degrees(np.arctan2(xi, np.cos(dec0) - eta * np.sin(dec0)))
    dec = np.degrees(
        np.arctan2(np.sin(dec0) + eta * np.cos(dec0), np.hypot(xi, np.cos(dec0) - eta * np.sin(dec0)))
    )
    return ra, dec


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_matrix_gives_the_closed_form(form):
    wcs, notes = celestial_wcs(fits.Header(BASE | FORMS[form]), SHAPE)
    np.testing.assert_allclose(wcs.all_pix2world([[0, 0], [59, 39]], 0), [sky(0, 0), sky(59, 39)], atol=1e-10)
    assert wcs.array_shape == SHAPE
    assert notes == []


def test_mirrored_parity_stays_mirrored():
    mirrored = BASE | {"CD1_1": COS, "CD1_2": SIN, "CD2_1": -SIN, "CD2_2": COS}
    wcs, _ = celestial_wcs(fits.Header(mirrored), SHAPE)
    np.testing.assert_allclose(wcs.all_pix2world([[50, 5]], 0)[0], sky(50, 5, signs=(1, 1)), atol=1e-10)
    assert np.linalg.det(wcs.pixel_scale_matrix) > 0


def test_swapped_axes_stay_swapped():
    swapped = BASE | {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 2.0, "CRVAL2": 150.0,
                      "CD1_1": 0.0, "CD1_2": SCALE, "CD2_1": SCALE, "CD2_2": 0.0}  # fmt: skip
    wcs, _ = celestial_wcs(fits.Header(swapped), SHAPE)
    place = wcs.pixel_to_world(29, 29)  # ten rows up are declination here
    assert place.ra.deg == pytest.approx(150.0, abs=1e-10)
    assert place.dec.deg == pytest.approx(2.0 + 10 * SCALE, abs=1e-10)


@pytest.mark.parametrize(
    ("unit", "spelt"), [("deg", "degrees"), ("deg", "DEG"), ("deg", "Degree"), ("arcsec", "ARCSECONDS")]
)
@pytest.mark.parametrize("form", FORMS)
def test_units_as_others_spell_them(form, unit, spelt):
    cards = BASE | FORMS[form]
    if unit == "arcsec":
        scaled = ("CRVAL1", "CRVAL2", "CDELT1", "CDELT2", *CD)
        cards = {key: 3600 * value if key in scaled else value for key, value in cards.items()}
    wcs, notes = celestial_wcs(fits.Header(cards | {"CUNIT1": spelt, "CUNIT2": spelt}), SHAPE)
    np.testing.assert_allclose(wcs.all_pix2world([[0, 0], [59, 39]], 0), [sky(0, 0), sky(59, 39)], atol=1e-10)
    assert notes == [f"CUNIT{i} = {spelt} is taken for {unit}" for i in (1, 2)]


@pytest.mark.parametrize("suffix", ["-TAN", "-TPV"])
def test_linear_coefficients_of_scamp(suffix):
    """A shift of 1e-4 deg along both axes of the tangent plane, without any term of higher order."""
    cards = {"CTYPE1": f"RA--{suffix}", "CTYPE2": f"DEC-{suffix}", "CD1_1": -SCALE, "CD2_2": SCALE}
    cards |= {"CD1_2": 0.0, "CD2_1": 0.0, "PV1_0": 1e-4, "PV1_1": 1.0, "PV1_2": 0.0}
    cards |= {"PV2_0": 1e-4, "PV2_1": 1.0, "PV2_2": 0.0}
    wcs, notes = celestial_wcs(fits.Header(BASE | cards), SHAPE)
    shift = 1e-4 / SCALE
    linear = {key: value for key, value in cards.items() if key.startswith("CD")}
    flat = WCS(fits.Header(BASE | linear))
    np.testing.assert_allclose(
        wcs.all_pix2world([[7, 31]], 0), flat.all_pix2world([[7 - shift, 31 + shift]], 0), atol=1e-10
    )
    assert bool(notes) == (suffix == "-TAN")


SIP = {"A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-4, "B_0_2": 2e-4, "B_1_1": -1e-4}


@pytest.mark.parametrize("suffix", ["-SIP", ""])
def test_sip_counts_with_and_without_suffix(suffix):
    header = BASE | FORMS["cd"] | SIP
    header |= {key: header[key] + suffix for key in ("CTYPE1", "CTYPE2")}
    wcs, notes = celestial_wcs(fits.Header(header), SHAPE)
    u, v = 49.0 - 29, 9.0 - 19
    moved = (49 + 1e-4 * u**2, 9 + 2e-4 * v**2 - 1e-4 * u * v)
    np.testing.assert_allclose(wcs.all_pix2world([[49, 9]], 0)[0], sky(*moved), atol=1e-10)
    assert notes == ([] if suffix else ["SIP coefficients without -SIP in CTYPE are applied"])


@pytest.mark.parametrize("card", ["D001VER", "D012DATA", "NDRIZIM"])
def test_sip_left_over_in_a_drizzled_image_does_not_count(card):
    header = fits.Header(BASE | FORMS["cd"] | SIP | {card: 8})
    wcs, notes = celestial_wcs(header, SHAPE)
    np.testing.assert_allclose(wcs.all_pix2world([[49, 9]], 0)[0], sky(49, 9), atol=1e-10)
    assert wcs.sip is None
    assert notes == ["SIP coefficients without -SIP in CTYPE are left out: the image is drizzled"]
    header["CTYPE1"], header["CTYPE2"] = "RA---TAN-SIP", "DEC--TAN-SIP"  # meant by who wrote it
    assert celestial_wcs(header, SHAPE)[0].sip is not None


def test_third_axes_and_faulty_dates_have_no_part():
    header = (
        BASE | CD | {"NAXIS3": 3, "CTYPE3": "WAVE", "CD3_3": 0.0, "DATE-OBS": "03/04/98", "MJD-OBS": -1.0}
    )
    header["RADECSYS"] = header.pop("RADESYS")
    wcs, notes = celestial_wcs(fits.Header(header), SHAPE)
    assert wcs.naxis == 2
    assert wcs.wcs.radesys == "ICRS"
    assert notes == []


@pytest.mark.parametrize(
    ("faults", "said"),
    [
        ({"CD1_1": 0.0, "CD1_2": 0.0}, "no valid WCS"),
        ({"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}, "not celestial"),
        ({"CTYPE2": "RA---TAN"}, "no valid WCS"),
        ({"CUNIT1": "furlong", "CUNIT2": "furlong"}, "no valid WCS"),
        ({"CRPIX1": 1e7}, "without a place"),
        (dict.fromkeys(CD, SCALE), "without an area"),  # all pixels on one line of the sky
        ({"CD2_1": -COS, "CD2_2": SIN * (1 + 1e-9)}, "without an area"),
    ],
    ids=["singular", "linear", "twice RA", "furlong", "off the plane", "a line", "nearly a line"],
)
def test_an_invalid_wcs_is_none_and_says_why(faults, said):
    if "CRPIX1" in faults:  # orthographic: far from its centre there is no sky
        faults = faults | {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"}
    wcs, notes = celestial_wcs(fits.Header(BASE | CD | faults), SHAPE)
    assert wcs is None
    assert said in " ".join(notes)


@pytest.mark.parametrize("corner", [(0, 0), (59, 0), (0, 39), (59, 39)])
def test_a_wcs_that_leaves_the_sky_in_any_corner_is_none(corner):
    # Orthographic: the sky ends at 1 radian-sized unit of the plane, here 40 pixels from the middle.
    step = np.degrees(1) / 40
    cards = BASE | {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CD1_1": -step, "CD1_2": 0.0,
                    "CD2_1": 0.0, "CD2_2": step}  # fmt: skip
    middle = {"CRPIX1": 30.5, "CRPIX2": 20.5}
    assert celestial_wcs(fits.Header(cards | middle), SHAPE)[0] is not None
    shift = {"CRPIX1": 30.5 - 6 * np.sign(corner[0] - 29), "CRPIX2": 20.5 - 6 * np.sign(corner[1] - 19)}
    wcs, notes = celestial_wcs(fits.Header(cards | shift), SHAPE)
    assert wcs is None
    assert "without a place" in " ".join(notes)


def test_look_up_tables_are_left_out_and_said_so():
    wcs, notes = celestial_wcs(fits.Header(BASE | CD | {"CPDIS1": "LOOKUP", "DP1": "EXTVER: 1"}), SHAPE)
    assert wcs.cpdis1 is None
    assert notes == ["distortion look-up tables of the WCS are left out: they are not in the file"]


@pytest.mark.parametrize("form", [*FORMS, "sip", "tpv"])
def test_cards_give_the_same_sky_back(form):
    cards = BASE | FORMS.get(form, CD)
    if form == "sip":
        cards |= SIP | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"}
    if form == "tpv":
        cards |= {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.001, "PV1_4": 0.2, "PV2_1": 0.999}
    wcs, _ = celestial_wcs(fits.Header(cards), SHAPE)
    written = wcs_cards(wcs)
    again, notes = celestial_wcs(written, SHAPE)
    corners = [[0, 0], [59, 0], [59, 39], [29.5, 19.5]]
    np.testing.assert_allclose(
        again.all_pix2world(corners, 0), wcs.all_pix2world(corners, 0), rtol=0, atol=1e-10
    )
    assert written["RADESYS"] == "ICRS"
    assert notes == []


def test_tpv_is_applied():
    cards = BASE | CD | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV1_4": 0.5, "PV2_1": 1.0}
    wcs, _ = celestial_wcs(fits.Header(cards), SHAPE)
    plain, _ = celestial_wcs(fits.Header(BASE | CD), SHAPE)
    assert np.abs(wcs.all_pix2world([[0, 0]], 0) - plain.all_pix2world([[0, 0]], 0)).max() > 1e-8
    expected = WCS(fits.Header(cards)).all_pix2world([[0, 0]], 0)
    np.testing.assert_allclose(wcs.all_pix2world([[0, 0]], 0), expected, atol=1e-12)


def test_no_wcs_has_no_cards():
    assert len(wcs_cards(None)) == 0


def test_cards_leave_out_tables_and_say_so():
    from astropy.wcs import DistortionLookupTable

    wcs, _ = celestial_wcs(fits.Header(BASE | CD), SHAPE)
    assert lost_tables(wcs) is None
    plain = wcs_cards(wcs)
    wcs.cpdis1 = DistortionLookupTable(np.full((2, 2), -0.25, np.float32), (1, 1), (1, 1), (1, 1))
    assert wcs_cards(wcs) == plain
    assert lost_tables(wcs) == "look-up tables of the WCS are not written: up to 0.25 pixels"


@pytest.mark.parametrize(
    ("axes", "frame"),
    [
        (("RA---TAN", "DEC--TAN"), "ICRS"),
        (("DEC--TAN", "RA---TAN"), "FK5"),
        (("RA---ZEA", "DEC--ZEA"), "FK4"),
        (("GLON-CAR", "GLAT-CAR"), ""),
        (("RA---TAN-SIP", "DEC--TAN-SIP"), "ICRS"),
    ],
)
def test_pixels_of_a_position_are_astropys(axes, frame):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt, wcs.wcs.crpix = axes, [-1e-4, 1e-4], [40, 30]
    wcs.wcs.radesys = frame
    if axes[0].endswith("SIP"):
        terms = np.zeros((3, 3))
        terms[2, 0], terms[1, 1] = 1e-4, -2e-4
        wcs.sip = Sip(terms, terms.T.copy(), None, None, [40, 30])
    place = wcs.pixel_to_world(12.25, 51.5).icrs
    assert pixel_of(wcs, place) == pytest.approx((12.25, 51.5), abs=1e-6)
    assert pixel_of(wcs, place) == pytest.approx(np.stack(wcs.world_to_pixel(place)), abs=1e-9)


def test_a_distortion_without_an_inverse_gives_no_pixel(tmp_path):
    """Far outside the image the polynomial cannot be inverted: astropy warns, and gives a false place."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN-SIP", "DEC--TAN-SIP"], [-1e-4, 1e-4]
    wcs.wcs.crval, wcs.wcs.crpix = [150, 2], [40, 30]
    terms = np.zeros((4, 4))
    terms[2, 0], terms[3, 0] = 1e-3, 1e-5
    wcs.sip = Sip(terms, terms.T.copy(), None, None, [40, 30])
    far = SkyCoord(150.9, 2.9, unit="deg")
    with pytest.warns(UserWarning, match="failed to converge"):
        assert np.abs(wcs.world_to_pixel(far)).max() > 1e6
    assert np.isnan(pixel_of(wcs, far)).all()
    fits.writeto(tmp_path / "image.fits", np.ones((60, 80), np.float32), wcs.to_header(relax=True))
    with pytest.raises(UnreadableImageError, match="the galaxy inside of the image"):
        load_cutout(tmp_path / "image.fits", position=far)
