"""The services in small: they answer as the real ones do, quirks included, from recorded files.

Where the recordings are not at hand, images of the same layout are made.
"""

import io
import json
import warnings
from dataclasses import dataclass

import numpy as np
from astropy.coordinates import ICRS, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning
from astropy_healpix import HEALPix
from reproject import reproject_interp
from reproject.hips import reproject_to_hips
from reproject.mosaicking import reproject_and_coadd

from tests.surveys.servers import WEB_PAGE, Reply

TILE = 256
ORDER = 12


def to_bytes(*hdus):
    buffer = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(buffer, output_verify="silentfix")
    return buffer.getvalue()


def tangent(ra, dec, arcsec, crpix):
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = crpix
    wcs.wcs.cd = [[-arcsec / 3600, 0], [0, arcsec / 3600]]
    return wcs


def quiet_wcs(header):
    """Pan-STARRS writes its matrix in an old way, which astropy reads and warns of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(header)


def window(planes, row, column, side, fill):
    """`side` pixels a side from (row, column) on; beyond the edge there is `fill`."""
    out = np.full((*planes.shape[:-2], side, side), fill, dtype=planes.dtype)
    ny, nx = planes.shape[-2:]
    y0, y1, x0, x1 = max(row, 0), min(row + side, ny), max(column, 0), min(column + side, nx)
    if y0 < y1 and x0 < x1:
        out[..., y0 - row : y1 - row, x0 - column : x1 - column] = planes[..., y0:y1, x0:x1]
    return out


def invented(n_bands, side, seed):
    """Noise and a few blobs, brighter from band to band."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    planes = rng.normal(0, 0.003, (n_bands, side, side))
    for _ in range(12):
        cx, cy, flux, size = (
            rng.uniform(0, side),
            rng.uniform(0, side),
            rng.uniform(0.1, 1),
            rng.uniform(2, 6),
        )
        blob = flux * np.exp(-((x - cx) ** 2 + 0.5 * (y - cy) ** 2) / (2 * size**2))
        planes += blob * (1 + np.arange(n_bands))[:, np.newaxis, np.newaxis]
    return planes.astype(np.float32)


@dataclass
class LegacyMaterial:
    image: np.ndarray
    invvar: np.ndarray
    maskbits: np.ndarray
    psf: np.ndarray
    wcs: WCS
    bands: str = "grz"

    @property
    def middle(self):
        """The sky at the middle of pixel (128, 128), so that an odd side needs no resampling."""
        return self.wcs.pixel_to_world(128, 128)


def legacy_material(real_data):
    if real_data is not None:
        with fits.open(real_data / "services/legacysurvey_fits_cutout/cutout_59.1067_-30.4848.fits") as hdus:
            image, invvar = (np.stack([hdu.data for hdu in hdus[first::2]]) for first in (1, 2))
            wcs = WCS(hdus[1].header)
        with fits.open(real_data / "fits/decals_pysersic/copsf_59.1067_-30.4848.fits") as hdus:
            psf = np.stack([hdu.data for hdu in hdus])
    else:
        image, wcs = invented(3, 256, 1), tangent(59.18, -30.5, 0.262, (-739.5, -79.5))
        invvar = np.full(image.shape, 1e5, dtype=np.float32)
        y, x = np.mgrid[-31:32, -31:32]
        psf = np.stack([np.exp(-(x**2 + y**2) / (2 * s**2)) for s in (2.1, 1.9, 1.7)]).astype(np.float32)
        psf /= psf.sum(axis=(1, 2), keepdims=True)
    # No recording has these: a saturated star in r, a column masked in every exposure of g, a large galaxy.
    maskbits = np.zeros(image.shape[1:], dtype=np.int16)
    maskbits[100:103, 140:143] |= 1 << 3
    maskbits[:, 110] |= 1 << 5
    maskbits[120:137, 120:137] |= 1 << 12
    image, invvar = image.copy(), invvar.copy()
    image[2, 150:152, 150:152] = invvar[2, 150:152, 150:152] = 0
    return LegacyMaterial(image, invvar, maskbits, psf, wcs)


