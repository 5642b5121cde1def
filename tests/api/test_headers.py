"""Headers that callers may set, and those that are the client's own."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos import exceptions as errors
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Sandbox
from tests.conftest import NewClient
from tests.transfers.conftest import connection  # noqa: F401 (a fixture)

OURS = [
    "Authorization",
    "Host",
    "Transfer-Encoding",
    "Content-Length",
    "Content-Encoding",
    "Connection",
    "Keep-Alive",
    "Cookie",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Expect",
    "TE",
    "Trailer",
    "Upgrade",
    "Accept-Encoding",
    "User-Agent",
]


@pytest.mark.parametrize("spell", [str, str.lower, str.upper])
@pytest.mark.parametrize("name", OURS)
def test_headers_of_the_connection_are_not_the_callers(
    sandbox: Sandbox, new_client: NewClient, name: str, spell: type[str]
) -> None:
    with pytest.raises(errors.DotyposInputError, match=f"headers must not set {name.title()}: "):
        new_client().call("GET", "branches", headers={spell(name): "x"}, decode=Answer.json)
    assert not sandbox.requests


def test_a_body_is_json_whatever_a_header_says(sandbox: Sandbox, new_client: NewClient) -> None:
    client = new_client()
    for value in ("text/plain", "application/x-www-form-urlencoded", "application/json-seq", ""):
        with pytest.raises(errors.DotyposInputError, match="a body is sent as JSON"):
            client.call("POST", "tags", json=[{}], headers={"content-type": value}, decode=Answer.json)
    assert not sandbox.requests
    for value in ("application/json", "Application/JSON; charset=UTF-8"):
        body = [{"name": value[-5:], "display": True}]
        client.call("POST", "tags", json=body, headers={"content-type": value}, decode=Answer.json)
        assert sandbox.requests[-1].headers["content-type"] == value


def test_a_header_given_twice_is_refused(sandbox: Sandbox, new_client: NewClient) -> None:
    with pytest.raises(errors.DotyposInputError, match="twice"):
        new_client().call("GET", "branches", headers={"If-Match": "a", "if-match": "b"}, decode=Answer.json)
    assert not sandbox.requests


@pytest.mark.usefixtures("connection")
def test_the_hooks_own_header_gives_way_to_the_callers(sandbox: Sandbox) -> None:
    hook = DotyposHook()
    hook.request("GET", "branches")
    assert sandbox.requests[-1].headers["allow-version"] == "BC1"
    hook.request("GET", "branches", headers={"allow-version": "BC2", "If-None-Match": '"x"'})
    assert sandbox.requests[-1].headers["allow-version"] == "BC2"
    assert sandbox.requests[-1].headers["if-none-match"] == '"x"'
    for headers in ("x", ["x"], 5):
        with pytest.raises(errors.DotyposInputError, match="headers must be a mapping"):
            hook.request("GET", "branches", headers=headers)  # type: ignore[arg-type]
    with pytest.raises(errors.DotyposInputError, match="method must be one of"):
        hook.request(None, "branches")  # type: ignore[arg-type]


@pytest.mark.usefixtures("connection")
def test_a_call_of_the_hook_may_keep_the_whole_answer(sandbox: Sandbox) -> None:
    row = sandbox.shop.rows(sandbox.cloud_ids[0], "branches")[0]
    found, etag = DotyposHook().request(
        "GET", f"branches/{row['id']}", decode=lambda answer: (answer.json(), answer.headers.get("ETag"))
    )
    assert found["id"] == str(row["id"])
    assert etag
