"""Bars go to standard error, step by step; silence is silent."""

import pytest

from galcnn.progress import bars, silent


def test_bars_show_what_is_done_and_the_last_note(capsys):
    with bars("read images", 3) as step:
        for note in ("a", "b", "loss 0.123"):
            step(note)
    shown = capsys.readouterr()
    assert "read images" in shown.err
    assert "3/3" in shown.err
    assert "loss 0.123" in shown.err
    assert shown.out == ""


def test_silence_is_silent_and_errors_pass(capsys):
    with pytest.raises(KeyError), silent("x", 2) as step:
        step()
        raise KeyError
    assert capsys.readouterr() == ("", "")
