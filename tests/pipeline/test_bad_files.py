"""Bad files of every kind, and readers that raise anything: each is a row, and no command ends."""

import gzip
import io
import json
import struct
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import QTable, Table
from astropy.wcs import WCS
from pandas.testing import assert_frame_equal
from PIL import Image

from galcnn.cli.main import main
from galcnn.dataset import InputFiles, pack_images, read_shards, reader
from galcnn.errors import UnreadableImageError
from galcnn.files import load_cutout
from galcnn.model import load_model
from galcnn.pipeline import ExplainSettings, answer_requests, explain_files
from galcnn.pipeline.tasks import Work
from galcnn.prediction import CHANGED, UNREADABLE

SECRET = b"hunter2hunter2hunter2"
#: What the libraries that read a file may raise.
RAISED = {
    "runtime": RuntimeError("a codec"),
    "assertion": AssertionError(),
    "attribute": AttributeError("x"),
    "arithmetic": ZeroDivisionError(),
    "struct": struct.error("unpack"),
    "recursion": RecursionError(),
    "lookup": LookupError("codec"),
    "stop": StopIteration(),
    "size": MemoryError(),
    "system": SystemError("returned NULL"),
}


def card(key, value):
    """Return a change of one card, as bytes, whatever the standard says."""

    def change(content):
        text = f"{key:8}= {value}".encode().ljust(80)
        place = content.find(f"{key:8}=".encode())
        end = content.find(b"END     ")
        content[slice(place, place + 80) if place >= 0 else slice(end, end + 80)] = text
        return content

    return change


def bad_files(folder):
    """Return name -> file; the kinds differ in what opens them and in what that raises."""
    image = fits.PrimaryHDU(np.arange(256, dtype=np.float32).reshape(16, 16), fits.Header({"FILTER": "r"}))
    stream, tiled = io.BytesIO(), io.BytesIO()
    image.writeto(stream)
    packed = fits.CompImageHDU(image.data.astype(np.int16), compression_type="RICE_1")
    fits.HDUList([fits.PrimaryHDU(), packed]).writeto(tiled)
    whole, tiles = stream.getvalue(), tiled.getvalue()
    picture = io.BytesIO()
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(picture, "JPEG")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("a", SECRET)
        made.writestr("b", SECRET)
    contents = {
        "empty": b"",
        "secret text": SECRET,
        "secret after SIMPLE": b"SIMPLE  =" + SECRET * 200,
        "cut header": whole[:800],
        "cut data": whole[:2900],
        "gzip of text": gzip.compress(SECRET),
        "half a gzip": gzip.compress(whole)[:100],
        "zip of two": archive.getvalue(),
        "xz of nothing": b"\xfd7zXZ" + SECRET,
        "half a JPEG": picture.getvalue()[:200],
        "PNG of text": b"\x89PNG\r\n\x1a\n" + SECRET * 9,
        "BITPIX of text": card("BITPIX", f"'{SECRET.decode()}'")(bytearray(whole)),
        "NAXIS of -1": card("NAXIS", "-1")(bytearray(whole)),
        "no float": card("BSCALE", SECRET.decode())(bytearray(whole)),
        "tile of 0": card("ZTILE1", "0")(bytearray(tiles)),
        "no such tiles": card("ZCMPTYPE", f"'{SECRET.decode()}'")(bytearray(tiles)),
        "TFORM of text": card("TFORM1", f"'{SECRET.decode()}'")(bytearray(tiles)),
        "all NaN": whole[:2880] + np.full(256, np.nan, ">f4").tobytes().ljust(2880, b"\0"),
    }
    found = {}
    for name, content in contents.items():
        found[name] = folder / f"{name}.fits"
        found[name].write_bytes(content)
    found["missing"], found["folder"] = folder / "missing.fits", folder
    found["null"] = Path("a\0b.fits")
    for name in RAISED:
        found[name] = folder / f"raises-{name}.fits"
        found[name].write_bytes(whole)
    return found


