"""What a request may cost, what came of it, and whose turn it is at a host."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, fields
from urllib.parse import urlsplit

from galcnn.errors import DownloadError, message

__all__ = ["Answer", "Host", "Limits", "host_of"]

#: Letters of an error page that are quoted.
_QUOTED = 120


@dataclass(frozen=True)
class Limits:
    """How long, how much and how often.

    Attributes
    ----------
    connect : float
        Seconds to connect.
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

    connect: float = 10.0
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
        """Quote the beginning of the body as text, for an error.

        Returns
        -------
        str
            Printable characters only.
        """
        text = self.content[: 4 * _QUOTED].decode("latin-1")
        return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:_QUOTED]

    def refusal(self, expected: str, remedy: str) -> str:
        """Word an error about this answer.

        Parameters
        ----------
        expected : str
            What was wanted.
        remedy : str
            What the user can do.

        Returns
        -------
        str
            With the beginning of the body, status and address.
        """
        answer = self.excerpt() or "nothing"
        return message(expected, remedy, status=self.status, answer=answer, url=self.url)


class Host:
    """How many requests run at one host, and how long it wants to be left alone."""

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._running = 0
        self._not_before = 0.0

    @contextlib.contextmanager
    def turn(self, limit: int) -> Iterator[None]:
        """Wait for a turn, and hold it.

        Parameters
        ----------
        limit : int
            Turns at the same time.

        Yields
        ------
        None
            Nothing.
        """
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
        """Leave the host alone for a time.

        Parameters
        ----------
        seconds : float
            As it asks for.
        """
        self._not_before = max(self._not_before, time.monotonic() + seconds)

    def wait(self, deadline: float, url: str) -> None:
        """Wait as long as the host wants to be left alone.

        Parameters
        ----------
        deadline : float
            On the monotonic clock.
        url : str
            Named in the error.

        Raises
        ------
        galcnn.errors.DownloadError
            That is longer than the deadline.
        """
        while (pause := self._not_before - time.monotonic()) > 0:
            if time.monotonic() + pause > deadline:
                raise DownloadError(
                    message("a host that takes requests", f"Try again in {pause:.0f} s.", url=url)
                )
            time.sleep(pause)


_HOSTS: dict[str, Host] = {}


def host_of(url: str) -> Host:
    """Give the record of the host of an address, one for the whole process.

    Parameters
    ----------
    url : str
        Whole.

    Returns
    -------
    Host
        The same for each address of this host and port.
    """
    return _HOSTS.setdefault(urlsplit(url).netloc, Host())
