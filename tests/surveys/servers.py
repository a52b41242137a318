"""Real HTTP servers on this machine, which answer like the services and fail in every way they do."""

import gzip
import io
import socket
import struct
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np
from astropy.io import fits

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


def edited(change):
    """A fault of the image: `change(hdu)` on every HDU of the FITS file that would be sent."""

    def spoil(handler, reply):
        if not reply.body.startswith(b"SIMPLE"):
            handler.answer(reply)
            return
        with fits.open(io.BytesIO(reply.body)) as hdus:
            for hdu in hdus:
                if hdu.data is not None:
                    change(hdu)
            buffer = io.BytesIO()
            hdus.writeto(buffer, output_verify="silentfix")
        handler.answer(Reply(buffer.getvalue(), reply.content_type))

    spoil.__name__ = change.__name__
    return spoil


@edited
def wrong_shape(hdu):
    hdu.data = hdu.data[..., :-3, :-3]


@edited
def all_nan(hdu):
    if hdu.data.dtype.kind == "f":
        hdu.data = np.full(hdu.data.shape, np.nan, dtype=np.float32)


@edited
def wrong_centre(hdu):
    hdu.header["CRPIX1"] = hdu.header.get("CRPIX1", 0) + 8


@edited
def wrong_pixel_scale(hdu):
    for card in ("CD1_1", "CD2_2", "CDELT1", "CDELT2"):
        if card in hdu.header:
            hdu.header[card] *= 2


@edited
def no_wcs(hdu):
    for card in ("CTYPE1", "CTYPE2"):
        hdu.header.pop(card, None)


@edited
def wrong_bands(hdu):
    """Each service names bands in its own way."""
    if "BANDS" in hdu.header:
        hdu.header["BANDS"] = "xyw"[: len(hdu.header["BANDS"])]
    if "BAND" in hdu.header:
        hdu.header["BAND"] = "x"
    if "FPA.FILTERID" in hdu.header:
        hdu.header["HIERARCH FPA.FILTERID"] = "y.00000"
    for i, line in enumerate(hdu.header.get("HISTORY", ())):
        if line.startswith("From HiPS"):
            hdu.header["HISTORY"][i] = "From HiPS CDS/P/Another (toy)"


#: What is wrong with the image although the transport did its work.
IMAGE_FAULTS = (wrong_shape, wrong_bands, wrong_centre, wrong_pixel_scale, no_wcs, all_nan)

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
    disable_nagle_algorithm = True  # else the body waits 40 ms for the receipt of the head

    def do_GET(self):
        place = self.server.place
        self.rfile.read(int(self.headers.get("Content-Length") or 0))  # of a POST
        with place.lock:
            place.requests.append(self.path)
            place.headers.append({name.lower(): value for name, value in self.headers.items()})
            meant = place.fault is not None and place.where in self.path and place.spoiled < place.times
            spoil = place.fault if meant else None
            place.spoiled += spoil is not None
            place.running += 1
            place.most_at_once = max(place.most_at_once, place.running)
        running = [True]

        def ended():
            with place.lock:
                place.running -= bool(running)
                running.clear()

        try:
            parts = urlsplit(self.path)
            query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
            reply = place.respond(parts.path, query)
            if spoil is None:
                ended()  # before the last byte: a client that has it may ask again at once
                self.answer(reply)
            else:
                spoil(self, reply)
                self.close_connection = True
        except (BrokenPipeError, ConnectionResetError):  # the client had enough
            self.close_connection = True
        finally:
            ended()

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
        self.where = ""
        self.spoiled = 0
        self.requests = []
        self.headers = []
        self.running = 0
        self.most_at_once = 0
        self.lock = threading.Lock()
        self.url = ""

    @contextmanager
    def failing(self, fault, times=10**9, where=""):
        """Spoil the next `times` requests whose path contains `where`."""
        with self.lock:
            self.fault, self.times, self.spoiled, self.where = fault, times, 0, where
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
