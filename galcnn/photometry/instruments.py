"""Observation: pixel scale, bands, PSF and depth of a survey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import astropy.units as u
import numpy as np

from galcnn.errors import did_you_mean, message

#: Effective wavelengths, nm. ugrizy are those of LSST (SDSS, DECam and HSC differ by at most 3.7 %);
#: HST: pivot wavelengths of its handbooks; Euclid and LSST: as in speclite.
_WAVELENGTHS: Mapping[str, float] = {
    **{"u": 368.1, "g": 486.4, "r": 625.0, "i": 756.5, "z": 870.2, "y": 972.2},
    **{"F435W": 432.9, "F475W": 474.7, "F606W": 592.1, "F625W": 631.1, "F775W": 769.2, "F814W": 804.5},
    **{"F850LP": 903.1, "F105W": 1055.2, "F125W": 1248.6, "F140W": 1392.3, "F160W": 1536.9},
    **{"IE": 750.6, "YE": 1089.0, "JE": 1379.1, "HE": 1786.0},
}


@dataclass(frozen=True)
class Observation:
    """Pixel scale of a survey, and the PSF, depth and sensitivity of each of its bands.

    Attributes
    ----------
    name : str
        Name of the survey and its release.
    bands : tuple of str
        Names of the bands.
    pixel_scale : astropy.units.Quantity
        Angular size of a pixel.
    psf_fwhm : tuple of float
        Full width at half maximum of the PSF in each band, arcsec, convolution with the pixel included.
    depth : tuple of float
        AB magnitude of a point source detected at 5 sigma in each band, limited by the background and
        measured with the PSF as weights.
    electrons_per_njy : tuple of float
        Electrons detected per nJy over the whole exposure in each band, for source noise.
    psf_beta : float
        Moffat beta of the PSF.
    source : str
        Where the values come from.

    Examples
    --------
    >>> import astropy.units as u
    >>> obs = Observation("toy", ("r",), 0.2 * u.arcsec, (0.8,), (25.0,), (10.0,))
    >>> round(obs.sky_sigma[0], 2)
    9.78
    """

    name: str
    bands: tuple[str, ...]
    pixel_scale: u.Quantity
    psf_fwhm: tuple[float, ...]
    depth: tuple[float, ...]
    electrons_per_njy: tuple[float, ...]
    psf_beta: float = 3.5
    source: str = "stated by the user"

    def __post_init__(self) -> None:
        scale = u.Quantity(self.pixel_scale)
        if not scale.unit.is_equivalent(u.arcsec) or not scale.isscalar or not scale > 0 * u.arcsec:
            raise ValueError(message("a positive angle per pixel", "", pixel_scale=self.pixel_scale))
        if not self.bands or len(set(self.bands)) != len(self.bands):
            raise ValueError(message("unique names of bands, at least one", "", bands=self.bands))
        for name in ("psf_fwhm", "depth", "electrons_per_njy"):
            values = getattr(self, name)
            if len(values) != len(self.bands) or not all(np.isfinite(values)):
                raise ValueError(message(f"{len(self.bands)} finite values of {name}", "", **{name: values}))
        if not self.psf_beta > 1 or min(self.psf_fwhm) <= 0 or min(self.electrons_per_njy) <= 0:
            raise ValueError(
                message(
                    "psf_beta > 1, psf_fwhm > 0 and electrons_per_njy > 0",
                    "",
                    psf_beta=self.psf_beta,
                    psf_fwhm=self.psf_fwhm,
                    electrons_per_njy=self.electrons_per_njy,
                )
            )

    @property
    def sky_sigma(self) -> tuple[float, ...]:
        """Standard deviation of the sky noise in each band, nJy per pixel.

        The noise-equivalent area of a PSF is 1 / integral of psf^2. For a Moffat profile of core radius
        alpha the integral is (beta - 1)^2 / (pi alpha^2 (2 beta - 1)) (King 1983, PASP 95, 163). A source
        at the depth has 5 times the noise within that area.
        """
        scale = float(self.pixel_scale.to_value(u.arcsec))
        return tuple(
            3631e9 * 10 ** (-0.4 * depth) * scale / (5 * _noise_radius(fwhm, self.psf_beta))
            for fwhm, depth in zip(self.psf_fwhm, self.depth, strict=True)
        )

    def only(self, bands: tuple[str, ...]) -> Observation:
        """Return the same observation with selected bands.

        Parameters
        ----------
        bands : tuple of str
            Names of the bands, in the wanted order.

        Returns
        -------
        Observation
            Observation with these bands only.

        Raises
        ------
        ValueError
            If a band is not part of the observation.
        """
        missing = [band for band in bands if band not in self.bands]
        if missing or not bands:
            hint = did_you_mean(missing[0], self.bands) if missing else ""
            raise ValueError(
                message(f"bands among {', '.join(self.bands)} of {self.name}", hint, bands=bands)
            )
        order = [self.bands.index(band) for band in bands]
        return replace(
            self,
            bands=tuple(bands),
            psf_fwhm=tuple(self.psf_fwhm[i] for i in order),
            depth=tuple(self.depth[i] for i in order),
            electrons_per_njy=tuple(self.electrons_per_njy[i] for i in order),
        )


def _noise_radius(fwhm: float, beta: float) -> float:
    """Square root of the noise-equivalent area of a Moffat PSF, arcsec."""
    alpha = fwhm / (2 * np.sqrt(2 ** (1 / beta) - 1))
    return float(np.sqrt(np.pi * alpha**2 * (2 * beta - 1)) / (beta - 1))


def under_sky(
    name: str,
    bands: Mapping[str, Sequence[float]],
    *,
    pixel_scale: u.Quantity,
    psf_beta: float = 3.5,
    source: str = "stated by the user",
) -> Observation:
    """Make an observation limited by the photon noise of sky and source.

    Parameters
    ----------
    name : str
        Name of the survey and its release.
    bands : mapping of str to sequence of float
        For each band: FWHM of the PSF (arcsec), sky brightness (AB mag per square arcsec), zero
        point (AB mag of one electron per second), exposure time (s).
    pixel_scale : astropy.units.Quantity
        Angular size of a pixel.
    psf_beta : float
        Moffat beta of the PSF.
    source : str
        Where the values come from.

    Returns
    -------
    Observation
        Observation whose depth and electrons per nJy follow from sky, zero point and exposure time.

    Examples
    --------
    >>> import astropy.units as u
    >>> toy = under_sky("toy", {"r": (0.8, 21.2, 28.13, 5520)}, pixel_scale=0.2 * u.arcsec)
    >>> round(toy.depth[0], 1)
    27.2
    """
    side = float(pixel_scale.to_value(u.arcsec))
    depths, electrons = [], []
    for fwhm, sky, zero_point, exposure in bands.values():
        # 1 nJy is AB magnitude 31.4.
        per_njy = float(10 ** (0.4 * (zero_point - 2.5 * np.log10(3631e9))) * exposure)
        sky_electrons = 10 ** (0.4 * (zero_point - sky)) * exposure * side**2
        limit = 5 * np.sqrt(sky_electrons) / per_njy * _noise_radius(fwhm, psf_beta) / side
        depths.append(float(-2.5 * np.log10(limit / 3631e9)))
        electrons.append(per_njy)
    return Observation(
        name,
        tuple(bands),
        pixel_scale,
        tuple(float(figures[0]) for figures in bands.values()),
        tuple(depths),
        tuple(electrons),
        psf_beta,
        source,
    )


def wavelength_of(band: str) -> float:
    """Return the effective wavelength of a band, nm."""
    if band not in _WAVELENGTHS:
        raise ValueError(
            message(f"bands among {', '.join(_WAVELENGTHS)}", "Rename the bands of the cutout.", band=band)
        )
    return _WAVELENGTHS[band]


def observation_of(name: str) -> Observation:
    """Return a preset observation by name.

    Parameters
    ----------
    name : str
        One of sdss, decals, hsc, lsst, hst-acs, hst-wfc3, euclid, euclid-nisp; case is ignored.

    Returns
    -------
    Observation
        The preset.

    Raises
    ------
    ValueError
        If there is no preset of this name.
    """
    found = OBSERVATIONS.get(name.lower())
    if found is None:
        hint = did_you_mean(name, OBSERVATIONS)
        raise ValueError(message(f"an instrument among {', '.join(OBSERVATIONS)}", hint, instrument=name))
    return found


#: One exposure like those of the Sloan Digital Sky Survey. The values are rounded typical ones,
#: chosen to be consistent: in r the noise agrees with SDSS's median sky within 10 %.
SDSS = Observation(
    name="SDSS",
    bands=("g", "r", "i"),
    pixel_scale=0.396 * u.arcsec,
    psf_fwhm=(1.44, 1.32, 1.26),
    depth=(23.13, 22.70, 22.20),
    electrons_per_njy=(0.27, 0.26, 0.20),
    source="rounded; SDSS DR17: seeing and dark sky; 54.1 s (Xin et al. 2018, 1805.02845)",
)

# Values of HSC, LSST, Euclid and ACS are those collected, with references, in the package
# surveycodex 1.3; zero points are from speclite's passbands.
_PRESETS = (
    under_sky(
        "DECaLS",
        # Seeing: Dey et al. 2019 (1804.08657). Sky and zero points of DECam: DES DR1 (1801.03181).
        # Exposures are chosen so that depths are DR9's 24.7, 23.9 and 23.0.
        {"g": (1.29, 22.01, 26.72, 262), "r": (1.18, 21.15, 26.99, 83), "z": (1.11, 18.72, 26.58, 196)},
        pixel_scale=0.262 * u.arcsec,
        source="Dey et al. 2019 (1804.08657), DES DR1 (1801.03181); exposures that give DR9's depths",
    ),
    under_sky(
        "HSC",
        {
            "g": (0.79, 21.4, 28.90, 600),
            "r": (0.75, 20.6, 28.86, 600),
            "i": (0.61, 19.7, 28.61, 1200),
            "z": (0.68, 18.3, 27.68, 1200),
            "y": (0.68, 17.9, 27.34, 1200),
        },
        pixel_scale=0.168 * u.arcsec,
        source="HSC-SSP PDR3 Wide (2108.13045); sky of Suprime-Cam's exposure calculator",
    ),
    under_sky(
        "LSST",
        {
            "u": (0.90, 22.99, 26.44, 1680),
            "g": (0.86, 22.26, 28.29, 2400),
            "r": (0.81, 21.20, 28.13, 5520),
            "i": (0.79, 20.48, 27.81, 5520),
            "z": (0.77, 19.60, 27.42, 4800),
            "y": (0.76, 18.61, 26.59, 4800),
        },
        pixel_scale=0.2 * u.arcsec,
        source="ten years of LSST, Ivezic et al. 2019 (0805.2366v5)",
    ),
    under_sky(
        "HST-ACS",
        {"F814W": (0.095, 22.0, 25.94, 2028)},
        pixel_scale=0.03 * u.arcsec,
        source="COSMOS, Koekemoer et al. 2007 (10.1086/520086); GalSim's sky and zero point",
    ),
    under_sky(
        "HST-WFC3",
        # Zero points: STScI. Sky: 0.7 electrons per second in a native pixel of 0.128 arcsec.
        # FWHM and exposures: CANDELS Wide, rounded.
        {"F125W": (0.17, 22.17, 26.25, 1500), "F160W": (0.18, 21.88, 25.96, 1500)},
        pixel_scale=0.06 * u.arcsec,
        source="CANDELS Wide, rounded; its sky noise agrees with mosaics of GOODS-S",
    ),
    under_sky(
        "Euclid",
        {"IE": (0.17, 22.32, 25.92, 4 * 565)},
        pixel_scale=0.1 * u.arcsec,
        source="VIS: Cropper et al. 2016 (1608.08603), four exposures of the Euclid Wide Survey",
    ),
    under_sky(
        "Euclid-NISP",
        {
            "YE": (0.477, 22.1, 24.99, 4 * 112),
            "JE": (0.486, 22.2, 25.17, 4 * 112),
            "HE": (0.492, 22.3, 25.11, 4 * 112),
        },
        pixel_scale=0.3 * u.arcsec,
        source="Euclid ERO (2405.13496); four exposures (Scaramella et al. 2022, 2108.01201)",
    ),
)

#: Presets by name, in lower case. Each has typical values, not those of a particular field.
OBSERVATIONS: Mapping[str, Observation] = {one.name.lower(): one for one in (SDSS, *_PRESETS)}