@pytest.fixture
def bad(tmp_path, monkeypatch):
    """Bad files, some of which make the reader raise something else than it usually does."""
    load = reader.load_cutout

    def raising(paths, **how):
        stem = Path(paths[0].name).stem  # of a path, or of a source that is read by another process
        if stem.startswith("raises-"):
            raise RAISED[stem.removeprefix("raises-")]
        return load(paths, **how)

    monkeypatch.setattr(reader, "load_cutout", raising)
    (tmp_path / "bad").mkdir()
    return bad_files(tmp_path / "bad")


@pytest.fixture
def catalog(bad, sky, tmp_path):
    """A catalog of good and bad files in turn, without a path that no table can hold."""
    good = [sky / "cutouts" / f"g{i}.fits" for i in range(6)]
    rows = {f"bad {name}": path for name, path in bad.items() if name != "null"}
    rows = dict(sorted((rows | {path.stem: path for path in good}).items(), key=lambda row: hash(row[0])))
    table = QTable({"id": list(rows), "image": list(map(str, rows.values()))})
    table.write(tmp_path / "catalog.ecsv")
    return tmp_path / "catalog.ecsv", list(rows)


def assert_rows(table):
    """Good galaxies are answered; of bad ones, flag and reason say why not."""
    for row in table:
        assert bool(row["flag"]) == str(row["id"]).startswith("bad"), (row["id"], row["reason"])
        assert bool(row["reason"]) == bool(row["flag"])
        assert SECRET.decode()[:7] not in row["reason"]


def test_each_is_the_error_of_its_row_also_in_threads(bad, sky):
    files = InputFiles({"good": sky / "cutouts" / "g0.fits", **bad})
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(files.read, [range(len(files))] * 4):
            assert not isinstance(found[0], Exception)
            for name, error in zip(bad, found[1:], strict=True):
                assert isinstance(error, OSError | ValueError), (name, error)
                assert SECRET.decode()[:7] not in str(error), error
    for name in RAISED:
        with pytest.raises(UnreadableImageError, match=f"^Galaxy {name} "):
            files.prepared(name)


def test_in_a_catalog(catalog, sky, tmp_path):
    path, ids = catalog
    assert main(["classify", str(sky / "model"), "--catalog", str(path), "--out", str(tmp_path / "run")]) == 0
    table = Table.read(tmp_path / "run" / "table.parquet")
    assert list(table["id"]) == ids
    assert_rows(table)
    from galcnn.catalog import read_catalog

    work = Work((str(sky / "model"),))
    with ThreadPoolExecutor(2) as pool:  # as the workers of a scheduler do it
        tables = list(pool.map(work.answer, [read_catalog(path)] * 2))
    assert_frame_equal(*(table.to_pandas() for table in tables))
    assert_rows(Table.from_pandas(tables[0].to_pandas()))


def test_as_images(bad, sky, tmp_path):
    images = [str(path) for name, path in bad.items() if name not in ("folder", "missing", "null")]
    command = ["classify", str(sky / "model"), *images, str(sky / "cutouts" / "g1.fits"), "--quiet"]
    assert main([*command, "--out", str(tmp_path / "classes.ecsv")]) == 0
    table = Table.read(tmp_path / "classes.ecsv")
    assert [bool(flag) for flag in table["flag"]] == [True] * len(images) + [False]


def test_as_requests(bad, sky):
    paths = [sky / "cutouts" / "g0.fits", *bad.values(), sky / "cutouts" / "g0.fits"]
    lines, answers = [json.dumps({"path": str(path)}).encode() for path in paths], []
    assert answer_requests(sky / "model", lines, answers.append, root="/") == 1, "a path that holds NUL"
    rows = [json.loads(answer) for answer in answers]
    assert SECRET.decode()[:7] not in str(rows)
    del rows[1 + list(bad).index("null")]
    assert [row["flag"] for row in rows] == [0, *[1] * (len(bad) - 1), 0]
    # A batch holds what has arrived, and the rounding of a network depends on its size.
    assert rows[0]["probabilities"] == pytest.approx(rows[-1]["probabilities"], abs=1e-6)
    assert SECRET.decode()[:7] not in str([row["reason"] for row in rows])


