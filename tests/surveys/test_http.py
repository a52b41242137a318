"""Requests end in time, are polite, and their failures are of the right kind."""

import ast
import contextlib
import email.utils
import gzip
import hashlib
import os
import signal
import threading
import time
from pathlib import Path

import pytest
import requests

from galcnn.errors import AuthRequiredError, BadResponseError, CoverageError, DownloadError
from galcnn.surveys import Limits, address, get, http
from galcnn.surveys.http import Session, speaking
from tests.surveys import servers
from tests.surveys.servers import Reply, Server

BODY = bytes(range(256)) * 40
QUICK = Limits(idle=0.4, total=1.5, tries=3, pause=0.02)


@pytest.fixture(scope="module")
def server():
    def respond(path, query):
        if path == "/nothing":
            return Reply(status=204)
        if path == "/missing":
            return Reply(b"no such thing here", "text/plain", 404)
        return Reply(BODY)

    with Server(respond) as one:
        yield one


def test_an_answer_is_whole_and_says_where_it_is_from(server):
    answer = get(server.url + "/image", {"ra": 1.5, "band": "g r", "size": None}, limits=QUICK)
    assert answer.content == BODY
    assert answer.status == 200
    assert answer.provenance == {
        "url": server.url + "/image?ra=1.5&band=g+r",
        "time": answer.time,
        "sha256": hashlib.sha256(BODY).hexdigest(),
    }
    assert answer.url == address(server.url + "/image", {"ra": 1.5, "band": "g r", "size": None})


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/x", "nothing", "", "http://", "/relative"])
def test_only_http_addresses_are_asked(url):
    with pytest.raises(ValueError, match="http or https address"):
        address(url)
    with pytest.raises(ValueError, match="http or https address"):
        get(url)


KINDS = {
    servers.web_page_503: (DownloadError, "status=503.*Service temporarily unavailable"),
    servers.busy_429: (DownloadError, "status=429.*Try again in 1 s"),
    servers.busy_for_an_hour: (DownloadError, "Try again in 3600 s"),
    servers.truncated: (DownloadError, "whole answer.*IncompleteRead"),
    servers.slow_drip: (DownloadError, "within 1.5 s"),
    servers.drip_of_headers: (DownloadError, "within 1.5 s"),
    servers.hang: (DownloadError, "Read timed out|within 1.5 s"),
    servers.connection_reset: (DownloadError, "reset|aborted"),
    servers.log_in_401: (AuthRequiredError, "status=401.*Log in"),
    servers.redirects_for_ever: (BadResponseError, "TooManyRedirects"),
}


@pytest.mark.parametrize("fault", KINDS, ids=lambda fault: fault.__name__)
def test_each_failure_is_of_its_kind_and_in_time(server, fault):
    kind, words = KINDS[fault]
    began = time.monotonic()
    with server.failing(fault), Server(server.respond) as fresh, fresh.failing(fault):
        with pytest.raises(kind, match=words) as caught:
            get(fresh.url + "/image", limits=QUICK)
        assert type(caught.value) is kind
        assert len(fresh.requests) <= 6
    assert time.monotonic() - began < QUICK.total + 1


@pytest.mark.parametrize(
    "fault",
    [servers.web_page_503, servers.truncated, servers.connection_reset, servers.hang],
    ids=lambda fault: fault.__name__,
)
def test_what_mends_itself_is_tried_again(server, fault):
    with server.failing(fault, times=1):
        assert get(server.url + "/image", limits=QUICK).content == BODY
        assert len(server.requests) == 2


def test_retry_after_is_kept_by_every_request_to_this_host(server):
    with Server(server.respond) as fresh:
        with fresh.failing(servers.busy_429, times=1):
            began = time.monotonic()
            threads = [
                threading.Thread(target=get, args=(fresh.url + "/image",), kwargs={"limits": Limits(total=5)})
                for _ in range(2)
            ]
            threads[0].start()
            while not fresh.spoiled:
                time.sleep(0.01)
            time.sleep(0.1)
            threads[1].start()
            for thread in threads:
                thread.join()
            # Retry-After is 1 second, for both of them.
            assert 1 <= time.monotonic() - began < 4
            assert len(fresh.requests) == 3
        for times in (1, 2):
            with fresh.failing(servers.busy_for_an_hour, times=times):
                for _ in range(times):
                    with pytest.raises(DownloadError, match="Try again in 3600 s"):
                        get(fresh.url + "/image", limits=QUICK)
            fresh.requests.clear()
            if times == 1:
                assert get(fresh.url + "/image", limits=QUICK).content == BODY, "one answer ends no fetch"
        with pytest.raises(DownloadError, match=r"Try again in 3\d\d\d s"):
            get(fresh.url + "/image", limits=QUICK)
        assert fresh.requests == [], "a host that wants an hour twice in a row is not asked again"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("1", 1),
        (" 2 ", 2),
        ("0", 0),
        ("31536000", 3600),
        ("9" * 5000, 3600),
        ("-5", 0),
        ("1e9", 0),
        ("nan", 0),
        ("inf", 0),
        ("soon", 0),
        ("", 0),
        ("٣", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("Fri, 31 Dec 99999 23:59:59 GMT", 0),
        ("Mon, 99 Foo 2026 99:99:99 GMT", 0),
        ("Fri, 31 Dec 2100 23:59:59 -0000", 3600),
    ],
)
def test_retry_after_is_a_number_of_seconds_of_at_most_an_hour(said, seconds):
    assert http.retry_after({"Retry-After": said}) == pytest.approx(seconds, abs=1)


