"""Errors that leave the hook show in the log of a DAG author's own function.

Tests `hooks.dotypos`, `hooks.part`, `hooks.connection`.
"""

from __future__ import annotations

import json
import os
import re
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from airflow.sdk import Connection
from airflow.sdk.definitions._internal import contextmanager
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse, GetVariable, PutVariable, VariableResult

from airflow_provider_dotypos import _airflow
from airflow_provider_dotypos.api import channel, spending
from airflow_provider_dotypos.exceptions import (
    DotyposAuthenticationError,
    DotyposConfigurationError,
    DotyposError,
    DotyposInputError,
)
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Sandbox


def _is_held(lock: Any) -> bool:
    """Return whether a thread holds a lock: another one can't take it."""

    def take() -> bool:
        taken: bool = lock.acquire(blocking=False)
        if taken:
            lock.release()
        return taken

    with ThreadPoolExecutor(1) as other:
        return not other.submit(take).result()


class Supervisor:
    """A task's line to its supervisor, and the Variables behind it."""

    def __init__(self) -> None:
        self.variables: dict[str, str] = {}
        self.away = False
        self.asked_alone: list[bool] = []

    def send(self, question: Any) -> Any:
        self.asked_alone.append(_is_held(_airflow.asking))
        if self.away:
            return ErrorResponse(error=ErrorType.API_SERVER_ERROR)
        if isinstance(question, PutVariable):
            self.variables[question.key] = str(question.value)
            return None
        assert isinstance(question, GetVariable)
        if question.key not in self.variables:
            return ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND)
        return VariableResult(key=question.key, value=self.variables[question.key])


WINDOW = {"since": "2026-01-01T00:00:00Z", "until": "2026-01-02T00:00:00Z"}

DOORS: dict[str, Callable[[DotyposHook], object]] = {
    "request": lambda hook: hook.request("GET", "branches"),
    "get": lambda hook: hook.get("branches", 1),
    "rows": lambda hook: next(hook.rows("branches")),
    "changes": lambda hook: next(hook.changes("orders", **WINDOW)),  # type: ignore[arg-type]
    "clouds": lambda hook: hook.clouds(),
}


def error_of(call: Callable[[DotyposHook], object]) -> DotyposError:
    with pytest.raises(DotyposError) as caught:
        call(DotyposHook("shop_7"))
    return caught.value


@pytest.mark.parametrize("door", DOORS)
def test_an_error_names_its_connection_and_shows_few_frames(
    door: str, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = sandbox.connection()
    stored["extra"]["refresh_token"] = "0123456789abcdef" * 2
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_7", json.dumps(stored))
    error = error_of(DOORS[door])
    assert isinstance(error, DotyposAuthenticationError)
    assert (error.connection, error.reason) == ("shop_7", "INVALID_REFRESH_TOKEN")
    assert str(error).endswith(" (connection 'shop_7')")
    assert len(traceback.extract_tb(error.__traceback__)) <= 6
    assert error.__suppress_context__
    assert isinstance(error.__context__, DotyposAuthenticationError)


@pytest.mark.parametrize("door", DOORS)
def test_so_does_one_before_anything_is_sent(door: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_7", json.dumps({"conn_type": "dotypos"}))
    error = error_of(DOORS[door])
    assert isinstance(error, DotyposConfigurationError)
    assert error.connection == "shop_7"


def test_what_is_asked_wrongly_is_told_before_the_first_row_is_asked_for() -> None:
    error = error_of(lambda hook: hook.changes("orders", since="2026-01-02T00:00:00Z", until="2026-01-01T00:00:00Z"))
    assert isinstance(error, DotyposInputError)
    assert error.connection == "shop_7"


def test_a_connection_in_place_of_its_id_is_not_shown() -> None:
    connection = Connection(conn_id="shop_7", conn_type="dotypos", password="s3cret", extra='{"refresh_token": "t0k"}')
    with pytest.raises(DotyposInputError, match=r"dotypos_conn_id must be the id .* type Connection$") as caught:
        DotyposHook(connection).clouds()  # type: ignore[arg-type]
    assert "s3cret" not in str(caught.value)
    assert "t0k" not in str(caught.value)


@pytest.fixture
def supervisor(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    supervisor = Supervisor()
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", supervisor, raising=False)
    return supervisor


def test_tasks_keep_the_ledger_of_a_budget_in_a_variable_and_others_count_for_themselves(
    sandbox: Sandbox, supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = sandbox.connection(sandbox.cloud_ids[0])
    stored["extra"]["request_budget"] = "150/30min"
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_7", json.dumps(stored))
    monkeypatch.setattr(spending, "_SETTLE", 0.01)
    list(DotyposHook("shop_7").rows("branches"))
    assert not supervisor.variables
    channel.forget_tokens()
    monkeypatch.setattr(contextmanager, "_CURRENT_CONTEXT", [{}])
    with closing(DotyposHook("shop_7")) as hook:
        list(hook.rows("branches"))
    (name,), (text,) = supervisor.variables, supervisor.variables.values()
    assert re.fullmatch("dotypos_request_budget_[0-9a-f]{16}", name)
    assert sum(requests for requests, _ in json.loads(text).values()) == 2
    assert sandbox.refresh_token not in name + text
    stored["extra"]["request_budget"] = "30/30min each"
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_7", json.dumps(stored))
    list(DotyposHook("shop_7").rows("branches"))
    assert supervisor.variables == {name: text}


def test_one_thread_at_a_time_asks_the_supervisor_for_the_ledger_or_anything_else(supervisor: Supervisor) -> None:
    register = _airflow.VariableRegister("0" * 16)
    register.write("{}")
    register.read()
    assert supervisor.asked_alone == [True, True]


def test_a_forked_child_can_ask_although_another_thread_of_its_parent_was_asking() -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(_airflow.asking.acquire).result()
        child = os.fork()
        if not child:
            os._exit(not _airflow.asking.acquire(blocking=False))
        other.submit(_airflow.asking.release).result()
    assert os.waitpid(child, 0)[1] == 0


def test_a_variable_that_can_not_be_read_is_not_an_empty_ledger(supervisor: Supervisor) -> None:
    register = _airflow.VariableRegister("0" * 16)
    assert register.read() is None
    register.write("{}")
    assert register.read() == "{}"
    supervisor.away = True
    with pytest.raises(RuntimeError):
        register.read()
