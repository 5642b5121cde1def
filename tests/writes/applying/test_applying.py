"""A whole plan applied, interrupted and resumed (`writes/applying/applying.py`, `writes/applying/checks.py`)."""

from __future__ import annotations

import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.http import Answer, Request
from airflow_provider_dotypos.api.transport import Transport
from airflow_provider_dotypos.exceptions import (
    DotyposBudgetError,
    DotyposCancelledError,
    DotyposError,
    DotyposPermissionError,
    DotyposPlanError,
    DotyposSideEffectError,
    DotyposWritesFailedError,
)
from airflow_provider_dotypos.sandbox import Behaviour, Fault, Limit, Sandbox
from airflow_provider_dotypos.writes.applying.applying import Applied, apply_plan
from airflow_provider_dotypos.writes.applying.options import ApplyOptions
from airflow_provider_dotypos.writes.plan import PlannedRow
from airflow_provider_dotypos.writes.plan_file import Plan
from tests.conftest import NewClient
from tests.writes.planned import create_of, edit, product, row_of, sleep_by_the_shops_clock, update_of, versioned
from tests.writes.plans import Plans, report_of
from tests.writes.storms import NEW_PRODUCT, KilledError, death

BEFORE = {"priceWithVat": "45", "priceWithoutVat": "37.5"}
AFTER = {"priceWithVat": "48", "priceWithoutVat": "40"}

GROUP = {"name": "Regulars", "externalId": "r", "discountPercent": "5", "display": True}

BY_PATCH = ApplyOptions(method="patch")


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


@pytest.fixture
def priced(sandbox: Sandbox, plans: Plans) -> Callable[..., Plan]:
    """Plan new prices for products."""

    def priced(number: int = 12, **header: Any) -> Plan:
        rows = (update_of(product(sandbox), BEFORE, AFTER, row) for row in range(1, number + 1))
        return plans(*(versioned(sandbox, planned) for planned in rows), **header)

    return priced


def statuses(plan: Plan) -> list[str]:
    return [row["status"] for row in report_of(plan)[1]]


def test_each_row_is_written_once_and_the_report_says_so(
    sandbox: Sandbox, client: DotyposClient, priced: Callable[..., Plan]
) -> None:
    plan = priced(12)
    applied = apply_plan(client, plan, BY_PATCH)
    assert applied == Applied({"applied": 12}, f"{plan.store.folder}/{plan.report_name}", 24)
    assert [write.op for write in sandbox.writes] == ["update"] * 12
    header, rows = report_of(plan)
    assert (header["complete"], header["plan"], header["counts"]) == (True, plan.header.digest, {"applied": 12})
    first = next(plan.rows())
    assert rows[0] == {
        "row": 1,
        "op": "update",
        "key": [first.id],
        "id": first.id,
        "status": "applied",
        "tries": 1,
        "requests": 2,
        "written": "yes",
    }


def test_the_report_is_its_owners_alone(client: DotyposClient, priced: Callable[..., Plan]) -> None:
    plan = priced(1)
    report = Path(apply_plan(client, plan, BY_PATCH).report.removeprefix("file://"))
    assert stat.S_IMODE(report.stat().st_mode) == 0o600


def test_the_same_plan_again_writes_nothing_and_reads_by_lists(
    sandbox: Sandbox, client: DotyposClient, plans: Plans
) -> None:
    deleted = product(sandbox)
    plan = plans(
        *(update_of(product(sandbox), BEFORE, AFTER, row) for row in range(1, 6)),
        PlannedRow("delete", (str(deleted),), 6, id=str(deleted), before={"name": "Tea"}),
    )
    apply_plan(client, plan, BY_PATCH)
    assert len(sandbox.writes) == 6
    applied = apply_plan(client, plan, BY_PATCH)
    assert (applied.counts, applied.requests) == ({"applied": 6}, 3)  # a deleted row is asked for twice
    assert len(sandbox.writes) == 6


