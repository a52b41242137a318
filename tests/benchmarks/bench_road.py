"""What galcnn adds to the bare calls that it is made of."""

import tempfile
from pathlib import Path
from unittest import mock

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from galcnn import Cutout
from galcnn.files import load_cutout, save_cutout, sources
from tests.benchmarks.timing import ratio


def ratios() -> dict[str, float]:
    return {
        "files.load_over_astropy_open_and_wcs": _loading(),
        "files.load_own_over_fitsio_raw": _own(),
        **_guarded(),
    }


def _loading() -> float:
    """One plain FITS file of 128 x 128 pixels with a WCS; 50 loads in each round."""
    header = WCS(naxis=2)
    header.wcs.ctype, header.wcs.cdelt, header.wcs.crval = ["RA---TAN", "DEC--TAN"], [-1e-4, 1e-4], [150, 2]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "galaxy.fits"
        fits.PrimaryHDU(np.ones((128, 128), "float32"), header.to_header()).writeto(path)

        def bare() -> None:
            for _ in range(50):
                with fits.open(path) as hdus:
                    WCS(hdus[0].header)
                    hdus[0].data.astype("float32")

        def ours() -> None:
            for _ in range(50):
                load_cutout(path, bands=("r",))

        return ratio(ours, bare)


def _own() -> float:
    """A cutout of three bands with noise and PSF, 128 x 128 pixels, over all data and headers of its file."""
    import fitsio

    rng = np.random.default_rng(0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [-1e-4, 1e-4], [150, 2]
    flux, psf = rng.normal(size=(3, 128, 128)), np.full((3, 9, 9), 1 / 81, "float32")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "galaxy.fits"
        cutout = Cutout(flux, ("g", "r", "z"), wcs=wcs, sigma=np.abs(flux) + 1, psf=psf, meta={"seed": 1})
        save_cutout(cutout, path)

        def raw() -> None:
            for _ in range(50):
                with fitsio.FITS(str(path)) as hdus:
                    for hdu in hdus:
                        hdu.read_header()
                        if hdu.has_data():
                            hdu.read()

        def ours() -> None:
            for _ in range(50):
                load_cutout(path)

        return ratio(ours, raw)


def _guarded() -> dict[str, float]:
    """A catalog of 1,000 cutouts of 130 kB: with checks of sizes and sums, and through a reader process."""
    rng = np.random.default_rng(0)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [-1e-4, 1e-4], [150, 2]
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{number}.fits" for number in range(1000)]
        for path in paths:
            save_cutout(Cutout(rng.normal(size=(2, 120, 120)), ("g", "r"), wcs=wcs), path)

        def direct() -> None:
            with (
                mock.patch.object(sources, "units_of", return_value=[]),
                mock.patch.object(sources, "_check_sums"),
            ):
                guarded()

        def guarded() -> None:
            for path in paths:
                load_cutout(path)

        def untrusted() -> None:
            for path in paths:
                load_cutout(sources.untrusted(path))

        return {
            "files.guarded_over_direct": ratio(guarded, direct, repeats=3),
            "files.untrusted_over_guarded": ratio(untrusted, guarded, repeats=3),
        }
