"""Cutouts of mosaics are those of astropy bit by bit, on the same place of the sky, in little memory."""

import bz2
import errno
import gzip
import mmap
import tracemalloc
import warnings

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.nddata import Cutout2D
from astropy.table import QTable
from astropy.wcs import WCS

from galcnn._runtime.reader import unpack
from galcnn.catalog import Catalog
from galcnn.cutout import LARGEST_SIDE
from galcnn.errors import UnreadableImageError
from galcnn.files import load_cutout, sources
from galcnn.mosaic import MosaicFile, cut, open_mosaic
from galcnn.mosaic.cutting import TOO_WIDE
from galcnn.mosaic.pixels import Strips
from galcnn.mosaic.positions import pixel_positions
from galcnn.mosaic.tiles import Tiles
from tests.mosaic import mosaics

KINDS = {
    "plain": mosaics.write_plain,
    "integers": mosaics.write_integers,
    "unsigned": mosaics.write_unsigned,
    "rows": mosaics.write_compressed,
    "tiles": lambda path: mosaics.write_compressed(path, tile=(64, 50)),
    "gzip tiles": lambda path: mosaics.write_compressed(path, tile=(100, 420), kind="GZIP_2"),
    "dithered rows": lambda path: mosaics.write_compressed(path, dither=1),
    "dithered tiles": lambda path: mosaics.write_compressed(path, tile=(64, 50), dither=2),
    "gz": lambda path: mosaics.pack(mosaics.write_plain(path), gzip),
    "bz2": lambda path: mosaics.pack(mosaics.write_plain(path), bz2),
    "gz of tiles": lambda path: mosaics.pack(mosaics.write_compressed(path, tile=(64, 50)), gzip),
}


def read_whole(path):
    """As astropy reads it."""
    with fits.open(path) as hdus, warnings.catch_warnings():
        hdu = next(one for one in hdus if one.is_image and one.shape)
        return np.array(hdu.data), WCS(hdu.header)


@pytest.mark.parametrize("side", [1, 32, 33])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_those_of_cutout2d_bit_by_bit(tmp_path, kind, side):
    path = KINDS[kind](tmp_path / "mosaic.fits")
    data, wcs = read_whole(path)
    catalog = mosaics.scattered(mosaics.header())
    x, y = wcs.world_to_pixel(catalog.positions)
    with open_mosaic(path) as mosaic:
        assert (mosaic.bands, mosaic.unit, mosaic.shape) == (("r",), u.nJy, mosaics.SHAPE)
        cuts = list(cut(mosaic, catalog, width=side * u.pix))
    assert sorted(one.row for one in cuts) == list(range(len(catalog)))
    n_cut = 0
    for one in cuts:
        on = -0.5 < x[one.row] < data.shape[1] - 0.5 and -0.5 < y[one.row] < data.shape[0] - 0.5
        place = (x[one.row], y[one.row])
        if not on:
            assert (one.cutout, one.coverage, one.reason) == (None, 0.0, "not on the mosaic")
            continue
        theirs = Cutout2D(data.astype(float), place, (side, side), wcs=wcs, mode="partial", fill_value=np.nan)
        if np.isnan(theirs.data).all():
            assert one.cutout is None
            continue
        n_cut += 1
        with np.errstate(over="ignore"):
            expected = (theirs.data * 3631.0).astype(np.float32)
        assert one.cutout.flux[0].tobytes() == expected.tobytes()
        assert np.array_equal(one.cutout.mask[0], np.isnan(theirs.data))
        assert one.coverage == pytest.approx(np.isfinite(theirs.data).mean())
        assert one.cutout.flux.dtype == np.float32
        assert one.cutout.redshift == catalog.table["redshift"][one.row]
        assert one.cutout.position.separation(catalog.positions[one.row]) < 1e-9 * u.deg
    assert n_cut > 20


