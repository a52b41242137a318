"""FITS kinds and what each became: real files of each kind, by value; ``pytest -s`` prints the table.

Known pixels and places are those of astropy on the raw files, written down as numbers.
"""

import bz2
import io
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError
from galcnn.files import Companions, load_bands, load_cutout
from galcnn.photometry import ab_flux

NMGY = 3631.0


def hst(flam, pivot):
    """nJy of an electron a second, by astropy's units."""
    return (flam * u.erg / u.s / u.cm**2 / u.AA).to_value(u.nJy, u.spectral_density(pivot * u.AA))


@dataclass(frozen=True)
class Row:
    """One kind: how its sample is had, and what it must become."""

    kind: str
    source: str
    bands: str
    njy: float | None  # of a number 1; None: not a flux
    value: float = float("nan")  # raw, at y = 60 (or the last row), x = 40, of the second plane of a cube
    sky: tuple[float, float] | None = None  # of this pixel
    hand: int = -1  # -1 as on the sky, +1 mirrored
    unit: str = "nJy"
    masked: float = 0.0
    sigma: bool = False
    make: object = field(default=None, repr=False)  # what to make of the file, in place of loading it
    noted: str = ""


def from_hdus(*hdus):
    """Load what astropy writes, from memory."""
    first = [] if isinstance(hdus[0], fits.PrimaryHDU) else [fits.PrimaryHDU()]
    buffer = io.BytesIO()
    fits.HDUList([*first, *hdus]).writeto(buffer)
    return buffer.getvalue()


def compressed(path, _):
    """Tile-compressed without loss."""
    data, header = fits.getdata(path, header=True)
    hdu = fits.CompImageHDU(data, header, compression_type="GZIP_2", quantize_level=0)
    return load_cutout(from_hdus(hdu))


def bzipped(path, folder):
    target = folder / "frame.fits.bz2"
    target.write_bytes(bz2.compress(Path(path).read_bytes()))
    return load_cutout(target)


def scaled(path, _):
    """int16 with BSCALE and BZERO: to a quarter of a count."""
    data, header = fits.getdata(path, header=True)
    hdu = fits.PrimaryHDU(data.astype(np.float64), header)
    hdu.scale("int16", bscale=0.5, bzero=100.0)
    return load_cutout(from_hdus(hdu))


def skycell(path, _):
    """A Pan-STARRS skycell as it is stored: asinh-scaled."""
    data, header = fits.getdata(path, header=True)
    header["BSOFTEN"], header["BOFFSET"] = 221.9, 7.17
    values = 2.5 * np.log10(np.e) * np.arcsinh((data.astype(float) - 7.17) / (2 * 221.9))
    return load_cutout(from_hdus(fits.PrimaryHDU(values.astype(np.float32), header)))


def second_twin(path, _):
    data, header = fits.getdata(path, header=True)
    hdus = [fits.ImageHDU(plane, header, name="CUTOUT", ver=i) for i, plane in ((1, data), (2, data + 1))]
    return load_cutout(from_hdus(*hdus), hdu="CUTOUT,2")


def with_files_beside(path, _):
    folder = Path(path).parent
    return load_cutout(
        path, companions=Companions(folder / "mask.fits", folder / "sigma.fits", folder / "psf.fits")
    )


def with_band(path, _, band="r"):
    return load_cutout(path, bands=(band,))


def griz(path, _):
    return load_cutout([str(path).replace("_g.fits", f"_{band}.fits") for band in "griz"])


def with_pan_starrs(path, _):
    other = Path(path).parents[2] / "services/panstarrs_fitscut/PS1_r.fits"
    return load_bands([path, other], reference="g")


