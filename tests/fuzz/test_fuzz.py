"""Some damaged files of every format in every run of the tests, and the fuzzer itself."""

import pytest

from tests.fuzz import judging, running
from tests.fuzz.__main__ import FAILURES
from tests.fuzz.damage import FITS, KINDS
from tests.fuzz.files import FORMATS
from tests.fuzz.pretended import FATES, NAME, add

#: Numbers of files in the tests: 300 together.
N_FITS, N_OTHERS = 100, 20


@pytest.mark.parametrize("name", list(FORMATS))
def test_damaged_files_are_read_right_refused_or_noted(name):
    n = N_FITS if name == "fits" else N_OTHERS
    found = running.run(name, range(n), seed=3)
    assert [one.index for one in found] == list(range(n))
    assert [one for one in found if one.outcome in FAILURES] == []
    assert {"refused"} <= {one.outcome for one in found}


def test_there_are_enough_kinds_and_a_file_can_be_made_again():
    assert len({kind.__name__ for kind in FITS}) >= 30
    assert set(KINDS) == set(FORMATS)
    for name in FORMATS:
        one, other = judging.make(name, 1, 5), judging.make(name, 1, 5)
        assert one == other
        assert one.content != judging.whole(name, one.base) or one.keeps


@pytest.mark.full
def test_every_outcome_is_told_and_the_next_file_is_read():
    """Processes that die, hang or grow are replaced."""
    add()
    try:
        found = running.run(NAME, range(2 * len(FATES)), seed=3, jobs=2, seconds=20)
    finally:
        del FORMATS[NAME], KINDS[NAME]
    assert len(found) == 2 * len(FATES)
    for one in found:
        assert one.outcome == FATES[one.kind.rpartition(" + ")[2]], one
