"""What the steps of this room share: their record, and what they refuse."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.photometry import DISPLAY

__all__ = ["recorded", "refuse_pictures"]


def recorded(meta: Mapping[str, Any], step: Mapping[str, Any]) -> dict[str, Any]:
    """Add a step to the list ``meta["foreground"]``.

    Parameters
    ----------
    meta : mapping
        Of a cutout.
    step : mapping
        What was done; plain values.

    Returns
    -------
    dict
        A new meta.
    """
    return {**meta, "foreground": [*meta.get("foreground", []), dict(step)]}


def refuse_pictures(cutout: Cutout, what: str) -> None:
    """Refuse stretched values, in which neither sums nor factors mean anything.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Any.
    what : str
        To be corrected.

    Raises
    ------
    ValueError
        Its unit is `galcnn.photometry.DISPLAY`.
    """
    if cutout.unit == DISPLAY:
        raise ValueError(
            message(
                f"an image linear in flux, to correct {what}", "Load the FITS file.", unit=str(cutout.unit)
            )
        )
