"""Flags: the file's own words decide which bit means what, then its mission; the rest is said."""

import io

import numpy as np
import pytest
from astropy.io import fits

from galcnn.errors import UnreadableImageError
from galcnn.files import Companions, load_cutout
from galcnn.files.flags import MISSIONS, meaning_of

NY, NX = 8, 70
SKY = np.random.default_rng(4).normal(0, 1, (NY, NX)).astype(np.float32)


def column_flags(dtype=np.int32, n_bits=31):
    """Return a mask whose column n has bit n alone."""
    flags = np.zeros((NY, NX), np.int64)
    flags[:, :n_bits] = 1 << np.arange(n_bits)
    return flags.astype(dtype)


def content(*hdus, **primary):
    buffer = io.BytesIO()
    first = fits.PrimaryHDU()
    for key, value in primary.items():
        first.header[key] = value
    fits.HDUList([first, *hdus]).writeto(buffer)
    return buffer.getvalue()


def image(name="SCI", data=SKY, **cards):
    return fits.ImageHDU(data, fits.Header({"BUNIT": "nJy", "FILTER": "r", **cards}), name=name)


def mask(name="MASK", data=None, cards=()):
    made = fits.ImageHDU(column_flags() if data is None else data, name=name)
    for key, value in dict(cards).items():
        made.header["HIERARCH " + key if len(key) > 8 else key] = value
    return made


def bad_columns(cutout, band=0):
    """Return the columns that are masked, each as a whole."""
    columns = cutout.mask[band].all(axis=0)
    assert (cutout.mask[band] == columns).all()
    return np.flatnonzero(columns).tolist()


def pairs(names, first="MSKN", second="MSKM", digits=4):
    cards = {}
    for bit, name in names.items():
        cards[f"{first}{bit:0{digits}d}"], cards[f"{second}{bit:0{digits}d}"] = name, 1 << bit
    return cards


RUBIN = {3: "NO_DATA", 0: "DETECTED", 9: "SATURATED", 5: "COSMIC_RAY", 7: "INTERPOLATED", 8: "DETECTION_EDGE"}
SPHEREX = {0: "TRANSIENT", 6: "NONFUNC", 9: "MISSING_DATA", 12: "FULLSAMPLE", 21: "SOURCE"}
NAMED = {
    "exposure of lsst.images": (pairs(RUBIN), [3, 5, 9]),
    "only names of planes": ({key: name for key, name in pairs(RUBIN).items() if "MSKN" in key}, [3, 5, 9]),
    "coadd of lsst.images": (pairs(RUBIN | {2: "INEXACT_PSF", 4: "REJECTED"}), [3]),
    "SPHEREx pairs": (pairs(SPHEREX), [0, 6, 9]),
    "SPHEREx MP": ({f"MP_{name}": bit for bit, name in SPHEREX.items()}, [0, 6, 9]),
    "HSC": ({"MP_SAT": 11, "MP_CR": 2, "MP_DETECTED": 5, "MP_INTRP": 1, "MP_BRIGHT_OBJECT": 9}, [2, 11]),
    "HSC coadd": (
        {"MP_SAT": 11, "MP_CR": 2, "MP_INEXACT_PSF": 12, "MP_EDGE": 4, "MP_CLIPPED": 3},
        [2, 4, 11],
    ),
    "Pan-STARRS": (
        pairs({3: "BLANK", 5: "SAT", 9: "SPIKE", 7: "SUSPECT", 13: "CONV.BAD"}, "MSKNAM", "MSKVAL", 2),
        [3, 5, 13],
    ),
    "ZTF": ({"BIT00": (0, "AIRCRAFT/SATELLITE TRACK"), "BIT01": (1, "CONTAINS SEXTRACTOR DETECTION")}, [0]),
    "Legacy by number": ({"MBIT_0": "NPRIMARY", "MBIT_7": "SATUR_R", "MBIT_9": "SATUR_G"}, [7]),
    "Legacy by name": ({"MB_NPRIM": 1, "MB_SAT_R": 8, "MB_ALL_R": 64, "MB_SAT_N501": 16}, [3, 6]),
    "any mission": (pairs({4: "DEAD_PIXEL", 6: "DETECTED_SOURCE", 8: "HOT"}), [4, 8]),
}


