"""Decoding of foreign files into plain FITS or pixels, in a process that may die of it.

The result has one meaning everywhere, that of plain FITS: header cards are handed on as they are, tiles as
the numbers of the file, before BSCALE and BZERO.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import re
import warnings
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, TypeAlias

import numpy as np
import numpy.typing as npt
from astropy.io import fits
from astropy.io.fits.hdu.compressed import _tiled_compression as tiles  # it has no public name
from astropy.wcs import Wcsprm
from PIL import Image

from galcnn._runtime.compressed import COMPRESSED, unpacked
from galcnn._runtime.fits_blocks import BLOCK, Unit, changed, too_large, units_of
from galcnn.errors import UnreadableImageError, message

#: Facts about the result, and its bytes in parts; no parts if the content is plain FITS already.
Decoded: TypeAlias = tuple[dict[str, Any], list[Any]]

PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
#: Bytes 24 and 25 of a PNG hold bits per sample and colour type; 2 and 6 are RGB and RGBA.
_PNG_BITS, _PNG_COLOUR, _PNG_TRUECOLOUR = 24, 25, (2, 6)
#: Decoders in C that read on behind the end of a damaged tile; that of Rice refuses other lengths.
_UNBOUNDED = ("PLIO_1", "HCOMPRESS_1")
#: More bytes than one wrong length in a tile leads to, as a rule.
_BEHIND = 1 << 12
#: Cards that `files.astrometry` gives to wcslib.
_SKY = re.compile(
    rb"(CTYPE|CRPIX|CRVAL|CDELT|CUNIT|CROTA)[12] |(CD|PC)[12]_[12] |PV[12]_\d{1,2} "
    rb"|LONPOLE |LATPOLE |RADESYS |EQUINOX "
)
_M_PERTURB = -6  # of mallopt in glibc
_STRUCTURE = ("SIMPLE", "XTENSION", "BITPIX", "PCOUNT", "GCOUNT", "EXTEND", "BLOCKED", "CHECKSUM", "DATASUM")


def decoded(content: bytes, limit: int) -> Decoded:
    """Decode a FITS file, JPEG or PNG into at most `limit` bytes."""
    if content.startswith(PICTURES):
        return _picture(content, limit)
    packed = content.startswith(COMPRESSED)
    plain = _decompressed(content, limit) if packed else content
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        parts = _without_tiles(plain, limit)
    notes = [" ".join(str(one.message).split()) for one in caught]
    return {"notes": notes}, parts or ([plain] if packed else [])


def _decompressed(content: bytes, limit: int) -> bytes:
    with unpacked(io.BytesIO(content)) as handle:
        plain = handle.read(limit + 1)
        # One more read verifies the sum at the end of the stream.
        if len(plain) > limit or handle.read(1):
            raise UnreadableImageError(too_large(f"more than {limit}", limit))
    if not plain.startswith(b"SIMPLE  ="):
        raise UnreadableImageError(message("a compressed FITS file", "", found="no SIMPLE card"))
    return plain


def _without_tiles(plain: bytes, limit: int) -> list[Any]:
    """Return the file with its tile-compressed images as plain ones; empty if it has none."""
    handle = io.BytesIO(plain)
    units = units_of(handle, len(plain), limit)
    tiled = [unit for unit in units if unit.tiled]
    refuse_changed_tiles(handle, units)
    for cards in {_sky_cards(plain[unit.start : unit.data]) for unit in units}:
        _try_wcs(cards)
    if not tiled:
        return []
    options = {"memmap": False, "lazy_load_hdus": False, "do_not_scale_image_data": True}
    passes = []
    for fill in (0x55, 0xAA):
        _fill_fresh_memory(fill)
        with _bounded_tiles(fill), fits.open(io.BytesIO(plain), **options) as hdus:
            if len(hdus) != len(units):
                raise UnreadableImageError(
                    message(f"{len(units)} HDUs", "Fetch the file again.", found=len(hdus))
                )
            passes.append({unit.number: _plain_hdu(hdus[unit.number]) for unit in tiled})
    if any(a.tobytes() != b.tobytes() for a, b in _pixels_of(passes)):
        raise UnreadableImageError(
            message("tiles that hold all pixels", "Fetch the file again.", found="parts without a value")
        )
    parts: list[Any] = []
    for unit in units:
        if unit.tiled:
            header, pixels = passes[0][unit.number]
            parts += [header, pixels, b"\0" * (-pixels.nbytes % BLOCK)]
        else:
            parts.append(plain[unit.start : unit.end])
    return parts


def refuse_changed_tiles(handle: BinaryIO, units: list[Unit]) -> None:
    """Raise an error for tile-compressed images that do not match their sums, since they are not decoded."""
    for unit, keyword in changed(handle, units):
        if unit.tiled:
            raise UnreadableImageError(
                message("an image that matches its checksum", "Fetch it again.", hdu=unit.name, card=keyword)
            )


def _pixels_of(passes: list[dict[int, Any]]) -> Iterator[tuple[Any, Any]]:
    return ((passes[0][number][1], passes[1][number][1]) for number in passes[0])


def _plain_hdu(hdu: Any) -> tuple[bytes, npt.NDArray[Any]]:
    """Return header and big-endian pixels of a tile-compressed image, as of a plain one."""
    header, data = hdu.header.copy(), hdu.data
    if data is None:
        raise UnreadableImageError(message("an image with pixels", "", hdu=hdu.name))
    axes = [f"NAXIS{i + 1}" for i in range(data.ndim)]
    values = (
        data.dtype.itemsize * (8 if data.dtype.kind in "iu" else -8),
        data.ndim,
        *data.shape[::-1],
        0,
        1,
    )
    keys = ("BITPIX", "NAXIS", *axes, "PCOUNT", "GCOUNT")
    cards = ["XTENSION= 'IMAGE   '"]
    cards += [f"{key:<8}= {value:>20}" for key, value in zip(keys, values, strict=True)]
    own = [
        # The text of the file, which astropy would mend.
        card._image if card._image and not card._modified else str(card)
        for card in header.cards
        if card.keyword not in _STRUCTURE and not card.keyword.startswith("NAXIS")
    ]
    if "EXTNAME" not in header and hdu.name:
        own.append(f"EXTNAME = {hdu.name!r}")
    text = "".join(f"{card:<80}" for card in (*cards, *own, "END"))
    pixels = np.ascontiguousarray(data, data.dtype.newbyteorder(">"))
    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("latin1"), pixels


@contextlib.contextmanager
def _bounded_tiles(fill: int) -> Iterator[None]:
    """Compare each tile with itself before other bytes: it must not depend on what follows it."""
    decode: Callable[..., Any] = tiles._decompress_tile

    def compared(buffer: Any, *, algorithm: str, **settings: Any) -> Any:
        found = decode(buffer, algorithm=algorithm, **settings)
        if algorithm in _UNBOUNDED:
            stored = np.asarray(buffer)
            if algorithm == "HCOMPRESS_1":
                _check_hcompress(stored.tobytes(), settings["nx"], settings["ny"])
            behind = np.full(_BEHIND // stored.itemsize, fill * 0x0101 if stored.itemsize == 2 else fill)
            longer = np.concatenate([stored, behind.astype(stored.dtype)])
            again = decode(longer, algorithm=algorithm, **settings)
            if not np.array_equal(np.asarray(found), np.asarray(again)):
                raise ValueError("a tile ends before its pixels do")
        return found

    tiles._decompress_tile = compared
    try:
        yield
    finally:
        tiles._decompress_tile = decode


def _check_hcompress(stored: bytes, nx: int, ny: int) -> None:
    """Check the shape in an HCOMPRESS stream, into whose own size the decoder writes."""
    shape = tuple(int.from_bytes(stored[at : at + 4], "big", signed=True) for at in (2, 6))
    if stored[:2] != b"\xdd\x99" or shape != (nx, ny):
        raise ValueError(f"an HCOMPRESS tile of {shape} pixels, not {(nx, ny)}")


def _fill_fresh_memory(value: int) -> None:
    """Let glibc fill new memory with a value, so that pixels without a value show; elsewhere do nothing."""
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_PERTURB, value)


def _sky_cards(header: bytes) -> bytes:
    cards = (header[at : at + 80] for at in range(0, len(header), 80))
    return b"".join(card for card in cards if _SKY.match(card))


def _try_wcs(cards: bytes) -> None:
    """Give cards to wcslib, which may die of them; what it says is asked again later."""
    if cards:
        with contextlib.suppress(Exception), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Wcsprm(cards, relax=True).set()


def _picture(content: bytes, limit: int) -> Decoded:
    """Read a JPEG or PNG; the first row is the upper one."""
    with Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as picture:
        kind = str(picture.format)
        if kind == "PNG":
            _refuse_deep_colour(content)
        size = 4 * picture.width * picture.height
        if size > limit:
            raise UnreadableImageError(too_large(size, limit))
        picture.load()
        deep = picture.mode.startswith("I")
        pixels = np.ascontiguousarray(picture if deep else _plain_mode(picture))
    # Native order: the processes are of one machine.
    return {"format": kind, "deep": deep, "shape": pixels.shape, "dtype": pixels.dtype.str}, [pixels]


def _plain_mode(picture: Image.Image) -> Image.Image:
    if picture.mode in ("L", "RGB", "LA", "RGBA"):
        if "transparency" in picture.info:
            return picture.convert("RGBA" if picture.mode == "RGB" else "LA")
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    transparent = picture.mode == "PA" or "transparency" in picture.info
    return picture.convert("RGBA" if transparent else "RGB")


def _refuse_deep_colour(content: bytes) -> None:
    """Raise an error for 16-bit colour, of which Pillow silently drops the low byte."""
    if len(content) > _PNG_COLOUR and content[_PNG_BITS] == 16 and content[_PNG_COLOUR] in _PNG_TRUECOLOUR:
        raise UnreadableImageError(
            message("8-bit colour or 16-bit grey", "Save one file per band, or FITS.", bits=16)
        )
