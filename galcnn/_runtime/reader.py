"""Reader processes: foreign files are decoded where a decoder that fails ends no one else.

``python -m galcnn._runtime.reader`` waits for files on its input and forks a worker that decodes them, one
after another, within limits of time and memory. A worker that decoded tiles ends afterwards, since a decoder
that wrote to the wrong place may have changed it; if a worker dies, its process ends and the next file
starts another. Each message is a piece of JSON followed by bytes; nothing is unpickled.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any

from galcnn._runtime.fits_blocks import too_large
from galcnn.errors import NoReaderError, UnreadableImageError, error_of_file, message

#: A file may be decompressed to this many bytes, or to this multiple of its own size if that is more.
_LIMIT, _RATIO = 128 << 20, 32
#: Processor time for any file in seconds, and bytes of a file for each further second; wall time is more.
_SECONDS, _BYTES_PER_SECOND, _WALL = 10.0, 4 << 20, 4.0
#: A file on disk is decompressed to another of at most this many bytes, or this multiple of its size.
_LIMIT_ON_DISK = 4 << 30
_PIECE = 1 << 20
#: Longest JSON of a message.
_LONGEST = 1 << 24
#: Idle processes that are kept.
_IDLE = max(2, os.cpu_count() or 1)


#: What a process that unpacks says: an error number of the system, or 0, and a text.
_REFUSED = re.compile(r"(\d+) (.*)", re.DOTALL)


class _Died(Exception):
    """A process ended before its answer; holds its exit code."""


def decode(content: bytes, name: str) -> tuple[dict[str, Any], bytearray | None]:
    """Decode a compressed FITS file, tile-compressed FITS file, JPEG or PNG in a reader process.

    Return facts about the result and its bytes; None instead of bytes if the content is plain FITS already.
    A file that cannot be decoded within the limits is an `UnreadableImageError`.
    """
    size = len(content)
    limit = max(_LIMIT, _RATIO * size)
    process = _POOL.take()
    try:
        answer, payload = process.ask(content, limit, _SECONDS + size / _BYTES_PER_SECOND)
    except _Died as error:
        raise UnreadableImageError(
            message("a file that can be decoded", "Fetch it again.", path=name, decoder=_fate(error.args[0]))
        ) from None
    except BaseException:  # such as Ctrl-C, which leaves an answer behind
        process.kill()
        raise
    _POOL.give(process)
    if "refused" in answer:
        raise UnreadableImageError(f"{name}: {answer['refused']}")
    return answer, payload


def unpack(path: Path, target: Path) -> None:
    """Decompress a file into another, in a process of its own and in little memory, within the limits."""
    size = path.stat().st_size
    limit = max(_LIMIT_ON_DISK, _RATIO * size)
    with open(path, "rb") as packed, open(target, "wb") as plain:
        process = _started(
            str(limit),
            str(_SECONDS + size / _BYTES_PER_SECOND),
            stdin=packed,
            stdout=plain,
            stderr=subprocess.PIPE,
        )
        try:
            _, told = process.communicate()
        except BaseException:
            process.kill()
            raise
    if process.returncode == 0:
        return
    refused = _REFUSED.fullmatch(told.decode(errors="replace"))
    if refused is None:
        raise UnreadableImageError(
            message(
                "a whole packed file", "Fetch it again.", path=str(path), decoder=_fate(process.returncode)
            )
        )
    if refused[1] != "0":
        raise OSError(int(refused[1]), os.strerror(int(refused[1])), str(target))
    raise UnreadableImageError(f"{path}: {refused[2]}")


def _started(*arguments: str, **pipes: Any) -> subprocess.Popen[bytes]:
    """Start this module as another process."""
    # What this process can import, the reader can; `-m` would look into the current folder first.
    paths = os.pathsep.join(str(Path(path).absolute()) for path in sys.path)
    settings = {
        "PYTHONPATH": paths,
        "PYTHONSAFEPATH": "1",
        "PYTHONWARNINGS": "ignore",
        "OPENBLAS_NUM_THREADS": "1",
        # Without caches, new memory is filled as `decoding` says.
        "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0",
    }
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "galcnn._runtime.reader", *arguments],
            bufsize=0,
            env=os.environ | settings,
            start_new_session=True,  # Ctrl-C is for the caller
            **pipes,
        )
    except (OSError, ValueError, TypeError) as error:  # in an embedded Python, sys.executable is None
        raise _unavailable(f"{type(error).__name__}: {error}") from error


class _Process:
    """A reader process, used by one thread at a time."""

    def __init__(self) -> None:
        self._popen = _started(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        assert self._popen.stdin is not None  # for the type checker
        assert self._popen.stdout is not None
        self._in: IO[bytes] = self._popen.stdin
        self._out: IO[bytes] = self._popen.stdout
        self._ready = False

    def ask(self, content: bytes, limit: int, seconds: float) -> tuple[dict[str, Any], bytearray | None]:
        """Send a file and return the answer."""
        if not self._ready:
            if self._out.read(1) != b"+":
                raise _unavailable(f"the process ended with {self.kill()}")
            self._ready = True
        asked = {"size": len(content), "limit": limit, "seconds": seconds}
        try:
            _write(self._in, _message(asked), content)
            answer = _told(self._out)
            size = answer["size"]
            if size is not None and not 0 <= size <= 2 * limit:  # headers and other HDUs are beside
                raise _Died(self.kill())
            return answer, None if size is None else _read(self._out, size)
        except (EOFError, BrokenPipeError, ValueError, KeyError, TypeError):
            raise _Died(self.kill(wait=1.0)) from None

    def kill(self, wait: float = 0.0) -> int:
        """End the process and its workers; return its exit code."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if wait:
                self._popen.wait(wait)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self.close()
        return self._popen.wait()

    def close(self) -> None:
        """Close the pipes, at which an idle process ends."""
        for pipe in (self._in, self._out):
            with contextlib.suppress(OSError):
                pipe.close()


