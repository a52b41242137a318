"""Undamaged files of each format, and how galcnn reads them."""

import bz2
import functools
import gzip
import io
import json
import lzma
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from PIL import Image

from galcnn.catalog.formats import read_table, write_table
from galcnn.cutout import Cutout
from galcnn.errors import UnreadableImageError
from galcnn.explain import Explanation
from galcnn.files import load_cutout, save_cutout
from galcnn.layers import LayerStack, read_stacks
from galcnn.model import Card, InputSpec, Target
from galcnn.prediction import Prediction

SHAPE = (16, 18)


@dataclass(frozen=True)
class Format:
    """Undamaged files of one format, and their reader.

    Attributes
    ----------
    name : str
        Name of the format.
    suffix : str
        Suffix of a file.
    bases : mapping of str to callable
        Name -> function that returns the content of an undamaged file.
    read : callable
        Function of a path that returns name -> value, and the notes.
    refusals : tuple of type
        Exceptions that the reader documents.
    seals : tuple of bytes
        Texts that introduce a checksum of the content.
    """

    name: str
    suffix: str
    bases: Mapping[str, Callable[[], bytes]]
    read: Callable[[Path], tuple[dict[str, object], list[str]]]
    refusals: tuple[type[Exception], ...]
    seals: tuple[bytes, ...] = ()

    def sealed(self, whole: bytes, damaged: bytes) -> bool:
        """Tell whether the checksums of the undamaged file are all still there, and can tell the damage."""
        if self.seals == _SUMS and len(damaged) == len(whole) and _sums_hold(damaged):
            return False
        counts = [(whole.count(seal), damaged.count(seal)) for seal in self.seals]
        return any(n for n, _ in counts) and all(n <= left for n, left in counts)


def _sums_hold(content: bytes) -> bool:
    """Tell whether, by astropy, all sums of a FITS file match: they do not see all exchanges of bytes."""
    try:
        with (
            warnings.catch_warnings(),
            fits.open(io.BytesIO(content), disable_image_compression=True) as hdus,
        ):
            warnings.simplefilter("ignore")
            return all(hdu.verify_checksum() == hdu.verify_datasum() == 1 for hdu in hdus)
    except Exception:
        return False


# What galcnn reads -----------------------------------------------------------------------------
def of_cutout(cutout: Cutout) -> dict[str, object]:
    """Return what a cutout states."""
    place = cutout.position and (float(cutout.position.icrs.ra.deg), float(cutout.position.icrs.dec.deg))
    corner = None
    if cutout.wcs is not None:
        corner = [float(x) for x in cutout.wcs.wcs_pix2world([[0, 0]], 0)[0]]
    return {
        "flux": cutout.flux,
        "mask": cutout.mask,
        "sigma": cutout.sigma,
        "psf": cutout.psf,
        "bands": cutout.bands,
        "unit": str(cutout.unit),
        "position": place,
        "corner": corner,
        "redshift": cutout.redshift,
    }


def image(path: Path) -> tuple[dict[str, object], list[str]]:
    """Read an image."""
    cutout = load_cutout(path)
    return of_cutout(cutout), [*cutout.meta.get("notes", []), *map(str, _doubts(cutout.meta))]


def _doubts(meta: Mapping[str, object]) -> list[object]:
    """Return what the meta of a cutout says besides the notes: that the calibration is not known, and why."""
    return [meta[key] for key in ("calibration", "checksum_mismatch") if key in meta]


def table(path: Path) -> tuple[dict[str, object], list[str]]:
    """Read a table."""
    found = read_table(path)
    return {name: _plain(found[name]) for name in found.colnames}, []


def _plain(column: object) -> object:
    unit = str(getattr(column, "unit", None) or "")
    values = getattr(column, "value", column)
    mask = np.broadcast_to(np.asarray(getattr(values, "mask", False)), np.shape(values))
    return [unit, *np.asarray(np.ma.getdata(values)).astype(str).ravel().tolist(), *mask.ravel().tolist()]


def card(path: Path) -> tuple[dict[str, object], list[str]]:
    """Read a model card."""
    return {"card": json.dumps(Card.read(path).to_dict(), sort_keys=True)}, []