@pytest.mark.parametrize("world", mosaics.WORLDS)
def test_pixels_are_on_the_same_place_of_the_sky(tmp_path, world):
    head = mosaics.header(world)
    path = mosaics.write_plain(tmp_path / "mosaic.fits", head)
    wcs = WCS(head)
    catalog = mosaics.scattered(head)
    with open_mosaic(path) as mosaic:
        before = mosaic.wcs.wcs.crpix.tolist()
        cuts = [one for one in cut(mosaic, catalog, width=21 * u.pix) if one.cutout is not None]
        assert mosaic.wcs.wcs.crpix.tolist() == before
    assert len(cuts) > 20
    inner = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [10.0, 10.0]])
    for one in cuts:
        y0, x0 = one.cutout.meta["corner"]
        here = one.cutout.wcs.pixel_to_world(*inner.T).icrs
        there = wcs.pixel_to_world(*(inner + np.array([x0, y0])).T).icrs
        assert np.all(here.separation(there) < 1e-9 * u.deg)
        # The galaxy is on the middle pixel.
        x, y = one.cutout.wcs.world_to_pixel(one.cutout.position)
        assert max(abs(x - 10), abs(y - 10)) <= 0.5 + 1e-4
    moved = cuts[0].cutout.wcs
    moved.wcs.crpix = [1e6, 1e6]  # is of this cutout alone
    assert cuts[1].cutout.wcs.wcs.crpix.tolist() != [1e6, 1e6]


def test_a_distortion_that_astropy_cannot_undo():
    """One and a half pixels of shift a pixel: the fixed point of all_world2pix runs away."""
    wcs = WCS(mosaics.header("sip", A_1_0=1.5, B_0_1=1.2))
    grid = np.meshgrid(np.arange(20.0, 400, 13), np.arange(20.0, 280, 13))
    x, y = (values.ravel() for values in grid)
    sky = wcs.pixel_to_world(x, y).icrs
    theirs = wcs.all_world2pix(sky.ra.deg, sky.dec.deg, 0, quiet=True)
    assert np.abs(theirs - np.stack([x, y])).max() > 100  # so that this tests something
    assert np.stack(pixel_positions(sky, wcs, mosaics.SHAPE)) == pytest.approx(np.stack([x, y]), abs=1e-4)


def test_the_whole_sky_is_no_mosaic(tmp_path):
    """A projection shows the far side of the sky, and a distortion runs wild outside of the image."""
    head = mosaics.header("sip", CD1_1=-0.05, CD1_2=0.0, CD2_1=0.0, CD2_2=0.05)
    wcs = WCS(head)
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(0, 360, 3000), np.degrees(np.arcsin(rng.uniform(-1, 1, 3000)))
    catalog = Catalog(QTable({"id": [str(i) for i in range(3000)], "ra": ra, "dec": dec}))
    x, y = pixel_positions(catalog.positions, wcs, mosaics.SHAPE)
    on = np.flatnonzero(~np.isnan(x))
    assert 5 < len(on) < 100
    back = wcs.pixel_to_world(x[on], y[on])
    assert np.all(back.separation(catalog.positions[on]) < 0.01 * u.deg)
    # By brute force: the nearest pixel of the mosaic.
    grid = wcs.pixel_to_world(*np.meshgrid(np.arange(8, 412, 4), np.arange(8, 292, 4)))
    near = [i for i, place in enumerate(catalog.positions) if place.separation(grid).min() < 0.1 * u.deg]
    assert set(near) <= set(on.tolist())


