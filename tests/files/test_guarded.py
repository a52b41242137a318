"""Files that would kill, hang or fill this process are refused, and the next file is read."""

import bz2
import gzip
import io
import lzma
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import zipfile

import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from galcnn import Cutout
from galcnn._runtime import reader
from galcnn.errors import NoReaderError, UnreadableImageError
from galcnn.files import Companions, load_bands, load_cutout, save_cutout
from galcnn.files.sources import WARNINGS_LOCK, opened, untrusted

KINDS = ("RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1")
RNG = np.random.default_rng(3)
WHOLE = RNG.integers(0, 2000, (32, 48)).astype(np.int32)


def content(*hdus, checksum=False):
    out = io.BytesIO()
    fits.HDUList(
        [fits.PrimaryHDU(), *hdus] if not isinstance(hdus[0], fits.PrimaryHDU) else list(hdus)
    ).writeto(out, checksum=checksum)
    return out.getvalue()


def tiled(kind="RICE_1", data=WHOLE, checksum=False, **options):
    tile = (16, 48) if kind == "HCOMPRESS_1" else (1, data.shape[1])
    options = {"tile_shape": tile, "quantize_level": 16.0} | options
    return content(fits.CompImageHDU(data, compression_type=kind, **options), checksum=checksum)


def with_card(raw, key, value):
    """The same file with another value of one card; the length is kept."""
    at = next(i for i in range(0, len(raw), 80) if raw[i : i + 8] == f"{key:<8}".encode())
    card = f"{key:<8}= {value:>20}".ljust(80).encode()
    return raw[:at] + card + raw[at + 80 :]


def pixels_of(raw):
    """Offsets of table and heap of the tiles."""
    with fits.open(io.BytesIO(raw), disable_image_compression=True) as hdus:
        place = hdus[1].fileinfo()
        return place["datLoc"], place["datLoc"] + hdus[1].size


def plain(data=None, checksum=False, **cards):
    header = fits.Header({"BUNIT": "nJy", "FILTER": "r", **cards})
    return content(
        fits.PrimaryHDU(WHOLE.astype(np.float32) if data is None else data, header), checksum=checksum
    )


# Whole files ------------------------------------------------------------------------------------
@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_whole_tiles_are_read_as_they_were(kind, checksum):
    np.testing.assert_array_equal(load_cutout(tiled(kind, checksum=checksum)).flux[0], WHOLE)


@pytest.mark.parametrize("cards", [{}, {"BSCALE": 0.5, "BZERO": 10.0}, {"BLANK": 7}])
def test_tiles_keep_scale_and_blank(cards):
    raw = io.BytesIO()
    with fits.open(io.BytesIO(tiled(data=WHOLE.astype(np.int16))), disable_image_compression=True) as hdus:
        hdus[1].header.update(cards)
        hdus.writeto(raw)
    packed = raw.getvalue()
    with fits.open(io.BytesIO(packed)) as hdus:
        assert set(cards) <= set(hdus[1].header)
    expected = WHOLE * cards.get("BSCALE", 1) + cards.get("BZERO", 0.0)
    expected[cards.get("BLANK") == WHOLE] = np.nan
    np.testing.assert_array_equal(load_cutout(packed).flux[0], expected)


def test_quantised_floats_are_those_of_astropy():
    data = RNG.normal(0, 1, (32, 48)).astype(np.float32)
    raw = tiled(data=data, quantize_method=1)
    with fits.open(io.BytesIO(raw)) as hdus:
        np.testing.assert_array_equal(load_cutout(raw).flux[0], hdus[1].data)


def test_other_hdus_and_headers_beside_tiles_are_kept():
    table = fits.BinTableHDU.from_columns([fits.Column("a", "D", array=np.arange(3.0))], name="T")
    tiles = fits.CompImageHDU(WHOLE, fits.Header({"FILTER": "z", "HISTORY": "long " * 30}), name="SCI")
    with opened(content(table, tiles, fits.ImageHDU(WHOLE + 1, name="B"))) as (hdus, notes):
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "T", "SCI", "B"]
        assert hdus["SCI"].header["FILTER"] == "z"
        np.testing.assert_array_equal(hdus["SCI"].data, WHOLE)
        np.testing.assert_array_equal(hdus["T"].data["a"], [0, 1, 2])
    assert notes == []


