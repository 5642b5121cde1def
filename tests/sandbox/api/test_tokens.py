"""Signing in, and tokens: api/tokens, api/calls."""

from __future__ import annotations

import base64
import json

import pytest
import requests

from airflow_provider_dotypos.sandbox import Sandbox
from tests.patience import PATIENCE
from tests.sandbox.conftest import sign_in


def get(url: str, token: str | None = None) -> requests.Response:
    return requests.get(url, headers={"Authorization": f"Bearer {token}"} if token else {}, timeout=PATIENCE)


@pytest.mark.parametrize("form", [int, str])
def test_sign_in_takes_the_cloud_as_number_or_text(sandbox: Sandbox, cloud: int, form: type) -> None:
    answer = sign_in(sandbox, form(cloud))
    assert (answer.status_code, list(answer.json())) == (201, ["accessToken"])
    claims = answer.json()["accessToken"].split(".")[1]
    decoded = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert set(decoded) == {"sub", "iss", "iat", "exp"}
    assert decoded["exp"] - decoded["iat"] == 3600
    assert sandbox.sign_ins == 1


def test_a_wrong_refresh_token_and_a_foreign_cloud_look_alike(sandbox: Sandbox, cloud: int) -> None:
    for answer in (sign_in(sandbox, cloud, token="0" * 32), sign_in(sandbox, sandbox.foreign_cloud_id)):
        assert (answer.status_code, answer.json()["reason"]) == (401, "INVALID_REFRESH_TOKEN")
    assert sandbox.sign_ins == 0


def test_sign_in_wants_its_header_and_json(sandbox: Sandbox) -> None:
    url = f"{sandbox.url}/v2/signin/token"
    assert requests.post(url, json={}, timeout=PATIENCE).json()["reason"] == "INVALID_AUTH_HEADER"
    user = {"Authorization": f"User {sandbox.refresh_token}"}
    assert requests.post(url, data={"_cloudId": 1}, headers=user, timeout=PATIENCE).status_code == 415
    assert (
        requests.post(url, data="{", headers=user | {"Content-Type": "application/json"}, timeout=PATIENCE).status_code
        == 400
    )


def test_a_token_without_a_cloud_may_only_list_clouds(sandbox: Sandbox, cloud: int) -> None:
    token = sign_in(sandbox).json()["accessToken"]
    clouds = get(f"{sandbox.url}/v2/clouds", token)
    assert [int(row["id"]) for row in clouds.json()["data"]] == list(sandbox.cloud_ids)
    assert get(f"{sandbox.url}/v2/clouds/{cloud}", token).json()["reason"] == "CLOUD_FORBIDDEN"


def test_a_token_is_for_one_cloud(sandbox: Sandbox, cloud: int) -> None:
    token = sign_in(sandbox, cloud).json()["accessToken"]
    assert get(f"{sandbox.url}/v2/clouds/{cloud}", token).json()["id"] == str(cloud)
    for other in (sandbox.cloud_ids[1], sandbox.foreign_cloud_id):
        answer = get(f"{sandbox.url}/v2/clouds/{other}/orders", token)
        assert (answer.status_code, answer.json()["reason"]) == (403, "CLOUD_FORBIDDEN")
    assert get(f"{sandbox.url}/v2/clouds/5/orders", token).status_code == 404


def test_an_expired_token_is_403_not_401(sandbox: Sandbox, cloud: int) -> None:
    url = f"{sandbox.url}/v2/clouds/{cloud}/branches"
    token = sign_in(sandbox, cloud).json()["accessToken"]
    assert get(url, token).status_code == 200
    sandbox.expire_tokens()
    assert (get(url, token).status_code, get(url, token).json()["reason"]) == (403, "ACCESS_TOKEN_EXPIRED")
    sandbox.token_lifetime = 0.05
    token = sign_in(sandbox, cloud).json()["accessToken"]
    while (answer := get(url, token)).status_code == 200:
        continue
    assert answer.json()["reason"] == "ACCESS_TOKEN_EXPIRED"


def test_bad_tokens_and_missing_ones(sandbox: Sandbox, cloud: int) -> None:
    url = f"{sandbox.url}/v2/clouds/{cloud}/branches"
    token = sign_in(sandbox, cloud).json()["accessToken"]
    assert get(url).json()["reason"] == "INVALID_AUTH_HEADER"
    for bad in ("nonsense", "a.b.c", token[:-4] + "AAAA"):
        assert (get(url, bad).status_code, get(url, bad).json()["reason"]) == (403, "INVALID_ACCESS_TOKEN")