def test_bands_of_several_files_a_cube_and_extensions_are_one(tmp_path):
    layers = {band: mosaics.pixels(seed) for seed, band in enumerate("gri")}
    for band, data in layers.items():
        mosaics.write_plain(tmp_path / f"{band}.fits", mosaics.header(FILTER=band), data)
    cube = mosaics.header(FILTER="gri")
    fits.PrimaryHDU(np.stack(list(layers.values())), cube).writeto(tmp_path / "cube.fits")
    hdus = [fits.PrimaryHDU()]
    hdus += [fits.ImageHDU(layers[b], mosaics.header(FILTER=b), name=f"SCI_{b}") for b in "gri"]
    fits.HDUList(hdus).writeto(tmp_path / "mef.fits")
    catalog = mosaics.scattered(mosaics.header(), 15)
    sources = ([tmp_path / f"{b}.fits" for b in "gri"], tmp_path / "cube.fits", tmp_path / "mef.fits")
    found = []
    for source in sources:
        with open_mosaic(source, bands=("i", "g")) as mosaic:
            cuts = {one.id: one.cutout for one in cut(mosaic, catalog, width=16 * u.pix)}
            found.append(cuts)
            assert mosaic.bands == ("i", "g")
    for name, cutout in found[0].items():
        if cutout is None:
            assert all(cuts[name] is None for cuts in found)
            continue
        y0, x0 = cutout.meta["corner"]
        if 0 <= y0 < 284 and 0 <= x0 < 404:
            expected = np.stack([layers[b][y0 : y0 + 16, x0 : x0 + 16] for b in "ig"]).astype(float) * 3631
            assert np.array_equal(cutout.flux, expected.astype(np.float32), equal_nan=True)
        for cuts in found[1:]:
            assert cuts[name].flux.tobytes() == cutout.flux.tobytes()
            assert cuts[name].bands == ("i", "g")


def test_mask_and_noise_come_along(tmp_path):
    rng = np.random.default_rng(5)
    data, flags = mosaics.pixels(), (rng.uniform(size=mosaics.SHAPE) < 0.1).astype(np.int16)
    sigma = rng.uniform(0.5, 2, mosaics.SHAPE).astype(np.float32)
    weight = (1 / sigma**2).astype(np.float32)
    weight[150:160] = 0
    path = tmp_path / "m.fits"
    layers = [fits.ImageHDU(data, mosaics.header(), name="SCI"), fits.CompImageHDU(flags, name="MSK")]
    fits.HDUList([fits.PrimaryHDU(), *layers, fits.ImageHDU(weight, name="WGT")]).writeto(path)
    fits.PrimaryHDU(sigma).writeto(tmp_path / "rms.fits")
    fits.PrimaryHDU(sigma**2).writeto(tmp_path / "m_var.fits")
    catalog = mosaics.scattered(mosaics.header(), 25)

    def cuts(**beside):
        with open_mosaic(MosaicFile(path, hdu="SCI", **beside)) as mosaic:
            return {one.id: one.cutout for one in cut(mosaic, catalog, width=24 * u.pix)}

    plain, by_sigma = cuts(), cuts(sigma=tmp_path / "rms.fits", mask="MSK")
    by_variance, by_weight = cuts(sigma=tmp_path / "m_var.fits"), cuts(weight="WGT")
    n_whole = 0
    for name, cutout in by_sigma.items():
        if cutout is None:
            continue
        y0, x0 = cutout.meta["corner"]
        inside = (slice(max(y0, 0), y0 + 24), slice(max(x0, 0), x0 + 24))
        part = (slice(max(-y0, 0), None), slice(max(-x0, 0), None))
        expected = np.full((24, 24), np.nan)
        n_y, n_x = data[inside].shape
        at = (slice(part[0].start, part[0].start + n_y), slice(part[1].start, part[1].start + n_x))
        expected[at] = sigma[inside] * 3631.0
        assert cutout.sigma[0] == pytest.approx(expected, rel=1e-6, nan_ok=True)
        assert by_variance[name].sigma[0] == pytest.approx(expected, rel=1e-6, nan_ok=True)
        assert np.array_equal(cutout.mask[0][at], (flags[inside] != 0) | np.isnan(data[inside]))
        assert plain[name].sigma is None
        assert not plain[name].mask[0][at][np.isfinite(data[inside])].any()
        weighted = by_weight[name]
        measured = weight[inside] > 0
        assert weighted.sigma[0][at][measured] == pytest.approx(expected[at][measured], rel=1e-5)
        assert np.isnan(weighted.sigma[0][at][~measured]).all()
        assert weighted.mask[0][at][~measured].all()
        n_whole += n_y == n_x == 24
    assert n_whole > 5


