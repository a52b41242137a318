"""A survey behind a local server that counts, waits and fails; for tests of fetching.

``python -m tests.surveys.served URL CATALOG OUT`` fetches from it in a process that can be killed.
"""

import contextlib
import json
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import astropy.units as u
import numpy as np
from astropy.table import QTable
from astropy.wcs import WCS

from galcnn.catalog import Catalog, read_catalog
from galcnn.cutout import Cutout
from galcnn.errors import CoverageError, DownloadError
from galcnn.surveys import FetchSettings, fetch

WIDTH = 8 * u.arcsec


@dataclass(frozen=True)
class ServedSurvey:
    """Asks a server for one number, the level of the image; pixels of 1 arcsec."""

    server: str
    name: str = "served"
    bands: tuple[str, ...] = ("g", "r")
    pixel_scale: u.Quantity = 1 * u.arcsec

    def cutout(self, position, width, bands=None):
        url = f"{self.server}/{position.ra.deg:.6f}"
        try:
            with urllib.request.urlopen(url, timeout=20) as answer:
                level = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            error.close()
            raise (CoverageError if error.code == 404 else DownloadError)(f"HTTP {error.code}") from None
        return flat_cutout(position, width, bands, level)


def flat_cutout(position, width, bands, level=1.0):
    side = round(width.to_value(u.arcsec))
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-1 / 3600, 1 / 3600]
    wcs.wcs.crval, wcs.wcs.crpix = [position.ra.deg, position.dec.deg], [(side + 1) / 2] * 2
    wcs.array_shape = (side, side)
    flux = np.stack([np.full((side, side), level + i) for i in range(len(bands))])
    return Cutout(flux, bands, wcs=wcs, position=position, survey="served")


@dataclass
class Served:
    """What the server does and did; keys are right ascensions as text."""

    url: str = ""
    seconds: float = 0.0
    status: dict = field(default_factory=dict)
    asked: Counter = field(default_factory=Counter)
    most_at_once: int = 0


@contextlib.contextmanager
def serving(seconds=0.0):
    """Give a running server, as a `Served` to look at and to change."""
    served, lock, now = Served(seconds=seconds), threading.Lock(), Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            key = self.path.strip("/")
            with lock:
                served.asked[key] += 1
                now["open"] += 1
                served.most_at_once = max(served.most_at_once, now["open"])
            status = served.status.get(key, 200)
            time.sleep(served.seconds if status != "hang" else 1000)
            with lock:
                now["open"] -= 1
            self.send_response(status)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(json.dumps(float(key)).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads, server.block_on_close = True, False
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    served.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()


def key_of(i):
    return f"{10 + i / 10:.6f}"


def some_catalog(n, **columns):
    ids = columns.pop("id", [f"galaxy {i}/of {n}" for i in range(n)])
    ra = [10 + i / 10 for i in range(n)] * u.deg
    return Catalog(QTable({"id": ids, "ra": ra, "dec": np.full(n, 2.0) * u.deg, **columns}))


def main():
    url, catalog, out = sys.argv[1:]
    settings = FetchSettings(WIDTH, ("g", "r"), jobs=3)
    fetch(read_catalog(catalog), ServedSurvey(url), out=out, settings=settings)


if __name__ == "__main__":
    # Under its own name, as a survey's class is a part of what a folder holds.
    from tests.surveys import served as by_its_name

    by_its_name.main()
