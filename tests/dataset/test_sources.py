"""Cutouts of shards and surveys, and files that are none. Without Keras."""

import threading
from dataclasses import replace

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from PIL import Image

from galcnn.catalog import Catalog
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles, SourceSettings, pack_images, reader
from galcnn.dataset.sources import FromImages, FromMosaic, FromShards, FromSurvey
from galcnn.errors import CoverageError, UnreadableImageError
from galcnn.files import load_cutout
from galcnn.model import InputSpec, images_from, prepare
from galcnn.mosaic import cutting, open_mosaic


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Shards of 20 pictures in threes, and their catalog."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(1)
    for i in range(20):
        Image.fromarray(rng.integers(0, 256, (9, 9, 3)).astype(np.uint8)).save(folder / f"g{i}.png")
    ids = [f"g{i}" for i in range(20)]
    catalog = Catalog(QTable({"id": ids, "image": [str(folder / f"{name}.png") for name in ids]}))
    pack_images(InputFiles.of(catalog), folder / "shards", shard_size=3)
    return folder, catalog


def test_shards_give_the_images_of_their_files_by_id(pictures):
    folder, catalog = pictures
    wanted = ["g13", "nobody", "g2", "g0", "g19", "g1"]
    source = FromShards(Catalog(QTable({"id": wanted})), folder / "shards")
    found = source.read(range(1, 6))
    assert isinstance(found[0], CoverageError)
    for name, cutout in zip(wanted[2:], found[1:], strict=True):
        image = images_from([prepare(cutout, source.inputs)])
        np.testing.assert_array_equal(image, images_from([load_cutout(folder / f"{name}.png")]))
    assert len(catalog) == 20


def test_images_of_shards_are_inputs_as_they_are(pictures):
    folder, _ = pictures
    wanted = ["g13", "nobody", "g2"]
    source = FromShards(Catalog(QTable({"id": wanted})), folder / "shards")
    images, good = source.inputs_of(range(3), source.inputs)
    assert good.tolist() == [True, False, True]
    np.testing.assert_array_equal(images[good], images_from(source.read([0, 2])))
    assert source.inputs_of([0], replace(source.inputs, bands=("B", "G", "R"))) is None
    assert source.inputs_of([0], replace(source.inputs, shape=(8, 9))) is None


def test_an_altered_shard_fails_its_rows_alone(pictures, tmp_path):
    folder, catalog = pictures
    import shutil

    shutil.copytree(folder / "shards", tmp_path / "s")
    path = tmp_path / "s" / "shard-00002.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\0\0")
    found = FromShards(catalog, tmp_path / "s").read(range(20))
    bad = [i for i, one in enumerate(found) if isinstance(one, Exception)]
    assert bad == [6, 7, 8]
    assert "the shard as it was written" in str(found[6])
    record = tmp_path / "s" / "shard-00000.json"
    record.write_text(record.read_text().replace('"ids"', '"names"'))
    with pytest.raises(ValueError, match="with the ids of its galaxies"):
        FromShards(catalog, tmp_path / "s")
    with pytest.raises(FileNotFoundError, match="a folder of shards"):
        FromShards(catalog, tmp_path)


def test_shards_of_another_pixel_scale_are_refused(tmp_path):
    from galcnn.files import save_cutout

    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.4 / 3600, 0.4 / 3600]
    save_cutout(Cutout(np.ones((1, 8, 8)), ("r",), wcs=wcs), tmp_path / "a.fits")
    catalog = Catalog(QTable({"id": ["a"], "image": [str(tmp_path / "a.fits")]}))
    pack_images(InputFiles.of(catalog), tmp_path / "s")
    same = InputSpec(("r",), "nJy", (8, 8), 0.401)
    (cutout,) = FromShards(catalog, tmp_path / "s", wanted=same).read([0])
    assert str(cutout.unit) == "nJy"
    with pytest.raises(ValueError, match=r"pixels of 0.2 arcsec.*pixel_scale=0.4"):
        FromShards(catalog, tmp_path / "s", wanted=InputSpec(("r",), "nJy", (8, 8), 0.2))