def test_in_shards(catalog, sky, tmp_path):
    path, ids = catalog
    assert main(["pack", "--catalog", str(path), "--out", str(tmp_path / "s"), "--shard-size", "7"]) == 0
    failed = {name: why for shard in read_shards(tmp_path / "s") for name, why in shard.failed.items()}
    assert sorted(failed) == sorted(name for name in ids if name.startswith("bad"))
    assert SECRET.decode()[:7] not in str(failed)
    command = ["classify", str(sky / "model"), "--catalog", str(path), "--shards", str(tmp_path / "s")]
    assert main([*command, "--out", str(tmp_path / "run"), "--quiet"]) == 0
    assert_rows(Table.read(tmp_path / "run" / "table.parquet"))


def test_in_explanations(bad, sky):
    from galcnn.explain import Saliency

    good = {name: sky / "cutouts" / f"{name}.fits" for name in ("g0", "g1")}
    files = InputFiles({"g0": good["g0"], **bad, "g1": good["g1"]})
    made = list(explain_files(load_model(sky / "model"), files, ExplainSettings((Saliency(),))))
    assert [isinstance(one, Exception) for one in made] == [False, *[True] * len(bad), False]
    assert SECRET.decode()[:7] not in str(made)


def test_in_scores(catalog, sky, tmp_path):
    table = QTable.read(catalog[0])
    table["class"] = ["round", "thin"] * (len(table) // 2) + ["round"] * (len(table) % 2)
    table.write(tmp_path / "labels.ecsv")
    command = ["evaluate", str(sky / "model"), "--catalog", str(tmp_path / "labels.ecsv"), "--quiet"]
    assert main([*command, "--split", "all", "--out", str(tmp_path / "scores")]) == 0
    assert_rows(Table.read(tmp_path / "scores" / "predictions.ecsv"))


def test_training_lists_what_it_leaves_out(bad, toy_experiment, tmp_path, capsys, monkeypatch):
    from galcnn.experiment import Experiment, read_data, read_settings

    table = Table.read(toy_experiment.parent / "catalog.ecsv")
    table["image"] = [str(toy_experiment.parent / name) for name in table["image"]]
    n, names = len(table), [name for name in bad if name not in ("null", "all NaN")]
    table["id"] = [f"p{i}" for i in range(n)]
    for column in ("id", "image"):
        table[column] = table[column].astype("U500")
    for i, name in enumerate(names):
        table["image"][5 * i], table["id"][5 * i] = str(bad[name]), f"bad {name}"
    table.write(tmp_path / "catalog.ecsv")
    text = toy_experiment.read_text().replace("catalog.ecsv", str(tmp_path / "catalog.ecsv"))
    (tmp_path / "e.toml").write_text(text)
    command = ["train", str(tmp_path / "e.toml"), "--out", str(tmp_path / "m"), "--quiet"]
    assert main(command) == 2
    told = capsys.readouterr().err
    assert f" of {n} images cannot be read, more than 10% (" in told
    assert "max_unreadable=0.5). The first: Galaxy bad empty (" in told
    assert not (tmp_path / "m").exists()
    assert main([*command, "--set", "data.max_unreadable=0.3", "--set", "training.epochs=1"]) == 0
    assert f"{len(names)} galaxies are left out" in capsys.readouterr().out
    listed = Table.read(tmp_path / "m" / "left_out.ecsv")
    assert list(listed["id"]) == [f"bad {name}" for name in names]
    assert all(listed["reason"])
    settings = read_settings(tmp_path / "e.toml")
    for shards in (None, str(tmp_path / "s")):
        settings["data"] |= {"max_unreadable": 0.3, "shards": shards}
        data = read_data(Experiment.from_dict(settings))
        assert list(data.catalog.ids) == list(data.dataset.ids)
        assert len(data.dataset) == n - len(names)
        assert sum(map(len, data.sides.values())) == len(data.dataset)
        assert sorted(data.dataset.left_out) == sorted(listed["id"])
        np.testing.assert_array_equal(
            data.dataset.labels, np.searchsorted(["round", "thin"], data.catalog.labels)
        )


def test_the_lack_of_all_memory_and_ctrl_c_end_a_run(sky, monkeypatch, tmp_path):
    from galcnn import errors

    files = InputFiles({"a": sky / "cutouts" / "g0.fits"})
    for ending in (MemoryError, KeyboardInterrupt):

        def broken(paths, ending=ending, **_):
            raise ending

        monkeypatch.setattr(reader, "load_cutout", broken)
        monkeypatch.setattr(errors, "_ORDINARY", 2**62)
        for read in (lambda: files.read([0]), lambda: pack_images(files, tmp_path / "s", complete=False)):
            with pytest.raises(ending):
                read()


def test_a_checksum_that_does_not_match_is_flagged_or_refused(sky, tmp_path):
    good, path = sky / "cutouts" / "g0.fits", tmp_path / "changed.fits"
    cutout, wcs = load_cutout(good), WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [-0.4 / 3600, 0.4 / 3600]
    images = [
        fits.ImageHDU(plane, fits.Header({"FILTER": band, "BUNIT": "nJy"}) + wcs.to_header(), band)
        for band, plane in zip(cutout.bands, cutout.flux, strict=True)
    ]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path, checksum=True)
    with open(path, "r+b") as handle:
        handle.seek(-2880 + 100, 2)
        handle.write(b"\x3f\x80")
    for words, flag in ((), CHANGED), (("--strict",), UNREADABLE):
        out = tmp_path / f"{flag}.ecsv"
        asked = ["classify", str(sky / "model"), str(good), str(path), *words, "--out", str(out), "--quiet"]
        assert main(asked) == 0
        table = Table.read(out)
        assert table["flag"].tolist() == [0, flag]
        assert "2 (R)" in table["reason"][1]


