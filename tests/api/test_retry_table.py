"""The table of failures: no verdict changes unnoticed, and no error is without one."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api import retry_table
from airflow_provider_dotypos.api.errors import error_for
from airflow_provider_dotypos.api.retry_table import Verdict, verdict
from airflow_provider_dotypos.exceptions import DotyposError
from tests.test_errors_travel import every_kind, example

BODIES = {
    "no body": [b""],
    "foreign": [b"<html>"],
    "stale token": [b'{"reason": "ACCESS_TOKEN_EXPIRED"}', b'{"reason": "INVALID_ACCESS_TOKEN"}'],
    "any other": [
        b'{"status": 400, "message": "x"}',
        *(
            json.dumps({"reason": reason}).encode()
            for reason in ("CLOUD_FORBIDDEN", "LICENSE_UPGRADE_REQUIRED", "ACCESS_DENIED", "INVALID_REFRESH_TOKEN")
        ),
    ],
}
RECORDED = [
    line.split(" | ")
    for line in Path(__file__).with_name("verdicts.txt").read_text().splitlines()
    if not line.startswith("#")
]


def in_short(verdicts: dict[int, Verdict]) -> str:
    runs = []
    for said, group in itertools.groupby(verdicts.items(), key=lambda item: item[1]):
        statuses = [status for status, _ in group]
        runs.append(f"{'-'.join(dict.fromkeys([str(statuses[0]), str(statuses[-1])]))} {said.name}")
    return " ".join(runs)


def of_database(reason: str | None) -> errors.DotyposDatabaseError:
    error = errors.DotyposDatabaseError("x")
    error.reason = reason
    return error


@pytest.mark.parametrize(("call", "holds", "retry_after", "recorded"), RECORDED)
def test_every_refusal_has_the_verdict_that_was_recorded(
    call: str, holds: str, retry_after: str, recorded: str
) -> None:
    sign_in = "for cloud 5" if call == "sign-in" else None
    for body in BODIES[holds]:
        refusals = {
            status: error_for("GET", "/v2/x", status, {"Retry-After": retry_after}, body, sign_in=sign_in)
            for status in range(400, 600)
        }
        verdicts = {status: verdict(error, safe=call != "write") for status, error in refusals.items()}
        assert in_short(verdicts) == recorded


@pytest.mark.parametrize(
    ("error", "on_call", "on_write"),
    [
        (errors.DotyposConnectionError("x", sent=True), "RETRY", "ASK"),
        (errors.DotyposConnectionError("x", sent=False), "RETRY", "RETRY"),
        (errors.DotyposTlsError("x", sent=True), "FAIL", "ASK"),
        (errors.DotyposTlsError("x", sent=False), "FAIL", "FAIL"),
        (errors.DotyposAnswerTooLargeError("x"), "LATER", "ASK"),
        (errors.DotyposResponseError("x", reason=retry_table.NOT_JSON), "RETRY", "FAIL"),
        (errors.DotyposResponseError("x", reason=retry_table.REDIRECT, status=302), "FAIL", "FAIL"),
        (errors.DotyposResponseError("x"), "LATER", "FAIL"),
        (errors.DotyposUncertainWriteError("x", method="POST", path="/v2/x", status=401), "ASK", "ASK"),
        (errors.DotyposUnreadableAnswerError("x", method="POST", path="/v2/x", status=200), "FAIL", "FAIL"),
        (errors.DotyposTillError("x", reason=retry_table.SILENT), "LATER", "LATER"),
        (errors.DotyposPosActionError("x", action="order/pay", code=2004), "FAIL", "FAIL"),
        (errors.DotyposPosActionError("x", action="order/pay", reason=retry_table.PASSES), "LATER", "LATER"),
        (errors.DotyposMissingTokenError("x"), "FAIL", "FAIL"),
        (errors.DotyposBudgetError("x"), "LATER", "LATER"),
        (errors.DotyposBudgetError("x", reason=retry_table.TOO_MANY_TOGETHER), "FAIL", "FAIL"),
        (errors.DotyposWalkError("x"), "LATER", "LATER"),
        (errors.DotyposClockError("x"), "LATER", "LATER"),
        (errors.DotyposCancelledError("x"), "LATER", "LATER"),
        (of_database(retry_table.DATABASE_LOST), "RETRY", "RETRY"),
        (of_database(retry_table.DATABASE_BUSY), "RETRY", "RETRY"),
        (of_database(retry_table.DATABASE_REFUSED), "FAIL", "FAIL"),
        (of_database(None), "LATER", "LATER"),
    ],
    ids=repr,
)
def test_other_failures(error: DotyposError, on_call: str, on_write: str) -> None:
    assert (verdict(error).name, verdict(error, safe=False).name) == (on_call, on_write)
    assert error.permanent == (on_call in ("FAIL", "ASK"))
    assert error.passing == (on_call == "RETRY")


def test_every_error_of_the_package_has_a_row_and_every_row_an_error() -> None:
    rows = {named for named, *_ in retry_table._TABLE if isinstance(named, str)}
    assert rows <= {kind.__name__ for kind in every_kind()}
    for kind in every_kind():
        assert rows & {base.__name__ for base in kind.__mro__} - {"DotyposError"} or kind is DotyposError
        assert isinstance(verdict(example(kind)), Verdict)


def test_no_row_is_hidden_by_an_earlier_one() -> None:
    """The first row that fits counts: one for all reasons of a failure stands behind those for a single one."""
    kinds = {kind.__name__: kind for kind in every_kind()}
    rows = list(retry_table._TABLE)
    for (earlier, reason, *_), (later, *_) in itertools.combinations(rows, 2):
        if reason is None and isinstance(earlier, str) and isinstance(later, str):
            assert not issubclass(kinds[later], kinds[earlier]), (earlier, later)
        if reason is None and isinstance(earlier, int):
            assert earlier != later