def layers(path: Path) -> tuple[dict[str, object], list[str]]:
    """Read a layers file."""
    values: dict[str, object] = {}
    for n, stack in enumerate(read_stacks(path)):
        values |= {f"{n} {key}": value for key, value in of_cutout(stack.cutout).items()}
        values |= {f"{n} logits": stack.prediction.logits, f"{n} classes": stack.prediction.classes}
        values |= {f"{n} {i}": one.attribution for i, one in enumerate(stack.explanations)}
    return values, []


# Undamaged files -------------------------------------------------------------------------------
def sky() -> np.ndarray:
    """Return a galaxy in noise."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] - np.array(8.0)
    noise = np.random.default_rng(1).normal(size=SHAPE)
    return (100 * np.exp(-(x**2 + y**2) / 18) + noise).astype(np.float32)


def header(**cards: object) -> fits.Header:
    """Return the header of a calibrated image with a WCS."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [150.1, 2.2], [9.5, 8.5]
    wcs.wcs.cdelt = [-0.4 / 3600, 0.4 / 3600]
    made = wcs.to_header()
    made.update({"FILTER": "r", "BUNIT": "nJy", **cards})
    return made


def written(*hdus: object, checksum: bool = False) -> bytes:
    """Return the content of a FITS file."""
    stream = io.BytesIO()
    fits.HDUList(list(hdus)).writeto(stream, checksum=checksum)
    return stream.getvalue()


def plain() -> bytes:
    """Return a plain image."""
    return written(fits.PrimaryHDU(sky(), header()))


def summed() -> bytes:
    """Return an image with checksums."""
    return written(fits.PrimaryHDU(sky(), header()), checksum=True)


def scaled() -> bytes:
    """Return an image of scaled integers."""
    hdu = fits.PrimaryHDU(np.round(sky() * 10).astype(np.int16), header())
    hdu.header.update({"BSCALE": 0.1, "BZERO": 5.0, "BLANK": -32768})
    return written(hdu)


def extensions() -> bytes:
    """Return an image with noise and flags in extensions."""
    flags = (sky() > 90).astype(np.int32)
    return written(
        fits.PrimaryHDU(),
        fits.ImageHDU(sky(), header(), name="SCI"),
        fits.ImageHDU(np.ones(SHAPE, np.float32), header(), name="ERR"),
        fits.ImageHDU(flags, header(), name="DQ"),
    )


def cube() -> bytes:
    """Return an image of several bands in a cube."""
    return written(fits.PrimaryHDU(np.stack([sky(), 2 * sky(), 3 * sky()]), header(BANDS="grz")))


def tiles(kind: str, *, checksum: bool = False) -> bytes:
    """Return a tile-compressed image."""
    values = sky() if kind.startswith("GZIP") else np.round(sky() * 10).astype(np.int32)
    if kind == "PLIO_1":
        values = np.clip(values, 0, 100)
    packed = fits.CompImageHDU(values, header(), compression_type=kind, tile_shape=(4, SHAPE[1]))
    return written(fits.PrimaryHDU(), packed, checksum=checksum)


