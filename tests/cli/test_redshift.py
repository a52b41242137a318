"""galcnn redshift: files in, files and a catalog out."""

from dataclasses import replace

import numpy as np
import pytest
from astropy.table import Table
from PIL import Image

from galcnn.catalog import read_catalog, write_table
from galcnn.cli.main import main
from galcnn.files import load_cutout, save_cutout
from galcnn.photometry import observation_of
from galcnn.redshifting import Redshifting, redshift
from galcnn.simulation import SIMULATED, draw, from_catalog, simulate_catalog


@pytest.fixture(scope="module")
def sky(tmp_path_factory):
    """Four simulated galaxies at z = 0.05 with their catalog."""
    folder = tmp_path_factory.mktemp("near")
    deep = replace(SIMULATED, depth=(26.0,) * 3, electrons_per_njy=(50.0,) * 3)
    catalog = simulate_catalog(4, seed=2)
    for galaxy in from_catalog(catalog):
        save_cutout(
            draw(galaxy.at(0.05), seed=1, shape=(192, 192), observation=deep), folder / f"{galaxy.id}.fits"
        )
    table = catalog.table["id", "ra", "dec", "class"]
    write_table(table, folder / "truth.ecsv")
    return folder


def test_a_test_set_is_made_of_files(sky, tmp_path, capsys):
    images = sorted(str(path) for path in sky.glob("*.fits"))
    out = tmp_path / "far"
    words = [
        "redshift",
        *images,
        "--to",
        "0.12",
        "--to",
        "0.2",
        "--instrument",
        "lsst",
        "--instrument-bands",
        "i",
        "--catalog",
    ]
    words += [str(sky / "truth.ecsv"), "--seed", "3", "--max-mismatch", "0.15", "--quiet", "--out", str(out)]
    assert main(words) == 0
    assert "8 cutouts" in capsys.readouterr().out
    made, truth = read_catalog(out / "catalog.ecsv"), read_catalog(sky / "truth.ecsv")
    classes = dict(zip(truth.ids, truth.labels, strict=True))
    for row in made.table:
        assert row["class"] == classes[row["object"]]
        far = load_cutout(out / str(row["image"]))
        near = load_cutout(sky / f"{row['object']}.fits")
        again = redshift(
            near,
            float(row["redshift"]),
            observation=observation_of("lsst").only(("i",)),
            settings=Redshifting(max_mismatch=0.15),
            seed=3,
        )
        np.testing.assert_array_equal(far.flux, again.flux)
        assert far.redshift == row["redshift"]


def test_it_goes_on_where_it_stopped(sky, tmp_path, capsys):
    image, out = str(next(sky.glob("*.fits"))), tmp_path / "far"
    words = ["redshift", image, "--to", "0.1", "--to", "0.2", "--quiet", "--out", str(out)]
    assert main(words) == 0
    files = sorted((out / "cutouts").glob("*.fits"))
    (out / "catalog.ecsv").unlink()
    files[0].unlink()
    kept = files[1].stat().st_mtime_ns
    assert main(words) == 0
    assert sorted((out / "cutouts").glob("*.fits")) == files
    assert files[1].stat().st_mtime_ns == kept
    assert len(read_catalog(out / "catalog.ecsv")) == 2
    capsys.readouterr()
    assert main([*words, "--seed", "1"]) == 2
    assert "with the same redshifts and settings" in capsys.readouterr().err


def test_skipped_galaxies_are_listed_and_the_others_are_written(sky, tmp_path, capsys):
    out = tmp_path / "far"
    images = sorted(str(path) for path in sky.glob("*.fits"))
    (tmp_path / "broken.fits").write_text("<html>not found</html>")
    words = ["redshift", *images, str(tmp_path / "broken.fits"), "--to", "0.01", "--to", "0.2"]
    assert main([*words, "--quiet", "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert "4 cutouts" in shown.out
    assert "skipped 6 in all" in shown.err
    table = Table.read(out / "skipped.ecsv")
    assert len(table) == 6
    assert sum("cannot be brought nearer" in reason for reason in table["reason"]) == 4
    assert sum("FITS" in reason for reason in table["reason"]) == 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--to", "0.2", "--instrument", "lst"], "Did you mean 'lsst'?"),
        (["--to", "-1"], "redshifts above 0"),
        (["--to", "0.2", "--instrument", "lsst", "--instrument-bands", "K"], "bands among"),
        ([], "Missing option '--to'"),
        (["--to", "0.2", "--instrument", "hst-wfc3", "--instrument-bands", "F160W"], "nearest="),
    ],
)
def test_what_cannot_be_is_said_in_one_line(sky, tmp_path, capsys, words, told):
    image = str(next(sky.glob("*.fits")))
    assert main(["redshift", image, *words, "--quiet", "--out", str(tmp_path / "far")]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "far" / "catalog.ecsv").exists()


def test_a_skipped_galaxy_is_told_the_options(sky, tmp_path, capsys):
    image = tmp_path / "near.fits"
    save_cutout(replace(load_cutout(next(sky.glob("*.fits"))), redshift=None), image)
    main(["redshift", str(image), "--to", "0.3", "--quiet", "--out", str(tmp_path / "far")])
    assert "Give the cutout its redshift (--redshift)." in capsys.readouterr().err


def test_pictures_are_refused(tmp_path, capsys):
    Image.fromarray(np.full((32, 32, 3), 90, np.uint8)).save(tmp_path / "galaxy.png")
    words = ["redshift", str(tmp_path / "galaxy.png"), "--redshift", "0.02", "--to", "0.2", "--quiet"]
    assert main([*words, "--out", str(tmp_path / "far")]) == 2
    assert "holds no flux" in capsys.readouterr().err
