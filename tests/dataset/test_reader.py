"""One reader of image files: the same cutouts however they are named, and a row for whatever fails."""

import json
import pickle
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable
from astropy.wcs import WCS
from PIL import Image

from galcnn.catalog import Catalog, read_catalog, write_catalog
from galcnn.cli.options import paths_by_id
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles, SourceSettings, reader
from galcnn.dataset.reader import HeldCutouts
from galcnn.errors import UnreadableImageError
from galcnn.files import load_bands, load_cutout, save_cutout
from galcnn.model import InputSpec
from galcnn.photometry import ab_flux


def saved(path, level=1.0, bands=("g", "r"), side=8, **known):
    flux = level * np.arange(1, len(bands) * side**2 + 1, dtype=np.float32).reshape(-1, side, side)
    save_cutout(Cutout(flux, bands, **known), path)
    return path


@pytest.fixture
def sky(tmp_path):
    """Three galaxies named as `galcnn fetch` names them, the last with a redshift of its own."""
    folder = tmp_path / "cutouts"
    folder.mkdir()
    paths = {name: folder / f"{name}.fits" for name in "abc"}
    for level, (name, path) in enumerate(paths.items(), start=1):
        saved(path, level, redshift=0.3 if name == "c" else None)
    table = QTable({"id": list("abc"), "redshift": [0.1, np.nan, 0.2]})
    return folder, paths, table


def test_the_same_cutouts_whatever_names_the_files(sky, tmp_path):
    folder, paths, table = sky
    elsewhere = table.copy()
    elsewhere["image"] = [f"/gone/{path.name}" for path in paths.values()]
    table["image"] = [f"cutouts/{path.name}" for path in paths.values()]
    table.write(tmp_path / "catalog.ecsv")
    read = read_catalog(tmp_path / "catalog.ecsv")
    with SourceSettings(images=str(folder)).open(read) as source:
        opened = source
    ways = {
        "paths": InputFiles(paths),
        "column": InputFiles.of(read),
        "names in a folder": InputFiles.of(Catalog(elsewhere), folder),
        "ids in a folder": InputFiles.of(Catalog(QTable({"id": list("abc")})), folder),
        "settings": opened,
        "like": InputFiles({}).like(paths),
        "sent to a worker": pickle.loads(pickle.dumps(InputFiles.of(read))),
    }
    expected = [load_cutout(path).flux for path in paths.values()]
    for way, files in ways.items():
        assert (files.ids, len(files), files.portable) == (list("abc"), 3, True), way
        for found in (
            files.read(range(3)),
            [files.load(name) for name in "abc"],
            files.readable().cutouts,
            files.readable(InputSpec(("g", "r"), "nJy", (8, 8))).cutouts,
            list(HeldCutouts(files).values()),
        ):
            np.testing.assert_array_equal([cutout.flux for cutout in found], expected, err_msg=way)
    assert [one.redshift for one in ways["column"].read(range(3))] == [0.1, None, 0.3]
    assert [one.redshift for one in ways["paths"].read(range(3))] == [None, None, 0.3]
    assert [float(one.flux[0, 0, 0]) for one in ways["column"].read([2, 0])] == [3, 1]


def test_whatever_fails_in_reading_is_the_error_of_its_row(sky, monkeypatch):
    _, paths, _ = sky
    errors = {"a": RuntimeError("a bug of a library"), "b": MemoryError(), "c": KeyError("CTYPE1")}

    def broken(files, **_):
        raise errors[Path(files[0]).stem]

    monkeypatch.setattr(reader, "load_cutout", broken)
    files = InputFiles({**paths, "d": paths["a"].parent / "none.fits"})
    *found, missing = files.read(range(4))
    assert [type(error) for error in found] == [UnreadableImageError] * 3
    for error, said in zip(found, ("RuntimeError'", "MemoryError'", "KeyError: CTYPE1'"), strict=True):
        assert str(error).endswith(f"error='{said}. Leave it out.")
    assert isinstance(missing, FileNotFoundError)
    with pytest.raises(UnreadableImageError, match=rf"^Galaxy a \({paths['a']}\): Expected a readable image"):
        files.prepared("a")
    errors["a"] = UnicodeDecodeError("ascii", b"\xff", 0, 1, "not in range")  # wants five arguments
    with pytest.raises(UnreadableImageError, match=r"^Galaxy a .*UnicodeDecodeError"):
        files.prepared("a")
    assert isinstance(files.read([0])[0], UnreadableImageError)
    errors["a"] = KeyboardInterrupt()  # is no error of a file
    with pytest.raises(KeyboardInterrupt):
        files.read([0])