def test_a_cutout_is_what_the_loader_makes_of_the_mosaic(tmp_path):
    """Unit, zero point, survey, band: one reading of headers for both."""
    head = mosaics.header(BUNIT="ADU", SURVEY="test", VERSION="DR3", FILTER="HSC-R2")
    head["MAGZERO"] = (30.0, "AB")
    path = mosaics.write_plain(tmp_path / "mosaic.fits", head)
    loaded = load_cutout(path)
    catalog = mosaics.scattered(head, 10, beyond=-40)
    with open_mosaic(path) as mosaic:
        one = next(cut(mosaic, catalog, width=11 * u.pix)).cutout
    y0, x0 = one.meta["corner"]
    assert np.array_equal(one.flux, loaded.flux[:, y0 : y0 + 11, x0 : x0 + 11], equal_nan=True)
    assert (
        (one.bands, one.unit, one.survey)
        == (loaded.bands, loaded.unit, loaded.survey)
        == (
            ("r",),
            u.nJy,
            "test DR3",
        )
    )
    for key in ("calibration", "zero_point_ab", "format", "hdu", "path"):
        assert one.meta[key] == loaded.meta[key]


def test_widths_are_angles_pixels_or_one_a_galaxy(tmp_path):
    path = mosaics.write_plain(tmp_path / "mosaic.fits")
    catalog = mosaics.scattered(mosaics.header(), 4, beyond=-60)
    scale = np.sqrt(abs(np.linalg.det(WCS(mosaics.header()).pixel_scale_matrix))) * u.deg
    with open_mosaic(path) as mosaic:
        shapes = [one.cutout.shape for one in cut(mosaic, catalog, width=20.4 * scale)]
        assert shapes == [(20, 20)] * 4
        each = u.Quantity([10, 20, np.nan, 40]) * u.pix
        sides = {one.row: one.cutout and one.cutout.shape[0] for one in cut(mosaic, catalog, width=each)}
        assert sides == {0: 10, 1: 20, 2: None, 3: 40}
        wide = [2, LARGEST_SIDE + 1, 1e30, 3] * u.pix  # is one galaxy's matter, and takes no memory
        reasons = {one.row: one.reason for one in cut(mosaic, catalog, width=wide)}
        assert reasons == {0: "", 1: TOO_WIDE, 2: TOO_WIDE, 3: ""}
        for bad in (0 * u.pix, -1 * u.arcsec, np.inf * u.arcsec, [1, 2] * u.pix, 3 * u.kg, np.nan * u.pix):
            with pytest.raises(ValueError, match="width"):
                cut(mosaic, catalog, width=bad)
        with pytest.raises(ValueError, match="a catalog with positions"):
            cut(mosaic, Catalog(QTable({"id": ["a"]})), width=9 * u.pix)


def test_too_little_coverage_is_no_cutout(tmp_path):
    path = mosaics.write_plain(tmp_path / "mosaic.fits")
    catalog = mosaics.scattered(mosaics.header(), 60)
    with open_mosaic(path) as mosaic:
        every = {one.id: one for one in cut(mosaic, catalog, width=40 * u.pix)}
        most = {one.id: one for one in cut(mosaic, catalog, width=40 * u.pix, minimum_coverage=0.8)}
    dropped = [name for name in every if every[name].cutout is not None and most[name].cutout is None]
    assert dropped
    assert all(every[name].coverage < 0.8 for name in dropped)
    assert most[dropped[0]].reason == f"covered to {most[dropped[0]].coverage:.3f}"
    assert all(one.coverage >= 0.8 for one in most.values() if one.cutout is not None)


def test_rows_come_in_order_and_the_catalogs_order_changes_nothing(tmp_path):
    path = mosaics.write_plain(tmp_path / "mosaic.fits")
    catalog = mosaics.scattered(mosaics.header(), 150, beyond=-20)
    order = np.random.default_rng(0).permutation(150)
    with open_mosaic(path) as mosaic:
        first = list(cut(mosaic, catalog, width=12 * u.pix))
        second = list(cut(mosaic, catalog.select(order), width=12 * u.pix))
    assert [one.id for one in first] == [one.id for one in second]
    bottoms = [one.cutout.meta["corner"][0] for one in first if one.cutout is not None]
    assert bottoms == sorted(bottoms)


