"""HTTP requests with limits on time, size and number; the only module that uses the network.

`get` requests one address. `Session` applies the same limits to the requests of clients such as
astroquery and pyvo. `speaking` converts the exceptions that such a client raises on an unexpected
answer into galcnn's errors::

    with speaking("hips2fits"):
        client = hips2fitsClass()
        client._session = Session(limits)
        ...

Every wait, request and answer has a limit, also if a server sends one byte per second. Transient
failures are retried after increasing pauses with jitter. A Retry-After of the server pauses the
request, and all requests to that host if it is short or sent twice in a row.

Only http and https addresses are requested. Neither ~/.netrc nor the proxies of the environment are
used; `GALCNN_PROXY` sets a proxy. Credentials stay with the server for which they were given, see
`Session.rebuild_auth`.
"""

from __future__ import annotations

import contextlib
import email.utils
import functools
import hashlib
import io
import os
import random
import re
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from concurrent.futures import CancelledError, Future, wait
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, TypeVar
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

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
#: Longest Retry-After in seconds that is believed; longer ones are taken for this.
_LONGEST_PAUSE = 3600.0
#: Retry-After in seconds up to which one answer pauses all requests to its host.
_BRIEF = 5.0
#: Variables of the environment: the proxy of all requests, and the certificates that are trusted.
PROXY = "GALCNN_PROXY"
_CERTIFICATES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
#: Headers that hold nothing about the user and are sent to the target of a redirect to another server.
_HARMLESS = frozenset({"user-agent", "accept", "accept-encoding", "connection"})
#: Names of the parameters of a query that are credentials.
_SECRET = re.compile(
    r".*(token|api_?key|secret|passw|signature|credential|jwt).*|(.*[-_.])?(key|pwd|auth|sig|sid|session(id)?|ticket)",
    re.IGNORECASE,
)
#: Characters of a credential from which on it is also searched for in the path of an address.
_DISTINCT = 8


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
        Address that answered, after redirects, without credentials.
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
    whole = address(url, params)
    one = Session(limits)
    try:
        one.get(whole)
    except (requests.RequestException, ValueError) as error:  # too many redirects, or an invalid target
        said = without_credentials(_in_words(error))
        raise BadResponseError(
            message("an answer", "Check the address.", url=without_credentials(url), error=said)
        ) from error
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
        self.trust_env = False  # no passwords of ~/.netrc and no proxies that the user did not name for this
        self.verify = next((os.environ[name] for name in _CERTIFICATES if os.environ.get(name)), True)
        if proxy := os.environ.get(PROXY):
            self.proxies = {"http": proxy, "https": proxy}
        for scheme in ("http://", "https://"):
            self.mount(scheme, _adapter(limits or Limits(), os.getpid()))

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Remove all credentials from a redirect to another server; called for each redirect.

        Another server is another scheme, host or port; http may become https. Removed are Authorization,
        cookies and all headers but harmless ones, for the rest of the chain of redirects. A redirect that
        would send the body of the request or a credential of its query to the other server is an error.
        """
        # requests itself removes only Authorization: other headers, and cookies without a domain, follow.
        asked = response.request
        prepared_request.galcnn_ends = getattr(asked, "galcnn_ends", None)  # type: ignore[attr-defined]
        secrets = getattr(asked, "galcnn_secrets", None)
        if secrets is None:
            if not self.should_strip_auth(str(asked.url), str(prepared_request.url)):
                return
            secrets = _secrets_of(str(asked.url))
        # Its presence marks a chain of redirects that has left the first server.
        prepared_request.galcnn_secrets = secrets  # type: ignore[attr-defined]
        for name in [name for name in prepared_request.headers if name.lower() not in _HARMLESS]:
            del prepared_request.headers[name]
        if prepared_request.body or _holds(str(prepared_request.url), secrets):
            raise BadResponseError(
                message(
                    "a redirect without the body and the credentials of the request",
                    "Give the address of the other server, if it is to have them.",
                    url=without_credentials(str(asked.url)),
                    redirected_to=urlsplit(str(prepared_request.url)).hostname,
                )
            )

    def _record(self, response: requests.Response, *args: object, **kwargs: object) -> None:
        del args, kwargs
        self.answers.append(response.galcnn_answer)  # type: ignore[attr-defined]  # see _Adapter


def without_credentials(text: str) -> str:
    """Return a text with addresses in which user, password and secret parameters are replaced.

    >>> without_credentials("at https://me:pw@host/x?size=3&access_token=abc now")
    'at https://host/x?size=3&access_token=... now'
    """
    return re.sub(r"(?i)https?://[^\s'\"<>]+", lambda found: _public(found[0]), text)


def _public(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return "..."
    query = parts.query
    if any(_SECRET.fullmatch(name) for name, _ in parse_qsl(query, keep_blank_values=True)):
        shown = [
            (name, "..." if _SECRET.fullmatch(name) else value)
            for name, value in parse_qsl(query, keep_blank_values=True)
        ]
        query = urlencode(shown)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query=query))


def _secrets_of(url: str) -> frozenset[str]:
    """Return the credentials in the query of an address."""
    return frozenset(value for name, value in parse_qsl(urlsplit(url).query) if _SECRET.fullmatch(name))


def _holds(url: str, secrets: Collection[str]) -> bool:
    """Tell whether an address contains one of the credentials."""
    values = {value for _, value in parse_qsl(urlsplit(url).query)}
    return any(one in values or (len(one) >= _DISTINCT and one in unquote(url)) for one in secrets)


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
                f"an answer that the client of {without_credentials(service)} understands",
                "Try again later; the service may be down or have changed.",
                error=without_credentials(f"{type(error).__name__}: {error}"),
            )
        ) from error


def within(
    seconds: float, ask: Callable[[], Found], *, name: str, stopped: threading.Event | None = None
) -> Found:
    """Run a function with a time limit: TimeoutError after that, CancelledError once stopped."""
    # It runs in a daemon thread that is abandoned on timeout: socket timeouts restart with every byte,
    # so that slow headers would never reach them, and plugins may have no limit.
    # It learns so from has_left, also if it waits for another one.
    found: Future[Found] = Future()
    left = threading.Event()

    def run() -> None:
        _THREAD.left = left
        try:
            found.set_result(ask())
        except BaseException as error:  # noqa: BLE001  raised again in the waiting thread
            found.set_exception(error)

    ends = time.monotonic() + seconds
    threading.Thread(target=run, daemon=True, name=name).start()
    try:
        # An unlimited wait cannot be interrupted on every system.
        while not wait([found], timeout=_TICK).done:
            if has_left() or (stopped is not None and stopped.is_set()):
                raise CancelledError
            if time.monotonic() > ends:
                raise TimeoutError(
                    message(
                        f"an answer within {seconds:g} s", "Try again later, or with a longer time limit."
                    )
                )
        return found.result()
    finally:  # also after Ctrl-C
        left.set()


class _Thread(threading.local):
    """What a thread knows of its caller: `left` is set when the caller of `within` no longer waits."""

    left: threading.Event | None = None


_THREAD = _Thread()


def has_left() -> bool:
    """Tell whether this thread was started by `within` and its caller no longer waits."""
    return _THREAD.left is not None and _THREAD.left.is_set()


class _Host:
    """Number of running requests to a host, and the time until which it asked for a pause."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._running = 0
        self._not_before = 0.0
        self._long_pauses = 0

    @contextlib.contextmanager
    def turn(self, limit: int) -> Iterator[None]:
        """Wait until fewer than `limit` requests run, and count one more."""
        with self._free:
            while not self._free.wait_for(lambda: self._running < limit, timeout=_TICK):
                if has_left():
                    raise CancelledError
            self._running += 1
        try:
            yield
        finally:
            with self._free:
                self._running -= 1
                self._free.notify()

    def pause(self, seconds: float) -> None:
        """Send nothing to the host for some seconds; for a long time only if it asks twice in a row."""
        # Otherwise a single answer could end the fetch of a catalog.
        self._long_pauses += seconds > _BRIEF
        if seconds <= _BRIEF or self._long_pauses > 1:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def answered(self) -> None:
        """Forget a long pause that was asked for once."""
        self._long_pauses = 0

    def wait(self, ends: float, url: str) -> None:
        """Wait for the end of the pause that the host asked for; raise an error if it ends too late."""
        while (pause := self._not_before - time.monotonic()) > 0:
            if time.monotonic() + pause > ends:
                raise DownloadError(
                    message(
                        "a host that takes requests",
                        f"Try again in {pause:.0f} s.",
                        url=without_credentials(url),
                    )
                )
            _wait(pause)


