"""HTTP requests with limits on time, size and number; the only module that uses the network.

`get` requests one address. `Session` applies the same limits to the requests of clients such as
astroquery and pyvo. `speaking` converts the exceptions that such a client raises on an unexpected
answer into galcnn's errors::

    with speaking("hips2fits"):
        client = hips2fitsClass()
        client._session = Session(limits)
        ...

Every wait, request and answer has a limit, also if a server sends one byte per second. Transient
failures are retried after increasing pauses with jitter. A Retry-After of the server pauses all
requests to that host.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import random
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from galcnn._runtime.version import __version__
from galcnn.errors import AuthRequiredError, BadResponseError, CoverageError, DownloadError, message

Found = TypeVar("Found")

_AN_ANSWER = "an answer of the service"
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_OF_THE_TRANSPORT = frozenset({"content-encoding", "content-length", "transfer-encoding"})
_CHUNK = 1 << 16
#: Seconds to connect.
_CONNECT = 10.0
#: Seconds between two checks of the time limit.
_TICK = 0.1
#: Characters of an error page that are quoted.
_QUOTED = 120


@dataclass(frozen=True)
class Limits:
    """Limits of time, size and number of requests.

    Attributes
    ----------
    idle : float
        Seconds without receiving a byte.
    total : float
        Seconds for one request with all its retries and pauses, without the wait for a free connection.
    tries : int
        Maximum number of times that one request is sent.
    pause : float
        Seconds before the second try. The pause doubles with each try and is multiplied by a random
        number between 1/2 and 3/2.
    per_host : int
        Maximum number of simultaneous requests to one host, for the whole process.
    size : int
        Maximum size of one answer in bytes, after decompression.
    """

    idle: float = 60.0
    total: float = 300.0
    tries: int = 4
    pause: float = 1.0
    per_host: int = 4
    size: int = 1 << 29

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if not value > 0 or (one.name in ("tries", "per_host", "size") and value != int(value)):
                raise ValueError(message(f"a positive limit {one.name}", "", **{one.name: value}))


@dataclass(frozen=True)
class Answer:
    """Complete answer of a server.

    Attributes
    ----------
    url : str
        Address that answered, after redirects.
    status : int
        HTTP status.
    content : bytes
        Body, after removal of the content encoding.
    content_type : str
        Content type as sent by the server, in lower case.
    time : str
        Time at which the answer was complete, UTC.
    """

    url: str
    status: int
    content: bytes
    content_type: str
    time: str

    @functools.cached_property
    def sha256(self) -> str:
        """SHA-256 of the body."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def provenance(self) -> dict[str, str]:
        """Address, time and SHA-256, for the `meta` of a cutout."""
        return {"url": self.url, "time": self.time, "sha256": self.sha256}

    def excerpt(self) -> str:
        """Return the beginning of the body as printable text."""
        text = self.content[: 4 * _QUOTED].decode("latin-1")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_QUOTED]

    def refusal(self, expected: str, remedy: str) -> str:
        """Return an error message about this answer, with the beginning of its body, status and address."""
        answer = self.excerpt() or "nothing"
        return message(expected, remedy, status=self.status, answer=answer, url=self.url)


def address(url: str, params: Mapping[str, object] | None = None) -> str:
    """Return the address that `get` would request, without sending a request.

    Parameters
    ----------
    url : str
        Address of the service.
    params : mapping, optional
        Parameters of the query. Those that are None are left out.

    Returns
    -------
    str
        Address with the encoded query.

    Raises
    ------
    ValueError
        If this is not an http or https address.

    Examples
    --------
    >>> address("https://example.org/cutout", {"ra": 1.5, "layer": "ls-dr10", "size": None})
    'https://example.org/cutout?ra=1.5&layer=ls-dr10'
    """
    try:
        whole = requests.Request("GET", url, params=params).prepare().url  # type: ignore[arg-type]
        scheme = urlsplit(whole or "").scheme
    except (requests.RequestException, ValueError) as error:
        raise ValueError(message("an http or https address", "", url=url)) from error
    if not whole or scheme not in ("http", "https"):
        raise ValueError(message("an http or https address", "", url=url))
    return str(whole)


