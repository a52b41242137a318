"""Mosaics of every kind that cutting must tell apart, made of numbers that say where they are."""

import bz2
import gzip
import shutil

import numpy as np
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS

from galcnn.catalog import Catalog

SHAPE = (300, 420)
CD = {"CD1_1": -7.1e-5, "CD1_2": 2e-6, "CD2_1": 3e-6, "CD2_2": 7e-5}
PLAIN = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": 2.0, "CRPIX1": 211.3} | {
    "CRPIX2": 140.7
}
SIP = {"A_ORDER": 2, "A_2_0": 3e-6, "A_1_1": 1e-6, "B_ORDER": 2, "B_0_2": -4e-6, "B_1_1": 2e-6}
TPV = {"PV1_0": 0.0, "PV1_1": 1.0, "PV1_2": 0.0, "PV1_4": 0.01, "PV2_0": 0.0, "PV2_1": 1.0, "PV2_4": 0.02}
WORLDS = {
    "cd": PLAIN | CD,
    "pc": PLAIN
    | {"CDELT1": -7e-5, "CDELT2": 7e-5, "PC1_1": 0.99, "PC1_2": 0.1, "PC2_1": -0.1, "PC2_2": 0.99},
    "crota": PLAIN | {"CDELT1": -7e-5, "CDELT2": 7e-5, "CROTA2": 33.0},
    "mirrored": PLAIN | {"CDELT1": 7e-5, "CDELT2": 7e-5},
    "swapped": PLAIN | CD | {"CTYPE1": "DEC--TAN", "CTYPE2": "RA---TAN", "CRVAL1": 2.0, "CRVAL2": 150.0},
    "sip": PLAIN | CD | SIP | {"CTYPE1": "RA---TAN-SIP", "CTYPE2": "DEC--TAN-SIP"},
    "tpv": PLAIN | CD | TPV | {"CTYPE1": "RA---TPV", "CTYPE2": "DEC--TPV"},
    "fk5": PLAIN | CD | {"RADESYS": "FK5", "EQUINOX": 1975.0},
    "galactic": PLAIN | CD | {"CTYPE1": "GLON-TAN", "CTYPE2": "GLAT-TAN"},
    "pole": PLAIN | CD | {"CRVAL2": 89.999},
    "ra 0": PLAIN | CD | {"CRVAL1": 0.0},
}


def header(world="cd", **cards):
    return fits.Header({"BUNIT": "nanomaggy", "FILTER": "r", **WORLDS[world], **cards})


def pixels(seed=0, shape=SHAPE):
    values = np.random.default_rng(seed).normal(5, 3, shape).astype(np.float32)
    values[100:110, 50:60] = np.nan
    return values


def write_plain(path, head=None, data=None):
    fits.PrimaryHDU(pixels() if data is None else data, header() if head is None else head).writeto(path)
    return path


def write_integers(path):
    """16 bits with scale, zero point and blanks."""
    head = header(BSCALE=0.01, BZERO=320.0, BLANK=-32768)
    raw = np.random.default_rng(1).integers(-3000, 30000, SHAPE).astype(np.int16)
    raw[100:110, 50:60] = -32768
    hdu = fits.PrimaryHDU()
    hdu.header.update(head)
    hdu = fits.PrimaryHDU(raw, do_not_scale_image_data=True)
    hdu.header.update(head)
    hdu.writeto(path)
    return path


def write_unsigned(path):
    fits.PrimaryHDU(np.random.default_rng(1).integers(0, 65535, SHAPE).astype(np.uint16), header()).writeto(
        path
    )
    return path


def write_compressed(path, *, tile=None, kind="RICE_1", dither=-1):
    hdu = fits.CompImageHDU(
        pixels(),
        header(),
        compression_type=kind,
        tile_shape=tile,
        quantize_level=16,
        quantize_method=dither,
        dither_seed=9990,
    )
    hdu.writeto(path)
    return path


def pack(path, module):
    packed = path.with_name(path.name + {gzip: ".gz", bz2: ".bz2"}[module])
    with open(path, "rb") as plain, module.open(packed, "wb") as handle:
        shutil.copyfileobj(plain, handle)
    path.unlink()
    return packed


def scattered(head, n=40, *, seed=3, shape=SHAPE, beyond=30):
    """A catalog all over a mosaic, near and over its edges too."""
    rng = np.random.default_rng(seed)
    ny, nx = shape
    x, y = rng.uniform(-beyond, nx + beyond, n), rng.uniform(-beyond, ny + beyond, n)
    sky = WCS(head).pixel_to_world(x, y).icrs
    columns = {"id": [f"g{i}" for i in range(n)], "ra": sky.ra.deg, "dec": sky.dec.deg}
    return Catalog(QTable(columns | {"redshift": rng.uniform(0.01, 0.1, n)}))