DES, GADOTTI = "fits/hostphot/DES_g.fits", "fits/sdss_gadotti/Plate0270_MJD51909_Fiber095_r/image.fits"
DES_AT = {"value": 3.032290458679199, "sky": (27.9461487, 0.2590995), "hand": 1}
PS1, PS1_NJY = "services/panstarrs_fitscut/PS1_g.fits", 3631e9 * 10**-10 / 860
PS1_AT = {"value": 54.22210693359375, "sky": (27.9575192, 0.259355)}
ROWS = [
    Row("image in HDU 0, CD, mirrored; weights beside", DES, "g", 3.631, **DES_AT, sigma=True),
    Row(
        "image in HDU 1, zero point in HDU 0",
        "fits/hsc_galmask/gal1_G.fits",
        "g",
        ab_flux(27.0),
        -0.039378758519887924,
        (150.157331, 1.2331308),
    ),
    Row(
        "image by EXTNAME",
        "fits/hsc_astroquery/image.fits",
        "r",
        ab_flux(27.0),
        -0.04930349439382553,
        (34.0022956, -5.0013849),
    ),
    Row(
        "extensions a band, inverse variance",
        "fits/decals_pysersic/cutout_59.1067_-30.4848.fits",
        "grz",
        NMGY,
        -1.1085969163104892e-05,
        (59.1141461, -30.4897581),
        sigma=True,
    ),
    Row(
        "cube of bands, 3-axis header",
        "fits/decals_gz/example_a.fits",
        "grz",
        NMGY,
        -0.001010023639537394,
        (0.0105917, 0.687634),
    ),
    Row("one file a band, one grid", DES, "griz", 3.631, sky=DES_AT["sky"], hand=1, sigma=True, make=griz),
    Row(
        "one file a band, two grids",
        DES,
        "gr",
        3.631,
        sky=DES_AT["sky"],
        hand=1,
        masked=0.05,
        make=with_pan_starrs,
        noted="sigma left out",
    ),
    Row(
        "mask, sigma and PSF in files beside",
        GADOTTI,
        "r",
        NMGY,
        -0.014617919921875,
        (153.3445941, -0.852294),
        masked=0.10,
        sigma=True,
        make=with_files_beside,
    ),
    Row(
        ".gz; PC1_1; electrons per second",
        "fits/hst_petrofit/abell_2744_cd_galaxy_f105w.fits.gz",
        "F105W",
        hst(3.03865739999999e-20, 10551.047),
        0.001650169724598527,
        (3.5977788, -30.3939242),
    ),
    Row(".fz, tile-compressed", DES, "g", 3.631, **DES_AT, make=compressed),
    Row(
        ".bz2",
        "fits/hostphot/SDSS_r.fits",
        "r",
        NMGY,
        0.003696441650390625,
        (27.8627143, 0.2059257),
        make=bzipped,
    ),
    Row("int16 with BSCALE and BZERO", PS1, "g", PS1_NJY, **PS1_AT, make=scaled),
    Row("int16, no WCS, no unit", "fits/m51/M51.fits", "r", None, 38.0, unit="uncalibrated", make=with_band),
    Row(
        "float64 big-endian cube without names",
        "fits/scarlet/Cut_HSC.fits",
        "band1,band2,band3,band4,band5",
        None,
        unit="uncalibrated",
        noted="does not name its bands",
    ),
    Row("PC001001, huge CRPIX, no RADESYS in the stack", PS1, "g", PS1_NJY, **PS1_AT),
    Row("asinh-scaled skycell", PS1, "g", PS1_NJY, **PS1_AT, make=skycell),
    Row(
        "CDELT and CROTA",
        "services/native_archive_cutouts/2010H__GALEX__GALEX_FUV.fits",
        "FUV",
        None,
        0.0,
        (121.6348001, 1.011067),
        unit="uncalibrated",
    ),
    Row(
        "SIP without -SIP, drizzled",
        "fits/hst_candels/wide2_3550/GDS_wide2_3550_h.fits",
        "F160W",
        hst(1.9106045e-20, 15369.172),
        0.008233040571212769,
        (53.0582485, -27.8622656),  # of the V image, on this grid and without SIP
        noted="left out: the image is drizzled",
    ),
    Row(
        "TPV distortion; counts",
        "fits/decam_interacting/132_gband.fits",
        "g",
        None,
        86.6432113647461,
        (358.1617702, -11.1994979),
        hand=1,
        unit="uncalibrated",
        masked=0.12,
        make=lambda path, _: load_cutout(path, bands=("g",)),
    ),
    Row(
        "axes turned by 90 degrees",
        "fits/hostphot/SDSS_r.fits",
        "r",
        NMGY,
        0.003696441650390625,
        (27.8627143, 0.2059257),
    ),
    Row("NaN border", GADOTTI, "r", NMGY, -0.014617919921875, (153.3445941, -0.852294), masked=0.10),
    Row(
        "hips2fits, with NaN holes",
        "services/hips2fits/2010ag__GALEX__GALEX_FUV_v2.fits",
        "band1",
        None,
        0.0,
        (256.0120561, 31.4771309),
        unit="uncalibrated",
        masked=0.07,
    ),
    Row(
        "non-square; DN without a zero point",
        "fits/sdss_imfit/n3073rss_small.fits",
        "r",
        None,
        11.96923828125,
        (150.2110789, 55.6056627),
        unit="uncalibrated",
    ),
    Row(
        "WISE Atlas, clipped: Vega + 2.699",
        "services/native_archive_cutouts/2010ai__WISE__WISE_W1.fits",
        "W1",
        ab_flux(20.5 + 2.699),
        3.1114044189453125,
        (194.8890254, 28.014417),
    ),
    Row(
        "2MASS Atlas, SIN: Vega + 0.91",
        "services/native_archive_cutouts/2010H__2MASS__2MASS_J.fits",
        "j",
        ab_flux(20.8058 + 0.91),
        113.58435821533203,
        (121.6094357, 1.0335498),
        masked=0.02,
    ),
    Row(
        "SDSS frame with sky and tables",
        "services/native_archive_cutouts/2010H__SDSS__SDSS_r.fits",
        "r",
        NMGY,
        0.002849578857421875,
        (121.5623222, 0.9876577),
    ),
    Row(
        "HST: ELECTRONS, cps by Drizzle; are electrons",
        "fits/hst_dopterian/SCI_F814W.fits",
        "F814W",
        hst(7.0073061e-20, 8059.3491) / 8080,
        2.611754894256592,
        (22.9889146, -13.6098222),
    ),
    Row(
        "HST: ELECTRONS, cps by Drizzle; are cps",
        "fits/cosmos_galsim/100610.img.fits",
        "F814W",
        hst(7.07236e-20, 8059.7598),
        0.011122336611151695,
        (150.1121882, 2.5327721),
    ),
    Row(
        "HST segmentation map, header of its image",
        "fits/hst_candels/wide2_3550/GDS_wide2_3550_segmap.fits",
        "F160W",
        None,
        unit="electron / s",
    ),
    Row(
        "map of noise",
        "fits/hst_petrofit/abell_2744_dwarf_galaxy_f105w_rms.fits.gz",
        "band1",
        None,
        unit="uncalibrated",
        noted="says sigma",
    ),
    Row(
        "no header at all",
        "fits/hsc_galmask/gal.fits",
        "band1",
        None,
        -0.04735524207353592,
        unit="uncalibrated",
    ),
    Row(
        "EXTVER twins, the second asked for",
        PS1,
        "g",
        PS1_NJY,
        PS1_AT["value"] + 1,
        PS1_AT["sky"],
        make=second_twin,
    ),
    Row("JPEG", "services/legacysurvey_jpeg_cutout/Legacy_cuts__L132.jpg", "R,G,B", None, unit="display"),
]