@pytest.mark.parametrize("source", [plain(), tiled(), gzip.compress(plain())], ids=["plain", "tiles", "gzip"])
def test_untrusted_files_are_read_alike(source):
    trusted, other = load_cutout(source), load_cutout(untrusted(source, "a service"))
    np.testing.assert_array_equal(trusted.flux, other.flux)
    assert other.meta["path"] == "a service"


# Damage -----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (with_card(tiled(), "ZTILE2", -3), "ZTILE2"),
        (with_card(tiled(), "ZTILE1", 0), "ZTILE1"),
        (with_card(with_card(tiled(), "ZNAXIS1", 2_000_000_000), "ZTILE1", 2_000_000_000), "tiles|MiB"),
        (with_card(tiled(), "ZNAXIS2", 64), "tiles"),
        (with_card(tiled(), "ZVAL1", 31), "BLOCKSIZE"),
        (with_card(tiled(), "ZVAL2", -4), "ZVAL2"),
        (with_card(tiled(), "ZBITPIX", 24), "ZBITPIX"),
        (with_card(tiled("HCOMPRESS_1"), "ZVAL1", -1), "SCALE"),
        (with_card(tiled(), "PCOUNT", 1 << 40), "truncated"),
        (with_card(tiled(), "TFORM1", "'PE(3)'"), "Invalid TFORM"),
        (with_card(tiled(), "TTYPE1", 5), "FITS file"),
        (with_card(plain(), "NAXIS", 2_147_483_647), "NAXIS"),
        (with_card(plain(), "NAXIS1", -48), "NAXIS1"),
        (with_card(plain(), "NAXIS2", 1 << 50), "truncated"),
        (with_card(plain(), "BITPIX", 0), "BITPIX"),
        (with_card(plain(), "NAXIS1", "'48'"), "NAXIS1"),
    ],
)
@pytest.mark.parametrize("wrap", [bytes, untrusted, gzip.compress])
def test_sizes_that_cannot_be_are_refused_before_they_are_believed(raw, said, wrap):
    start = time.monotonic()
    with pytest.raises(UnreadableImageError, match=said):
        load_cutout(wrap(raw))
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_tiles_are_refused_or_read_alike(kind):
    """Without sums: no death, no memory of a process among the pixels."""
    raw, rng = bytearray(tiled(kind)), np.random.default_rng(5)
    start, end = pixels_of(raw)
    for _ in range(12):
        damaged = raw.copy()
        for at in rng.integers(start, end, 3):
            damaged[at] ^= 1 << int(rng.integers(8))
        loads = []
        for _ in range(2):
            try:
                loads.append(load_cutout(bytes(damaged)).flux.tobytes())
            except UnreadableImageError:
                loads.append(b"")
        assert loads[0] == loads[1]
    np.testing.assert_array_equal(load_cutout(bytes(raw)).flux[0], WHOLE)


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_bit_of_tiles_with_sums_is_refused(kind):
    raw = bytearray(tiled(kind, checksum=True))
    raw[pixels_of(raw)[0] + 300] ^= 4
    with pytest.raises(UnreadableImageError, match="checksum"):
        load_cutout(bytes(raw))


@pytest.mark.parametrize(
    ("pack", "suffix"), [(gzip.compress, "gz"), (bz2.compress, "bz2"), (lzma.compress, "xz"), (None, "zip")]
)
def test_bombs_are_refused(tmp_path, pack, suffix):
    header = plain()[:2880]
    bomb = with_card(with_card(header, "NAXIS1", 30_000), "NAXIS2", 20_000) + bytes(160 << 20)
    path = tmp_path / f"a.fits.{suffix}"
    if pack is None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.fits", bomb)
    else:
        path.write_bytes(pack(bomb))
    with pytest.raises(UnreadableImageError, match="128 MiB"):
        load_cutout(path)


