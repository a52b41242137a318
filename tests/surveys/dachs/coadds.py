"""Invented coadds of a small field in g and r, as FITS files that a VO service can publish.

``python -m tests.surveys.dachs.coadds FOLDER``
"""

import sys
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

MIDDLE = SkyCoord(150.1, 60.2, unit="deg")  # far from the equator: 1 / cos(dec) is 2
ARCSEC, SIDE = 0.5, 600
#: Limits of each band, metre.
BANDS = {"g": (4.0e-7, 5.5e-7), "r": (5.5e-7, 7.0e-7)}
#: nJy in all, pixels of the width.
FLUX, WIDTH = {"g": 4.0e5, "r": 7.0e5}, 3.0
GALAXIES = [MIDDLE, MIDDLE.directional_offset_by(60 * u.deg, 60 * u.arcsec)]
#: Near the edge of the coadd: a cutout of 30 arcsec is clipped.
AT_THE_EDGE = MIDDLE.directional_offset_by(90 * u.deg, 145 * u.arcsec)


def wcs_of_coadd():
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval, wcs.wcs.crpix = [MIDDLE.ra.deg, MIDDLE.dec.deg], [(SIDE + 1) / 2] * 2
    wcs.wcs.cdelt = [-ARCSEC / 3600, ARCSEC / 3600]
    return wcs


def coadd(band):
    """Give the whole image as an HDU in nJy."""
    wcs = wcs_of_coadd()
    y, x = np.mgrid[:SIDE, :SIDE]
    image = np.full((SIDE, SIDE), 1.0)
    for galaxy in GALAXIES:
        x0, y0 = wcs.world_to_pixel(galaxy)
        profile = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * WIDTH**2))
        image += FLUX[band] * profile / (2 * np.pi * WIDTH**2)
    header = wcs.to_header()
    header["BUNIT"], header["FILTER"], header["OBJECT"] = "nJy", band, "field"
    header["WMIN"], header["WMAX"] = BANDS[band]
    header["DATE-OBS"] = "2020-01-01"
    return fits.PrimaryHDU(image.astype("f4"), header)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name in BANDS:
        coadd(name).writeto(folder / f"coadd_{name}.fits", overwrite=True)
