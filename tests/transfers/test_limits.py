"""A limit of 150 requests in half an hour: nearly all that was read is kept, and the task waits without its slot."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos._compat import airflow_failures, reschedule_exception
from airflow_provider_dotypos.api.errors import DotyposError, DotyposRateLimitError, DotyposServerError, error_for
from airflow_provider_dotypos.sandbox import Sandbox, Shop
from tests.transfers.limits import UNTIL, Case, Task, check, fill

PutOff = type(reschedule_exception(UNTIL))


@pytest.fixture(scope="module")
def full() -> Iterator[tuple[Sandbox, set[str]]]:
    with Sandbox(Shop.empty()) as sandbox:
        yield sandbox, fill(sandbox, 30_000)


@pytest.mark.parametrize(
    "case",
    [
        Case(1, 0.0, True),
        Case(1, 0.0, False),
        Case(4, 0.03, False),
        Case(16, 0.03, True),
        Case(16, 0.03, False, "sliding", refused_count=True),
    ],
    ids=str,
)
def test_an_extraction_is_done_in_the_third_window(full: tuple[Sandbox, set[str]], case: Case, tmp_path: Path) -> None:
    sandbox, orders = full
    check(Task(sandbox, case, tmp_path).run(), case, orders)


def refusal(retry_after: str | None = None, status: int = 429) -> DotyposError:
    return error_for("GET", "/v2/orders", status, {} if retry_after is None else {"Retry-After": retry_after}, b"")


def seconds_off(error: DotyposError, **task_instance: Any) -> float:
    """Return for how many seconds an error puts a task off."""
    with pytest.raises(PutOff) as put_off, airflow_failures("x", resumed={"ti": SimpleNamespace(**task_instance)}):
        raise error
    at: datetime = put_off.value.reschedule_date  # type: ignore[attr-defined]
    return (at - datetime.now(timezone.utc)).total_seconds()


def test_a_throttled_extraction_is_put_off_until_it_was_told() -> None:
    assert 1695 < seconds_off(refusal("1700")) <= 1700


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("told", ["0", "1", "90", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_short_wait_that_was_told_in_vain_starts_no_loop(told: str, status: int) -> None:
    """Its task has held its slot for a quarter of an hour, and would hold it again at once."""
    first = datetime.now(timezone.utc) - timedelta(minutes=20)
    assert 295 < seconds_off(refusal(told, status)) < 330
    assert 1195 < seconds_off(refusal(told, status), get_first_reschedule_date=lambda context: first) < 1320


@pytest.mark.parametrize(
    ("minutes", "least", "most"), [(None, 5, 5.5), (0, 5, 5.5), (7, 7, 7.8), (25, 25, 27.6), (300, 30, 33)]
)
def test_otherwise_the_waits_grow(minutes: float | None, least: float, most: float) -> None:
    first = None if minutes is None else datetime.now(timezone.utc) - timedelta(minutes=minutes)
    off = seconds_off(refusal(), get_first_reschedule_date=lambda context: first)
    assert least * 60 - 5 < off < most * 60


def test_the_waits_of_a_task_together_pass_half_an_hour() -> None:
    waited, waits = timedelta(0), 0
    while waited < timedelta(minutes=30):
        began = datetime.now(timezone.utc) - waited
        waited += timedelta(seconds=seconds_off(refusal(), get_first_reschedule_date=lambda context, at=began: at))
        waits += 1
    assert waits <= 4


def test_what_does_not_go_on_where_it_ended_is_not_put_off_unless_it_was_told_a_long_wait() -> None:
    for error in (refusal(), refusal("90")):
        with pytest.raises(DotyposRateLimitError), airflow_failures("x"):
            raise error
    with pytest.raises(PutOff), airflow_failures("x"):
        raise refusal("1700")


def test_a_fault_is_left_to_the_retries_of_the_task() -> None:
    with pytest.raises(DotyposServerError), airflow_failures("x", resumed={}):
        raise refusal(status=503)
