"""HDUs written as bytes are those that astropy writes."""

import io
import re

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

from galcnn._runtime.fits_blocks import encoded_sum, word_sum
from galcnn.files.text import text_column
from galcnn.files.writing import image_bytes, primary_bytes, text_table_bytes

_CARDS = [
    ("EXTNAME", "SCI", "name of this layer"),
    ("NBANDS", 3, "number of bands"),
    ("MP_BAD", 0, ""),
    ("FLAG", True, "yes"),
    ("RA_OBJ", 150.123456789012345, "[deg]"),
    ("SMALL", -2.77777777777778e-05, "[deg] a step"),
    ("SURVEY", "it's " + "long " * 30, "continued"),
    ("EMPTY", "", ""),
]


def _without_dates(content: bytes) -> bytes:
    """The file without the time of its sums, and CHECKSUM, which depends on it."""
    content = re.sub(rb"CHECKSUM= '[0-9a-zA-Z]{16}'", b"CHECKSUM", content)
    return re.sub(rb"updated \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", b"updated", content)


def _by_astropy(*hdus) -> bytes:
    hdulist = fits.HDUList(list(hdus))
    for hdu in hdulist:
        hdu.add_checksum()
    out = io.BytesIO()
    hdulist.writeto(out)
    return out.getvalue()


def _assert_alike(ours: bytes, *hdus) -> None:
    assert _without_dates(ours) == _without_dates(_by_astropy(*hdus))
    with fits.open(io.BytesIO(ours), checksum=True) as hdulist:  # warnings are errors
        hdulist.verify("exception")


def _primary():
    hdu = fits.PrimaryHDU()
    hdu.header.extend(_CARDS[1:])
    return hdu, primary_bytes(_CARDS[1:])


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "i8", "f4", "f8"])
@pytest.mark.parametrize("shape", [(5,), (4, 3), (2, 48, 15)])
def test_images(kind, shape):
    values = np.random.default_rng(0).integers(0, 100, size=shape).astype(kind)
    primary, head = _primary()
    image = fits.ImageHDU(values, fits.Header(_CARDS))
    _assert_alike(head + image_bytes(values, _CARDS), primary, image)


def test_nan_stays():
    values = np.array([[np.nan, 1], [-np.inf, 2]], np.float32)
    with fits.open(io.BytesIO(_primary()[1] + image_bytes(values, [])), checksum=True) as hdulist:
        np.testing.assert_array_equal(hdulist[1].data, values)


def test_tables_of_text():
    texts = {"KEY": ["seed", "a longer one"], "VALUE": ["1", '"' + "x" * 300 + '"']}
    table = fits.BinTableHDU.from_columns([text_column(*one) for one in texts.items()], name="META")
    primary, head = _primary()
    ours = text_table_bytes(texts, [("EXTNAME", "META", "extension name")])
    _assert_alike(head + ours, primary, table)
    with fits.open(io.BytesIO(head + ours)) as hdulist:
        assert {name: hdulist[1].data[name].tolist() for name in texts} == texts


@given(st.integers(0, 1 << 34))
def test_the_text_of_a_checksum_is_astropys(total):
    folded = (total - 1) % 0xFFFFFFFF + 1 if total else 0
    assert encoded_sum(total) == fits.PrimaryHDU()._char_encode(~folded & 0xFFFFFFFF)


@given(st.binary(max_size=300))
def test_the_sum_of_words_is_astropys(content):
    whole = content + bytes(-len(content) % 4)
    astropys = int(fits.PrimaryHDU()._compute_checksum(np.frombuffer(whole, np.uint8)))
    assert word_sum(content) == astropys
