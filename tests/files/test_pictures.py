"""JPEG and PNG: rows from below, display values, opacity as mask; nothing is decoded half."""

import struct
import zlib

import astropy.units as u
import numpy as np
import pytest
from PIL import Image

from galcnn.errors import UnreadableImageError
from galcnn.files import Companions, load_cutout
from galcnn.photometry import DISPLAY
from galcnn.photometry.units import UNCALIBRATED

# Rows as in a picture, from the top: red over green, blue over white.
COLOURS = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]], dtype=np.uint8)


def saved(path, array, **options):
    Image.fromarray(array).save(path, **options)
    return path


def test_png_colour_rows_are_reversed(tmp_path):
    cutout = load_cutout(saved(tmp_path / "a.png", COLOURS))
    assert cutout.bands == ("R", "G", "B")
    assert cutout.unit == DISPLAY
    assert not cutout.calibrated
    assert cutout.wcs is None
    assert cutout.position is None
    # The bottom row of the picture is row 0: blue, then white.
    np.testing.assert_array_equal(cutout.flux[:, 0], [[0, 255], [0, 255], [255, 255]])
    np.testing.assert_array_equal(cutout.flux[:, 1], [[255, 0], [0, 255], [0, 0]])
    assert not cutout.mask.any()


def test_jpeg_is_what_pillow_decodes(tmp_path):
    y, x = np.mgrid[:32, :48]
    smooth = np.stack([3 * x, 5 * y, 2 * (x + y)], axis=-1).astype(np.uint8)
    path = saved(tmp_path / "a.jpg", smooth, quality=95)
    decoded = np.asarray(Image.open(path), dtype=np.float32)
    cutout = load_cutout(path)
    np.testing.assert_array_equal(cutout.flux, np.moveaxis(decoded[::-1], -1, 0))
    assert np.abs(cutout.flux[0, 31, 10] - 30) < 8  # and close to what was painted


def test_the_name_does_not_matter(tmp_path):
    path = saved(tmp_path / "a.png", COLOURS).rename(tmp_path / "galaxy.fits")
    assert load_cutout(path).meta["format"] == "PNG"


def test_grey(tmp_path):
    cutout = load_cutout(saved(tmp_path / "a.png", np.array([[1, 2], [3, 4]], dtype=np.uint8)))
    assert cutout.bands == ("L",)
    assert cutout.flux.tolist() == [[[3, 4], [1, 2]]]
    assert cutout.unit == DISPLAY


def test_16_bit_grey_is_linear_but_uncalibrated(tmp_path):
    cutout = load_cutout(saved(tmp_path / "a.png", np.array([[1, 40000], [3, 65535]], dtype=np.uint16)))
    assert cutout.flux.tolist() == [[[3, 65535], [1, 40000]]]
    assert cutout.unit == UNCALIBRATED


def test_opacity_becomes_mask(tmp_path):
    opacity = np.array([[255, 0], [128, 255]], dtype=np.uint8)
    cutout = load_cutout(saved(tmp_path / "a.png", np.dstack([COLOURS, opacity])))
    assert cutout.bands == ("R", "G", "B")
    np.testing.assert_array_equal(cutout.mask, [[[True, False], [False, True]]] * 3)
    opaque = load_cutout(saved(tmp_path / "b.png", np.dstack([COLOURS, np.full((2, 2), 255, np.uint8)])))
    assert not opaque.mask.any()
    np.testing.assert_array_equal(opaque.flux, cutout.flux)


def test_palettes_and_cmyk_become_colours(tmp_path):
    picture = Image.fromarray(COLOURS)
    picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=4).save(tmp_path / "p.png")
    plain = load_cutout(saved(tmp_path / "a.png", COLOURS)).flux
    np.testing.assert_array_equal(load_cutout(tmp_path / "p.png").flux, plain)
    Image.fromarray(np.full((8, 8, 4), [0, 255, 255, 0], np.uint8), "CMYK").save(
        tmp_path / "c.jpg", quality=95
    )
    red = load_cutout(tmp_path / "c.jpg").flux.mean(axis=(1, 2))
    assert red[0] > 240
    assert red[1:].max() < 15


def test_a_band_can_be_asked_for_and_grey_ones_named(tmp_path):
    path = saved(tmp_path / "a.png", COLOURS)
    assert load_cutout(path, bands=("B", "R")).flux[:, 1].tolist() == [[0, 0], [255, 0]]
    with pytest.raises(UnreadableImageError, match=r"bands among \('R', 'G', 'B'\)"):
        load_cutout(path, bands=("g", "r", "i"))
    greys = [saved(tmp_path / f"{i}.png", np.full((2, 2), i, np.uint8)) for i in (1, 2)]
    named = load_cutout(greys, bands=("g", "r"))
    assert (named.bands, named.flux[:, 0, 0].tolist()) == (("g", "r"), [1, 2])
    with pytest.raises(UnreadableImageError, match="one plane for each band"):
        load_cutout(greys)


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_cut_off_pictures_are_unreadable(tmp_path, suffix, kept):
    noise = np.random.default_rng(1).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    whole = saved(tmp_path / f"a.{suffix}", noise).read_bytes()
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(UnreadableImageError, match="a whole JPEG or PNG"):
        load_cutout(cut)


def test_damaged_png_is_unreadable(tmp_path):
    content = bytearray(saved(tmp_path / "a.png", COLOURS).read_bytes())
    content[45] ^= 0xFF
    (tmp_path / "b.png").write_bytes(content)
    with pytest.raises(UnreadableImageError):
        load_cutout(tmp_path / "b.png")


def test_16_bit_colour_is_refused_since_pillow_drops_half(tmp_path):
    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    size = struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0)  # width, height, bits, RGB
    row = zlib.compress(b"\0" + struct.pack(">6H", 1, 2, 3, 65535, 256, 257))
    path = tmp_path / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size) + chunk(b"IDAT", row) + chunk(b"IEND", b""))
    with pytest.raises(UnreadableImageError, match="16-bit grey"):
        load_cutout(path)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"hdu": 0}, "hdu=0"),
        ({"companions": Companions(mask="MASK")}, "hdu='MASK'"),
        ({"companions": Companions(sigma="ERR")}, "hdu='ERR'"),
    ],
)
def test_pictures_have_no_hdu(tmp_path, asked, said):
    with pytest.raises(UnreadableImageError, match=f"no HDU.*{said}"):
        load_cutout(saved(tmp_path / "a.png", COLOURS), **asked)


def test_a_picture_may_be_a_mask(tmp_path):
    path = saved(tmp_path / "a.png", COLOURS)
    flags = saved(tmp_path / "m.png", np.array([[0, 255], [0, 0]], dtype=np.uint8))
    cutout = load_cutout(path, companions=Companions(mask=flags))
    np.testing.assert_array_equal(cutout.mask[0], [[False, False], [False, True]])


def test_unit_is_not_flux():
    with pytest.raises(u.UnitConversionError):
        DISPLAY.to(u.nJy)