@pytest.mark.parametrize("kind", NAMED)
def test_the_planes_that_a_header_names(kind):
    cards, expected = NAMED[kind]
    cutout = load_cutout(content(image(), mask(cards=cards)))
    assert bad_columns(cutout) == expected
    assert "HDU MASK: masked: " in " ".join(cutout.meta["notes"])


@pytest.mark.parametrize("name", ["MASK", "DQ", "FLAGS", "BPM"])
def test_a_plane_that_is_not_known_is_listed_with_its_pixels(name):
    cards = pairs({0: "NO_DATA", 4: "WOBBLE", 6: "NOT_SATURATED"})
    flags = np.zeros((NY, NX), np.int16)
    flags[0, :5], flags[1, :7], flags[2, :3], flags[3, :2] = 1, 16, 64, 1 << 12
    cutout = load_cutout(content(image(), mask(name, flags, cards)))
    assert cutout.mask.sum() == 5
    assert cutout.meta["notes"] == [
        f"HDU {name}: masked: NO_DATA 5; of unknown meaning, not masked: WOBBLE 7, NOT_SATURATED 3, bit 12 2"
    ]


def test_bits_that_nothing_names_are_all_masked_and_said():
    flags = np.zeros((NY, NX), np.uint8)
    flags[0, :5], flags[1, :7] = 4, 5
    cutout = load_cutout(content(image(), mask("MASK", flags)))
    assert cutout.mask.sum() == 12
    assert cutout.meta["notes"] == [
        "HDU MASK: nothing names its bits: all pixels but those of 0 are masked (12; bit 0 7, bit 2 12)"
    ]


@pytest.mark.parametrize("value", [1, 255, 4])
def test_a_plain_mask_needs_no_note(value):
    flags = np.zeros((NY, NX), np.uint8)
    flags[0, :5] = value
    cutout = load_cutout(content(image(), mask("MASK", flags)))
    assert cutout.mask.sum() == 5
    assert "notes" not in cutout.meta


def test_a_plain_mask_of_most_pixels_is_doubted():
    flags = np.ones((NY, NX), np.uint8)
    flags[0] = 0
    cutout = load_cutout(content(image(), mask("MASK", flags)))
    assert cutout.mask.sum() == 490
    assert cutout.meta["notes"] == ["HDU MASK: 490 of 560 pixels are masked: are those of 0 the bad ones?"]


@pytest.mark.parametrize(
    ("bands", "expected"), [(("r",), [[3, 6]]), (("g", "N501"), [[2, 5], [4, 9]]), (("W1",), [[]])]
)
def test_planes_of_a_band_spoil_their_band_only(bands, expected):
    cards = {
        "MB_SAT_G": 4,
        "MB_SAT_R": 8,
        "MB_SAT_N501": 16,
        "MB_ALL_G": 32,
        "MB_ALL_R": 64,
        "MB_ALL_N501": 512,
    }
    hdus = [image(f"SCI_{band}", FILTER=band) for band in bands]
    cutout = load_cutout(content(*hdus, mask("MASKBITS", cards=cards)))
    assert [bad_columns(cutout, n) for n in range(len(bands))] == expected


@pytest.mark.parametrize("filter_card", [None, "z"])
def test_the_band_that_a_user_names_chooses_the_planes(filter_card):
    hdu = image()
    del hdu.header["FILTER"]
    if filter_card:
        hdu.header["FILTER"] = filter_card
    flags = mask("MASKBITS", cards={"MB_SAT_G": 4, "MB_SAT_R": 8, "MB_SAT_Z": 16})
    assert bad_columns(load_cutout(content(hdu, flags), bands=("g",))) == [2]
    given = Companions(mask=content(flags))
    assert bad_columns(load_cutout(content(hdu), bands=("r",), companions=given)) == [3]


def test_planes_of_all_bands_count_where_the_image_names_none():
    hdu = image()
    del hdu.header["FILTER"]
    cutout = load_cutout(content(hdu, mask("MASKBITS", cards={"MB_SAT_G": 4, "MB_SAT_R": 8, "MB_GAL": 1})))
    assert bad_columns(cutout) == [2, 3]
    assert "masked, since the image names no band: SAT_G 8, SAT_R 8" in " ".join(cutout.meta["notes"])


