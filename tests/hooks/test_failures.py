"""What a task does with an error: fail, run again at a time, or leave it to its retries (`failures`, `_compat`)."""

from __future__ import annotations

import copy
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos._compat import fail_exception, missing_connection, reschedule_exception
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.exceptions import (
    DotyposError,
    DotyposRateLimitError,
    DotyposServerError,
    PyarrowMissingError,
)
from airflow_provider_dotypos.hooks import failures
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.hooks.failures import Decision, airflow_failures, decision, named_errors

PutOff = type(reschedule_exception(datetime.now(timezone.utc)))


def never() -> None:
    pytest.fail("Airflow is asked only when it matters")


Logged = Callable[[int], list[logging.LogRecord]]

#: Failures that Airflow's retries may help against, and others.
FAILURES = [
    errors.DotyposConfigurationError("Refresh Token is missing"),
    error_for("POST", "/v2/signin/token", 401, {}, b'{"reason": "INVALID_REFRESH_TOKEN"}', sign_in="for cloud 5"),
    error_for("GET", "/v2/clouds/5/orders", 429, {"Retry-After": "20"}, b""),
    errors.DotyposConnectionError("no whole answer from " + "-".join(["abcdefghij"] * 8), sent=False, unreachable=True),
    PyarrowMissingError("Parquet needs pyarrow. Install it"),
]


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
    assert decision(error) == decision(error, never, resumes=True) == Decision(action)  # type: ignore[arg-type]


@pytest.mark.parametrize("status", [429, 503, 501, 401])
def test_a_wait_too_long_for_a_slot_puts_off_any_task_until_it_is_over(status: int) -> None:
    error = error_for("GET", "/v2/x", status, {"Retry-After": "1700"}, b"")
    assert isinstance(error, errors.DotyposApiError)
    assert decision(error) == decision(error, resumes=True) == Decision("again", error.retry_at)


class MistakeError(Exception):
    """Stands for a mistake in a program."""


def fail_deep_down(error: BaseException, depth: int = 30) -> None:
    if depth:
        fail_deep_down(error, depth - 1)
    raise error


def ending_of(error: BaseException, **options: Any) -> BaseException:
    """Return what a task of the connection ``shop_7`` ends with when an error is raised far below it."""
    try:
        with airflow_failures("shop_7", **options):
            fail_deep_down(error)
    except BaseException as ending:
        return ending
    raise AssertionError("nothing was raised")


def frames_of(ending: BaseException) -> int:
    return len(traceback.extract_tb(ending.__traceback__))


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[Logged]:
    """Return what is logged at a level."""
    with caplog.at_level(logging.DEBUG, failures.__name__):
        yield lambda level: [record for record in caplog.records if record.levelno == level]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_the_log_of_a_failed_task_ends_with_the_message_in_short_lines(error: DotyposError, logged: Logged) -> None:
    ending = ending_of(error)
    assert str(ending) == f"{error} (connection 'shop_7')"
    (record,) = logged(logging.ERROR)
    assert record.exc_info is None
    assert record.getMessage().split() == str(ending).split()
    # A browser that is 1280 pixels wide shows them whole.
    assert max(map(len, f"[2026-11-26 21:37:42] ERROR - {record.getMessage()}".splitlines())) <= 95


def test_a_list_in_a_message_stays_a_list_in_the_log(logged: Logged) -> None:
    ending_of(
        errors.DotyposInputError(
            "source can't be planned: 2 problems\n- row 1: name: is too long\n- row 2: vat: is odd"
        )
    )
    assert logged(logging.ERROR)[0].getMessage().splitlines() == [
        "source can't be planned: 2 problems",
        "- row 1: name: is too long",
        "- row 2: vat: is odd (connection 'shop_7')",
    ]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_airflow_shows_few_frames_and_a_retry_policy_finds_the_facts(error: DotyposError) -> None:
    error.tries, error.waited = 7, 100.0
    ending = ending_of(error)
    assert frames_of(ending) == 2
    assert ending.__suppress_context__
    assert ending.__context__ is error
    if error.permanent:
        assert type(ending) is fail_exception()
        return
    assert type(ending) is type(error)
    assert vars(ending) == vars(error) | {"connection": "shop_7"}
    arrived = pickle.loads(pickle.dumps(ending))
    assert (str(arrived), vars(arrived)) == (str(ending), vars(ending))


FULL_DISK = OSError(28, "No space left on device", "/data/x")


@pytest.mark.parametrize("error", [*FAILURES, FULL_DISK, KeyboardInterrupt()], ids=repr)
def test_what_led_to_the_end_is_logged_at_debug_once(error: BaseException, logged: Logged) -> None:
    with pytest.raises(BaseException), airflow_failures("shop_7", resumes=True), named_errors("shop_7"):  # noqa: B017, PT011
        fail_deep_down(error)
    (record,) = logged(logging.DEBUG)
    assert record.exc_info is not None
    assert len(traceback.extract_tb(record.exc_info[2])) > 30


