"""The survey keeps galcnn's contract, against a service on this machine."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from galcnn_cutout_service import CutoutService

from galcnn.testing import check_survey

GALAXY = SkyCoord(150.0, 2.0, unit="deg")


class Service(BaseHTTPRequestHandler):
    """One lopsided galaxy on an empty sky of 1 degree."""

    def do_GET(self):
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        centre, side = SkyCoord(float(asked["ra"]), float(asked["dec"]), unit="deg"), int(asked["size"])
        if centre.separation(GALAXY) > 1 * u.deg:
            self.send_error(404)
            return
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
        wcs.wcs.crval, wcs.wcs.crpix = [centre.ra.deg, centre.dec.deg], [(side + 1) / 2] * 2
        wcs.wcs.cdelt = [-0.4 / 3600, 0.4 / 3600]
        x0, y0 = wcs.world_to_pixel(GALAXY)
        y, x = np.mgrid[:side, :side]
        blob = np.exp(-(((x - x0) / 4) ** 2 + ((y - y0) / 2) ** 2)) + np.exp(
            -(((x - x0 - 3) / 2) ** 2 + (y - y0) ** 2)
        )
        hdu = fits.PrimaryHDU((blob * ("gri".index(asked["band"]) + 1)).astype("f4"), wcs.to_header())
        hdu.header["BUNIT"], hdu.header["FILTER"] = "uJy", asked["band"]
        content = io.BytesIO()
        hdu.writeto(content)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content.getvalue())))
        self.end_headers()
        self.wfile.write(content.getvalue())

    def log_message(self, *args):
        pass


def serve():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def test_it_is_what_a_survey_must_be():
    with serve() as server:
        survey = CutoutService(server=f"http://127.0.0.1:{server.server_address[1]}/cutout")
        outside = SkyCoord(10, 2, unit="deg")
        check_survey(survey, GALAXY, width=20 * u.arcsec, outside=outside)
        assert survey.cutout(GALAXY, 20 * u.arcsec).flux[2].max() > 3000  # uJy of the service are nJy here
        server.shutdown()
