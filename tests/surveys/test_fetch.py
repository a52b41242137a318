"""A folder of cutouts is whole, complete and the same, whatever happened on the way."""

import gzip
import io
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import astropy.units as u
import numpy as np
import pytest
from astropy.io import fits

from galcnn._runtime.atomic import file_sha256
from galcnn.catalog import Catalog, read_catalog, write_table
from galcnn.errors import CoverageError
from galcnn.files import load_cutout
from galcnn.surveys import FetchSettings, Limits, SimulatedSurvey, Survey, fetch, planned
from galcnn.surveys.cache import Cache
from galcnn.surveys.legacy import LegacySurvey
from tests.surveys import servers
from tests.surveys.served import WIDTH, ServedSurvey, flat_cutout, key_of, serving, some_catalog
from tests.surveys.servers import Reply, Server

SETTINGS = FetchSettings(WIDTH, ("g", "r"), jobs=3)


@pytest.fixture
def served():
    with serving() as server:
        yield server


def content(folder):
    """All that a finished fetch consists of, but for the times in FITS cards and the order of answers."""
    cutouts = {path.name: load_cutout(path) for path in folder.glob("cutouts/*")}
    shown = {
        name: (
            c.flux.tobytes(),
            c.bands,
            c.redshift,
            c.position.to_string(),
            c.meta,
            c.wcs.to_header_string(),
        )
        for name, c in cutouts.items()
    }
    texts = (folder / "manifest.jsonl").read_text().splitlines()[1:]
    lines = [json.loads(text) for text in texts if text.endswith("}")]  # the others were torn
    records = {line["id"]: (line["status"], line["request"], line["file"]) for line in lines}
    report = json.loads((folder / "report.json").read_text())
    return shown, records, (folder / "catalog.ecsv").read_text(), report["counts"]


def test_it_writes_one_file_a_galaxy_and_a_catalog_to_train_on(served, tmp_path):
    catalog = some_catalog(5, redshift=[0.1, np.nan, 0.3, 0.4, 0.5]).with_column("class", list("abcde"))
    served.status = {key_of(1): 404}
    report = fetch(catalog, ServedSurvey(served.url), out=tmp_path / "out", settings=SETTINGS)
    assert report.counts == {"fetched": 4, "not covered": 1, "failed": 0, "not tried": 0}
    assert report.missing == [{"id": "galaxy 1/of 5", "status": "not covered", "reason": "HTTP 404"}]
    read = read_catalog(tmp_path / "out" / "catalog.ecsv")
    assert read.ids == [catalog.ids[i] for i in (0, 2, 3, 4)]
    assert read.labels.tolist() == ["a", "c", "d", "e"]
    for row, i in enumerate((0, 2, 3, 4)):
        cutout = load_cutout(read.table["image"][row])
        assert cutout.flux[:, 3, 4].tolist() == pytest.approx([10 + i / 10, 11 + i / 10])
        assert cutout.redshift == catalog.table["redshift"][i]
        assert cutout.position.separation(catalog.positions[i]) < 1e-5 * u.arcsec
    assert sum(served.asked.values()) == 5


def test_a_second_run_asks_for_nothing_that_is_settled(served, tmp_path):
    catalog = some_catalog(4)
    served.status = {key_of(1): 404, key_of(2): 503}
    first = fetch(catalog, ServedSurvey(served.url), out=tmp_path, settings=SETTINGS)
    assert first.counts == {"fetched": 2, "not covered": 1, "failed": 1, "not tried": 0}
    served.status = {}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("cutouts/*")}
    second = fetch(catalog, ServedSurvey(served.url), out=tmp_path, settings=SETTINGS)
    assert second.counts == {"fetched": 3, "not covered": 1, "failed": 0, "not tried": 0}
    assert second.kept == 2
    assert [served.asked[key_of(i)] for i in range(4)] == [1, 1, 2, 1]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())


