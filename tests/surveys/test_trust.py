"""An answer leads no credentials to another server, and to no file of this machine."""

import base64
import gzip
import re
import time
import tracemalloc
import zlib

import astropy.units as u
import pytest
import requests

from galcnn.errors import BadResponseError, DownloadError
from galcnn.surveys import Limits, get, http
from galcnn.surveys.http import Session, has_left, within, without_credentials
from galcnn.surveys.requests import identity
from galcnn.surveys.sdss import SDSSSurvey
from galcnn.surveys.vo import VOSurvey
from tests.surveys.dachs.coadds import MIDDLE
from tests.surveys.servers import Reply, Server
from tests.surveys.vo_server import SIA1, SIA2, vo_server

QUICK = Limits(idle=0.5, total=2.0, tries=2, pause=0.02)
#: The other server is another host, and not only another port.
OTHER_HOST = "localhost"


@pytest.fixture
def target():
    """A server that records what it is asked, and redirects ``/on`` to itself."""

    def respond(path, query):
        return Reply(b"", "text/plain", 302, {"Location": "/end"}) if path == "/on" else Reply(b"there")

    with Server(respond) as one:
        yield one


def elsewhere(server, path="/end", host=OTHER_HOST):
    return server.url.replace("127.0.0.1", host) + path


@pytest.fixture
def redirecting():
    """A server that sends everything to `place.to`, with `place.status`."""

    class Place:
        to, status, cookies = "", 302, {}

    def respond(path, query):
        if path == "/ours":
            return Reply(b"ours")
        return Reply(b"", "text/plain", Place.status, {"Location": Place.to, **Place.cookies})

    with Server(respond) as one:
        Place.url = one.url
        Place.server = one
        yield Place


def credentials_of(server):
    """Everything in the last headers and the addresses that is called secret."""
    said = " ".join([*server.requests, *(f"{k}: {v}" for one in server.headers for k, v in one.items())])
    return re.findall(r"secret\w*", said) + re.findall(r"authorization", said)