# Tables ---------------------------------------------------------------------------------------
def table(name, **columns):
    made = [
        fits.Column(title, "20A" if isinstance(values[0], str) else "J", array=values)
        for title, values in columns.items()
    ]
    return fits.BinTableHDU.from_columns(made, name=name)


TABLES = {
    "JWST": (
        "DQ",
        table("DQ_DEF", BIT=[0, 1, 4], VALUE=[1, 2, 16], NAME=["HOT", "SATURATED", "DO_NOT_USE"]),
        [4],
    ),
    "bits alone": ("FLAGS", table("FLAG_DEF", BIT=[2, 7], NAME=["DETECTED", "NO_DATA"]), [7]),
    "values alone": ("MASK", table("MASKDEF", VALUE=[4, 128], NAME=["BAD", "SOURCE"]), [2]),
    "text of base 16": ("MASK", table("MASK_PLANES", BITMASK=["0x4", "0x80"], PLANE=["CR", "DETECTED"]), [2]),
}


@pytest.mark.parametrize("kind", TABLES)
def test_the_planes_that_a_table_of_the_file_names(kind):
    name, planes, expected = TABLES[kind]
    cutout = load_cutout(content(image(), mask(name), planes))
    assert bad_columns(cutout) == expected
    given = load_cutout(content(image()), companions=Companions(mask=content(mask(name), planes)))
    assert bad_columns(given) == expected


def test_cards_come_before_a_table_and_a_table_before_the_mission():
    planes = table("DQ_DEF", BIT=[3], NAME=["DO_NOT_USE"])
    assert bad_columns(load_cutout(content(image(), mask("DQ"), TELESCOP="JWST"))) == [0]
    assert bad_columns(load_cutout(content(image(), mask("DQ"), planes, TELESCOP="JWST"))) == [3]
    cards = mask("DQ", cards={"MP_DO_NOT_USE": 6})
    assert bad_columns(load_cutout(content(image(), cards, planes, TELESCOP="JWST"))) == [6]


@pytest.mark.parametrize("values", [["0x10000000000000000"], ["-4"], ["four"], [""]])
def test_a_table_without_bits_names_nothing(values):
    planes = table("MASK_DEF", VALUE=values, NAME=["BAD"])
    flags = np.zeros((NY, NX), np.int16)
    flags[0, :5] = 8
    cutout = load_cutout(content(image(), mask("MASK", flags), planes))
    assert cutout.mask.sum() == 5


def test_of_two_tables_that_of_the_mask_is_used():
    both = [table("DQ_DEF", BIT=[3], NAME=["BAD"]), table("OTHERFLAGS", BIT=[5], NAME=["BAD"])]
    assert bad_columns(load_cutout(content(image(), mask("DQ"), *both))) == [3]


# Missions that name no bits -------------------------------------------------------------------
HST = {"TELESCOP": "HST"}
UNNAMED = {
    "JWST": ({"TELESCOP": "JWST"}, [0]),
    "ACS": (HST | {"INSTRUME": "ACS", "DETECTOR": "WFC"}, [0, 1, 2, 3, 4, *range(7, 15)]),
    "WFC3 IR": (HST | {"INSTRUME": "WFC3", "DETECTOR": "IR"}, [0, 1, 2, 3, 4, 5, 7, 8, 12, 14]),
    "WFC3 UVIS": (HST | {"INSTRUME": "WFC3", "DETECTOR": "UVIS"}, [0, 1, 2, 3, 4, *range(7, 15)]),
    "WFPC2": (HST | {"INSTRUME": "WFPC2"}, [0, 1, 2, 3, 4, 5, 7, 8, 9, 11, 12]),
    "DES": ({"DES_EXT": "MASK"}, [0, 1, 3, 4, 6, 7, 8, 9, 10]),
    "DES coadd": ({"DES_EXT": "MASK", "TILENAME": "DES0219-0541"}, list(range(31))),
    "SDSS": ({"ORIGIN": "SDSS"}, [1, 8, 9]),
    "VIS": ({"TELESCOP": "Euclid", "INSTRUME": "VIS"}, [0, 1, 2, 3, 4, 7, 8, 12, 15, 21, 22]),
    "NISP": ({"TELESCOP": "EUCLID", "INSTRUME": "NISP"}, [0]),
    "ZTF": ({"INSTRUME": "ZTF/MOSAIC"}, [0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]),
    "Pan-STARRS": ({"SKYCELL": "1"}, [0, 1, 2, 3, 4, 5, 6, 8, 10, 11, 13]),
    "NICMOS": (HST | {"INSTRUME": "NICMOS"}, []),
    "DECam before 3.5": ({"INSTRUME": "DECam", "PLVER": "V3.2.1"}, [0, 1, 4, 6, 7, 8, 9]),
}


