"""The example plugin, installed as a stranger would: galcnn lists it, checks it and fetches from it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from astropy.table import Table

from galcnn.files import load_cutout

PLUGIN = Path(__file__).resolve().parents[2] / "examples" / "plugin-survey"


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The package in a folder of its own, on the path of the processes that are started."""
    work = tmp_path_factory.mktemp("plugin")
    shutil.copytree(
        PLUGIN, work / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    )
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(work / "site")]
    done = subprocess.run([*pip, *offline, str(work / "source")], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return work / "site"


def run(installed, *words, cwd=None):
    paths = [str(installed), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
    return subprocess.run(
        [sys.executable, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        env=environment,
        cwd=cwd,
    )


def test_galcnn_lists_it_and_does_not_import_it(installed):
    done = run(installed, "-m", "galcnn.cli.main", "plugins")
    assert (
        "cutout-service galcnn-cutout-service 0.1.0      galcnn_cutout_service:CutoutService" in done.stdout
    )
    code = "import sys; from galcnn.cli.main import main; main(['plugins']); print(*sys.modules)"
    assert "galcnn_cutout_service" not in run(installed, "-c", code).stdout.splitlines()[-1].split()


def test_it_passes_its_own_conformance_test(installed):
    done = run(
        installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", installed.parent / "source", cwd=installed
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_galaxies_are_fetched_from_it(installed, tmp_path):
    """In one process with its service; the second galaxy is outside."""
    Table({"id": ["in", "out"], "ra": [150.0, 10.0], "dec": [2.0, 2.0]}).write(tmp_path / "two.ecsv")
    code = (
        "import sys\nfrom test_conformance import serve\nfrom galcnn.cli.main import main\nserver = serve()\n"
        "url = f'http://127.0.0.1:{server.server_address[1]}/cutout'\n"
        "words = ['fetch', '--catalog', 'two.ecsv', '--survey', 'cutout-service', '--server', url,\n"
        "         '--bands', 'gr', '--width', '20arcsec',\n"
        "         '--out', 'images', '--cache-size', '0', '--quiet']\n"
        "main([*words, '--dry-run'])\nsys.exit(main(words))"
    )
    shutil.copy(PLUGIN / "tests" / "test_conformance.py", tmp_path)
    done = run(installed, "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "/cutout?ra=150.0&dec=2.0&size=50&band=g" in done.stdout
    cutout = load_cutout(tmp_path / "images/cutouts/in.fits")
    assert (cutout.survey, cutout.bands, cutout.shape, str(cutout.unit)) == (
        "cutout-service DR1",
        ("g", "r"),
        (50, 50),
        "nJy",
    )
    report = json.loads((tmp_path / "images/report.json").read_text())
    assert "Expected a position in cutout-service DR1" in json.dumps(report)
