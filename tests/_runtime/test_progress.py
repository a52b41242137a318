"""Bars go to standard error, for work that takes longer than a second; silence is silent."""

import time

import pytest

from galcnn._runtime import progress
from galcnn._runtime.progress import bars, parts, silent


def test_bars_show_what_is_done_and_the_last_note_after_a_second(capsys):
    with bars("read images", 3) as step:
        step("a")
        display = progress._DISPLAY.get()
        assert not display.live.is_started
        time.sleep(progress._PATIENCE + 0.3)  # a long step: the bar does not wait for its end
        assert display.live.is_started
        step("b")
        step("loss 0.123")
    shown = capsys.readouterr()
    assert "read images" in shown.err
    assert "3/3" in shown.err
    assert "loss 0.123" in shown.err
    assert shown.out == ""


def test_work_of_less_than_a_second_shows_nothing(capsys):
    with bars("read images", 3) as step, parts("bands", 2) as part:
        for _ in range(3):
            step()
            part()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_parts_are_seen_below_the_callers_bar_until_they_are_done(capsys, monkeypatch, patience):
    monkeypatch.setattr(progress, "_PATIENCE", patience)
    seen = []
    with bars("explain", 2) as step:
        display = progress._DISPLAY.get()
        for _ in range(2):
            with parts("occlusion", 4) as part:
                for _ in range(4):
                    part()
                    seen += [(t.description, t.completed) for t in display.tasks if t.visible]
            step()
            assert [t.description for t in display.tasks] == ["explain"]
    lower = [("occlusion", done) for done in (1, 2, 3, 4)]
    assert [pair for pair in seen if pair[0] == "occlusion"] == (2 * lower if patience == 0 else [])
    assert [pair for pair in seen if pair[0] == "explain"] == [("explain", 0)] * 4 + [("explain", 1)] * 4


def test_parts_of_work_that_nobody_shows_are_silent(capsys, monkeypatch):
    monkeypatch.setattr(progress, "_PATIENCE", 0.0)
    with parts("occlusion", 2) as part:
        part()
    with bars("explain", 1):
        pass
    capsys.readouterr()
    with parts("occlusion", 2) as part:  # nor does a bar that is gone come back
        part()
    assert capsys.readouterr() == ("", "")


def test_errors_pass_and_nothing_is_left_behind(capsys):
    with pytest.raises(KeyError), silent("x", 2) as step:
        step()
        raise KeyError
    with pytest.raises(KeyError), bars("x", 2), parts("y", 2):
        raise KeyError
    assert progress._DISPLAY.get() is None
    assert capsys.readouterr() == ("", "")