def test_the_first_image_says_what_all_are(sky):
    folder, paths, _ = sky
    saved(folder / "small.fits", side=6)
    files = InputFiles({"c": paths["c"], "small": folder / "small.fits"}, bands=("r",))
    assert files.spec == InputSpec(("r",), "nJy", (8, 8))
    with pytest.raises(ValueError, match=r"^Galaxy small \(.*small.fits\): Expected an image of \(8, 8\)"):
        files.prepared("small")
    assert InputFiles(files.paths, fit=True).spec.shape == (8, 8)
    sized = InputFiles(files.paths, size=4)
    assert [one.shape for one in sized.readable().cutouts] == [(4, 4), (4, 4)]
    with pytest.raises(ValueError, match="at least one galaxy"):
        _ = InputFiles({}).spec
    with pytest.raises(ValueError, match=r"^Galaxy c .*8-bit colour pictures to render for"):
        InputFiles(paths, render="sdss").prepared("c")
    Image.fromarray(np.zeros((8, 8, 3), dtype=np.uint8)).save(folder / "p.png")
    assert InputFiles({"p": folder / "p.png"}, render="sdss").spec.render == "sdss"


def test_cutouts_are_held_as_far_as_the_memory_goes(sky):
    _, paths, _ = sky
    one = 2 * 8 * 8 * (4 + 1) / 1e6  # flux and mask
    held = HeldCutouts(InputFiles(paths), megabytes=1.5 * one)
    assert list(held) == list("abc")
    assert held["a"] is held["a"]
    assert held["b"] is not held["b"]
    with pytest.raises(KeyError):
        held["d"]


def test_what_decides_which_cutouts_these_are_is_described(sky):
    folder, paths, table = sky
    plain = InputFiles.of(Catalog(table), folder, bands=("g",))
    assert plain.described == f"files of {folder.resolve()}, bands ('g',)"
    cut = InputFiles(paths, grid="r", width=40 * u.arcsec)
    assert cut.described == "files of None, bands None, grid r, width 40.0 arcsec"
    counts = InputFiles(paths, hdu=1, zero_points={"g": 25.0})
    assert counts.described == "files of None, bands None, hdu 1, zero_points {'g': 25.0}"


@pytest.mark.parametrize("grid", [None, "g"])
def test_hdu_and_zero_points_are_given_to_every_file(tmp_path, grid):
    header = WCS(naxis=2)
    header.wcs.ctype, header.wcs.crval, header.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [1.0, 2.0], [-1e-4, 1e-4]
    header.wcs.crpix = [4.5, 4.5]
    files = []
    for band, counts in (("g", 2.0), ("r", 3.0)):
        cards = header.to_header() + fits.Header({"FILTER": band})
        hdus = [fits.ImageHDU(np.full((8, 8), counts + k, "float32"), cards, name=f"I{k}") for k in (0, 1)]
        files.append(tmp_path / f"{band}.fits")
        fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(files[-1])
    words = {"grid": grid, "hdu": [2], "zero_points": {"g": 25.0, "r": 22.5}}
    expected = [3 * ab_flux(25.0), 4 * ab_flux(22.5)]
    catalog = Catalog(QTable({"id": ["one"]}))
    with SourceSettings(images=str(tmp_path), **words).open(catalog) as source:
        like = source.like({"one": files})
    for reader_ in (InputFiles({"one": files}, **words), like):
        cutout = reader_.load("one")
        np.testing.assert_allclose(cutout.flux[:, 4, 4], expected, rtol=1e-5)
        assert (cutout.bands, cutout.unit) == (("g", "r"), u.nJy)
    with pytest.raises(UnreadableImageError, match="one image, or one for each band"):
        InputFiles({"one": files}, grid=grid).load("one")
    with pytest.raises(ValueError, match="zero_points with image files only"):
        SourceSettings(shards="shards", zero_points=25.0)


