"""VOTables of unknown origin: no address in them is opened, and none is larger than its file."""

import base64
import gzip
import struct
import time

import numpy as np
import pytest

from galcnn.catalog import read_catalog
from galcnn.catalog.formats import read_table
from tests.surveys.servers import Reply, Server

DOCUMENT = (
    '<?xml version="1.0" encoding="{encoding}"?>{doctype}'
    '<{v}VOTABLE version="1.4" xmlns{colon}="http://www.ivoa.net/xml/VOTable/v1.3">'
    '<{v}RESOURCE type="results">'
    '<{v}TABLE{table}><{v}FIELD name="x" datatype="{datatype}" arraysize="{arraysize}"/>{params}'
    "<{v}DATA>{data}</{v}DATA></{v}TABLE></{v}RESOURCE></{v}VOTABLE>"
)
ROWS = "<{v}TABLEDATA><{v}TR><{v}TD>1</{v}TD></{v}TR><{v}TR><{v}TD>2</{v}TD></{v}TR></{v}TABLEDATA>"


def written(path, encoding="utf-8", prefix="", data=ROWS, **parts):
    parts = {"doctype": "", "table": "", "datatype": "int", "arraysize": "1", "params": "", **parts}
    names = {"v": f"{prefix}:" if prefix else "", "colon": f":{prefix}" if prefix else ""}
    text = DOCUMENT.format(encoding=encoding, data=data.format(**names), **names, **parts)
    path.write_bytes(text.encode(encoding))
    return path


@pytest.fixture
def server():
    with Server(lambda path, query: Reply(b"abc")) as one:
        yield one


@pytest.mark.parametrize("prefix", ["", "vot"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
def test_a_table_that_contains_its_data_is_read(encoding, prefix, tmp_path):
    for suffix in (".vot", ".xml"):
        table = read_table(written(tmp_path / f"t{suffix}", encoding, prefix))
        assert np.ravel(table["x"]).tolist() == [1, 2]
    stream = base64.b64encode(struct.pack(">ii", 7, -8)).decode()
    binary = f'<{{v}}BINARY><{{v}}STREAM encoding="base64">{stream}</{{v}}STREAM></{{v}}BINARY>'
    table = read_table(written(tmp_path / "b.vot", encoding, prefix, binary))
    assert np.ravel(table["x"]).tolist() == [7, -8]


@pytest.mark.parametrize("prefix", ["", "vot"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "iso-8859-1"])
@pytest.mark.parametrize(
    "to", ["{url}/x", "file://{private}", "file:{private}", "//{host}/x", "ftp://{host}/x", ""]
)
@pytest.mark.parametrize(
    "data",
    [
        '<{v}BINARY><{v}STREAM href="HREF"/></{v}BINARY>',
        '<{v}BINARY2><{v}STREAM encoding="gzip" href="HREF"/></{v}BINARY2>',
        '<{v}FITS extnum="1"><{v}STREAM href="HREF"/></{v}FITS>',
        '<{v}PARQUET type="VOTable-remote-file"><{v}STREAM href="HREF"/></{v}PARQUET>',
        '<{v}BINARY><{v}STREAM href="&#x%s;%s"/></{v}BINARY>',
    ],
    ids=["BINARY", "BINARY2", "FITS", "PARQUET", "escaped"],
)
def test_no_address_of_a_stream_is_opened(data, to, encoding, prefix, server, tmp_path):
    private = tmp_path / "private.txt"
    private.write_text("private words")
    href = to.format(url=server.url, host=server.url[7:], private=private)
    escaped = data.replace("&#x%s;%s", f"&#x{ord(href[0]):x};{href[1:]}" if href else "")
    path = written(tmp_path / "t.vot", encoding, prefix, escaped.replace("HREF", href))
    with pytest.raises(ValueError, match="contains its data") as caught:
        read_catalog(path)
    assert "private words" not in str(caught.value)
    assert server.requests == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "entities",
    [
        '<!ENTITY e SYSTEM "file://{private}">',
        '<!ENTITY e SYSTEM "{url}/x">',
        '<!ENTITY e PUBLIC "x" "{url}/x">',
        '<!ENTITY % e SYSTEM "{url}/x"> %e;',
        '<!ENTITY e "1">',
        '<!ENTITY a "1111111111"><!ENTITY b "&a;&a;&a;&a;"><!ENTITY e "&b;&b;&b;&b;">',
    ],
)
def test_entities_are_refused(entities, encoding, server, tmp_path):
    """astropy would leave out those that lie elsewhere: a cell would change without a word."""
    private = tmp_path / "private.txt"
    private.write_text("7")
    doctype = "<!DOCTYPE VOTABLE [" + entities.format(url=server.url, private=private) + "]>"
    data = "<TABLEDATA><TR><TD>1</TD></TR></TABLEDATA>"
    with pytest.raises(ValueError, match="without entity declarations"):
        read_catalog(written(tmp_path / "t.vot", encoding, data=data, doctype=doctype))
    assert server.requests == []


def test_the_document_type_of_old_tables_is_read_and_not_requested(server, tmp_path):
    doctype = f'<!DOCTYPE VOTABLE SYSTEM "{server.url}/VOTable.dtd">'
    table = read_table(written(tmp_path / "t.vot", doctype=doctype))
    assert np.ravel(table["x"]).tolist() == [1, 2]
    assert server.requests == []


@pytest.mark.parametrize(
    "parts",
    [
        {"table": ' nrows="2000000000"'},
        {"table": ' nrows="100000000000000000000"'},
        {"arraysize": "100000000"},
        {"arraysize": "30000x30000"},
        {"arraysize": "100000x100000x*"},
        {"datatype": "char", "arraysize": "300000000"},
        {"datatype": "unicodeChar", "arraysize": "2000000000"},
        {"datatype": "bit", "arraysize": "1000000000"},
        {"params": '<PARAM name="p" datatype="double" arraysize="900000000" value="1"/>'},
    ],
    ids=str,
)
def test_a_table_that_is_declared_larger_than_its_file_is_refused_at_once(parts, tmp_path):
    began = time.monotonic()
    with pytest.raises(ValueError, match="no larger than its file"):
        read_table(written(tmp_path / "t.vot", **parts))
    assert time.monotonic() - began < 1


def test_padded_text_and_empty_arrays_are_no_damage(tmp_path):
    data = "<TABLEDATA>" + "<TR><TD>NGC</TD></TR>" * 100 + "</TABLEDATA>"
    table = read_table(written(tmp_path / "t.vot", data=data, datatype="char", arraysize="4096"))
    assert table["x"].tolist() == ["NGC"] * 100


def test_what_is_compressed_is_refused(tmp_path):
    path = written(tmp_path / "t.vot")
    path.write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ValueError, match="not compressed"):
        read_table(path)
