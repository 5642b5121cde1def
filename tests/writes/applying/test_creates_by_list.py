"""Creates by list PUT: a hundred new rows in one request, each under its own id, whatever becomes of the answer."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.errors import DotyposPermissionError
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.exceptions import DotyposSideEffectError
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.writes.applying.creates_by_list import ListCreates
from airflow_provider_dotypos.writes.applying.list_writes import CANARIES, Canary
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict
from tests.conftest import NewClient
from tests.writes.applying.test_by_list import Notes, answer_with, calls
from tests.writes.planned import PRODUCTS, create_of, edit, row_of, sleep_by_the_shops_clock
from tests.writes.storms import FIRST_ID, NEW_PRODUCT


@pytest.fixture
def slept(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    return sleep_by_the_shops_clock(sandbox, monkeypatch)


@pytest.fixture
def client(new_client: NewClient, slept: list[float]) -> DotyposClient:
    made = new_client()
    made.sign_in()
    return made


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def creates(client: DotyposClient, notes: Notes) -> ListCreates:
    return creates_of(client, notes)


def creates_of(client: DotyposClient, notes: Notes, settle: float = 60.0) -> ListCreates:
    return ListCreates(client, PRODUCTS, cloud_id=client.settings.require_cloud_id(), settle=settle, note=notes)


@pytest.fixture
def rows(sandbox: Sandbox) -> list[PlannedRow]:
    """Eight products that don't exist."""
    category = sandbox.shop.insert(sandbox.cloud_ids[0], "categories", {"name": "Drinks"})["id"]
    return [new_product(FIRST_ID + number, category, number) for number in range(1, 9)]


def new_product(id: int, category: int, number: int = 1, **fields: Any) -> PlannedRow:
    """Plan to create a product, with all fields that it must have."""
    return create_of(id, {**NEW_PRODUCT, "_categoryId": str(category), "name": f"Tea {number}", **fields}, number)


def created(sandbox: Sandbox) -> Counter[str]:
    """Return how many products of each name exist."""
    return Counter(row["name"] for row in sandbox.shop.rows(sandbox.cloud_ids[0], "products"))


ONE_EACH = {f"Tea {number}": 1 for number in range(1, 9)}


def test_a_canary_and_a_list_take_one_request_each(
    sandbox: Sandbox, client: DotyposClient, creates: ListCreates, notes: Notes, rows: list[PlannedRow]
) -> None:
    canary = client.run(creates.canary(rows))
    assert canary == Canary(rows[1:])
    client.run(creates.write(canary.left))
    assert created(sandbox) == ONE_EACH
    assert calls(sandbox) == ["PUT list 200"] * 2
    assert notes.last == {each.id: Verdict("applied", tries=1) for each in rows}


def test_again_nothing_is_written(
    sandbox: Sandbox, client: DotyposClient, creates: ListCreates, rows: list[PlannedRow]
) -> None:
    client.run(creates.write(rows))
    sandbox.requests.clear()
    again = Notes()
    client.run(creates_of(client, again).write(rows))
    assert calls(sandbox) == ["PUT list 428", "GET list 200"]
    assert again.statuses == ["already"] * 8
    assert client.run(creates_of(client, again).canary(rows)) == Canary([])
    assert created(sandbox) == ONE_EACH


def test_what_exists_is_compared_and_the_rest_created(
    sandbox: Sandbox, client: DotyposClient, creates: ListCreates, notes: Notes, rows: list[PlannedRow]
) -> None:
    client.run(creates.write(rows[:3]))
    edit(sandbox, rows[1].id, name="Coffee")
    sandbox.shop.delete(sandbox.cloud_ids[0], "products", int(str(rows[2].id)))
    again = Notes()
    client.run(creates_of(client, again).write(rows))
    assert [again.last[each.id].status for each in rows] == ["already", "conflict", "conflict", *["applied"] * 5]
    assert row_of(sandbox, rows[1].id)["name"] == "Coffee"
    assert row_of(sandbox, rows[2].id)["deleted"] is True


@pytest.mark.parametrize("when", ["before", "after", "late"])
@pytest.mark.parametrize("kind", ["reset", "500", "401-empty", "404-empty", "502-html", "cut-json"])
def test_a_lost_answer_creates_nothing_twice(
    sandbox: Sandbox,
    client: DotyposClient,
    creates: ListCreates,
    notes: Notes,
    rows: list[PlannedRow],
    kind: str,
    when: str,
) -> None:
    sandbox.faults.append(Fault(kind, method="PUT", when=when, calls=1 if when == "late" else 0))
    client.run(creates.write(rows))
    assert [verdict.status for _, verdict in notes.all[:8]] == ["uncertain"] * 8
    assert notes.statuses == ["applied"] * 8
    client.run(creates_of(client, Notes()).write(rows))
    assert created(sandbox) == ONE_EACH