def get(
    url: str,
    params: Mapping[str, object] | None = None,
    *,
    limits: Limits | None = None,
    accept: Collection[int] = (200, 204),
) -> Answer:
    """Request one address, with retries after transient failures.

    Parameters
    ----------
    url : str
        Address of the service.
    params : mapping, optional
        Parameters of the query.
    limits : Limits, optional
        Limits of the request. By default ``Limits()``.
    accept : collection of int
        HTTP statuses that are accepted. Add 404 if it means "not covered".

    Returns
    -------
    Answer
        Complete answer, its content unchecked: `url`, `status`, `content`, `content_type`, `time`.

    Raises
    ------
    galcnn.errors.DownloadError
        If there is no connection, no complete answer in time, or the server is overloaded.
    galcnn.errors.BadResponseError
        If the status is not accepted or the answer is too large.
    galcnn.errors.AuthRequiredError
        If the server requires credentials.
    ValueError
        If this is not an http or https address.
    """
    with Session(limits) as one:
        try:
            one.get(address(url, params))
        except requests.RequestException as error:  # too many redirects, or an invalid target
            said = _in_words(error)
            raise BadResponseError(message("an answer", "Check the address.", url=url, error=said)) from error
        answer = one.answers[-1]
    if answer.status not in accept:
        raise BadResponseError(answer.refusal(_AN_ANSWER, "Check the request; the service may have changed."))
    return answer


class Session(requests.Session):
    """Session for a client of astroquery or pyvo in one thread; limits apply to every request."""

    # Transient statuses are retried and then raised as errors, as are those that require credentials.
    # The client receives all others, always with the complete body.

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__()
        self.answers: list[Answer] = []
        self.hooks["response"].append(self._record)
        self.headers["User-Agent"] = f"galcnn/{__version__} {self.headers['User-Agent']}"
        self.max_redirects = 5
        for scheme in ("http://", "https://"):
            self.mount(scheme, _Adapter(limits or Limits()))

    def _record(self, response: requests.Response, *args: object, **kwargs: object) -> None:
        del args, kwargs
        self.answers.append(response.galcnn_answer)  # type: ignore[attr-defined]  # see _Adapter


@contextlib.contextmanager
def speaking(service: str) -> Iterator[None]:
    """Convert exceptions of a client about an unexpected answer into `BadResponseError`."""
    try:
        yield
    except (DownloadError, CoverageError, MemoryError):
        raise
    except Exception as error:  # JSONDecodeError, AttributeError and so on, depending on the answer
        raise BadResponseError(
            message(
                f"an answer that the client of {service} understands",
                "Try again later; the service may be down or have changed.",
                error=f"{type(error).__name__}: {error}",
            )
        ) from error


def within(
    seconds: float, ask: Callable[[], Found], *, name: str, stopped: threading.Event | None = None
) -> Found:
    """Run a function with a time limit: TimeoutError after that, CancelledError once stopped."""
    # It runs in a daemon thread that is abandoned on timeout: socket timeouts restart with every byte,
    # so that slow headers would never reach them, and plugins may have no limit.
    found: Future[Found] = Future()

    def run() -> None:
        try:
            found.set_result(ask())
        except BaseException as error:  # noqa: BLE001  raised again in the waiting thread
            found.set_exception(error)

    ends = time.monotonic() + seconds
    threading.Thread(target=run, daemon=True, name=name).start()
    while not wait([found], timeout=_TICK).done:  # an unlimited wait cannot be interrupted on every system
        if stopped is not None and stopped.is_set():
            raise CancelledError
        if time.monotonic() > ends:
            raise TimeoutError(
                message(f"an answer within {seconds:g} s", "Try again later, or with a longer time limit.")
            )
    return found.result()


class _Host:
    """Number of running requests to a host, and the time until which it asked for a pause."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._running = 0
        self._not_before = 0.0

    @contextlib.contextmanager
    def turn(self, limit: int) -> Iterator[None]:
        """Wait until fewer than `limit` requests run, and count one more."""
        with self._free:
            self._free.wait_for(lambda: self._running < limit)
            self._running += 1
        try:
            yield
        finally:
            with self._free:
                self._running -= 1
                self._free.notify()

    def pause(self, seconds: float) -> None:
        """Send nothing to the host for some seconds."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def wait(self, ends: float, url: str) -> None:
        """Wait for the end of the pause that the host asked for; raise an error if it ends too late."""
        while (pause := self._not_before - time.monotonic()) > 0:
            if time.monotonic() + pause > ends:
                raise DownloadError(
                    message("a host that takes requests", f"Try again in {pause:.0f} s.", url=url)
                )
            time.sleep(pause)


#: By host and port, for the whole process.
_HOSTS: dict[str, _Host] = {}


