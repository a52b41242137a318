"""Sky positions and areas of pixels are those of astropy, for projections, frames and distortions alike."""

import gzip
import io

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import BarycentricMeanEcliptic, SkyCoord, Supergalactic
from astropy.io import fits
from astropy.utils.data import get_pkg_data_filename
from astropy.wcs import WCS
from astropy.wcs.utils import pixel_to_skycoord

from galcnn.cutout import Cutout
from galcnn.files import load_cutout, save_cutout
from galcnn.files.astrometry import celestial_wcs, lost_tables, wcs_cards
from galcnn.pipeline.info import describe
from galcnn.transforms import crop, resample
from galcnn.transforms.grid import scaled_wcs, shifted_wcs

SHAPE = (34, 52)
Y, X = np.mgrid[: SHAPE[0], : SHAPE[1]]
FRAMES = {
    "icrs": ("RA--", "DEC-", {"RADESYS": "ICRS"}),
    "unstated": ("RA--", "DEC-", {}),
    "fk5": ("RA--", "DEC-", {"RADESYS": "FK5", "EQUINOX": 2000.0}),
    "fk5 of 1990": ("RA--", "DEC-", {"EQUINOX": 1990.0}),
    "b1950": ("RA--", "DEC-", {"EQUINOX": 1950.0}),
    "epoch": ("RA--", "DEC-", {"EPOCH": 1950.0}),
    "fk4": ("RA--", "DEC-", {"RADESYS": "FK4-NO-E", "EQUINOX": 1950.0}),
    "galactic": ("GLON", "GLAT", {}),
    "galactic with equinox": ("GLON", "GLAT", {"RADESYS": "FK5", "EQUINOX": 2000.0}),
}
CYLINDRIC = ("CAR", "CEA", "MER", "SFL", "AIT", "MOL", "HPX")
PROJECTIONS = ("TAN", "SIN", "ARC", "STG", "ZEA", "ZPN", *CYLINDRIC)


def header(projection="TAN", frame="icrs", *, seed=0, step=3e-4, **more):
    """Cards of an image with random position, rotation, skew and parity."""
    rng = np.random.default_rng(seed)
    lon, lat, cards = FRAMES[frame]
    turn, parity = rng.uniform(0, 2 * np.pi), rng.choice([-1, 1])
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) @ np.diag([parity, 1.3])
    around = CYLINDRIC if projection in CYLINDRIC else ()
    cards = cards | {
        "CTYPE1": f"{lon}-{projection}",
        "CTYPE2": f"{lat}-{projection}",
        "CUNIT1": "deg",
        "CUNIT2": "deg",
        "CRVAL1": rng.uniform(0, 360),
        "CRVAL2": 0.0 if around else rng.uniform(-80, 80),
        "CRPIX1": 20.0,
        "CRPIX2": 15.0 - (30 / step / 1.3 if around else 0.0),
    }
    if around:  # 30 degrees from the equator: along y only, for any turn
        matrix = np.diag([parity, 1.3])
    cards |= {f"CD{i + 1}_{j + 1}": float(step * matrix[i, j]) for i in (0, 1) for j in (0, 1)}
    if projection == "ZPN":
        cards |= {"PV2_1": 1.0, "PV2_3": -50.0}
    return fits.Header(cards | more)


def off(ours, theirs, x=X, y=Y):
    """Return the largest distance between two WCS in milliarcsec."""
    apart = pixel_to_skycoord(x, y, ours).icrs.separation(pixel_to_skycoord(x, y, theirs).icrs)
    return float(apart.to_value("mas").max())


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize("projection", PROJECTIONS)
def test_every_pixel_stands_where_astropy_says(projection, frame):
    cards = header(projection, frame, seed=len(projection + frame))
    wcs, notes = celestial_wcs(cards, SHAPE)
    assert off(wcs, WCS(cards)) < 1e-6
    assert notes == []
    again, _ = celestial_wcs(wcs_cards(wcs), SHAPE)
    assert off(again, wcs) < 1e-2