@pytest.mark.parametrize("damage", ["cut off", "changed", "empty", "gone", "record torn", "other width"])
def test_what_is_not_whole_or_not_what_was_asked_for_is_fetched_again(damage, served, tmp_path):
    catalog = some_catalog(3)
    fetch(catalog, ServedSurvey(served.url), out=tmp_path, settings=SETTINGS)
    whole = content(tmp_path)
    victim = next(tmp_path.glob("cutouts/galaxy_1*"))
    manifest = tmp_path / "manifest.jsonl"
    settings = SETTINGS
    if damage == "cut off":
        victim.write_bytes(victim.read_bytes()[:-100])
    elif damage == "changed":
        victim.write_bytes(victim.read_bytes().replace(b"A", b"B", 1))
    elif damage == "empty":
        victim.write_bytes(b"")
    elif damage == "gone":
        victim.unlink()
    elif damage == "record torn":
        lines = manifest.read_text().splitlines(keepends=True)
        last = next(line for line in lines if "galaxy 1/" in line)
        lines.remove(last)
        manifest.write_text("".join(lines) + last[: len(last) // 2])
    else:
        settings = FetchSettings([8, 10, 8] * u.arcsec, ("g", "r"))
    report = fetch(catalog, ServedSurvey(served.url), out=tmp_path, settings=settings)
    assert report.kept == 2
    assert [served.asked[key_of(i)] for i in range(3)] == [1, 2, 1]
    if damage == "other width":
        assert load_cutout(victim).shape == (10, 10)
    else:
        assert content(tmp_path) == whole


def test_a_catalog_may_grow_and_names_stay(served, tmp_path):
    fetch(some_catalog(1, id=["NGC1"]), ServedSurvey(served.url), out=tmp_path, settings=SETTINGS)
    report = fetch(
        some_catalog(3, id=["NGC1", "ngc1", "Ngc1"]),
        ServedSurvey(served.url),
        out=tmp_path,
        settings=SETTINGS,
    )
    assert report.kept == 1
    names = {path.name for path in tmp_path.glob("cutouts/*")}
    assert "NGC1.fits" in names
    assert len({name.casefold() for name in names}) == 3


HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "NGC 1/2",
    "..",
    "C:\\temp\\x",
    "con",
    "nul.fits",
    ".hidden",
    "x" * 3000,
    "galaxié",
    "galaxie\u0301",
    "銀河",
    "$(rm -rf ~)",
    "a",
    "A",
    "-rf",
    "name.",
    "M 31 ☃",
]


def test_hostile_names_stay_in_the_folder_one_file_each(served, tmp_path):
    out = tmp_path / "deep" / "out"
    catalog = some_catalog(len(HOSTILE), id=HOSTILE)
    report = fetch(catalog, ServedSurvey(served.url), out=out, settings=SETTINGS)
    assert report.counts["fetched"] == len(HOSTILE)
    assert {path.name for path in (tmp_path / "deep").iterdir()} == {"out"}
    assert {path.name for path in tmp_path.iterdir()} == {"deep"}
    read = read_catalog(out / "catalog.ecsv")
    assert read.ids == catalog.ids
    for i, image in enumerate(read.table["image"]):
        assert Path(str(image)).resolve().parent == (out / "cutouts").resolve()
        assert load_cutout(str(image)).flux[0, 0, 0] == pytest.approx(10 + i / 10)


def test_a_manifest_that_was_tampered_with_leads_nowhere(served, tmp_path):
    out = tmp_path / "out"
    outside = tmp_path / "secret.fits"
    outside.write_bytes(b"secret")
    fetch(some_catalog(1), ServedSurvey(served.url), out=out, settings=SETTINGS)
    manifest = out / "manifest.jsonl"
    header, record = manifest.read_text().splitlines()
    changed = json.loads(record) | {"file": "../secret.fits", "sha256": file_sha256(outside)}
    manifest.write_text(f"{header}\n{json.dumps(changed)}\n")
    report = fetch(some_catalog(1), ServedSurvey(served.url), out=out, settings=SETTINGS)
    assert (report.kept, report.counts["fetched"]) == (0, 1)
    assert outside.read_bytes() == b"secret"


@pytest.mark.parametrize("other", ["survey", "bands", "folder", "damaged"])
def test_a_folder_of_something_else_is_refused(other, served, tmp_path):
    catalog, survey, settings = some_catalog(1), ServedSurvey(served.url), SETTINGS
    fetch(catalog, survey, out=tmp_path, settings=settings)
    if other == "survey":
        survey = ServedSurvey(served.url, name="another release")
    elif other == "bands":
        settings = FetchSettings(WIDTH, ("r",))
    elif other == "folder":
        (tmp_path / "manifest.jsonl").unlink()
    else:
        (tmp_path / "manifest.jsonl").write_text("not a manifest\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(ValueError, match="Choose another"):
        fetch(catalog, survey, out=tmp_path, settings=settings)
    assert before == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


def test_no_more_are_asked_for_at_once_than_allowed(served, tmp_path):
    served.seconds = 0.05
    settings = FetchSettings(WIDTH, ("g", "r"), jobs=2)
    fetch(some_catalog(8), ServedSurvey(served.url), out=tmp_path, settings=settings)
    assert served.most_at_once == 2


def test_a_service_that_is_down_is_left_alone_after_some_failures(served, tmp_path):
    served.status = {key_of(i): 500 for i in range(2, 40)}
    settings = FetchSettings(WIDTH, ("g", "r"), jobs=1, give_up_after=5)
    report = fetch(some_catalog(40), ServedSurvey(served.url), out=tmp_path, settings=settings)
    assert report.counts["fetched"] == 2
    assert report.counts["failed"] == 5
    assert report.counts["not tried"] == 33
    assert sum(served.asked.values()) <= 8  # one may be under way


@pytest.mark.parametrize("lacking", ["width", "E(B-V)"])
def test_gaps_of_the_catalog_are_no_sign_of_a_service_that_is_down(served, tmp_path, lacking):
    """Else a table whose first rows have gaps would never come to the others."""
    gaps = np.where(np.arange(40) < 30, np.nan, 0.1)
    if lacking == "width":
        settings = FetchSettings(gaps * 80 * u.arcsec, ("g", "r"), jobs=1, give_up_after=5)
    else:
        settings = FetchSettings(WIDTH, ("g", "r"), gaps, "SDSS", jobs=1, give_up_after=5)
    report = fetch(some_catalog(40), ServedSurvey(served.url), out=tmp_path, settings=settings)
    assert report.counts == {"fetched": 10, "not covered": 0, "failed": 30, "not tried": 0}
    assert lacking in report.missing[0]["reason"]
    assert sum(served.asked.values()) == 10


def test_one_that_hangs_fails_and_holds_nobody_up(served, tmp_path):
    served.status = {key_of(1): "hang", key_of(3): "hang"}
    settings = FetchSettings(WIDTH, ("g", "r"), jobs=2, time_limit=2)
    report = fetch(some_catalog(6), ServedSurvey(served.url), out=tmp_path, settings=settings)
    assert report.counts == {"fetched": 4, "not covered": 0, "failed": 2, "not tried": 0}
    assert "an answer within 2 s" in report.missing[0]["reason"]


@dataclass(frozen=True)
class Strange:
    """A plugin that answers, or raises, what it should not."""

    fault: str
    name: str = "strange"
    bands: tuple[str, ...] = ("g", "r")
    pixel_scale: u.Quantity = 1 * u.arcsec

    def cutout(self, position, width, bands=None):
        right = flat_cutout(position, width, bands)
        if self.fault == "bands":
            return flat_cutout(position, width, bands[:1])
        if self.fault == "elsewhere":
            return flat_cutout(position.directional_offset_by(0 * u.deg, 3 * u.arcsec), width, bands)
        if self.fault == "all NaN":
            return flat_cutout(position, width, bands, np.nan)
        if self.fault == "no JSON":
            return replace(right, meta={"key": object()})
        if self.fault == "KeyError":
            return {}["x"]
        return right if self.fault == "none" else None


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("none", "fetched", ""),
        ("bands", "failed", "bands"),
        ("elsewhere", "failed", "half a pixel"),
        ("all NaN", "not covered", "NaN"),
        ("KeyError", "failed", "KeyError: 'x'"),
        ("nothing", "failed", "Cutout"),
        ("no JSON", "failed", "JSON"),
    ],
)
def test_what_a_plugin_answers_is_checked(fault, status, reason, tmp_path):
    assert isinstance(Strange(fault), Survey)
    report = fetch(some_catalog(1), Strange(fault), out=tmp_path, settings=SETTINGS)
    (said,) = report.outcomes.values()
    assert said[0] == status
    assert reason in said[1]
    assert len(list(tmp_path.glob("cutouts/*"))) == (status == "fetched")