def test_a_picture_bomb_is_refused(tmp_path):
    Image.new("1", (9_000, 9_000)).save(tmp_path / "a.png")
    with pytest.raises(UnreadableImageError, match="128 MiB"):
        load_cutout(tmp_path / "a.png")


@pytest.mark.parametrize("kind", ["pipe", "socket", "device"])
def test_what_is_no_file_is_refused_at_once(tmp_path, kind, monkeypatch):
    path, server = tmp_path / "a.fits", socket.socket(socket.AF_UNIX)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        monkeypatch.chdir(tmp_path)
        server.bind("a.fits")
    else:
        path = "/dev/zero"
    with pytest.raises((UnreadableImageError, OSError)):
        load_cutout(path)
    server.close()


# Sums -------------------------------------------------------------------------------------------
def test_changed_pixels_and_cards_of_others_are_noted_or_refused():
    raw = bytearray(plain(checksum=True))
    assert "checksum_mismatch" not in load_cutout(bytes(raw), strict=True).meta
    pixels, cards = raw.copy(), raw.copy()
    pixels[2880 + 400] ^= 0x40
    cards[raw.index(b"nJy")] ^= 1
    for damaged, keyword in ((pixels, "DATASUM"), (cards, "CHECKSUM")):
        meta = load_cutout(bytes(damaged)).meta
        assert meta["checksum_mismatch"] == ["0"]
        assert any(note.startswith(f"{keyword} of HDU 0") for note in meta["notes"])
        with pytest.raises(UnreadableImageError, match=keyword):
            load_cutout(bytes(damaged), strict=True)


def test_sums_of_all_files_of_a_galaxy_are_noted_or_refused(tmp_path):
    sky = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CDELT1": -1e-4, "CDELT2": 1e-4}
    whole, damaged = plain(checksum=True, FILTER="g", **sky), bytearray(plain(checksum=True, **sky))
    damaged[2880 + 400] ^= 0x40
    assert load_cutout([whole, bytes(damaged)]).meta["checksum_mismatch"] == ["0"]
    both = load_bands([whole, bytes(damaged)], reference="g")
    assert both.meta["checksum_mismatch"] == ["0"]
    with pytest.raises(UnreadableImageError, match="DATASUM"):
        load_bands([whole, bytes(damaged)], reference="g", strict=True)
    beside = Companions(sigma=bytes(damaged))
    meta = load_cutout(whole, companions=beside).meta
    assert meta["checksum_mismatch"] == ["0 of the sigma"]
    assert any(note.startswith("HDU 0 of the sigma (") for note in meta["notes"])
    with pytest.raises(UnreadableImageError, match="DATASUM"):
        load_cutout(whole, companions=beside, strict=True)


def test_cards_behind_the_end_of_a_header_are_noted_or_refused(tmp_path):
    """A sum does not see that two cards changed places; one behind END is no card."""

    def exchanged(raw, key):
        at, end = raw.index(key.ljust(8) + b"="), raw.index(b"END".ljust(80))
        card = raw[at : at + 80]
        return raw[:at] + raw[end + 80 : end + 160] + raw[at + 80 : end + 80] + card + raw[end + 160 :]

    raw = plain(checksum=True)
    assert load_cutout(raw).bands == ("r",)
    cutout = load_cutout(exchanged(raw, b"FILTER"))
    assert cutout.bands == ("band1",)
    behind = len(raw[raw.index(b"FILTER  =") :][:80].strip())
    assert f"{behind} bytes behind the END of HDU 0 are not read" in cutout.meta["notes"]
    assert not any("does not match" in note for note in cutout.meta["notes"])
    path = tmp_path / "own.fits"
    save_cutout(Cutout(np.ones((1, 8, 8)), ("r",)), path)
    with pytest.raises(UnreadableImageError, match="nothing behind the END"):
        load_cutout(exchanged(path.read_bytes(), b"SURVEY"))