def truncated(path, folder):
    (folder / "a.fits").write_bytes(Path(path).read_bytes()[:100_000])
    return load_cutout(folder / "a.fits")


def written(content):
    def make(_, folder):
        (folder / "a.fits").write_bytes(content)
        return load_cutout(folder / "a.fits")

    return make


def unnamed_twin(path, _):
    data = fits.getdata(path)
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *(fits.ImageHDU(data, name="CUTOUT", ver=i) for i in (1, 2))]).writeto(
        buffer
    )
    return load_cutout(buffer.getvalue())


HUNDRED = "fits/cosmos_galsim/real_galaxy_images_extension.fits"
REFUSED = [
    (
        "stale WCS, position of the galaxy given",
        "fits/hostphot/SDSS_r.fits",
        lambda path, _: load_cutout(path, position=SkyCoord(27.952, 0.2635, unit="deg")),
        "The WCS may be wrong",
    ),
    (
        "one file a band on two grids, not asked for",
        DES,
        lambda path, _: load_cutout([path, Path(path).parent / "SDSS_r.fits"]),
        "bands of one shape",
    ),
    ("EXTVER twins, none asked for", PS1, unnamed_twin, "Choose with hdu=..."),
    ("a hundred galaxies in a file", HUNDRED, None, "Choose with hdu=..."),
    ("truncated", DES, truncated, "a whole FITS file"),
    ("zero-length", DES, written(b""), "an empty file"),
    ("HTML named .fits", DES, written(b"<!DOCTYPE html><html>503 Service Unavailable"), "a web page"),
    ("text of a service", "services/ps1filenames/no_coverage.txt", None, "found='text'"),
]


