"""The only file of galcnn that touches the network: HTTP under limits, in four kinds of error.

`get` asks for one address. `Session` is for the clients that speak for a service (astroquery, pyvo):
what goes through it is under the same limits. `speaking` turns what
such a client raises on an answer it did not expect into the errors of galcnn::

    with speaking("hips2fits"):
        client = hips2fitsClass()
        client._session = Session(limits)
        ...

Neither time nor size is unbounded: each wait, each request and each answer has a limit, a server
that sends a byte a second included. What may mend itself is tried again, politely: pauses that
grow, with jitter, or as long as the server asks for in Retry-After, for all requests to this host.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import io
import random
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
#: Seconds between two looks at the clock.
_TICK = 0.1
#: Letters of an error page that are quoted.
_QUOTED = 120


@dataclass(frozen=True)
class Limits:
    """How long, how much and how often.

    Attributes
    ----------
    idle : float
        Seconds without a byte.
    total : float
        Seconds for one request with all its tries and pauses; waiting for a turn is not counted.
    tries : int
        How often one request is sent at most.
    pause : float
        Seconds before the second try; doubles from try to try, times a random number between
        1/2 and 3/2.
    per_host : int
        Requests to one host at the same time, of the whole process.
    size : int
        Bytes of one answer, unpacked.
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
    """What a server answered, whole.

    Attributes
    ----------
    url : str
        Address that answered, after redirections.
    status : int
        HTTP status.
    content : bytes
        Body, without the packing of the transport.
    content_type : str
        As the server says, lower case.
    time : str
        When it had arrived, UTC.
    """

    url: str
    status: int
    content: bytes
    content_type: str
    time: str

    @functools.cached_property
    def sha256(self) -> str:
        """Hash of the body."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def provenance(self) -> dict[str, str]:
        """For the `meta` of a cutout: url, time, sha256."""
        return {"url": self.url, "time": self.time, "sha256": self.sha256}

    def excerpt(self) -> str:
        """Quote the beginning of the body as text, printable characters only."""
        text = self.content[: 4 * _QUOTED].decode("latin-1")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_QUOTED]

    def refusal(self, expected: str, remedy: str) -> str:
        """Word an error about this answer, with the beginning of the body, status and address."""
        answer = self.excerpt() or "nothing"
        return message(expected, remedy, status=self.status, answer=answer, url=self.url)


def address(url: str, params: Mapping[str, object] | None = None) -> str:
    """Give the address that `get` would ask for, without asking.

    Parameters
    ----------
    url : str
        Of the service.
    params : mapping, optional
        Of the query; those that are None are left out.

    Returns
    -------
    str
        With the query, quoted.

    Raises
    ------
    ValueError
        This is no http or https address.

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
    """Ask for one address; what may mend itself is tried again.

    Parameters
    ----------
    url : str
        Of the service.
    params : mapping, optional
        Of the query.
    limits : Limits, optional
        The default ones where left out.
    accept : collection of int
        HTTP statuses that are answers; 404 belongs here where it means "not covered".

    Returns
    -------
    Answer
        Whole, but not checked for what it holds: `url`, `status`, `content`, `content_type`, `time`.

    Raises
    ------
    galcnn.errors.DownloadError
        No connection, no answer in time, an answer that broke off, or a busy server.
    galcnn.errors.BadResponseError
        Another status, or an answer that is too large.
    galcnn.errors.AuthRequiredError
        The server wants credentials.
    ValueError
        This is no http or https address.
    """
    with Session(limits) as one:
        try:
            one.get(address(url, params))
        except requests.RequestException as error:  # redirections without end or to nowhere
            said = _in_words(error)
            raise BadResponseError(message("an answer", "Check the address.", url=url, error=said)) from error
        answer = one.answers[-1]
    if answer.status not in accept:
        raise BadResponseError(answer.refusal(_AN_ANSWER, "Check the request; the service may have changed."))
    return answer