def test_two_fetches_into_one_folder_do_not_mix(served, tmp_path):
    served.seconds = 1.0
    other = threading.Thread(
        target=fetch,
        args=(some_catalog(3), ServedSurvey(served.url)),
        kwargs={"out": tmp_path, "settings": FetchSettings(WIDTH, ("g", "r"), jobs=1)},
    )
    other.start()
    while not served.asked:
        time.sleep(0.01)
    with pytest.raises(RuntimeError, match="no other fetch is writing"):
        fetch(some_catalog(3), ServedSurvey(served.url), out=tmp_path, settings=SETTINGS)
    other.join()
    assert len(list(tmp_path.glob("cutouts/*"))) == 3
    assert fetch(some_catalog(3), ServedSurvey(served.url), out=tmp_path, settings=SETTINGS).kept == 3


def test_a_cache_is_shared_between_folders_and_its_damage_is_found(served, tmp_path):
    cache = Cache(tmp_path / "cache")
    for name in ("one", "two"):
        fetch(some_catalog(3), ServedSurvey(served.url), out=tmp_path / name, settings=SETTINGS, cache=cache)
    assert sum(served.asked.values()) == 3
    assert content(tmp_path / "one") == content(tmp_path / "two")
    entries = [path for path in cache.folder.rglob("*") if path.is_file()]
    assert len(entries) == 3
    entries[0].write_bytes(entries[0].read_bytes()[:-1])
    fetch(some_catalog(3), ServedSurvey(served.url), out=tmp_path / "three", settings=SETTINGS, cache=cache)
    assert sum(served.asked.values()) == 4
    assert content(tmp_path / "one") == content(tmp_path / "three")


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_a_catalog_of_what_stands_and_ends_at_once(served, tmp_path):
    served.status = {key_of(i): "hang" for i in range(3, 9)}

    @dataclass(frozen=True)
    class Interrupting(ServedSurvey):
        def cutout(self, position, width, bands=None):
            if f"{position.ra.deg:.6f}" == key_of(4):
                while len(list(tmp_path.glob("cutouts/[!.]*"))) < 3:  # the other thread may be slow
                    time.sleep(0.01)
                os.kill(os.getpid(), signal.SIGINT)
            return super().cutout(position, width, bands)

    settings = FetchSettings(WIDTH, ("g", "r"), jobs=2)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        fetch(some_catalog(9), Interrupting(served.url), out=tmp_path, settings=settings)
    assert time.monotonic() - began < 60  # the hanging ones would take longer
    assert read_catalog(tmp_path / "catalog.ecsv").ids == [f"galaxy {i}/of 9" for i in range(3)]
    assert json.loads((tmp_path / "report.json").read_text())["counts"]["not tried"] == 6


