"""A catalog into one table: every galaxy once, whatever happens, however often the run is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import astropy.units as u
import numpy as np
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from astropy_healpix import HEALPix

from galcnn.catalog import Catalog, read_catalog
from galcnn.cli.main import main
from galcnn.cutout import Cutout
from galcnn.dataset import InputFiles, pack_images
from galcnn.dataset.sources import FromMosaic, FromShards
from galcnn.files import save_cutout
from galcnn.model import load_model, save_model
from galcnn.pipeline import ClassifySettings, classify, classify_batch, run_catalog, runs
from galcnn.pipeline.runs import RunSettings
from galcnn.prediction import OUTSIDE, UNFIT, UNREADABLE, Prediction, predict, predict_images
from tests.conftest import embed, toy_images
from tests.pipeline.conftest import N


def run(sky, out, *, chunk=7, source=None, **settings):
    catalog = read_catalog(sky / "catalog.ecsv")
    files = InputFiles.of(catalog, sky / "cutouts")
    return run_catalog(
        sky / "model",
        catalog,
        source(files) if source else files,
        out,
        settings=RunSettings(ClassifySettings(embeddings=True, **settings), chunk),
    )


def test_every_galaxy_has_its_row_with_the_models_own_answer(sky, trained, blobs, tmp_path):
    manifest = run(sky, tmp_path / "out")
    table = Table.read(tmp_path / "out" / "table.parquet")
    assert list(table["id"]) == [f"g{i}" for i in range(N)]
    good = np.setdiff1d(np.arange(N), [7, 11])
    logits = predict_images(trained.model, blobs[good]).astype(float)
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.asarray(table["p_thin"], dtype=float)[good], p[:, 1], atol=1e-6)
    assert table["flag"][7] == UNREADABLE
    assert table["flag"][11] == UNFIT
    assert "g7.fits" in table["reason"][7]
    assert manifest["failed"] == 2
    assert manifest["rows"] == N
    catalog = read_catalog(sky / "catalog.ecsv")
    grid = HEALPix(nside=2**29, order="nested")
    np.testing.assert_array_equal(
        table["_healpix_29"], grid.lonlat_to_healpix(catalog.table["ra"], catalog.table["dec"])
    )
    kernel, bias = (np.asarray(v.numpy()) for v in trained.network.get_layer("logits").weights)
    features = np.stack(pq.read_table(tmp_path / "out" / "table.parquet")["embedding"].to_pylist())
    np.testing.assert_allclose(features[good] @ kernel + bias, logits, atol=1e-4)
    assert not (tmp_path / "out" / "parts").exists()


def same_rows(one, other, *, ids=tuple(f"g{i}" for i in range(N))):
    """Bit by bit, NaN equal to NaN."""
    whole, again = (pq.read_table(place / "table.parquet") for place in (one, other))
    assert again["id"].to_pylist() == list(ids)
    assert whole.schema.equals(again.schema)
    for name in whole.column_names:
        np.testing.assert_array_equal(*(np.array(table[name].to_pylist()) for table in (whole, again)))


class Stopping:
    """A source that is cut off at its k-th chunk."""

    portable = False

    def __init__(self, files, at):
        self.files, self.at, self.read_rows = files, at, []
        self.described = files.described

    def read(self, rows):
        if len(self.read_rows) == self.at:
            raise KeyboardInterrupt
        self.read_rows.append(list(rows))
        return self.files.read(rows)


def test_an_interrupted_run_goes_on_and_ends_with_the_same_rows(sky, tmp_path):
    run(sky, tmp_path / "whole")
    for at in (0, 1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(sky, tmp_path / "stopped", source=lambda files, at=at: Stopping(files, at))
    seen = []

    def watched(files):
        seen.append(Stopping(files, 99))
        return seen[0]

    run(sky, tmp_path / "stopped", source=watched)
    same_rows(tmp_path / "whole", tmp_path / "stopped")
    assert sum(len(rows) for rows in seen[0].read_rows) < N  # the parts that were whole are not read again
    assert (
        run(sky, tmp_path / "stopped", source=lambda files: Stopping(files, 0))["rows"] == N
    )  # nothing to do
    (tmp_path / "stopped" / "parts").mkdir()  # as a kill between the manifest and the clean-up leaves it
    run(sky, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "parts").exists()


def test_another_run_in_the_same_folder_is_refused(sky, tmp_path):
    run(sky, tmp_path / "out")
    with pytest.raises(ValueError, match="the same run"):
        run(sky, tmp_path / "out", chunk=8)
    with pytest.raises(ValueError, match="the same run"):
        run(sky, tmp_path / "out", prior="uniform")
    catalog = read_catalog(sky / "catalog.ecsv")
    named = InputFiles.of(catalog, sky / "cutouts", bands=("r", "g"))  # other cutouts of the same galaxies
    settings = RunSettings(ClassifySettings(embeddings=True), 7)
    with pytest.raises(ValueError, match="the same run"):
        run_catalog(sky / "model", catalog, named, tmp_path / "out", settings=settings)
    catalog.table["redshift"] = 0.1  # by which the out-of-distribution warning goes
    files = InputFiles.of(catalog, sky / "cutouts")
    with pytest.raises(ValueError, match="the same run"):
        run_catalog(sky / "model", catalog, files, tmp_path / "out", settings=settings)


def test_a_run_begins_anew_where_that_is_said(sky, tmp_path, capsys):
    words = [
        "classify",
        str(sky / "model"),
        *(str(sky / "cutouts" / f"g{i}.fits") for i in range(3)),
        "--quiet",
    ]
    for out, table in (("t.csv", "t.csv"), ("run", "run/table.parquet")):
        assert main([*words, "--out", str(tmp_path / out)]) == 0
        before = Table.read(tmp_path / table)
        other = [*words, "--prior", "round=0.9,thin=0.1", "--out", str(tmp_path / out)]
        assert main(other) == 2
        assert "--overwrite" in capsys.readouterr().err
        assert (Table.read(tmp_path / table)["p_thin"] == before["p_thin"]).all()
        assert main([*other, "--overwrite"]) == 0
        assert (Table.read(tmp_path / table)["p_thin"] < before["p_thin"]).all()
    assert main([*words, "--tasks", "2", "--task", "1", "--overwrite", "--out", str(tmp_path / "run")]) == 2


def command_of(sky, out, catalog, *words):
    start = [
        sys.executable,
        "-m",
        "galcnn.cli.main",
        "classify",
        str(sky / "model"),
        "--catalog",
        str(catalog),
    ]
    return [*start, "--out", str(out), "--chunk", "1", "--embeddings", "--quiet", *words]


def kill_at(arguments, out, delay, *, when):
    """Kill a run, and give the parts before and at the kill; None if it was done before.

    `when`: "start" (`delay` seconds after its start), "parts" (after its first new part) or "join".
    """

    def parts():
        return len(list((out / "parts").glob("*.parquet")))

    before = parts()
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    reached = {
        "start": lambda: True,
        "parts": lambda: parts() > before,
        "join": lambda: any(out.glob(".*.partial.parquet")),
    }[when]
    deadline = time.monotonic() + 600
    while process.poll() is None and not reached() and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(delay)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    workers = children.read_text().split() if children.exists() else []
    killed = process.poll() is None
    if killed:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.05)  # a worker ends with the process that started it
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    return (before, parts(), len(workers)) if killed else None


def run_to_the_end(arguments, out):
    assert subprocess.run(arguments, check=False, stderr=subprocess.DEVNULL).returncode == 0
    assert sorted(path.name for path in out.iterdir() if path.name != "layers") == [
        *(".galcnn", "manifest.json", "run.lock", "table.parquet")
    ]


@pytest.mark.full
def test_twenty_kills(sky, tmp_path):
    """Two at the start, one while the parts are joined, 17 at random moments of reading, explaining, writing.

    With `pytest -s` it prints the table of them.
    """
    rng = np.random.default_rng(3)
    ids = [f"x{i}" for i in range(120)]
    images = [str(sky / "cutouts" / f"g{i % N}.fits") for i in range(120)]
    QTable({"id": ids, "image": images}).write(tmp_path / "catalog.ecsv")
    words = ("--explain", "saliency", "--jobs", "1")
    out, whole = tmp_path / "out", tmp_path / "whole"
    arguments = command_of(sky, out, tmp_path / "catalog.ecsv", *words)
    kills = [("start", rng.uniform(0, 4)) for _ in range(2)]
    kills += [("parts", rng.uniform(0, 0.5)) for _ in range(17)]
    kills += [("join", 0.0)]
    print("\n when   after    parts before -> at the kill  workers")  # noqa: T201
    n_killed = 0
    for when, delay in kills:
        found = kill_at(arguments, out, delay, when=when)
        n_killed += found is not None
        told = "was done before" if found is None else "{:>12} -> {:<12} {:>10}".format(*found)
        print(f" {when:<6} {delay:5.2f} s  {told}", flush=True)  # noqa: T201
    run_to_the_end(arguments, out)
    run_to_the_end(command_of(sky, whole, tmp_path / "catalog.ecsv", *words), whole)
    same_rows(whole, out, ids=ids)
    layers = [sorted(str(p.relative_to(place)) for p in place.glob("layers/*/*")) for place in (whole, out)]
    assert layers[0] == layers[1]
    assert len(layers[0]) == 120 - 6  # g7 is missing and g11 too large, each of them three times
    print(f" {n_killed} kills; {len(ids)} rows, equal bit by bit to those of a run without a kill")  # noqa: T201
    assert n_killed >= 19


@pytest.mark.full
def test_three_kills(sky, tmp_path):
    delays = np.random.default_rng(4).uniform(0, 0.05, 3)
    out, whole = tmp_path / "out", tmp_path / "whole"
    words = ("--images", str(sky / "cutouts"), "--jobs", "0")
    arguments = command_of(sky, out, sky / "catalog.ecsv", *words)
    killed = [kill_at(arguments, out, delay, when="parts") for delay in delays]
    assert any(killed)
    run_to_the_end(arguments, out)
    catalog = read_catalog(sky / "catalog.ecsv")
    settings = RunSettings(ClassifySettings(embeddings=True), 1)
    run_catalog(sky / "model", catalog, InputFiles.of(catalog, sky / "cutouts"), whole, settings=settings)
    same_rows(whole, out)


def test_a_process_that_reads_gives_what_a_thread_gives(sky, tmp_path):
    catalog = read_catalog(sky / "catalog.ecsv")
    for readers in (0, 1):
        files = InputFiles.of(catalog, sky / "cutouts")
        settings = RunSettings(ClassifySettings(embeddings=True), 9, readers=readers)
        run_catalog(sky / "model", catalog, files, tmp_path / f"{readers}", settings=settings)
    same_rows(tmp_path / "0", tmp_path / "1")


def test_a_mosaic_gives_what_its_cutouts_give(sky, blobs, tmp_path):
    """Galaxies side by side in one image; one that is off it has its row."""
    side = 16
    canvas = np.concatenate([np.moveaxis(image, -1, 0) for image in blobs[:4]], axis=2)
    header = fits.Header({"BUNIT": "nJy", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0})
    header.update({"CRVAL2": 0.0, "CRPIX1": 1.0, "CRPIX2": 1.0, "CDELT1": -0.4 / 3600, "CDELT2": 0.4 / 3600})
    from astropy.wcs import WCS

    for k, band in enumerate("gr"):
        header["FILTER"] = band
        fits.writeto(tmp_path / f"{band}.fits", canvas[k], header)
    x = np.array([side * i + side / 2 - 0.5 for i in range(4)] + [5000.0])
    places = WCS(header).pixel_to_world(x, np.full(5, side / 2 - 0.5))
    catalog = Catalog(QTable({"id": list("abcde"), "ra": places.ra, "dec": places.dec}))
    from galcnn.mosaic import open_mosaic

    with open_mosaic([tmp_path / "g.fits", tmp_path / "r.fits"]) as mosaic:
        found = FromMosaic(catalog, mosaic, side * u.pix).read(range(5))
        table = classify_batch(sky / "model", found, catalog.ids)
    direct = classify_batch(sky / "model", blobs[:4], list("abcd"))
    np.testing.assert_allclose(table["p_thin"][:4], direct["p_thin"], atol=1e-5)
    assert table["flag"][4] == UNREADABLE
    assert "not on the mosaic" in table["reason"][4]


@pytest.fixture(scope="module")
def measured(trained, tmp_path_factory):
    """A model folder with its uncertainty record; images, and what they were measured on."""
    from galcnn.uncertainty import (
        UncertaintyRecord,
        fit_calibration,
        fit_conformal,
        fit_out_of_distribution,
        image_measures,
    )

    folder = tmp_path_factory.mktemp("measured")
    saved = save_model(trained, folder)
    many, truth = toy_images(200, seed=21)
    prediction = Prediction(tuple(map(str, range(200))), predict_images(trained.model, many), trained.classes)
    labels = [trained.classes[k] for k in truth]
    sample = image_measures(many, trained.card.inputs), embed(trained, many)
    calibration = fit_calibration(prediction, labels, kind="vector")
    sets = fit_conformal(calibration.apply(prediction), labels)
    UncertaintyRecord(
        saved.card.model_sha256, calibration, sets, fit_out_of_distribution(*sample, *sample)
    ).write(folder)
    return folder, many, prediction, calibration, sets


def test_uncertainty_records_go_into_the_table(measured):
    folder, many, prediction, calibration, sets = measured
    strange = many[:6] * np.float32(30)
    table = classify_batch(folder, np.concatenate([many[:6], strange]), [str(i) for i in range(12)])
    expected = calibration.apply(prediction).probabilities[:6, 0]
    np.testing.assert_allclose(table["p_round"][:6], expected, atol=1e-5)
    assert (table["flag"][6:] & OUTSIDE).all()
    assert all("deviations from the training set" in reason for reason in table["reason"][6:])
    assert list(table["set"][:6]) == sets.words(calibration.apply(prediction))[:6]
    raw = classify_batch(folder, many[:6], list("abcdef"), settings=ClassifySettings(calibrated=False))
    np.testing.assert_allclose(raw["p_round"], prediction.probabilities[:6, 0], atol=1e-5)


@pytest.mark.parametrize("kind", ["alike", "greyscale"])
def test_a_set_is_judged_as_a_whole_by_every_door(measured, tmp_path, capsys, kind):
    """In memory, in a run that was interrupted, and in tasks: the same test, of all galaxies but one."""
    folder = measured[0]
    images = toy_images(60, seed=33)[0]
    if kind == "greyscale":
        images = np.repeat(images[..., :1], 2, axis=-1)
    files = {f"g{i}": tmp_path / f"g{i}.fits" for i in range(60)}
    for image, path in zip(images, files.values(), strict=True):
        save_cutout(Cutout(np.moveaxis(image, -1, 0), ("g", "r"), survey="toy"), path)
    files["g5"].unlink()
    QTable({"id": list(files), "image": [str(path) for path in files.values()]}).write(tmp_path / "c.ecsv")
    words = ["classify", str(folder), "--catalog", str(tmp_path / "c.ecsv"), "--quiet", "--out"]
    assert main([*words, str(tmp_path / "t.ecsv")]) == 0
    text = Table.read(tmp_path / "t.ecsv").meta["set_test"]
    assert text in capsys.readouterr().out
    assert text.startswith("the 59 galaxies as a set ")
    assert ("are unlike" in text) == (kind == "greyscale")
    assert ("colour_g_r" in text) == (kind == "greyscale")
    catalog = read_catalog(tmp_path / "c.ecsv")
    settings = RunSettings(ClassifySettings(), 16)
    with pytest.raises(KeyboardInterrupt):
        run_catalog(folder, catalog, Stopping(InputFiles(files), 2), tmp_path / "run", settings=settings)
    source = Stopping(InputFiles(files), 9)
    manifest = run_catalog(folder, catalog, source, tmp_path / "run", settings=settings)
    assert manifest["set_test"]["text"] == text
    assert manifest["set_test"]["n"] == 59
    assert manifest["set_test"]["unlike"] == (kind == "greyscale")
    assert main([*words, str(tmp_path / "tasks"), "--chunk", "16", "--tasks", "2"]) == 0
    again = json.loads((tmp_path / "tasks" / "manifest.json").read_text())["set_test"]
    assert again == json.loads(json.dumps(manifest["set_test"]))
    few = run_catalog(folder, catalog.select(range(40)), InputFiles(files), tmp_path / "few")
    assert few["set_test"] is None


def test_every_door_gives_the_calibrated_answer(measured, sky, tmp_path, capsys):
    """Files, a table and a folder of a catalog, requests, and a model in memory: one core."""
    folder, _, _, calibration, sets = measured
    catalog = read_catalog(sky / "catalog.ecsv").select(range(12))  # one is missing, one too large
    paths = [str(sky / "cutouts" / f"{name}.fits") for name in catalog.ids]
    QTable({"id": catalog.ids, "image": paths}).write(tmp_path / "catalog.ecsv")
    (tmp_path / "requests").write_text("\n".join(f'{{"path": "{path}"}}' for path in paths))
    from_catalog = ["--catalog", str(tmp_path / "catalog.ecsv")]
    for name, words in {
        "files.parquet": paths,
        "table.parquet": from_catalog,
        "folder": from_catalog,
        "raw.ecsv": [*paths, "--raw"],
        "raw": [*from_catalog, "--raw"],
    }.items():
        assert main(["classify", str(folder), *words, "--out", str(tmp_path / name), "--quiet"]) == 0
    capsys.readouterr()
    files = InputFiles(dict(zip(catalog.ids, paths, strict=True)))
    good = [row for row in range(12) if row not in (7, 11)]
    images = np.stack([np.moveaxis(files.load(catalog.ids[row]).flux, 0, -1) for row in good])
    logits = predict_images(load_model(folder).model, images).astype(float)
    own = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    changed = calibration.apply(Prediction(tuple(map(str, good)), logits, sets.classes))
    assert np.abs(changed.probabilities - own).max() > 0.01  # else nothing were tested
    tables = {name: Table.read(tmp_path / name) for name in ("files.parquet", "table.parquet", "raw.ecsv")}
    tables |= {name: Table.read(tmp_path / name / "table.parquet") for name in ("folder", "raw")}
    tables["memory"] = classify(load_model(folder), catalog, files)
    first = tables["files.parquet"]
    np.testing.assert_allclose(first["p_thin"][good], changed.probabilities[:, 1], atol=1e-6)
    assert [first["set"][row] for row in good] == sets.words(changed)
    assert [int(flag) & 3 for flag in first["flag"]] == [0] * 7 + [UNREADABLE] + [0] * 3 + [UNFIT]
    for name in ("table.parquet", "folder", "memory"):
        for column in ("id", "class", "p_round", "p_thin", "entropy", "flag", "set", "distance", "reason"):
            np.testing.assert_array_equal(tables[name][column], first[column], err_msg=f"{name} {column}")
    for name in ("raw", "raw.ecsv"):
        np.testing.assert_allclose(tables[name]["p_thin"][good], own[:, 1], atol=1e-6)
        assert "set" not in tables[name].colnames
    # Of requests a batch is what waits, so that the last bits are its own.
    for words, table in ([], first), (["--raw"], tables["raw"]):
        asked = ["--requests", str(tmp_path / "requests"), "--root", "/"]
        assert main(["classify", str(folder), *asked, *words]) == 0
        rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        for row, expected in zip(rows, table, strict=True):
            assert (row["class"] or "", row["flag"]) == (expected["class"], expected["flag"])
            if row["class"]:
                assert row["probabilities"]["thin"] == pytest.approx(expected["p_thin"], abs=1e-6)
            if "set" in table.colnames:
                assert "|".join(row["set"]) == expected["set"]
                if row["class"]:
                    assert row["distance"] == pytest.approx(expected["distance"], rel=1e-4)
            assert ("set" in row) == ("set" in table.colnames)


def test_a_prior_comes_after_the_calibration_in_every_answer(measured, sky, tmp_path, capsys):
    """Table, requests and Python: calibrated probabilities times new over old shares, and their sets."""
    folder, many, prediction, calibration, sets = measured
    new, old = {"round": 0.95, "thin": 0.05}, {"round": 0.5, "thin": 0.5}
    expected = calibration.apply(prediction).probabilities * [1.9, 0.1]
    expected /= expected.sum(axis=1, keepdims=True)
    changed = calibration.apply(prediction).with_prior(new, old)
    assert sets.limits_of(changed) != pytest.approx(sets.limits)  # else nothing were tested
    table = classify_batch(
        folder, many[:40], [str(i) for i in range(40)], settings=ClassifySettings(prior=new)
    )
    np.testing.assert_allclose(table["p_thin"], expected[:40, 1], atol=1e-5)
    assert list(table["set"]) == sets.words(changed)[:40]

    catalog = read_catalog(sky / "catalog.ecsv").select(range(6))
    paths = [str(sky / "cutouts" / f"{name}.fits") for name in catalog.ids]
    Table({"class": list(new), "share": [19, 1]}).write(tmp_path / "shares.csv")
    words = [*paths, "--prior", str(tmp_path / "shares.csv"), "--out", str(tmp_path / "t.parquet")]
    assert main(["classify", str(folder), *words, "--quiet"]) == 0
    capsys.readouterr()
    (tmp_path / "requests").write_text("\n".join(f'{{"path": "{path}"}}' for path in paths))
    asked = ["--requests", str(tmp_path / "requests"), "--root", "/"]
    assert main(["classify", str(folder), *asked, "--prior", "round=19,thin=1"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    raw = predict(folder, paths, prior=new, calibrated=False)
    own = predict(folder, paths, prior=new)
    np.testing.assert_array_equal(own.logits, calibration.apply(raw).logits)
    assert np.abs(own.probabilities - raw.probabilities).max() > 0.01  # else nothing were tested
    tables = Table.read(tmp_path / "t.parquet")
    for row, line, p, held in zip(tables, rows, own.probabilities, sets.words(own), strict=True):
        assert row["p_thin"] == pytest.approx(p[1], abs=1e-5)
        assert line["probabilities"]["thin"] == pytest.approx(p[1], abs=1e-5)
        assert row["set"] == "|".join(line["set"]) == held
    ratio = predict(folder, paths, prior="uniform").probabilities * [1.9, 0.1]
    np.testing.assert_allclose(own.probabilities, ratio / ratio.sum(axis=1, keepdims=True), rtol=1e-5)


def test_the_command(sky, tmp_path, capsys):
    base = [
        "classify",
        str(sky / "model"),
        "--catalog",
        str(sky / "catalog.ecsv"),
        "--out",
        str(tmp_path / "o"),
    ]
    every = ["--embeddings", "--dropout-samples", "3", "--explain", "cam", "--explain-below", "0.9"]
    assert main([*base, "--images", str(sky / "cutouts"), *every, "--quiet"]) == 0
    assert "2 of 40 could not be classified" in capsys.readouterr().err
    table = Table.read(tmp_path / "o" / "table.parquet")
    assert len(table) == N
    assert {"embedding", "std_thin", "mutual_information", "layers"} <= set(table.colnames)
    sources = ["--images", str(sky / "cutouts"), "--shards", str(sky)]
    assert main([*base, *sources, "--quiet"]) == 2
    assert "one of --images, --shards" in capsys.readouterr().err
    assert main([*base, "--target", "thin", "--quiet"]) == 2
    assert "--explain METHOD with" in capsys.readouterr().err
    assert main([*base, "--quiet"]) == 2
    assert "a column 'image', or a folder of images" in capsys.readouterr().err
    assert main([*base, "--images", str(sky / "nowhere"), "--quiet"]) == 2
    assert main([*base, "--survey", "sdss", "--quiet"]) == 2
    assert "--width" in capsys.readouterr().err
    assert Path(tmp_path / "o" / "manifest.json").exists()


def test_the_uncertain_are_explained_in_files_that_say_what_the_table_says(sky, tmp_path):
    from galcnn.explain import Saliency
    from galcnn.layers import LayerStack
    from galcnn.pipeline import ExplainSettings

    catalog = read_catalog(sky / "catalog.ecsv")
    files = InputFiles.of(catalog, sky / "cutouts")
    prior = ClassifySettings(prior="round=0.9,thin=0.1")
    classified = classify(sky / "model", catalog, files, settings=RunSettings(prior))
    below = float(np.nanmedian(np.maximum(classified["p_round"], classified["p_thin"])))
    asked = ExplainSettings((Saliency(),), below=below)
    settings = RunSettings(prior, 15, asked)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        run_catalog(sky / "model", catalog, Stopping(files, 2), out, settings=settings)
    run_catalog(sky / "model", catalog, files, out, settings=settings)
    table = Table.read(out / "table.parquet")
    best = np.maximum(table["p_round"], table["p_thin"])
    explained = np.array([bool(name) for name in table["layers"]])
    np.testing.assert_array_equal(explained, np.isfinite(best) & (best < below))
    assert explained.sum() == (N - 2) // 2
    found = {str(path.relative_to(out)) for path in out.glob("layers/*/*.fits")}
    assert found == set(table["layers"][explained])
    for row in np.flatnonzero(explained)[:3]:
        stack = LayerStack.read(out / table["layers"][row])
        assert (stack.id, stack.prediction.best[0]) == (table["id"][row], table["class"][row])
        np.testing.assert_allclose(stack.prediction.probabilities[0, 1], table["p_thin"][row], atol=1e-6)
        (explanation,) = stack.explanations
        margin = {"round": "round-thin", "thin": "thin-round"}[table["class"][row]]
        assert (explanation.method, explanation.target.name) == ("saliency", margin)
        assert stack.provenance["classify"]["prior"] == {"round": 0.9, "thin": 0.1}
    other = ExplainSettings((Saliency(),), target="square")
    with pytest.raises(ValueError, match="square"):
        run_catalog(sky / "model", catalog, files, tmp_path / "no", settings=RunSettings(explain=other))
    with pytest.raises(ValueError, match="one model to explain"):
        run_catalog([sky / "model"] * 2, catalog, files, tmp_path / "no", settings=settings)
    assert not list((tmp_path / "no").glob("*"))


def test_layers_of_a_run_use_the_images_and_logits_that_it_has(sky, tmp_path, monkeypatch):
    from galcnn.explain import Saliency, attribution
    from galcnn.layers import LayerStack
    from galcnn.pipeline import ExplainSettings

    catalog = read_catalog(sky / "catalog.ecsv")
    files = InputFiles.of(catalog, sky / "cutouts")
    reads, again = [], []
    load = InputFiles.load
    monkeypatch.setattr(InputFiles, "load", lambda self, name: reads.append(name) or load(self, name))
    for step in ("images_from", "outputs"):
        own = getattr(attribution, step)
        monkeypatch.setattr(
            attribution,
            step,
            lambda *a, own=own: again.append((getattr(a[0], "name", "images"), len(a[-1]))) or own(*a),
        )
    asked = ExplainSettings((Saliency(),))
    run_catalog(sky / "model", catalog, files, tmp_path, settings=RunSettings(explain=asked))
    assert sorted(reads) == sorted({*catalog.ids} - {"g7"})  # there is no such file
    # The methods were tried on one image of noise. The others are only stretched, as the maps are of that.
    assert {step for step, n in again if n == 1} == {"images", "preprocessing", "network"}
    assert [(step, n) for step, n in again if n != 1] == [("preprocessing", N - 2)]
    table = Table.read(tmp_path / "table.parquet")
    stacks = [LayerStack.read(tmp_path / name) for name in table["layers"] if name]
    assert len(stacks) == N - 2
    written = np.array([stack.prediction.probabilities[0, 1] for stack in stacks])
    np.testing.assert_array_equal(written, table["p_thin"][[bool(name) for name in table["layers"]]])


def test_one_that_cannot_be_explained_has_its_row(sky, tmp_path):
    from galcnn.explain import Saliency
    from galcnn.pipeline import ExplainSettings

    catalog = read_catalog(sky / "catalog.ecsv").select(range(6, 12))
    asked = ExplainSettings((Saliency(),), wrt="sigma")  # of which these files know nothing
    run_catalog(
        sky / "model",
        catalog,
        InputFiles.of(catalog, sky / "cutouts"),
        tmp_path,
        settings=RunSettings(explain=asked),
    )
    table = Table.read(tmp_path / "table.parquet")
    answered = np.isfinite(np.asarray(table["p_thin"], dtype=float))
    assert answered.sum() == 4
    for reason in table["reason"][answered]:
        assert reason.startswith("not explained: ")
        assert "sigma" in reason
    assert not any(table["layers"])


def test_shards_give_the_rows_that_their_files_give(sky, tmp_path, capsys):
    names = [f"g{i}" for i in range(N)]
    images = [str(sky / "cutouts" / f"{name}.fits") for name in names]
    QTable({"id": names, "image": images}).write(tmp_path / "c.ecsv")
    assert main(["pack", "--catalog", str(tmp_path / "c.ecsv"), "--out", str(tmp_path / "s"), "--quiet"]) == 0
    assert "2 of 40 could not be packed" in capsys.readouterr().err
    base = ["classify", str(sky / "model"), "--catalog", str(sky / "catalog.ecsv"), "--quiet"]
    for name, words in {
        "files": ["--images", str(sky / "cutouts")],
        "shards": ["--shards", str(tmp_path / "s")],
    }.items():
        assert main([*base, *words, "--out", str(tmp_path / name)]) == 0
    one, other = (Table.read(tmp_path / name / "table.parquet") for name in ("files", "shards"))
    np.testing.assert_array_equal(one["p_thin"], other["p_thin"])
    assert other["flag"][7] == other["flag"][11] == UNREADABLE
    assert "(16, 16) pixels" in other["reason"][11]


def test_images_of_shards_are_prepared_as_cutouts_are(tmp_path, monkeypatch):
    rng, files = np.random.default_rng(0), {}
    for i in range(6):
        flux = rng.normal(size=(2, 8, 8)).astype(np.float32)
        if i == 2:
            flux[1] = 3.0
        files[f"g{i}"] = tmp_path / f"g{i}.fits"
        if i != 4:
            save_cutout(Cutout(flux, ("g", "r")), files[f"g{i}"])
    read = InputFiles(files)
    pack_images(read, tmp_path / "s", shard_size=4, complete=False)
    source = FromShards(Catalog(QTable({"id": [*files, "nobody"]})), tmp_path / "s")
    rows = range(1, 7)
    whole = runs._read_chunk(source, source.inputs, rows, fit=False)
    monkeypatch.setattr(FromShards, "inputs_of", lambda *_: None)
    each = runs._read_chunk(source, source.inputs, rows, fit=False)
    assert whole.reasons == each.reasons
    assert [bool(one) for one in whole.reasons] == [False, True, False, True, False, True]
    for name in ("rows", "images", "flags", "pixel_scales"):
        one, other = getattr(whole, name), getattr(each, name)
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


def test_files_of_the_same_name_in_another_folder_are_another_run(sky, blobs, tmp_path, monkeypatch, capsys):
    words = ["classify", str(sky / "model"), "a.fits", "--out", str(tmp_path / "run"), "--quiet"]
    for night, name in (("night1", "g0"), ("night2", "g1")):
        (tmp_path / night).mkdir()
        shutil.copy(sky / "cutouts" / f"{name}.fits", tmp_path / night / "a.fits")
    monkeypatch.chdir(tmp_path / "night1")
    assert main(words) == 0
    first = (tmp_path / "run" / "table.parquet").read_bytes()
    assert main(words) == 0, "the same run"
    monkeypatch.chdir(tmp_path / "night2")
    assert main(words) == 2
    assert "one with the same run" in capsys.readouterr().err
    assert (tmp_path / "run" / "table.parquet").read_bytes() == first


def test_a_catalog_without_images_is_scored_on_those_of_a_folder(sky, tmp_path):
    catalog = Table.read(sky / "catalog.ecsv")["id",]
    catalog["class"] = ["round", "thin"] * (N // 2)
    catalog.write(tmp_path / "truth.ecsv")
    words = ["evaluate", str(sky / "model"), "--catalog", str(tmp_path / "truth.ecsv"), "--split", "all"]
    words += ["--images", str(sky / "cutouts"), "--out", str(tmp_path / "scores"), "--quiet"]
    assert main(words) == 0
    read = Table.read(tmp_path / "scores" / "predictions.ecsv")
    assert [str(row["id"]) for row in read if row["flag"] & UNREADABLE] == ["g7"]
    assert len(read) == N