def test_retry_after_may_be_a_date():
    for seconds, expected in ((40, 40), (365 * 86400, 3600), (-100, 0)):
        said = email.utils.formatdate(time.time() + seconds, usegmt=True)
        assert http.retry_after({"Retry-After": said}) == pytest.approx(expected, abs=2)


@pytest.mark.parametrize("said", ["9" * 400, "-3", "soon", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_retry_after_ends_more_than_its_own_request(said):
    def busy(handler, reply):
        handler.answer(Reply(b"busy", "text/plain", 503, {"Retry-After": said}))

    with Server(lambda path, query: Reply(BODY)) as one:
        with one.failing(busy, times=1), contextlib.suppress(DownloadError):
            get(one.url, limits=QUICK)
        assert get(one.url, limits=QUICK).content == BODY


def test_one_host_gets_so_many_requests_at_once():
    def slow(path, query):
        time.sleep(0.05)
        return Reply(BODY)

    with Server(slow) as one:
        threads = [
            threading.Thread(target=get, args=(f"{one.url}/{i}",), kwargs={"limits": Limits(per_host=3)})
            for i in range(12)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(one.requests) == 12
        assert one.most_at_once == 3


def test_an_answer_may_only_be_so_large(server):
    bomb = gzip.compress(bytes(10_000_000))
    with Server(lambda path, query: Reply(bomb, headers={"Content-Encoding": "gzip"})) as one:
        with pytest.raises(BadResponseError, match="at most 1000000 bytes"):
            get(one.url, limits=Limits(size=1_000_000))
        assert len(one.requests) == 1, "what is too large is not asked for again"
        assert get(one.url).content == bytes(10_000_000)


def test_packing_of_the_transport_is_undone_and_packing_of_the_file_is_not(server):
    with server.failing(servers.gzip_of_the_transport):
        assert get(server.url, limits=QUICK).content == BODY
    with server.failing(servers.gzip_file):
        assert gzip.decompress(get(server.url, limits=QUICK).content) == BODY


def test_a_status_is_an_answer_where_the_survey_says_so(server):
    assert get(server.url + "/nothing").content == b""
    assert get(server.url + "/missing", accept=(200, 404)).status == 404
    with pytest.raises(BadResponseError, match=r"status=404.*no such thing here"):
        get(server.url + "/missing", limits=QUICK)
    with pytest.raises(DownloadError, match="Connection refused"):
        get("http://127.0.0.1:9", limits=QUICK)


def test_a_client_gets_the_same_care(server):
    with server.failing(servers.connection_reset, times=1), Session(QUICK) as one:
        response = one.get(server.url + "/image", stream=True, timeout=1e-9)
        assert response.raw.read(100) == BODY[:100]
        assert response.raw.read() == BODY[100:]
        assert [answer.content for answer in one.answers] == [BODY]
        assert b"".join(one.get(server.url).iter_content(999)) == BODY
    with (
        server.failing(servers.hang),
        Session(QUICK) as one,
        pytest.raises(DownloadError, match=r"timed out|within"),
    ):
        one.post(server.url)


def test_what_a_client_stumbles_over_is_a_bad_response():
    for stumble in (AttributeError("title"), requests.JSONDecodeError("Expecting value", "", 0)):
        kind = type(stumble).__name__
        with pytest.raises(BadResponseError, match=rf"client of toy.*{kind}"), speaking("toy"):
            raise stumble
    for ours in (CoverageError("outside"), AuthRequiredError("who"), KeyboardInterrupt()):
        with pytest.raises(type(ours)) as caught, speaking("toy"):
            raise ours
        assert caught.value is ours


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_ends_a_request_at_once(server):
    with Server(server.respond) as fresh, fresh.failing(servers.slow_drip):

        def interrupt():
            while not fresh.spoiled:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

        began = time.monotonic()
        with pytest.raises(KeyboardInterrupt):
            threading.Thread(target=interrupt).start()
            get(fresh.url + "/image")
        assert time.monotonic() - began < 5


def test_no_thread_outlives_its_request_for_long(server):
    with server.failing(servers.slow_drip), contextlib.suppress(DownloadError):
        get(server.url, limits=Limits(total=0.3))
    ends = time.monotonic() + 5
    while any(thread.name == "galcnn-download" for thread in threading.enumerate()):
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.parametrize("wrong", [{"tries": 0}, {"idle": -1}, {"total": float("nan")}, {"size": 1.5}])
def test_limits_are_positive(wrong):
    with pytest.raises(ValueError, match="positive limit " + next(iter(wrong))):
        Limits(**wrong)


def test_only_this_file_touches_the_network():
    wires = {"requests", "urllib3", "http", "socket", "urllib", "aiohttp", "httpx"}
    package = Path(http.__file__).parents[1]
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            touched = {name for name in names if name.split(".")[0] in wires} - {"urllib.parse"}
            assert not touched or path.name == "http.py", f"{path} imports {touched}"