def test_what_fits_no_width_or_no_position_is_said(served, tmp_path):
    settings = FetchSettings([8, np.nan] * u.arcsec, ("g", "r"))
    report = fetch(some_catalog(2), ServedSurvey(served.url), out=tmp_path / "a", settings=settings)
    assert report.missing[0]["status"] == "failed"
    assert "a width of the galaxy" in report.missing[0]["reason"]
    assert sum(served.asked.values()) == 1
    nowhere = Catalog(some_catalog(2).table["id",])
    with pytest.raises(ValueError, match="columns ra and dec"):
        fetch(nowhere, ServedSurvey(served.url), out=tmp_path / "b", settings=SETTINGS)
    with pytest.raises(ValueError, match="bands among"):
        fetch(some_catalog(2), ServedSurvey(served.url), out=tmp_path, settings=FetchSettings(WIDTH, ("z",)))
    assert not (tmp_path / "b").exists()


def test_extinction_of_a_column_is_undone_and_one_without_it_fails(served, tmp_path):
    ebv = np.array([0.1, np.nan, 0.0])
    settings = FetchSettings(WIDTH, ("g", "r"), ebv=ebv, system="SDSS")
    report = fetch(some_catalog(3), ServedSurvey(served.url), out=tmp_path, settings=settings)
    assert [row["id"] for row in report.missing] == ["galaxy 1/of 3"]
    assert "E(B-V)" in report.missing[0]["reason"]
    images = read_catalog(tmp_path / "catalog.ecsv").table["image"]
    # Schlafly & Finkbeiner 2011: A / E(B-V) of 3.303 in g and 2.285 in r.
    reddened = load_cutout(images[0]).flux[:, 0, 0]
    assert reddened == pytest.approx([10 * 10 ** (0.4 * 0.3303), 11 * 10 ** (0.4 * 0.2285)], rel=1e-5)
    assert load_cutout(images[1]).flux[:, 0, 0] == pytest.approx([10.2, 11.2])
    again = FetchSettings(WIDTH, ("g", "r"), ebv=np.array([0.2, 0.1, 0.0]), system="SDSS")
    assert fetch(some_catalog(3), ServedSurvey(served.url), out=tmp_path, settings=again).kept == 1
    with pytest.raises(ValueError, match="3 values"):
        fetch(
            some_catalog(3),
            ServedSurvey(served.url),
            out=tmp_path,
            settings=FetchSettings(WIDTH, ebv=ebv[:2], system="SDSS"),
        )


