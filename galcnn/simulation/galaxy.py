"""Galaxy: everything that determines a simulated galaxy; a noun with its rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import astropy.units as u
from astropy.table import QTable

from galcnn.catalog import Catalog
from galcnn.errors import message
from galcnn.photometry import ab_flux
from galcnn.simulation.spectra import SEDS, band_flux, distances

#: The six kinds of galaxy, in the order of the logits.
CLASSES = ("elliptical", "spiral", "barred_spiral", "edge_on", "irregular", "merger")


_DEG: Mapping[str, u.UnitBase] = {"unit": u.deg}
_ARCSEC: Mapping[str, u.UnitBase] = {"unit": u.arcsec}
#: Plain magnitudes, because FITS tables have no unit mag(AB).
_MAG: Mapping[str, u.UnitBase] = {"unit": u.mag}


@dataclass(frozen=True)
class Galaxy:
    """One simulated galaxy, without noise, pixels or telescope.

    Lengths inside the galaxy are in units of `half_light_radius`, so that another redshift
    changes that angle alone. Fractions are of the flux in the rest-frame r band, so they too
    hold at every redshift; what is left over belongs to the main body.

    Attributes
    ----------
    id : str
        Keys the random streams of the drawing.
    ra, dec : float
        ICRS, deg, of the centre of the main body.
    redshift : float
        Above zero.
    morphology : str
        One of `CLASSES`; the column is named ``class``.
    mag_r : float
        Total AB magnitude in the observed LSST r band.
    half_light_radius : float
        Of the main body (of the disc, where there is one), along its major axis, arcsec.
    axis_ratio : float
        Of the main body on the sky, minor over major.
    position_angle : float
        Of the major axis, deg east of north.
    sed, companion_sed, young_sed : str
        Spectra of the main body, of the companion, and of arms, knots and tails.
    sersic_n, bulge_n, companion_n : float
        Sersic indices of the main body, the bulge and the companion.
    bulge_fraction, bulge_size : float
        Flux and half-light radius of the bulge, whose spectrum is E.
    inclination, thickness : float
        Of an edge-on disc: deg from face-on, and scale height over scale length.
    arm_fraction, n_arms, pitch_angle, arm_phase : float
        Logarithmic arms: flux, number, pitch (deg, negative winds the other way), and azimuth in
        the disc's plane (deg from the major axis) where they begin, the bar's own if there is one.
    bar_fraction, bar_length : float
        Flux and half-length of the bar, whose spectrum is that of the bulge.
    knot_fraction, n_knots, knot_offset : float
        Star-forming knots: flux, number of large ones (there are three small ones for each), and
        distance of their centre from the body's.
    companion_fraction, companion_distance, companion_angle, companion_axis_ratio : float
        The second body of a merger: flux, distance and direction on the sky (deg from the main
        body's major axis), axis ratio.
    tidal_fraction, tidal_length, tidal_swing : float
        Tails and bridge: flux, reach, and the angle (deg) through which the tail bends.
    structure_seed : int
        Of what is random inside the galaxy (places of knots).

    Raises
    ------
    ValueError
        A field is outside its range; the text says which.
    """

    id: str
    ra: float = field(metadata=_DEG)
    dec: float = field(metadata=_DEG)
    redshift: float
    morphology: str
    mag_r: float = field(metadata=_MAG)
    half_light_radius: float = field(metadata=_ARCSEC)
    axis_ratio: float
    position_angle: float = field(metadata=_DEG)
    sed: str
    sersic_n: float = 1.0
    bulge_fraction: float = 0.0
    bulge_size: float = 0.0
    bulge_n: float = 1.0
    inclination: float = field(default=0.0, metadata=_DEG)
    thickness: float = 0.0
    young_sed: str = "Im"
    arm_fraction: float = 0.0
    n_arms: int = 0
    pitch_angle: float = field(default=0.0, metadata=_DEG)
    arm_phase: float = field(default=0.0, metadata=_DEG)
    bar_fraction: float = 0.0
    bar_length: float = 0.0
    knot_fraction: float = 0.0
    n_knots: int = 0
    knot_offset: float = 0.0
    companion_fraction: float = 0.0
    companion_distance: float = 0.0
    companion_angle: float = field(default=0.0, metadata=_DEG)
    companion_axis_ratio: float = 1.0
    companion_n: float = 1.0
    companion_sed: str = "Sbc"
    tidal_fraction: float = 0.0
    tidal_length: float = 0.0
    tidal_swing: float = field(default=0.0, metadata=_DEG)
    structure_seed: int = 1

    def __post_init__(self) -> None:
        if self.morphology not in CLASSES:
            raise ValueError(message(f"a class among {CLASSES}", "", morphology=self.morphology))
        for name in ("sed", "young_sed", "companion_sed"):
            if getattr(self, name) not in SEDS:
                raise ValueError(message(f"a spectrum among {SEDS}", "", **{name: getattr(self, name)}))
        if not (self.redshift > 0 and self.half_light_radius > 0 and 0 < self.axis_ratio <= 1):
            raise ValueError(
                message(
                    "redshift > 0, half_light_radius > 0 and 0 < axis_ratio <= 1",
                    "",
                    id=self.id,
                    redshift=self.redshift,
                    half_light_radius=self.half_light_radius,
                    axis_ratio=self.axis_ratio,
                )
            )
        shares = [share for _, share in self.shares]
        if min(shares) < 0 or not math.isfinite(self.mag_r):
            raise ValueError(
                message("a finite mag_r and fractions that sum to at most 1", "", id=self.id, shares=shares)
            )

    @property
    def shares(self) -> tuple[tuple[str, float], ...]:
        """Spectrum and share of the rest-frame r-band flux of each component.

        In the order main body, bulge, bar, arms, knots, companion, tidal feature; the sum is 1.
        """
        parts = (
            ("E", self.bulge_fraction),
            ("E", self.bar_fraction),
            (self.young_sed, self.arm_fraction),
            (self.young_sed, self.knot_fraction),
            (self.companion_sed, self.companion_fraction),
            (self.young_sed, self.tidal_fraction),
        )
        return ((self.sed, 1 - sum(share for _, share in parts)), *parts)

    def flux(self, band: str) -> float:
        """Give the total flux in a band.

        Parameters
        ----------
        band : str
            One of `galcnn.simulation.spectra.BANDS`.

        Returns
        -------
        float
            nJy.
        """
        return sum(self.sed_fluxes(band).values())

    def sed_fluxes(self, band: str) -> dict[str, float]:
        """Give the flux of each spectrum in a band.

        Parameters
        ----------
        band : str
            One of `galcnn.simulation.spectra.BANDS`.

        Returns
        -------
        dict of str to float
            nJy by spectrum; the sum is `flux`.
        """
        total = ab_flux(self.mag_r) / self._brightness("r")
        fluxes: dict[str, float] = {}
        for sed, share in self.shares:
            if share > 0:
                fluxes[sed] = fluxes.get(sed, 0.0) + total * share * band_flux(sed, band, self.redshift)
        return fluxes

    def at(self, redshift: float) -> Galaxy:
        """Give the same galaxy further away or nearer.

        Physical size, luminosity and rest-frame spectra stay; there is no evolution. Angles go
        with 1 / D_A and fluxes with 1 / D_L^2 and the K correction of each component.

        Parameters
        ----------
        redshift : float
            Above zero.

        Returns
        -------
        Galaxy
            Another `redshift`, `mag_r` and `half_light_radius`.

        Raises
        ------
        ValueError
            The redshift is not above zero.

        Examples
        --------
        >>> near = Galaxy("a", 150, 2, 0.05, "elliptical", 16.0, 3.0, 0.8, 30, "E", sersic_n=4)
        >>> far = near.at(0.1)
        >>> round(far.half_light_radius, 3), round(far.mag_r, 2)
        (1.591, 17.65)
        """
        here_angular, here_luminosity = distances(self.redshift)
        there_angular, there_luminosity = distances(redshift)
        moved = replace(self, redshift=redshift)
        dimming = (here_luminosity / there_luminosity) ** 2
        ratio = dimming * moved._brightness("r") / self._brightness("r")
        return replace(
            moved,
            mag_r=self.mag_r - 2.5 * math.log10(ratio),
            half_light_radius=self.half_light_radius * here_angular / there_angular,
        )

    def _brightness(self, band: str) -> float:
        return sum(share * band_flux(sed, band, self.redshift) for sed, share in self.shares if share > 0)


def to_catalog(galaxies: Iterable[Galaxy], *, meta: Mapping[str, Any] | None = None) -> Catalog:
    """Make a catalog of galaxies, one column a field.

    Parameters
    ----------
    galaxies : iterable of Galaxy
        At least one.
    meta : mapping, optional
        Kept as the table's `meta`.

    Returns
    -------
    Catalog
        Angles and magnitudes have units; `morphology` is the column ``class``.
    """
    rows = [asdict(galaxy) for galaxy in galaxies]
    if not rows:
        raise ValueError(message("at least one galaxy", "", n_galaxies=0))
    table = QTable(meta=dict(meta or {}))
    for item in fields(Galaxy):
        unit = item.metadata.get("unit")
        column = [row[item.name] for row in rows]
        table[_column(item.name)] = column if unit is None else column * unit
    return Catalog(table)


def from_catalog(catalog: Catalog) -> list[Galaxy]:
    """Read the galaxies of a catalog that `simulate_catalog` or `to_catalog` made.

    Parameters
    ----------
    catalog : Catalog
        Also one that was written to a file and read again.

    Returns
    -------
    list of Galaxy
        In row order.

    Raises
    ------
    ValueError
        A column is missing.
    """
    columns: dict[str, list[Any]] = {}
    for item in fields(Galaxy):
        name = _column(item.name)
        if name not in catalog.table.colnames:
            raise ValueError(
                message(f"a column {name!r}", "Use a catalog made by simulate_catalog.", id=catalog.ids[:1])
            )
        values = catalog.table[name]
        unit = item.metadata.get("unit")
        if unit is not None and getattr(values, "unit", None) is not None:
            values = values.to_value(unit)
        columns[item.name] = [_KINDS[str(item.type)](value) for value in values]
    return [Galaxy(**dict(zip(columns, row, strict=True))) for row in zip(*columns.values(), strict=True)]


_KINDS: Mapping[str, type] = {"str": str, "float": float, "int": int}


def _column(name: str) -> str:
    return "class" if name == "morphology" else name
