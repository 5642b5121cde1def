"""The Test button's answers about a Dotypos in trouble (`api.check`); ``tests/ui`` has the rest in a real Airflow."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from airflow_provider_dotypos.api import check
from airflow_provider_dotypos.api.channel import forget_tokens
from airflow_provider_dotypos.api.errors import DotyposNotFoundError, DotyposPermissionError, Refusal
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.api.hostile import FLOODS, RawServer


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    """A sandbox that the default connection leads to, and a Test button without patience."""
    monkeypatch.setattr(check, "_PATIENCE", Patience(faults=0.1, throttling=0.1))
    with Sandbox() as sandbox:
        monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(sandbox.connection()))
        yield sandbox


@pytest.mark.parametrize(
    ("fault", "meaning"),
    [
        (Fault("500", times=99), "it fails; try again later"),
        (Fault("503", times=99), "it fails; try again later"),
        (Fault("502-html", times=99), "it fails; try again later"),
        (Fault("503", times=99, path="/clouds/"), "it fails; try again later"),
        (Fault("429", times=99, retry_after="3600"), "asks for fewer requests"),
        (Fault("redirect", times=99), "Check API base URL"),
        (Fault("html-200", times=99), "doesn't answer like Dotypos. "),
        (Fault("reset", times=99), "can't be reached"),
        (Fault("cut-json", times=99, path="/clouds/"), "doesn't answer like Dotypos"),
    ],
    ids=lambda given: f"{given.kind} {given.path}" if isinstance(given, Fault) else "",
)
def test_a_server_in_trouble_is_told_apart_from_a_wrong_one(sandbox: Sandbox, fault: Fault, meaning: str):
    sandbox.faults.append(fault)

    status, message = DotyposHook().test_connection()

    assert status is False
    assert meaning in message
    assert sandbox.refresh_token not in message


def test_a_hostile_server_fills_no_memory_of_the_one_who_tests_it(monkeypatch: pytest.MonkeyPatch):
    forget_tokens()
    with RawServer(FLOODS["body"]) as server:
        extra = {"refresh_token": "r" * 32, "cloud_id": 1}
        connection = {"conn_type": "dotypos", "host": server.url, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))
        status, message = DotyposHook().test_connection()

    assert status is False
    assert message.startswith("The server at API base URL doesn't answer like Dotypos")
    assert "larger than 4 MiB" in message


def test_a_passing_fault_does_not_fail_the_test(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check, "_PATIENCE", Patience(faults=4.0, throttling=8.0))
    sandbox.faults.append(Fault("reset"))

    assert DotyposHook().test_connection()[0] is True


def test_a_server_that_never_answers_is_given_up_long_before_the_timeout(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(check, "_LONGEST_ANSWER", 0.3)
    sandbox.faults.append(Fault("hang", times=99))
    started = time.monotonic()

    status, message = DotyposHook().test_connection()

    assert status is False
    assert "it took too long" in message
    assert time.monotonic() - started < 30


def test_the_hooks_own_cloud_takes_the_place_of_the_connections(sandbox: Sandbox):
    status, message = DotyposHook(cloud_id=sandbox.cloud_ids[1]).test_connection()

    assert status is True
    assert message.endswith(f"({sandbox.cloud_ids[1]})")


@pytest.mark.parametrize(
    "error",
    [
        DotyposNotFoundError(Refusal("GET", "/v2/clouds/5", 404), "There is no cloud 5: check Cloud ID."),
        DotyposPermissionError(Refusal("GET", "/v2/clouds/5", 403, "CLOUD_FORBIDDEN")),
    ],
    ids=["404", "403"],
)
def test_a_cloud_refused_after_sign_in_points_at_cloud_id(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, error: Exception
):
    def refuse(self: object) -> None:
        raise error

    monkeypatch.setattr(check.Reader, "check_cloud", refuse)

    status, message = DotyposHook().test_connection()

    assert status is False
    assert message.startswith("Signed in, but refused")
    assert "check Cloud ID" in message


def test_a_refused_fresh_token_does_not_lead_to_the_button_that_was_just_pressed(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
):
    sign_in = sandbox.tokens.sign_in

    def issue(refresh_token: str, cloud_id: int | None) -> str:
        token = sign_in(refresh_token, cloud_id)
        sandbox.tokens.expire()
        return token

    monkeypatch.setattr(sandbox.tokens, "sign_in", issue)

    status, message = DotyposHook().test_connection()

    assert status is False
    assert message.startswith("Signed in, but refused")
    assert "which usually passes: check again in a minute" in message
    assert "Test button" not in message


def test_a_refused_connection_is_not_told_as_a_timeout(monkeypatch: pytest.MonkeyPatch):
    with Sandbox() as sandbox:
        connection = sandbox.connection()
    monkeypatch.setattr(check, "_PATIENCE", Patience(faults=0.1, throttling=0.1))
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", json.dumps(connection))

    message = DotyposHook().test_connection()[1]

    assert "refused" in message
    assert "it took too long" not in message