@pytest.fixture
def mixed(bad, sky, tmp_path):
    """Twenty bad files among eight good ones, with their labels: the catalog, and that of the good ones."""
    names = [name for name in bad if name not in ("null", "folder", "missing", "raises-stop")][:20]
    good = {f"g{i}": sky / "cutouts" / f"g{i}.fits" for i in (0, 1, 2, 3, 4, 5, 6, 8)}
    files = {f"bad {name}": bad[name] for name in names} | good
    order = sorted(files, key=lambda name: hash((name, 1)))
    paths = []
    for file, own in (("mixed", order), ("good", [name for name in order if name in good])):
        table = QTable({"id": own, "image": [str(files[name]) for name in own]})
        table["class"] = ["thin" if name[-1] in "1357" else "round" for name in own]
        table.write(tmp_path / f"{file}.ecsv")
        paths.append(str(tmp_path / f"{file}.ecsv"))
    assert len(names) == 20
    return (*paths, [name for name in order if name not in good])


def assert_left_out(folder, names):
    table = Table.read(folder / "left_out.ecsv")
    assert sorted(table["id"]) == sorted(names)
    assert all(table["reason"])
    assert SECRET.decode()[:7] not in str(list(table["reason"]))


def test_in_attacks(mixed, sky, tmp_path, capsys):
    tables = []
    for path in mixed[:2]:
        out = tmp_path / Path(path).stem
        command = ["attack", str(sky / "model"), "--catalog", path, "--split", "all", "--quiet"]
        assert main([*command, "--attack", "fgsm", "--unit", "image", "--out", str(out)]) == 0
        tables.append(Table.read(out / "attacks.ecsv"))
    assert_left_out(tmp_path / "mixed", mixed[2])
    assert not (tmp_path / "good" / "left_out.ecsv").exists()
    assert "and 15 more galaxies are left out" in capsys.readouterr().err
    assert_frame_equal(*(table.to_pandas() for table in tables))
    only = ["attack", str(sky / "model"), str(tmp_path / "bad" / "empty.fits"), "--out", str(tmp_path / "no")]
    assert main([*only, "--quiet"]) == 2
    assert "No image can be attacked. Galaxy empty" in capsys.readouterr().err


