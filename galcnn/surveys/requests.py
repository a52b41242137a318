"""Requests to a survey, one per galaxy of a catalog."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import astropy.units as u
import numpy as np
import numpy.typing as npt

from galcnn.catalog import Catalog
from galcnn.errors import did_you_mean, message
from galcnn.surveys.http import without_credentials

if TYPE_CHECKING:
    from astropy.coordinates import SkyCoord

    from galcnn.surveys.survey import Survey


@dataclass(frozen=True)
class Request:
    """Request for one object.

    Attributes
    ----------
    id : str
        Id of the object.
    ra, dec : float
        Position of the centre in degrees, ICRS.
    width : astropy.units.Quantity
        Side of the cutout; NaN if unknown.
    redshift : float or None
        Redshift that is stored in the cutout.
    ebv : float or None
        E(B-V) for the extinction correction; NaN if unknown.
    key : str
        Text with everything that determines the cutout, for cache and manifest.
    """

    id: str
    ra: float
    dec: float
    width: u.Quantity
    redshift: float | None
    ebv: float | None
    key: str

    @property
    def position(self) -> SkyCoord:
        """Position of the centre."""
        from astropy.coordinates import SkyCoord

        return SkyCoord(self.ra, self.dec, unit="deg", frame="icrs")

    @property
    def hash(self) -> str:
        """SHA-256 of the key."""
        return hashlib.sha256(self.key.encode()).hexdigest()


def requests_of(
    catalog: Catalog,
    survey: Survey,
    bands: tuple[str, ...],
    *,
    width: u.Quantity,
    ebv: npt.ArrayLike | None = None,
    system: str | None = None,
) -> list[Request]:
    """Return the request of each galaxy, in the catalog's order."""
    positions = catalog.positions
    if positions is None:
        raise ValueError(
            message(
                "columns ra and dec", "Use ra=... and dec=... to name them.", columns=catalog.table.colnames
            )
        )
    sides = u.Quantity(width).to_value(u.arcsec)
    if np.ndim(sides) and np.shape(sides) != (len(catalog),):
        raise ValueError(message(f"one width, or {len(catalog)}", "", n_widths=np.shape(sides)))
    sides = np.broadcast_to(sides, len(catalog)).tolist()
    reddening = [None] * len(catalog) if ebv is None else np.asarray(ebv, dtype=float).tolist()
    if len(reddening) != len(catalog):
        raise ValueError(message(f"{len(catalog)} values of E(B-V)", "", n_values=len(reddening)))
    common = [identity(survey), list(bands), system if ebv is not None else None]
    requests = []
    for name, ra, dec, side, redshift, dust in zip(
        catalog.ids,
        positions.ra.deg.tolist(),
        positions.dec.deg.tolist(),
        sides,
        _redshifts(catalog),
        reddening,
        strict=True,
    ):
        # Rounded to a microarcsecond, so that unit conversions do not change the key.
        key = json.dumps([*common, f"{ra:.10f} {dec:.10f}", f"{side:.6f}", redshift, dust])
        requests.append(Request(name, ra, dec, side * u.arcsec, redshift, dust, key))
    return requests


def identity(survey: Survey) -> str:
    """Return a text that identifies a survey and its options across runs."""
    # Made of class, name and, for a dataclass, the fields in its repr. Declare fields that do not
    # affect images, such as time limits, with repr=False.
    kind = type(survey)
    options = re.sub(r" at 0x[0-9a-f]+", "", repr(survey)) if dataclasses.is_dataclass(survey) else ""
    return without_credentials(f"{kind.__module__}.{kind.__qualname__} {survey.name} {options}".strip())


def checked_bands(bands: tuple[str, ...] | None, survey: Survey) -> tuple[str, ...]:
    """Return the requested bands, or all bands of the survey for None; refuse unknown ones.

    A single string of one-letter band names is split into them. If a survey lists no bands, any
    are accepted.

    >>> from galcnn.surveys.simulated import SimulatedSurvey
    >>> checked_bands(("gi",), SimulatedSurvey())
    ('g', 'i')
    """
    own = tuple(survey.bands)
    wanted = own if bands is None else tuple(bands)
    if len(wanted) == 1 and wanted[0] not in own and set(wanted[0]) <= set(own):
        wanted = tuple(wanted[0])
    unknown = [band for band in wanted if own and band not in own]
    if unknown or not wanted or len(set(wanted)) != len(wanted):
        known = f"bands among {', '.join(own)}, each once" if own else "names of bands, each once"
        hint = did_you_mean(unknown[0], own) if unknown else ""
        raise ValueError(message(known, hint, bands=wanted))
    return wanted


def widths_of(
    catalog: Catalog,
    column: str,
    *,
    factor: float = 1.0,
    unit: u.UnitBase | None = None,
    default: u.Quantity | None = None,
) -> u.Quantity:
    """Return a width of each galaxy in arcsec, proportional to a column of angles.

    `unit` applies if the column has no unit. `default` is used where the column has no positive
    value; without it the width is NaN.

    >>> from astropy.table import QTable
    >>> catalog = Catalog(QTable({"id": ["a", "b"], "majax": [1.0, 2.0] * u.arcmin}))
    >>> widths_of(catalog, "majax", factor=1.5)
    <Quantity [ 90., 180.] arcsec>
    """
    _check_column(catalog, column)
    if not 0 < factor < np.inf:
        raise ValueError(message("a positive factor", "", factor=factor))
    values = catalog.table[column]
    own = getattr(values, "unit", None)
    if own is None and unit is None:
        raise ValueError(
            message(
                f"a unit of the column {column!r}",
                "Give it: --width-unit arcsec (unit=...).",
                unit=None,
            )
        )
    if own is not None and unit is not None and u.Unit(own) != u.Unit(unit):
        raise ValueError(
            message(f"the unit of the column {column!r}: {own}", "Leave it out.", unit=str(unit))
        )
    found = u.Unit(own or unit)
    if not found.is_equivalent(u.arcsec):
        raise ValueError(message(f"an angle in the column {column!r}", "", unit=str(found)))
    numbers = numbers_of(catalog, column)
    arcsec = np.where(np.isfinite(numbers) & (numbers > 0), numbers, np.nan) * found.to(u.arcsec) * factor
    if default is not None:
        arcsec = np.where(np.isnan(arcsec), default.to_value(u.arcsec), arcsec)
    return arcsec * u.arcsec


def numbers_of(catalog: Catalog, column: str) -> npt.NDArray[np.float64]:
    """Return a column as floats, NaN where masked."""
    _check_column(catalog, column)
    values = catalog.table[column]
    try:
        bare = np.ma.asarray(getattr(values, "value", values)).astype(float)
    except ValueError as error:
        raise ValueError(message(f"numbers in the column {column!r}", "", error=str(error))) from error
    numbers: npt.NDArray[np.float64] = np.ma.filled(bare, np.nan)
    return numbers


def _check_column(catalog: Catalog, column: str) -> None:
    if column not in catalog.table.colnames:
        raise ValueError(
            message(
                f"a column {column!r}",
                did_you_mean(column, catalog.table.colnames, "Name another column."),
                columns=catalog.table.colnames,
            )
        )


def _redshifts(catalog: Catalog) -> list[float | None]:
    if "redshift" not in catalog.table.colnames:
        return [None] * len(catalog)
    numbers = numbers_of(catalog, "redshift")
    return [float(z) if np.isfinite(z) else None for z in numbers]
