"""Local services for the tests of surveys, and the table of faults at the end of the output."""

import re

import pytest

from galcnn.surveys import http
from tests.conftest import REAL_DATA
from tests.surveys import services
from tests.surveys.servers import Server

FAULTS = pytest.StashKey()


@pytest.fixture(autouse=True)
def _no_host_remembers(monkeypatch):
    """A port may be given twice; what one server asked for is not for the next."""
    monkeypatch.setattr(http, "_HOSTS", {})


@pytest.fixture(scope="session")
def recordings():
    """The folder of recordings, or None: then images of the same layout are made."""
    return REAL_DATA if (REAL_DATA / "services").is_dir() else None


@pytest.fixture(scope="session")
def legacy_material(recordings):
    return services.legacy_material(recordings)


@pytest.fixture(scope="session")
def skycell_material(recordings):
    return services.skycell_material(recordings)


@pytest.fixture(scope="session")
def hips_tiles(legacy_material, tmp_path_factory):
    m = legacy_material
    return services.Hips(tmp_path_factory.mktemp("hips"), {"g": m.image[0], "r": m.image[1]}, m.wcs)


@pytest.fixture
def legacy_server(legacy_material):
    with Server(services.Legacy(legacy_material)) as server:
        yield server


@pytest.fixture
def panstarrs_server(skycell_material):
    with Server(services.PanStarrsService(skycell_material)) as server:
        yield server


@pytest.fixture
def hips_server(hips_tiles):
    with Server(hips_tiles) as server:
        yield server


@pytest.fixture
def fault_table(request):
    """Rows (survey, fault, what the user gets) that are shown when all tests have run."""
    return request.config.stash.setdefault(FAULTS, [])


def pytest_terminal_summary(terminalreporter, config):
    rows = config.stash.get(FAULTS, [])
    if rows:
        terminalreporter.section("what the user gets, fault by fault")
        for survey, fault, outcome in sorted(rows):
            # Addresses are long and the same in every row.
            said = re.sub(r"url='[^' ]*?('|\.\.\.)(, )?", "", outcome)
            said = said.replace("Received: . ", "").replace(", . ", ". ")
            terminalreporter.write_line(f"{survey:<25} {fault:<28} {said}")