@pytest.mark.parametrize(
    ("lon", "lat", "frame"),
    [("ELON", "ELAT", BarycentricMeanEcliptic()), ("SLON", "SLAT", Supergalactic())],
    ids=["ecliptic", "supergalactic"],
)
@pytest.mark.parametrize("projection", ["TAN", "SIN", "CAR", "MER", "ZEA"])
def test_axes_without_a_frame_of_astropy_are_turned(lon, lat, frame, projection):
    cards = header(projection, seed=3)
    cards["CTYPE1"], cards["CTYPE2"] = f"{lon}-{projection}", f"{lat}-{projection}"
    wcs, notes = celestial_wcs(cards, SHAPE)
    native = WCS(cards, fix=False).all_pix2world(X.ravel(), Y.ravel(), 0)
    expected = SkyCoord(*native, unit="deg", frame=frame).icrs
    assert wcs.pixel_to_world(X.ravel(), Y.ravel()).separation(expected).max() < 1e-6 * u.arcsec
    assert "turned to right ascension" in notes[0]


@pytest.mark.parametrize(
    "ctype", [("TLON-CAR", "TLAT-CAR"), ("HPLN-TAN", "HPLT-TAN"), ("MALN-CAR", "MALT-CAR")]
)
def test_the_earth_the_sun_and_planets_are_no_sky(ctype):
    cards = header("CAR")
    cards["CTYPE1"], cards["CTYPE2"] = ctype
    wcs, notes = celestial_wcs(cards, SHAPE)
    assert wcs is None
    assert "no" in notes[-1]
    assert "WCS" in notes[-1]


SIP = {"A_ORDER": 3, "B_ORDER": 2, "A_2_0": 3e-4, "A_0_3": -2e-6, "B_1_1": 2e-4, "B_0_2": -1e-4}
SCAMP = {"PV1_0": 1e-5, "PV1_1": 1.002, "PV1_4": 3.0, "PV1_7": -90.0, "PV2_1": 0.997, "PV2_5": 2.0}


@pytest.mark.parametrize(
    ("suffix", "more", "used", "said"),
    [
        ("TPV", SCAMP, "TPV", None),
        ("TPV", SCAMP | SIP, "TPV", "SIP coefficients are left out: CTYPE says TPV"),
        ("TAN", SCAMP, "TPV", "PV cards of SCAMP are applied"),
        ("TAN", SCAMP | SIP, "TPV", "the PV cards of SCAMP, meant as TPV, are applied"),
        ("TAN-SIP", SCAMP | SIP, "SIP", "PV cards of SCAMP are left out"),
        ("TAN-SIP", SIP, "SIP", None),
        ("TAN", SIP, "SIP", "SIP coefficients without -SIP in CTYPE are applied"),
        ("STG-SIP", SIP, "SIP", None),
    ],
)
def test_a_distortion_counts_once(suffix, more, used, said):
    cards = header(suffix, seed=5, **more)
    wcs, notes = celestial_wcs(cards, SHAPE)
    only = SCAMP if used == "TPV" else SIP
    alone = header("TAN-SIP" if suffix == "TAN" and used == "SIP" else suffix, seed=5, **only)
    if used == "TPV":
        alone["CTYPE1"], alone["CTYPE2"] = "RA---TPV", "DEC--TPV"
    assert off(wcs, WCS(alone)) < 1e-6
    assert off(wcs, WCS(header("TAN", seed=5))) > 100
    assert (notes == []) if said is None else (len(notes) == 1 and said in notes[0])
    assert off(celestial_wcs(wcs_cards(wcs), SHAPE)[0], wcs) < 1e-2


def plate():
    """Header of a plate of the Digitized Sky Survey."""
    name = get_pkg_data_filename("data/dss.14.29.56-62.41.05.fits.gz", package="astropy.wcs.tests")
    with gzip.open(name) as file:
        cards = fits.Header.fromstring(file.read(2880 * 5))
    del cards["SKEW"]  # not valid FITS
    return cards


