"""Faults around writes: before the API has them, after it has carried them out, and late; the log of writes.

Tests `sandbox/door`, `sandbox/faults`, `sandbox/server`, `sandbox/api/state`.
"""

from __future__ import annotations

import contextlib

import pytest
import requests

from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.sandbox.faults import KINDS
from tests.patience import PATIENCE
from tests.sandbox.conftest import Api


@pytest.fixture
def table(sandbox: Sandbox, cloud: int) -> str:
    id = sandbox.shop.insert(cloud, "taxes", {"name": "before", "value": 12.5})["id"]
    return f"taxes/{id}"


def patch(api: Api, path: str, name: str, tag: str | None = None) -> int:
    """Change a name; return the status of the answer, 0 if there was none that could be read."""
    headers = {"If-Match": tag or api("GET", path).headers["ETag"]}
    with contextlib.suppress(requests.RequestException, ValueError):  # what a lost answer is to requests
        answer = api("PATCH", path, json={"name": name}, headers=headers, timeout=0.3, allow_redirects=False)
        if answer.status_code != 200 or answer.json()["name"]:
            return answer.status_code
    return 0


#: The kinds of faults that may meet a write, with those that are failures of an answer alone.
BROKEN = [kind for kind in KINDS if kind not in ("drip", "empty", "emptied", "html-200")]


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_write_is_carried_out_or_not(
    api: Api, sandbox: Sandbox, cloud: int, table: str, kind: str, when: str
) -> None:
    tag = api("GET", table).headers["ETag"]
    sandbox.faults.append(Fault(kind, when=when, method="PATCH"))
    assert patch(api, table, "after", tag) != 200
    done = when == "after"
    assert api("GET", table).json()["name"] == ("after" if done else "before")
    assert [(w.method, w.op, w.entity, w.fields, w.lost, w.late) for w in sandbox.writes] == [
        ("PATCH", "update", "taxes", {"name": "after"}, True, False)
    ] * done


def test_damages_come_after_unless_they_say_so(api: Api, sandbox: Sandbox, table: str) -> None:
    assert [Fault(kind).when for kind in ("cut-json", "reset-body", "drip", "reset", "500")] == [
        *["after"] * 3,
        *["before"] * 2,
    ]
    for wrong in (
        {"kind": "drip", "when": "before"},
        {"kind": "500", "when": "soon"},
        {"kind": "500", "seconds": -1},
        {"kind": "500", "probability": 1.1},
    ):
        with pytest.raises(ValueError, match="must be"):
            Fault(**wrong)


def test_a_late_write_lets_other_calls_pass(api: Api, sandbox: Sandbox, table: str) -> None:
    tag = api("GET", table).headers["ETag"]
    sandbox.faults.append(Fault("reset", when="late", method="PATCH", calls=2))
    assert patch(api, table, "late", tag) == 0
    assert [api("GET", table).json()["name"] for _ in range(3)] == ["before", "before", "late"]
    (write,) = sandbox.writes
    assert (write.lost, write.late) == (True, True)


def test_a_late_write_waits_for_the_shops_clock(api: Api, sandbox: Sandbox, table: str) -> None:
    sandbox.shop.ticking = False
    tag = api("GET", table).headers["ETag"]
    sandbox.faults.append(Fault("504", when="late", method="PATCH", seconds=60))
    assert patch(api, table, "late", tag) == 504
    assert api("GET", table).json()["name"] == "before"
    sandbox.shop.advance(60)
    assert api("GET", table).json()["name"] == "late"


def test_a_late_write_is_refused_once_the_row_has_changed(api: Api, sandbox: Sandbox, table: str) -> None:
    tag = api("GET", table).headers["ETag"]
    sandbox.faults.append(Fault("hang", when="late", method="PATCH"))
    assert patch(api, table, "late", tag) == 0
    sandbox.shop.update(sandbox.cloud_ids[0], "taxes", int(table.split("/")[1]), {"name": "till"})
    sandbox.carry_out_late_requests()
    assert (api("GET", table).json()["name"], sandbox.writes, sandbox.late) == ("till", [], [])


def test_late_requests_can_be_carried_out_at_once(api: Api, sandbox: Sandbox, table: str) -> None:
    sandbox.faults.append(Fault("closed", when="late", method="PATCH", calls=99))
    assert patch(api, table, "late") == 0
    url = f"{sandbox.url}/_sandbox"
    assert requests.get(url, timeout=PATIENCE).json()["late"] == [
        {"method": "PATCH", "path": f"/v2/clouds/{sandbox.cloud_ids[0]}/{table}"}
    ]
    (write,) = requests.post(f"{url}/late", json={}, timeout=PATIENCE).json()
    assert (write["entity"], write["fields"], write["late"]) == ("taxes", {"name": "late"}, True)
    assert requests.get(f"{url}/writes", timeout=PATIENCE).json() == [write]


def test_a_fault_strikes_by_chance_the_same_for_the_same_seed() -> None:
    def strikes(seed: int) -> list[bool]:
        fault = Fault("503", probability=0.3, seed=seed, times=10**6)
        return [fault.strikes("GET", "/branches") for _ in range(100)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 10 <= strikes(1).count(True) <= 50


def test_the_log_of_writes_has_a_line_for_each_row(api: Api, sandbox: Sandbox, cloud: int) -> None:
    names = ["a", "b"]
    created = api("POST", "tags", json=[{"name": name, "display": True} for name in names]).json()
    (tax,) = api("POST", "taxes", json=[{"name": "x", "value": 3, "flags": 0}]).json()
    api("DELETE", f"taxes/{tax['id']}")
    api("DELETE", f"taxes/{tax['id']}")  # it is deleted already
    api("POST", "tags", json=[{"name": "a", "display": True}])  # it exists
    sandbox.shop.update(cloud, "tags", int(created[0]["id"]), {"display": False})  # as a till does
    assert [(w.op, w.entity, w.id, w.fields.get("name")) for w in sandbox.writes] == [
        ("create", "tags", int(created[0]["id"]), "a"),
        ("create", "tags", int(created[1]["id"]), "b"),
        ("create", "taxes", int(tax["id"]), "x"),
        ("delete", "taxes", int(tax["id"]), None),
    ]
    assert {(w.lost, w.late) for w in sandbox.writes} == {(False, False)}
