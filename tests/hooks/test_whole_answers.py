"""``hook.call``: status, headers and body of any call (`hooks/dotypos.py`)."""

from __future__ import annotations

import pytest

from airflow_provider_dotypos.exceptions import DotyposPreconditionError, DotyposUncertainWriteError
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from tests.transfers.conftest import connection as connection
from tests.writes.planned import product

pytestmark = pytest.mark.usefixtures("connection")


@pytest.fixture
def path(sandbox: Sandbox) -> str:
    return f"products/{product(sandbox, name='Tea')}"


def test_the_etag_of_a_row_lets_it_be_changed_once(sandbox: Sandbox, path: str) -> None:
    hook = DotyposHook()
    read = hook.call("GET", path)
    assert (read.status, read.json()["name"]) == (200, "Tea")  # type: ignore[index]
    assert b'"Tea"' in read.body
    changed = hook.call("PATCH", path, json={"name": "Green tea"}, headers={"If-Match": read.headers["etag"]})
    assert changed.headers["ETag"] != read.headers["ETAG"]
    with pytest.raises(DotyposPreconditionError) as caught:
        hook.call("PATCH", path, json={"name": "Other"}, headers={"If-Match": read.headers["ETag"]})
    assert caught.value.connection == "dotypos_default"
    assert sandbox.shop.rows(sandbox.cloud_ids[0], "products")[0]["name"] == "Green tea"


def test_an_answer_without_a_body_and_one_that_is_no_json_are_answers(sandbox: Sandbox, path: str) -> None:
    hook = DotyposHook()
    fresh = hook.call("GET", path)
    unchanged = hook.call("GET", path, headers={"If-None-Match": fresh.headers["ETag"]})
    assert (unchanged.status, unchanged.body, unchanged.json()) == (304, b"", None)
    assert hook.call("GET", "branches", params={"limit": 1}).json()["data"]  # type: ignore[index]
    sandbox.faults.append(Fault("html-200", path=path))
    assert hook.call("GET", path).body.startswith(b"<html>")


def test_a_lost_write_is_uncertain_and_not_repeated(sandbox: Sandbox, path: str) -> None:
    sandbox.faults.append(Fault("reset", when="after", method="DELETE"))
    with pytest.raises(DotyposUncertainWriteError):
        DotyposHook().call("DELETE", path)
    assert len(sandbox.writes) == 1