@pytest.mark.filterwarnings("ignore::astropy.wcs.FITSFixedWarning")
@pytest.mark.parametrize("ctype", [True, False])
def test_a_plate_solution_is_applied_and_survives(ctype, tmp_path):
    cards = plate()
    expected = WCS(cards)
    if not ctype:
        for key in list(cards):
            if key[:5] in ("CTYPE", "CRPIX", "CRVAL", "CDELT", "PC001", "PC002"):
                del cards[key]
    wcs, notes = celestial_wcs(cards, (100, 100))
    y, x = np.mgrid[:100:9, :100:9]
    assert off(wcs, expected, x, y) < 1e-6
    assert "plate solution" in notes[0]
    assert ("from that of CTYPE1" in notes[0]) == ctype
    half = resample(Cutout(np.ones((100, 100)), ("r",), wcs), 3.4 * u.arcsec)
    step, first = half.meta["geometry"][0]["ratio"], half.meta["geometry"][0]
    j, i = np.mgrid[: half.shape[0] : 5, : half.shape[1] : 5]
    middle = [(n - 1) / 2 - (m - 1) / 2 * r for n, m, r in zip((100, 100), half.shape, step, strict=True)]
    there = pixel_to_skycoord(i * step[1] + middle[1], j * step[0] + middle[0], expected)
    assert pixel_to_skycoord(i, j, half.wcs).separation(there).max() < 1e-6 * u.arcsec, first
    save_cutout(half, tmp_path / "plate.fits")
    assert off(load_cutout(tmp_path / "plate.fits").wcs, half.wcs, i, j) < 1e-2


def with_tables():
    """Return an image file with all four look-up tables and SIP, as HST writes them."""
    rng = np.random.default_rng(1)
    cards = header("TAN-SIP", seed=2, **SIP)
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(rng.normal(size=SHAPE).astype(np.float32), cards, name="SCI")]
    for kind, key in (("WCSDVARR", "DP"), ("D2IMARR", "D2IM")):
        for axis in (1, 2):
            table = fits.ImageHDU(rng.normal(0, 0.3, (5, 7)).astype(np.float32), name=kind, ver=axis)
            table.header.update({"CRPIX1": 0.0, "CRPIX2": 0.0, "CRVAL1": 0.0, "CRVAL2": 0.0})
            table.header.update({"CDELT1": 9.0, "CDELT2": 8.0})
            hdus.append(table)
            one = hdus[1].header
            one[f"{'CPDIS' if key == 'DP' else 'D2IMDIS'}{axis}"] = "Lookup"
            for fact in (f"EXTVER: {axis}", "NAXES: 2", "AXIS.1: 1", "AXIS.2: 2"):
                one.append((f"{key}{axis}", fact), end=True)
    return fits.HDUList(hdus)


def test_look_up_tables_are_applied_cut_scaled_and_said(tmp_path):
    hdus = with_tables()
    plain = WCS(header("TAN-SIP", seed=2, **SIP))
    expected = WCS(hdus[1].header, hdus)
    content = io.BytesIO()
    hdus.writeto(content)
    cutout = load_cutout(content.getvalue())
    assert off(cutout.wcs, expected) < 1e-6
    assert off(cutout.wcs, plain) > 100
    j, i = np.mgrid[:12, :20]
    part = crop(cutout, (12, 20), corner=(9, 14))
    there = pixel_to_skycoord(i + 14, j + 9, expected)
    assert pixel_to_skycoord(i, j, part.wcs).separation(there).max() < 1e-6 * u.arcsec
    window = shifted_wcs(cutout.wcs, (9, 14), (12, 20))
    assert pixel_to_skycoord(i, j, window).separation(there).max() < 1e-6 * u.arcsec
    coarse = scaled_wcs(cutout.wcs, (3.0, 2.0), (1.0, 0.5), (10, 20))
    there = pixel_to_skycoord(2 * i[:10] + 0.5, 3 * j[:10] + 1, expected)
    # Tables hold float32.
    assert pixel_to_skycoord(i[:10], j[:10], coarse).separation(there).max() < 1e-3 * u.arcsec
    save_cutout(cutout, tmp_path / "cutout.fits")
    again = load_cutout(tmp_path / "cutout.fits")
    assert again.meta["notes"][1:] == [lost_tables(cutout.wcs)]
    assert off(again.wcs, plain) < 1e-2


def test_tables_that_are_not_in_the_file_are_left_out_with_a_note():
    hdus = with_tables()
    wcs, notes = celestial_wcs(hdus[1].header, SHAPE, hdus[:3])
    assert off(wcs, WCS(header("TAN-SIP", seed=2, **SIP))) < 1e-6
    assert notes == ["distortion look-up tables of the WCS are left out: they are not in the file"]


