"""Extinction by dust of our Galaxy: E(B-V) from a map, and coefficients of survey bands."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from galcnn.cutout import Cutout
from galcnn.errors import message
from galcnn.transforms.grid import recorded, refuse_pictures

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord


#: HEALPix files use a lower value for pixels without data.
_UNSEEN = -1e30  # -1.6375e30, in single or double precision

#: A_b / E(B-V) by photometric system, for E(B-V) of the map of Schlegel, Finkbeiner & Davis 1998
#: (ApJ 500, 525). Schlafly & Finkbeiner 2011 (ApJ 737, 103), Table 6, R_V = 3.1, which includes
#: their recalibration by 0.86; HSC: the HSC pipeline (obs_subaru, extinctionCoeffs, M. Tanaka);
#: WISE: the Legacy Surveys' own, from Fitzpatrick 1999 (PASP 111, 63).
COEFFICIENTS: dict[str, dict[str, float]] = {
    "SDSS": {"u": 4.239, "g": 3.303, "r": 2.285, "i": 1.698, "z": 1.263},
    "PS1": {"g": 3.172, "r": 2.271, "i": 1.682, "z": 1.322, "y": 1.087, "w": 2.341},
    "DES": {"g": 3.237, "r": 2.176, "i": 1.595, "z": 1.217, "Y": 1.058},
    "LSST": {"u": 4.145, "g": 3.237, "r": 2.273, "i": 1.684, "z": 1.323, "y": 1.088},
    "HSC": {"g": 3.240, "r": 2.276, "i": 1.633, "z": 1.263, "y": 1.075},
    "UKIRT": {"J": 0.709, "H": 0.449, "K": 0.302},
    "WISE": {"W1": 0.184, "W2": 0.113, "W3": 0.0241, "W4": 0.00910},
    "WFPC2": {
        "F300W": 4.902, "F450W": 3.410, "F555W": 2.755, "F606W": 2.415, "F702W": 1.948, "F814W": 1.549,
    },
    "ACS": {
        "F435W": 3.610, "F475W": 3.268, "F550M": 2.620, "F555W": 2.792, "F606W": 2.471, "F625W": 2.219,
        "F775W": 1.629, "F814W": 1.526, "F850LP": 1.243,
    },
    "WFC3": {
        "F105W": 0.969, "F110W": 0.881, "F125W": 0.726, "F140W": 0.613, "F160W": 0.512, "F200LP": 2.958,
        "F218W": 7.760, "F225W": 6.989, "F275W": 5.487, "F300X": 5.228, "F336W": 4.453, "F350LP": 2.624,
        "F390W": 3.896, "F438W": 3.623, "F475W": 3.248, "F475X": 3.116, "F555W": 2.855, "F600LP": 1.781,
        "F606W": 2.488, "F625W": 2.259, "F775W": 1.643, "F814W": 1.536, "F850LP": 1.208,
    },
}  # fmt: skip

#: Photometric system by a pattern in the name of the survey; the first match is used. The northern
#: Legacy Surveys (BASS, MzLS) have filters that the table lacks; 2MASS uses UKIRT's.
_SYSTEMS = (
    (r"WFPC2", "WFPC2"),
    (r"\bACS\b", "ACS"),
    (r"WFC3", "WFC3"),
    (r"north|BASS|MzLS", ""),
    (r"SDSS", "SDSS"),
    (r"Pan-?STARRS|\bPS1\b", "PS1"),
    (r"\bDES\b|DECaLS|DECam|DELVE|Legacy", "DES"),
    (r"\bHSC\b", "HSC"),
    (r"LSST|Rubin", "LSST"),
    (r"2MASS|UKIDSS|UKIRT", "UKIRT"),
    (r"WISE", "WISE"),
)


def extinction_coefficients(cutout: Cutout, system: str | None = None) -> dict[str, float]:
    """Return the extinction of each band of a cutout for E(B-V) = 1.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with survey and bands.
    system : str, optional
        Photometric system, a key of `COEFFICIENTS`; by default found from the name of the survey.

    Returns
    -------
    dict of str to float
        A_b / E(B-V) by band, in the order of the cutout.

    Raises
    ------
    ValueError
        If the system is unknown or lacks a band.
    """
    name = _system_of(cutout.survey) if system is None else system
    if name not in COEFFICIENTS:
        raise ValueError(
            message(
                f"a photometric system among {tuple(COEFFICIENTS)}",
                "Name the one of these bands with system=..., or give the coefficients.",
                survey=cutout.survey,
                system=name or None,
            )
        )
    table = COEFFICIENTS[name]
    # Case is ignored: 2MASS writes j, h, k. Y of DES and y of PS1 are in different systems.
    folded = {band.lower(): value for band, value in table.items()}
    missing = [band for band in cutout.bands if band.lower() not in folded]
    if missing:
        raise ValueError(
            message(f"bands of {name} among {tuple(table)}", "Give the coefficients.", bands=missing)
        )
    return {band: folded[band.lower()] for band in cutout.bands}


def correct_extinction(
    cutout: Cutout,
    ebv: float,
    *,
    system: str | None = None,
    coefficients: Mapping[str, float] | None = None,
) -> Cutout:
    """Correct a cutout for extinction by dust of our Galaxy.

    Parameters
    ----------
    cutout : galcnn.cutout.Cutout
        Cutout with a linear unit.
    ebv : float
        E(B-V) of Schlegel, Finkbeiner & Davis (1998) at the position of the galaxy, magnitudes.
    system : str, optional
        Photometric system, see `extinction_coefficients`.
    coefficients : mapping of str to float, optional
        A_b / E(B-V) by band, instead of the table.

    Returns
    -------
    galcnn.cutout.Cutout
        Cutout with flux and sigma times ``10**(0.4 A_b E(B-V))``; ``meta["extinction"]`` lists the step.

    Raises
    ------
    ValueError
        If the cutout is a picture or was corrected before, `ebv` is not in [0, 100), or a coefficient is
        missing.

    Examples
    --------
    >>> import numpy as np
    >>> seen = Cutout(np.ones((1, 2, 2)), ("r",), survey="SDSS DR17")
    >>> round(float(correct_extinction(seen, 0.1).flux[0, 0, 0]), 5)  # 2.285 magnitudes for E(B-V) = 1
    1.23424
    """
    refuse_pictures(cutout, "extinction")
    if not np.isfinite(ebv) or not 0 <= ebv < 100:
        raise ValueError(message("E(B-V) >= 0 in magnitudes", "", ebv=ebv))
    if _corrected(cutout.meta):
        raise ValueError(
            message(
                "an image not yet corrected for extinction", "Leave the correction out.", survey=cutout.survey
            )
        )
    table = dict(coefficients) if coefficients is not None else extinction_coefficients(cutout, system)
    missing = [band for band in cutout.bands if not np.isfinite(table.get(band, np.nan))]
    if missing:
        raise ValueError(
            message("a coefficient A_b / E(B-V) for each band", "", missing=missing, given=list(table))
        )
    magnitudes = {band: table[band] * float(ebv) for band in cutout.bands}
    factors = np.array([10 ** (0.4 * magnitudes[band]) for band in cutout.bands])[:, np.newaxis, np.newaxis]
    step = {"step": "correct_extinction", "ebv": float(ebv), "magnitudes": magnitudes}
    return replace(
        cutout,
        flux=(cutout.flux * factors).astype(np.float32),
        sigma=None if cutout.sigma is None else (cutout.sigma * factors).astype(np.float32),
        meta=recorded(cutout.meta, "extinction", step),
    )


def ebv_of_map(
    path: str | os.PathLike[str], positions: SkyCoord, *, column: str | None = None
) -> npt.NDArray[np.float64]:
    """Read E(B-V) at sky positions from a whole-sky map.

    Parameters
    ----------
    path : path-like
        FITS table with one HEALPix map, such as that of Schlegel, Finkbeiner & Davis (1998). Its header
        has NSIDE, ORDERING (RING or NESTED) and COORDSYS (galactic or celestial).
    positions : astropy.coordinates.SkyCoord
        One or many positions.
    column : str, optional
        Column of E(B-V) in magnitudes; by default the only column, or the one named EBV.

    Returns
    -------
    numpy.ndarray
        E(B-V) interpolated between the four nearest pixels, shape of `positions`; NaN where the map has no
        value.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not such a map.
    """
    from astropy_healpix import HEALPix

    values, order, frame = _read_map(Path(path), column)
    pixels = HEALPix(nside=int(np.sqrt(values.size // 12)), order=order, frame=frame)
    found: npt.NDArray[np.float64] = np.asarray(
        pixels.interpolate_bilinear_skycoord(positions.icrs, values), dtype=np.float64
    )
    return found


def _corrected(meta: Mapping[str, Any]) -> bool:
    """Return True if the cutout, or a part that was combined into it, was corrected."""
    # Steps in older files are in meta["foreground"].
    steps = [*meta.get("extinction", []), *meta.get("foreground", [])]
    done = any(step.get("step") == "correct_extinction" for step in steps)
    return done or any(_corrected(part) for part in meta.get("parts", []))


def _system_of(survey: str) -> str:
    for pattern, system in _SYSTEMS:
        if re.search(pattern, survey, re.IGNORECASE):
            return system
    return ""


def _read_map(path: Path, column: str | None) -> tuple[npt.NDArray[np.float64], str, Any]:
    from astropy.coordinates import ICRS, Galactic
    from astropy.io import fits

    with fits.open(path) as hdulist:
        tables = [hdu for hdu in hdulist if "NSIDE" in hdu.header and hasattr(hdu, "columns")]
        if not tables:
            raise ValueError(
                message(
                    "a FITS table with a HEALPix map", "Use a map of E(B-V), such as SFD.", path=str(path)
                )
            )
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