def _wait(seconds: float) -> None:
    """Wait, or raise an error once the caller of this thread no longer waits."""
    if _THREAD.left is None:
        time.sleep(seconds)
    elif _THREAD.left.wait(seconds):
        raise CancelledError


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
        host = _HOSTS.setdefault(urlsplit(url).netloc.rpartition("@")[2], _Host())
        with host.turn(limits.per_host):
            # A redirect shares the time of the request from which it comes.
            ends = getattr(request, "galcnn_ends", None) or time.monotonic() + limits.total
            request.galcnn_ends = ends  # type: ignore[attr-defined]
            try:
                return within(
                    max(ends - time.monotonic(), 0),
                    lambda: self._tried(once, host, url, ends),
                    name="galcnn-download",
                )
            except TimeoutError as error:
                raise self._too_late(url) from error

    def _tried(
        self, once: Callable[[], requests.Response], host: _Host, url: str, ends: float
    ) -> requests.Response:
        """Send until the answer is complete, time or tries run out, or the caller has left."""
        shown = without_credentials(url)
        for number in range(self.limits.tries):
            host.wait(ends, url)
            asked = 0.0
            try:
                with once() as response:
                    answer = self._answer(response)
            except DownloadError:
                raise
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                said = without_credentials(_in_words(error))
                trouble = DownloadError(
                    f"Cannot reach {urlsplit(shown).netloc}; check the network. ({said})"
                    if _is_unreachable(error)
                    else message("a whole answer", "Try again later.", url=shown, error=said)
                )
                trouble.__cause__ = error
            else:
                if answer.status in (401, 403):
                    raise AuthRequiredError(answer.refusal(_AN_ANSWER, "Log in, then try again."))
                if answer.status not in _TRANSIENT:
                    host.answered()
                    return _with_body(response, answer)
                asked = retry_after(response.headers)
                host.pause(asked)
                remedy = f"Try again in {asked:.0f} s." if asked else "Try again later."
                trouble = DownloadError(answer.refusal(_AN_ANSWER, remedy))
            pause = max(asked, self.limits.pause * 2**number * random.uniform(0.5, 1.5))
            if number == self.limits.tries - 1 or time.monotonic() + pause > ends:
                raise trouble
            _wait(pause)
        raise AssertionError("the last try returns or raises")

    def _answer(self, response: requests.Response) -> Answer:
        """Read the complete body."""
        url = without_credentials(str(response.url))
        body, limit = bytearray(), self.limits.size
        # read1 returns the bytes that have arrived, at most a chunk of them after decompression; read would
        # wait for a full chunk.
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            body += piece
            if has_left():
                raise self._too_late(url)
            if len(body) > limit:
                raise BadResponseError(
                    message(
                        f"an answer of at most {limit} bytes",
                        "Ask for a smaller image, or raise the limit.",
                        url=url,
                    )
                )
        kind = response.headers.get("Content-Type", "").lower()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Answer(url, response.status_code, bytes(body), kind, now)

    def _too_late(self, url: str) -> DownloadError:
        return DownloadError(
            message(
                f"a whole answer within {self.limits.total:g} s",
                "Try again later.",
                url=without_credentials(url),
            )
        )


@functools.lru_cache(maxsize=16)
def _adapter(limits: Limits, process: int) -> _Adapter:
    """Return the adapter of all sessions of a process with these limits, which keeps connections open."""
    del process  # a forked process must not write to the connections of its parent
    return _Adapter(limits)


def retry_after(headers: MutableMapping[str, str]) -> float:
    """Return the seconds of a Retry-After (seconds or a date), at most an hour; 0 if there is none.

    >>> retry_after({"Retry-After": "7"}), retry_after({"Retry-After": "99999999999"})
    (7.0, 3600.0)
    >>> retry_after({"Retry-After": "-7"}), retry_after({"Retry-After": "soon"})
    (0.0, 0.0)
    """
    text = headers.get("Retry-After", "").strip()
    if re.fullmatch("[0-9]+", text):
        seconds = float(text)
    else:
        try:
            date = email.utils.parsedate_to_datetime(text)
            date = date if date.tzinfo else date.replace(tzinfo=UTC)
            seconds = (date - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, IndexError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


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
