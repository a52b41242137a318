"""The real DS9 on a screen of our own, and XPA to ask it: what tests of viewers share."""

import contextlib
import shutil
import subprocess

import pytest

MISSING = [name for name in ("ds9", "Xvfb", "xpaget", "xpaset") if shutil.which(name) is None]
needs_ds9 = pytest.mark.skipif(
    bool(MISSING),
    reason=f"not installed: {', '.join(MISSING)}. `make viewers` (Debian: saods9, xvfb, xpa-tools)",
)
TITLE = "galcnn_test"


@contextlib.contextmanager
def ended(process):
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=10)


class DS9:
    def __init__(self, environment, title=TITLE):
        self.environment, self.title = environment, title

    def get(self, *words):
        done = subprocess.run(
            ["xpaget", self.title, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode != 0 or "XPA$ERROR" in done.stdout + done.stderr:
            raise RuntimeError(f"{words}: {done.stdout} {done.stderr}")
        return done.stdout.strip()

    def set(self, *words):
        done = subprocess.run(
            ["xpaset", "-p", self.title, *words],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode != 0 or "XPA$ERROR" in done.stdout + done.stderr:
            raise RuntimeError(f"{words}: {done.stdout} {done.stderr}")

    def pixel(self, x, y):
        """As DS9 reads it, x and y counted from 1."""
        return float(self.get("data", "image", str(x), str(y), "1", "1", "yes"))