# Several files of one galaxy ------------------------------------------------------------------
@pytest.fixture
def pair(real_data):
    return real_data / "fits/hostphot/DES_g.fits", real_data / "services/panstarrs_fitscut/PS1_r.fits"


def test_a_path_with_a_comma_is_a_path(tmp_path):
    odd = saved(tmp_path / "a_g,r.fits", bands=("g",))
    for band in ("a_g", "r.fits"):
        saved(tmp_path / f"{band}.fits", bands=("g",))  # the parts exist, too
    QTable({"image": [odd.name]}).write(tmp_path / "c.csv")
    read = read_catalog(tmp_path / "c.csv")
    assert paths_by_id([str(odd)]) == read.images == InputFiles.of(read).paths == {"a_g,r": (odd,)}
    assert InputFiles({"odd": odd}).load("odd").bands == ("g",)
    assert InputFiles.of(read).load("a_g,r").bands == ("g",)


def test_several_files_are_one_galaxy_from_python_the_command_line_and_a_catalog(pair):
    catalog = Catalog(QTable({"id": ["DES_g"], "image": [list(map(str, pair))]}))
    named = paths_by_id(list(map(str, pair)), one_galaxy=True)
    assert named == catalog.images == {"DES_g": pair}
    expected = load_bands(pair, reference="g")
    for files in (InputFiles(named, grid="g"), InputFiles.of(catalog, grid="g")):
        (cutout,) = files.read([0])
        np.testing.assert_array_equal(cutout.flux, expected.flux)
        assert (cutout.bands, cutout.shape) == (("g", "r"), (241, 241))
    cut = InputFiles({"one": pair}, grid="g", width=30 * u.arcsec).load("one")
    assert (cut.bands, cut.shape) == (("g", "r"), (114, 114))
    (apart,) = InputFiles.of(catalog).read([0])
    assert isinstance(apart, UnreadableImageError)
    assert "bands of one shape" in str(apart)
    with pytest.raises(ValueError, match="at least one file per galaxy"):
        InputFiles({"one": ()})


def test_a_catalog_has_one_column_per_band(tmp_path, monkeypatch):
    (tmp_path / "cat" / "images").mkdir(parents=True)
    for band in "gr":
        saved(tmp_path / "cat" / "images" / f"x_{band}.fits", bands=(band,))
        saved(tmp_path / f"x_{band}.fits", 7, bands=(band,))  # where the command runs: others
    monkeypatch.chdir(tmp_path)
    columns = {"g_file": ["images/x_g.fits", ""], "r_file": ["images/x_r.fits", "images/y_r.fits"]}
    QTable({"name": ["x", "y"], **columns}).write(tmp_path / "cat/c.csv")
    several = {"image": ("g_file", "r_file")}
    read = read_catalog("cat/c.csv", columns=several)
    files = tmp_path / "cat/images"
    expected = {"x": (files / "x_g.fits", files / "x_r.fits"), "y": (files / "y_r.fits",)}
    assert read.images == read.select([0, 1]).images == expected
    assert InputFiles.of(read).load("x").bands == ("g", "r")
    for suffix in ("ecsv", "csv", "fits", "parquet"):
        write_catalog(read, tmp_path / f"cat/d.{suffix}")
        again = read_catalog(f"cat/d.{suffix}", columns=several)
        assert again.images == expected
        assert set(again.table.colnames) == {"id", "name", "image", "g_file", "r_file"}
        assert QTable.read(tmp_path / "cat/d.ecsv")["g_file"][0] == "images/x_g.fits"
    write_catalog(Catalog(QTable({"id": ["x"], "image": [["a.fits", "b.fits"]]})), tmp_path / "e.csv")
    assert QTable.read(tmp_path / "e.csv").colnames == ["id", "image_1", "image_2"]
    with pytest.raises(ValueError, match=r"a column 'i_file' in c\.csv"):
        read_catalog("cat/c.csv", columns={"image": ("g_file", "i_file")})