def test_what_was_created_may_show_late(
    sandbox: Sandbox, client: DotyposClient, notes: Notes, rows: list[PlannedRow], slept: list[float]
) -> None:
    sandbox.shop.advance(60)
    sandbox.behaviour = Behaviour(commit_lag=10.0)
    sandbox.faults.append(Fault("reset", method="PUT", when="after"))
    client.run(creates_of(client, notes).write(rows))
    assert notes.statuses == ["applied"] * 8
    assert created(sandbox) == ONE_EACH
    assert sum(slept) >= 10


@pytest.mark.parametrize("paths", ["indexed", "bare", "path"])
@pytest.mark.parametrize("refused", ["whole", "partly"])
def test_a_row_that_the_api_refuses_keeps_no_other_from_being_created(
    sandbox: Sandbox,
    client: DotyposClient,
    creates: ListCreates,
    notes: Notes,
    rows: list[PlannedRow],
    paths: str,
    refused: str,
) -> None:
    sandbox.behaviour = Behaviour(violation_paths=paths, refused_lists=refused)
    rows[5] = new_product(FIRST_ID + 6, 99, 6)
    client.run(creates.write(rows))
    assert [notes.last[each.id].status for each in rows] == [*["applied"] * 5, "rejected", *["applied"] * 2]
    assert created(sandbox) == {name: 1 for name in ONE_EACH if name != "Tea 6"}


def test_a_row_that_can_not_be_beside_another_keeps_no_other_from_being_created(
    sandbox: Sandbox, client: DotyposClient, creates: ListCreates, notes: Notes, rows: list[PlannedRow]
) -> None:
    sandbox.behaviour = Behaviour(external_ids="unique")
    category = int(rows[0].after["_categoryId"])
    rows[1] = new_product(FIRST_ID + 2, category, 2, externalId="A")
    rows[6] = new_product(FIRST_ID + 7, category, 7, externalId="A")
    client.run(creates.write(rows))
    statuses = [notes.last[each.id].status for each in rows]
    assert sorted((statuses[1], statuses[6])) == ["applied", "rejected"]
    assert statuses.count("applied") == 7


def test_lists_that_need_an_etag_are_noticed_after_a_few_rows(
    sandbox: Sandbox, client: DotyposClient, creates: ListCreates, notes: Notes, rows: list[PlannedRow]
) -> None:
    sandbox.behaviour = Behaviour(list_creates="guarded")
    canary = client.run(creates.canary(rows))
    assert canary == Canary(rows[CANARIES:], "the API answered 428 to a list PUT of one new row")
    assert notes.statuses == ["applied"] * CANARIES


def test_ids_of_the_api_s_own_end_the_run(
    sandbox: Sandbox,
    client: DotyposClient,
    creates: ListCreates,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answered(request: Request, answer: Answer) -> Answer:
        if request.method != "PUT":
            return answer
        return Answer(200, answer.headers, answer.body.replace(str(FIRST_ID + 1).encode(), b"4100000000000001"))

    answer_with(monkeypatch, answered)
    with pytest.raises(DotyposSideEffectError, match="ids of its own \\(4100000000000001\\)"):
        client.run(creates.canary(rows))
    assert [request.method for request in sandbox.requests].count("PUT") == 1


def test_a_field_that_the_api_leaves_out_stops_the_canary(
    sandbox: Sandbox, client: DotyposClient, creates: ListCreates, notes: Notes, rows: list[PlannedRow]
) -> None:
    rows[0] = msgspec.structs.replace(rows[0], after={**rows[0].after, "imageUrl": "https://tea"})
    with pytest.raises(DotyposSideEffectError, match="imageUrl isn't as planned"):
        client.run(creates.canary(rows))
    assert notes.statuses == ["not taken"]


def test_a_missing_permission_ends_the_run(
    client: DotyposClient, creates: ListCreates, rows: list[PlannedRow], monkeypatch: pytest.MonkeyPatch
) -> None:
    def answered(request: Request, answer: Answer) -> Answer:
        return Answer(403, {}, b'{"reason":"ACCESS_DENIED"}') if request.method == "PUT" else answer

    answer_with(monkeypatch, answered)
    with pytest.raises(DotyposPermissionError):
        client.run(creates.canary(rows))