class Legacy:
    """The viewer of the Legacy Surveys (legacysurvey/imagine, map/views.py)."""

    LAYERS = ("ls-dr9", "ls-dr10")

    def __init__(self, material):
        self.material = material

    def __call__(self, path, query):
        if query["layer"] not in self.LAYERS:
            return Reply(f"Layer not found: {query['layer']}".encode(), "text/html")
        if path == "/coadd-psf/":
            return self.psf(query)
        return self.cutout(query) if path == "/fits-cutout" else Reply(WEB_PAGE, "text/html", 404)

    def bands(self, query):
        known = self.material.bands
        asked = query.get("bands", known)
        return asked if set(asked) <= set(known) else known  # an unknown band gives all, silently

    def cutout(self, query):
        m = self.material
        ra, dec, side = float(query["ra"]), float(query["dec"]), min(int(query["size"]), 3000)
        place = SkyCoord(ra, dec, unit="deg")
        if place.separation(m.middle).deg > 1:
            return Reply(b"<html><body>No overlap</body></html>", "text/html")
        x, y = m.wcs.world_to_pixel(place)
        column, row = round(float(x) - (side - 1) / 2), round(float(y) - (side - 1) / 2)
        bands = self.bands(query)
        order = [m.bands.index(band) for band in bands]
        header = tangent(ra, dec, float(query["pixscale"]), [(side + 1) / 2] * 2).to_header()
        header.update({"SURVEY": "LegacySurvey", "VERSION": "DR9", "BANDS": bands})
        header.update({f"BAND{i}": band for i, band in enumerate(bands)})
        hdus = [("IMAGE", m.image[order])]
        hdus += [("INVVAR", m.invvar[order])] if "invvar" in query else []
        hdus += [("MASKBITS", m.maskbits)] if "maskbits" in query else []
        written = []
        for kind, planes in hdus:
            planes = window(planes, row, column, side, 0)
            plane = planes[0] if planes.ndim == 3 and len(bands) == 1 else planes
            hdu = (fits.ImageHDU if written else fits.PrimaryHDU)(plane, header)
            hdu.header["IMAGETYP"] = kind
            written.append(hdu)
        return Reply(to_bytes(*written), "image/fits")

    def psf(self, query):
        hdus = []
        for band in self.bands(query):
            hdu = (fits.ImageHDU if hdus else fits.PrimaryHDU)(self.material.psf["grz".index(band)])
            hdu.header["BAND"] = band
            hdus.append(hdu)
        return Reply(to_bytes(*hdus), "image/fits")


@dataclass
class SkycellMaterial:
    planes: dict
    headers: dict

    @property
    def wcs(self):
        return quiet_wcs(self.headers["g"])

    @property
    def middle(self):
        return self.wcs.pixel_to_world(120.2, 119.6)


def skycell_material(real_data):
    planes, headers = {}, {}
    if real_data is not None:
        for band in "griz":
            with fits.open(real_data / f"services/panstarrs_fitscut/PS1_{band}.fits") as hdus:
                planes[band], headers[band] = hdus[0].data.copy(), hdus[0].header.copy()
    else:
        image = invented(4, 240, 2)
        for i, band in enumerate("griz"):
            header = tangent(28.0, 2.0, 0.25, (-571.0, 25134.0)).to_header()
            exposure = 800.0 + 100 * i
            header.update({"EXPTIME": exposure, "TESS_ID": "RINGS.V3", "SKYCELL": "skycell.1329.005"})
            header["HIERARCH FPA.FILTERID"] = f"{band}.00000"
            header["HIERARCH FPA.ZP"] = 25.0
            planes[band], headers[band] = image[i] * 1000, header
    return SkycellMaterial(planes, headers)


