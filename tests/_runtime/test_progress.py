"""Bars on a terminal and lines elsewhere go to standard error; silence is silent."""

import sys
import time

import pytest

from galcnn._runtime import progress
from galcnn._runtime.progress import bars, duration, parts, silent


@pytest.fixture
def terminal(monkeypatch):
    """Standard error that counts as a terminal."""
    monkeypatch.setattr(progress, "_on_terminal", lambda: True)


@pytest.fixture
def clock(monkeypatch):
    """Clock that only moves when it is told to."""

    class Clock:
        now = 1000.0

        def __call__(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr(progress.time, "monotonic", clock)
    return clock


def test_bars_show_what_is_done_and_the_last_note_after_a_second(terminal, capsys):
    with bars("read images", 3) as step:
        step("a")
        display = progress._DISPLAY.get().bars
        assert not display.live.is_started
        time.sleep(progress._PATIENCE + 0.3)  # a long step: the bar does not wait for its end
        assert display.live.is_started
        step("b")
        step("loss 0.123")
    shown = capsys.readouterr()
    assert "read images" in shown.err
    assert "3/3" in shown.err
    assert "elapsed" in shown.err
    assert "remaining" in shown.err
    assert "loss 0.123" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("on_terminal", [True, False])
def test_work_of_less_than_a_second_shows_nothing(on_terminal, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_on_terminal", lambda: on_terminal)
    with bars("read images", 3) as step, parts("bands", 2) as part:
        for _ in range(3):
            step()
            part()
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_parts_are_seen_below_the_callers_bar_until_they_are_done(terminal, capsys, monkeypatch, patience):
    monkeypatch.setattr(progress, "_PATIENCE", patience)
    seen = []
    with bars("explain", 2) as step:
        display = progress._DISPLAY.get().bars
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


@pytest.mark.parametrize("on_terminal", [True, False])
def test_errors_pass_and_nothing_is_left_behind(on_terminal, monkeypatch, capsys):
    monkeypatch.setattr(progress, "_on_terminal", lambda: on_terminal)
    with pytest.raises(KeyError), silent("x", 2) as step:
        step()
        raise KeyError
    with pytest.raises(KeyError), bars("x", 2), parts("y", 2):
        raise KeyError
    assert progress._DISPLAY.get() is None
    assert capsys.readouterr() == ("", "")


def test_a_log_gets_a_line_every_30_seconds(clock, capsys):
    with bars("classify", 2000) as step:
        for _ in range(2000):
            clock.now += 0.0625
            step()
    assert capsys.readouterr().err.splitlines() == [
        "classify 480/2000, 16/s, 95 s left",
        "classify 960/2000, 16/s, 65 s left",
        "classify 1440/2000, 16/s, 35 s left",
        "classify 1920/2000, 16/s, 5 s left",
        "classify 2000/2000, 16/s, took 2 min",
    ]


def test_a_log_gets_a_line_where_a_step_asks_for_it(clock, capsys):
    with bars("train epoch", 3) as step:
        for loss in (0.9, 0.7, 0.6):
            clock.now += 7200
            step(f"loss {loss}", log=True)
    assert capsys.readouterr().err.splitlines() == [
        "train epoch 1/3, loss 0.9, 4 h 0 min left",
        "train epoch 2/3, loss 0.7, 2 h 0 min left",
        "train epoch 3/3, loss 0.6, took 6 h 0 min",
    ]


def test_a_log_shows_the_parts_of_a_long_step(clock, capsys):
    with bars("train epoch", 4) as step:
        clock.now += 20
        step()
        with parts("batch", 10) as part:
            for number in range(10):
                clock.now += 2
                part(f"loss {number}")
        step()
        clock.now += 40
        step()
    assert capsys.readouterr().err.splitlines() == [
        "train epoch 2/4, batch 5/10, loss 4, 50 s left",
        "train epoch 3/4, 27 s left",
    ]


def test_a_resumed_task_says_so_when_it_goes_on(clock, capsys):
    with bars("classify", 200, done=120) as step:
        assert capsys.readouterr().err == ""
        clock.now += 40
        step(n=40)
        step(n=40)
    assert capsys.readouterr().err.splitlines() == [
        "classify: resumes after 120 of 200",
        "classify 160/200, 1/s, 40 s left",
        "classify 200/200, 2/s, took 40 s",
    ]


def test_a_resumed_task_says_so_on_a_terminal(terminal, capsys):
    with bars("classify", 200, done=120) as step:
        display = progress._DISPLAY.get().bars
        step(n=40)
        assert display.tasks[0].completed == 160
    assert capsys.readouterr().err == "classify: resumes after 120 of 200\n"


def test_work_goes_on_when_nobody_reads_the_log(clock, monkeypatch):
    def closed(text):
        raise BrokenPipeError

    monkeypatch.setattr(sys.stderr, "write", closed)
    with bars("classify", 2) as step:
        step(log=True)
        step(log=True)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "0 s"), (45, "45 s"), (100, "2 min"), (3540, "59 min"), (12000, "3 h 20 min")]
)
def test_a_duration_in_words(seconds, said):
    assert duration(seconds) == said
