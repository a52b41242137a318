"""Numbers that stand for missing data are found where a header or a pile-up says so, and nowhere else."""

import io

import numpy as np
import pytest
from astropy.io import fits

from galcnn.errors import UnreadableImageError
from galcnn.files import load_cutout
from galcnn.transforms import remove_sky

SHAPE = (60, 64)
GAP = np.zeros(SHAPE, bool)
GAP[:5] = True
RNG = np.random.default_rng(7)
Y, X = np.indices(SHAPE)
GALAXY = 200 * np.exp(-np.hypot(X - 32, Y - 30) / 5)
SKY = (GALAXY + RNG.normal(0, 1, SHAPE)).astype(np.float32)


def content(data, compressed=False, **cards):
    buffer = io.BytesIO()
    header = fits.Header({"BUNIT": "nJy", "FILTER": "r"} | cards)
    if "BLANK" in cards and data.dtype.kind == "f":  # astropy warns that it ignores such a card
        header.remove("BLANK")
        header["BLINK"] = cards["BLANK"]
    if compressed:
        fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header)]).writeto(buffer)
    else:
        fits.PrimaryHDU(data, header).writeto(buffer)
    return buffer.getvalue().replace(b"BLINK   =", b"BLANK   =")


def filled(value, sky=SKY, gap=GAP):
    return np.where(gap, sky.dtype.type(value), sky)


def check(cutout, gap=GAP):
    """Check that the gap is NaN and masked, and does not shift the sky."""
    np.testing.assert_array_equal(cutout.mask[0], gap)
    np.testing.assert_array_equal(np.isnan(cutout.flux[0]), gap)
    assert f"({gap.sum()} pixels)" in " ".join(cutout.meta["notes"])


@pytest.mark.parametrize(
    "value", [-32768, -999, -9999, -99, -1e30, 1e30, 1e20, 3.4028235e38, -3.4028235e38, -5432.1]
)
@pytest.mark.parametrize("offset", [0, 3000])
def test_a_pile_up_far_from_the_rest(value, offset):
    cutout = load_cutout(content(filled(value, SKY + np.float32(offset))))
    check(cutout)
    same = load_cutout(content(filled(np.nan, SKY + np.float32(offset))))
    np.testing.assert_array_equal(remove_sky(cutout).flux, remove_sky(same).flux)


@pytest.mark.parametrize("value", [-32768.0, -999.0, -99.0, 1e30])
def test_double_precision_and_compressed(value):
    check(load_cutout(content(filled(value).astype(np.float64))))
    check(
        load_cutout(content(filled(value), compressed=True))
        if value < 1e30
        else load_cutout(content(filled(value)))
    )


@pytest.mark.parametrize("dither", [-1, 1, 2])
@pytest.mark.parametrize("value", [-999, -32768])
def test_values_that_lossy_compression_has_changed(dither, value):
    gap = np.random.default_rng(2).random(SHAPE) < 0.1
    header = fits.Header({"BUNIT": "nJy", "FILTER": "r"})
    packed = fits.CompImageHDU(filled(value, gap=gap), header, quantize_method=dither)
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(buffer)
    check(load_cutout(buffer.getvalue()), gap)


def test_two_values_at_once():
    data = filled(-9999)
    data[-3:] = -32768
    cutout = load_cutout(content(data))
    assert cutout.mask.sum() == 8 * SHAPE[1]
    assert cutout.meta["notes"] == [
        "values that stand for missing data are masked: -32768 (192 pixels), -9999 (320 pixels)"
    ]


@pytest.mark.parametrize("noise", [1, 5, 10, 20, 25, 30, 60, 300])
@pytest.mark.parametrize(("value", "unit"), [(-99, 1), (-999, 10), (-9999, 100), (-32768, 300)])
def test_a_usual_value_at_or_within_the_noise(noise, value, unit):
    noisy = np.random.default_rng(noise).normal(0, noise * unit, SHAPE).astype(np.float32)
    check(load_cutout(content(filled(value, noisy))))


@pytest.mark.parametrize("key", ["BLANK", "NODATA", "MISSVAL", "FILLVAL", "BADVAL"])
@pytest.mark.parametrize("value", [-7.5, 0, -32768, 42])
def test_what_the_header_states(key, value):
    if key == "BLANK" and value == -7.5:
        pytest.skip("BLANK is an integer")
    gap = np.zeros(SHAPE, bool)
    gap[4, 7:9] = True  # too few for a pile-up
    check(load_cutout(content(filled(value, gap=gap), **{key: value})), gap)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.uint16])
def test_blank_of_integers(dtype, compressed):
    numbers = np.round(SKY + 50).astype(dtype)
    blank = -32768 if dtype is np.uint16 else -99
    data = np.where(GAP, dtype(0) if dtype is np.uint16 else dtype(-99), numbers)
    cutout = load_cutout(content(data, compressed, BLANK=blank))
    np.testing.assert_array_equal(cutout.mask[0], GAP)
    np.testing.assert_array_equal(cutout.flux[0][~GAP], numbers[~GAP])


def test_scaled_integers_keep_their_blank():
    hdu = fits.PrimaryHDU(np.where(GAP, -32768, np.round(SKY)).astype(np.int16))
    hdu.header.update({"BUNIT": "nJy", "FILTER": "r", "BLANK": -32768})
    hdu.header["BSCALE"], hdu.header["BZERO"] = 0.5, 10.0
    buffer = io.BytesIO()
    hdu.writeto(buffer, output_verify="ignore")
    cutout = load_cutout(buffer.getvalue())
    np.testing.assert_array_equal(cutout.mask[0], GAP)


NULLS = {
    "zeros": np.where(GAP, 0, SKY),
    "zeros below a high sky": np.where(GAP, 0, SKY + 3000),
    "saturated": np.minimum(SKY, 60),
    "saturated without wings": np.where(GAP, 65535, SKY),
    "clipped below": np.maximum(SKY, -1),
    "clipped at a usual value": np.maximum(100 * SKY, -99),
    "clipped in the tail": np.maximum(RNG.normal(0, 48, SHAPE), -99),
    "clipped in the wings": np.maximum(RNG.normal(0, 999, SHAPE), -999),
    "mostly zeros": np.where(Y < 50, 0, SKY),
    "no noise": GALAXY,
    "no noise, sky subtracted": np.maximum(GALAXY, 5) - 5.5,
    "one low pixel": np.where((Y == 3) & (X == 3), -999, SKY),
    "few low pixels": np.where((Y == 3) & (X < 12), -50.5, SKY),
    "integers": np.round(SKY),
    "integers of wide noise": np.round(100 * RNG.normal(0, 1, SHAPE)),
    "two values": np.where(GAP, -1, 1),
    "luminosities": 1e35 * (1 + GALAXY),
    "constant": np.full(SHAPE, -3.0),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
@pytest.mark.parametrize("kind", NULLS)
def test_images_that_lose_no_pixel(kind, dtype):
    if dtype is np.int32 and kind == "luminosities":
        pytest.skip("too large for integers")
    data = NULLS[kind].astype(np.float64 if kind == "luminosities" and dtype is np.float64 else dtype)
    cutout = load_cutout(content(data))
    assert not cutout.mask.any()
    assert "notes" not in cutout.meta


@pytest.mark.parametrize("value", [-999, -32768, 1e30])
def test_an_image_of_nothing_else_is_refused(value):
    with pytest.raises(UnreadableImageError, match="at least one number"):
        load_cutout(content(np.full(SHAPE, value, np.float32)))