def test_in_a_robustness_curve(mixed, sky, tmp_path, capsys):
    curves = []
    words = [
        "--split",
        "all",
        "--curve",
        "--epsilons",
        "1,5",
        "--unit",
        "image",
        "--attack",
        "fgsm",
        "--quiet",
    ]
    for path in mixed[:2]:
        out = tmp_path / Path(path).stem
        command = ["attack", str(sky / "model"), "--catalog", path, *words, "--out", str(out)]
        if path == mixed[0]:
            assert main(command) == 2
            told = capsys.readouterr().err
            assert (
                "of 28 images cannot be read, more than 10% (to leave out more: --max-unreadable 0.5)" in told
            )
        assert main([*command, "--max-unreadable", "0.8"]) == 0
        curves.append(Table.read(out / "robustness.ecsv"))
        assert main([*command, "--max-unreadable", "0.8"]) == 0, "resumed"
    assert_left_out(tmp_path / "mixed", mixed[2])
    assert curves[0]["n"].tolist() == [8] * 3
    assert_frame_equal(*(curve.to_pandas() for curve in curves))


def test_in_dreams(mixed, sky, tmp_path, capsys):
    from galcnn.model import network_layers

    layer = next(name for name in network_layers(load_model(sky / "model").network) if "conv" in name)
    command = [
        "dream",
        str(sky / "model"),
        "--catalog",
        mixed[0],
        "--split",
        "all",
        "--layer",
        layer,
        "--quiet",
    ]
    assert main([*command, "--octaves", "1", "--steps", "1", "--out", str(tmp_path / "d")]) == 2
    told = capsys.readouterr()
    assert told.out.count("wrote ") == len(list((tmp_path / "d").glob("*-dream.fits"))) == 8
    assert told.err.count("no dream: Galaxy bad ") == 20
    assert "20 of 28 images could not be used" in told.err


def test_in_a_drift(mixed, sky, tmp_path, capsys):
    reference = [
        word for i in (0, 1, 2, 3, 4) for word in ("--reference", str(sky / "cutouts" / f"g{i}.fits"))
    ]
    tables = []
    for path in mixed[:2]:
        out = tmp_path / f"drift-{Path(path).name}"
        command = ["drift", str(sky / "model"), "--catalog", path, *reference, "--quiet", "--out", str(out)]
        if path == mixed[0]:
            assert main(command) == 2
            assert "of 28 images cannot be read, more than 10%" in capsys.readouterr().err
        assert main([*command, "--max-unreadable", "0.8"]) == 0
        assert "8 galaxies are" in capsys.readouterr().out
        tables.append(Table.read(out))
    assert tables[0]["layer"].tolist() == tables[1]["layer"].tolist()
    np.testing.assert_allclose(tables[0]["value"], tables[1]["value"], rtol=1e-3, atol=1e-4)


def test_in_a_test_of_concepts(mixed, sky, capsys):
    own, tables = f"{sky / 'cutouts'}:{sky / 'cutouts'}", []
    for path in mixed[:2]:
        command = ["concepts", str(sky / "model"), "--catalog", path, "--concept", own, "--target", "thin"]
        if path == mixed[0]:
            assert main([*command, "--quiet"]) == 2
            assert "of 28 images cannot be read, more than 10%" in capsys.readouterr().err
        assert main([*command, "--max-unreadable", "0.8", "--quiet"]) == 0
        said = capsys.readouterr()
        assert ("left out: Galaxy bad " in said.err) == (path == mixed[0])
        assert "n_images: 8\n" in said.out
        tables.append(said.out)
    assert tables[0] == tables[1]


