"""Updates by list PUT: the canary, batches, and what becomes of rows that can't go by a list (`list_writes`, too)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.entities import Entity, find_entity
from airflow_provider_dotypos.api.errors import DotyposPermissionError
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.exceptions import DotyposSideEffectError
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_dotypos.writes.applying.by_list import ListUpdates
from airflow_provider_dotypos.writes.applying.list_writes import CANARIES, Canary
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.verdicts import Verdict
from tests.conftest import NewClient
from tests.writes import planned
from tests.writes.planned import PRODUCTS, edit, row_of, sleep_by_the_shops_clock, update_of
from tests.writes.storms import KilledError, death

BEFORE = {"priceWithVat": "121", "priceWithoutVat": "100"}
AFTER = {"priceWithVat": "242", "priceWithoutVat": "200"}


class Notes:
    """The verdicts that were noted: the last one of each row, and all of them."""

    def __init__(self) -> None:
        self.last: dict[str | None, Verdict] = {}
        self.all: list[tuple[str | None, Verdict]] = []

    def __call__(self, row: PlannedRow, verdict: Verdict) -> None:
        self.last[row.id] = verdict
        self.all.append((row.id, verdict))

    @property
    def statuses(self) -> list[str]:
        return [verdict.status for verdict in self.last.values()]


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
def updates(client: DotyposClient, notes: Notes) -> ListUpdates:
    return updates_of(client, notes)


def updates_of(client: DotyposClient, notes: Notes, entity: Entity = PRODUCTS, settle: float = 60.0) -> ListUpdates:
    return ListUpdates(client, entity, cloud_id=client.settings.require_cloud_id(), settle=settle, note=notes)


@pytest.fixture
def rows(sandbox: Sandbox) -> list[PlannedRow]:
    """Eight products whose prices are to change."""
    return [update_of(product(sandbox), BEFORE, AFTER, number) for number in range(1, 9)]


def product(sandbox: Sandbox, **fields: Any) -> int:
    """Put a product onto the shelf, of a VAT rate that the cloud has."""
    return planned.product(sandbox, **{"vat": 1.21, "priceWithVat": 121.0, "priceWithoutVat": 100.0, **fields})


def prices(sandbox: Sandbox, rows: list[PlannedRow]) -> list[float]:
    return [row_of(sandbox, each.id)["priceWithVat"] for each in rows]


def calls(sandbox: Sandbox) -> list[str]:
    """Return what was asked for after the sign-in, lists of one path and single rows apart."""
    shown = (r for r in sandbox.requests if not r.path.endswith("/signin/token"))
    return [f"{r.method} {'list' if r.path.endswith('s') else 'row'} {r.status}" for r in shown]


def mutations(sandbox: Sandbox) -> list[str]:
    """Return the methods of the requests that may have changed something."""
    return [request.method for request in sandbox.requests if request.method in ("PUT", "PATCH")]


def answer_with(monkeypatch: pytest.MonkeyPatch, change: Callable[[Request, Answer], Answer]) -> None:
    """Let the server's answers be changed on their way."""
    send = Transport.send

    def sending(self: Transport, request: Request) -> Answer:
        return change(request, send(self, request))

    monkeypatch.setattr(Transport, "send", sending)


def test_a_canary_and_a_list_take_two_requests_each(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, notes: Notes, rows: list[PlannedRow]
) -> None:
    canary = client.run(updates.canary(rows))
    assert canary == Canary(rows[1:])
    assert prices(sandbox, rows) == [242.0] + [121.0] * 7
    client.run(updates.write(canary.left))
    assert prices(sandbox, rows) == [242.0] * 8
    assert calls(sandbox) == ["GET list 200", "PUT list 200"] * 2
    assert notes.last == {each.id: Verdict("applied", tries=1) for each in rows}


def test_a_list_that_was_applied_is_read_once_and_not_written(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, rows: list[PlannedRow]
) -> None:
    client.run(updates.write(rows))
    sandbox.requests.clear()
    again = Notes()
    client.run(updates_of(client, again).write(rows))
    assert calls(sandbox) == ["GET list 200"]
    assert again.statuses == ["already"] * 8


def test_a_resumed_canary_reads_finished_rows_by_lists(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, notes: Notes, rows: list[PlannedRow]
) -> None:
    client.run(updates.write(rows[:6]))
    sandbox.requests.clear()
    assert client.run(updates_of(client, notes).canary(rows)) == Canary(rows[7:])
    assert calls(sandbox) == ["GET list 200", "GET list 200", "GET list 200", "PUT list 200"]