@pytest.mark.parametrize(("tile", "strip"), [((1, 420), 40), ((64, 50), 64), ((300, 420), 10)])
def test_each_tile_is_decompressed_once(tmp_path, monkeypatch, tile, strip):
    monkeypatch.setattr("galcnn.mosaic.pixels.STRIP", strip)
    monkeypatch.setattr("galcnn.mosaic.pixels.REQUEST", 0)
    path = mosaics.write_compressed(tmp_path / "m.fits", tile=tile)
    catalog = mosaics.scattered(mosaics.header(), 400, beyond=0)
    n_tiles = -(-300 // tile[0]) * -(-420 // tile[1])
    with open_mosaic(path) as mosaic:
        source = mosaic.layers[0].pixels
        assert isinstance(source, Strips)
        looked = source.n_tiles  # at the middle, before the first cut
        n_cut = sum(one.cutout is not None for one in cut(mosaic, catalog, width=24 * u.pix))
        assert source.n_tiles - looked <= n_tiles
        assert n_cut > 300
    with open_mosaic(path) as mosaic:  # a few galaxies need not the whole
        source = mosaic.layers[0].pixels
        looked = source.n_tiles
        few = mosaics.scattered(mosaics.header(), 2, beyond=-100)
        assert all(one.cutout is not None for one in cut(mosaic, few, width=10 * u.pix))
        if tile[0] < 300:
            assert source.n_tiles - looked < n_tiles / 3


def test_plain_mosaics_are_mapped_and_cutouts_outlive_them(tmp_path):
    path = mosaics.write_plain(tmp_path / "mosaic.fits")
    with open_mosaic(path) as mosaic:
        base = mosaic.layers[0].pixels.section
        while isinstance(base, np.ndarray):
            base = base.base
        assert isinstance(base, mmap.mmap)
        kept = [
            one.cutout
            for one in cut(mosaic, mosaics.scattered(mosaics.header(), 5, beyond=-50), width=9 * u.pix)
        ]
    path.write_bytes(b"")  # whatever becomes of the file
    assert all(np.isfinite(cutout.flux).any() for cutout in kept)
    assert not any(isinstance(cutout.flux.base, np.memmap) for cutout in kept)


def test_what_was_unpacked_is_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "t"))
    (tmp_path / "t").mkdir()
    path = mosaics.pack(mosaics.write_plain(tmp_path / "mosaic.fits"), gzip)
    with open_mosaic(path):
        assert len(list((tmp_path / "t").iterdir())) == 1
    assert not list((tmp_path / "t").iterdir())


@pytest.mark.parametrize("kind", ["plain", "tiles"])
def test_memory_does_not_grow_with_the_number_of_galaxies(tmp_path, kind):
    """3000 cutouts of 64 x 64 pixels would be 49 MB."""
    path = KINDS[kind](tmp_path / "mosaic.fits")
    peaks = []
    for n in (30, 3000):
        catalog = mosaics.scattered(mosaics.header(), n, beyond=0)
        with open_mosaic(path) as mosaic:
            cuts = cut(mosaic, catalog, width=64 * u.pix)
            while next(cuts).cutout is None:  # imports, the catalog's own arrays, the first strip
                pass
            tracemalloc.start()
            assert sum(one.cutout is not None for one in cuts) > 0.9 * n
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2e6


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda p: p.write_bytes(b"<html>no"), "a whole FITS file"),
        (lambda p: fits.PrimaryHDU(np.ones((9, 9))).writeto(p), "a mosaic with a WCS"),
        (lambda p: fits.PrimaryHDU().writeto(p), "an HDU with an image"),
        (lambda p: truncated(mosaics.write_plain(p)), "a whole FITS file"),
        (lambda p: truncated(mosaics.write_compressed(p)), "a whole FITS file"),
        (lambda p: p.write_bytes(gzip.compress(b"x" * 9000)[:40]), "a whole packed file"),
    ],
)
def test_what_is_no_mosaic_is_refused(tmp_path, make, text):
    path = tmp_path / "m.fits"
    make(path)
    with pytest.raises(UnreadableImageError, match=text), open_mosaic(path):
        pass


