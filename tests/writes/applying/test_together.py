"""Jobs of several threads (`writes/applying/together.py`)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar

import pytest

from airflow_provider_dotypos.exceptions import DotyposCancelledError
from airflow_provider_dotypos.writes.applying.together import run_together

here = ContextVar("here", default="")


def test_up_to_as_many_as_there_are_threads_run_at_once() -> None:
    met = threading.Barrier(3, timeout=60)
    run_together([met.wait] * 9, 3, lambda: None)


def test_after_an_error_no_job_begins_and_those_under_way_end() -> None:
    begun: list[int] = []
    ended = threading.Event()
    fails = threading.Event()

    def jobs() -> Iterator[Callable[[], object]]:
        def waits() -> None:
            fails.wait(60)
            ended.set()

        def fail() -> None:
            fails.set()
            raise DotyposCancelledError("killed")

        for number, job in enumerate([waits, fail, waits, waits, waits]):
            begun.append(number)
            yield job

    with pytest.raises(DotyposCancelledError):
        run_together(jobs(), 2, lambda: pytest.fail("the jobs end by themselves"))
    assert ended.is_set()
    assert len(begun) <= 3


def test_what_breaks_in_upon_the_caller_cancels_the_jobs() -> None:
    cancelled = threading.Event()

    def jobs() -> Iterator[Callable[[], object]]:
        yield lambda: cancelled.wait(60)
        raise TimeoutError  # as a task's time-out does

    with pytest.raises(TimeoutError):
        run_together(jobs(), 2, cancelled.set)
    assert cancelled.is_set()


def test_jobs_have_the_callers_context() -> None:
    here.set("task")
    seen: list[str] = []
    run_together([lambda: seen.append(here.get())], 1, lambda: None)
    assert seen == ["task"]
