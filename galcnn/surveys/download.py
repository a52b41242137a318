"""The only file of galcnn that touches the network: HTTP under limits, in four kinds of error.

`get` asks for one address. `session` gives a `requests.Session` for the clients that speak for a
service (astroquery, pyvo): what goes through it is under the same limits. `speaking` turns what
such a client raises on an answer it did not expect into the errors of galcnn::

    with speaking("hips2fits"):
        client = hips2fitsClass()
        client._session = session(limits)
        ...

Neither time nor size is unbounded: each wait, each request and each answer has a limit, a server
that sends a byte a second included. What may mend itself is tried again, politely: pauses that
grow, with jitter, or as long as the server asks for in Retry-After, for all requests to this host.
"""

from __future__ import annotations

import contextlib
import functools
import io
import random
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from galcnn._runtime.version import __version__
from galcnn.errors import AuthRequiredError, BadResponseError, CoverageError, DownloadError, message
from galcnn.surveys.limits import Answer, Limits, host_of

__all__ = ["Answer", "Limits", "RecordingSession", "address", "get", "session", "speaking"]

_AN_ANSWER = "an answer of the service"
_TRANSIENT = frozenset({429, 500, 502, 503, 504})
_CHUNK = 1 << 16
#: Seconds between two looks at the clock.
_TICK = 0.1


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
        Whole, but not checked for what it holds.

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
    with session(limits) as one:
        try:
            one.get(address(url, params))
        except requests.RequestException as error:  # redirections without end or to nowhere
            said = _in_words(error)
            raise BadResponseError(message("an answer", "Check the address.", url=url, error=said)) from error
        answer = one.answers[-1]
    if answer.status not in accept:
        raise BadResponseError(answer.refusal(_AN_ANSWER, "Check the request; the service may have changed."))
    return answer


class RecordingSession(requests.Session):
    """A session under limits that keeps what was answered.

    Attributes
    ----------
    answers : list of Answer
        In the order in which they came, redirections included.
    """

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Answer] = []
        self.hooks["response"].append(self._record)
        self.headers["User-Agent"] = f"galcnn/{__version__} {self.headers['User-Agent']}"
        self.max_redirects = 5

    def _record(self, response: requests.Response, *args: object, **kwargs: object) -> None:
        del args, kwargs
        self.answers.append(response.galcnn_answer)  # type: ignore[attr-defined]  # see _Adapter.send


def session(limits: Limits | None = None) -> RecordingSession:
    """Give a session whose every request is under limits, for a client of astroquery or pyvo.

    Statuses that may mend themselves are tried again and then raised, as those that want
    credentials are; the client sees all others, and only whole bodies.

    Parameters
    ----------
    limits : Limits, optional
        The default ones where left out.

    Returns
    -------
    RecordingSession
        For one thread. Sessions share their connections.
    """
    one = RecordingSession()
    adapter = _adapter(limits or Limits())
    for scheme in ("http://", "https://"):
        one.mount(scheme, adapter)
    return one


@contextlib.contextmanager
def speaking(service: str) -> Iterator[None]:
    """Run a client; what it raises on an answer it did not expect becomes a `BadResponseError`.

    Parameters
    ----------
    service : str
        Named in the error.

    Yields
    ------
    None
        Nothing.

    Raises
    ------
    galcnn.errors.BadResponseError
        The client stumbled: astroquery raises JSONDecodeError on a web page, AttributeError on
        another, and so on.
    """
    try:
        yield
    except (DownloadError, CoverageError, MemoryError):
        raise
    except Exception as error:  # whatever a client raises on an answer it did not expect
        raise BadResponseError(
            message(
                f"an answer that the client of {service} understands",
                "Try again later; the service may be down or have changed.",
                error=f"{type(error).__name__}: {error}",
            )
        ) from error


