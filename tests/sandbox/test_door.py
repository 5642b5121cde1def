"""Failures on purpose, and the log of requests.

Tests `sandbox/door`, `sandbox/faults`.
"""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime

import pytest
import requests

from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.sandbox.conftest import Api


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("429", 429),
        ("500", 500),
        ("502-html", 502),
        ("503", 503),
        ("html-200", 200),
        ("redirect", 302),
        ("403-html", 403),
        ("404-empty", 404),
    ],
)
def test_faults_that_answer(api: Api, sandbox: Sandbox, kind: str, status: int) -> None:
    sandbox.faults.append(Fault(kind, retry_after="7"))
    answer = api("GET", "branches", allow_redirects=False)
    assert (answer.status_code, answer.headers["Retry-After"]) == (status, "7")
    assert api("GET", "branches").status_code == 200


@pytest.mark.parametrize("kind", ["reset", "reset-body", "short-body"])
def test_faults_that_break_the_connection(api: Api, sandbox: Sandbox, kind: str) -> None:
    sandbox.faults.append(Fault(kind))
    with pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        api("GET", "branches")
    assert api("GET", "branches").status_code == 200


@pytest.mark.parametrize("path", ["branches", "orders"])
def test_json_that_is_cut_off(api: Api, sandbox: Sandbox, path: str) -> None:
    sandbox.faults.append(Fault("cut-json"))
    answer = api("GET", path)
    assert answer.status_code == 200
    assert len(answer.content) == int(answer.headers["Content-Length"])
    with pytest.raises(ValueError):  # noqa: PT011
        answer.json()


def test_a_dripping_answer_arrives_in_the_end(api: Api, sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("drip", interval=0.0005))
    assert api("GET", "branches").json()["data"]


def test_a_hanging_request(api: Api, sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("hang"))
    with pytest.raises(requests.ReadTimeout):
        api("GET", "branches", timeout=0.1)


@pytest.mark.parametrize(("kind", "total"), [("empty", "0"), ("emptied", "3")])
def test_faults_that_take_a_lists_rows_away(api: Api, sandbox: Sandbox, kind: str, total: str) -> None:
    for _ in range(3):
        sandbox.shop.insert(sandbox.cloud_ids[0], "tables", {})
    sandbox.faults.append(Fault(kind, path="/tables"))
    found = api("GET", "tables").json()
    assert (found["data"], found["totalItemsOnPage"], found["totalItemsCount"]) == ([], "0", total)
    assert len(api("GET", "tables").json()["data"]) == 3


def test_faults_choose_their_requests(api: Api, sandbox: Sandbox) -> None:
    sandbox.faults.append(Fault("503", path="/branches", method="GET", skip=1, times=2))
    assert api("GET", "taxes").status_code == 200
    assert [api("GET", "branches").status_code for _ in range(4)] == [200, 503, 503, 200]


def test_the_log_tells_what_was_asked(api: Api, sandbox: Sandbox, cloud: int) -> None:
    api("GET", "taxes", params={"filter": "name|like|%", "limit": 5})
    sandbox.faults.append(Fault("reset"))
    with pytest.raises(requests.ConnectionError):
        api("GET", "taxes")
    signed_in, listed, broken = sandbox.requests
    assert (signed_in.method, signed_in.status) == ("POST", 201)
    assert listed.path == f"/v2/clouds/{cloud}/taxes"
    assert listed.query == {"filter": "name|like|%", "limit": "5"}
    assert listed.headers["accept-encoding"]
    assert broken.status == 0


def test_latency_and_a_wrong_date(api: Api, sandbox: Sandbox) -> None:
    sandbox.latency, sandbox.date_offset = 0.05, 3600
    started = time.time()
    answer = api("GET", "taxes")
    assert time.time() - started > 0.05
    assert 3500 < parsedate_to_datetime(answer.headers["Date"]).timestamp() - started < 3700