class _Pool:
    """Processes that wait for files; as many work as threads ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[_Process] = []

    def take(self) -> _Process:
        """Return an idle process that lives, or start one."""
        with self._lock:
            while self._idle:
                process = self._idle.pop()
                if process._popen.poll() is None:
                    return process
                process.close()
        return _Process()

    def give(self, process: _Process) -> None:
        """Keep a process for the next file."""
        with self._lock:
            if len(self._idle) < _IDLE:
                self._idle.append(process)
                return
        process.kill()

    def end(self) -> None:
        """End the idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for process in idle:
            process.kill()

    def forget(self) -> None:
        """Close the pipes of the parent's processes in a forked child, so that they end with the parent."""
        self._lock = threading.Lock()
        idle, self._idle = self._idle, []
        for process in idle:
            process.close()
            process._popen.returncode = 0  # not a child of this process


_POOL = _Pool()
atexit.register(_POOL.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_POOL.forget)


def _unavailable(why: str) -> NoReaderError:
    return NoReaderError(
        message(
            "a machine where Python can start a process, in which compressed files and pictures are decoded",
            "Decompress the file first (gunzip, funpack).",
            command=f"{sys.executable} -m galcnn._runtime.reader",
            error=why,
        )
    )


def _fate(code: int) -> str:
    """Say how a worker ended, from the exit code of its process, which is that of the worker."""
    if code in (signal.SIGPROF, signal.SIGALRM):
        return "took too long"
    try:
        return f"died ({signal.Signals(abs(code)).name})"
    except ValueError:
        return f"ended with {code}"


def _write(pipe: IO[bytes], *parts: Any) -> None:
    for part in parts:
        left = memoryview(part).cast("B")
        while left:
            left = left[pipe.write(left) :]


def _told(pipe: IO[bytes]) -> dict[str, Any]:
    """Read a message: the length of its JSON in 8 bytes, and the JSON."""
    length = int.from_bytes(_read(pipe, 8), "big")
    if length > _LONGEST:
        raise EOFError
    told: dict[str, Any] = json.loads(_read(pipe, length))
    return told


def _message(told: dict[str, Any]) -> bytes:
    text = json.dumps(told).encode()
    return len(text).to_bytes(8, "big") + text


