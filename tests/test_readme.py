"""The README's commands and Python run as they stand there, in their order, in one empty folder.

Of `make` it is asked whether the target is there.
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def steps(text):
    """Language and text of each command and each Python block, in order."""
    for language, block in BLOCK.findall(text):
        if language == "python":
            yield language, block
        else:
            lines = block.replace("\\\n", "").splitlines()
            yield from (("sh", re.sub(r"\s+", " ", line)) for line in lines if line.strip())


STEPS = list(steps((ROOT / "README.md").read_text(encoding="utf-8")))


def run(words, folder, codes=(0,)):
    """What a command prints; the ``galcnn`` and ``python`` it finds are those of this test."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode in codes, (done.stdout + done.stderr)[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder: the first command makes the galaxies of all others."""
    return tmp_path_factory.mktemp("readme")


@pytest.mark.full
@pytest.mark.parametrize(
    ("language", "step"), STEPS, ids=[f"{i}: {text[:60]}" for i, (_, text) in enumerate(STEPS)]
)
def test_what_the_readme_says_runs(language, step, folder):
    if language == "python":
        run([sys.executable, "-c", step], folder)
    elif step.startswith("make "):
        run([*step.split("#")[0].split(), "--dry-run"], ROOT)
    else:
        # A check that fails exits with 4: simulated ellipticals look like each other's copies.
        run(["bash", "-c", step], folder, (0, 4) if step.startswith("galcnn preflight ") else (0,))


def test_commands_and_blocks_are_found():
    text = "a\n```\ngalcnn train \\\n    --out model\n\nmake demo   # all\n```\nb\n```python\nx = 1\n```\n"
    assert list(steps(text)) == [
        ("sh", "galcnn train --out model"),
        ("sh", "make demo # all"),
        ("python", "x = 1\n"),
    ]
    assert {language for language, _ in STEPS} == {"sh", "python"}
    assert len(STEPS) > 15


def test_what_the_readme_shows_and_links_is_seen_without_the_checkout():
    """As on a package index: by the address of the project, and each file is in the checkout."""
    readme, settings = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "pyproject.toml"))
    home = tomllib.loads(settings)["project"]["urls"]["Homepage"]
    raw = home.replace("//github.com/", "//raw.githubusercontent.com/")
    used = re.findall(r"(!?)\[[^\]]+\]\(([^)]+)\)", readme)
    assert len(used) > 4
    for picture, address in used:
        start = f"{raw}/main/" if picture else f"{home}/blob/main/"
        assert address.startswith(start)
        assert (ROOT / address.removeprefix(start)).is_file()


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
