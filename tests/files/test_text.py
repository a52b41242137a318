"""Text in FITS: reversible, printable, addressable."""

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galcnn.files.text import escape, text_column, to_json, unescape, unique_name, word


@given(st.text())
def test_any_text_comes_back_through_printable_ascii(text):
    escaped = escape(text)
    assert all(" " <= letter <= "~" for letter in escaped)
    assert not escaped.endswith(" ")
    assert unescape(escaped) == text


@given(st.text() | st.lists(st.text() | st.floats(allow_nan=False) | st.none()))
def test_json_is_printable_ascii(value):
    text = to_json(value, "x")
    assert all(" " <= letter <= "~" for letter in text)
    assert json.loads(text) == value


def test_json_of_numpy_and_of_what_it_does_not_know():
    assert to_json({"a": np.arange(2), "b": np.float64(0.5)}, "x") == '{"a": [0, 1], "b": 0.5}'
    assert to_json([np.nan, -np.inf], "x") == "[NaN, -Infinity]"
    with pytest.raises(ValueError, match=r"^Expected x of numbers, text, lists and mappings"):
        to_json(np.nan, "x", allow_nan=False)
    with pytest.raises(TypeError, match="object is not known to JSON"):
        to_json([object()], "x")


def test_columns_are_as_wide_as_their_longest_text():
    column = text_column("a", ["x", "four"])
    assert (column.format, list(column.array)) == ("4A", [b"x", b"four"])
    assert text_column("a", []).format == "1A"


@given(st.text(), st.integers(1, 50))
def test_words_need_no_quoting(text, longest):
    assert re.fullmatch("[A-Z0-9]+(_[A-Z0-9]+)*", word(text, longest))
    assert len(word(text, longest)) <= longest


def test_taken_names_are_numbered():
    assert unique_name("A", {"B"}) == "A"
    assert unique_name("A", {"A", "A_2"}) == "A_3"
