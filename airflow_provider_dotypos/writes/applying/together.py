"""Jobs done by several threads at once, none of them waiting in a queue: the first that fails lets no other begin."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context

from airflow_provider_dotypos.api.errors import DotyposError


def run_together(jobs: Iterable[Callable[[], object]], threads: int, cancel: Callable[[], None]) -> None:
    """Do jobs, up to `threads` at once. When this returns or raises, none is under way.

    After an error no further job begins, and those under way go on to their own end. With several threads the caller's
    own only waits, so that what breaks in upon it, such as a task's time-out, can't cut a row in half.

    :param jobs: taken one by one, as threads become free.
    :param cancel: ends whatever jobs wait for. Called if something breaks in upon the caller's thread.
    :raises BaseException: the first error of a job.
    """
    with ThreadPoolExecutor(threads, "dotypos-write") as pool:
        under_way: set[Future[object]] = set()
        try:
            for job in jobs:
                under_way.add(pool.submit(copy_context().run, job))
                if len(under_way) == threads:
                    under_way = _wait_for_one(under_way)
            while under_way:
                under_way = _wait_for_one(under_way)
        except DotyposError:
            raise
        except BaseException:
            cancel()
            raise


def _wait_for_one(under_way: set[Future[object]]) -> set[Future[object]]:
    """Wait until a job has ended, and return the others."""
    ended, others = wait(under_way, return_when=FIRST_COMPLETED)
    for future in ended:
        future.result()
    return others
