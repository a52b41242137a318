"""Files of every kind of damage: one row each, with a flag and a reason, in the order of the catalog."""

import gzip

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table

from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.files import save_cutout

pytestmark = pytest.mark.full


def damaged(good, folder, rng):
    """Name -> path of files of which some can be answered, and none may end the run."""
    whole = good.read_bytes()
    found = {}

    def write(name, content):
        found[name] = folder / f"{name}.fits"
        found[name].write_bytes(content)

    bare = folder / "bare.fits"  # of no checksum, so that damage is not seen at once
    with fits.open(good) as hdus:
        for hdu in hdus:
            for card in ("CHECKSUM", "DATASUM"):
                hdu.header.remove(card, ignore_missing=True)
        hdus.writeto(bare)
    for i in range(40):  # bytes overwritten anywhere
        content = bytearray(whole if i % 2 else bare.read_bytes())
        for place in rng.integers(0, len(whole), rng.integers(1, 30)):
            content[place] = rng.integers(0, 256)
        write(f"bytes-{i}", bytes(content))
    for i, end in enumerate(np.linspace(0, len(whole), 20, endpoint=False).astype(int)):
        write(f"cut-off-{i}", whole[:end])
    write("random", rng.bytes(9000))
    write("text", b"<html>404</html>")
    write("gzip", gzip.compress(whole)[:300])
    huge = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": 2**20, "NAXIS2": 2**20})
    write("header of a huge image", huge.tostring().encode())
    found["sparse"] = folder / "sparse.fits"
    with found["sparse"].open("wb") as handle:  # 400 MB of zeros that take no disk
        side = 10_000
        header = fits.Header({"SIMPLE": True, "BITPIX": -32, "NAXIS": 2, "NAXIS1": side, "NAXIS2": side})
        handle.write(header.tostring().encode())
        handle.truncate(len(header.tostring()) + 4 * side**2)
    values = {"nan": np.nan, "infinite": np.inf, "huge": 3e38, "tiny": 1e-42, "negative": -1e30, "zero": 0.0}
    for name, value in values.items():
        found[name] = folder / f"{name}.fits"
        flux = np.full((2, 16, 16), value, dtype=np.float32)
        save_cutout(Cutout(flux, ("g", "r"), survey="toy"), found[name])
    half = np.where(np.arange(16) < 8, np.nan, 5.0) * np.ones((2, 16, 16))
    found["half"] = folder / "half.fits"
    save_cutout(Cutout(half.astype(np.float32), ("g", "r"), survey="toy"), found["half"])
    found["missing"], found["folder"] = folder / "missing.fits", folder
    found["good"] = found["good again"] = good
    found["loop"] = folder / "loop.fits"
    found["loop"].symlink_to(found["loop"])
    return found


def test_damaged_files(sky, tmp_path, capsys):
    files = damaged(sky / "cutouts" / "g0.fits", tmp_path, np.random.default_rng(11))
    odd = ["../escape", "a/b", "ünï", "x" * 300, "-o", "semi;colon"]
    ids = [*files, *odd]
    images = [str(path) for path in files.values()] + [str(sky / "cutouts" / "g1.fits")] * len(odd)
    QTable({"id": ids, "image": images}).write(tmp_path / "catalog.ecsv")
    command = ["classify", str(sky / "model"), "--catalog", str(tmp_path / "catalog.ecsv"), "--quiet"]
    more = ["--explain", "saliency", "--chunk", "16", "--dropout-samples", "2", "--embeddings"]
    assert main([*command, *more, "--out", str(tmp_path / "out")]) == 0
    table = Table.read(tmp_path / "out" / "table.parquet")
    assert list(table["id"]) == ids
    rows = {row["id"]: row for row in table}
    for name, row in rows.items():
        assert bool(row["flag"]) == bool(row["reason"]), (name, row["reason"])
        answered = np.isfinite(row["p_thin"])
        assert answered == (row["class"] in ("round", "thin")), name
        assert answered == (not row["flag"] & 35), name
        assert answered == bool(row["layers"]), name
    damage = ("random", "text", "gzip", "header of a huge image", "sparse", "missing", "folder", "loop")
    for name in (*damage, "nan", "infinite"):
        assert rows[name]["flag"] == 1, (name, rows[name]["reason"])
    assert rows["half"]["flag"] == 4 + 8  # what is left of it is of one value
    assert rows["zero"]["flag"] == 8
    assert rows["good"]["p_thin"] == rows["good again"]["p_thin"]
    assert all(rows[name]["flag"] == 0 for name in ["good", "good again", *odd])
    layers = [row["layers"] for row in table if row["layers"]]
    assert len(set(layers)) == len(layers)
    assert {str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").glob("layers/*/*")} == set(
        layers
    )


def test_catalogs_that_cannot_be_are_refused_before_anything_is_written(sky, tmp_path, capsys):
    tables = {
        "unique ids": {"id": ["a", "a"]},
        "an id in every row": {"id": ["a", ""]},
        "finite degrees": {"id": ["a", "b"], "ra": [1.0, np.nan], "dec": [0.0, 0.0]},
        "declinations within": {"id": ["a", "b"], "ra": [1.0, 2.0], "dec": [0.0, 95.0]},
    }
    for expected, columns in tables.items():
        QTable(columns).write(tmp_path / "catalog.ecsv", overwrite=True)
        command = ["classify", str(sky / "model"), "--catalog", str(tmp_path / "catalog.ecsv"), "--quiet"]
        assert main([*command, "--images", str(sky / "cutouts"), "--out", str(tmp_path / "out")]) == 2
        assert expected in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