def truncated(path):
    path.write_bytes(path.read_bytes()[:-20000])


@pytest.mark.parametrize("kind", ["RICE_1", "GZIP_2"])
def test_damaged_tiles_are_one_kind_of_error(tmp_path, kind):
    path = mosaics.write_compressed(tmp_path / "m.fits", tile=(64, 50), kind=kind)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    catalog = mosaics.scattered(mosaics.header(), 40, beyond=-20)
    for _ in range(10):
        damaged = bytearray(whole)
        for place in rng.integers(8640, len(whole) - 2880, 50):
            damaged[place] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            with open_mosaic(path) as mosaic:
                cuts = list(cut(mosaic, catalog, width=24 * u.pix))
        except UnreadableImageError:
            pass
        else:
            assert len(cuts) == 40
            assert any(one.cutout is None and "m.fits" in one.reason for one in cuts)
        with pytest.raises(UnreadableImageError):
            load_cutout(path)


def test_what_does_not_fit_together_is_refused(tmp_path):
    path = mosaics.write_plain(tmp_path / "m.fits")
    fits.PrimaryHDU(np.ones((9, 9))).writeto(tmp_path / "small.fits")
    fits.PrimaryHDU(np.ones((9, 9))).writeto(tmp_path / "small_wht.fits")
    mosaics.write_plain(tmp_path / "adu.fits", mosaics.header(BUNIT="adu", FILTER="g"))
    cases = [
        ([tmp_path / "no.fits"], {}, FileNotFoundError, "File not found: "),
        ([MosaicFile(path, mask="NOPE")], {}, UnreadableImageError, "one HDU 'NOPE'"),
        ([MosaicFile(path, mask=tmp_path / "no.fits")], {}, FileNotFoundError, "the name of an HDU"),
        ([MosaicFile(path, mask=tmp_path / "small.fits")], {}, UnreadableImageError, "like the image"),
        ([MosaicFile(path, mask=tmp_path / "small_wht.fits")], {}, UnreadableImageError, "Expected a mask"),
        ([MosaicFile(path, sigma="a", weight="b")], {}, ValueError, "sigma or weight"),
        ([path], {"bands": ("g", "i")}, UnreadableImageError, r"bands among \('r',\)"),
        ([path], {"bands": "r"}, TypeError, r"Write \('r',\)"),
        ([], {}, ValueError, "at least one mosaic"),
        ([path, path], {}, UnreadableImageError, "one plane for each band"),
        ([path, tmp_path / "adu.fits"], {}, UnreadableImageError, "bands in one unit"),
    ]
    for files, given, kind, text in cases:
        with pytest.raises(kind, match=text), open_mosaic(files, **given):
            pass


def sky_model(wcs, shape):
    """Counts of a smooth sky per pixel: the same light, whatever the pixels."""
    ny, nx = shape
    place = wcs.pixel_to_world(*np.meshgrid(np.arange(nx), np.arange(ny))).icrs
    east = (place.ra.deg - 150.0) * np.cos(np.radians(2.0)) * 3600
    north = (place.dec.deg - 2.0) * 3600
    area = abs(np.linalg.det(wcs.pixel_scale_matrix)) * 3600**2
    return (area * (100 + 60 * np.sin(east / 7) * np.cos(north / 9))).astype(np.float32)


