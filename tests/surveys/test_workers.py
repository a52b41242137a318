import contextlib
import threading
import time
from dataclasses import dataclass, field

import pytest

from galcnn.surveys.batch import run


@dataclass
class Job:
    answer: object
    seconds: float = 0.0
    settled: list = field(default_factory=list)

    def ask(self):
        time.sleep(self.seconds)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def settle(self, answer):
        self.settled.append(answer)
        if answer == "full disk":
            raise OSError("full")
        return answer


def test_each_job_is_settled_once_with_its_answer_or_its_error():
    error = KeyError("x")
    jobs = [Job(1), Job(error), Job(3)]
    assert set(run(jobs, Job.ask, Job.settle, jobs=2, time_limit=5)) == {1, error, 3}
    assert [job.settled for job in jobs] == [[1], [error], [3]]
    assert list(run([], Job.ask, Job.settle, jobs=2, time_limit=5)) == []


def test_a_late_job_is_settled_as_late_and_never_again():
    jobs = [Job("late", 2.0), Job("b"), Job("c")]
    results = list(run(jobs, Job.ask, Job.settle, jobs=1, time_limit=1))
    late = [one for one in results if isinstance(one, TimeoutError)]
    assert len(late) == 1
    assert sorted(one for one in results if one not in late) == ["b", "c"]
    time.sleep(1.5)
    assert len(jobs[0].settled) == 1


def test_no_job_is_begun_after_enough_however_slow_the_caller_is():
    jobs = [Job(i) for i in range(20)]
    found = []
    for result in run(jobs, Job.ask, Job.settle, jobs=1, time_limit=5, enough=lambda answer: answer == 3):
        time.sleep(0.1)  # the thread could do all twenty in this time
        found.append(result)
    assert sorted(found) == [0, 1, 2, 3]
    assert [job.settled for job in jobs] == [[i] for i in range(4)] + [[]] * 16


def test_a_late_job_may_be_enough():
    jobs = [Job("late", 2.0), Job("b")]
    results = list(
        run(
            jobs,
            Job.ask,
            Job.settle,
            jobs=1,
            time_limit=0.5,
            enough=lambda answer: isinstance(answer, TimeoutError),
        )
    )
    assert len(results) == 1
    assert jobs[1].settled == []


def test_answers_that_are_awaited_are_given_up_after_enough():
    """A service that is down may also hang: nothing waits for its time limit."""
    jobs = [Job("slow", 3.0), Job("enough")]
    answered = []

    def ask(job):
        answered.append(Job.ask(job))
        return job.answer

    assert list(run(jobs, ask, Job.settle, jobs=2, time_limit=60, enough=lambda one: one == "enough")) == [
        "enough"
    ]
    assert answered == ["enough"]
    assert jobs[0].settled == []


def test_an_error_of_settling_ends_the_run():
    jobs = [Job("full disk"), *(Job(i, 0.05) for i in range(20))]
    with pytest.raises(OSError, match="full"):
        list(run(jobs, Job.ask, Job.settle, jobs=1, time_limit=5))
    assert sum(len(job.settled) for job in jobs) < 4


def test_when_it_is_closed_nothing_is_settled_any_more():
    before = set(threading.enumerate())
    jobs = [Job(i, 0.02 * i) for i in range(12)]
    with contextlib.closing(run(jobs, Job.ask, Job.settle, jobs=3, time_limit=5)) as results:
        next(results)
    settled = sum(len(job.settled) for job in jobs)
    time.sleep(0.3)
    assert sum(len(job.settled) for job in jobs) == settled
    assert set(threading.enumerate()) <= before