def _read(pipe: IO[bytes], size: int) -> bytearray:
    found = bytearray(size)
    left = memoryview(found)
    while left:
        n = pipe.readinto(left)  # type: ignore[attr-defined]  # a raw file has it
        if not n:
            raise EOFError
        left = left[n:]
    return found


def _serve() -> None:
    """Fork a worker at a time, until the input ends or a worker dies."""
    from galcnn._runtime import decoding  # noqa: F401  # once for all workers

    # What a library prints does not come between the answers.
    target = os.fdopen(os.dup(1), "wb", 0)
    os.dup2(2, 1)
    _write(target, b"+")
    while True:
        worker = os.fork()
        if worker == 0:
            os._exit(_work(target))
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        if code:
            os._exit(abs(code))


def _work(target: IO[bytes]) -> int:
    """Decode files until one had tiles (0) or the input ends (1)."""
    import resource

    source = os.fdopen(0, "rb", 0, closefd=False)
    while True:
        try:
            asked = _told(source)
            content = bytes(_read(source, asked["size"]))
        except (EOFError, ValueError):
            return 1
        for timer, seconds in ((signal.ITIMER_PROF, 1.0), (signal.ITIMER_REAL, _WALL)):
            signal.setitimer(timer, seconds * asked["seconds"])  # its signal ends the worker
        # The decoded parts, as pixels of both passes and once more while they are scaled.
        room = _address_space() + 2 * len(content) + 5 * asked["limit"]
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(
            resource.RLIMIT_AS, (room if hard == resource.RLIM_INFINITY else min(room, hard), hard)
        )
        answer, parts, spent = _answered(content, asked["limit"])
        for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
            signal.setitimer(timer, 0)
        _write(target, _message(answer), *parts)
        if spent:
            return 0


def _answered(content: bytes, limit: int) -> tuple[dict[str, Any], list[Any], bool]:
    """Return the answer, the parts of the result, and whether the worker should end now."""
    from galcnn._runtime.decoding import PICTURES, decoded

    try:
        facts, parts = decoded(content, limit)
    except UnreadableImageError as error:
        return {"refused": str(error), "size": None}, [], True
    except MemoryError:
        text = message("a file that can be decoded in a bounded memory", "Fetch it again.", limit=limit)
        return {"refused": text, "size": None}, [], True
    except Exception as error:  # noqa: BLE001  # whatever a decoder says of a damaged file
        kind = "JPEG or PNG" if content.startswith(PICTURES) else "FITS file"
        found = error_of_file(error, f"a whole {kind}", "Fetch it again.")
        return {"refused": str(found), "size": None}, [], True
    size = sum(memoryview(part).nbytes for part in parts) if parts else None
    return {"size": size, **facts}, parts, len(parts) > 1


def _unpack(limit: int, seconds: float) -> int:
    """Decompress the input to the output; what is wrong is told on the other output."""
    import resource

    from galcnn._runtime.compressed import unpacked

    for timer, more in ((signal.ITIMER_PROF, 1.0), (signal.ITIMER_REAL, 10 * _WALL)):
        signal.setitimer(timer, more * seconds)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + (256 << 20),) * 2)
    number, n = 0, 0
    try:
        with unpacked(os.fdopen(0, "rb")) as packed, os.fdopen(1, "wb") as plain:
            while piece := packed.read(_PIECE):
                n += len(piece)
                if n > limit:
                    raise UnreadableImageError(too_large(f"more than {limit}", limit))
                try:
                    plain.write(piece)
                except OSError as error:  # a full disk: no damage
                    number = error.errno or 0
                    raise
        return 0
    except Exception as error:  # noqa: BLE001  # whatever a decoder says of a damaged file
        text = error_of_file(error, "a whole packed file", "Fetch it again.")
        os.write(2, f"{number} {text}".encode())
        return 1


def _address_space() -> int:
    """Return the bytes of address space in use; a guess where the system does not say."""
    with contextlib.suppress(OSError), open("/proc/self/statm", "rb") as handle:
        return int(handle.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    return 4 << 30


if __name__ == "__main__":
    if len(sys.argv) > 1:
        os._exit(_unpack(int(sys.argv[1]), float(sys.argv[2])))
    _serve()
