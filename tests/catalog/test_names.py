import re
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from galcnn.catalog.names import file_stems

NAMES = st.text(st.characters(exclude_categories=[]), max_size=300)
NEARLY_PLAIN = st.text("aA./-_ 1", max_size=8)


@given(st.lists(NAMES | NEARLY_PLAIN, unique=True, max_size=30))
@example(["a", "A", "á", "a\u0301", ".", "..", "/", "", "con", "CON.x", "a/../b", "\x00", "\ud800"])
def test_any_names_get_safe_file_names_of_their_own(ids):
    stems = file_stems(ids)
    assert list(stems) == ids
    assert len({stem.casefold() for stem in stems.values()}) == len(ids)
    for stem in stems.values():
        assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", stem)
        assert len(stem) <= 64
        assert not stem.endswith(".")
        assert PurePosixPath(stem).name == stem == PureWindowsPath(stem).name
        assert stem.split(".")[0].casefold() not in ("con", "nul", "prn", "aux")


@given(st.lists(NEARLY_PLAIN, unique=True, max_size=12), st.data())
def test_names_do_not_depend_on_order_or_on_strangers(ids, data):
    shuffled = data.draw(st.permutations(ids))
    assert file_stems(ids) == {name: file_stems(shuffled)[name] for name in ids}


@given(st.lists(NEARLY_PLAIN, unique=True, min_size=1, max_size=12), st.data())
def test_a_growing_list_keeps_the_names_it_gave(ids, data):
    first = data.draw(st.integers(0, len(ids)))
    before = file_stems(ids[:first])
    after = file_stems(ids, taken=before)
    assert before.items() <= after.items()
    assert len({stem.casefold() for stem in after.values()}) == len(ids)


def test_plain_names_stay_and_one_that_looks_changed_does_not():
    assert file_stems(["NGC1300", "J0123+456"]) == {"NGC1300": "NGC1300", "J0123+456": "J0123+456"}
    changed = file_stems(["a/b"])["a/b"]
    both = file_stems(["a/b", changed])
    assert both["a/b"] == changed
    assert both[changed] != changed


def test_repeated_names_are_refused():
    with pytest.raises(ValueError, match="unique names"):
        file_stems(["a", "a"])
