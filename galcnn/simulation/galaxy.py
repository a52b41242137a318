"""Galaxy: all parameters of a simulated galaxy, and catalogs of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import astropy.units as u
from astropy.table import QTable

from galcnn._runtime.representation import summary
from galcnn.catalog import Catalog
from galcnn.errors import message
from galcnn.photometry import ab_flux
from galcnn.simulation.spectra import SEDS, band_flux, distances

#: Classes of simulated galaxies, in the order of the logits.
CLASSES = ("elliptical", "spiral", "barred_spiral", "edge_on", "irregular", "merger")


#: Half-light radius of an exponential disc in scale lengths.
EXPONENTIAL = 1.6783469900166605

_DEG: Mapping[str, u.UnitBase] = {"unit": u.deg}
_ARCSEC: Mapping[str, u.UnitBase] = {"unit": u.arcsec}
#: Unit mag, since FITS tables have no unit mag(AB).
_MAG: Mapping[str, u.UnitBase] = {"unit": u.mag}


@dataclass(frozen=True)
class Galaxy:
    """A simulated galaxy, independent of noise, pixels and observation.

    Lengths inside the galaxy are in units of `half_light_radius`, so that another redshift changes only
    that angle. Fractions are of the flux in the rest-frame r band, so they hold at every redshift; the
    rest of the flux belongs to the main body.

    Attributes
    ----------
    id : str
        Unique id; random numbers of the drawing depend on it.
    ra, dec : float
        Position of the centre of the main body, ICRS, deg.
    redshift : float
        Redshift, above zero.
    morphology : str
        Class, one of `CLASSES`; its column is named ``class``.
    mag_r : float
        Total AB magnitude in the observed LSST r band.
    half_light_radius : float
        Half-light radius of the main body (the disc, if there is one) along its major axis, arcsec.
    axis_ratio : float
        Axis ratio of the main body on the sky, minor over major.
    position_angle : float
        Position angle of the major axis, deg east of north.
    sed, companion_sed, young_sed : str
        Spectra of the main body; of the companion; and of arms, knots and tails. See
        `galcnn.simulation.spectra.SEDS`.
    sersic_n, bulge_n, companion_n : float
        Sersic indices of the main body, the bulge and the companion.
    bulge_fraction, bulge_size : float
        Flux fraction and half-light radius of the bulge, whose spectrum is E.
    inclination, thickness : float
        Inclination (deg from face-on) and scale height over scale length of an edge-on disc.
    dust_depth : float
        Optical depth, at 550 nm in the rest frame, of the dust disc of an edge-on galaxy through its centre
        if it were seen face-on, see `galcnn.simulation.dust`. Fluxes and magnitudes are those without dust.
    arm_fraction, n_arms, pitch_angle, arm_phase : float
        Logarithmic spiral arms: flux fraction, number, pitch angle (deg; a negative one winds the other
        way) and azimuth of their start in the plane of the disc (deg from the major axis), which is also
        that of a bar.
    bar_fraction, bar_length : float
        Flux fraction and half-length of the bar, whose spectrum is that of the bulge.
    knot_fraction, n_knots, knot_offset : float
        Star-forming knots: flux fraction, number of large ones (with three small ones each), and distance
        of their centre from that of the body.
    companion_fraction, companion_distance, companion_angle, companion_axis_ratio : float
        Second body of a merger: flux fraction, distance and direction on the sky (deg from the major axis
        of the main body), axis ratio.
    tidal_fraction, tidal_length, tidal_swing : float
        Tails and bridge: flux fraction, length, and the angle (deg) by which the tail bends.
    structure_seed : int
        Seed of random structure inside the galaxy (positions of knots).

    Raises
    ------
    ValueError
        If a field is outside its range; the text says which.
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
    dust_depth: float = 0.0
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

    def __repr__(self) -> str:
        return summary(
            "Galaxy",
            f"{self.id!r}: {self.morphology} at redshift {self.redshift:.4g}, r = {self.mag_r:.2f} mag",
            f"half-light radius {self.half_light_radius:.3g} arcsec, axis ratio {self.axis_ratio:.2f}, "
            f"position angle {self.position_angle:.0f} deg, spectrum {self.sed}",
        )

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
        if not (self.dust_depth == 0 or (self.morphology == "edge_on" and 0 < self.dust_depth < math.inf)):
            raise ValueError(
                message(
                    "dust_depth of 0, or above 0 for an edge-on galaxy",
                    "",
                    id=self.id,
                    morphology=self.morphology,
                    dust_depth=self.dust_depth,
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

        Ordered main body, bulge, bar, arms, knots, companion, tidal feature; the sum is 1.
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
        """Return the total flux in a band.

        Parameters
        ----------
        band : str
            Band, one of `galcnn.simulation.spectra.BANDS`.

        Returns
        -------
        float
            Flux density, nJy.
        """
        return sum(self.sed_fluxes(band).values())

    def sed_fluxes(self, band: str) -> dict[str, float]:
        """Return the flux of each spectrum in a band.

        Parameters
        ----------
        band : str
            Band, one of `galcnn.simulation.spectra.BANDS`.

        Returns
        -------
        dict of str to float
            Flux density by spectrum, nJy; the sum is `flux`.
        """
        total = ab_flux(self.mag_r) / self._brightness("r")
        fluxes: dict[str, float] = {}
        for sed, share in self.shares:
            if share > 0:
                fluxes[sed] = fluxes.get(sed, 0.0) + total * share * band_flux(sed, band, self.redshift)
        return fluxes

    def at(self, redshift: float) -> Galaxy:
        """Return the same galaxy at another redshift.

        Physical size, luminosity and rest-frame spectra are unchanged; there is no evolution. Angles scale
        with 1 / D_A, fluxes with 1 / D_L^2 and the K correction of each component.

        Parameters
        ----------
        redshift : float
            New redshift, above zero.

        Returns
        -------
        Galaxy
            Galaxy with changed `redshift`, `mag_r` and `half_light_radius`.

        Raises
        ------
        ValueError
            If the redshift is not above zero.

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
    """Make a catalog of galaxies with one column per field.

    Parameters
    ----------
    galaxies : iterable of Galaxy
        Galaxies, at least one.
    meta : mapping, optional
        Metadata of the table.

    Returns
    -------
    Catalog
        Catalog; angles and magnitudes have units, `morphology` is the column ``class``. Without dusty
        galaxies there is no column ``dust_depth``.
    """
    rows = [asdict(galaxy) for galaxy in galaxies]
    if not rows:
        raise ValueError(message("at least one galaxy", "", n_galaxies=0))
    table = QTable(meta=dict(meta or {}))
    for item in fields(Galaxy):
        if item.name == _OPTIONAL and not any(row[_OPTIONAL] for row in rows):
            continue
        unit = item.metadata.get("unit")
        column = [row[item.name] for row in rows]
        table[_column(item.name)] = column if unit is None else column * unit
    return Catalog(table)


def from_catalog(catalog: Catalog) -> list[Galaxy]:
    """Make galaxies from a catalog that `simulate_catalog` or `to_catalog` made.

    Parameters
    ----------
    catalog : Catalog
        Catalog, also one read back from a file.

    Returns
    -------
    list of Galaxy
        Galaxies, in row order.

    Raises
    ------
    ValueError
        If a column is missing.
    """
    columns: dict[str, list[Any]] = {}
    for item in fields(Galaxy):
        name = _column(item.name)
        if name not in catalog.table.colnames and name == _OPTIONAL:
            columns[name] = [0.0] * len(catalog)
            continue
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


#: Field without a column in catalogs of earlier versions, and in those without dust.
_OPTIONAL = "dust_depth"
_KINDS: Mapping[str, type] = {"str": str, "float": float, "int": int}


def _column(name: str) -> str:
    return "class" if name == "morphology" else name