@pytest.mark.parametrize("kind", UNNAMED)
def test_the_bits_that_a_mission_defines(kind):
    cards, expected = UNNAMED[kind]
    assert bad_columns(load_cutout(content(image(), mask("DQ", cards=cards)))) == expected


def test_a_quadrant_of_euclid_has_the_flags_of_its_name():
    hdus = []
    for n, quadrant in enumerate("EF"):
        hdus.append(image(f"3-4.{quadrant}.SCI"))
        hdus.append(fits.ImageHDU(np.full((NY, NX), 1.0 + n), name=f"3-4.{quadrant}.RMS"))
        hdus.append(mask(f"3-4.{quadrant}.FLG", column_flags(n_bits=2 + n)))
    file = content(*hdus, TELESCOP="Euclid", INSTRUME="VIS")
    for n, quadrant in enumerate("EF"):
        cutout = load_cutout(file, hdu=f"3-4.{quadrant}.SCI")
        assert bad_columns(cutout) == list(range(2 + n))
        assert (cutout.sigma == 1 + n).all()


def test_codes_of_the_community_pipeline_are_no_bits():
    flags = np.zeros((NY, NX), np.int16)
    flags[:, :12] = np.arange(12)
    cutout = load_cutout(content(image(), mask("DQ", flags, {"PLVER": "V3.10.2"})))
    assert bad_columns(cutout) == list(range(1, 9))
    assert "of unknown meaning, not masked: value 9 8, value 10 8, value 11 8" in cutout.meta["notes"][0]


# Numbers --------------------------------------------------------------------------------------
@pytest.mark.parametrize("bit", [0, 7, 31, 40, 62, 63])
@pytest.mark.parametrize("dtype", [np.int32, np.uint32, np.int64, np.uint64, np.float64])
def test_bits_up_to_the_sign(bit, dtype):
    if bit >= 8 * np.dtype(dtype).itemsize or (dtype is np.float64 and bit == 63):
        pytest.skip("not a bit of this type")
    kind = {"i": "u"}.get(np.dtype(dtype).kind)
    flags = np.array([[[0, 1 << bit]]], np.uint64)
    flags = flags.astype(f"u{np.dtype(dtype).itemsize}").view(dtype) if kind else flags.astype(dtype)
    for cards in ({"MP_BAD": bit}, {"MB_BAD": 1 << bit}):
        meaning = meaning_of(fits.Header(cards))
        assert meaning.bad_pixels(flags, ("r",)).tolist() == [[[False, True]]]
        assert meaning.said(flags, ("r",)) == "masked: BAD 1"
    other = meaning_of(fits.Header({"MP_BAD": (bit + 1) % 8, "MP_INTRP": bit}))
    assert not other.bad_pixels(flags, ("r",)).any()


def test_nan_in_a_mask_is_bad():
    flags = np.array([[[0, 1, 2, np.nan]]])
    assert meaning_of(fits.Header({"MP_BAD": 0})).bad_pixels(flags, ("r",)).tolist() == [[[0, 1, 0, 1]]]


def test_planes_in_further_bytes():
    names = {2: "DETECTED", 9: "NO_DATA", 17: "SATURATED", 11: "INTERPOLATED"}
    cards = {f"MSKN{bit:04d}": name for bit, name in names.items()}
    cards |= {f"MSKM{bit:04d}": 1 << bit for bit in names}
    whole = column_flags(n_bits=24).astype(np.uint32)
    cube = np.stack([(whole >> 8 * n & 255).astype(np.uint8) for n in range(3)])
    assert bad_columns(load_cutout(content(image(), mask("MASK", cube, cards)))) == [9, 17]
    named = load_cutout(
        content(image(), mask("BYTES", cube, cards)), companions=Companions(mask="BYTES"), hdu="SCI"
    )
    assert bad_columns(named) == [9, 17]