@pytest.mark.parametrize("path", ["/end", "/on"], ids=["one", "two redirects"])
@pytest.mark.parametrize("host", ["127.0.0.1", OTHER_HOST], ids=["another port", "another host"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_credentials_stay_with_their_server(status, host, path, redirecting, target):
    redirecting.to, redirecting.status = elsewhere(target, path, host), status
    redirecting.cookies = {"Set-Cookie": "session=secret_cookie; Path=/"}
    with Session(QUICK) as one:
        one.headers.update(
            {"Authorization": "Bearer secret1", "X-Auth-Token": "secret2", "X-Api-Key": "secret3"}
        )
        one.cookies.set("own", "secret4")
        answer = one.get(f"{redirecting.url}/x", cookies={"more": "secret5"})
    assert answer.content == b"there"
    first = redirecting.server.headers[0]
    assert first["authorization"] == "Bearer secret1"
    assert {"own=secret4", "more=secret5"} == set(first["cookie"].split("; "))
    assert credentials_of(target) == []
    assert all("cookie" not in headers for headers in target.headers)
    assert target.headers[-1]["user-agent"].startswith("galcnn/")


def test_they_stay_on_the_way_within_a_server(redirecting):
    redirecting.to = "/ours"
    with Session(QUICK) as one:
        assert one.get(f"{redirecting.url}/x", headers={"Authorization": "Bearer secret"}).content == b"ours"
    assert [headers["authorization"] for headers in redirecting.server.headers] == ["Bearer secret"] * 2


def test_nothing_is_given_back_on_the_way_home(redirecting, target):
    """Who has sent a request away may not fetch it back with what the first server knew."""
    back = Server(lambda path, query: Reply(b"", "text/plain", 302, {"Location": f"{redirecting.url}/ours"}))
    with back as away:
        redirecting.to = away.url
        with Session(QUICK) as one:
            one.get(f"{redirecting.url}/x", headers={"Authorization": "Bearer secret"})
    assert ["authorization" in headers for headers in redirecting.server.headers] == [True, False]


@pytest.mark.parametrize(
    "query",
    ["token=abc", "ACCESS_TOKEN=a-b_c", "x=1&api_key=k", "apikey=long_enough_to_find", "auth=1%2F2", "sig=q"],
)
def test_a_credential_of_the_query_is_not_handed_on(query, redirecting, target):
    redirecting.to = elsewhere(target, f"/x?size=3&{query}")
    with pytest.raises(BadResponseError, match="credentials of the request") as caught:
        get(f"{redirecting.url}/x?size=3&{query}", limits=QUICK)
    assert target.requests == []
    value = query.split("=")[-1]
    assert f"={value}" not in str(caught.value)
    redirecting.to = elsewhere(target, "/x?size=3")  # without it, the redirect is followed
    answer = get(f"{redirecting.url}/x?size=3&{query}", limits=QUICK)
    assert (answer.content, target.requests) == (b"there", ["/x?size=3"])


def test_a_signature_of_the_other_server_is_its_own(redirecting, target):
    """Object stores are reached so."""
    redirecting.to = elsewhere(target, "/x?X-Amz-Signature=0123456789abcdef")
    assert get(f"{redirecting.url}/x?token=mine", limits=QUICK).content == b"there"


@pytest.mark.parametrize(("status", "kept"), [(302, False), (303, False), (307, True), (308, True)])
def test_the_body_of_a_request_is_not_handed_on(status, kept, redirecting, target):
    redirecting.to, redirecting.status = elsewhere(target), status
    with Session(QUICK) as one:
        if kept:
            with pytest.raises(BadResponseError, match="without the body"):
                one.post(f"{redirecting.url}/x", data={"password": "secret"})
            assert target.requests == []
        else:
            assert one.post(f"{redirecting.url}/x", data={"password": "secret"}).content == b"there"


@pytest.mark.parametrize(
    ("old", "new", "own"),
    [
        ("http://a.org/x", "https://a.org/y", True),
        ("https://a.org/x", "http://a.org/y", False),
        ("https://a.org/x", "https://a.org:8443/y", False),
        ("https://a.org/x", "https://b.a.org/y", False),
        ("https://a.org/x", "https://a.org.evil.net/y", False),
        ("https://a.org:443/x", "https://a.org/y", True),
        ("https://A.org/x", "https://a.org/y", True),
    ],
)
def test_what_is_another_server(old, new, own):
    asked = requests.Request("GET", old, headers={"Authorization": "b", "Cookie": "c"}).prepare()
    answer = requests.Response()
    answer.request = asked
    on = asked.copy()
    on.url = new
    with Session() as one:
        one.rebuild_auth(on, answer)
    assert ("Authorization" in on.headers, "Cookie" in on.headers) == (own, own)


def test_no_password_of_netrc_and_no_proxy_of_the_environment(monkeypatch, tmp_path, target):
    (tmp_path / ".netrc").write_text(
        "machine 127.0.0.1 login me password secret\ndefault login a password secret\n"
    )
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with Server(lambda path, query: Reply(b"the proxy")) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert get(target.url, limits=QUICK).content == b"there"
        assert requests.get(target.url, timeout=5).content == b"the proxy", "requests alone would use it"
        assert len(proxy.requests) == 1
        monkeypatch.setenv(http.PROXY, proxy.url)  # the one way to set a proxy
        assert get(target.url, limits=QUICK).content == b"the proxy"
    assert credentials_of(target) == []


@pytest.mark.parametrize(
    "location",
    [
        "file:///etc/passwd",
        "ftp://127.0.0.1/x",
        "gopher://127.0.0.1/",
        "data:text/plain,x",
        "http://[::1",
        "http://",
        "\\\\host",
    ],
)
def test_a_redirect_to_no_http_address_is_refused(location, redirecting):
    redirecting.to = location
    with pytest.raises(DownloadError) as caught:
        get(f"{redirecting.url}/x", limits=QUICK)
    assert "root:" not in str(caught.value)


def test_redirects_are_counted_and_share_the_time_of_one_request():
    def slow(path, query):
        time.sleep(0.5)
        return Reply(b"", "text/plain", 302, {"Location": f"{path}x"})

    with Server(slow) as one:
        began = time.monotonic()
        with pytest.raises(DownloadError, match=r"within 1.2 s|not after"):
            get(one.url + "/", limits=Limits(total=1.2))
        assert time.monotonic() - began < 2
        assert len(one.requests) <= 3
    with Server(lambda path, query: Reply(b"", "text/plain", 302, {"Location": f"{path}x"})) as one:
        with pytest.raises(BadResponseError, match="redirects"):
            get(one.url + "/", limits=QUICK)
        assert len(one.requests) == 6


def endless(handler, reply):
    handler.head(reply, None)
    while not handler.server.closing.is_set():
        handler.wfile.write(bytes(1 << 16))


def endless_gzip(handler, reply):
    """Members of a gzip file, each of 1 MB in 1 kB."""
    handler.head(Reply(b"", headers={"Content-Encoding": "gzip"}), None)
    member = gzip.compress(bytes(1 << 20))
    while not handler.server.closing.is_set():
        handler.wfile.write(member)


@pytest.mark.parametrize("fault", [endless, endless_gzip], ids=lambda fault: fault.__name__)
def test_an_endless_answer_ends(fault):
    with Server(lambda path, query: Reply()) as one, one.failing(fault):
        with pytest.raises(BadResponseError, match="at most 20000000 bytes"):
            get(one.url, limits=Limits(size=20_000_000, total=20))
        assert len(one.requests) == 1


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(bytes(1 << 28), 1)),
        ("deflate", zlib.compress(bytes(1 << 28), 1)),
        ("gzip, gzip", gzip.compress(gzip.compress(bytes(1 << 28)))),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_answer_is_decompressed_within_its_limit(encoding, body):
    with Server(lambda path, query: Reply(body, headers={"Content-Encoding": encoding})) as one:
        tracemalloc.start()
        with pytest.raises(BadResponseError, match="at most 1000000 bytes"):
            get(one.url, limits=Limits(size=1_000_000, total=20))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2e7


def test_a_request_ends_with_who_waits_for_it():
    """Else it would hold a connection that others need for its whole time limit."""
    left = []

    def ask():
        try:
            get(one.url, limits=Limits(per_host=1, idle=30))
        finally:
            left.append(has_left())

    def hang(path, query):
        if path == "/":
            one._http.closing.wait(20)
        return Reply(b"there")

    with Server(hang) as one:
        with pytest.raises(TimeoutError):
            within(0.3, ask, name="waits")
        began = time.monotonic()
        assert get(f"{one.url}/next", limits=Limits(per_host=1)).content == b"there"
        assert time.monotonic() - began < 5
        assert left == [True]


SECRET_URL = "https://me:hunter2@host.org:8080/x?size=3&access_token=abc&q=a+b"


def test_no_credential_is_shown_or_stored():
    assert without_credentials(SECRET_URL) == "https://host.org:8080/x?size=3&access_token=...&q=a+b"
    plain = "https://host.org/x?ra=1.5&keyword=galaxy&POS=CIRCLE%201%202"
    assert without_credentials(f"at {plain}, and on") == f"at {plain}, and on"
    survey = VOSurvey(SECRET_URL, filters="g")
    assert "hunter2" not in survey.name + identity(survey)
    assert "abc" not in survey.name + identity(survey)
    with Server(lambda path, query: Reply(b"there")) as one:
        answer = get(one.url.replace("//", "//me:hunter2@") + "/x?token=abc", limits=QUICK)
        said = base64.b64decode(one.headers[0]["authorization"].split()[1])
    assert said == b"me:hunter2"
    assert answer.provenance["url"] == f"{one.url}/x?token=..."


ATTACKS = {
    "stream": lambda url: (
        r"<TABLEDATA>.*?</TABLEDATA>",
        f'<BINARY><STREAM href="{url}"/></BINARY>',
    ),
    "FITS stream": lambda url: (
        r"<TABLEDATA>.*?</TABLEDATA>",
        f'<FITS extnum="1"><STREAM href="{url}"/></FITS>',
    ),
    "BINARY2": lambda url: (
        r"<TABLEDATA>.*?</TABLEDATA>",
        f'<BINARY2><STREAM encoding="gzip" href="{url}"/></BINARY2>',
    ),
}


@pytest.mark.parametrize("path", [SIA2, SIA1])
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("to", ["network", "file", "host"])
def test_a_list_of_images_opens_no_address(to, attack, path, target):
    server, has = vo_server()
    url = {"network": f"{target.url}/x", "file": "file:///etc/passwd", "host": f"//{target.url[7:]}/x"}[to]
    with server:
        old, new = ATTACKS[attack](url)
        has.edit = lambda text: re.sub(old, lambda _: new, text, flags=re.DOTALL)
        survey = VOSurvey(server.url + path, filters="g,r", arcsec=0.5, limits=QUICK)
        with pytest.raises(BadResponseError, match="contains its data"):
            survey.cutout(MIDDLE, 30 * u.arcsec)
    assert target.requests == []


@pytest.mark.parametrize("path", [SIA2, SIA1])
@pytest.mark.parametrize(
    "address", ["file:///etc/passwd", "ftp://127.0.0.1:9/x", "//{host}/x", "/etc/passwd"]
)
def test_addresses_of_images_and_services_go_through_the_client_or_are_refused(address, path, target):
    """The address of an image, of DataLink and of SODA."""
    server, has = vo_server()
    address = address.replace("{host}", target.url[7:])
    with server:
        survey = VOSurvey(server.url + path, filters="g,r", arcsec=0.5, limits=QUICK)
        addresses = re.escape(server.url) + r"/(getproduct|galcnn/q/dl)/[^<\"]*"
        for services in (True, False):  # of DataLink and SODA, or the image alone
            described = "" if services else r'<RESOURCE[^>]*type="meta".*?</RESOURCE>|'
            has.edit = lambda text, old=described + addresses: re.sub(
                old, lambda _: address, text, flags=re.DOTALL
            )
            with pytest.raises(BadResponseError) as caught:
                survey.cutout(MIDDLE, 30 * u.arcsec)
            assert "root:" not in str(caught.value)
    assert target.requests == []


@pytest.mark.parametrize("end", ["", "\n"])
@pytest.mark.parametrize("said", ["{url}/x", "file://{file}", "{file}", "s3://bucket/x"])
def test_a_table_of_a_service_is_never_taken_for_its_address(said, end, target, tmp_path):
    """astropy opens a text that is an address or a path, where it is given one in place of a table."""
    file = tmp_path / "fields.csv"
    file.write_text("run,rerun\n1,2\n")
    said = said.format(url=target.url, file=file) + end
    with Server(lambda path, query: Reply(said.encode(), "text/plain")) as one:
        survey = SDSSSurvey(server=one.url, database=one.url, limits=QUICK)
        with pytest.raises(BadResponseError):
            survey.cutout(MIDDLE, 30 * u.arcsec, ("r",))
        assert len(one.requests) == 1
    assert target.requests == []