def test_a_survey_is_asked_several_at_once_and_one_failure_is_one_row():
    class Slow:
        name, bands, pixel_scale = "slow", ("r",), 1 * u.arcsec
        together = threading.Barrier(3, timeout=30)  # broken if they are asked one after the other

        def cutout(self, position, width, bands=None):
            self.together.wait()
            if position.ra.deg > 2.5:
                raise CoverageError("not observed")
            return Cutout(np.full((1, 4, 4), position.ra.deg), ("r",))

    catalog = Catalog(QTable({"id": list("abc"), "ra": [1.0, 2.0, 3.0], "dec": [0.0] * 3}))
    found = FromSurvey(catalog, Slow(), 4 * u.arcsec, jobs=3).read(range(3))
    assert [float(one.flux[0, 0, 0]) for one in found[:2]] == [1.0, 2.0]
    assert isinstance(found[2], CoverageError)


@pytest.fixture
def field(tmp_path):
    """A mosaic on which each of five galaxies has pixels of its own value, and their catalog."""
    header = fits.Header({"BUNIT": "nJy", "FILTER": "r", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN"})
    header.update({"CDELT1": -1e-4, "CDELT2": 1e-4, "CRVAL1": 10.0, "CRVAL2": 0.0})
    header.update({"CRPIX1": 1.0, "CRPIX2": 1.0})
    fits.writeto(
        tmp_path / "field.fits", np.tile(np.repeat(np.arange(5.0, dtype=np.float32), 8), (8, 1)), header
    )
    places = WCS(header).pixel_to_world(8 * np.arange(5) + 3.5, np.full(5, 3.5))
    with open_mosaic(tmp_path / "field.fits") as mosaic:
        yield mosaic, Catalog(QTable({"id": list("abcde"), "ra": places.ra, "dec": places.dec}))


def failing_at(monkeypatch, column, error):
    """Let the reading of one window fail."""
    read = cutting.read_window

    def broken(layers, window):
        if window.corner[1] == column:
            raise error
        return read(layers, window)

    monkeypatch.setattr(cutting, "read_window", broken)


@pytest.mark.parametrize("error", [RuntimeError("codec"), MemoryError(), OSError("short file")])
def test_what_fails_in_one_cut_of_a_mosaic_is_the_error_of_its_row_alone(field, monkeypatch, error):
    mosaic, catalog = field
    source = FromMosaic(catalog, mosaic, 8 * u.pix)
    whole = source.read([4, 2, 0, 1])
    failing_at(monkeypatch, 16, error)
    found = source.read([4, 2, 0, 1])
    assert isinstance(found[1], UnreadableImageError)
    assert type(error).__name__ in str(found[1])
    assert [float(one.flux.mean()) for one in (found[0], *found[2:])] == [4.0, 0.0, 1.0]
    for one, other in zip(found, whole, strict=True):
        if not isinstance(one, UnreadableImageError):
            np.testing.assert_array_equal(one.flux, other.flux)
            assert one.position == other.position


def test_one_who_stops_a_run_on_a_mosaic_stops_it(field, monkeypatch):
    mosaic, catalog = field
    failing_at(monkeypatch, 16, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        FromMosaic(catalog, mosaic, 8 * u.pix).read(range(5))


def test_what_is_asked_wrongly_of_a_mosaic_is_no_row(field):
    mosaic, catalog = field
    with pytest.raises(ValueError, match="a width in angle or pixels"):
        FromMosaic(catalog, mosaic, 8 * u.nJy).read(range(5))


def test_a_file_too_large_for_a_cutout_is_not_read(pictures, monkeypatch):
    _, catalog = pictures
    monkeypatch.setattr(reader, "_LARGEST_FILE", 10)
    (found,) = InputFiles.of(catalog).read([0])
    assert isinstance(found, UnreadableImageError)
    assert "a cutout of at most" in str(found)


def test_files_are_found_in_one_folder_by_their_names_or_refused(pictures):
    folder, _ = pictures
    table = QTable({"id": ["a", "b"], "image": ["elsewhere/g2.png", "/gone/g5.png"]})
    first, second = InputFiles.of(Catalog(table), folder).read([0, 1])
    for cutout, name in ((first, "g2"), (second, "g5")):
        np.testing.assert_array_equal(cutout.flux, load_cutout(folder / f"{name}.png").flux)
    table["image"] = ["spiral/g2.png", "round/g2.png"]  # would both be one file
    with pytest.raises(ValueError, match=r"different names.*twice='g2.png'"):
        InputFiles.of(Catalog(table), folder)
    table["image"] = ["spiral/g2.png", "spiral/g2.png"]  # is one file
    assert len(InputFiles.of(Catalog(table), folder).read([0, 1])) == 2


def test_shards_know_their_bands():
    with pytest.raises(ValueError, match=r"no bands with shards.*bands=\('g',\)"):
        SourceSettings(shards="shards", bands=("g",))


def test_what_cannot_be_packed_is_named_and_has_its_row(pictures, tmp_path, capsys):
    folder, _ = pictures
    from galcnn.cli.main import main

    (tmp_path / "broken.png").write_bytes(b"no picture")
    Image.fromarray(np.zeros((5, 5, 3), dtype=np.uint8)).save(tmp_path / "small.png")
    images = [str(folder / "g0.png"), "broken.png", "gone.png", "small.png", str(folder / "g1.png")]
    QTable({"id": list("abcde"), "image": images}).write(tmp_path / "catalog.ecsv")
    command = [
        "pack",
        "--catalog",
        str(tmp_path / "catalog.ecsv"),
        "--out",
        str(tmp_path / "s"),
        "--shard-size",
        "2",
    ]
    assert main([*command, "--quiet"]) == 0
    told = capsys.readouterr()
    assert "3 of 5 could not be packed" in told.err
    assert "without b: Galaxy b" in told.err
    catalog = Catalog(QTable({"id": list("abcde")}))
    found = FromShards(catalog, tmp_path / "s").read(range(5))
    assert [isinstance(one, UnreadableImageError) for one in found] == [False, True, True, True, False]
    np.testing.assert_array_equal(images_from([found[4]]), images_from([load_cutout(folder / "g1.png")]))
    assert main([*command, "--quiet"]) == 0  # nothing to do
    with pytest.raises(ValueError, match="a shard without unreadable images"):
        from galcnn.catalog import read_catalog

        pack_images(InputFiles.of(read_catalog(tmp_path / "catalog.ecsv")), tmp_path / "s", shard_size=2)


@pytest.mark.parametrize(
    ("words", "scale", "side"),
    [([], None, 16), (["0.4arcsec"], 0.4, 16), (["0.4arcsec", "--width", "4arcsec"], 0.4, 10)],
)
def test_images_without_wcs_are_packed_with_a_stated_scale(tmp_path, words, scale, side):
    from galcnn.cli.main import main

    header = fits.Header({"BUNIT": "nJy", "FILTER": "r"})
    fits.PrimaryHDU(np.arange(256.0).reshape(16, 16), header).writeto(tmp_path / "a.fits")
    (tmp_path / "catalog.csv").write_text("id,image\na,a.fits\n")
    command = ["pack", "--catalog", str(tmp_path / "catalog.csv"), "--out", str(tmp_path / "s"), "--quiet"]
    assert main([*command, *(["--pixel-scale", *words] if words else [])]) == 0
    spec = FromShards(Catalog(QTable({"id": ["a"]})), tmp_path / "s").inputs
    assert (spec.pixel_scale, spec.shape) == (scale, (side, side))


def test_images_are_named_by_their_files_without_suffix(tmp_path):
    spec = InputSpec(("g",), "nJy", (8, 8))
    paths = [tmp_path / "J0123+12.5.fits", "J0123+12.7.fits.gz", "c.png"]
    assert FromImages(paths, spec).ids == ["J0123+12.5", "J0123+12.7", "c"]
    assert FromImages(["a/x.fits", "b/x.fits"], spec).ids == ["0", "1"]
