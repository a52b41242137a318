"""What fetching adds to the bare requests: 60 cutouts of 64 x 64 x 2 from a server 20 ms away, 4 at once."""

import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import requests

from galcnn.files import load_cutout, save_cutout
from galcnn.surveys import FetchSettings, fetch, get
from tests.benchmarks.timing import ratio
from tests.surveys.served import flat_cutout, some_catalog
from tests.surveys.servers import Reply, Server

_GALAXIES, _AT_ONCE, _SECONDS = 60, 4, 0.02


@dataclass(frozen=True)
class _Survey:
    server: str
    name: str = "bench"
    bands: tuple[str, ...] = ("g", "r")
    pixel_scale: u.Quantity = 1 * u.arcsec

    def cutout(self, position, width, bands=None):
        """Download, read, and put in the place that was asked for."""
        read = load_cutout(get(self.server).content)
        made = flat_cutout(position, width, bands)
        assert made.shape == read.shape
        return made


def ratios() -> dict[str, float]:
    catalog = some_catalog(_GALAXIES)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_cutout(flat_cutout(catalog.positions[0], 64 * u.arcsec, ("g", "r")), folder / "one.fits")
        body = (folder / "one.fits").read_bytes()
        wait = threading.Event()
        numbers = iter(range(10**6))

        def respond(path: str, query: dict[str, str]) -> Reply:
            del path, query
            wait.wait(_SECONDS)
            return Reply(body)

        with Server(respond) as server:

            def ours() -> None:
                settings = FetchSettings(64 * u.arcsec, ("g", "r"), jobs=_AT_ONCE)
                out = folder / f"{next(numbers)}"
                report = fetch(catalog, _Survey(server.url), out=out, settings=settings)
                assert report.counts["fetched"] == _GALAXIES

            def bare() -> None:
                out = folder / f"{next(numbers)}"
                out.mkdir()

                def one(i: int) -> None:
                    (out / f"{i}.fits").write_bytes(requests.get(server.url, timeout=10).content)

                with ThreadPoolExecutor(_AT_ONCE) as pool:
                    list(pool.map(one, range(_GALAXIES)))

            return {"surveys.fetch_over_bare_requests": ratio(ours, bare, repeats=5)}