@pytest.mark.parametrize("method", ["patch", "put"])
def test_what_somebody_has_put_back_since_is_not_written_again(
    sandbox: Sandbox, client: DotyposClient, plans: Plans, method: Any
) -> None:
    ids = [product(sandbox) for _ in range(3)]
    plan = plans(*(versioned(sandbox, update_of(id, BEFORE, AFTER, row)) for row, id in enumerate(ids, 1)))
    apply_plan(client, plan, ApplyOptions(method=method))
    sandbox.shop.advance(1)
    edit(sandbox, ids[1], priceWithVat=45.0, priceWithoutVat=37.5)
    for _ in range(2):
        with pytest.raises(DotyposWritesFailedError, match="1 of 3 rows aren't as planned: 1 conflict"):
            apply_plan(client, plan, ApplyOptions(method=method))
    assert row_of(sandbox, ids[1])["priceWithVat"] == 45
    assert statuses(plan) == ["applied", "conflict", "applied"]


@pytest.mark.parametrize("method", ["patch", "put"])
def test_what_somebody_has_put_back_after_a_kill_is_not_written_again(
    sandbox: Sandbox, client: DotyposClient, plans: Plans, method: Any
) -> None:
    ids = [product(sandbox) for _ in range(4)]
    plan = plans(*(versioned(sandbox, update_of(id, BEFORE, AFTER, row)) for row, id in enumerate(ids, 1)))
    with death(4 if method == "patch" else 3, answered=True), pytest.raises(KilledError):
        apply_plan(client, plan, ApplyOptions(method=method))
    written = [write.id for write in sandbox.writes]
    assert written
    sandbox.shop.advance(1)
    for id in written:
        edit(sandbox, id, priceWithVat=45.0, priceWithoutVat=37.5)
    # An attempt in between that ends without a look at the rows doesn't make the kill forgotten.
    sandbox.faults.append(Fault("403-empty", method="GET", times=1))
    for _ in range(2):
        with pytest.raises(DotyposError):
            apply_plan(client, plan, ApplyOptions(method=method))
    assert [row_of(sandbox, id)["priceWithVat"] for id in ids] == [45 if id in written else 48 for id in ids]
    assert statuses(plan) == ["conflict" if id in written else "applied" for id in ids]


@pytest.mark.parametrize("method", ["patch", "put"])
def test_a_row_that_had_no_version_and_has_one_now_may_have_been_put_back(
    sandbox: Sandbox, client: DotyposClient, plans: Plans, method: Any
) -> None:
    id = product(sandbox, versionDate=None)
    plan = plans(versioned(sandbox, update_of(id, BEFORE, AFTER)))
    assert next(plan.rows()).version is None
    apply_plan(client, plan, ApplyOptions(method=method))
    edit(sandbox, id, priceWithVat=45.0, priceWithoutVat=37.5)
    with pytest.raises(DotyposWritesFailedError, match="1 conflict"):
        apply_plan(client, plan, ApplyOptions(method=method))
    assert row_of(sandbox, id)["priceWithVat"] == 45


@pytest.mark.parametrize("method", ["patch", "put"])
@pytest.mark.parametrize("edited", [False, True])
def test_a_row_that_was_left_uncertain_is_written_only_if_it_has_not_changed_since(
    sandbox: Sandbox, client: DotyposClient, plans: Plans, method: Any, edited: bool
) -> None:
    id = product(sandbox)
    plan = plans(versioned(sandbox, update_of(id, BEFORE, AFTER)))
    sandbox.faults.append(Fault("reset", method="PATCH", times=100))
    sandbox.faults.append(Fault("reset", method="PUT", times=100))
    with pytest.raises(DotyposWritesFailedError):
        apply_plan(client, plan, ApplyOptions(method=method))
    assert statuses(plan) == ["uncertain"]
    sandbox.faults.clear()
    if edited:
        edit(sandbox, id, priceWithVat=45.0, priceWithoutVat=37.5)
    apply_plan(client, plan, ApplyOptions(method=method, fail_on="none"))
    assert statuses(plan) == ["conflict" if edited else "applied"]
    assert len(sandbox.writes) == (not edited)