def test_outside_the_simulated_patch_is_not_covered(tmp_path):
    survey = SimulatedSurvey(n_galaxies=12)
    with pytest.raises(CoverageError):
        survey.cutout(some_catalog(1).positions[0], WIDTH)
    report = fetch(some_catalog(1), survey, out=tmp_path, settings=FetchSettings(WIDTH, ("r",)))
    assert report.counts["not covered"] == 1
    assert not (tmp_path / "catalog.ecsv").exists()


def test_a_plan_asks_for_nothing(served):
    lines = list(planned(some_catalog(2), ServedSurvey(served.url), SETTINGS))
    assert lines[0] == "galaxy 0/of 2: served 10.000000 +2.000000 8.00 arcsec g,r"
    assert not served.asked


def kill_once(served, catalog, out, moment):
    """Start a fetch and kill it when so many were asked for, a random part of an answer later."""
    words = [sys.executable, "-m", "tests.surveys.served", served.url, str(catalog), str(out)]
    before = sum(served.asked.values())
    process = subprocess.Popen(words, cwd=Path(__file__).resolve().parents[2])
    deadline = time.monotonic() + 60
    while process.poll() is None and sum(served.asked.values()) - before < int(moment):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep((moment % 1) * served.seconds)
    process.kill()
    process.wait(timeout=30)


def check_kills(n_kills, n_galaxies, tmp_path, seed):
    catalog = some_catalog(n_galaxies)
    write_table(catalog.table, tmp_path / "in.ecsv")
    rng = random.Random(seed)
    with serving() as served:
        fetch(catalog, ServedSurvey(served.url), out=tmp_path / "whole", settings=SETTINGS)
        asked_for_whole = sum(served.asked.values())
        served.asked.clear()
        served.seconds = 0.02
        out = tmp_path / "killed"
        for _ in range(n_kills):
            stood = {path: file_sha256(path) for path in out.glob("cutouts/[!.]*")}
            asked = served.asked.copy()
            kill_once(served, tmp_path / "in.ecsv", out, rng.uniform(1, 1.7 * n_galaxies / n_kills))
            for path, digest in stood.items():  # nothing lost, nothing changed
                assert file_sha256(path) == digest
            for path in out.glob("cutouts/[!.]*"):  # nothing half
                load_cutout(path)
            whole = {round(10 * (load_cutout(path).flux[0, 0, 0] - 10)) for path in stood}
            again = {i for i in whole if served.asked[key_of(i)] > asked[key_of(i)]}
            assert not again  # nothing twice
        served.seconds = 0.0
        report = fetch(catalog, ServedSurvey(served.url), out=out, settings=SETTINGS)
    assert report.counts["fetched"] == n_galaxies == asked_for_whole
    # At most the few that were under way at a kill were asked for twice.
    # While some are asked for, as many are written.
    assert sum(served.asked.values()) <= n_galaxies + n_kills * 2 * SETTINGS.jobs
    assert content(out) == content(tmp_path / "whole")
    left = [path.name for path in out.rglob("*") if path.name.endswith(".partial.fits")]
    assert left == []


def test_killed_at_three_moments_it_ends_as_if_never_killed(tmp_path):
    check_kills(3, 24, tmp_path, seed=1)


@pytest.mark.full
def test_killed_at_twenty_moments_it_ends_as_if_never_killed(tmp_path):
    check_kills(20, 200, tmp_path, seed=2)


def as_legacy(query):
    """What the Legacy viewer answers: an image of one band."""
    n, ra, dec = int(query["size"]), float(query["ra"]), float(query["dec"])
    hdu = fits.PrimaryHDU(np.ones((n, n), np.float32))
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec}
    cards |= {"CRPIX1": (n + 1) / 2, "CRPIX2": (n + 1) / 2, "CDELT1": -0.262 / 3600, "CDELT2": 0.262 / 3600}
    hdu.header.update(cards | {"IMAGETYP": "IMAGE", "BANDS": "g", "BAND0": "g"})
    return hdu


