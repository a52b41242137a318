"""The SDSS in small: a SkyServer that knows two overlapping fields, their frames and psField files."""

import bz2
import io
import re
from functools import lru_cache

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from tests.surveys.servers import Reply, Server

SHAPE = (1489, 2048)
GALAXY = SkyCoord(121.55, 1.05, unit="deg")
BANDS = "ugriz"
GAIN, DARK, SKY = 4.7, 1.8, 130.0
#: Nanomaggies in all; the width of the image in pixels.
FLUX, WIDTH = 500.0, 4.0
#: Field -> the pixel (x, y) of the galaxy, from 0, in the r frame; the first is near an edge.
FIELDS = {18: (2030.0, 700.0), 19: (900.0, 800.0)}
SCORE = {18: 0.9, 19: 0.7}
#: Each band's grid is shifted by so many pixels (x, y), as the drift of the scan does.
SHIFT = {"u": (1.3, -2.4), "g": (0.4, 0.3), "r": (0.0, 0.0), "i": (-0.6, 0.2), "z": (0.0, 0.0)}
#: Counts per eigenimage weight: a core, and wings that grow with the row.
WEIGHTS = ((1.0, 0.0), (0.0, 0.2))


def wcs_of(number, band):
    """As the frames have it: rows run along the scan, so right ascension grows with y."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cunit = ["RA---TAN", "DEC--TAN"], ["deg", "deg"]
    wcs.wcs.crval = [GALAXY.ra.deg, GALAXY.dec.deg]
    x, y = FIELDS[number]
    wcs.wcs.crpix = [x + 1 + SHIFT[band][0], y + 1 + SHIFT[band][1]]
    wcs.wcs.cd = [[-8.58908974786e-06, 0.000109641980588], [0.000109661547192, 8.59229473533e-06]]
    return wcs


def calibration():
    return np.linspace(0.0045, 0.0055, SHAPE[1])


@lru_cache(maxsize=16)
def frame(number, band, stale=False):
    wcs = wcs_of(number, band)
    x0, y0 = wcs.world_to_pixel(GALAXY)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    image = np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / (2 * WIDTH**2)) * FLUX / (2 * np.pi * WIDTH**2)
    header = wcs.to_header()
    if stale:
        header["CRVAL2"] += 5 / 60
    header["BUNIT"], header["FILTER"], header["ORIGIN"] = "nanomaggy", band, "SDSS"
    sky = fits.BinTableHDU.from_columns(
        [
            fits.Column("ALLSKY", "49152E", dim="(256, 192)", array=[np.full((192, 256), SKY)]),
            fits.Column("XINTERP", "2048E", array=[np.linspace(-0.4, 255.4, SHAPE[1])]),
            fits.Column("YINTERP", "1489E", array=[np.linspace(-0.4, 186.6, SHAPE[0])]),
        ]
    )
    hdus = fits.HDUList(
        [fits.PrimaryHDU(image.astype("f4"), header), fits.ImageHDU(calibration().astype("f4")), sky]
    )
    out = io.BytesIO()
    hdus.writeto(out)
    return bz2.compress(out.getvalue(), 1)


def eigenimages():
    y, x = np.mgrid[-25:26, -25:26]
    return [np.exp(-(x**2 + y**2) / (2 * s**2)) / (2 * np.pi * s**2) for s in (1.4, 4.0)]


@lru_cache(maxsize=4)
def ps_field():
    c = np.zeros((2, 5, 5))
    for k, (level, slope) in enumerate(WEIGHTS):
        c[k, 0, 0], c[k, 1, 0] = level, slope
    columns = [
        *(fits.Column(name, "J", array=[n, n]) for name, n in (("nrow_b", 2), ("ncol_b", 2))),
        *(fits.Column(name, "J", array=[51, 51]) for name in ("rnrow", "rncol")),
        fits.Column("c", "25E", dim="(5, 5)", array=c),
        fits.Column("rrows", "2601E", array=[image.ravel() for image in eigenimages()]),
    ]
    hdus = [fits.PrimaryHDU(), *(fits.BinTableHDU.from_columns(columns) for _ in BANDS)]
    out = io.BytesIO()
    fits.HDUList(hdus).writeto(out)
    return out.getvalue()


class SDSS:
    """What the server has; tests take things away or spoil them."""

    def __init__(self):
        self.fields = dict(FIELDS)
        self.psf = True
        self.stale = False
        self.header_band = None

    def respond(self, path, query):
        if path == "/dr17/en/tools/search/x_results.aspx":
            return Reply(self.table(query["cmd"]).encode(), "text/plain")
        if found := re.search(r"frame-(.)-002125-1-(\d{4}).fits.bz2$", path):
            band = self.header_band or found[1]
            return Reply(frame(int(found[2]), band, self.stale), "application/x-bzip2")
        if self.psf and re.search(r"/photo/redux/301/2125/objcs/1/psField-002125-1-\d{4}.fit$", path):
            return Reply(ps_field())
        return Reply(b"<html>Not found</html>", "text/html", 404)

    def table(self, sql):
        columns = re.search(r"SELECT (.*) FROM Field", sql)[1].split(", ")
        dec, ra = (float(re.search(rf"{name} <= (-?[\d.]+)", sql)[1]) for name in ("decMin", "raMin"))
        lines = ["#Table1", ",".join(columns)]
        for number in sorted(self.fields, key=lambda n: -SCORE[n]):
            middle = wcs_of(number, "r").pixel_to_world(1023.5, 744)
            near = SkyCoord(ra, dec, unit="deg").separation(middle) < 0.14 * u.deg
            row = {"run": 2125, "rerun": 301, "camcol": 1, "field": number, "score": SCORE[number]}
            row |= {"ra": middle.ra.deg, "dec": middle.dec.deg}
            row |= {f"psfWidth_{b}": 1.3 for b in BANDS} | {f"gain_{b}": GAIN for b in BANDS}
            row |= {f"darkVariance_{b}": DARK for b in BANDS}
            if near:
                lines.append(",".join(str(row[name]) for name in columns))
        return "\n".join(lines) + "\n"


def sdss_server():
    """Give the server, not yet started, and what it has."""
    has = SDSS()
    return Server(has.respond), has