@pytest.mark.parametrize("method", ["patch", "put"])
def test_what_is_not_as_planned_fails_the_task_and_the_rest_is_written(
    sandbox: Sandbox, client: DotyposClient, plans: Plans, method: Any, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [product(sandbox) for _ in range(6)]
    category = {"_categoryId": str(row_of(sandbox, ids[0])["_categoryId"])}
    plan = plans(
        *(update_of(id, BEFORE, AFTER, row) for row, id in enumerate(ids, 1)),
        update_of(product(sandbox), category, {"_categoryId": "5"}, 7),
        PlannedRow("conflict", ("x",), 8, why="two rows have this key"),
    )
    edit(sandbox, ids[2], priceWithVat=47.0)
    with pytest.raises(
        DotyposWritesFailedError, match="3 of 8 rows aren't as planned: 2 conflict, 1 rejected"
    ) as caught:
        apply_plan(client, plan, ApplyOptions(method=method))
    assert caught.value.permanent
    assert caught.value.counts == {"applied": 5, "conflict": 2, "rejected": 1}
    assert row_of(sandbox, ids[2])["priceWithVat"] == 47
    changed = f"products {ids[2]}: conflict: somebody changed it since the plan was made (priceWithVat)"
    assert changed in caplog.messages
    assert statuses(plan) == ["applied", "applied", "conflict", *["applied"] * 3, "rejected", "conflict"]
    counts = apply_plan(client, plan, ApplyOptions(method=method, fail_on=0.5)).counts
    assert counts == caught.value.counts


class TestFirstWrite:
    def test_a_field_that_the_api_ignores_stops_after_one_row(
        self, sandbox: Sandbox, client: DotyposClient, plans: Plans
    ) -> None:
        after = {"imageUrl": "https://example.com/tea.png"}
        plan = plans(*(update_of(product(sandbox), {"imageUrl": None}, after, row) for row in range(1, 9)))
        with pytest.raises(DotyposSideEffectError, match="imageUrl isn't as planned") as caught:
            apply_plan(client, plan, BY_PATCH)
        assert caught.value.permanent
        assert [request.method for request in sandbox.requests].count("PATCH") == 1
        assert statuses(plan) == ["not taken", *["not tried"] * 7]

    def test_a_field_that_the_api_derives_stops_after_one_row(
        self, sandbox: Sandbox, client: DotyposClient, plans: Plans
    ) -> None:
        rows = [update_of(product(sandbox), {"priceWithVat": "45"}, {"priceWithVat": "48"}, n) for n in range(1, 9)]
        with pytest.raises(DotyposSideEffectError, match="also changed priceWithoutVat"):
            apply_plan(client, plans(*rows), BY_PATCH)
        assert len(sandbox.writes) == 1

    def test_one_whose_answer_is_lost_shows_nothing(
        self, sandbox: Sandbox, client: DotyposClient, plans: Plans
    ) -> None:
        plan = plans(
            *(update_of(product(sandbox), {"priceWithVat": "45"}, {"priceWithVat": "48"}, n) for n in (1, 2, 3))
        )
        sandbox.faults.append(Fault("reset", method="PATCH", when="after"))
        with pytest.raises(DotyposSideEffectError, match="also changed priceWithoutVat"):
            apply_plan(client, plan, BY_PATCH)
        assert statuses(plan) == ["applied", "applied", "not tried"]

    def test_rejected_rows_come_before_it(self, sandbox: Sandbox, client: DotyposClient, plans: Plans) -> None:
        wrong = {"_categoryId": str(row_of(sandbox, product(sandbox))["_categoryId"])}
        plan = plans(
            *(update_of(product(sandbox), wrong, {"_categoryId": "5"}, row) for row in (1, 2)),
            *(update_of(product(sandbox), BEFORE, AFTER, row) for row in (3, 4)),
        )
        counts = apply_plan(client, plan, ApplyOptions(method="patch", fail_on="none")).counts
        assert counts == {"rejected": 2, "applied": 2}

    def test_it_is_over_before_the_second_begins(
        self, sandbox: Sandbox, client: DotyposClient, priced: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        under_way: list[int] = []
        most: list[int] = []
        send = Transport.send

        def counted(self: Transport, request: Request) -> Answer:
            under_way.append(1)
            most.append(len(under_way))
            try:
                return send(self, request)
            finally:
                under_way.pop()

        monkeypatch.setattr(Transport, "send", counted)
        sandbox.latency = 0.01
        apply_plan(client, priced(12), BY_PATCH)
        assert most[:2] == [1, 1]
        assert 1 < max(most) <= client.settings.max_concurrency


class TestPlansThatMayNotBeApplied:
    @pytest.mark.parametrize(
        ("header", "message"),
        [
            ({"cloud_id": 5}, "the plan is for cloud 5"),
            ({"base_url": "https://api.example.com"}, "the plan was made at"),
            ({"age": timedelta(hours=25)}, "too old: it was made 1500 minutes ago, and max_age allows 1440"),
        ],
    )
    def test_another_clouds_or_an_old_one(
        self, sandbox: Sandbox, client: DotyposClient, priced: Callable[..., Plan], header: Any, message: str
    ) -> None:
        sandbox.requests.clear()
        with pytest.raises(DotyposPlanError, match=message):
            apply_plan(client, priced(2, **header), BY_PATCH)
        assert not sandbox.requests

    def test_creates_without_put(self, sandbox: Sandbox, client: DotyposClient, plans: Plans) -> None:
        planned = PlannedRow("create", ("vegan",), 1, after={"name": "vegan"})
        sandbox.requests.clear()
        with pytest.raises(DotyposPlanError, match='create="post"'):
            apply_plan(client, plans(planned, entity="tags", match=("name",)), BY_PATCH)
        assert not sandbox.requests

    def test_one_that_was_begun_in_time_is_brought_to_its_end(
        self, sandbox: Sandbox, client: DotyposClient, priced: Callable[..., Plan]
    ) -> None:
        plan = priced(3, age=timedelta(hours=23))
        sandbox.faults.append(Fault("403-empty", method="GET", path="/products/", skip=1, times=1000))
        with pytest.raises(DotyposPermissionError):
            apply_plan(client, plan, BY_PATCH)
        sandbox.faults.clear()
        options = ApplyOptions(method="patch", max_age=timedelta(hours=1))
        assert apply_plan(client, plan, options).counts == {"applied": 3}


class TestEndsInBetween:
    def test_what_was_not_reached_is_not_tried_and_goes_on_later(
        self, sandbox: Sandbox, client: DotyposClient, priced: Callable[..., Plan]
    ) -> None:
        plan = priced(12)
        sandbox.faults.append(Fault("403-empty", method="GET", path="/products/", skip=6, times=1000))
        with pytest.raises(DotyposPermissionError) as caught:
            apply_plan(client, plan, BY_PATCH)
        assert caught.value.brought_rows
        header, _rows = report_of(plan)
        assert not header["complete"]
        assert header["counts"] == {"applied": 6, "not tried": 6}
        sandbox.faults.clear()
        sandbox.requests.clear()
        assert apply_plan(client, plan, BY_PATCH).counts == {"applied": 12}
        assert len(sandbox.writes) == 12
        assert len(sandbox.requests) == 1 + 6 * 2  # the rows of the first attempt aren't even read

    def test_a_row_whose_answer_was_lost_is_uncertain_until_then(
        self, sandbox: Sandbox, new_client: NewClient, slept: list[float], priced: Callable[..., Plan]
    ) -> None:
        client = new_client(max_concurrency=1)
        plan = priced(5)
        sandbox.faults.append(Fault("reset", method="PATCH", when="after", skip=1))
        sandbox.faults.append(Fault("403-empty", method="GET", path="/products/", skip=2, times=1000))
        with pytest.raises(DotyposPermissionError):
            apply_plan(client, plan, BY_PATCH)
        assert statuses(plan) == ["applied", "uncertain", "not tried", "not tried", "not tried"]
        sandbox.faults.clear()
        apply_plan(client, plan, BY_PATCH)
        assert len(sandbox.writes) == 5
        assert statuses(plan) == ["applied"] * 5

    def test_a_killed_task_leaves_a_report(
        self, sandbox: Sandbox, client: DotyposClient, priced: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = priced(12)
        send = Transport.send

        def kill(self: Transport, request: Request) -> Answer:
            if request.method == "PATCH" and len(sandbox.writes) >= 5:
                raise DotyposCancelledError("killed")
            return send(self, request)

        monkeypatch.setattr(Transport, "send", kill)
        with pytest.raises(DotyposCancelledError):
            apply_plan(client, plan, BY_PATCH)
        header, rows = report_of(plan)
        assert not header["complete"]
        assert header["counts"]["applied"] == len(sandbox.writes)
        assert "the task was killed" in [row.get("why") for row in rows]

    @pytest.mark.parametrize(
        ("op", "options"),
        [
            ("update", BY_PATCH),
            ("update", ApplyOptions(method="put")),
            ("create", BY_PATCH),
            ("create", ApplyOptions(method="put")),
            ("create", ApplyOptions(create="post")),
            ("delete", BY_PATCH),
        ],
    )
    def test_a_row_is_uncertain_if_a_time_out_breaks_in_upon_its_write(
        self,
        sandbox: Sandbox,
        client: DotyposClient,
        plans: Plans,
        monkeypatch: pytest.MonkeyPatch,
        op: str,
        options: ApplyOptions,
    ) -> None:
        id = product(sandbox, vat=1.21)
        category = str(row_of(sandbox, id)["_categoryId"])
        planned = {
            "update": update_of(id, BEFORE, AFTER),
            "create": create_of(7_000_000_000_000_001, NEW_PRODUCT | {"name": "New", "_categoryId": category}),
            "delete": PlannedRow("delete", (str(id),), 1, id=str(id), before={"name": "Tea"}),
        }
        plan = plans(planned[op])
        send = Transport.send

        def break_in(self: Transport, request: Request) -> Answer:
            answer = send(self, request)
            if request.method == "GET":
                return answer
            raise KilledError

        monkeypatch.setattr(Transport, "send", break_in)
        with pytest.raises(KilledError):
            apply_plan(client, plan, options)
        assert len(sandbox.writes) == 1
        assert statuses(plan) == ["uncertain"]

    def test_writes_that_are_never_answered_end_it_soon(
        self, sandbox: Sandbox, client: DotyposClient, priced: Callable[..., Plan]
    ) -> None:
        plan = priced(30)
        sandbox.faults.append(Fault("500", method="PATCH", skip=3, times=10_000))
        with pytest.raises(DotyposWritesFailedError, match="but not written: answers were lost") as caught:
            apply_plan(client, plan, BY_PATCH)
        assert not caught.value.permanent
        header, _ = report_of(plan)
        assert not header["complete"]
        assert header["counts"]["applied"] == 3
        assert header["counts"]["uncertain"] < 10
        sandbox.faults.clear()
        assert apply_plan(client, plan, BY_PATCH).counts == {"applied": 30}

    def test_two_at_once_write_each_row_once(
        self, sandbox: Sandbox, client: DotyposClient, priced: Callable[..., Plan], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plan = priced(20)
        send, begins = Transport.send, threading.Lock()

        def meanwhile(self: Transport, request: Request) -> Answer:
            if request.method == "PATCH" and len(sandbox.writes) >= 7 and begins.acquire(blocking=False):
                apply_plan(client, plan, BY_PATCH)
            return send(self, request)

        monkeypatch.setattr(Transport, "send", meanwhile)
        assert apply_plan(client, plan, BY_PATCH).counts == {"applied": 20}  # by one or the other
        assert begins.locked()
        assert len(sandbox.writes) == 20
        header, rows = report_of(plan)
        assert header["unreported"] == []
        assert {row["written"] for row in rows} == {"yes"}

    def test_a_plan_that_takes_more_than_the_budget_comes_to_its_end(
        self, sandbox: Sandbox, new_client: NewClient, plans: Plans, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        clock = Clock(monkeypatch)
        rows = [update_of(product(sandbox), BEFORE, AFTER, row) for row in range(1, 61)]
        plan = plans(*rows)
        sandbox.limit = Limit(30, 1800.0, window="sliding", clock=lambda: time.monotonic())
        put_offs: list[DotyposBudgetError] = []
        while True:
            client = new_client(request_budget="30/30min each", max_concurrency=3)
            try:
                applied = apply_plan(client, plan, BY_PATCH)
            except DotyposBudgetError as error:
                put_offs.append(error)
                clock.advance_to(error.retry_at or datetime.max)
            else:
                break
        assert all(error.brought_rows for error in put_offs)
        assert applied.counts == {"applied": 60}
        assert len(sandbox.writes) == 60
        assert len(put_offs) <= 6  # 120 requests, of which a put-off waits until three quarters are free
        assert not [request for request in sandbox.requests if request.status == 429]


class Clock:
    """The process's clocks, which can be moved on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        for name in ("monotonic", "time"):
            real = getattr(time, name)
            monkeypatch.setattr(time, name, lambda real=real: real() + self._ahead)

    def advance_to(self, moment: datetime) -> None:
        self._ahead += max(0.0, moment.timestamp() - time.time())


class TestCreates:
    @pytest.mark.parametrize("method", ["patch", "put"])
    def test_rows_are_created_once(self, sandbox: Sandbox, client: DotyposClient, plans: Plans, method: Any) -> None:
        ids = range(7_000_000_000_000_001, 7_000_000_000_000_006)
        rows = [create_of(id, {**GROUP, "externalId": str(id)}, row) for row, id in enumerate(ids, 1)]
        plan = plans(*rows, entity="discount-groups")
        for _ in range(2):
            assert apply_plan(client, plan, ApplyOptions(method=method)).counts == {"applied": 5}
        assert sorted(write.id or 0 for write in sandbox.writes) == [*ids]

    def test_a_cloud_without_ids_of_ours_ends_the_run_with_its_cure(
        self, sandbox: Sandbox, client: DotyposClient, plans: Plans
    ) -> None:
        sandbox.behaviour = Behaviour(own_ids="refused")
        rows = [create_of(7_000_000_000_000_000 + row, GROUP, row) for row in range(1, 4)]
        with pytest.raises(DotyposPlanError, match='create="post"'):
            apply_plan(client, plans(*rows, entity="discount-groups"), BY_PATCH)


def test_the_log_names_twenty_rows(
    sandbox: Sandbox, client: DotyposClient, plans: Plans, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [PlannedRow("conflict", (str(row),), row, why="there is none") for row in range(1, 31)]
    with pytest.raises(DotyposWritesFailedError, match="30 of 30 rows"):
        apply_plan(client, plans(*rows), BY_PATCH)
    assert [message for message in caplog.messages if "there is none" in message] == [
        f"products of row {row}: conflict: there is none" for row in range(1, 21)
    ]


def test_the_error_names_no_row(client: DotyposClient, priced: Callable[..., Plan], sandbox: Sandbox) -> None:
    plan = priced(2)
    sandbox.faults.append(Fault("reset", method="PATCH", times=1000))
    with pytest.raises(DotyposWritesFailedError, match="Applying the same plan again") as caught:
        apply_plan(client, plan, BY_PATCH)
    assert not caught.value.permanent
    assert not isinstance(caught.value, DotyposPlanError)
    assert isinstance(caught.value, DotyposError)
