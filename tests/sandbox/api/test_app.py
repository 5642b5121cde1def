"""Paths, methods and ETags over HTTP.

Tests `sandbox/api/app`, `sandbox/api/calls`, `sandbox/api/state`.
"""

from __future__ import annotations

import socket

from airflow_provider_dotypos.sandbox import Behaviour, Sandbox
from tests.sandbox.conftest import Api, sign_in


def test_a_filter_must_be_encoded(sandbox: Sandbox, cloud: int) -> None:
    with socket.create_connection(("127.0.0.1", int(sandbox.url.rpartition(":")[2]))) as raw:
        token = sign_in(sandbox, cloud).json()["accessToken"]
        path = f"/v2/clouds/{cloud}/branches?filter=id|eq|1"
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
        assert b" 400 " in raw.recv(64)


def test_unknown_paths_and_methods(api: Api) -> None:
    assert (api("GET", "order").status_code, api("GET", "order").json()["reason"]) == (404, "NOT_FOUND")
    refused = api("DELETE", "orders/1")
    assert (refused.status_code, refused.headers["Allow"]) == (405, "GET, OPTIONS")
    assert api("PATCH", "products", json={}).status_code == 405
    assert api("OPTIONS", "tags").headers["Allow"] == "GET, POST, OPTIONS"


def test_etags_spare_unchanged_answers(api: Api, sandbox: Sandbox, cloud: int) -> None:
    first = api("GET", "branches")
    again = api("GET", "branches", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    one = api("GET", f"branches/{first.json()['data'][0]['id']}")
    assert one.headers["ETag"] != first.headers["ETag"]
    sandbox.shop.update(cloud, "branches", int(one.json()["id"]), {"name": "New"})
    assert api("GET", "branches", headers={"If-None-Match": first.headers["ETag"]}).status_code == 200


def test_behaviour_may_change_while_running(api: Api, sandbox: Sandbox) -> None:
    sandbox.behaviour = Behaviour(numbers="number")
    assert isinstance(api("GET", "branches").json()["data"][0]["id"], int)
