"""Plain FITS files read without astropy: every value is astropy's, bit by bit; the rest is left to it."""

import io
import pickle
import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning
from astropy.wcs import WCS
from hypothesis import given
from hypothesis import strategies as st

from galcnn._runtime.fits_blocks import units_of
from galcnn.errors import UnreadableImageError
from galcnn.files import astrometry, load_cutout, sources
from galcnn.files.plain import Cards, NotPlain, PlainImage, plain_hdus

RNG = np.random.default_rng(5)


def content(*hdus):
    out = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(out, output_verify="ignore")
    return out.getvalue()


def hdus_of(raw):
    return plain_hdus(raw, units_of(io.BytesIO(raw), len(raw), 1 << 30))


def card(text):
    assert len(text) <= 80
    return text.ljust(80)


def with_cards(*texts, data=None):
    """A file whose header has these cards as they are."""
    raw = content(fits.PrimaryHDU(np.ones((4, 4), ">f4") if data is None else data))
    end = raw.index(b"END".ljust(80))
    header = raw[:end] + "".join(map(card, texts)).encode("latin1") + b"END".ljust(80)
    return header.ljust(-(-len(header) // 2880) * 2880) + raw[2880:]


KINDS = {
    **{f"primary {kind}": lambda kind=kind: [fits.PrimaryHDU(RNG.normal(size=(5, 7)).astype(kind))]
       for kind in (">f4", ">f8", ">i2", ">i4", ">i8", "u1")},
    "cube": lambda: [fits.PrimaryHDU(RNG.normal(size=(3, 5, 7)).astype(">f4"))],
    "unsigned": lambda: [fits.PrimaryHDU(np.arange(12, dtype=">u2").reshape(3, 4))],
    "scaled": lambda: [fits.PrimaryHDU(np.arange(12, dtype=">i2").reshape(3, 4), fits.Header({"BLANK": 3}))],
    "extensions": lambda: [
        fits.PrimaryHDU(header=fits.Header({"FILTER": "r", "A": 1})),
        fits.ImageHDU(np.ones((4, 4), ">f4"), fits.Header({"EXTVER": 2, "A": 2}), name="SCI"),
        fits.ImageHDU(np.ones((4, 4), "u1"), name="MASK"),
        fits.BinTableHDU.from_columns([fits.Column("x", "E", array=[1.0, 2.0])], name="T"),
        fits.TableHDU.from_columns([fits.Column("x", "I4", array=[1, 2], ascii=True)]),
    ],
    "empty": lambda: [fits.PrimaryHDU()],
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_hdus_are_those_of_astropy(kind):
    raw = content(*KINDS[kind]())
    own = hdus_of(raw)
    with fits.open(io.BytesIO(raw)) as theirs:
        assert len(own) == len(theirs)
        for one, other in zip(own, theirs, strict=True):
            assert (one.name, one.ver, one.is_image) == (other.name, other.ver, other.is_image)
            for key in other.header:
                if key:
                    assert one.header[key] == other.header[key], key
            assert getattr(one, "kind", type(one).__name__) == type(other).__name__
            if not one.is_image:
                assert one.data.tobytes() == other.data.tobytes()
                continue
            assert one.shape == other.shape
            if other.data is None:
                assert one.data is None
                continue
            assert one.data.dtype == other.data.dtype
            assert one.data.tobytes() == other.data.tobytes()


def test_only_unscaled_images_are_read_here():
    assert isinstance(hdus_of(content(*KINDS["cube"]()))[0], PlainImage)
    for kind in ("unsigned", "scaled"):
        assert isinstance(hdus_of(content(*KINDS[kind]()))[0], fits.PrimaryHDU)


CARDS = [
    "KEY     = 'text  '             / a comment", "KEY     = 'a/b'", "KEY     = ''", "KEY     = '   '",
    "KEY     =                   12", "KEY     = 12", "KEY     =                 -007 / x", "KEY     = +3",
    "KEY     =                 1.5D5", "KEY     = -1.E-3", "KEY     = .5", "KEY     = 1E10", "KEY     = 12.",
    "KEY     =                    T / yes", "KEY     = F", "KEY     =", "KEY     =   / nothing",
    "HIERARCH ESO INS FILT1 NAME = 'r_SDSS'", "HIERARCH FPA.ZP = 25.0 / zero point", "HIERARCH key of mine=3",
    "COMMENT KEY     = 3", "HISTORY   = 'x'", "        = 'x'",
    "KEY_A-1 = 'x'",
]  # fmt: skip


@pytest.mark.parametrize("text", CARDS)
def test_cards_have_the_values_of_astropy(text):
    header = fits.Header.fromstring(card(text))
    own = Cards.of(card(text).encode())
    names = [key.upper() for key in header if key not in ("COMMENT", "HISTORY", "")]
    assert list(own) == names
    for key in names:
        assert own[key] == header[key]
        assert type(own[key]) is type(header[key])
    assert own.get("NONE") is None
    with pytest.raises(KeyError, match="Keyword 'NONE' not found"):
        own["NONE"]


LEFT = [
    "KEY     = 'it''s'", "KEY     = 'open", "KEY     = 1 2", "KEY     = 1.5e5", "KEY     = (1, 2)",
    "KEY     = 'AXIS.1: 2'", "KEY     = 1.0 d 5", "KEY     = word", "KEY     = 'a' b",
]  # fmt: skip


@pytest.mark.parametrize("text", LEFT)
def test_other_cards_are_left_to_astropy_when_they_are_asked_for(text):
    own = Cards.of(card(text).encode())
    with pytest.raises(NotPlain):
        own["KEY"]
    image = load_cutout(with_cards("FILTER  = 'r'", text))
    assert image.bands == ("r",), "nothing asks for this card"


@pytest.mark.parametrize(
    "text", ["lower   = 3", "A B     = 3", "KEYWORD 3", "KEY=1", "KEY     ='x'", "KEY     = 'é'"]
)
def test_headers_of_other_keywords_are_left_to_astropy(text):
    assert Cards.of(card(text).encode("latin1")) is None


def test_a_continued_text_is_left_to_astropy():
    text = card("FILTER  = 'r.MP&'") + card("CONTINUE  '9601'")
    with pytest.raises(NotPlain):
        Cards.of(text.encode())["FILTER"]
    assert load_cutout(with_cards("FILTER  = 'r.MP&'", "CONTINUE  '9601'")).bands == ("r",)


def test_cards_of_the_primary_header_are_inherited_as_by_astropy():
    first, own = (card("A       = 1") + card("B       = 2")), (card("B       = 3") + card("B       = 4"))
    both = Cards.of(own.encode()).inheriting(Cards.of(first.encode()))
    header = fits.Header.fromstring(first)
    header.update(fits.Header.fromstring(own))
    assert [both["A"], both["B"]] == [header["A"], header["B"]] == [1, 4]
    assert both.comments["A"] == ""
    assert sorted(both) == ["A", "B"]


@given(
    st.one_of(
        st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60),
        st.integers(-(10**15), 10**15),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
    )
)
def test_any_card_that_astropy_writes(value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        text = str(fits.Card("KEY", value, "of a test"))[:80]
    theirs = fits.Header.fromstring(text)
    try:
        own = Cards.of(text.encode())["KEY"]
    except NotPlain:
        assert isinstance(value, str)
        assert "'" in value or ": " in value
        return
    assert own == theirs["KEY"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw.replace(b"END     ", b"END    x", 1),
        lambda raw: raw.replace(b"SIMPLE  =                    T", b"SIMPLE  =                T    ", 1),
    ],
    ids=["text behind END", "SIMPLE elsewhere"],
)
def test_files_that_are_not_plain_are_left_to_astropy(spoil):
    raw = spoil(with_cards("FILTER  = 'r'"))
    assert hdus_of(raw) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "plain_hdus", lambda *_: None)
        theirs = load_cutout(raw)
    assert load_cutout(raw).meta == theirs.meta


def test_a_file_without_its_last_blocks_is_refused_as_by_astropy():
    raw = with_cards("FILTER  = 'r'")[:-1]
    assert hdus_of(raw) is None
    with pytest.raises(UnreadableImageError, match="truncated"):
        load_cutout(raw)


HEADERS = {
    "TAN": {},
    "CD": {"CDELT1": None, "CDELT2": None, "CD1_1": -1e-4, "CD1_2": 1e-5, "CD2_1": 1e-5, "CD2_2": 1e-4},
    "CROTA": {"CROTA2": 30.0},
    "FK5": {"RADESYS": "FK5", "EQUINOX": 2000.0},
    "FK4": {"EQUINOX": 1950.0},
    "galactic": {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
    "latitude first": {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN"},
    "ZPN": {"CTYPE1": "RA---ZPN", "CTYPE2": "DEC--ZPN", "PV2_1": 1.0, "PV2_3": 0.1},
    "TPV": {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV", "PV1_1": 1.0, "PV2_1": 1.0},
    "SCAMP": {"PV1_1": 1.0, "PV2_1": 1.0, "PV1_5": 1e-3},
    "SIP": {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP", "A_ORDER": 2, "B_ORDER": 2, "A_2_0": 1e-5},
    "ecliptic": {"CTYPE1": "ELON-TAN", "CTYPE2": "ELAT-TAN"},
    "old": {"CDELT1": -1e-4, "PC001001": 0.8, "PC001002": 0.6, "PC002001": -0.6, "PC002002": 0.8},
    "J2000": {"RADESYS": "J2000"},
    "units": {"CUNIT1": "arcsec", "CUNIT2": "arcsec", "CDELT1": -0.4, "CDELT2": 0.4},
    "wrong": {"CTYPE1": "RA---XXX"},
    "no sky": {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"},
    "planet": {"CTYPE1": "MALN-TAN", "CTYPE2": "MALT-TAN"},
    "half": {"CTYPE2": None},
    "none": {"CTYPE1": None, "CTYPE2": None},
    "undefined": {"LONPOLE": fits.card.UNDEFINED},
    "horizon": {"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CDELT1": -40.0, "CDELT2": 40.0},
}


@pytest.mark.parametrize("kind", HEADERS)
def test_the_wcs_is_that_of_all_cards(kind):
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 2.0, "CRPIX2": 3.0, "CRVAL1": 150.0,
             "CRVAL2": 2.0, "CDELT1": -1e-4, "CDELT2": 1e-4} | HEADERS[kind]  # fmt: skip
    header = fits.Header({key: value for key, value in cards.items() if value is not None})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", AstropyWarning)
        wcs, notes = astrometry.celestial_wcs(header, (5, 6))
        raw = "".join(str(one) for one in header.cards)
        own, own_notes = astrometry.celestial_wcs(Cards.of(raw.encode()), (5, 6))
    assert own_notes == notes
    assert (own is None) == (wcs is None)
    if wcs is not None:
        assert_same_wcs(own, wcs)


def assert_same_wcs(own, theirs):
    assert own.wcs.compare(theirs.wcs)
    assert own.to_header(relax=True).tostring() == theirs.to_header(relax=True).tostring()
    assert own.array_shape == theirs.array_shape
    corners = [[0, 0], [3, 4], [2.5, 1]]
    np.testing.assert_array_equal(own.all_pix2world(corners, 0), theirs.all_pix2world(corners, 0))
    for copied in (own.deepcopy(), pickle.loads(pickle.dumps(own))):
        assert isinstance(copied, WCS)
        places = copied.all_pix2world(corners, 0)
        np.testing.assert_allclose(places, own.all_pix2world(corners, 0), rtol=1e-12)
    assert set(own.__dict__) == set(theirs.__dict__)


def test_cutouts_of_real_files_are_the_same_without_astropy(real_data, monkeypatch):
    """Every file of every survey here: pixels, mask, noise, sky and notes."""
    paths = sorted(path for path in real_data.rglob("*.fits") if path.stat().st_size < 3_000_000)
    plain = 0
    for path in paths:
        seen = []
        with monkeypatch.context() as patch:
            patch.setattr(
                sources, "plain_hdus", lambda *given, seen=seen: seen.append(plain_hdus(*given)) or seen[-1]
            )
            own = tried(path)
        with monkeypatch.context() as patch:
            patch.setattr(sources, "plain_hdus", lambda *_: None)
            theirs = tried(path)
        plain += any(found is not None for found in seen)
        if isinstance(theirs, str):
            assert own == theirs
            continue
        assert own.meta == theirs.meta
        assert (own.bands, own.unit, own.survey) == (theirs.bands, theirs.unit, theirs.survey)
        for name in ("flux", "mask", "sigma", "psf"):
            one, other = getattr(own, name), getattr(theirs, name)
            assert (one is None) == (other is None)
            assert one is None or one.tobytes() == other.tobytes(), (path, name)
        assert (own.wcs is None) == (theirs.wcs is None)
        if own.wcs is not None:
            assert_same_wcs(own.wcs, theirs.wcs)
            assert own.position.frame.is_equivalent_frame(theirs.position.frame)
            assert own.position.separation(theirs.position).deg < 1e-12
    assert plain > 0.7 * len(paths), "most files are plain"


def noted(seen):
    def found(*given):
        seen.append(plain_hdus(*given))
        return seen[-1]

    return found


def tried(path):
    try:
        return load_cutout(path)
    except UnreadableImageError as error:
        return str(error)
