"""Every real FITS file that the loader reads, cut as if it were a mosaic, is what the loader makes of it."""

import warnings

import astropy.units as u
import numpy as np
from astropy.table import QTable

from galcnn.catalog import Catalog
from galcnn.errors import UnreadableImageError
from galcnn.files import load_cutout
from galcnn.mosaic import cut, open_mosaic


def test_a_cut_is_a_part_of_what_the_loader_reads(real_data):
    """Units, zero points, bands, parities, distortions of SDSS, DES, DECam, HSC, HST, PS1, 2MASS, WISE."""
    surveys = set()
    n = 0
    for path in sorted([*real_data.glob("fits/**/*.fits*"), *real_data.glob("services/**/*.fits*")]):
        try:
            whole = load_cutout(path)
        except UnreadableImageError:
            continue
        if whole.wcs is None:
            continue
        side = min(41, *whole.shape)
        place = whole.position.icrs
        catalog = Catalog(QTable({"id": ["a"], "ra": [place.ra.deg], "dec": [place.dec.deg]}))
        with open_mosaic(path) as mosaic:
            part = next(cut(mosaic, catalog, width=side * u.pix)).cutout
        y, x = part.meta["corner"]
        expected = whole.flux[:, y : y + side, x : x + side]
        assert np.array_equal(part.flux, expected, equal_nan=True), path
        assert (part.unit, part.bands, part.survey) == (whole.unit, whole.bands, whole.survey), path
        ends = np.array([0.0, side - 1])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            here = part.wcs.pixel_to_world(ends, ends)
            there = whole.wcs.pixel_to_world(ends + x, ends + y)
        assert np.all(here.separation(there) < 1e-9 * u.deg), path
        surveys.add(whole.survey.split()[0])
        n += 1
    assert n > 150
    assert {"SDSS", "DES", "HSC", "Pan-STARRS", "HST"} <= surveys