@pytest.mark.parametrize("dtype", ["u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8"])
def test_whole_files_of_every_type_match(dtype):
    data = RNG.integers(0, 200, (5, 7)).astype(dtype)
    packed = fits.CompImageHDU(data, compression_type="GZIP_1")
    hdu = fits.ImageHDU(data, fits.Header({"BUNIT": "nJy"}))
    load_cutout(content(hdu, checksum=True), strict=True)
    load_cutout(content(packed, checksum=True), strict=True)


@pytest.mark.parametrize("empty", ["''", "'0000000000000000'"])
def test_sums_that_were_not_computed_are_no_mismatch(empty):
    raw = plain(checksum=True)
    raw = with_card(with_card(raw, "CHECKSUM", empty), "DATASUM", "''")
    assert "notes" not in load_cutout(raw, strict=True).meta


def test_every_changed_byte_of_our_own_header_is_seen(tmp_path):
    path = tmp_path / "a.fits"
    save_cutout(Cutout(np.ones((2, 8, 8)), ("g", "r"), redshift=0.1, meta={"a": 1}), path)
    raw, rng = path.read_bytes(), np.random.default_rng(0)
    for at in rng.integers(0, len(raw), 300).tolist():
        damaged = bytearray(raw)
        damaged[at] ^= 1 << int(rng.integers(8))
        with pytest.raises(UnreadableImageError):
            load_cutout(bytes(damaged))
    for cut in range(2880, len(raw), 2880):
        with pytest.raises(UnreadableImageError):
            load_cutout(raw[:cut])


# The process ------------------------------------------------------------------------------------
def kill_readers():
    for process in reader._POOL._idle:
        os.killpg(process._popen.pid, signal.SIGKILL)
        process._popen.wait()


def test_a_reader_that_died_while_idle_is_replaced():
    load_cutout(tiled())
    kill_readers()
    np.testing.assert_array_equal(load_cutout(tiled()).flux[0], WHOLE)


def test_a_decoder_that_takes_too_long_is_stopped(monkeypatch):
    monkeypatch.setattr(reader, "_SECONDS", 0.02)
    big = lzma.compress(plain(np.arange(8_000_000, dtype=np.float32).reshape(2000, 4000)), preset=0)
    monkeypatch.setattr(reader, "_BYTES_PER_SECOND", 1 << 40)
    with pytest.raises(UnreadableImageError, match="too long"):
        load_cutout(big)