@pytest.fixture(scope="module")
def table():
    """Lines that the tests add and the end prints."""
    lines = []
    yield lines
    head = ("kind", "bands", "unit", "shape", "sky", "masked", "sigma", "calibration or reason")
    rows = [head, *lines]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    print("\n\nFITS kinds and what each became")  # noqa: T201
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())  # noqa: T201


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.kind)
def test_a_kind_becomes_the_right_cutout(real_data, tmp_path, table, row):
    make = row.make or (lambda path, _: load_cutout(path))
    cutout = make(real_data / row.source, tmp_path)
    assert isinstance(cutout, Cutout)
    bands = tuple(row.bands.split(",")) if "," in row.bands or len(row.bands) > 4 else tuple(row.bands)
    assert cutout.bands in (bands, (row.bands,))
    assert str(cutout.unit) == row.unit
    assert cutout.calibrated == (row.njy is not None)
    y = min(60, cutout.shape[0] - 1)
    if np.isfinite(row.value):
        tolerance = 0.26 if row.make is scaled else abs(row.value) * 2e-4 if row.make is skycell else 1e-9
        plane = cutout.flux[1 if row.bands == "grz" else 0]
        njy = row.njy or 1.0
        assert plane[y, 40] == pytest.approx(row.value * njy, rel=2e-7, abs=tolerance * njy)
    if row.sky is not None:
        seen = cutout.wcs.pixel_to_world(40, y)
        expected = SkyCoord(*row.sky, unit="deg", frame=seen.frame)
        assert seen.separation(expected) < 0.001 * u.arcsec
        assert np.sign(np.linalg.det(cutout.wcs.pixel_scale_matrix)) == row.hand
    assert cutout.masked_fraction >= row.masked - 0.005
    assert row.masked > 0 or cutout.masked_fraction < 0.01
    assert (cutout.sigma is not None) == row.sigma
    notes = " ".join(cutout.meta.get("notes", []))
    assert row.noted in notes
    assert cutout.flux.dtype == np.float32
    assert cutout.flux.dtype.isnative
    said = []
    for part in cutout.meta.get("parts", [cutout.meta]):
        own = part.get("calibration", "a picture, whose rows are reversed")
        said += own if isinstance(own, list) else [own]
    sky = "-" if cutout.wcs is None else f"{cutout.position.ra.deg:.4f} {cutout.position.dec.deg:+.4f}"
    table.append(
        (row.kind, ",".join(cutout.bands), str(cutout.unit), f"{cutout.shape[0]} x {cutout.shape[1]}", sky,
         f"{cutout.masked_fraction:.1%}", "yes" if row.sigma else "-", "; ".join(dict.fromkeys(said))[:100])
    )  # fmt: skip


@pytest.mark.parametrize(("kind", "source", "make", "said"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_kind_is_refused_with_its_reason(real_data, tmp_path, table, kind, source, make, said):
    with pytest.raises(UnreadableImageError) as caught:
        (make or (lambda path, _: load_cutout(path)))(real_data / source, tmp_path)
    assert said in str(caught.value)
    table.append((kind, "-", "refused", "-", "-", "-", "-", said))


def samples(real_data):
    folders = [real_data / "fits", real_data / "services"]
    return sorted(path for folder in folders for path in folder.rglob("*") if path.is_file())


def test_every_sample_is_a_cutout_or_says_why_not(real_data):
    """All files there are: pixels and places as by astropy, and never another error."""
    refused, calibrated = [], Counter()
    for path in samples(real_data):
        if path.name == "README.md":
            continue
        try:
            cutout = load_cutout(path)
        except UnreadableImageError:
            refused.append(path.name)
            continue
        if path.suffix == ".jpg":
            continue
        with warnings.catch_warnings(), fits.open(path, memmap=False) as hdulist:
            warnings.simplefilter("ignore", FITSFixedWarning)
            hdu = next(one for one in hdulist if one.is_image and one.shape and len(one.shape) > 1)
            raw = np.asarray(hdu.data, dtype=float).reshape(-1, *hdu.shape[-2:])[0]
            wcs = WCS(hdu.header, hdulist, naxis=2)
        if "D001VER" in hdu.header:  # drizzled
            wcs.sip = None
        factor = 1.0
        if cutout.calibrated:
            calibrated[path.relative_to(real_data).parts[1]] += 1
            zero_point = cutout.meta["zero_point_ab"]
            factor = ab_flux(zero_point[0] if isinstance(zero_point, list) else zero_point)
        np.testing.assert_allclose(cutout.flux[0], raw * factor, rtol=3e-6, atol=1e-30, err_msg=str(path))
        if wcs.has_celestial:
            places = [[0, 0], [cutout.shape[1] - 1, cutout.shape[0] - 1]]
            apart = cutout.wcs.all_pix2world(places, 0) - wcs.all_pix2world(places, 0)
            assert np.abs(apart).max() < 1e-9, path
        else:
            assert cutout.wcs is None, path
    assert refused == ["real_galaxy_images_extension.fits", "no_coverage.txt", "real_rows.txt"]
    assert calibrated == CALIBRATED


#: How many of the samples of each folder come out in nJy; the others state no unit, or one that is
#: no flux. Calibrated and uncalibrated files of one folder differ by their cards.
CALIBRATED = {
    "cosmos_galsim": 2,
    "decals_gz": 1,
    "decals_pysersic": 1,
    "hostphot": 8,
    "hsc_astroquery": 1,
    "hsc_galmask": 1,
    "hst_candels": 12,
    "hst_dopterian": 5,
    "hst_petrofit": 3,
    "sdss_gadotti": 12,
    "des_sia_noirlab": 6,
    "hsc_cutout": 13,
    "legacysurvey_fits_cutout": 3,
    "native_archive_cutouts": 17,
    "panstarrs_fitscut": 6,
}