def _saved(write: Callable[[Path], object], suffix: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"whole{suffix}"
        write(path)
        return path.read_bytes()


def _cutout() -> Cutout:
    wcs = WCS(header()).celestial
    psf = np.full((2, 3, 3), 1 / 9, np.float32)
    planes = np.stack([sky(), 2 * sky()])
    place = SkyCoord(150.1, 2.2, unit="deg")
    more = {"sigma": np.ones_like(planes), "psf": psf, "redshift": 0.05, "meta": {"address": "fuzz"}}
    return Cutout(planes, ("g", "r"), wcs=wcs, position=place, unit=u.nJy, mask=planes > 150, **more)


def ours() -> bytes:
    """Return a cutout as galcnn writes it."""
    return _saved(functools.partial(save_cutout, _cutout()), ".fits")


def stack() -> bytes:
    """Return a layers file."""
    classes = ("round", "thin")
    target = Target.of_class("round", classes)
    maps = np.random.default_rng(2).normal(size=(2, *SHAPE)).astype(np.float32)
    explained = Explanation(maps, ("g", "r"), "saliency", target, "flux", "nJy-1", 0.5)
    made = LayerStack(_cutout(), Prediction(("a",), [[0.5, -0.5]], classes), (explained,), {"model": "m"})
    return _saved(made.write, ".fits")


def picture(kind: str, mode: str = "RGB", **options: object) -> bytes:
    """Return a picture."""
    grey = np.clip(sky(), 0, 255).astype(np.uint8)
    made = Image.fromarray(np.stack([grey, grey[::-1], grey[:, ::-1]], axis=-1)).convert(mode)
    if mode == "I;16":
        made = Image.fromarray(grey.astype(np.uint16) * 200)
    stream = io.BytesIO()
    made.save(stream, kind, **options)
    return stream.getvalue()


def zipped(content: bytes) -> bytes:
    """Return a zip archive of one file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image.fits", content)
    return stream.getvalue()


def galaxies() -> QTable:
    """Return a catalog."""
    rows = range(12)
    return QTable(
        {
            "id": [f"1237648721{i:09d}" for i in rows],
            "ra": np.linspace(150, 151, 12) * u.deg,
            "dec": np.linspace(-2, 2, 12) * u.deg,
            "class": ["spiral", "elliptical, round"] * 6,
            "n": np.arange(12) + 2**53,
            "mag": np.linspace(14, 17, 12),
        }
    )


def written_card() -> bytes:
    """Return the card of a model."""
    prior = {"round": 0.5, "thin": 0.5}
    made = Card(("round", "thin"), InputSpec(("g", "r"), "nJy", (16, 16), 0.4), class_prior=prior)
    return _saved(made.write, ".json")


def _catalog(suffix: str) -> Format:
    def make() -> bytes:
        return _saved(functools.partial(write_table, galaxies()), suffix)

    return Format(suffix[1:], suffix, {"catalog": make}, table, (ValueError,))


_FITS = {
    "plain": plain,
    "summed": summed,
    "scaled": scaled,
    "extensions": extensions,
    "cube": cube,
    "ours": ours,
    "summed tiles": functools.partial(tiles, "RICE_1", checksum=True),
} | {kind: functools.partial(tiles, kind) for kind in ("RICE_1", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1")}
_SUMS = (b"CHECKSUM=", b"DATASUM =")
_IMAGE = (UnreadableImageError,)

FORMATS = {
    one.name: one
    for one in (
        Format("fits", ".fits", _FITS, image, _IMAGE, _SUMS),
        Format(
            "jpeg",
            ".jpg",
            {
                "colour": functools.partial(picture, "JPEG"),
                "grey": functools.partial(picture, "JPEG", "L"),
                "progressive": functools.partial(picture, "JPEG", progressive=True),
                "cmyk": functools.partial(picture, "JPEG", "CMYK"),
            },
            image,
            _IMAGE,
        ),
        Format(
            "png",
            ".png",
            {mode: functools.partial(picture, "PNG", mode) for mode in ("RGB", "RGBA", "L", "P", "I;16")},
            image,
            _IMAGE,
        ),
        Format(
            "packed",
            ".fits",
            {
                "gz": lambda: gzip.compress(plain(), mtime=0),
                "bz2": lambda: bz2.compress(plain()),
                "xz": lambda: lzma.compress(plain()),
                "zip": lambda: zipped(plain()),
                "gz of tiles": lambda: gzip.compress(tiles("RICE_1"), mtime=0),
            },
            image,
            _IMAGE,
            (b"",),  # each of them has a checksum of its content
        ),
        _catalog(".csv"),
        _catalog(".ecsv"),
        _catalog(".parquet"),
        _catalog(".vot"),
        Format(
            "fits-table",
            ".fits",
            _catalog(".fits").bases,
            table,
            (ValueError,),
        ),
        Format("card", ".json", {"card": written_card}, card, (ValueError,), (b'"card_sha256"',)),
        Format("layers", ".fits", {"stack": stack}, layers, _IMAGE, _SUMS),
    )
}
