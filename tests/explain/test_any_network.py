"""The table of docs/networks.md: what galcnn does with Keras networks of many kinds."""

from pathlib import Path

import pytest

from tests.explain.any_network import KINDS, line, row

DOCS = Path(__file__).resolve().parents[2] / "docs" / "networks.md"
COMMAND = "python -m tests.explain.any_network"


def told():
    """The rows of the table that stands below its command, by the kind of network."""
    _, _, below = DOCS.read_text(encoding="utf-8").partition(COMMAND)
    lines = [one for one in below.split("\n#")[0].splitlines() if one.startswith("| ")]
    return {one.split(" | ")[0].removeprefix("| "): one for one in lines[1:]}


def test_the_table_has_a_row_for_each_kind_and_no_failure():
    assert list(told()) == list(KINDS)
    assert "FAILED" not in "".join(told().values())


@pytest.mark.parametrize(
    "name",
    [name if kind.quick else pytest.param(name, marks=pytest.mark.full) for name, kind in KINDS.items()],
)
def test_a_row_is_what_the_commands_say(name):
    assert line(name, row(name)) == told()[name]
