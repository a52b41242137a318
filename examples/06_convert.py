"""Combine two files of one galaxy from different cameras into one calibrated cutout."""

import tempfile
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.files import Treatment, load_bands, to_ccddata

GALAXY = SkyCoord(150.1, 2.2, unit="deg")


def frame(path, arcsec, parity, counts, header):
    """Write the image of an exponential disc on a sky of 100 counts, with a given pixel scale."""
    size = round(80 / arcsec)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [GALAXY.ra.deg, GALAXY.dec.deg]
    wcs.wcs.crpix, wcs.wcs.cdelt = [(size + 1) / 2] * 2, [parity * arcsec / 3600, arcsec / 3600]
    y, x = (np.indices((size, size)) - (size - 1) / 2) * arcsec
    disc = np.exp(-np.hypot(x * parity, y / 0.6) / 4)
    noise = np.random.default_rng(1).normal(0, 1, disc.shape)
    image = 100 + counts * arcsec**2 * disc / (2 * np.pi * 16 * 0.6) + noise
    fits.PrimaryHDU(image.astype("float32"), wcs.to_header() + fits.Header(header)).writeto(path)


with tempfile.TemporaryDirectory() as folder:
    first, second = Path(folder) / "first.fits", Path(folder) / "second.fits"
    frame(first, 0.263, 1, 5e4, {"FILTER": "g", "MAGZPT": 25.0, "MAGSYS": "AB"})  # mirrored
    frame(second, 0.5, -1, 8e4, {"FILTER": "r", "MAGZPT": 25.0, "MAGSYS": "AB"})
    cutout = load_bands(
        [first, second], reference="g", position=GALAXY, treatment=Treatment(sky=True, width=60 * u.arcsec)
    )

print(cutout.bands, cutout.shape, cutout.unit, cutout.pixel_scale)
for part in cutout.meta["parts"]:
    steps = [step["step"] for step in (*part["background"], *part.get("geometry", []))]
    print(*part["bands"], part["calibration"], steps)
# 5e4 and 8e4 counts with an AB zero point of 25, nearly all within 60 arcsec.
print("nJy in all:", np.nansum(cutout.flux, axis=(1, 2)).round(-4), "of", np.array([5e4, 8e4]) * 363.1)
print(to_ccddata(cutout, "r").meta["BAND"], "as CCDData")