class _Adapter(HTTPAdapter):
    """Adapter that sends a request under limits and returns the response with its complete body."""

    # urllib3.Retry alone would not notice a truncated body, which requests reads later, nor limit
    # the total time, nor apply a host's pause to all requests.

    def __init__(self, limits: Limits) -> None:
        super().__init__(pool_maxsize=limits.per_host)
        self.limits = limits

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> requests.Response:
        del stream, timeout  # limits of the client are replaced by ours
        url, limits = str(request.url), self.limits
        patience = (min(_CONNECT, limits.idle), limits.idle)
        once = functools.partial(super().send, request, True, patience, verify, cert, proxies)
        host = _HOSTS.setdefault(urlsplit(url).netloc, _Host())
        left = threading.Event()
        with host.turn(limits.per_host):
            ends = time.monotonic() + limits.total
            try:
                return within(
                    limits.total, lambda: self._tried(once, host, url, ends, left), name="galcnn-download"
                )
            except TimeoutError as error:
                raise self._too_late(url) from error
            finally:  # also after Ctrl-C
                left.set()

    def _tried(
        self, once: Callable[[], requests.Response], host: _Host, url: str, ends: float, left: threading.Event
    ) -> requests.Response:
        """Send until the answer is complete, time or tries run out, or the caller has left."""
        for number in range(self.limits.tries):
            host.wait(ends, url)
            asked = 0.0
            try:
                with once() as response:
                    answer = self._answer(response, left)
            except DownloadError:
                raise
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                said = _in_words(error)
                trouble = DownloadError(
                    f"Cannot reach {urlsplit(url).netloc}; check the network. ({said})"
                    if _is_unreachable(error)
                    else message("a whole answer", "Try again later.", url=url, error=said)
                )
                trouble.__cause__ = error
            else:
                if answer.status in (401, 403):
                    raise AuthRequiredError(answer.refusal(_AN_ANSWER, "Log in, then try again."))
                if answer.status not in _TRANSIENT:
                    return _with_body(response, answer)
                with contextlib.suppress(urllib3.exceptions.InvalidHeader):
                    asked = urllib3.Retry().get_retry_after(response.raw) or 0.0
                host.pause(asked)
                remedy = f"Try again in {asked:.0f} s." if asked else "Try again later."
                trouble = DownloadError(answer.refusal(_AN_ANSWER, remedy))
            pause = self.limits.pause * 2**number * random.uniform(0.5, 1.5)
            last = number == self.limits.tries - 1 or time.monotonic() + max(pause, asked) > ends
            if last or left.wait(pause):
                raise trouble
        raise AssertionError("the last try returns or raises")

    def _answer(self, response: requests.Response, left: threading.Event) -> Answer:
        """Read the complete body."""
        body = bytearray()
        # read1 returns the bytes that have arrived; read would wait for a full chunk.
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            body += piece
            if left.is_set():
                raise self._too_late(response.url)
            if len(body) > self.limits.size:
                raise BadResponseError(
                    message(
                        f"an answer of at most {self.limits.size} bytes",
                        "Ask for a smaller image, or raise the limit.",
                        url=response.url,
                    )
                )
        kind = response.headers.get("Content-Type", "").lower()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Answer(str(response.url), response.status_code, bytes(body), kind, now)

    def _too_late(self, url: str) -> DownloadError:
        return DownloadError(
            message(f"a whole answer within {self.limits.total:g} s", "Try again later.", url=url)
        )


def _with_body(response: requests.Response, answer: Answer) -> requests.Response:
    """Put the decompressed body back into the response."""
    for name in _OF_THE_TRANSPORT & {name.lower() for name in response.headers}:
        del response.headers[name]
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(answer.content),
        headers=response.headers,
        status=response.status_code,
        reason=response.reason,
        preload_content=False,
        original_response=getattr(response.raw, "_original_response", None),  # needed for cookies
    )
    response.galcnn_answer = answer  # type: ignore[attr-defined]
    return response


def _is_unreachable(error: BaseException) -> bool:
    """Return True if no connection was made."""
    inner = getattr(error, "reason", None) or next(
        (x for x in error.args if isinstance(x, BaseException)), None
    )
    unreachable = (
        urllib3.exceptions.NewConnectionError,
        urllib3.exceptions.ConnectTimeoutError,
        socket.gaierror,
    )
    return isinstance(error, unreachable) or (inner is not None and _is_unreachable(inner))


def _in_words(error: BaseException) -> str:
    """Describe the innermost error: requests wraps errors of urllib3, which wraps those of the system."""
    inner = getattr(error, "reason", None) or next(
        (x for x in error.args if isinstance(x, BaseException)), None
    )
    if isinstance(inner, BaseException):
        return _in_words(inner)
    return f"{type(error).__name__}: {error}"
