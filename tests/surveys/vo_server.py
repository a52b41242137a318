"""A VO server in small: recorded answers of DaCHS to SIA2, SIA1 and DataLink, with SODA at work.

The answers are those of `tests/surveys/dachs` to one question each; their tables are rewritten from BINARY to
TABLEDATA, so that the address of the server can be put in.
"""

import io
from functools import lru_cache
from pathlib import Path

import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS

from tests.surveys.dachs.coadds import SIDE, coadd, wcs_of_coadd
from tests.surveys.servers import Reply, Server

ANSWERS = Path(__file__).parent / "dachs" / "answers"
VOTABLE = "application/x-votable+xml"
SIA1, SIA2 = "/galcnn/q/i/siap.xml", "/__system__/siap2/sitewide"


@lru_cache
def whole(band):
    return coadd(band)


def as_bytes(hdu):
    out = io.BytesIO()
    hdu.writeto(out)
    return out.getvalue()


def covers(ra, dec, half_ra, half_dec):
    """Whether a box in degrees of right ascension and declination touches the coadd, as SIA has it."""
    sky = wcs_of_coadd().pixel_to_world([0, SIDE - 1], [0, SIDE - 1])
    east, west = sorted(sky.ra.deg)[::-1]
    south, north = sorted(sky.dec.deg)
    return west - half_ra <= ra <= east + half_ra and south - half_dec <= dec <= north + half_dec


def soda(band, ra, dec, radius):
    """Cut the box about a circle, clipped at the edge; None where nothing is left."""
    hdu = whole(band)
    wcs = WCS(hdu.header)
    x, y = wcs.world_to_pixel(SkyCoord(ra, dec, unit="deg"))
    reach = radius / wcs.wcs.get_cdelt()[1]
    x0, x1 = max(0, int(np.floor(x - reach))), min(SIDE, int(np.ceil(x + reach)) + 1)
    y0, y1 = max(0, int(np.floor(y - reach))), min(SIDE, int(np.ceil(y + reach)) + 1)
    if x0 >= x1 or y0 >= y1:
        return None
    header = hdu.header.copy()
    header["CRPIX1"] -= x0
    header["CRPIX2"] -= y0
    return as_bytes(fits.PrimaryHDU(hdu.data[y0:y1, x0:x1], header))


class VO:
    """What the server does; tests switch parts of it off."""

    def __init__(self):
        self.server = None
        self.soda = True
        self.edit = lambda text: text

    def recorded(self, name, kind=VOTABLE):
        text = (ANSWERS / name).read_text().replace("{server}", self.server.url)
        return Reply(self.edit(text).encode(), kind)

    def respond(self, path, query):
        if path == f"{SIA2}/capabilities":
            return self.recorded("capabilities.xml", "text/xml")
        if path == f"{SIA2}/siap2.xml":
            _, ra, dec, radius = query["POS"].split()
            wide = float(radius) / np.cos(np.radians(float(dec)))
            found = covers(float(ra), float(dec), wide, float(radius))
            return self.recorded("sia2.xml" if found else "sia2_nothing.xml")
        if path == SIA1:
            ra, dec = (float(x) for x in query["POS"].split(","))
            half_ra, half_dec = (float(x) / 2 for x in query["SIZE"].split(","))
            return self.recorded("sia1.xml" if covers(ra, dec, half_ra, half_dec) else "sia1_nothing.xml")
        band = "g" if "coadd_g" in f"{path}{query.get('ID')}" else "r"
        if path.endswith("/dlmeta") and self.soda:
            reply = self.recorded("datalink.xml", f"{VOTABLE};content=datalink")
            reply.body = reply.body.replace(b"coadd_g", b"coadd_" + band.encode())
            return reply
        if path == "/galcnn/q/dl/dlget":
            ra, dec, radius = (float(x) for x in query["CIRCLE"].split())
            body = soda(band, ra, dec, radius)
            return Reply(b"", "text/plain", 204) if body is None else Reply(body)
        if path.startswith("/getproduct/"):
            return Reply(as_bytes(whole(band)))
        return Reply(b"not here", "text/plain", 404)


def vo_server():
    """Give the server, not yet started, and what it does."""
    has = VO()
    has.server = Server(has.respond)
    return has.server, has