def body_of(hdu, **cards):
    out = io.BytesIO()
    hdu.writeto(out)
    content = bytearray(out.getvalue())
    for name, value in cards.items():
        place = content.find(f"{name:<8}=".encode())
        content[place : place + 80] = f"{name:<8}= {value:>20}".encode().ljust(80)
    return bytes(content)


def endless(handler, reply):
    handler.head(reply, None)
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(1 << 16))


def redirected(to):
    return lambda handler, reply: handler.answer(Reply(b"", "text/plain", 302, {"Location": to}))


def told_to_wait(said):
    return lambda handler, reply: handler.answer(Reply(b"", "text/plain", 503, {"Retry-After": said}))


def with_cards(**cards):
    return lambda handler, reply: handler.answer(
        Reply(body_of(fits.open(io.BytesIO(reply.body))[0], **cards))
    )


def sent(content, **headers):
    return lambda handler, reply: handler.answer(Reply(content, headers=headers))


ONE_ANSWER = {
    "hangs": servers.hang,
    "drips": servers.slow_drip,
    "headers without end": servers.drip_of_headers,
    "endless": endless,
    "reset": servers.connection_reset,
    "bomb": sent(gzip.compress(bytes(1 << 28))),
    "encoded bomb": sent(gzip.compress(bytes(1 << 28)), **{"Content-Encoding": "gzip"}),
    "to a file": redirected("file:///etc/passwd"),
    "to no host": redirected("http://[::1"),
    "wait a year": told_to_wait("31536000"),
    "wait for ever": told_to_wait("9" * 400),
    "wait until 9999": told_to_wait("Fri, 31 Dec 9999 23:59:59 GMT"),
    "text": sent(b"token=hunter2"),
    "numeric CTYPE": with_cards(CTYPE1="1"),
    "CRPIX of text": with_cards(CRPIX1="'x'"),
    "CDELT 0": with_cards(CDELT1="0.0"),
    "BITPIX 7": with_cards(BITPIX="7"),
    "NAXIS": with_cards(NAXIS="2147483647"),
    "NAXIS1": with_cards(NAXIS1="2147483647"),
    "BANDS": with_cards(BANDS="T"),
}


@pytest.mark.parametrize("fault", ONE_ANSWER)
def test_one_answer_stops_no_fetch(fault, tmp_path):
    """The galaxy has its row with a reason, and all others are fetched."""
    asked = Counter()

    def respond(path, query):
        asked[query["ra"]] += 1
        return Reply(body_of(as_legacy(query)))

    catalog = some_catalog(8)
    first = f"ra={round(float(catalog.positions.ra.deg[1]), 10)}&"
    with Server(respond) as one, one.failing(ONE_ANSWER[fault], where=first):
        limits = Limits(idle=3, total=12, tries=2, pause=0.02, size=20_000_000)
        survey = LegacySurvey(psf=False, server=one.url, limits=limits)
        settings = FetchSettings(15 * u.arcsec, ("g",), jobs=4, time_limit=20)
        began = time.monotonic()
        report = fetch(catalog, survey, out=tmp_path, settings=settings)
        assert time.monotonic() - began < 60
    assert report.counts == {"fetched": 7, "not covered": 0, "failed": 1, "not tried": 0}
    (missing,) = report.missing
    assert missing["id"] == catalog.ids[1]
    assert missing["reason"]
    assert "root:" not in missing["reason"]
    assert len(read_catalog(tmp_path / "catalog.ecsv")) == 7


def test_images_that_cannot_be_read_are_no_sign_of_a_service_that_is_down(tmp_path):
    def respond(path, query):
        return Reply(body_of(as_legacy(query)))

    catalog = some_catalog(26)
    with Server(respond) as one, one.failing(ONE_ANSWER["BITPIX 7"], times=24):
        survey = LegacySurvey(psf=False, server=one.url)
        report = fetch(catalog, survey, out=tmp_path, settings=FetchSettings(15 * u.arcsec, ("g",), jobs=1))
    assert report.counts == {"fetched": 2, "not covered": 0, "failed": 24, "not tried": 0}


def test_a_galaxy_that_was_not_tried_has_its_reason(served, tmp_path):
    served.status = {key_of(i): 500 for i in range(9)}
    settings = FetchSettings(WIDTH, ("g", "r"), jobs=1, give_up_after=2)
    report = fetch(some_catalog(9), ServedSurvey(served.url), out=tmp_path, settings=settings)
    assert {row["status"] for row in report.missing} == {"failed", "not tried"}
    assert all(row["reason"] for row in report.missing)
