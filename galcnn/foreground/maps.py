"""E(B-V) of any place, from a HEALPix map of the dust that the user has."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from galcnn.errors import message

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

__all__ = ["ebv_of_map"]

#: HEALPix files hold less where nothing was measured.
_UNSEEN = -1e30  # -1.6375e30, in single or double precision


def ebv_of_map(
    path: str | os.PathLike[str], positions: SkyCoord, *, column: str | None = None
) -> npt.NDArray[np.float64]:
    """Look places up in a whole-sky map.

    Parameters
    ----------
    path : path-like
        FITS table with one HEALPix map: NSIDE, ORDERING (RING or NESTED) and COORDSYS (galactic or
        celestial) in its header, such as that of Schlegel, Finkbeiner & Davis (1998).
    positions : astropy.coordinates.SkyCoord
        One or many.
    column : str, optional
        Of E(B-V), magnitudes; the only one, or the only one named EBV, by default.

    Returns
    -------
    numpy.ndarray
        Interpolated between the four nearest pixels, in the shape of `positions`; NaN where the
        map has no value.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    ValueError
        It is no such map.
    """
    from astropy_healpix import HEALPix

    values, order, frame = _read(Path(path), column)
    pixels = HEALPix(nside=int(np.sqrt(values.size // 12)), order=order, frame=frame)
    found: npt.NDArray[np.float64] = np.asarray(
        pixels.interpolate_bilinear_skycoord(positions.icrs, values), dtype=np.float64
    )
    return found


def _read(path: Path, column: str | None) -> tuple[npt.NDArray[np.float64], str, Any]:
    from astropy.coordinates import ICRS, Galactic
    from astropy.io import fits

    with fits.open(path) as hdulist:
        tables = [hdu for hdu in hdulist if "NSIDE" in hdu.header and hasattr(hdu, "columns")]
        if not tables:
            raise ValueError(message("a FITS table with a HEALPix map", "", path=str(path)))
        header, names = tables[0].header, tables[0].columns.names
        named = [name for name in names if name == column or (column is None and name.upper() == "EBV")]
        if column is None and not named:
            named = names
        if len(named) != 1:
            raise ValueError(message("the column of E(B-V)", "Name it.", column=column, columns=names))
        values = np.array(tables[0].data[named[0]], dtype=np.float64).ravel()
    order, system = (str(header.get(key, "")).strip().upper() for key in ("ORDERING", "COORDSYS"))
    frames = {"G": Galactic(), "C": ICRS()}
    nside = int(header["NSIDE"])
    if order not in ("RING", "NESTED") or system[:1] not in frames or values.size != 12 * nside**2:
        raise ValueError(
            message(
                "a whole-sky map, RING or NESTED, in galactic or celestial coordinates",
                "",
                path=str(path),
                ordering=order,
                coordsys=system,
                n_pixels=values.size,
                nside=nside,
            )
        )
    values[~np.isfinite(values) | (values < _UNSEEN)] = np.nan
    return values, order.lower(), frames[system[:1]]