class _Adapter(HTTPAdapter):
    """Sends one request under limits, and gives it back with its whole body."""

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
        once = functools.partial(
            super().send,
            request,
            stream=True,
            timeout=(limits.connect, limits.idle),
            verify=verify,
            cert=cert,
            proxies=proxies,
        )
        host = host_of(url)
        with host.turn(limits.per_host):
            deadline = time.monotonic() + limits.total
            for number in range(1, limits.tries + 1):
                host.wait(deadline, url)
                attempt = _Attempt(once, limits)
                attempt.wait(deadline, url)
                error, asked = self._judge(attempt, url)
                if error is None:
                    return self._whole(request, attempt)
                host.pause(asked)
                pause = limits.pause * 2 ** (number - 1) * random.uniform(0.5, 1.5)
                if number == limits.tries or time.monotonic() + max(pause, asked) > deadline:
                    raise error
                time.sleep(pause)
            raise AssertionError("the last try returns or raises")

    @staticmethod
    def _judge(attempt: _Attempt, url: str) -> tuple[DownloadError | None, float]:
        """Give the error that may mend itself, if any, and the seconds that the server asks for."""
        if attempt.error is not None:
            if not isinstance(
                attempt.error, requests.RequestException | urllib3.exceptions.HTTPError | OSError
            ):
                raise attempt.error
            if isinstance(attempt.error, BadResponseError):
                raise attempt.error
            said = _in_words(attempt.error)
            error = DownloadError(message("a whole answer", "Try again later.", url=url, error=said))
            error.__cause__ = attempt.error
            return error, 0.0
        answer = attempt.answer
        if answer.status in (401, 403):
            raise AuthRequiredError(answer.refusal(_AN_ANSWER, "Log in, then try again."))
        if answer.status not in _TRANSIENT:
            return None, 0.0
        asked = 0.0
        with contextlib.suppress(urllib3.exceptions.InvalidHeader):
            asked = urllib3.Retry().parse_retry_after(attempt.response.headers.get("Retry-After", "0"))
        remedy = f"Try again in {asked:.0f} s." if asked else "Try again later."
        return DownloadError(answer.refusal(_AN_ANSWER, remedy)), asked

    def _whole(self, request: requests.PreparedRequest, attempt: _Attempt) -> requests.Response:
        old = attempt.response
        raw = urllib3.HTTPResponse(
            io.BytesIO(attempt.answer.content),
            # The body is unpacked, and in one piece.
            headers={k: v for k, v in old.headers.items() if k.lower() not in _OF_THE_TRANSPORT},
            status=old.status_code,
            reason=old.reason,
            preload_content=False,
            original_response=getattr(old.raw, "_original_response", None),  # holds the cookies
        )
        whole = self.build_response(request, raw)
        whole.galcnn_answer = attempt.answer  # type: ignore[attr-defined]
        return whole


class _Attempt:
    """One try, in a thread of its own: whatever a server does, nobody waits longer than he wants.

    Time limits of sockets are for one byte: headers that drip would get round them.
    """

    def __init__(self, send: Callable[[], requests.Response], limits: Limits) -> None:
        self._send = send
        self._limits = limits
        self._done = threading.Event()
        self._abandoned = False
        self.error: BaseException | None = None
        self.response: requests.Response
        self.answer: Answer
        threading.Thread(target=self._run, daemon=True, name="galcnn-download").start()

    def wait(self, deadline: float, url: str) -> None:
        try:
            while not self._done.wait(_TICK):  # a whole wait cannot be interrupted on every system
                if time.monotonic() > deadline:
                    raise _too_late(url, self._limits.total)
        finally:  # Ctrl-C too comes here
            if not self._done.is_set():
                self._abandoned = True
                if hasattr(self, "response"):
                    with contextlib.suppress(ValueError, RuntimeError, OSError):  # it has ended by itself
                        self.response.raw.shutdown()

    def _run(self) -> None:
        try:
            self.response = self._send()
            with self.response:
                self._read(self.response)
        except BaseException as error:  # noqa: BLE001  raised by the thread that waits
            self.error = error
        self._done.set()

    def _read(self, response: requests.Response) -> None:
        body = bytearray()
        # read1 gives what is there; read would wait for a whole chunk that drips.
        while piece := response.raw.read1(_CHUNK, decode_content=True):
            body += piece
            if self._abandoned:
                return
            if len(body) > self._limits.size:
                raise BadResponseError(
                    message(
                        f"an answer of at most {self._limits.size} bytes",
                        "Ask for a smaller image, or raise the limit.",
                        url=response.url,
                    )
                )
        kind = response.headers.get("Content-Type", "").lower()
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.answer = Answer(str(response.url), response.status_code, bytes(body), kind, now)


_OF_THE_TRANSPORT = frozenset({"content-encoding", "content-length", "transfer-encoding"})


@functools.cache
def _adapter(limits: Limits) -> _Adapter:
    return _Adapter(limits)


def _too_late(url: str, seconds: float) -> DownloadError:
    return DownloadError(message(f"a whole answer within {seconds:g} s", "Try again later.", url=url))


def _in_words(error: BaseException) -> str:
    """Say what is at the bottom: requests wraps the errors of urllib3, which wraps those of the system."""
    inner = getattr(error, "reason", None) or next(
        (x for x in error.args if isinstance(x, BaseException)), None
    )
    if isinstance(inner, BaseException):
        return _in_words(inner)
    return f"{type(error).__name__}: {error}"
