"""HTML representations for notebooks: tables of facts and small pictures.

All text is escaped, and pictures are embedded as PNG; nothing is fetched or executed.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import numpy.typing as npt

#: Maximum number of pictures per object.
MOST_PICTURES = 8

#: Maximum size in pixels of the longer side of a picture, as stored and as displayed.
_STORED, _SHOWN = 128, 128
#: Maximum number of characters of a fact.
_LONGEST = 200
_PERCENTILES = (1.0, 99.5)


def overview(title: str, facts: Mapping[str, object], pictures: Sequence[tuple[str, str]] = ()) -> str:
    """Return a table of facts with pictures below.

    Parameters
    ----------
    title : str
        Heading.
    facts : mapping of str to object
        Displayed as text, shortened to 200 characters.
    pictures : sequence of tuple of str
        Caption and HTML element, as returned by `picture` and similar functions.

    Returns
    -------
    str
        One HTML element.

    Examples
    --------
    >>> "<script>" in overview("Cutout", {"id": "<script>alert(1)</script>"})
    False
    """
    left = 'style="text-align:left"'
    rows = "".join(
        f"<tr><th {left}>{_text(key)}</th><td {left}>{_text(value)}</td></tr>" for key, value in facts.items()
    )
    shown = "".join(
        '<figure style="display:inline-block;margin:4px;vertical-align:top">'
        f'{element}<figcaption style="max-width:{_SHOWN}px;overflow-wrap:anywhere">{_text(caption)}'
        "</figcaption></figure>"
        for caption, element in pictures
    )
    return f"<div><strong>{_text(title)}</strong><table>{rows}</table>{shown}</div>"


def picture(rgb: npt.NDArray[np.uint8], alt: str) -> str:
    """Return an RGB picture (ny, nx, 3), row 0 at the bottom, as an HTML element; subsampled if large."""
    from PIL import Image

    step = max(1, -(-max(rgb.shape[:2]) // _STORED))
    small = np.ascontiguousarray(rgb[::-step, ::step] if step > 1 else rgb[::-1])
    file = io.BytesIO()
    Image.fromarray(small).save(file, format="PNG", optimize=True)
    ny, nx = small.shape[:2]
    width, height = (max(1, round(_SHOWN * n / max(ny, nx))) for n in (nx, ny))
    data = base64.b64encode(file.getvalue()).decode("ascii")
    return (
        f'<img src="data:image/png;base64,{data}" width="{width}" height="{height}" alt="{_text(alt)}" '
        'style="image-rendering:pixelated">'
    )


def grey_picture(plane: npt.NDArray[np.floating], alt: str) -> str:
    """Draw one band in grey, asinh-scaled between its 1st and 99.5th percentile."""
    values = np.asarray(plane, dtype=np.float64)
    known = np.isfinite(values)
    grey = np.zeros(values.shape)
    if known.any():
        low, high = np.percentile(values[known], _PERCENTILES)
        if high > low:
            scaled = np.clip((np.where(known, values, low) - low) / (high - low), 0, 1)
            grey = np.arcsinh(10 * scaled) / np.arcsinh(10)
    return picture(np.repeat(np.rint(255 * grey).astype(np.uint8)[..., np.newaxis], 3, axis=2), alt)


def signed_picture(plane: npt.NDArray[np.floating], alt: str) -> str:
    """Draw a signed map: red positive, blue negative, white zero, grey NaN."""
    values = np.asarray(plane, dtype=np.float64)
    known = np.isfinite(values)
    sizes = np.abs(values[known])
    limit = (float(np.percentile(sizes, _PERCENTILES[1])) or float(sizes.max())) if sizes.size else 0.0
    share = np.clip(np.where(known, values, 0) / limit, -1, 1) if limit > 0 else np.zeros(values.shape)
    ends = np.where(share[..., np.newaxis] > 0, _RED, _BLUE)
    colours = 255 + np.abs(share)[..., np.newaxis] * (ends - 255)
    colours[~known] = _NO_VALUE
    return picture(np.rint(colours).astype(np.uint8), alt)


#: Ends of matplotlib's RdBu, which is safe for colour-blind readers; and grey.
_RED, _BLUE, _NO_VALUE = np.array([178.0, 24.0, 43.0]), np.array([33.0, 102.0, 172.0]), 191.0


def _text(value: object) -> str:
    text = str(value)
    return escape(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
