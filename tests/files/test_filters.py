"""Bands by the filters that headers name: one name for each filter, and the user's names before them."""

import numpy as np
import pytest
from astropy.io import fits

from galcnn.errors import UnreadableImageError
from galcnn.files import load_cutout
from galcnn.files.filters import band_of, combined, is_dispersed
from galcnn.files.headers import band_names
from galcnn.mosaic import open_mosaic
from galcnn.transforms.extinction import COEFFICIENTS


def header(cards):
    made = fits.Header()
    for key, value in cards.items():
        made[f"HIERARCH {key}" if len(key) > 8 or "." in key else key] = value
    return made


@pytest.mark.parametrize(
    ("texts", "band"),
    [
        # Johnson, Kron, Cousins and Bessell have capital letters, SDSS and its like small ones.
        ("Johnson B|B Johnson|JOHNSON_B|Bessell B|B_BESS|Generic/Johnson.B|B Harris k1002|B (Johnson)", "B"),
        ("Johnson V|Bessell-V|V_Johnson|johnson v|Johnson/Cousins V|W-J-V|V_Bes 530_80", "V"),
        ("Cousins R|R(Cousins)|Johnson-Cousins R|Harris R|W-C-RC|Kron-Cousins R", "R"),
        ("Bessell I|I_BESS|Kron/Cousins I|Johnson-Kron-Cousins I|I Cousins|W-C-IC", "I"),
        ("Johnson R|R_Johnson|Generic/Johnson.R|JOHNSON-R|R (Johnson)", "Johnson R"),
        ("Johnson I|johnson i|I Johnson", "Johnson I"),
        ("SDSS g|sdss_g|g_SDSS|gSDSS|SLOAN/SDSS.g|Sloan G|g'|gp|g.MP9401|g.MP9402|decam_g|g_DECam", "g"),
        ("g DECam SDSS c0001 4720.0 1520.0|HSC-G|Subaru/HSC.g|ZTF_g|g_G0301|g.00000|g_01", "g"),
        ("g_PS1|g_SDSS 480_145|g-band", "g"),
        ("SDSS r'|Sloan r|r.MP9601|HSC-R|HSC-R2|r_03|r_57|decam_r|rp|W-S-R+", "r"),
        ("r'_SDSS 618_148|SDSS-R|megacam_r", "r"),
        ("z_p1|PAN-STARRS/PS1.z|zp|DECAM_z|z DECam SDSS c0004 9260.0 1520.0|hsc_z|z_20", "z"),
        ("y|HSC-Y|PS1 Y|lsst_y|y_10", "y"),
        ("Y|DES Y|decam_Y|Y DECam c0005 10095.0 1130.0|VISTA Y|UKIDSS Y", "Y"),
        ("K|UKIDSS K", "K"),
        ("Ks|K_s|K_S|KS|Kshort|2MASS Ks|VISTA_Ks|2MASS/2MASS.Ks", "Ks"),
        ("2MASS J|J|MKO J", "J"),
        ("j", "j"),  # as 2MASS's Atlas images write it
        ("NUV|galex_NUV|GALEX NUV", "NUV"),
        ("FUV|galex FUV", "FUV"),
        ("W1|WISE W1|unwise-w1|WISE_W1", "W1"),
        ("IRAC1|IRAC ch1|irac_1|Spitzer/IRAC.I1", "IRAC1"),
        ("F814W|f814w|F814W;CLEAR2L|CLEAR1L,F814W|F814W / CLEAR|HST/ACS_WFC.F814W|ACS_WFC_F814W", "F814W"),
        ("F444W|F444W;CLEAR|f444w-clear|JWST/NIRCam.F444W|NIRCAM F444W", "F444W"),
        ("F444W;F470N", "F470N"),
        # No pattern: the whole text.
        ("VR DECam c0007 6300.0 2600.0", "VR"),
        *((text, text) for text in ("NB0921", "N662", "Halpha", "Halpha 6563", "Halpha 6600", "H-Alpha-6566",
          "Ha.MP9603", "HaOFF.MP9604", "gri.MP9605", "VIS", "NIR_Y", "NISP-Y", "zs", "Stromgren b", "Gunn r",
          "v_HIGH", "gaia_g", "Washington T1", "F378", "Rc", "K'", "r2", "i_dat", "I Nearly-Mould k1005",
          "K(short)_G0204", "FQ508N", "Johnson", "i+")),
        ("F606W;POL0V", "F606W+POL0V"),
        ("O  III   off", "O III off"),
    ],
)  # fmt: skip
def test_a_filter_has_one_name(texts, band):
    assert {text: band_of(text) for text in texts.split("|")} == dict.fromkeys(texts.split("|"), band)