def test_planes_in_further_hdus():
    first = mask("MASK", column_flags(n_bits=8), pairs({0: "DETECTED", 4: "NO_DATA"}))
    second = mask("MASK", np.roll(column_flags(n_bits=8), 20, axis=1), pairs({3: "SATURATED"}))
    second.ver = 2
    assert bad_columns(load_cutout(content(image(), first, second))) == [4, 23]
    # Without names they may be of anything.
    plain = [mask("MASK", column_flags(n_bits=8)), mask("MASK", column_flags(n_bits=8))]
    plain[1].ver = 2
    notes = load_cutout(content(image(), *plain)).meta["notes"]
    assert notes == ["2 HDUs of mask, not told apart: name one"]


def test_every_plane_has_one_meaning_in_its_mission():
    for mission in MISSIONS:
        both = set(mission.bad.split()) & set(mission.good.split())
        assert not both, mission.name
        assert len(set(mission.numbered())) == len([bit for bit in mission.bits.split() if bit != "-"])


# Weights and noise ----------------------------------------------------------------------------
GAP = np.zeros((NY, NX), bool)
GAP[2:4, 10:20] = True


@pytest.mark.parametrize("name", ["WHT", "WGT", "WEIGHT", "EXPMAP", "COVERAGE", "CTX", "CON", "CONF"])
@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_pixels_without_weight_or_exposure(name, dtype):
    data = np.where(GAP, 0, 3).astype(dtype)
    cutout = load_cutout(content(image(), fits.ImageHDU(data, name=name)))
    np.testing.assert_array_equal(cutout.mask[0], GAP)
    assert cutout.meta["mask_source"].startswith(f"HDU {name}")
    assert "(20)" in cutout.meta["notes"][0]


def test_contexts_of_more_than_32_exposures():
    data = np.zeros((2, NY, NX), np.int32)
    data[0, :, :30], data[1, :, 25:] = 1, 4
    assert not load_cutout(content(image(), fits.ImageHDU(data, name="CTX"))).mask.any()
    data[1, :, 25:50] = 0
    assert load_cutout(content(image(), fits.ImageHDU(data, name="CTX"))).mask.sum() == 20 * NY


@pytest.mark.parametrize("name", ["ERR", "VAR", "RMS", "SIGMA"])
@pytest.mark.parametrize("value", [0, np.nan, np.inf, -1, 1e30])
def test_pixels_without_noise(name, value):
    data = np.where(GAP, value, 2.0).astype(np.float32)
    cutout = load_cutout(content(image(), fits.ImageHDU(data, name=name)))
    np.testing.assert_array_equal(cutout.mask[0], GAP)
    np.testing.assert_array_equal(np.isnan(cutout.sigma[0]), GAP)
    assert cutout.meta["notes"] == [f"HDU {name}: pixels without noise are masked (20)"]
    given = load_cutout(
        content(image()), companions=Companions(sigma=content(fits.ImageHDU(data, name=name)))
    )
    np.testing.assert_array_equal(given.mask[0], GAP)


@pytest.mark.parametrize(("name", "value"), [("IVAR", 1e38), ("WHT", 1e33), ("VAR", 1e-40), ("ERR", 1e31)])
def test_noise_of_small_and_large_units(name, value):
    data = value * np.random.default_rng(1).uniform(1, 2, (NY, NX))
    cutout = load_cutout(content(image(), fits.ImageHDU(data.astype(np.float32), name=name)))
    assert not cutout.mask.any()


@pytest.mark.parametrize("name", ["WHT", "ERR", "VAR", "CTX"])
def test_a_map_of_zeros_says_nothing(name):
    file = content(image(), fits.ImageHDU(np.zeros((NY, NX), np.float32), name=name))
    cutout = load_cutout(file)
    assert not cutout.mask.any()
    assert f"HDU {name} is left out: " in cutout.meta["notes"][0]
    assert cutout.sigma is None


def test_noise_of_zeros_that_the_user_names_is_refused():
    file = content(image(), fits.ImageHDU(np.zeros((NY, NX), np.float32), name="ERR"))
    with pytest.raises(UnreadableImageError, match="a noise map with positive numbers"):
        load_cutout(file, companions=Companions(sigma="ERR"))
