"""One row changed by PATCH: `applying/update.py`, with `calls`, `course` and `answers` of `writes/applying/`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.steps import Flow, Sleep
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.exceptions import (
    DotyposApiError,
    DotyposBudgetError,
    DotyposCancelledError,
    DotyposError,
    DotyposPermissionError,
    DotyposResponseError,
)
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.writes.applying.course import Course, waits
from airflow_provider_dotypos.writes.applying.update import update
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict
from tests.api.flows import Played, answer
from tests.conftest import NewClient
from tests.writes.planned import PRODUCTS, edit, product, row_of, sleep_by_the_shops_clock, update_of

BEFORE = {"priceWithVat": "45", "priceWithoutVat": "37.5"}
AFTER = {"priceWithVat": "48", "priceWithoutVat": "40"}

#: Faults of a PATCH that leave open whether it was carried out, and when they come.
BEFORE_IT = [(kind, "before") for kind in ("reset", "500", "503", "502-html", "401-empty", "403-empty", "404-empty")]
AFTER_IT = [
    (kind, "after")
    for kind in (
        "reset",
        "500",
        "502-html",
        "401-empty",
        "403-empty",
        "404-empty",
        "reset-body",
        "short-body",
        "cut-json",
    )
]


@pytest.fixture
def slept(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return sleep_by_the_shops_clock(sandbox, monkeypatch)


@pytest.fixture
def client(new_client: NewClient, slept: list[float]) -> DotyposClient:
    return new_client()


def run(client: DotyposClient, planned: PlannedRow, course: Course | None = None, settle: float = 60.0) -> Verdict:
    cloud_id = client.settings.require_cloud_id()
    return client.run(update(client, PRODUCTS, planned, cloud_id=cloud_id, settle=settle, course=course))


def test_a_row_is_read_and_written_once(sandbox: Sandbox, client: DotyposClient) -> None:
    id = product(sandbox)
    assert run(client, update_of(id, BEFORE, AFTER)) == Verdict("applied", tries=1, requests=2)
    assert row_of(sandbox, id)["priceWithVat"] == 48
    assert run(client, update_of(id, BEFORE, AFTER)) == Verdict("already", requests=1)


def test_only_planned_fields_are_sent(sandbox: Sandbox, client: DotyposClient, monkeypatch: pytest.MonkeyPatch) -> None:
    id = product(sandbox, notes=["hot"])
    sent: list[Any] = []
    send = Transport.send
    monkeypatch.setattr(Transport, "send", lambda self, request: (sent.append(request), send(self, request))[1])
    run(client, update_of(id, BEFORE, AFTER))
    assert [json.loads(request.body) for request in sent if request.method == "PATCH"] == [AFTER]
    assert row_of(sandbox, id)["notes"] == ["hot"]


@pytest.mark.parametrize(("kind", "when"), [*BEFORE_IT, *AFTER_IT])
def test_a_lost_answer_is_settled_by_reading(sandbox: Sandbox, client: DotyposClient, kind: str, when: str) -> None:
    id = product(sandbox)
    sandbox.faults.append(Fault(kind, method="PATCH", when=when))
    course = Course()
    assert run(client, update_of(id, BEFORE, AFTER), course).status == "applied"
    assert course.lost
    assert row_of(sandbox, id)["priceWithVat"] == 48
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize(("kind", "when"), AFTER_IT)
def test_under_lag_a_write_that_is_done_is_never_done_again(
    sandbox: Sandbox, client: DotyposClient, slept: list[float], kind: str, when: str
) -> None:
    sandbox.behaviour = Behaviour(commit_lag=10.0)
    id = product(sandbox)
    sandbox.shop.advance(60)
    sandbox.faults.append(Fault(kind, method="PATCH", when=when))
    assert run(client, update_of(id, BEFORE, AFTER)).status == "applied"
    assert len(sandbox.writes) == 1
    assert slept == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0]


def test_a_request_that_comes_late_does_nothing_twice(sandbox: Sandbox, client: DotyposClient) -> None:
    id = product(sandbox)
    sandbox.faults.append(Fault("reset", method="PATCH", when="late", calls=2))
    assert run(client, update_of(id, BEFORE, AFTER)).status == "applied"
    client.run(client.flow("GET", "products", decode=Answer.json))
    assert len(sandbox.writes) == 1
    edit(sandbox, id, priceWithVat=45.0, priceWithoutVat=37.5)
    client.run(client.flow("GET", "products", decode=Answer.json))
    assert row_of(sandbox, id)["priceWithVat"] == 45


@pytest.mark.parametrize(("kind", "when"), [*BEFORE_IT, *AFTER_IT])
def test_what_somebody_may_have_put_back_after_a_lost_answer_is_a_conflict(
    sandbox: Sandbox, new_client: NewClient, monkeypatch: pytest.MonkeyPatch, kind: str, when: str
) -> None:
    id = product(sandbox)
    sleep_by_the_shops_clock(sandbox, monkeypatch, lambda: edit(sandbox, id, priceWithVat=45.0, priceWithoutVat=37.5))
    sandbox.faults.append(Fault(kind, method="PATCH", when=when))
    verdict = run(new_client(), update_of(id, BEFORE, AFTER))
    assert (verdict.status, verdict.tries) == ("conflict", 1)
    assert "put it back" in str(verdict.why)
    assert row_of(sandbox, id)["priceWithVat"] == 45
    assert len(sandbox.writes) == (when == "after")


def test_an_edit_of_another_field_in_between_is_kept(
    sandbox: Sandbox, client: DotyposClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = product(sandbox)
    edit_before_patch(sandbox, monkeypatch, lambda: edit(sandbox, id, name="Green tea"), times=2)
    verdict = run(client, update_of(id, BEFORE, AFTER))
    assert (verdict.status, verdict.tries, verdict.requests) == ("applied", 3, 6)
    assert (row_of(sandbox, id)["name"], row_of(sandbox, id)["priceWithVat"]) == ("Green tea", 48)


def test_an_edit_of_the_same_field_in_between_is_a_conflict(
    sandbox: Sandbox, client: DotyposClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = product(sandbox)
    edit_before_patch(sandbox, monkeypatch, lambda: edit(sandbox, id, priceWithVat=47.0), times=1)
    verdict = run(client, update_of(id, BEFORE, AFTER))
    assert (verdict.status, verdict.fields) == ("conflict", ("priceWithVat",))
    assert row_of(sandbox, id)["priceWithVat"] == 47


def test_a_row_that_is_edited_all_the_time_starves(
    sandbox: Sandbox, client: DotyposClient, monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    id = product(sandbox)
    edit_before_patch(sandbox, monkeypatch, lambda: edit(sandbox, id, name="Green tea"), times=1000)
    verdict = run(client, update_of(id, BEFORE, AFTER))
    assert (verdict.status, verdict.why) == ("starved", "it was edited between each read and write, 9 times")
    assert row_of(sandbox, id)["priceWithVat"] == 45
    assert slept == [*waits(60.0)]
    assert slept[-1] == 60.0


def test_an_etag_that_never_fits_is_named_as_the_cause(client: DotyposClient) -> None:
    played = Played(answers(patch=[answer(412, b"")]))
    verdict = played.run(planned_flow(client))
    assert (verdict.status, verdict.tries) == ("starved", len([*waits(60.0)]))
    assert "a proxy may have changed the ETag" in str(verdict.why)


def test_a_write_that_may_come_yet_is_uncertain(sandbox: Sandbox, client: DotyposClient) -> None:
    id = product(sandbox)
    sandbox.faults.append(Fault("reset", method="PATCH", times=1000))
    verdict = run(client, update_of(id, BEFORE, AFTER))
    assert (verdict.status, verdict.tries) == ("uncertain", len([*waits(60.0)]))


def test_what_the_api_refuses_is_rejected_once(sandbox: Sandbox, client: DotyposClient) -> None:
    id = product(sandbox)
    verdict = run(client, update_of(id, {"_categoryId": str(row_of(sandbox, id)["_categoryId"])}, {"_categoryId": "5"}))
    assert (verdict.status, verdict.fields, verdict.tries) == ("rejected", ("_categoryId",), 1)
    assert "400" in str(verdict.why)


def test_a_row_that_is_gone_while_it_is_written_is_a_conflict(
    sandbox: Sandbox, client: DotyposClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = product(sandbox)
    cloud = sandbox.cloud_ids[0]
    edit_before_patch(sandbox, monkeypatch, lambda: sandbox.shop.remove(cloud, "products", id), times=1)
    assert run(client, update_of(id, BEFORE, AFTER)).status == "conflict"


def test_an_empty_404_counts_if_it_comes_again(sandbox: Sandbox, client: DotyposClient) -> None:
    id = product(sandbox)
    sandbox.faults.append(Fault("404-empty", method="GET", path="/products/"))
    assert run(client, update_of(id, BEFORE, AFTER)).status == "applied"
    sandbox.faults.append(Fault("404-empty", method="GET", path="/products/", times=2))
    assert run(client, update_of(id, BEFORE, AFTER)).status == "conflict"


def test_a_field_that_the_api_ignores_is_not_taken(sandbox: Sandbox, client: DotyposClient) -> None:
    id = product(sandbox)
    verdict = run(client, update_of(id, {"imageUrl": None}, {"imageUrl": "https://example.com/tea.png"}))
    assert (verdict.status, verdict.fields) == ("not taken", ("imageUrl",))


def test_a_conflict_with_another_row_is_rejected_when_it_comes_again(client: DotyposClient, slept: list[float]) -> None:
    refusal = json.dumps({"status": 409, "reason": "DUPLICATE", "message": "exists already"}).encode()
    played = Played(answers(patch=[answer(409, refusal)]))
    verdict = played.run(planned_flow(client))
    assert verdict == Verdict("rejected", "the API answered 409: exists already", tries=2, requests=4)


@pytest.mark.parametrize("said", ["Ada@example.com is taken", "of E-17, somebody else's", "was x@example.com"])
def test_a_reason_names_no_personal_data(client: DotyposClient, said: str) -> None:
    body = {"violations": [{"fieldName": "email", "message": said}]}
    row = {"email": "x@example.com", "externalId": "E-17"}
    played = Played(answers(patch=[answer(400, json.dumps(body).encode())], **row))
    planned = update_of(5, row, {"email": "ada@example.com"})
    verdict = played.run(planned_flow(client, planned=planned, entity=find_entity("customers")))
    assert verdict == Verdict("rejected", "the API answered 400", ("email",), tries=1, requests=2)


@pytest.mark.parametrize(
    ("replies", "error"),
    [
        ({"patch": [answer(403, b'{"reason": "ACCESS_DENIED"}')]}, DotyposPermissionError),
        ({"patch": [answer(405, b'{"reason": "METHOD_NOT_ALLOWED"}')]}, DotyposApiError),
        ({"get": [answer(200, b'{"id": "6"}', ETag="e")]}, DotyposResponseError),
        ({"get": [answer(200, b'{"id": "5"}')]}, DotyposResponseError),
        ({"get": [answer(403, b'{"reason": "ACCESS_DENIED"}')]}, DotyposPermissionError),
    ],
    ids=["no permission", "no such method", "another row", "no ETag", "no permission to read"],
)
def test_what_any_row_would_meet_ends_the_run(client: DotyposClient, replies: Any, error: type[Exception]) -> None:
    course = Course()
    played = Played(answers(**replies))
    with pytest.raises(error):
        played.run(planned_flow(client, course=course))
    assert course.interrupt("x").status == "not tried"


def test_a_write_that_was_not_sent_is_no_try(client: DotyposClient) -> None:
    course = Course(row={"id": "5", **BEFORE}, etag='"e"')
    flow = planned_flow(client, course=course)
    next(flow)
    with pytest.raises(DotyposBudgetError):
        flow.throw(DotyposBudgetError("used up"))
    assert course.interrupt("x") == Verdict("not tried", "x", requests=1)


def test_a_run_that_ends_after_a_lost_answer_leaves_the_row_uncertain(client: DotyposClient, sandbox: Sandbox) -> None:
    id = product(sandbox)
    sandbox.faults.append(Fault("reset", method="PATCH"))
    client.run(client.flow("GET", f"products/{id}", decode=Answer.json))
    course = Course()
    flow = planned_flow(client, planned=update_of(id, BEFORE, AFTER), course=course)
    with pytest.raises(DotyposCancelledError):
        kill_at_first_sleep(client, flow)
    assert course.interrupt("the task was killed") == Verdict("uncertain", "the task was killed", tries=1, requests=2)


def test_a_row_that_was_just_read_is_not_read_again(client: DotyposClient) -> None:
    row = {"id": "5", "_cloudId": None, **BEFORE}
    played = Played(answers())
    verdict = played.run(planned_flow(client, course=Course(row=row, etag='"e"')))
    assert verdict == Verdict("applied", tries=1, requests=1)
    assert [request.method for request in played.sent if "products" in request.path] == ["PATCH"]


@pytest.mark.parametrize("other", [{"id": "6", **AFTER}, {"status": "ok"}])
def test_an_answer_about_something_else_says_nothing_of_the_row(client: DotyposClient, other: object) -> None:
    played = Played(answers(patch=[answer(200, json.dumps(other).encode())]))
    assert played.run(planned_flow(client)).status == "uncertain"


def test_waits_grow_to_the_settle_time() -> None:
    assert [*waits(60.0)] == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0]
    assert [*waits(0.0)] == [0.0] * 8


def planned_flow(
    client: DotyposClient,
    *,
    planned: PlannedRow | None = None,
    entity: Entity = PRODUCTS,
    course: Course | None = None,
) -> Flow[Verdict]:
    planned = planned or update_of(5, BEFORE, AFTER)
    return update(client, entity, planned, cloud_id=310_101_001, settle=60.0, course=course)


def answers(
    get: list[Answer] | None = None, patch: list[Answer] | None = None, **fields: Any
) -> Callable[[Request], Answer]:
    """Return a function that answers a row's calls; by default it is as before, and PATCH takes all."""
    row = {"id": "5", "_cloudId": "310101001", **BEFORE, **fields}
    gets = get or [answer(200, json.dumps(row).encode(), ETag='"e"')]
    patches = patch or [answer(200, json.dumps({**row, **AFTER}).encode())]

    def reply(request: Request) -> Answer:
        if "signin" in request.path:
            return answer(200, b'{"accessToken": "t"}')
        queue = gets if request.method == "GET" else patches
        return queue.pop(0) if len(queue) > 1 else queue[0]

    return reply


def kill_at_first_sleep(client: DotyposClient, flow: Flow[Verdict]) -> None:
    step = next(flow)
    while not isinstance(step, Sleep):
        try:
            result = client._perform(step)
        except DotyposError as error:
            step = flow.throw(error)
        else:
            step = flow.send(result)
    flow.throw(DotyposCancelledError("killed"))


def edit_before_patch(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, change: Callable[[], None], *, times: int
) -> None:
    """Let a till be quicker than the next PATCHes."""
    send, left = Transport.send, [times]

    def quicker(self: Transport, request: Request) -> Answer:
        if request.method == "PATCH" and left[0]:
            left[0] -= 1
            sandbox.shop.advance(1)
            change()
        return send(self, request)

    monkeypatch.setattr(Transport, "send", quicker)
