"""The README's commands and Python run as they stand there, in their order, in one folder from nothing.

Simulated galaxies stand in for the reader's own. A command whose comment begins with "needs" is skipped
with that reason; of `make` it is asked whether the target is there.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.table import Table

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
    """The reader's own: labels.csv, new images, one galaxy, a catalog alone, a survey's download."""
    folder = tmp_path_factory.mktemp("readme")
    for name in ("catalogs", "examples"):
        (folder / name).symlink_to(ROOT / name)
    drawn = (
        "galcnn simulate --instrument decals --bands g,r,z --quiet --classes elliptical,spiral,edge_on,merger"
    )
    run(["sh", "-c", f"{drawn} -n 720 --size 48 --out own"], folder)
    table = Table.read(folder / "own" / "catalog.ecsv")
    labels = Table({"objid": [f"galaxy{i}" for i in range(len(table))]})
    labels["class_name"] = [
        "dont_know" if i % 40 == 39 else name.replace("spiral", ("spiral_cw", "spiral_acw")[i // 4 % 2])
        for i, name in enumerate(table["class"])
    ]
    labels["file"] = [f"own/{image}" for image in table["image"]]
    labels.write(folder / "labels.csv")
    files = sorted((folder / "own" / "cutouts").iterdir())
    for place in ("new", "cutouts"):
        (folder / place).mkdir()
        for number, file in enumerate(files[:40]):
            shutil.copy(file, folder / place / f"new{number}.fits")
    for name in ("new/ngc1300", "galaxy", "cutout", "survey"):
        shutil.copy(files[1], folder / f"{name}.fits")
    Table({"id": [f"new{i}" for i in range(40)]}).write(folder / "galaxies.parquet")
    (folder / "experiment.toml").write_text(
        '[data]\ncatalog = "labels.csv"\nimage_column = "file"\nlabel = "class_name"\nid = "objid"\n'
        'merge = { spiral = ["spiral_cw", "spiral_acw"] }\ndrop = ["dont_know"]\n'
    )
    run(["sh", "-c", f"{drawn} -n 120 --size 96 --seed 2 --out ngc"], folder)
    return folder


@pytest.mark.full
@pytest.mark.parametrize(
    ("language", "step"), STEPS, ids=[f"{i}: {text[:60]}" for i, (_, text) in enumerate(STEPS)]
)
def test_what_the_readme_says_runs(language, step, folder):
    if needs := re.search(r"# (needs .*)", step):
        pytest.skip(needs[1])
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
    assert len(STEPS) > 20
