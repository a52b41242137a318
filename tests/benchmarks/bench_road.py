"""What galcnn adds to the bare calls that it is made of."""

import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from astropy.wcs import WCS

from galcnn.files import load_cutout
from tests.benchmarks.timing import ratio


def ratios() -> dict[str, float]:
    return {
        "files.load_over_astropy_open_and_wcs": _loading(),
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