def test_threads_have_readers_of_their_own():
    found = []

    def load(value):
        for _ in range(5):
            found.append((load_cutout(tiled(data=WHOLE + value)).flux[0] == WHOLE + value).all())

    threads = [threading.Thread(target=load, args=(value,)) for value in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 20


def test_no_lock_is_held_while_a_file_is_decoded(monkeypatch):
    free = []

    def take():
        with WARNINGS_LOCK:
            free.append(True)

    ask = reader._Process.ask

    def asked(*args):
        thread = threading.Thread(target=take)
        thread.start()
        thread.join(5)
        return ask(*args)

    monkeypatch.setattr(reader._Process, "ask", asked)
    load_cutout(tiled())
    assert free == [True]


def test_scripts_without_a_main_guard_and_forked_children_read(tmp_path):
    (tmp_path / "a.fits").write_bytes(tiled())
    (tmp_path / "numpy.py").write_text("raise SystemExit(9)")
    script = (
        "import os, sys; sys.path.pop(0)\n"
        "from galcnn.files import load_cutout\n"
        "first = load_cutout('a.fits').flux.sum()\n"
        "child = os.fork()\n"
        "if child == 0: os._exit(load_cutout('a.fits').flux.sum() != first)\n"
        "code = os.waitpid(child, 0)[1]\n"
        "sys.exit(code or load_cutout('a.fits').flux.sum() != first)\n"
    )
    (tmp_path / "script.py").write_text(script)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


_WORKERS = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from galcnn.files import load_cutout

def total(path):
    return float(load_cutout(path).flux.sum())

def of_threads(path):
    from concurrent.futures import ThreadPoolExecutor
    with ThreadPoolExecutor(3) as pool:
        return sum(pool.map(total, [path] * 3)) / 3

if __name__ == "__main__":
    first, paths = total("a.fits"), ["a.fits"] * 6  # with a reader of its own already
    context = multiprocessing.get_context(sys.argv[1])
    with context.Pool(2) as pool:  # daemons, which may have no children of multiprocessing
        assert pool.map(total, paths) == [first] * 6
        assert pool.map(of_threads, paths[:2]) == [first] * 2
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        assert list(pool.map(total, paths)) == [first] * 6
    assert total("a.fits") == first
"""


@pytest.mark.full
@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_read(tmp_path, method):
    (tmp_path / "a.fits").write_bytes(tiled())
    (tmp_path / "script.py").write_text(_WORKERS)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "script.py", method],
        cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.full
@pytest.mark.parametrize("processes", [True, False])
def test_workers_of_dask_read(tmp_path, processes):
    distributed = pytest.importorskip("distributed", reason="pip install 'galcnn[dask]' installs it")
    (tmp_path / "a.fits").write_bytes(tiled())
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=2, processes=processes, dashboard_address="127.0.0.1:0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        cutouts = client.gather(client.map(load_cutout, [str(tmp_path / "a.fits")] * 8, pure=False))
    assert [float(one.flux.sum()) for one in cutouts] == [float(WHOLE.sum())] * 8


@pytest.mark.parametrize("executable", ["/nowhere/python", "", None])
def test_a_machine_without_processes_says_so(monkeypatch, executable):
    monkeypatch.setattr(reader, "_POOL", reader._Pool())
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(NoReaderError, match="start a process"):
        load_cutout(tiled())
    assert load_cutout(plain()).bands == ("r",)


@pytest.mark.parametrize("kind", ["RICE", "GZIP", "GZIP_2", "HCOMPRESS", "PLIO"])
def test_tiles_of_another_library_have_the_values_that_it_reads(tmp_path, kind):
    """Files of cfitsio, as fpack writes them."""
    import fitsio

    path = tmp_path / "a.fits"
    fitsio.write(path, WHOLE.astype(">i4"), compress=kind, tile_dims=[16, 48], header={"FILTER": "r"})
    theirs, _ = fitsio.read(path, ext=1, header=True)
    found = load_cutout(path)
    assert found.bands == ("r",)
    np.testing.assert_array_equal(found.flux[0], theirs)
    np.testing.assert_array_equal(theirs, WHOLE)


def test_quantized_floats_of_another_library_have_the_values_that_it_reads(tmp_path):
    import fitsio

    path, noise = tmp_path / "a.fits", RNG.normal(size=(32, 48)).astype(np.float32)
    fitsio.write(path, noise, compress="RICE", qlevel=16, qmethod="SUBTRACTIVE_DITHER_1", dither_seed=7)
    found = load_cutout(path).flux[0]
    np.testing.assert_allclose(found, fitsio.read(path, ext=1), atol=1e-6)
    np.testing.assert_allclose(found, noise, atol=0.1)


def test_ctrl_c_ends_the_caller_and_its_reader(tmp_path):
    (tmp_path / "a.fits").write_bytes(tiled())
    script = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from galcnn.files import load_cutout\n"
        "from galcnn._runtime import reader\n"
        "load_cutout('a.fits')\n"
        "print(reader._POOL._idle[0]._popen.pid, flush=True)\n"
        "while True: load_cutout('a.fits')\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    ) as caller:  # fmt: skip
        pid = int(caller.stdout.readline())
        time.sleep(0.2)  # while a file is decoded, as a rule
        os.killpg(caller.pid, signal.SIGINT)  # as a terminal does
        _, said = caller.communicate(timeout=30)
    assert b"KeyboardInterrupt" in said
    assert caller.returncode in (1, 130, -signal.SIGINT)
    for _ in range(100):
        if not is_running(pid):
            break
        time.sleep(0.1)
    assert not is_running(pid)


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat") as handle:
            return handle.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