@pytest.mark.parametrize("mistake", [MistakeError("x"), TypeError("x")], ids=repr)
def test_a_mistake_in_a_program_keeps_its_frames(mistake: Exception, logged: Logged) -> None:
    assert ending_of(mistake, resumes=True) is mistake
    assert frames_of(mistake) > 30
    assert not logged(logging.ERROR)


def test_a_destination_that_fails_comes_with_a_cure_and_few_frames(logged: Logged) -> None:
    assert ending_of(FULL_DISK, resumes=True) is FULL_DISK
    assert frames_of(FULL_DISK) == 2
    (record,) = logged(logging.ERROR)
    assert "No space left on device: '/data/x'.\nCheck destination" in record.getMessage()


def test_a_connection_that_does_not_exist_comes_with_a_cure(logged: Logged) -> None:
    with pytest.raises(missing_connection(), match="nowhere") as failed, airflow_failures("nowhere"):
        DotyposHook("nowhere").get("branches", 1)
    assert frames_of(failed.value) == 2
    (record,) = logged(logging.ERROR)
    assert "nowhere" in record.getMessage()
    assert "Create it under Admin" in record.getMessage()


def test_what_a_dag_author_could_not_write_is_no_destination_of_ours(logged: Logged) -> None:
    assert frames_of(ending_of(OSError("mine"))) > 30
    assert not logged(logging.ERROR)


@pytest.mark.parametrize("signal", [KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_where_a_signal_met_a_task_is_no_news(signal: BaseException, logged: Logged) -> None:
    assert ending_of(signal) is signal
    assert frames_of(signal) == 2
    assert not logged(logging.ERROR)


def test_an_error_of_a_hook_names_its_own_connection() -> None:
    """An operator's log names it once, also where a hook of another connection was used."""
    with pytest.raises(fail_exception()) as failed, airflow_failures("shop_7"), named_errors("shop_8"):
        raise errors.DotyposInputError("x")
    assert str(failed.value) == "x (connection 'shop_8')"


def refusal(retry_after: str | None = None, status: int = 429) -> DotyposError:
    return error_for("GET", "/v2/orders", status, {} if retry_after is None else {"Retry-After": retry_after}, b"")


def seconds_off(error: DotyposError, **task_instance: Any) -> float:
    """Return for how many seconds an error puts a task off."""
    with (
        pytest.raises(PutOff) as put_off,
        airflow_failures("x", {"ti": SimpleNamespace(**task_instance)}, resumes=True),
    ):
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


def test_a_used_up_budget_puts_any_task_off_until_enough_is_free() -> None:
    at = datetime.now(timezone.utc) + timedelta(minutes=25)
    error = errors.DotyposBudgetError("x", retry_at=at)
    assert decision(error) == decision(error, resumes=True) == Decision("again", at)


@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize(
    "error", [refusal("1700"), errors.DotyposBudgetError("x", retry_at=datetime.now(timezone.utc))]
)
def test_put_offs_end_after_a_day_unless_the_attempt_brought_rows(error: DotyposError, resumes: bool) -> None:
    def first_put_off(hours: float) -> Callable[[], datetime]:
        return lambda: datetime.now(timezone.utc) - timedelta(hours=hours)

    assert decision(error, first_put_off(23), resumes=resumes).action == "again"
    assert decision(error, first_put_off(25), resumes=resumes) == Decision("default")
    brought = copy.copy(error)
    brought.brought_rows = True
    assert decision(brought, first_put_off(25), resumes=resumes).action == "again"


def test_of_several_lists_what_can_be_cured_gets_its_chance_first() -> None:
    """A put-off, to the latest of all moments, comes before Airflow's retries, and these before the end."""
    put_off, later = (error_for("GET", "/v2/x", 429, {"Retry-After": seconds}, b"") for seconds in ("3600", "7200"))
    fault, permanent = error_for("GET", "/v2/x", 500, {}, b""), error_for("GET", "/v2/x", 400, {}, b"")

    def decided(*failures: DotyposError) -> Decision:
        lists = {str(number): failure for number, failure in enumerate(failures)}
        return decision(errors.DotyposListsError("some lists", lists), resumes=True)  # type: ignore[arg-type]

    assert decided(permanent, put_off, later, fault) == Decision("again", later.retry_at)
    assert decided(permanent, fault) == Decision("default")
    assert decided(permanent, permanent) == Decision("fail")
    short = error_for("GET", "/v2/x", 429, {}, b"")
    assert decided(short, fault).action == "again"  # type: ignore[arg-type]


def test_what_does_not_go_on_where_it_ended_is_not_put_off_unless_it_was_told_a_long_wait() -> None:
    for error in (refusal(), refusal("90")):
        with pytest.raises(DotyposRateLimitError), airflow_failures("x"):
            raise error
    with pytest.raises(PutOff), airflow_failures("x"):
        raise refusal("1700")


def test_a_fault_is_left_to_the_retries_of_the_task() -> None:
    with pytest.raises(DotyposServerError), airflow_failures("x", resumes=True):
        raise refusal(status=503)
