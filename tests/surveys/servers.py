"""Real HTTP servers on this machine, which answer like the services and fail in every way they do."""

import gzip
import socket
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

WEB_PAGE = b"<!DOCTYPE html><html><body><h1>Service temporarily unavailable</h1></body></html>"


@dataclass
class Reply:
    """What a service answers when nothing is wrong."""

    body: bytes = b""
    content_type: str = "application/fits"
    status: int = 200
    headers: dict = field(default_factory=dict)


def web_page_503(handler, reply):
    handler.answer(Reply(WEB_PAGE, "text/html", 503))


def web_page_200(handler, reply):
    handler.answer(Reply(WEB_PAGE, "text/html"))


def busy_429(handler, reply):
    handler.answer(Reply(b"slow down", "text/plain", 429, {"Retry-After": "1"}))


def busy_for_an_hour(handler, reply):
    handler.answer(Reply(b"slow down", "text/plain", 429, {"Retry-After": "3600"}))


def truncated(handler, reply):
    handler.head(reply, len(reply.body))
    handler.wfile.write(reply.body[: len(reply.body) // 2])


def truncated_without_a_length(handler, reply):
    handler.head(reply, None)
    handler.wfile.write(reply.body[: len(reply.body) // 2])


def slow_drip(handler, reply):
    handler.head(reply, len(reply.body))
    handler.drip(reply.body)


def drip_of_headers(handler, reply):
    handler.drip(b"HTTP/1.1 200 OK\r\n" + b"X-Header: never ends\r\n" * 10_000)


def hang(handler, reply):
    handler.server.closing.wait(60)


def connection_reset(handler, reply):
    # No lingering: the kernel sends RST in place of FIN.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def zero_bytes(handler, reply):
    handler.answer(Reply(b"", reply.content_type))


def log_in_401(handler, reply):
    handler.answer(Reply(b"who are you?", "text/plain", 401))


def redirects_for_ever(handler, reply):
    handler.answer(Reply(b"", "text/plain", 302, {"Location": handler.path}))


def gzip_of_the_transport(handler, reply):
    packed = Reply(gzip.compress(reply.body), reply.content_type, 200, {"Content-Encoding": "gzip"})
    handler.answer(packed)


def gzip_file(handler, reply):
    handler.answer(Reply(gzip.compress(reply.body), "application/gzip"))


#: Every way in which the transport fails, whatever the service. gzip is none: it must be read.
TRANSPORT_FAULTS = (
    web_page_503,
    web_page_200,
    busy_429,
    busy_for_an_hour,
    truncated,
    truncated_without_a_length,
    slow_drip,
    drip_of_headers,
    hang,
    connection_reset,
    zero_bytes,
    log_in_401,
    redirects_for_ever,
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self):
        place = self.server.place
        with place.lock:
            place.requests.append(self.path)
            spoil = place.fault if place.fault is not None and place.spoiled < place.times else None
            place.spoiled += spoil is not None
            place.running += 1
            place.most_at_once = max(place.most_at_once, place.running)
        try:
            parts = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            reply = place.respond(parts.path, query)
            if spoil is None:
                self.answer(reply)
            else:
                spoil(self, reply)
                self.close_connection = True
        except (BrokenPipeError, ConnectionResetError):  # the client had enough
            self.close_connection = True
        finally:
            with place.lock:
                place.running -= 1

    do_POST = do_GET

    def answer(self, reply):
        self.head(reply, len(reply.body))
        self.wfile.write(reply.body)

    def head(self, reply, length):
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        for key, value in reply.headers.items():
            self.send_header(key, value)
        if length is not None:
            self.send_header("Content-Length", str(length))
        else:
            self.send_header("Connection", "close")
        self.end_headers()

    def drip(self, content):
        for i in range(len(content)):
            self.wfile.write(content[i : i + 1])
            self.wfile.flush()
            if self.server.closing.wait(0.05):
                return

    def log_message(self, *args):
        pass


class Server:
    """One service on a port of this machine.

    `respond(path, query)` gives a `Reply`. While `fault` is set, that function of (handler, reply)
    answers in its place, for the next `times` requests.
    """

    def __init__(self, respond):
        self.respond = respond
        self.fault = None
        self.times = 0
        self.spoiled = 0
        self.requests = []
        self.running = 0
        self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = ""

    @contextmanager
    def failing(self, fault, times=10**9):
        with self.lock:
            self.fault, self.times, self.spoiled = fault, times, 0
            self.requests.clear()
        try:
            yield
        finally:
            self.fault = None

    def __enter__(self):
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._http.daemon_threads = True
        self._http.block_on_close = False
        self._http.place = self
        self._http.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *args):
        self._http.closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)
