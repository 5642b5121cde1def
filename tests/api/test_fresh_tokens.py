"""A fresh token that is refused once more: by a node that doesn't know it yet, or because it has just died."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api import auth
from airflow_provider_dotypos.api.auth import AccessToken, Tokens
from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.retry import Patience
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.api.drivers import DRIVERS
from tests.api.flows import renew, replace
from tests.api.test_auth import jwt
from tests.conftest import NewClient
from tests.sleeping import retry_soon

#: Whatever the jitter and the machine's load.
PATIENT = Patience(1e6, 1e6)


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> object:
    return DRIVERS[request.param]


def get(client: DotyposClient) -> object:
    return client.call("GET", "branches", decode=Answer.json)


class Clock:
    """Stands in for the module's clock."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


def refuse_first(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Have a sandbox refuse the tokens of its first sign-ins as expired."""
    sign_in = sandbox.tokens.sign_in

    def issue(refresh_token: str, cloud_id: int | None) -> str:
        token = sign_in(refresh_token, cloud_id)
        if sandbox.sign_ins < count:
            sandbox.tokens.expire()
        return token

    monkeypatch.setattr(sandbox.tokens, "sign_in", issue)


@pytest.mark.parametrize("refused", [1, 2, 3])
def test_tokens_that_die_at_once_are_replaced_within_the_patience(
    sandbox: Sandbox, new_client: NewClient, monkeypatch: pytest.MonkeyPatch, refused: int
) -> None:
    retry_soon(monkeypatch)
    refuse_first(sandbox, monkeypatch, refused)
    assert get(new_client(PATIENT))
    assert sandbox.sign_ins == refused + 1


@pytest.mark.parametrize("kind", ["401-empty", "401-html", "403-empty", "403-html"])
def test_a_refusal_without_a_reason_passes(sandbox: Sandbox, new_client: NewClient, kind: str) -> None:
    sandbox.faults.append(Fault(kind, path="branches", times=3))
    assert get(new_client(PATIENT))
    assert sandbox.sign_ins <= 3


@pytest.mark.parametrize("kind", ["401-empty", "403-empty"])
def test_one_that_goes_on_is_not_taken_for_a_dead_refresh_token(
    sandbox: Sandbox, new_client: NewClient, kind: str
) -> None:
    sandbox.faults.append(Fault(kind, path="branches", times=1000))
    with pytest.raises(errors.DotyposApiError, match="gave up after") as caught:
        get(new_client(Patience(1, 1)))
    assert caught.value.status == int(kind[:3])
    assert not caught.value.permanent
    assert "Refresh Token" not in str(caught.value)


@pytest.mark.parametrize("reason", ["CLOUD_FORBIDDEN", "ACCESS_DENIED", "LICENSE_UPGRADE_REQUIRED", None])
def test_a_refusal_with_a_reason_is_final_at_once(
    sandbox: Sandbox, new_client: NewClient, monkeypatch: pytest.MonkeyPatch, reason: str | None
) -> None:
    from airflow_provider_dotypos.sandbox.errors import RefusedError

    client = new_client(PATIENT)
    get(client)

    def refuse(token: str) -> None:
        raise RefusedError(403, reason, "no")

    monkeypatch.setattr(sandbox.tokens, "check", refuse)
    sandbox.requests.clear()
    with pytest.raises(errors.DotyposPermissionError) as caught:
        get(client)
    assert caught.value.permanent
    assert len(sandbox.requests) == 1


def test_a_token_that_is_really_dead_dies_at_the_sign_in_at_once(sandbox: Sandbox, new_client: NewClient) -> None:
    client = new_client(PATIENT)
    get(client)
    sandbox.expire_tokens()
    sandbox.tokens.refresh.clear()
    sandbox.requests.clear()
    with pytest.raises(errors.DotyposAuthenticationError, match="This was the sign-in") as caught:
        get(client)
    assert caught.value.permanent
    assert [request.status for request in sandbox.requests] == [403, 401]


def test_many_threads_refused_for_long_are_no_storm_of_sign_ins(
    sandbox: Sandbox, new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    refuse_first(sandbox, monkeypatch, 10**6)
    client = new_client(Patience(4, 4), max_concurrency=16)

    def one(_: int) -> None:
        with pytest.raises(errors.DotyposPermissionError):
            get(client)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, range(16)))
    assert len(sandbox.requests) > 32
    assert sandbox.sign_ins <= 5  # at 0, 0, 1, 3 and 7 s


def test_the_pause_between_replacements_doubles_and_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(auth, "time", clock)
    tokens = Tokens()
    token = renew(tokens, lambda: jwt({}))
    replaced: list[float] = []
    while clock.now < 130:
        fresh = replace(tokens, token, lambda: jwt({}))
        if fresh is not token:
            replaced.append(clock.now)
        token = fresh
        clock.now += 0.5
    assert replaced == [0, 1, 3, 7, 15, 31, 61, 91, 121]
    clock.now = 1000.0
    assert replace(tokens, token, lambda: jwt({})) is not token


def test_of_many_refused_at_once_only_one_lengthens_the_pause() -> None:
    source = Tokens()
    sign_ins: list[int] = []

    def sign_in() -> str:
        sign_ins.append(1)
        return jwt({"n": len(sign_ins)})

    refused = renew(source, sign_in)
    barrier = threading.Barrier(16)

    def one(_: int) -> AccessToken:
        barrier.wait()
        return replace(source, refused, sign_in)

    with ThreadPoolExecutor(16) as pool:
        tokens = set(pool.map(one, range(16)))
    assert (len(sign_ins), len(tokens), source._pause) == (2, 1, 1.0)


def test_the_test_button_does_not_blame_the_refresh_token_for_it(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_provider_dotypos.api import check
    from airflow_provider_dotypos.hooks.dotypos import DotyposHook

    monkeypatch.setattr(check, "_PATIENCE", Patience(0.1, 0.1))
    monkeypatch.setenv("AIRFLOW_CONN_DOTYPOS_DEFAULT", msgspec.json.encode(sandbox.connection()).decode())
    for kind in ("401-empty", "403-empty"):
        sandbox.faults[:] = [Fault(kind, path="/clouds", times=1000)]
        works, message = DotyposHook().test_connection()
        assert not works
        assert message.startswith("Signed in, but refused")
