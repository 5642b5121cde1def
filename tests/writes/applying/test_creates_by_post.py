"""Creates by POST, settled by key (`writes/applying/creates_by_post.py`)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.exceptions import DotyposPermissionError, DotyposSideEffectError, DotyposWritesFailedError
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.storage.store import Store
from airflow_provider_dotypos.writes.applying.applying import apply_plan
from airflow_provider_dotypos.writes.applying.creates_by_post import PostTimes
from airflow_provider_dotypos.writes.applying.options import ApplyOptions
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.plan_file import Plan
from tests.conftest import NewClient
from tests.writes.planned import sleep_by_the_shops_clock
from tests.writes.plans import Plans, report_of

BY_POST = ApplyOptions(create="post")

#: How long a request of the test's client may take, and until a write shows.
TIMEOUT, SETTLE = 5.0, 60.0


@pytest.fixture
def plans(sandbox: Sandbox, tmp_path: Path) -> Iterator[Plans]:
    with ExitStack() as stack:
        yield Plans(tmp_path, sandbox, stack)


@pytest.fixture
def slept(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return sleep_by_the_shops_clock(sandbox, monkeypatch)


@pytest.fixture
def client(new_client: NewClient, slept: list[float]) -> DotyposClient:
    client = new_client()
    client.sign_in()
    return client


def group(row: int, **fields: Any) -> PlannedRow:
    after = {"name": f"Group {row}", "externalId": f"g-{row}", "discountPercent": "5", "display": True, **fields}
    return PlannedRow("create", (after["externalId"],), row, after=after)


@pytest.fixture
def groups(plans: Plans) -> Plan:
    return plans(*map(group, range(1, 8)), entity="discount-groups", match=("externalId",))


def names(sandbox: Sandbox) -> list[str]:
    return sorted(row["name"] for row in sandbox.shop.rows(sandbox.cloud_ids[0], "discount-groups"))


ALL = [f"Group {row}" for row in range(1, 8)]


def test_the_first_row_goes_alone_and_the_others_by_lists(
    sandbox: Sandbox, client: DotyposClient, groups: Plan
) -> None:
    sandbox.requests.clear()
    assert apply_plan(client, groups, BY_POST).counts == {"applied": 7}
    assert names(sandbox) == ALL
    assert [request.method for request in sandbox.requests].count("POST") == 2


def test_the_same_plan_again_creates_nothing(sandbox: Sandbox, client: DotyposClient, groups: Plan) -> None:
    apply_plan(client, groups, BY_POST)
    assert apply_plan(client, groups, BY_POST).counts == {"applied": 7}
    assert len(sandbox.writes) == 7


@pytest.mark.parametrize(
    ("kind", "when"),
    [
        ("reset", "before"),
        ("503", "before"),
        ("reset", "after"),
        ("500", "after"),
        ("cut-json", "after"),
        ("404-empty", "after"),
    ],
)
@pytest.mark.parametrize("skip", [0, 1])
def test_a_lost_answer_is_settled_by_key(
    sandbox: Sandbox, client: DotyposClient, groups: Plan, kind: str, when: str, skip: int
) -> None:
    sandbox.behaviour = Behaviour(commit_lag=10.0)
    sandbox.faults.append(Fault(kind, method="POST", path="/discount-groups", when=when, skip=skip))
    assert apply_plan(client, groups, BY_POST).counts == {"applied": 7}
    assert names(sandbox) == ALL


def test_a_row_whose_answers_never_come_is_uncertain(sandbox: Sandbox, client: DotyposClient, groups: Plan) -> None:
    sandbox.faults.append(Fault("reset", method="POST", path="/discount-groups", times=100))
    with pytest.raises(DotyposWritesFailedError, match="7 uncertain"):
        apply_plan(client, groups, BY_POST)


@pytest.mark.parametrize("refused_lists", ["whole", "partly"])
def test_a_refused_row_keeps_no_other_from_being_created(
    sandbox: Sandbox, client: DotyposClient, plans: Plans, refused_lists: str
) -> None:
    sandbox.behaviour = Behaviour(refused_lists=refused_lists)
    rows = [group(row, **({"discountPercent": "500"} if row == 5 else {})) for row in range(1, 8)]
    plan = plans(*rows, entity="discount-groups", match=("externalId",))
    counts = apply_plan(client, plan, ApplyOptions(create="post", fail_on="none")).counts
    assert counts == {"applied": 6, "rejected": 1}
    assert report_of(plan)[1][4]["fields"] == ["discountPercent"]
    assert names(sandbox) == [name for name in ALL if name != "Group 5"]


def test_a_tag_that_exists_already_is_no_second_one(sandbox: Sandbox, client: DotyposClient, plans: Plans) -> None:
    rows = [
        PlannedRow("create", (name,), row, after={"name": name, "display": True})
        for row, name in enumerate(("hot", "cold"), 1)
    ]
    sandbox.shop.insert(sandbox.cloud_ids[0], "tags", {"name": "cold", "display": True})
    counts = apply_plan(client, plans(*rows, entity="tags", match=("name",)), BY_POST).counts
    assert counts == {"applied": 1, "already": 1}
    assert len(sandbox.shop.rows(sandbox.cloud_ids[0], "tags")) == 2


def test_a_key_that_several_rows_have_is_a_conflict(sandbox: Sandbox, client: DotyposClient, groups: Plan) -> None:
    for _ in range(2):
        sandbox.shop.insert(sandbox.cloud_ids[0], "discount-groups", {"name": "x", "externalId": "g-3"})
    with pytest.raises(DotyposWritesFailedError, match="1 conflict"):
        apply_plan(client, groups, BY_POST)


def test_a_field_that_is_not_taken_stops_after_one_row(sandbox: Sandbox, client: DotyposClient, plans: Plans) -> None:
    sandbox.behaviour = Behaviour(read_only_fields="ignored")
    rows = [group(row, versionDate="2026-01-15T12:00:00.000Z") for row in range(1, 4)]
    with pytest.raises(DotyposSideEffectError, match="versionDate isn't as planned"):
        apply_plan(client, plans(*rows, entity="discount-groups", match=("externalId",)), BY_POST)
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize("anew", [False, True])
def test_a_later_attempt_waits_until_the_last_post_shows(
    sandbox: Sandbox,
    client: DotyposClient,
    groups: Plan,
    plans: Plans,
    slept: list[float],
    monkeypatch: pytest.MonkeyPatch,
    anew: bool,
) -> None:
    sandbox.behaviour = Behaviour(commit_lag=10.0)
    lost = Fault("reset", method="POST", path="/discount-groups", when="after", skip=1)
    sandbox.faults.append(lost)
    send = Transport.send

    def then_forbidden(self: Transport, request: Request) -> Answer:
        if not lost.times and len(sandbox.faults) == 1:
            sandbox.faults.append(Fault("403-empty", method="GET", times=1000))
        return send(self, request)

    monkeypatch.setattr(Transport, "send", then_forbidden)
    with pytest.raises(DotyposPermissionError):
        apply_plan(client, groups, BY_POST)
    assert {row["status"] for row in report_of(groups)[1]} == {"applied", "uncertain"}
    monkeypatch.setattr(Transport, "send", send)
    sandbox.faults.clear()
    slept.clear()
    later = plans(*groups.rows(), entity="discount-groups", match=("externalId",)) if anew else groups
    assert set(apply_plan(client, later, BY_POST).counts) <= {"applied", "already"}
    assert slept[0] > SETTLE
    assert names(sandbox) == ALL


def test_the_time_of_a_post_is_kept_beside_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = PostTimes(Store(ObjectStoragePath(f"file://{tmp_path}")), "posted")
    assert times.seconds_left(SETTLE, TIMEOUT) == 0
    times.note()
    now = time.time()
    assert SETTLE < times.seconds_left(SETTLE, TIMEOUT) <= SETTLE + TIMEOUT
    monkeypatch.setattr(time, "time", lambda: now + 100)
    assert times.seconds_left(SETTLE, TIMEOUT) == 0
    (tmp_path / "posted").write_text("")
    assert times.seconds_left(SETTLE, TIMEOUT) == SETTLE + TIMEOUT