class Session(requests.Session):
    """What a client of astroquery or pyvo in one thread asks through: every request is under limits."""

    # Statuses that may mend themselves are tried again and then raised, as are those that want
    # credentials; the client sees all others, and only whole bodies.

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
    """Run a client; what it raises on an answer it did not expect becomes a `BadResponseError`."""
    try:
        yield
    except (DownloadError, CoverageError, MemoryError):
        raise
    except Exception as error:  # JSONDecodeError on one web page, AttributeError on another, and so on
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
    """Wait for a function so long and no longer: TimeoutError after that, CancelledError once stopped."""
    # In a daemon thread that is left behind: time limits of sockets are for one byte, so that headers
    # which drip would get round them, and foreign code may have no limit.
    found: Future[Found] = Future()

    def run() -> None:
        try:
            found.set_result(ask())
        except BaseException as error:  # noqa: BLE001  raised by the thread that waits
            found.set_exception(error)

    ends = time.monotonic() + seconds
    threading.Thread(target=run, daemon=True, name=name).start()
    while not wait([found], timeout=_TICK).done:  # a whole wait cannot be interrupted on every system
        if stopped is not None and stopped.is_set():
            raise CancelledError
        if time.monotonic() > ends:
            raise TimeoutError(
                message(f"an answer within {seconds:g} s", "Try again later, or with a longer time limit.")
            )
    return found.result()


class _Host:
    """How many requests run at one host, and how long it wants to be left alone."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._running = 0
        self._not_before = 0.0

    @contextlib.contextmanager
    def turn(self, limit: int) -> Iterator[None]:
        """Wait for one of so many turns, and hold it."""
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
        """Leave the host alone for a time."""
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def wait(self, ends: float, url: str) -> None:
        """Wait as long as the host wants to be left alone, unless that is longer than there is time."""
        while (pause := self._not_before - time.monotonic()) > 0:
            if time.monotonic() + pause > ends:
                raise DownloadError(
                    message("a host that takes requests", f"Try again in {pause:.0f} s.", url=url)
                )
            time.sleep(pause)


#: By host and port, for the whole process.
_HOSTS: dict[str, _Host] = {}


class _Adapter(HTTPAdapter):
    """Sends one request under limits, and gives it back with its whole body."""

    # urllib3.Retry alone would neither see a body that breaks off, which requests reads later, nor
    # keep the total, nor let a host have its pause from all requests.

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
        del stream, timeout  # a client's own limits, where it has any
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
            finally:  # Ctrl-C too comes here
                left.set()

    def _tried(
        self, once: Callable[[], requests.Response], host: _Host, url: str, ends: float, left: threading.Event
    ) -> requests.Response:
        """Send until there is a whole answer, or no more time or tries, or nobody waits any more."""
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
                trouble = DownloadError(message("a whole answer", "Try again later.", url=url, error=said))
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
        """Read the whole body."""
        body = bytearray()
        # read1 gives what is there; read would wait for a whole chunk that drips.
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
    """Put the body, which was read, back: unpacked, and in one piece."""
    for name in _OF_THE_TRANSPORT & {name.lower() for name in response.headers}:
        del response.headers[name]
    response.raw = urllib3.HTTPResponse(
        io.BytesIO(answer.content),
        headers=response.headers,
        status=response.status_code,
        reason=response.reason,
        preload_content=False,
        original_response=getattr(response.raw, "_original_response", None),  # holds the cookies
    )
    response.galcnn_answer = answer  # type: ignore[attr-defined]
    return response


def _in_words(error: BaseException) -> str:
    """Say what is at the bottom: requests wraps the errors of urllib3, which wraps those of the system."""
    inner = getattr(error, "reason", None) or next(
        (x for x in error.args if isinstance(x, BaseException)), None
    )
    if isinstance(inner, BaseException):
        return _in_words(inner)
    return f"{type(error).__name__}: {error}"
