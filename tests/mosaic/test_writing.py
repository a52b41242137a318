"""A folder of cutouts: whole, resumable, nothing outside of it, and fit to train on."""

import os

import astropy.units as u
import numpy as np
import pytest
from astropy.table import QTable

from galcnn.catalog import Catalog, read_catalog
from galcnn.dataset import read_dataset
from galcnn.files import load_cutout
from galcnn.mosaic import cut, open_mosaic, write_cuts
from tests.mosaic import mosaics


@pytest.fixture
def path(tmp_path):
    return mosaics.write_plain(tmp_path / "mosaic.fits")


def write(path, catalog, out, side=16, **given):
    with open_mosaic(path) as mosaic:
        return write_cuts(mosaic, catalog, width=side * u.pix, out=out, **given)


def test_files_hold_what_cut_gives_and_the_catalog_finds_them(path, tmp_path):
    catalog = mosaics.scattered(mosaics.header(), 30)
    catalog = catalog.with_column("class", np.resize(["a", "b"], 30))
    report = write(path, catalog, tmp_path / "out")
    with open_mosaic(path) as mosaic:
        cuts = {one.id: one for one in cut(mosaic, catalog, width=16 * u.pix)}
    written = read_catalog(tmp_path / "out" / "catalog.ecsv")
    assert written.ids == [name for name in catalog.ids if cuts[name].cutout is not None]
    assert report.coverage.keys() == set(written.ids)
    for name, image, share in written.table["id", "image", "coverage"].iterrows():
        loaded, mine = load_cutout(image), cuts[name].cutout
        assert np.array_equal(loaded.flux, mine.flux, equal_nan=True)
        assert np.array_equal(loaded.mask, mine.mask)
        assert (loaded.redshift, loaded.meta) == (mine.redshift, mine.meta)
        assert loaded.position.separation(mine.position) < 1e-9 * u.deg
        inner = np.array([0.0, 15.0])
        here, there = (one.wcs.pixel_to_world(inner, inner) for one in (loaded, mine))
        assert np.all(here.separation(there) < 1e-9 * u.deg)
        assert share == pytest.approx(cuts[name].coverage, abs=1e-6)
    left = read_catalog(tmp_path / "out" / "not_covered.ecsv")
    assert dict(zip(left.ids, left.table["reason"], strict=True)) == dict(report.not_covered)
    assert set(left.ids) == set(catalog.ids) - set(written.ids)
    assert read_dataset(written).images.shape == (len(written), 16, 16, 1)
    n = len(written)
    partly = sum(share < 1 for share in report.coverage.values())
    assert report.lines()[0] == f"{n} cut ({partly} of them in part), {30 - n} not covered"


def test_names_of_galaxies_lead_nowhere_else(path, tmp_path):
    ids = ["../../evil", "/etc/passwd", "NGC 1300", "ngc 1300", "銀河", "plain", "."]
    places = mosaics.scattered(mosaics.header(), len(ids), beyond=-60).table["ra", "dec"]
    catalog = Catalog(QTable({"id": ids, "ra": places["ra"], "dec": places["dec"]}))
    write(path, catalog, tmp_path / "a" / "out")
    files = [file for file in (tmp_path / "a").rglob("*.fits") if file.is_file()]
    assert len(files) == len(ids)
    assert {file.parent for file in files} == {tmp_path / "a" / "out" / "cutouts"}
    assert not list(tmp_path.glob("evil*"))
    assert read_catalog(tmp_path / "a" / "out" / "catalog.ecsv").ids == ids


def test_an_interrupted_run_goes_on(path, tmp_path):
    catalog = mosaics.scattered(mosaics.header(), 12, beyond=-40)

    class Stop(Exception):
        pass

    def stopping(description, total):
        import contextlib

        @contextlib.contextmanager
        def shown():
            steps = []

            def step(note=""):
                steps.append(note)
                if len(steps) == 5:
                    raise Stop

            yield step

        return shown()

    out = tmp_path / "out"
    with pytest.raises(Stop):
        write(path, catalog, out, progress=stopping)
    stood = {file: file.stat().st_mtime_ns for file in (out / "cutouts").glob("*.fits")}
    assert len(stood) == 5
    assert not (out / "catalog.ecsv").exists()
    report = write(path, catalog, out)
    assert report.n_kept == 5
    assert report.lines()[0].endswith("; 5 stood already")
    assert all(file.stat().st_mtime_ns == time for file, time in stood.items())
    assert len(read_catalog(out / "catalog.ecsv")) == 12
    other = write(path, catalog, tmp_path / "other")
    assert other.n_kept == 0
    for file in (tmp_path / "other").rglob("*.fits"):
        one, two = load_cutout(file), load_cutout(out / "cutouts" / file.name)
        assert one.flux.tobytes() == two.flux.tobytes()


def test_a_folder_of_something_else_is_refused(path, tmp_path):
    catalog = mosaics.scattered(mosaics.header(), 5, beyond=-60)
    write(path, catalog, tmp_path / "out")
    with pytest.raises(ValueError, match="of the same mosaic, catalog and width"):
        write(path, catalog, tmp_path / "out", side=17)
    with pytest.raises(ValueError, match="of the same mosaic, catalog and width"):
        write(path, catalog.select([0, 1]), tmp_path / "out")
    os.utime(path, ns=(0, 0))  # was it written again?
    with pytest.raises(ValueError, match="of the same mosaic, catalog and width"):
        write(path, catalog, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("!")
    with pytest.raises(ValueError, match="a new or empty folder"):
        write(path, catalog, tmp_path / "mine")
    assert [file.name for file in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_nothing_covered_is_a_report_and_no_catalog(path, tmp_path):
    catalog = Catalog(QTable({"id": ["a"], "ra": [10.0], "dec": [-60.0]}))
    report = write(path, catalog, tmp_path / "out")
    assert report.lines() == ["0 cut (0 of them in part), 1 not covered", "  a: not on the mosaic"]
    assert not (tmp_path / "out" / "catalog.ecsv").exists()
