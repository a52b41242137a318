import os
import subprocess
import sys
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from galcnn.surveys.cache import Cache, default_folder


def entries(cache):
    return [path for path in cache.folder.glob("??/*") if path.is_file()]


def size(cache):
    return sum(path.stat().st_size for path in entries(cache))


def test_what_was_put_is_given_until_it_is_damaged(tmp_path):
    cache = Cache(tmp_path)
    cache.put("key", b"content")
    assert Cache(tmp_path).get("key") == b"content"
    (path,) = entries(cache)
    for damaged in (b"", b"conten", b"Content"):
        path.write_bytes(damaged)
        assert cache.get("key") is None
        assert not path.exists()
        cache.put("key", b"content")
    assert cache.get("key") == b"content"


def test_a_damaged_entry_beside_a_whole_one_hides_nothing(tmp_path):
    cache = Cache(tmp_path)
    cache.put("key", b"old")
    (old,) = entries(cache)
    cache.put("key", b"new")
    old.write_bytes(b"???")
    assert cache.get("key") == b"new"
    assert len(entries(cache)) == 1


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 400)), max_size=40))
def test_it_never_holds_more_than_its_limit_and_never_lies(tmp_path_factory, writes):
    cache = Cache(tmp_path_factory.mktemp("cache"), limit=1000)
    last = {}
    for key, n in writes:
        last[key] = bytes([key]) * n
        cache.put(str(key), last[key])
        assert size(cache) <= 1000
    for key, content in last.items():
        given_ = cache.get(str(key))
        assert given_ is None or set(given_) == set(content)


def test_the_entries_that_were_not_used_go_first(tmp_path):
    cache = Cache(tmp_path, limit=1000)
    for i, key in enumerate("abcd"):
        cache.put(key, bytes(200))
        path = max(entries(cache), key=lambda p: p.stat().st_mtime_ns)
        os.utime(path, (1e9 + i, 1e9 + i))
    assert cache.get("a") is not None  # used now: the newest
    cache.put("e", bytes(300))  # 1100 of 1000: down to 800
    assert [key for key in "abcde" if cache.get(key) is not None] == ["a", "d", "e"]


def test_what_is_larger_than_the_limit_is_not_kept(tmp_path):
    cache = Cache(tmp_path, limit=10)
    cache.put("key", bytes(11))
    assert cache.get("key") is None
    with pytest.raises(ValueError, match="limit"):
        Cache(tmp_path, limit=-1)


def test_what_a_killed_process_left_is_swept_away(tmp_path):
    cache = Cache(tmp_path, limit=100)
    cache.put("a", bytes(90))
    left = entries(cache)[0].with_name(".0123456789ab-1-2.partial")
    left.write_bytes(bytes(1000))
    os.utime(left, (1e9, 1e9))
    cache.put("b", bytes(90))
    assert not left.exists()
    assert cache.get("b") is not None


def test_files_of_others_are_neither_counted_nor_removed(tmp_path):
    """Whatever they are called: of a folder that the user names with --cache, only its own files go."""
    cache = Cache(tmp_path, limit=100)
    cache.put("a", bytes(90))
    (own,) = entries(cache)
    own_folder, key = own.parent, own.name.partition("-")[0]
    others = [
        tmp_path / "thesis",
        tmp_path / "xy" / "thesis",
        tmp_path / "ab" / "thesis",
        tmp_path / "ab" / ".thesis.partial",
        tmp_path / "ab" / own.name,  # of another key than its folder's
        own_folder / "README",
        own_folder / f"{key}-notes",
        own_folder / "deep" / "thesis",
    ]
    for i, other in enumerate(others):
        other.parent.mkdir(exist_ok=True)
        other.write_bytes(bytes([i]) * 1000)
        os.utime(other, (1e9, 1e9))
    assert cache.get("a") == bytes(90)
    cache.put("b", bytes(90))
    assert Cache(tmp_path, limit=100).get("b") == bytes(90)
    assert Cache(tmp_path, limit=100).get("a") is None, "made room for b"
    assert [other.read_bytes() for other in others] == [bytes([i]) * 1000 for i in range(len(others))]


def test_threads_and_processes_share_it(tmp_path):
    """All use the same keys of a cache that is too small for them: nobody sees another's bytes."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom galcnn.surveys.cache import Cache\n"
        "cache = Cache(Path(sys.argv[1]), limit=2000)\n"
        "for turn in range(60):\n"
        "    key = turn % 12\n"
        "    cache.put(str(key), bytes([key]) * 300)\n"
        "    got = cache.get(str((turn * 5) % 12))\n"
        "    assert got is None or got == bytes([(turn * 5) % 12]) * 300\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(2)]
    cache, faults = Cache(tmp_path, limit=2000), []

    def use():
        for turn in range(60):
            cache.put(str(turn % 12), bytes([turn % 12]) * 300)
            got = cache.get(str(turn * 7 % 12))
            if got is not None and got != bytes([turn * 7 % 12]) * 300:
                faults.append(got)

    threads = [threading.Thread(target=use) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    assert [other.wait(timeout=60) for other in others] == [0, 0]
    Cache(tmp_path, limit=2000).put("last", b"x")
    assert size(cache) <= 2000


def test_the_folder_is_one_for_all_runs_of_a_user(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    monkeypatch.delenv("GALCNN_CACHE", raising=False)
    assert default_folder() == tmp_path / "x" / "galcnn"
    monkeypatch.setenv("GALCNN_CACHE", str(tmp_path / "own"))
    assert default_folder() == tmp_path / "own"
