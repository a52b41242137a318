"""JPEG and PNG -> planes: what eyes see, not flux."""

from __future__ import annotations

import numpy as np
from PIL import Image

from galcnn.errors import UnreadableImageError, message
from galcnn.files.planes import Planes
from galcnn.files.source import Source
from galcnn.photometry import DISPLAY, UNCALIBRATED

__all__ = ["read_picture"]

#: Bytes 24 and 25 of a PNG hold the bits of a sample and the colour type; 2 and 6 are RGB, RGBA.
_PNG_BITS, _PNG_COLOUR, _PNG_TRUECOLOUR = 24, 25, (2, 6)


def read_picture(source: Source) -> Planes:
    """Read a JPEG or PNG; rows are reversed, since FITS counts them from below.

    Parameters
    ----------
    source : galcnn.files.source.Source
        The file.

    Returns
    -------
    Planes
        8-bit pictures in `galcnn.photometry.DISPLAY`, bands R, G, B or L, 0 to 255; 16-bit grey
        in `UNCALIBRATED`. Pixels that are not opaque are masked.

    Raises
    ------
    galcnn.errors.UnreadableImageError
        It is damaged, or a kind whose values Pillow would change.
    """
    try:
        with source.open() as handle, Image.open(handle, formats=("JPEG", "PNG")) as picture:
            kind = str(picture.format)
            if kind == "PNG":
                _refuse_deep_colour(source)
            picture.load()
            deep = picture.mode.startswith("I")
            pixels = np.asarray(picture if deep else _plain_mode(picture))
    except (PermissionError, UnreadableImageError):
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UnreadableImageError(
            message("a whole JPEG or PNG", "Fetch the picture again.", path=source.name, error=str(error))
        ) from error
    pixels = pixels[::-1] if pixels.ndim == 3 else pixels[::-1, :, np.newaxis]
    transparent = np.zeros(pixels.shape[:2], dtype=np.bool_)
    if pixels.shape[2] in (2, 4):  # the last one is opacity
        transparent = pixels[:, :, -1] < 255
        pixels = pixels[:, :, :-1]
    values = np.ascontiguousarray(np.moveaxis(pixels, -1, 0), dtype=np.float32)
    grey = len(values) == 1
    return Planes(
        values,
        ("L",) if grey else ("R", "G", "B"),
        UNCALIBRATED if deep else DISPLAY,
        factors=(1.0,) * len(values),
        mask=np.broadcast_to(transparent, values.shape),
        facts={"format": kind},
    )


def _plain_mode(picture: Image.Image) -> Image.Image:
    if picture.mode in ("L", "RGB", "LA", "RGBA"):
        if "transparency" in picture.info:
            return picture.convert("RGBA" if picture.mode == "RGB" else "LA")
        return picture
    if picture.mode == "1":
        return picture.convert("L")
    transparent = picture.mode == "PA" or "transparency" in picture.info
    return picture.convert("RGBA" if transparent else "RGB")


def _refuse_deep_colour(source: Source) -> None:
    """Pillow drops the low byte of 16-bit colour without a word."""
    with source.open() as handle:
        start = handle.read(_PNG_COLOUR + 1)
    if len(start) > _PNG_COLOUR and start[_PNG_BITS] == 16 and start[_PNG_COLOUR] in _PNG_TRUECOLOUR:
        raise UnreadableImageError(
            message(
                "8-bit colour or 16-bit grey", "Save one file a band, or FITS.", path=source.name, bits=16
            )
        )