def test_bands_on_other_grids_are_brought_to_the_first(tmp_path):
    """Another scale, upside down and turned; and one that shows half of the field."""
    other = mosaics.header("pc", FILTER="i", CDELT1=5e-5, CDELT2=-5e-5, CRPIX1=300.2, CRPIX2=250.8)
    half = mosaics.header("crota", FILTER="z", CRPIX1=211.3 - 200)
    first = mosaics.header(FILTER="r")
    shapes = {"r": mosaics.SHAPE, "i": (500, 600), "z": mosaics.SHAPE}
    for band, head in (("r", first), ("i", other), ("z", half)):
        data = sky_model(WCS(head), shapes[band])
        mosaics.write_plain(tmp_path / f"{band}.fits", head, data)
        fits.PrimaryHDU(np.full(shapes[band], 0.1, np.float32)).writeto(tmp_path / f"{band}_rms.fits")
    catalog = mosaics.scattered(first, 12, beyond=-60)
    files = [MosaicFile(tmp_path / f"{b}.fits", sigma=tmp_path / f"{b}_rms.fits") for b in "rzi"]
    with open_mosaic(files, bands=("i", "r", "z")) as mosaic:
        assert mosaic.bands == ("i", "r", "z")
    with open_mosaic(files) as mosaic:
        assert [[layer.band for layer in grid] for grid in mosaic.grids] == [["r"], ["z"], ["i"]]
        cuts = {one.id: one for one in cut(mosaic, catalog, width=16 * u.pix)}
    n_half = 0
    for one in cuts.values():
        cutout = one.cutout
        y0, x0 = cutout.meta["corner"]
        assert cutout.meta["aligned"] == ["z", "i"]
        r, z, i = cutout.flux / 3631
        assert r == pytest.approx(sky_model(WCS(first), mosaics.SHAPE)[y0 : y0 + 16, x0 : x0 + 16], rel=1e-5)
        assert i == pytest.approx(r, rel=0.005)
        assert np.nanmax(np.abs(z / r - 1), initial=0) < 0.005
        assert one.coverage == pytest.approx(np.isfinite(cutout.flux).mean())
        if np.isnan(z).all():
            n_half += 1
            assert cutout.mask[1].all()
        else:
            assert np.isfinite(cutout.sigma[2]).all()
    assert 0 < n_half < 12


def test_an_upside_down_strip_is_read_once(tmp_path, monkeypatch):
    monkeypatch.setattr("galcnn.mosaic.pixels.STRIP", 64)
    path = mosaics.write_compressed(tmp_path / "m.fits", tile=(10, 420))
    data, _ = read_whole(path)
    with open_mosaic(path) as mosaic:
        source = mosaic.layers[0].pixels
        boxes = np.array([[y, y + 20, 30, 60] for y in range(0, 280, 2)])
        source.expect(boxes)
        looked = source.n_tiles
        for y0, y1, x0, x1 in boxes[::-1].tolist():
            assert np.array_equal(source.read((y0, y1, x0, x1)), data[y0:y1, x0:x1], equal_nan=True)
        assert source.n_tiles - looked < 2 * 30


def test_tiles_are_decoded_in_another_process(tmp_path, monkeypatch):
    """What the decoder here would do of them does not matter."""
    from astropy.io.fits.hdu.compressed import _tiled_compression as decoders

    path = mosaics.write_compressed(tmp_path / "m.fits", tile=(64, 50))
    data, _ = read_whole(path)

    def dying(*_, **__):
        raise AssertionError("decoded in this process")

    monkeypatch.setattr(decoders, "_decompress_tile", dying)
    with open_mosaic(path) as mosaic:
        found = mosaic.layers[0].pixels.read((37, 201, 10, 333))
    np.testing.assert_array_equal(found, data[37:201, 10:333])


@pytest.mark.parametrize("dither", [-1, 1])
def test_parts_of_cubes_of_tiles(tmp_path, monkeypatch, dither):
    """Whatever the tiles, and however many are decoded at a time."""
    monkeypatch.setattr("galcnn.mosaic.tiles._AT_ONCE", 9000)
    data = np.random.default_rng(2).normal(size=(3, 60, 90)).astype(np.float32)
    for tile in ((1, 1, 90), (2, 25, 40), (3, 60, 7)):
        path = tmp_path / f"{tile[2]}.fits"
        fits.CompImageHDU(
            data, tile_shape=tile, quantize_level=16, quantize_method=dither, dither_seed=9998
        ).writeto(path)
        whole = fits.getdata(path)
        tiles = Tiles(path, 1)
        assert tiles.shape == data.shape
        for key in (np.s_[1, 10:52, 33:90], np.s_[2, 0:60, 0:90], np.s_[0:3, 59:60, 5:6]):
            np.testing.assert_array_equal(tiles[key], whole[key])


