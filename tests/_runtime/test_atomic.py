"""Whole or not at all: also on a full disk, also when the writer fails half-way."""

import json
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from galcnn._runtime import atomic


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def test_a_file_appears_whole_with_the_users_own_permissions(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    old = os.umask(0o022)
    try:
        atomic.write_text(path, "galaxy\n")
    finally:
        os.umask(old)
    assert path.read_text() == "galaxy\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names(path.parent) == ["a.txt"]


def test_a_failed_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(ZeroDivisionError), atomic.writing(path) as temporary:
        temporary.write_text("half")
        assert temporary.suffix == ".txt"
        assert path.read_text() == "old"
        raise ZeroDivisionError
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_failed_folder_leaves_the_old_folder_and_nothing_else(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").write_text("1")
    with pytest.raises(ZeroDivisionError), atomic.writing_folder(folder) as temporary:
        (temporary / "new").write_text("2")
        raise ZeroDivisionError
    assert names(folder) == ["old"]
    assert names(tmp_path) == ["model"]


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "old").write_text("1")
    with atomic.writing_folder(folder) as temporary:
        (temporary / "sub").mkdir()
        (temporary / "sub" / "new").write_text("2")
    assert names(folder) == ["sub"]
    assert (folder / "sub" / "new").read_text() == "2"
    assert names(tmp_path) == ["model"]


def test_a_disk_that_fills_up_leaves_the_old_file(tmp_path):
    """The kernel's own limit on file sizes stands in for a full disk: write() fails half-way."""
    path = tmp_path / "a.txt"
    path.write_text("old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
        with pytest.raises(OSError, match="too large"):
            atomic.write_text(path, "x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path):
    (tmp_path / "f").write_text("")
    for target in (tmp_path / "f" / "x.txt", tmp_path / "f" / "deep" / "x.txt"):
        with pytest.raises(OSError, match=r"Expected a folder that can be made. Received: folder="):
            atomic.check_writable(target)
    with (
        pytest.raises(NotADirectoryError, match="Expected a folder to write"),
        atomic.writing_folder(tmp_path / "f"),
    ):
        pass
    with pytest.raises(IsADirectoryError), atomic.writing(tmp_path):
        pass


def test_json_refuses_what_json_cannot_say(tmp_path):
    atomic.write_json(tmp_path / "a.json", {"x": [1, None, "é"]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": [1, None, "é"]}
    with pytest.raises(ValueError):
        atomic.write_json(tmp_path / "b.json", {"x": float("nan")})
    assert names(tmp_path) == ["a.json"]


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real" / "a.txt")
    atomic.write_text(tmp_path / "link.txt", "new")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real" / "a.txt").read_text() == "new"
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with atomic.writing_folder(tmp_path / "link") as temporary:
        (temporary / "b").write_text("")
    assert (tmp_path / "link").is_symlink()
    assert names(tmp_path / "real") == ["b"]
    assert names(tmp_path) == ["link", "link.txt", "real"]


def test_what_a_killed_process_left_is_swept_by_the_next(tmp_path):
    script = (
        "import os, signal\nfrom galcnn._runtime import atomic\n"
        f"with atomic.writing_folder({str(tmp_path / 'model')!r}) as t:\n"
        "    (t / 'half').write_text('')\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", script], check=False, timeout=60)
    [left] = names(tmp_path)
    (tmp_path / f".0123456789ab{left[13:]}").touch()
    with atomic.writing(tmp_path / "other.txt") as temporary:
        temporary.write_text("")
    assert names(tmp_path) == [f".0123456789ab{left[13:]}", "other.txt"], "what another machine left stays"
    (tmp_path / f".0123456789ab{left[13:]}").unlink()
    with (
        atomic.writing_folder(tmp_path / "model") as outer,
        atomic.writing_folder(tmp_path / "model") as inner,
    ):
        assert outer.exists(), "a living process is left in peace"
        assert inner != outer
    assert names(tmp_path) == ["model", "other.txt"]


def test_a_large_folder_is_listed_in_linear_time(tmp_path, monkeypatch):
    listed = []
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: listed.append(self) or iterdir(self))
    for i in range(1000):
        (tmp_path / f"{i}").touch()
    for i in range(1500):
        atomic._sweep(tmp_path)
        (tmp_path / f"new{i}").touch()
    assert len(listed) == 2  # at the first file, and after as many as there were


def test_names_that_cannot_be_are_refused_before_the_work(tmp_path):
    with pytest.raises(OSError, match="a shorter file name"):
        atomic.check_writable(tmp_path / ("x" * 300))
    atomic.write_text(tmp_path / ("x" * 250), "")
    with pytest.raises(IsADirectoryError):
        atomic.check_writable(tmp_path)
    atomic.check_writable(tmp_path, folder=True)
    with pytest.raises(NotADirectoryError):
        atomic.check_writable(tmp_path / ("x" * 250), folder=True)


def test_a_record_holds_what_was_finished_and_by_any_thread(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    atomic.write_text(tmp_path / "before", "")
    with atomic.recording() as record:
        atomic.write_text(tmp_path / "one", "")
        with ThreadPoolExecutor(1) as other, atomic.recording() as inner:
            other.submit(atomic.write_json, tmp_path / "two", {}).result()
        with pytest.raises(ValueError, match="JSON"):
            atomic.write_json(tmp_path / "never", float("nan"))
        with atomic.writing_folder(tmp_path / "folder") as folder:
            (folder / "inside").write_text("")
    atomic.write_text(tmp_path / "after", "")
    assert record == [(tmp_path / name).resolve() for name in ("one", "two", "folder")]
    assert inner == [(tmp_path / "two").resolve()]


def test_a_claim_survives_a_kill_while_it_was_made(tmp_path):
    """What it left is a temporary file of its own; any other file is somebody else's."""
    (tmp_path / ".0123456789ab-99-abcd.partial").touch()
    atomic.claim(tmp_path, "this", what="this").mark()
    assert (tmp_path / atomic.MARK).exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.txt").touch()
    with pytest.raises(ValueError, match="new or empty"):
        atomic.claim(other, "this", what="this")


def test_a_folder_written_beside_files_of_others_leaves_them_bit_by_bit(tmp_path):
    """What is own by its name is replaced, also what the new content no longer has; the rest stays."""
    folder = tmp_path / "report"
    (folder / "pages").mkdir(parents=True)
    (folder / "index.html").write_text("old")
    (folder / "pages" / "old.html").write_text("old")
    foreign = {folder / "thesis.tex": bytes(range(256)), folder / "notes" / "index.html": b"\r\n\x00mine"}
    (folder / "notes").mkdir()
    for path, content in foreign.items():
        path.write_bytes(content)
    stamps = {path: path.stat() for path in foreign}
    with atomic.writing_folder(folder, own=("index.html", "pages", "page-*")) as temporary:
        (temporary / "index.html").write_text("new")
        (temporary / "extra.json").write_text("{}")
    assert names(folder) == ["extra.json", "index.html", "notes", "thesis.tex"]
    assert (folder / "index.html").read_text() == "new"
    for path, content in foreign.items():
        assert path.read_bytes() == content
        assert (path.stat().st_ino, path.stat().st_mtime_ns) == (
            stamps[path].st_ino,
            stamps[path].st_mtime_ns,
        )
    assert names(tmp_path) == ["report"]


def test_a_folder_that_fails_beside_files_of_others_changes_nothing(tmp_path):
    (tmp_path / "index.html").write_text("old")
    (tmp_path / "thesis.tex").write_bytes(b"\x00\xff")
    with pytest.raises(ZeroDivisionError), atomic.writing_folder(tmp_path, own=("index.html",)) as temporary:
        (temporary / "index.html").write_text("half")
        raise ZeroDivisionError
    assert (tmp_path / "index.html").read_text() == "old"
    assert (tmp_path / "thesis.tex").read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["index.html", "thesis.tex"]


def test_a_claim_writes_its_own_files_and_its_mark_beside_those_of_others(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "thesis.tex").write_bytes(b"\x00\xff\r\n")
    (folder / "map-3.png").write_bytes(b"old")
    claim = atomic.claim(folder, "this", what="a run", own=("table.ecsv", "map-*"), overwrite=True)
    with claim.writing() as temporary:
        (temporary / "table.ecsv").write_text("new")
        (temporary / "map-1.png").write_bytes(b"new")
        assert (folder / "map-3.png").read_bytes() == b"old", "the old stays until all of the new is there"
    assert names(folder) == [atomic.MARK, "map-1.png", "table.ecsv", "thesis.tex"]
    assert (folder / "thesis.tex").read_bytes() == b"\x00\xff\r\n"
    assert (folder / "table.ecsv").read_text() == "new"
    again = atomic.claim(folder, "this", what="a run", own=("table.ecsv", "map-*"))
    assert again.written("table.ecsv")
    with pytest.raises(ValueError, match="a new folder, or a run"):
        atomic.claim(folder, "another", what="a run")
    assert names(tmp_path) == ["run"]


def test_only_names_of_its_own_are_taken_for_what_a_kill_left(tmp_path):
    with atomic.writing(tmp_path / "a.fits") as temporary:
        assert atomic.is_partial(temporary.name)
        temporary.touch()
    for name in (".notes.partial", ".thesis.partial.tex", "a.partial", ".0123-1-2.partial"):
        assert not atomic.is_partial(name)
