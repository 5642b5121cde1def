"""What a task does with an error: fail, run again at a time, or leave it to its retries (`failures`, `_compat`)."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos._compat import fail_exception, reschedule_exception
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.exceptions import DotyposError, DotyposRateLimitError, DotyposServerError
from airflow_provider_dotypos.hooks.failures import Decision, airflow_failures, decision

PutOff = type(reschedule_exception(datetime.now(timezone.utc)))


def never() -> None:
    pytest.fail("Airflow is asked only when it matters")


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (errors.DotyposConfigurationError("x"), "fail"),
        (errors.DotyposUncertainWriteError("x", method="POST", path="/v2/x"), "fail"),
        (error_for("GET", "/v2/x", 403, {}, b'{"reason": "CLOUD_FORBIDDEN"}'), "fail"),
        (error_for("GET", "/v2/x", 400, {"Retry-After": "1700"}, b""), "fail"),
        (errors.DotyposConnectionError("x"), "default"),
        (errors.DotyposWalkError("x"), "default"),
        (error_for("GET", "/v2/x", 500, {}, b""), "default"),
        (error_for("GET", "/v2/x", 401, {}, b""), "default"),
    ],
    ids=repr,
)
def test_what_a_retry_can_not_cure_fails_and_the_rest_is_airflows(error: DotyposError, action: str) -> None:
    assert decision(error) == decision(error, never) == Decision(action)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [429, 503, 501, 401])
def test_a_wait_too_long_for_a_slot_puts_off_any_task_until_it_is_over(status: int) -> None:
    error = error_for("GET", "/v2/x", status, {"Retry-After": "1700"}, b"")
    assert isinstance(error, errors.DotyposApiError)
    assert decision(error) == decision(error, never) == Decision("again", error.retry_at)


@pytest.mark.parametrize(
    ("error", "named"),
    [(errors.DotyposConfigurationError("it failed"), True), (errors.DotyposInputError("it failed"), False)],
)
def test_the_connection_is_named_where_it_may_be_wrong(error: DotyposError, named: bool) -> None:
    with pytest.raises(fail_exception(), match="it failed") as failed, airflow_failures("shop_7"):
        raise error
    assert ("shop_7" in str(failed.value)) == named
    assert failed.value.__cause__ is error


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
@pytest.mark.parametrize("retry_after", ["0", "1", "90", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_short_wait_in_vain_starts_no_loop(retry_after: str, status: int) -> None:
    """Its task has held its slot for a quarter of an hour, and would hold it again at once."""
    first = datetime.now(timezone.utc) - timedelta(minutes=20)
    assert 295 < seconds_off(refusal(retry_after, status)) < 330
    assert 1195 < seconds_off(refusal(retry_after, status), get_first_reschedule_date=lambda context: first) < 1320


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