def test_a_damaged_tile_is_the_reason_of_its_galaxies_alone(tmp_path):
    path = mosaics.write_compressed(tmp_path / "m.fits", tile=(30, 42))
    data, wcs = read_whole(path)
    content = bytearray(path.read_bytes())
    with fits.open(path, disable_image_compression=True, memmap=False) as hdus:
        table = hdus[1]
        place, width = table._data_offset, table.header["NAXIS1"]
    row = place + 27 * width  # tile (2, 7): rows 60 to 90, columns 294 to 336
    content[row : row + 8] = (10**6).to_bytes(4, "big") + (10**8).to_bytes(4, "big")
    path.write_bytes(content)
    catalog = mosaics.scattered(mosaics.header(), 80, seed=9, beyond=-20)
    x, y = wcs.world_to_pixel(catalog.positions)
    with open_mosaic(path) as mosaic:
        cuts = list(cut(mosaic, catalog, width=10 * u.pix))
    assert len(cuts) == 80
    bad = {one.row for one in cuts if one.cutout is None}
    clear = (x < 288) | (x > 341) | (y < 54) | (y > 95)
    inside = (x > 300) & (x < 330) & (y > 66) & (y < 84)
    assert inside.any()
    assert set(np.flatnonzero(inside)) <= bad <= set(np.flatnonzero(~clear))
    assert all("tiles inside of the file" in one.reason for one in cuts if one.row in bad)
    for one in cuts:
        if one.cutout is not None:
            (y0, x0), flux = one.cutout.meta["corner"], one.cutout.flux[0]
            expected = (data[y0 : y0 + 10, x0 : x0 + 10] * np.float64(3631)).astype(np.float32)
            np.testing.assert_array_equal(flux, expected)


@pytest.mark.parametrize("module", [gzip, bz2])
def test_a_bomb_is_refused_and_a_full_disk_is_no_damage(tmp_path, monkeypatch, module):
    path = tmp_path / "m.fits.gz"
    path.write_bytes(module.compress(bytes(3 << 20)))
    monkeypatch.setattr("galcnn._runtime.reader._LIMIT_ON_DISK", 1 << 20)
    monkeypatch.setattr("galcnn._runtime.reader._RATIO", 1)
    with pytest.raises(UnreadableImageError, match=r"m\.fits\.gz: Expected at most 1 MiB"), open_mosaic(path):
        pass
    monkeypatch.setattr("galcnn._runtime.reader._LIMIT_ON_DISK", 4 << 20)
    with pytest.raises(OSError, match="No space left") as caught:
        unpack(path, "/dev/full")
    assert caught.value.errno == errno.ENOSPC


def test_sums_are_verified_once_on_opening(tmp_path, monkeypatch):
    path, calls = tmp_path / "m.fits", []
    mask = fits.ImageHDU(np.zeros(mosaics.SHAPE, np.uint8), name="MASK")
    fits.HDUList([fits.PrimaryHDU(mosaics.pixels(), mosaics.header()), mask]).writeto(path, checksum=True)
    content = bytearray(path.read_bytes())
    content[2880 + 4 * 420 * 20 + 2] ^= 1
    verify = sources.changed
    monkeypatch.setattr(sources, "changed", lambda *given: calls.append(1) or verify(*given))
    catalog = mosaics.scattered(mosaics.header(), 3, beyond=-60)
    for data, changed in ((path.read_bytes(), None), (bytes(content), ["0"])):
        path.write_bytes(data)
        calls.clear()
        with open_mosaic(MosaicFile(path, hdu=0, mask="MASK")) as mosaic:
            metas = [one.cutout.meta for one in cut(mosaic, catalog, width=9 * u.pix)]
        assert len(calls) == 1
        assert [meta.get("checksum_mismatch") for meta in metas] == [changed] * 3
        assert [any("does not match" in note for note in meta.get("notes", ())) for meta in metas] == [
            bool(changed)
        ] * 3
    with pytest.raises(UnreadableImageError, match="match their checksum"), open_mosaic(path, strict=True):
        pass
