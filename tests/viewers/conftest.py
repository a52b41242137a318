"""Fixtures of the tests that run DS9."""

import os
import subprocess
import time

import pytest

from tests.viewers.screen import DS9, TITLE, ended


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """A screen of our own, and XPA through sockets in a folder of our own."""
    read, write = os.pipe()
    command = ["Xvfb", "-displayfd", str(write), "-screen", "0", "1400x1000x24", "-nolisten", "tcp"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ended(subprocess.Popen(command, pass_fds=(write,), **quiet)), os.fdopen(read) as answer:
        os.close(write)
        display = answer.readline().strip()  # Xvfb says which display it took, or ends
        assert display, "Xvfb did not start"
        home = tmp_path_factory.mktemp("home")
        yield os.environ | {
            "DISPLAY": f":{display}",
            "HOME": str(home),
            "XPA_METHOD": "local",
            "XPA_TMPDIR": str(home),
            "XPA_SHORT_TIMEOUT": "15",
        }


@pytest.fixture(scope="module")
def img_tcl(tmp_path_factory):
    """Without this package `-saveimage png` writes nothing, and says nothing."""
    path = tmp_path_factory.mktemp("tcl") / "img.tcl"
    path.write_text("package require Img\n")
    return path


@pytest.fixture(scope="module")
def ds9(environment, img_tcl):
    command = ["ds9", "-title", TITLE, "-source", str(img_tcl), "-geometry", "1200x900"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with ended(subprocess.Popen(command, env=environment, **quiet)) as process:
        program, end = DS9(environment), time.monotonic() + 60
        while True:
            try:
                program.get("version")
                break
            except RuntimeError:
                assert process.poll() is None, "DS9 ended"
                assert time.monotonic() < end, "DS9 did not answer within a minute"
                time.sleep(0.3)
        yield program