def test_a_row_without_an_image_says_so():
    catalog = Catalog(QTable({"id": ["x", "y"], "image": ["", "none.fits"]}))
    first, second = InputFiles.of(catalog).read([0, 1])
    assert str(first).startswith("Expected an image file. Received: image=''.")
    assert isinstance(second, FileNotFoundError)


def test_files_of_one_galaxy_are_found_in_a_folder(tmp_path):
    for name, band in (("x_g", "g"), ("x_r", "r"), ("y_g", "g"), ("y_r", "r")):
        saved(tmp_path / f"{name}.fits", ord(name[0]), bands=(band,))
    images = [["/gone/x_g.fits", "/gone/x_r.fits"], ["/gone/y_g.fits", "y_r.fits"]]
    found = InputFiles.of(Catalog(QTable({"id": ["x", "y"], "image": images})), tmp_path).read([0, 1])
    assert [(one.bands, float(one.flux[1, 0, 0])) for one in found] == [
        (("g", "r"), ord("x")),
        (("g", "r"), ord("y")),
    ]
    images[1] = ["/other/x_g.fits", "y_r.fits"]
    with pytest.raises(ValueError, match=r"different names.*twice='x_g.fits'"):
        InputFiles.of(Catalog(QTable({"id": ["x", "y"], "image": images})), tmp_path)


def test_a_missing_file_is_told_in_a_sentence(tmp_path):
    files = InputFiles({"a": tmp_path / "a.fits"})
    (refused,) = files.read([0])
    assert type(refused) is FileNotFoundError
    assert str(refused) == f"File not found: {tmp_path / 'a.fits'}."


def test_the_parts_of_a_message_are_kept_where_the_galaxy_is_named(sky):
    _, paths, _ = sky
    spec = InputSpec(("i",), "nJy", (8, 8))
    with pytest.raises(ValueError, match=r"^Galaxy a \(.*a.fits\): Expected an image in the bands") as caught:
        InputFiles(paths).prepared("a", spec)
    worded = caught.value.args[0]
    assert worded.received == {"bands": "'g, r'"}
    assert worded.subject == f"Galaxy a ({paths['a']})"
    assert worded.expected.startswith("an image in the bands")


def test_a_large_image_is_read_where_little_of_it_is_wanted(pair, monkeypatch):
    monkeypatch.setattr(reader, "_LARGEST_FILE", 10)
    (refused,) = InputFiles({"one": pair[0]}).read([0])
    assert "a cutout of at most" in str(refused)
    (cut,) = InputFiles({"one": pair[0]}, width=30 * u.arcsec).read([0])
    assert cut.shape == (114, 114)


def test_width_and_grid_are_those_of_files_or_refused(pair):
    catalog = Catalog(QTable({"id": ["one"], "image": [list(map(str, pair))]}))
    settings = SourceSettings(width="30 arcsec", grid="r")
    with SourceSettings(**json.loads(json.dumps(vars(settings)))).open(catalog) as source:
        (cutout,) = source.read([0])
    assert (cutout.bands, cutout.shape) == (("g", "r"), (120, 120))
    for words, said in (
        ({"shards": "s", "width": "3 arcsec"}, "no width with shards"),
        ({"mosaic": ("m",), "width": "3 arcsec", "grid": "r"}, "grid with image files only"),
        ({"survey": "sdss"}, "a width with a mosaic or survey"),
    ):
        with pytest.raises(ValueError, match=said):
            SourceSettings(**words)
