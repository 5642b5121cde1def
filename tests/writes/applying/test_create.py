"""One row created under an id of ours (`writes/applying/create.py`)."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.exceptions import DotyposApiError, DotyposPlanError
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.writes.applying.course import Course
from airflow_provider_dotypos.writes.applying.create import create
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict
from tests.api.flows import Played, answer
from tests.conftest import NewClient
from tests.writes.planned import create_of, edit, row_of, sleep_by_the_shops_clock

ID = 7_000_000_000_000_005
GROUPS = find_entity("discount-groups")
AFTER = {"name": "Regulars", "externalId": "r-1", "discountPercent": "5", "display": True}

OPEN = [
    *((kind, "before") for kind in ("reset", "500", "502-html", "403-empty")),
    *((kind, "after") for kind in ("reset", "500", "503", "403-empty", "404-empty", "cut-json", "short-body")),
]


@pytest.fixture
def slept(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return sleep_by_the_shops_clock(sandbox, monkeypatch)


@pytest.fixture
def client(new_client: NewClient, slept: list[float]) -> DotyposClient:
    return new_client()


def run(client: DotyposClient, planned: PlannedRow | None = None, course: Course | None = None) -> Verdict:
    cloud_id = client.settings.require_cloud_id()
    return client.run(
        create(client, GROUPS, planned or create_of(ID, AFTER), cloud_id=cloud_id, settle=60.0, course=course)
    )


def test_a_row_is_created_once(sandbox: Sandbox, client: DotyposClient) -> None:
    assert run(client) == Verdict("applied", tries=1, requests=1)
    assert row_of(sandbox, ID, "discount-groups")["name"] == "Regulars"
    assert run(client) == Verdict("already", tries=1, requests=2)
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize(("kind", "when"), OPEN)
def test_a_lost_answer_is_settled_by_the_same_again(
    sandbox: Sandbox, client: DotyposClient, kind: str, when: str
) -> None:
    sandbox.behaviour = Behaviour(commit_lag=10.0)
    sandbox.faults.append(Fault(kind, method="PUT", when=when))
    assert run(client).status == "applied"
    assert len(sandbox.writes) == 1


def test_a_request_that_comes_late_creates_nothing_twice(sandbox: Sandbox, client: DotyposClient) -> None:
    sandbox.faults.append(Fault("reset", method="PUT", when="late", calls=1))
    assert run(client).status == "applied"
    client.run(client.flow("GET", "discount-groups", decode=Answer.json))
    assert len(sandbox.writes) == 1
    assert [write.id for write in sandbox.writes] == [ID]


def test_a_row_that_was_edited_since_is_a_conflict(sandbox: Sandbox, client: DotyposClient) -> None:
    run(client)
    edit(sandbox, ID, "discount-groups", name="Old friends")
    verdict = run(client)
    assert (verdict.status, verdict.fields) == ("conflict", ("name",))


def test_a_deleted_row_is_not_revived(sandbox: Sandbox, client: DotyposClient) -> None:
    run(client)
    sandbox.shop.delete(sandbox.cloud_ids[0], "discount-groups", ID)
    verdict = run(client)
    assert (verdict.status, verdict.fields) == ("conflict", ("deleted",))
    assert row_of(sandbox, ID, "discount-groups")["deleted"] is True


def test_what_the_api_refuses_is_rejected_once(sandbox: Sandbox, client: DotyposClient) -> None:
    verdict = run(client, create_of(ID, {**AFTER, "discountPercent": "500"}))
    assert (verdict.status, verdict.tries, verdict.requests) == ("rejected", 1, 1)
    assert not sandbox.writes


@pytest.mark.parametrize("own_ids", ["refused", "unknown"])
def test_a_cloud_without_ids_of_ours_ends_the_run(sandbox: Sandbox, client: DotyposClient, own_ids: str) -> None:
    sandbox.behaviour = Behaviour(own_ids=own_ids)
    with pytest.raises(DotyposPlanError, match='create="post"'):
        run(client)
    assert not sandbox.writes


def test_a_cloud_without_put_ends_the_run(client: DotyposClient) -> None:
    with pytest.raises(DotyposPlanError, match='create="post"'):
        played([answer(405, b'{"reason": "METHOD_NOT_ALLOWED"}')]).run(flow(client))
    with pytest.raises(DotyposPlanError, match='create="post"'):
        played([answer(404, b"")]).run(flow(client))
    with pytest.raises(DotyposApiError):
        played([answer(403, b'{"reason": "ACCESS_DENIED"}')]).run(flow(client))


@pytest.mark.parametrize(
    ("puts", "gets", "verdict"),
    [
        ([409], [404], Verdict("rejected", "the API answered 409: exists", tries=1, requests=1)),
        ([500, 409], [200], Verdict("applied", tries=2, requests=3)),
        ([500, 409], [404], Verdict("rejected", "the API answered 409: exists", tries=2, requests=11)),
        ([428], [404, 404, 200], Verdict("already", tries=1, requests=4)),
        ([428], [404], Verdict("uncertain", "the API says that its id exists, and it doesn't show", (), 1, 10)),
        ([500], [404], Verdict("uncertain", "answers were lost, and it doesn't show", (), 9, 18)),
    ],
    ids=["a double", "a double of ours", "a double of another's", "shows late", "never shows", "never answers"],
)
def test_what_a_read_has_to_settle(client: DotyposClient, puts: list[int], gets: list[int], verdict: Verdict) -> None:
    row = {"id": str(ID), "_cloudId": "310101001", **AFTER}
    refusal = {"status": 0, "reason": "X", "message": "exists"}

    def replies(statuses: list[int]) -> list[Answer]:
        return [answer(s, msgspec.json.encode(row if s == 200 else refusal), ETag='"e"') for s in statuses]

    assert played(replies(puts), replies(gets)).run(flow(client)) == verdict


def flow(client: DotyposClient) -> Any:
    return create(client, GROUPS, create_of(ID, AFTER), cloud_id=310_101_001, settle=60.0)


def played(puts: list[Answer], gets: list[Answer] | None = None) -> Played:
    def reply(request: Request) -> Answer:
        if "signin" in request.path:
            return answer(200, b'{"accessToken": "t"}')
        queue = puts if request.method == "PUT" else gets or []
        return queue.pop(0) if len(queue) > 1 else queue[0]

    return Played(reply)