@pytest.mark.parametrize("ratios", [(1.0, 1.0), (3.0, 2.0), (0.5, 0.7)])
@pytest.mark.parametrize("more", [SIP | {"kind": "TAN-SIP"}, SCAMP | {"kind": "TPV"}, {"kind": "ZPN"}])
def test_distortions_are_scaled_with_the_pixels(more, ratios):
    more = dict(more)
    wcs, _ = celestial_wcs(header(more.pop("kind"), seed=9, **more), SHAPE)
    scaled = scaled_wcs(wcs, ratios, (2.0, -1.5), (7, 9))
    j, i = np.mgrid[:7, :9]
    there = pixel_to_skycoord(ratios[1] * i - 1.5, ratios[0] * j + 2.0, wcs)
    assert pixel_to_skycoord(i, j, scaled).separation(there).max() < 1e-7 * u.arcsec


def solid_angles(wcs, shape):
    """Return the areas of pixels, sr, by Girard's theorem for their two spherical triangles."""
    y, x = np.mgrid[: shape[0] + 1, : shape[1] + 1] - 0.5
    v = np.moveaxis(pixel_to_skycoord(x, y, wcs).cartesian.xyz.value, 0, -1)

    def triangle(a, b, c):
        top = np.abs(np.sum(a * np.cross(b, c), axis=-1))
        dots = [np.sum(p * q, axis=-1) for p, q in ((a, b), (b, c), (c, a))]
        return 2 * np.arctan2(top, 1 + sum(dots))

    a, b, c, d = v[:-1, :-1], v[:-1, 1:], v[1:, 1:], v[1:, :-1]
    return triangle(a, b, c) + triangle(a, c, d)


@pytest.mark.parametrize("noise", ["ERR", "VAR", "WHT"])
@pytest.mark.parametrize("projection", ["CAR", "MER", "CEA", "TAN", "SFL"])
def test_surface_brightness_is_multiplied_by_the_area_of_each_pixel(projection, noise):
    cards = header(projection, "galactic", seed=4, step=0.05, BUNIT="MJy/sr", FILTER="F1")
    if projection in CYLINDRIC:
        cards["CRPIX2"] = 15.0 - 40 / 0.05 / 1.3
    values = np.random.default_rng(3).uniform(1, 2, SHAPE)
    spread = {"ERR": values, "VAR": values**2, "WHT": values**-2}[noise]
    content = io.BytesIO()
    noisy = fits.ImageHDU(spread, name=noise)
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(values, cards, name="SCI"), noisy]).writeto(content)
    cutout = load_cutout(content.getvalue())
    expected = values * 1e15 * solid_angles(WCS(cards), SHAPE)
    np.testing.assert_allclose(cutout.flux[0], expected, rtol=2e-4)
    if cutout.sigma is not None:
        np.testing.assert_allclose(cutout.sigma[0], expected, rtol=2e-4)
    spread_of_areas = np.ptp(expected / values) / np.mean(expected / values)
    assert ("zero_point_ab" in cutout.meta) == (spread_of_areas < 1e-4)
    assert cutout.sigma is not None or noise == "WHT"


@pytest.mark.parametrize("frame", ["galactic", "b1950", "icrs"])
def test_info_prints_position_and_north_in_icrs(frame, tmp_path):
    cards = header("TAN", frame, seed=6)
    fits.PrimaryHDU(np.ones(SHAPE, np.float32), cards).writeto(tmp_path / "image.fits")
    text = describe(str(tmp_path / "image.fits"))
    middle, up = pixel_to_skycoord([25.5, 25.5], [16.5, 17.5], WCS(cards)).icrs
    line = next(line for line in text.splitlines() if line.startswith("position"))
    assert SkyCoord(*line.split()[1:3]).separation(middle) < 1e-4 * u.arcsec
    angle = (middle.position_angle(up).deg + 180) % 360 - 180
    assert f"y axis {angle:.1f} deg" in text
    assert "1.0800 arcsec along x, 1.4040 arcsec along y" in text


def test_one_pixel_has_its_place():
    content = io.BytesIO()
    fits.PrimaryHDU(np.ones((1, 1), np.float32), header("TAN", "b1950", seed=8)).writeto(content)
    cutout = load_cutout(content.getvalue())
    assert off(cutout.wcs, WCS(header("TAN", "b1950", seed=8)), 0, 0) < 1e-6