def test_in_the_galaxies_of_a_test_of_maps_and_of_an_atlas(mixed, sky, tmp_path):
    from galcnn.catalog import read_catalog
    from galcnn.faithfulness import read_sample
    from galcnn.pipeline import AtlasSettings
    from galcnn.pipeline.atlas.subject import subject_of

    trained = load_model(sky / "model")
    mixed_catalog, good = (read_catalog(path) for path in mixed[:2])
    sample = read_sample(trained, mixed_catalog, max_unreadable=0.8)
    assert (sample.ids, sorted(sample.left_out)) == (tuple(good.ids), sorted(mixed[2]))
    for one, other in zip(sample.cutouts, read_sample(trained, good).cutouts, strict=True):
        np.testing.assert_array_equal(one.flux, other.flux)
    with pytest.raises(UnreadableImageError, match="more than 10%"):
        read_sample(trained, mixed_catalog)
    subjects = [
        subject_of(trained, one, InputFiles.of(one), settings=AtlasSettings(), max_unreadable=0.8)
        for one in (mixed_catalog, good)
    ]
    assert subjects[0].ids == tuple(good.ids)
    assert subjects[0].labels == subjects[1].labels
    np.testing.assert_array_equal(subjects[0].logits, subjects[1].logits)
    assert sorted(subjects[0].left_out) == sorted(mixed[2])


def test_in_a_sheet_an_inspection_and_at_another_redshift(mixed, sky, tmp_path, capsys):
    images = [str(path) for path in Table.read(mixed[0])["image"]]
    assert main(["view", *images, "--save", str(tmp_path / "sheet.png")]) == 0
    assert (tmp_path / "sheet.png").stat().st_size > 1000
    assert "left out: Galaxy " in (told := capsys.readouterr().err)
    assert "and 15 more galaxies are left out" in told
    assert main(["inspect", "--catalog", mixed[0], "--out", str(tmp_path / "i"), "--quiet"]) == 0
    listed = Table.read(tmp_path / "i" / "suspicious.ecsv")
    assert sorted(listed["id"][listed["reason"] == "unreadable"]) == sorted(mixed[2])
    command = ["redshift", "--catalog", mixed[0], "--to", "0.5", "--out", str(tmp_path / "z"), "--quiet"]
    assert main(command) == 2, "no redshift of any"
    assert "No galaxy could be redshifted" in capsys.readouterr().err


def test_a_machine_that_starts_no_process_ends_a_run_with_one_sentence(sky, tmp_path, capsys, monkeypatch):
    from galcnn._runtime import reader as process

    whole = (sky / "cutouts" / "g0.fits").read_bytes()
    (tmp_path / "a.fits.gz").write_bytes(gzip.compress(whole))
    images = [str(sky / "cutouts" / "g1.fits"), str(tmp_path / "a.fits.gz")]
    monkeypatch.setattr(process.sys, "executable", str(tmp_path / "no-python"))
    monkeypatch.setattr(process, "_POOL", process._Pool())
    for command in (["classify", str(sky / "model"), *images, "--out", str(tmp_path / "c.ecsv")],
                    ["explain", str(sky / "model"), *images, "--out", str(tmp_path / "e")]):  # fmt: skip
        assert main([*command, "--quiet"]) == 2
        told = capsys.readouterr().err
        assert told.count("a machine where Python can start a process") == 1
        assert "FileNotFoundError" in told


def test_a_file_without_a_wcs_is_answered_with_the_scale_that_the_user_states(sky, tmp_path):
    cutout, path = load_cutout(sky / "cutouts" / "g0.fits"), tmp_path / "nowhere.fits"
    images = [
        fits.ImageHDU(plane, fits.Header({"FILTER": band, "BUNIT": "nJy"}), band)
        for band, plane in zip(cutout.bands, cutout.flux, strict=True)
    ]
    fits.HDUList([fits.PrimaryHDU(), *images]).writeto(path)
    answers = {}
    for scale in ("", "0.4arcsec", "0.8arcsec"):
        words = ["--pixel-scale", scale] if scale else []
        out = tmp_path / f"at {scale}.ecsv"
        asked = ["classify", str(sky / "model"), str(path), *words, "--out", str(out), "--quiet"]
        assert main(asked) == (0 if scale == "0.4arcsec" else 2)
        answers[scale] = Table.read(out)[0]
    assert [bool(row["flag"]) for row in answers.values()] == [True, False, True]
    assert "--pixel-scale 0.4arcsec" in answers[""]["reason"]
    assert "pixels of 0.4 arcsec" in answers["0.8arcsec"]["reason"]
