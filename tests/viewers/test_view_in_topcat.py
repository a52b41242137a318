"""`galcnn view` in the real TOPCAT: the table MORPHOLOGY arrives over a real SAMP hub."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from galcnn.viewers.samp import send
from tests.viewers.screen import ended
from tests.viewers.test_view import stack_with_features

MISSING = [name for name in ("topcat", "Xvfb") if shutil.which(name) is None]
pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (Debian: topcat, xvfb)"),
]


@pytest.fixture(scope="module")
def topcat(environment):
    """TOPCAT at a hub of our own, whose lock file both find in the same home."""
    home = environment["HOME"]
    own = environment | {"SAMP_HUB": f"std-lockurl:{Path(home, '.samp').as_uri()}"}
    java = own | {"JAVA_TOOL_OPTIONS": f"-Duser.home={home} -Djava.awt.headless=false"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    hub = [sys.executable, "-m", "galcnn.cli.main", "view", "--hub"]
    with ended(subprocess.Popen(hub, env=own, **quiet)), pytest.MonkeyPatch.context() as patch:
        waited_for("the hub", lambda: Path(home, ".samp").exists())
        patch.setenv("HOME", home)
        patch.setenv("SAMP_HUB", own["SAMP_HUB"])
        with ended(subprocess.Popen(["topcat"], env=java, **quiet)):
            waited_for("TOPCAT at the hub", lambda: "topcat" in [name for name, _ in clients()])
            yield


def clients():
    from galcnn.viewers.samp import _client

    with _client() as client:
        found = []
        for one in client.get_registered_clients():
            name = client.get_metadata(one).get("samp.name", one)
            if "table.load.votable" in client.get_subscriptions(one):
                found.append((name, one))
        return found


def waited_for(what, ready):
    end = time.monotonic() + 120
    while not ready():
        assert time.monotonic() < end, f"{what}: not within two minutes"
        time.sleep(1)


def test_topcat_gets_the_table_row_for_row(topcat, tmp_path, monkeypatch):
    """It has no message that gives a table back, but says whether a row of a table is there."""
    from galcnn.viewers import samp

    sent = []
    call = samp._call

    def listening(client, one, kind, parameters):
        sent.append((kind, parameters))
        return call(client, one, kind, parameters)

    monkeypatch.setattr(samp, "_call", listening)
    path = tmp_path / "layers.fits"
    stack_with_features().write(path)
    assert send(path) == ["topcat: table MORPHOLOGY"]
    ((kind, table),) = sent
    assert kind == "table.load.votable"
    with samp._client() as client:
        ((_, one),) = clients()
        for row in range(3):  # a row a class
            call(client, one, "table.highlight.row", {"url": table["url"], "row": str(row)})
        with pytest.raises(RuntimeError, match="row"):
            call(client, one, "table.highlight.row", {"url": table["url"], "row": "3"})
        with pytest.raises(RuntimeError):
            call(client, one, "table.highlight.row", {"url": "file:///none.xml", "row": "0"})