class PanStarrsService:
    """ps1filenames.py and fitscut.cgi of MAST."""

    TABLE = "projcell subcell ra dec filter mjd type filename shortname badflag"

    def __init__(self, material):
        self.material = material

    def __call__(self, path, query):
        place = SkyCoord(float(query["ra"]), float(query["dec"]), unit="deg")
        if path == "/ps1filenames.py":
            return self.filenames(place, query["filters"])
        if path == "/fitscut.cgi":
            return self.image(place, query)
        return Reply(WEB_PAGE, "text/html", 404)

    def filenames(self, place, filters):
        rows = [self.TABLE]
        covered = place.separation(self.material.middle).deg < 0.2
        for band in self.material.planes if covered else ():
            # A neighbouring skycell comes first, and has g alone; a bad stack of this one too.
            cells = [("1329", "006", 0)] if band == "g" else []
            for cell, sub, bad in [*cells, ("1329", "005", 1), ("1329", "005", 0)]:
                name = f"rings.v3.skycell.{cell}.{sub}.stk.{band}.{'bad' if bad else 'unconv'}.fits"
                where = f"{place.ra.deg} {place.dec.deg} {band}"
                file = f"/rings.v3.skycell/{cell}/{sub}/{name}"
                rows += [f"{cell} {sub} {where} 0.0 stack {file} {name} {bad}"] if band in filters else []
        return Reply(("\n".join(rows) + "\n").encode(), "text/plain")

    def image(self, place, query):
        name = query["red"].rpartition("/")[2]
        found = [band for band in self.material.planes if name.endswith(f".stk.{band}.unconv.fits")]
        if not found or query["format"] != "fits":
            return Reply(WEB_PAGE, "text/html")
        band, side = found[0], int(query["size"])
        header = self.material.headers[band].copy()
        x, y = quiet_wcs(header).world_to_pixel(place)
        column, row = int(x) - side // 2, int(y) - side // 2
        header["CRPIX1"] -= column
        header["CRPIX2"] -= row
        data = window(self.material.planes[band], row, column, side, np.float32(np.nan))
        return Reply(to_bytes(fits.PrimaryHDU(data, header)), "image/fits")


class Hips:
    """hips2fits in small: tiles made by reproject, picked with astropy-healpix, coadded."""

    def __init__(self, folder, bands, wcs, root="CDS/P/Toy"):
        """`bands` maps the last part of an id to a plane on `wcs`."""
        self.tiles = {}
        for band, plane in bands.items():
            place = folder / band
            reproject_to_hips(
                (plane, wcs),
                coord_system_out="equatorial",
                level=ORDER,
                reproject_function=reproject_interp,
                output_directory=place,
                tile_size=TILE,
            )
            paths = place.glob(f"Norder{ORDER}/*/Npix*.fits")
            self.tiles[f"{root}/{band}"] = {int(path.stem.removeprefix("Npix")): path for path in paths}
        self.pixels = HEALPix(nside=2**ORDER, order="nested", frame=ICRS())

    def __call__(self, path, query):
        tiles = self.tiles.get(query["hips"])
        if tiles is None:
            error = {"title": "Bad Request", "description": f"HiPS {query['hips']!r} not found"}
            return Reply(json.dumps(error).encode(), "application/json", 400)
        if "wcs" in query:
            cards = json.loads(query["wcs"])
            wcs, shape = WCS(fits.Header(cards)), (int(cards["NAXIS2"]), int(cards["NAXIS1"]))
        else:
            wcs, shape = self.grid(query)
        image = self.image(tiles, wcs, shape).astype(np.float32)
        hdu = fits.PrimaryHDU(image, wcs.to_header())
        hdu.header["HISTORY"] = "Generated by CDS hips2fits service"
        hdu.header["HISTORY"] = f"From HiPS {query['hips']} (toy)"
        return Reply(to_bytes(hdu), "application/fits")

    @staticmethod
    def grid(query):
        """By width, height and fov, the larger side; CRPIX half a pixel off the middle, as recorded."""
        width, height = int(query["width"]), int(query["height"])
        arcsec = float(query["fov"]) / max(width, height) * 3600
        crpix = (width / 2, height / 2)
        return tangent(float(query["ra"]), float(query["dec"]), arcsec, crpix), (height, width)

    def image(self, tiles, wcs, shape):
        y, x = np.mgrid[: shape[0] : 4, : shape[1] : 4]
        corners = np.array([[0, 0], [shape[1] - 1, 0], [0, shape[0] - 1], [shape[1] - 1, shape[0] - 1]])
        x, y = np.append(x, corners[:, 0]), np.append(y, corners[:, 1])
        wanted = np.unique(self.pixels.skycoord_to_healpix(wcs.pixel_to_world(x, y)))
        paths = [str(tiles[number]) for number in wanted if number in tiles]
        if not paths:
            return np.full(shape, np.nan)
        image, weight = reproject_and_coadd(paths, wcs, shape_out=shape, reproject_function=reproject_interp)
        return np.where(weight > 0, image, np.nan)
