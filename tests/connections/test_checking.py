"""Many connections checked at once: whatever a server does, it costs its own connection's line alone."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Queue
from threading import Event
from typing import Any

import pytest

from airflow_provider_dotypos.api.access import Check
from airflow_provider_dotypos.api.check import CheckResult
from airflow_provider_dotypos.api.entities import Entity, entities
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.reading import Reader
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.connections import checking
from airflow_provider_dotypos.connections.checking import check_all, check_lists
from airflow_provider_dotypos.connections.stored import DATABASE, StoredConnection
from airflow_provider_dotypos.exceptions import DotyposCancelledError
from airflow_provider_dotypos.sandbox import Sandbox
from tests.connect.answering import answering
from tests.patience import PATIENCE

SECRET = "fa4e70cefa4e70ce"

#: What servers that are no Dotypos could answer to a sign-in.
HOSTILE = {
    "deep": b"[" * 200_000,
    "deep objects": b'{"accessToken":' * 100_000,
    "many digits": b'{"accessToken": ' + b"9" * 5_000 + b"}",
    "large": b'{"accessToken": 1e999}',
    "no utf-8": b'{"accessToken": "\xff\xfe"}',
    "a list": b"[1]",
    "empty": b"",
}


def new_connection(conn_id: str, host: str, **extra: object) -> StoredConnection:
    return StoredConnection(
        conn_id, DATABASE, None, None, host, None, {"refresh_token": SECRET, "cloud_id": 1, **extra}
    )


@pytest.fixture
def good(sandbox: Sandbox) -> StoredConnection:
    return new_connection("good", sandbox.url, refresh_token=sandbox.refresh_token, cloud_id=sandbox.cloud_ids[0])


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_answer_that_breaks_a_check_is_a_verdict(kind: str, good: StoredConnection) -> None:
    with answering(HOSTILE[kind]) as url:
        verdicts = check_all([new_connection("bad", url), good])

    assert verdicts["good"].works
    assert verdicts["bad"].state == "not working"


@pytest.mark.parametrize("date", [b"Thu, 01 Jan 99999 00:00:00 GMT", b"Mon, 32 Foo 2026 25:61:61 +9999", b"x" * 9000])
def test_headers_that_break_a_check_are_a_verdict(date: bytes, good: StoredConnection) -> None:
    with answering(b"{}", b"Date: " + date + b"\r\n") as url:
        verdicts = check_all([new_connection("bad", url), good])

    assert verdicts["good"].works
    assert not verdicts["bad"].works


@pytest.mark.parametrize(
    "extra",
    [
        {"timeout": 1e308},
        {"timeout": 10**400},
        {"max_concurrency": 10**30},
        {"refresh_token": {"a": 1}},
        {"cloud_id": [1]},
        {"cloud_id": "\ud800"},
    ],
    ids=lambda extra: next(iter(extra)),
)
def test_a_connection_that_breaks_a_check_is_a_verdict(
    extra: dict[str, object], good: StoredConnection, sandbox: Sandbox
) -> None:
    verdicts = check_all([new_connection("bad", sandbox.url, **extra), good])

    assert verdicts["good"].works
    assert not verdicts["bad"].works


def test_what_no_one_thought_of_is_a_verdict_too_and_is_logged_without_its_message(
    good: StoredConnection, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise OverflowError(f"cannot convert {SECRET}")

    monkeypatch.setattr("airflow_provider_dotypos.api.check._offer", fail)  # only the one without a cloud gets there
    with caplog.at_level(logging.DEBUG):
        verdicts = check_all(
            [new_connection("bad", sandbox.url, refresh_token=sandbox.refresh_token, cloud_id=None), good]
        )

    assert verdicts["good"].works
    assert "broke off (OverflowError)" in verdicts["bad"].message
    assert "OverflowError at test_checking.py:" in caplog.text
    assert SECRET not in caplog.text + verdicts["bad"].message


def test_a_server_that_hangs_holds_back_its_own_lines_alone(good: StoredConnection) -> None:
    with answering(None) as url:
        hanging = [new_connection(f"hangs_{number}", url, timeout=60) for number in range(40)]
        began = time.monotonic()
        verdicts = check_all([*hanging, good], patience=2.0)
        took = time.monotonic() - began

    assert verdicts["good"].works
    assert took < 30
    messages = [verdicts[bad.conn_id].message for bad in hanging]
    assert {message.partition(":")[0] for message in messages} == {"No verdict within 2 seconds", "Not checked"}


def test_a_check_that_nobody_waits_for_sends_nothing_more(
    sandbox: Sandbox, good: StoredConnection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def send(transport: Transport, request: Request) -> Answer:
        over.wait(PATIENCE)
        return sent(transport, request)

    def checked(*arguments: Any) -> CheckResult:
        result = check(*arguments)
        late.put(result)
        return result

    over, late, sent, check = Event(), Queue[CheckResult](), Transport.send, checking.check
    monkeypatch.setattr(Transport, "send", send)
    monkeypatch.setattr(checking, "check", checked)
    assert "No verdict" in check_all([good], patience=0.1)["good"].message
    over.set()
    assert not late.get(timeout=PATIENCE).works
    assert [request.path for request in sandbox.requests] == ["/v2/signin/token"]


def test_lists_that_hang_or_break_the_check_are_results(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def check(reader: Reader, entity: Entity) -> Check:
        if entity.name == "customers":
            raise OverflowError(f"cannot convert {SECRET}")
        if entity.name == "orders":
            over.wait(30)
            with suppress(DotyposCancelledError):
                reader.check_cloud()
                late.put("sent")
            late.put("ended")
        return Check(entity.name, "empty")

    over, late = Event(), Queue[str]()
    monkeypatch.setattr(checking, "check_list", check)
    extra = {"refresh_token": sandbox.refresh_token, "cloud_id": sandbox.cloud_ids[0]}
    results = check_lists(Settings.from_fields(host=sandbox.url, extra=extra), patience=0.5)
    over.set()
    assert late.get(timeout=PATIENCE) == "ended"  # and sends nothing more

    listed = [name for name, entity in entities().items() if entity.listed]
    assert [result.check for result in results] == listed
    odd = {result.check: (result.result, result.detail) for result in results if result.result != "empty"}
    assert odd == {
        "customers": ("failed", "The check broke off (OverflowError)."),
        "orders": ("unknown", "The server didn't answer in time."),
    }


@pytest.mark.parametrize("count", [0, 1, 3])
def test_everything_that_was_asked_about_is_answered(
    count: int, good: StoredConnection, replaced: Callable[..., StoredConnection]
) -> None:
    chosen = [replaced(good, f"good_{number}") for number in range(count)]
    verdicts = check_all(chosen)

    assert verdicts.keys() == {one.conn_id for one in chosen}
    assert all(verdict.works for verdict in verdicts.values())


@pytest.fixture
def replaced() -> Callable[[StoredConnection, str], StoredConnection]:
    return lambda one, conn_id: new_connection(conn_id, str(one.host), **one.extra)