def test_rows_that_others_have_changed_are_left_alone(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, notes: Notes, rows: list[PlannedRow]
) -> None:
    edit(sandbox, rows[1].id, priceWithVat=99.0)
    edit(sandbox, rows[2].id, name="Green tea")
    sandbox.shop.delete(sandbox.cloud_ids[0], "products", int(str(rows[3].id)))
    sandbox.shop.remove(sandbox.cloud_ids[0], "products", int(str(rows[4].id)))
    edit(sandbox, rows[5].id, priceWithVat=242.0, priceWithoutVat=200.0)
    client.run(updates.write(rows))
    assert [notes.last[each.id].status for each in rows] == [
        *("applied", "conflict", "applied", "conflict", "conflict", "already", "applied", "applied"),
    ]
    assert notes.last[rows[1].id].fields == ("priceWithVat",)
    assert row_of(sandbox, rows[1].id)["priceWithVat"] == 99
    assert row_of(sandbox, rows[2].id)["name"] == "Green tea"
    assert row_of(sandbox, rows[3].id)["deleted"] is True
    assert mutations(sandbox) == ["PUT"]


def test_an_edit_between_read_and_write_costs_halves_and_loses_nothing(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    notes: Notes,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edits = iter([lambda: edit(sandbox, rows[2].id, name="Green tea")])

    def answered(request: Request, answer: Answer) -> Answer:
        if request.method == "GET":
            next(edits, lambda: None)()
        return answer

    answer_with(monkeypatch, answered)
    client.run(updates.write(rows))
    assert notes.statuses == ["applied"] * 8
    assert row_of(sandbox, rows[2].id)["name"] == "Green tea"
    assert prices(sandbox, rows) == [242.0] * 8
    assert calls(sandbox) == ["GET list 200", "PUT list 412", *["GET list 200", "PUT list 200"] * 2]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("kind", ["reset", "500", "401-empty", "404-empty", "502-html", "cut-json", "short-body"])
def test_a_lost_answer_is_settled_by_reading(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    notes: Notes,
    rows: list[PlannedRow],
    kind: str,
    when: str,
) -> None:
    sandbox.faults.append(Fault(kind, method="PUT", when=when))
    client.run(updates.write(rows))
    assert [verdict.status for _, verdict in notes.all[:8]] == ["uncertain"] * 8
    assert notes.statuses == ["applied"] * 8
    changes = [write.id for write in sandbox.writes if write.op == "update"]
    assert sorted(changes) == sorted(int(str(each.id)) for each in rows)


def test_what_somebody_may_have_put_back_after_a_lost_answer_is_a_conflict(
    sandbox: Sandbox,
    new_client: NewClient,
    notes: Notes,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    back = {"priceWithVat": 121.0, "priceWithoutVat": 100.0}
    sleep_by_the_shops_clock(sandbox, monkeypatch, lambda: edit(sandbox, rows[0].id, **back))
    client = new_client()
    sandbox.faults.append(Fault("reset", method="PUT", when="after"))
    client.run(updates_of(client, notes).write(rows))
    assert notes.statuses == ["conflict", *["applied"] * 7]
    assert prices(sandbox, rows) == [121, *[242] * 7]


def test_a_write_that_comes_late_takes_no_effect(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, notes: Notes, rows: list[PlannedRow]
) -> None:
    sandbox.faults.append(Fault("reset", method="PUT", when="late", calls=2))
    client.run(updates.write(rows))
    client.run(updates.write(rows))
    assert notes.statuses == ["applied"] * 8
    assert len(sandbox.writes) == 8


def test_what_was_written_may_show_late(
    sandbox: Sandbox, client: DotyposClient, notes: Notes, rows: list[PlannedRow]
) -> None:
    sandbox.shop.advance(60)
    sandbox.behaviour = Behaviour(commit_lag=10.0)
    sandbox.faults.append(Fault("reset", method="PUT", when="after"))
    client.run(updates_of(client, notes).write(rows))
    assert notes.statuses == ["applied"] * 8
    assert len(sandbox.writes) == 8
    assert len(sandbox.requests) < 60


@pytest.mark.parametrize("paths", ["indexed", "bare", "path"])
@pytest.mark.parametrize("refused", ["whole", "partly"])
def test_a_row_that_the_api_refuses_keeps_no_other_from_being_written(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, notes: Notes, paths: str, refused: str
) -> None:
    sandbox.behaviour = Behaviour(violation_paths=paths, refused_lists=refused)
    rows = [update_of(product(sandbox), {"name": "Tea"}, {"name": "Green tea"}, number) for number in range(1, 9)]
    category = str(row_of(sandbox, rows[5].id)["_categoryId"])
    rows[5] = bad = update_of(rows[5].id, {"_categoryId": category}, {"_categoryId": "99"}, 6)
    client.run(updates.write(rows))
    assert [notes.last[each.id].status for each in rows] == [
        *["applied"] * 5,
        "rejected",
        *["applied"] * 2,
    ]
    assert sorted(write.id for write in sandbox.writes if write.id is not None) == sorted(
        int(str(each.id)) for each in rows if each is not bad
    )
    if paths == "indexed":
        assert calls(sandbox)[:2] == ["GET list 200", "PUT list 400"]
        assert len(sandbox.requests) <= 8


def test_values_go_back_as_they_came(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, monkeypatch: pytest.MonkeyPatch
) -> None:
    sandbox.behaviour = Behaviour(numbers="number", unknown_fields="taken")
    ids = [product(sandbox, points=0.1 + 0.2, description='"tea" é \u2028 \U0001f375') for _ in range(2)]
    rows = [update_of(id, {"name": "Tea"}, {"name": "Green tea"}) for id in ids]
    sent: list[bytes] = []

    def answered(request: Request, answer: Answer) -> Answer:
        if request.method == "PUT":
            sent.append(request.body or b"")
        if request.method == "GET":
            body = answer.body.replace(b'"points":0.30000000000000004', b'"points":0.300000000000000040')
            return Answer(answer.status, answer.headers, body.replace(b'"plu":', b'"novel":{"a":1.10},"plu":'))
        return answer

    answer_with(monkeypatch, answered)
    client.run(updates.write(rows))
    assert sent[0].count(b'"points":0.300000000000000040') == 2
    assert sent[0].count(b'"novel":{"a":1.10}') == 2
    assert row_of(sandbox, ids[0])["name"] == "Green tea"
    assert row_of(sandbox, ids[0])["description"] == '"tea" é \u2028 \U0001f375'


def test_a_null_that_the_answer_leaves_out_gets_no_default(
    sandbox: Sandbox, client: DotyposClient, notes: Notes
) -> None:
    sandbox.behaviour = Behaviour(nulls="omitted")
    cloud = sandbox.cloud_ids[0]
    entity = find_entity("product-customizations")
    category = sandbox.shop.insert(cloud, "categories", {"name": "Sauces"})["id"]
    fields = {"_categoryId": category, "_productId": product(sandbox), "maxItemQuantity": None, "maxSelected": 1}
    ids = [sandbox.shop.insert(cloud, entity.name, fields)["id"] for _ in range(2)]
    rows = [update_of(id, {"maxSelected": "1"}, {"maxSelected": "2"}) for id in ids]
    client.run(updates_of(client, notes, entity).write(rows))
    assert notes.statuses == ["applied"] * 2
    assert [row_of(sandbox, id, entity.name)["maxItemQuantity"] for id in ids] == [None, None]


def test_a_row_with_a_lost_character_goes_by_patch(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, notes: Notes, rows: list[PlannedRow]
) -> None:
    edit(sandbox, rows[3].id, description="caf\ufffd")
    client.run(updates.write(rows))
    assert notes.statuses.count("applied") == 8
    assert sorted(mutations(sandbox)) == ["PATCH", "PUT"]


@pytest.mark.parametrize("lost", ["etag", "filter"])
def test_without_an_etag_of_exactly_these_rows_each_goes_by_patch(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    notes: Notes,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
) -> None:
    def answered(request: Request, answer: Answer) -> Answer:
        if request.method == "GET" and request.path.endswith("products"):
            headers = {} if lost == "etag" else answer.headers
            extra = b"" if lost == "etag" else b'{"id":"77"},'
            return Answer(answer.status, headers, answer.body.replace(b'"data":[', b'"data":[' + extra))
        return answer

    sandbox.behaviour = Behaviour(next_page="null")
    if lost == "filter":
        monkeypatch.setattr("airflow_provider_dotypos.api.listing.check_page", lambda page, size, number: page)
    answer_with(monkeypatch, answered)
    client.run(updates.write(rows))
    assert notes.statuses == ["applied"] * 8
    assert mutations(sandbox) == ["PATCH"] * 8


def harm(
    monkeypatch: pytest.MonkeyPatch,
    sandbox: Sandbox,
    name: str,
    value: Any,
    under: Behaviour | None = None,
    times: int = 1,
) -> None:
    """Let list PUTs change a field of their first row that the body doesn't change.

    :param under: how the API behaves from then on.
    :param times: how many do so.
    """
    left = [times]

    def answered(request: Request, answer: Answer) -> Answer:
        if request.method != "PUT" or answer.status != 200 or not left[0]:
            return answer
        left[0] -= 1
        (row, *others) = answer.json()  # type: ignore[misc]
        edit(sandbox, row["id"], **{name: value})
        page = sandbox.shop.list(sandbox.cloud_ids[0], "products", {"filter": f"id|in|{row['id']}"}, sandbox.behaviour)

        changed = msgspec.json.decode(page[1])["data"][0]
        sandbox.behaviour = under or sandbox.behaviour
        return Answer(200, answer.headers, msgspec.json.encode([changed, *others]))

    answer_with(monkeypatch, answered)


def test_a_foreign_field_that_the_canary_changed_is_put_back_and_named(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    notes: Notes,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edit(sandbox, rows[0].id, description="A leaf")
    harm(monkeypatch, sandbox, "description", None)
    with pytest.raises(DotyposSideEffectError) as raised:
        client.run(updates.canary(rows))
    assert f"description of products {rows[0].id} was put back" in str(raised.value)
    assert "A leaf" not in str(raised.value)
    assert raised.value.permanent
    assert notes.statuses == ["applied"]
    assert row_of(sandbox, rows[0].id)["description"] == "A leaf"
    assert prices(sandbox, rows) == [242.0] + [121.0] * 7
    assert mutations(sandbox) == ["PUT", "PATCH"]


@pytest.mark.parametrize(
    ("unknown", "outcome"), [("taken", "was put back"), ("ignored", "wasn't put back"), ("refused", "wasn't put back")]
)
def test_an_undocumented_field_that_the_canary_lost_is_put_back_if_the_api_takes_it(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
    unknown: str,
    outcome: str,
) -> None:
    sandbox.shop.undocumented.add("colour")
    edit(sandbox, rows[0].id, colour="green")
    harm(monkeypatch, sandbox, "colour", None, under=Behaviour(unknown_fields=unknown))
    sandbox.behaviour = Behaviour(unknown_fields="taken")
    with pytest.raises(DotyposSideEffectError, match=f"colour of products {rows[0].id} {outcome}"):
        client.run(updates.canary(rows))
    assert row_of(sandbox, rows[0].id)["colour"] == ("green" if unknown == "taken" else None)


def test_an_undocumented_field_that_the_api_counts_up_harms_nothing(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.behaviour = Behaviour(unknown_fields="taken")
    sandbox.shop.undocumented.add("revision")
    edit(sandbox, rows[0].id, revision="1")
    harm(monkeypatch, sandbox, "revision", "2")
    assert client.run(updates.canary(rows)) == Canary(rows[1:])


def test_a_foreign_field_that_somebody_has_changed_since_is_not_put_back(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edit(sandbox, rows[0].id, description="A leaf")
    harm(monkeypatch, sandbox, "description", None)

    def answered(request: Request, answer: Answer) -> Answer:
        if request.method == "PUT":
            edit(sandbox, rows[0].id, description="A new leaf")
        return answer

    answer_with(monkeypatch, answered)
    with pytest.raises(DotyposSideEffectError, match="wasn't put back: somebody changed it"):
        client.run(updates.canary(rows))
    assert row_of(sandbox, rows[0].id)["description"] == "A new leaf"


def test_a_field_of_ours_that_went_with_one_that_was_put_back_is_not_taken(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    notes: Notes,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    planned = update_of(rows[0].id, {"priceWithVat": "121"}, {"priceWithVat": "242"})
    harm(monkeypatch, sandbox, "priceWithoutVat", 200.0)
    with pytest.raises(DotyposSideEffectError, match=r"priceWithoutVat of products \d+ was put back"):
        client.run(updates.canary([planned]))
    assert row_of(sandbox, planned.id)["priceWithVat"] == 121  # the API has moved it along
    assert notes.last[planned.id].status == "not taken"
    assert notes.last[planned.id].fields == ("priceWithVat",)


def test_the_next_canary_names_the_field_that_a_killed_one_has_left_changed(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    notes: Notes,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for each in rows:
        edit(sandbox, each.id, description="A leaf")
    harm(monkeypatch, sandbox, "description", None, times=2)
    with death(2, answered=False), pytest.raises(KilledError):
        client.run(updates.canary(rows))
    assert row_of(sandbox, rows[0].id)["description"] is None
    with pytest.raises(DotyposSideEffectError, match=f"description of products {rows[1].id} was put back"):
        client.run(updates_of(client, notes).canary(rows))
    assert notes.statuses == ["already", "applied"]
    assert [row_of(sandbox, each.id)["description"] for each in rows] == [None, *["A leaf"] * 7]


def test_a_field_that_the_api_leaves_alone_stops_the_canary(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, notes: Notes
) -> None:
    rows = [update_of(product(sandbox), {"imageUrl": None}, {"imageUrl": "https://tea"}) for _ in range(3)]
    with pytest.raises(DotyposSideEffectError, match="left imageUrl as it was"):
        client.run(updates.canary(rows))
    assert [verdict.status for _, verdict in notes.all] == ["not taken"]
    assert len(sandbox.writes) == 1


def test_later_lists_are_compared_as_well(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    notes: Notes,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    edit(sandbox, rows[0].id, subtitle="leaf")
    harm(monkeypatch, sandbox, "subtitle", None)
    with pytest.raises(DotyposSideEffectError, match="subtitle"):
        client.run(updates.write(rows[:4]))
    assert notes.statuses == ["applied"] * 4
    assert row_of(sandbox, rows[0].id)["subtitle"] == "leaf"
    client.run(updates.write(rows[4:]))  # by another thread
    assert prices(sandbox, rows[4:]) == [121] * 4


@pytest.mark.parametrize("kind", ["404-empty", "405-html"])
def test_an_api_without_list_put_is_noticed_after_a_few_rows(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, notes: Notes, rows: list[PlannedRow], kind: str
) -> None:
    sandbox.faults.append(Fault(kind, method="PUT", times=99))
    canary = client.run(updates.canary(rows))
    assert canary.left == rows[CANARIES:]
    assert canary.refused is not None
    assert notes.statuses == ["applied"] * CANARIES


def test_read_only_fields_that_the_api_refuses_are_noticed(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, rows: list[PlannedRow]
) -> None:
    sandbox.behaviour = Behaviour(read_only_fields="refused")
    canary = client.run(updates.canary(rows))
    assert canary == Canary(rows[CANARIES:], "the API answered 400 to a list PUT of one row")


def test_a_row_that_no_way_takes_is_no_sign_against_lists(
    sandbox: Sandbox, client: DotyposClient, updates: ListUpdates, notes: Notes, rows: list[PlannedRow]
) -> None:
    bad = [update_of(rows[0].id, {"vat": "1.21"}, {"vat": "1.99"}) for _ in range(CANARIES + 1)]
    assert client.run(updates.canary([*bad, *rows[1:]])) == Canary(rows[2:])
    assert notes.last[rows[0].id].status == "rejected"


def test_a_missing_permission_ends_the_run(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def answered(request: Request, answer: Answer) -> Answer:
        return Answer(403, {}, b'{"reason":"ACCESS_DENIED"}') if request.method == "PUT" else answer

    answer_with(monkeypatch, answered)
    with pytest.raises(DotyposPermissionError):
        client.run(updates.canary(rows))


def test_a_row_is_uncertain_if_the_run_ends_after_its_write(
    sandbox: Sandbox,
    client: DotyposClient,
    updates: ListUpdates,
    notes: Notes,
    rows: list[PlannedRow],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sandbox.faults.append(Fault("reset", method="PATCH", when="after"))

    def answered(request: Request, answer: Answer) -> Answer:
        forbidden = request.method == "GET" and len(sandbox.writes) > 0
        return Answer(403, {}, b'{"reason":"ACCESS_DENIED"}') if forbidden else answer

    answer_with(monkeypatch, answered)
    with pytest.raises(DotyposPermissionError):
        client.run(updates.write(rows[:1]))
    assert notes.statuses == ["uncertain"]


def test_everything_was_done_before(client: DotyposClient, updates: ListUpdates, rows: list[PlannedRow]) -> None:
    client.run(updates.write(rows))
    assert client.run(updates.canary(rows)) == Canary([])
    assert client.run(updates.canary([])) == Canary([])