def test_two_filters_have_two_names():
    texts = "Johnson U|Johnson B|Johnson V|Johnson R|Johnson I|Cousins R|Cousins I"
    texts += "|SDSS u|SDSS g|SDSS r|SDSS i|SDSS z|PS1 y"
    texts += "|DES Y|2MASS J|2MASS H|2MASS Ks|UKIDSS K|K'|Stromgren u|Stromgren v|Stromgren b|Stromgren y"
    texts += "|Gunn g|Gunn r|Washington C|Ha.MP9603|HaOFF.MP9604|NB0921|NB0816|F150W|F150W2|F162M|F160W"
    texts += "|F164N|NIR_Y|NIR_J|NIR_H|VIS|W1|IRAC1|zs"
    named = {text: band_of(text) for text in texts.split("|")}
    assert len(set(named.values())) == len(named)
    assert None not in named.values()


@pytest.mark.parametrize(
    "text",
    [
        "CLEAR",
        "Clear",
        "CLEARP",
        "CLEAR2S",
        "OPEN",
        "open1-6",
        "NONE",
        "N/A",
        "no filter",
        "OPTICAL",
        "NIR",
        "-",
    ],
)
def test_no_filter(text):
    assert band_of(text) is None


@pytest.mark.parametrize(
    ("texts", "band"),
    [
        (["F150W2", "F162M"], "F162M"),
        (["F322W2", "F323N"], "F323N"),
        (["F150W2", "CLEAR"], "F150W2"),
        (["CLEAR", "F090W"], "F090W"),
        (["F380M", "CLEARP"], "F380M"),
        (["GR150R", "F200W"], "GR150R+F200W"),
        (["F444W", "MASKRND"], "F444W+MASKRND"),
        (["F606W", "POL60V"], "F606W+POL60V"),
        (["open1-6", "r_G0303"], "r"),
        (["CLEAR1L", "CLEAR2L"], None),
        ([], None),
    ],
)
def test_filter_wheels(texts, band):
    assert combined(texts) == band


@pytest.mark.parametrize(("band", "dispersed"), [
    ("GR150R+F200W", True), ("G800L", True), ("F444W+GRISMR", True), ("G141", True), ("P750L", True),
    ("g", False), ("F814W", False), ("Gunn g", False), (None, False),
])  # fmt: skip
def test_grisms(band, dispersed):
    assert is_dispersed(band) == dispersed


@pytest.mark.parametrize(
    ("cards", "n", "names"),
    [
        ({"BAND": "r"}, 1, ("r",)),
        ({"FILTER": "i       "}, 1, ("i",)),
        ({"BAND": "g", "FILTER": "g DECam SDSS c0001 4720.0 1520.0"}, 1, ("g",)),
        ({"FILTER": "g DECam SDSS c0001 4720.0 1520.0"}, 1, ("g",)),
        ({"FILTER": "HSC-I2"}, 1, ("i",)),
        ({"FILTER1": "CLEAR1L", "FILTER2": "F814W"}, 1, ("F814W",)),
        ({"FILTER1": "F475W", "FILTER2": "CLEAR2L"}, 1, ("F475W",)),
        ({"FILTER1": 25, "FILTNAM1": "F555W"}, 1, ("F555W",)),
        ({"BAND": "g", "BANDS": "grz"}, 1, ("g",)),
        ({"BANDS": "r"}, 1, ("r",)),
        ({"BANDS": "grz"}, 1, (None,)),
        ({"FILTER": "g,r"}, 1, (None,)),
        ({"FILTER": "UNKNOWN"}, 1, (None,)),
        ({"FPA.FILTERID": "i.00000", "FPA.FILTER": "i.00000"}, 1, ("i",)),
        ({"TELESCOP": "WISE", "BAND": 3}, 1, ("W3",)),
        ({"MPSTYPE": "AIS", "TILENUM": 50205, "BAND": 2}, 1, ("FUV",)),
        ({"BAND": 3}, 1, (None,)),
        ({"BAND": True, "TELESCOP": "WISE"}, 1, (None,)),
        ({"FILTER": 814}, 1, (None,)),
        ({"FILTER": "Johnson V"}, 1, ("V",)),
        ({"FILTER": "F150W2", "PUPIL": "F162M", "TELESCOP": "JWST"}, 1, ("F162M",)),
        ({"FILTER": "CLEAR", "PUPIL": "F090W", "TELESCOP": "JWST"}, 1, ("F090W",)),
        ({"FILTER": "F200W", "PUPIL": "CLEAR", "TELESCOP": "JWST"}, 1, ("F200W",)),
        ({"FILTER": "GR150C", "PUPIL": "F115W"}, 1, ("GR150C+F115W",)),
        ({"FILTER1": "F606W", "FILTER2": "POL0V"}, 1, ("F606W+POL0V",)),
        ({"FILTER1": 25, "FILTNAM1": "F555W", "FILTNAM2": ""}, 1, ("F555W",)),
        ({"FILTER1": "open1-6", "FILTER2": "i_G0302"}, 1, ("i",)),
        ({"FILTER01": "W-S-R+", "FILTER02": "NONE"}, 1, ("r",)),  # Suprime-Cam
        ({"FILTNAM": "V"}, 1, ("V",)),
        ({"FILTER": "free", "FILTNAME": "SDSS g"}, 1, ("g",)),
        ({"FILTER": "MULTI", "FILTER1": "r_SDSS"}, 1, ("r",)),
        ({"BAND": "OPTICAL", "FILTER": "SDSS u"}, 1, ("u",)),
        ({"ESO INS FILT1 NAME": "OPEN", "ESO INS FILT2 NAME": "Ks"}, 1, ("Ks",)),
        ({"LSST BUTLER DATAID BAND": "i"}, 1, ("i",)),
        ({"INSTRUME": "IRAC", "CHNLNUM": 2}, 1, ("IRAC2",)),
        ({"FILTERS": "SDSS g, SDSS r, Johnson R"}, 3, ("g", "r", "Johnson R")),
        ({"BAND0": "HSC-G", "BAND1": "HSC-I2"}, 2, ("g", "i")),
        ({"BAND0": "HSC-I", "BAND1": "HSC-I2"}, 2, ("HSC-I", "HSC-I2")),
        ({"BANDS": "grz", "BAND0": "g", "BAND1": "r", "BAND2": "z"}, 3, ("g", "r", "z")),
        ({"BAND1": "u", "BAND2": "g"}, 2, ("u", "g")),
        ({"BANDS": "g, r, i"}, 3, ("g", "r", "i")),
        ({"FILTERS": "F105W F160W"}, 2, ("F105W", "F160W")),
        ({"BANDS": "grz"}, 5, (None,) * 5),
        ({"BANDS": "ggr"}, 3, (None,) * 3),
        ({"FILTER": "r"}, 3, (None,) * 3),
        ({}, 2, (None, None)),
    ],
)
def test_band_names(cards, n, names):
    assert band_names(header(cards), n) == names


