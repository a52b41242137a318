"""Cutting galaxies out of a mosaic, against what one writes with astropy alone.

All start from the same sky positions and give pixels of 128 x 128 with a WCS; ours gives a whole
Cutout: calibrated, masked, with its position. The mosaic is 4096 x 4096 float32, in the system's cache.
"""

import tempfile
import warnings
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import QTable
from astropy.wcs import WCS

from galcnn.catalog import Catalog
from galcnn.mosaic import cut, open_mosaic
from tests.benchmarks.timing import ratio

_N, _PIXELS, _SIDE = 2000, 4096, 128


def ratios() -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mosaic.fits"
        catalog = _written(path)
        with fits.open(path) as hdus:
            data, wcs = hdus[0].data, WCS(hdus[0].header)
            positions = catalog.positions

            def ours() -> None:
                with open_mosaic(path) as mosaic:
                    for one in cut(mosaic, catalog, width=_SIDE * u.pix):
                        assert one.cutout is not None

            def loop() -> None:
                """All positions to pixels in one call, which is more than the manual's loop does."""
                x, y = wcs.world_to_pixel(positions)
                for place in zip(x, y, strict=True):
                    _theirs(data, place, wcs)

            def manual() -> None:
                """As in astropy's manual: position by position, on the sky."""
                for place in positions:
                    _theirs(data, place, wcs)

            def each_opened() -> None:
                for place in positions:
                    with fits.open(path) as own:
                        _theirs(own[0].data, place, WCS(own[0].header))

            theirs = {"cutout2d": loop, "cutout2d_on_sky": manual, "open_per_object": each_opened}
            return {
                f"mosaic.{name}_over_galcnn": ratio(call, ours, repeats=3) for name, call in theirs.items()
            }


def _theirs(data: np.ndarray, place: object, wcs: WCS) -> None:
    cutout = Cutout2D(data, place, (_SIDE, _SIDE), wcs=wcs, mode="partial", fill_value=np.nan)
    assert cutout.data.shape == (_SIDE, _SIDE)


def _written(path: Path) -> Catalog:
    rng = np.random.default_rng(0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-7e-5, 7e-5]
    wcs.wcs.crval, wcs.wcs.crpix = [150, 2], [_PIXELS / 2, _PIXELS / 2]
    header = wcs.to_header()
    header["BUNIT"], header["FILTER"] = "nJy", "r"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fits.PrimaryHDU(rng.normal(size=(_PIXELS, _PIXELS)).astype("f4"), header).writeto(path)
    sky = wcs.pixel_to_world(*rng.uniform(0, _PIXELS - 1, (2, _N)))
    columns = {"id": [str(i) for i in range(_N)], "ra": sky.ra.deg, "dec": sky.dec.deg}
    return Catalog(QTable(columns))