def written(path, *filters, **cards):
    shape = (len(filters), 20, 20) if len(filters) > 1 else (20, 20)
    hdu = fits.PrimaryHDU(np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    hdu.header.update(
        {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4, "BUNIT": "nJy"}
    )
    hdu.header.update({"CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 10.5, "CRPIX2": 10.5} | cards)
    hdu.header["FILTER"] = ",".join(filters)
    hdu.writeto(path)
    return path


def test_the_user_overrules_the_header(tmp_path):
    one = written(tmp_path / "v.fits", "Johnson V")
    for names in (("g",), ("Johnson V",), ("v",)):
        cutout = load_cutout(one, bands=names)
        assert cutout.bands == names
        assert cutout.meta["notes"] == [f"bands as given: {names[0]}; the header says V"]
        with open_mosaic(one, bands=names) as mosaic:
            assert mosaic.bands == names
            assert mosaic.meta["notes"] == cutout.meta["notes"]
    assert "notes" not in load_cutout(one, bands=("V",)).meta
    cube = written(tmp_path / "c.fits", "SDSS g", "SDSS r")
    assert load_cutout(cube, bands=("r", "g")).flux[0, 0, 0] == 400
    assert load_cutout(cube, bands=("B", "V")).bands == ("B", "V")
    twins = [written(tmp_path / f"{i}.fits", "HSC-I" + i) for i in ("", "2")]
    with pytest.raises(UnreadableImageError, match="one plane for each band"):
        load_cutout(twins)
    assert load_cutout(twins, bands=("i", "i2")).bands == ("i", "i2")


@pytest.mark.parametrize("names", [("r", "i"), ("i",), ("u", "i", "z")])
def test_names_beside_those_of_the_header_are_a_choice(tmp_path, names):
    with pytest.raises(UnreadableImageError, match="bands among"):
        load_cutout(written(tmp_path / "c.fits", "SDSS g", "SDSS r"), bands=names)


@pytest.mark.parametrize(
    ("system", "text"),
    [("SDSS", "SDSS {}"), ("PS1", "{}.00000"), ("DES", "decam_{}"), ("LSST", "{}_03"), ("HSC", "HSC-{}"),
     ("UKIRT", "UKIDSS {}"), ("WISE", "WISE {}"), ("ACS", "ACS_{}"), ("WFC3", "{};CLEAR")],
)  # fmt: skip
def test_bands_are_those_of_the_extinction_coefficients(system, text):
    for band in COEFFICIENTS[system]:
        own = band.upper() if system == "HSC" else band
        assert band_of(text.format(own)) == band
