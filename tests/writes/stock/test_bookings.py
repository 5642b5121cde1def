"""Stock-ups, sales and transfers are booked once, whatever becomes of an answer or a task, or is sold in between.

`posting` is tested along, as it is what sends them.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.exceptions import (
    DotyposError,
    DotyposInputError,
    DotyposPlanError,
    DotyposRateLimitError,
    DotyposUncertainBookingError,
    DotyposValidationError,
)
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.sandbox.behaviour import BEST_KNOWN, CHOICES, WRITE_CHOICES, Behaviour
from airflow_provider_dotypos.writes.stock import bookings as stock
from airflow_provider_dotypos.writes.stock import posting
from airflow_provider_dotypos.writes.stock.journal import Entry, Journal
from tests.patience import PATIENCE
from tests.transfers.conftest import bucket as bucket
from tests.transfers.conftest import s3_url as s3_url
from tests.writes.shelf import Shelf, new_product
from tests.writes.shelf import bodies as bodies
from tests.writes.shelf import connection as connection
from tests.writes.shelf import sandbox as sandbox
from tests.writes.shelf import server as server
from tests.writes.shelf import shelf as shelf
from tests.writes.shelf import slept as slept
from tests.writes.stock_storm import Killed, book_in_a_storm, die


def test_a_delivery_is_booked_once_however_often_its_task_runs(
    sandbox: Sandbox, shelf: Shelf, bodies: list[Any]
) -> None:
    items = [
        {"externalId": "TEA", "quantity": "2.5", "purchasePrice": "41.3223140495868"},
        {"_productId": shelf.products[1], "quantity": 4},
    ]
    delivery_note = sandbox.shop.insert(shelf.cloud, "delivery-notes", {})["id"]
    arguments = {
        "supplier_id": None,
        "close_delivery_notes": [delivery_note],
        "note": "weekly",
        "update_purchase_price": True,
    }
    first = shelf.book("stock_up", items, **arguments)
    assert first.items() >= {"status": "applied", "document": "DN-1", "items": 2, "parts": 1}.items()
    assert len(first["transactions"]) == 1
    assert shelf.book("stock_up", items) == {**first, "status": "already"}
    assert shelf.levels()[:2] == [2.5, 4.0]
    tea, milk = map(str, shelf.products)
    assert bodies == [
        {
            "invoiceNumber": "DN-1",
            "updatePurchasePrice": True,
            "note": "weekly",
            "_closeDeliveryNoteIds": [str(delivery_note)],
            "currency": "CZK",
            "items": [
                {"_productId": milk, "quantity": "4"},
                {"_productId": tea, "quantity": "2.5", "purchasePrice": "41.3223140495868"},
            ],
        }
    ]


#: How an answer gets lost: before or after the request was carried out.
LOST = [
    ("reset", "before"),
    ("503", "before"),
    ("reset", "after"),
    ("502", "after"),
    ("404-empty", "after"),
    ("html-200", "before"),
    ("cut-json", "after"),
]


@pytest.mark.parametrize(("kind", "when"), LOST, ids=str)
@pytest.mark.parametrize("operation", ["stock_up", "sell", "transfer"])
def test_a_lost_answer_is_settled_by_the_stock(
    operation: str, kind: str, when: Any, sandbox: Sandbox, shelf: Shelf, slept: list[float]
) -> None:
    shelf.fill(10)
    sandbox.faults.append(Fault(kind, when=when, method="POST", path="/warehouses/"))
    assert shelf.book(operation)["status"] == "applied"
    assert shelf.levels() == shelf.booked(operation)
    assert len(sandbox.writes) == 1
    if kind != "cut-json":  # an answer that can't be read is an answer
        assert max(slept) >= 59


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["stock_up", "sell", "transfer"])
def test_in_doubt_nothing_is_sent_again(
    operation: str, when: Any, sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(10)
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: shelf.sell_meanwhile(seconds))
    sandbox.faults.append(Fault("reset", when=when, method="POST", path="/warehouses/"))
    with pytest.raises(DotyposUncertainBookingError, match="Nobody knows whether part 1 is booked") as caught:
        shelf.book(operation)
    assert caught.value.permanent
    assert {trace["before"] for trace in caught.value.evidence} <= {"10", None}
    levels = shelf.levels()
    for _ in range(2):
        with pytest.raises(DotyposUncertainBookingError, match="make an empty file"):
            shelf.book(operation)
    assert len(sandbox.writes) == (when == "after")
    assert shelf.levels() == levels


@pytest.mark.parametrize(
    ("operation", "dish", "kept", "uncertain"),
    [
        ("sell", "deleted", True, False),
        ("sell", True, True, True),  # the ingredients' levels move
        ("stock_up", True, True, False),
        ("sell", False, True, False),
        ("sell", False, False, True),
        ("stock_up", False, False, True),
    ],
)
def test_levels_that_would_not_move_say_nothing(
    operation: str,
    dish: bool | str,
    kept: bool,
    uncertain: bool,
    sandbox: Sandbox,
    shelf: Shelf,
    slept: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tea, milk = shelf.products
    sandbox.shop.update(shelf.cloud, "products", tea, {"stockDeduct": kept})
    shelf.fill(10)
    if dish:
        recipe = {"_parentProductId": tea, "_productId": milk, "quantity": 1.0, "deleted": dish == "deleted"}
        sandbox.shop.insert(shelf.cloud, "product-ingredients", recipe)
    sandbox.faults.append(Fault("reset", method="POST", path="/warehouses/"))
    with pytest.raises(DotyposUncertainBookingError, match="such products may leave") if uncertain else nullcontext():
        shelf.book(operation, [{"externalId": "TEA", "quantity": 1}])
    assert len(sandbox.writes) == (not uncertain)


@pytest.mark.parametrize(("decided", "status", "writes"), [("applied", "already", 0), ("not-applied", "applied", 1)])
def test_a_person_decides_by_a_file(
    decided: str, status: str, writes: int, sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(10)
    with monkeypatch.context() as patch:
        patch.setattr(DotyposClient, "sleep", lambda _, seconds: shelf.sell_meanwhile(seconds))
        sandbox.faults.append(Fault("reset", method="POST", path="/warehouses/"))
        with pytest.raises(DotyposUncertainBookingError) as caught:
            shelf.book("stock_up")
    place = next(word for word in str(caught.value).split() if word.rstrip(",.;").endswith(f"1.{decided}"))
    Path(place.rstrip(",.;").removeprefix("file://")).touch()
    assert shelf.book("stock_up")["status"] == status
    assert len(sandbox.writes) == writes


def test_a_purchase_price_shows_a_stock_up_that_a_till_has_sold_of(
    sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(10)
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: shelf.sell_meanwhile(seconds))
    sandbox.faults.append(Fault("reset", when="after", method="POST", path="/stockups"))
    items = [{"externalId": name, "quantity": 2, "purchasePrice": "41.3223140495868"} for name in ("TEA", "MILK")]
    assert shelf.book("stock_up", items, update_purchase_price=True)["status"] == "applied"
    assert len(sandbox.writes) == 1


def test_answers_that_get_lost_again_and_again_leave_it_to_a_retry(
    sandbox: Sandbox, shelf: Shelf, slept: list[float]
) -> None:
    sandbox.faults.append(Fault("reset", times=3, method="POST", path="/stockups"))
    with pytest.raises(DotyposError, match="isn't booked after 3 tries: no answer came") as caught:
        shelf.book("stock_up")
    assert not caught.value.permanent
    assert not sandbox.writes
    assert shelf.book("stock_up")["status"] == "applied"
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize(
    ("step", "writes"),
    [
        ("look", 0),  # before the journal's entry
        ("send", 0),  # after it
        ("end", 1),  # when the answer has come
    ],
)
@pytest.mark.parametrize("operation", ["stock_up", "sell", "transfer"])
def test_a_task_that_is_killed_at_any_step_goes_on_where_it_was(
    operation: str,
    step: str,
    writes: int,
    sandbox: Sandbox,
    shelf: Shelf,
    slept: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf.fill(10)
    with monkeypatch.context() as patch:
        patch.setattr(Journal if step == "end" else stock._Booking, step, die)
        with pytest.raises(Killed):
            shelf.book(operation)
    assert len(sandbox.writes) == writes
    assert shelf.book(operation)["status"] == "applied"
    assert len(sandbox.writes) == 1
    assert shelf.levels() == shelf.booked(operation)
    # The dead one could have sent for 30 seconds and waited for an answer for the connection's timeout.
    assert (max(slept, default=0) > 140) == (step != "look")


def test_of_two_tasks_that_book_the_same_document_one_sends(
    sandbox: Sandbox, shelf: Shelf, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Journal.begin
    results: list[dict[str, Any]] = []

    def race(journal: Journal, entry: Entry) -> bool:
        monkeypatch.setattr(Journal, "begin", begin)
        results.append(shelf.book("stock_up"))  # the other one overtakes between the look and the entry
        return begin(journal, entry)

    monkeypatch.setattr(Journal, "begin", race)
    results.append(shelf.book("stock_up"))
    assert len(sandbox.writes) == 1
    assert [result["status"] for result in results] == ["applied", "applied"]


def test_the_task_that_loses_the_race_does_not_take_other_items_for_its_own(
    sandbox: Sandbox, shelf: Shelf, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Journal.begin

    def race(journal: Journal, entry: Entry) -> bool:
        monkeypatch.setattr(Journal, "begin", begin)
        shelf.book("stock_up", [{"externalId": "TEA", "quantity": 1}])
        return begin(journal, entry)

    monkeypatch.setattr(Journal, "begin", race)
    with pytest.raises(DotyposInputError, match="with other items before"):
        shelf.book("stock_up", [{"externalId": "TEA", "quantity": 7}])
    assert len(sandbox.writes) == 1


def test_many_tasks_at_once_book_once(sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    booked = Event()
    # Those who find another one's entry wait until its request is over.
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: booked.wait(PATIENCE) if seconds > 0 else None)

    def book(_: int) -> str:
        status: str = shelf.book("stock_up")["status"]
        booked.set()
        return status

    with ThreadPoolExecutor(4) as pool:
        statuses = set(pool.map(book, range(4)))
    assert len(sandbox.writes) == 1
    assert statuses <= {"applied", "already"}


def test_a_request_that_has_to_wait_longer_than_others_wait_for_it_is_not_sent(
    sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [time.time()]
    monkeypatch.setattr(posting, "time", SimpleNamespace(time=lambda: clock[0]))
    send, tries = stock._Booking.send, []

    def late(booking: stock._Booking) -> Any:
        tries.append(clock[0])
        clock[0] += 31 if len(tries) == 1 else 0
        return send(booking)

    monkeypatch.setattr(stock._Booking, "send", late)
    assert shelf.book("stock_up")["status"] == "applied"
    assert len(tries) == 2
    assert len(sandbox.writes) == 1


def test_a_refusal_books_nothing_and_a_corrected_document_may_follow(
    sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = Journal.begin

    def remove_tea(journal: Journal, entry: Entry) -> bool:
        sandbox.shop.remove(shelf.cloud, "products", shelf.products[0])
        return begin(journal, entry)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "begin", remove_tea)
        with pytest.raises(DotyposValidationError):
            shelf.book("stock_up")
    assert shelf.book("stock_up", [{"externalId": "MILK", "quantity": 3}])["status"] == "applied"
    assert len(sandbox.writes) == 1


def test_other_items_under_a_booked_number_are_refused(sandbox: Sandbox, shelf: Shelf) -> None:
    shelf.book("stock_up")
    with pytest.raises(DotyposInputError, match="sent with other items before"):
        shelf.book("stock_up", [{"externalId": "TEA", "quantity": 3}])
    more = [{"externalId": name, "quantity": 2} for name in ("TEA", "MILK")] * 60
    with pytest.raises(DotyposInputError, match="sent with other items before"):
        shelf.book("stock_up", more)
    assert len(sandbox.writes) == 1


def test_the_same_items_in_another_order_are_the_same_document(sandbox: Sandbox, shelf: Shelf) -> None:
    """A query without an order gives its rows in any."""
    items = [{"_productId": new_product(sandbox, shelf.cloud, f"P{n}"), "quantity": 1 + n % 3} for n in range(150)]
    assert shelf.book("stock_up", items)["status"] == "applied"
    assert shelf.book("stock_up", items[::-1])["status"] == "already"
    assert len(sandbox.writes) == 2


def test_a_product_in_two_parts_has_moved_before_the_second(sandbox: Sandbox, shelf: Shelf, slept: list[float]) -> None:
    shelf.fill(10)
    sandbox.faults.append(Fault("reset", skip=1, method="POST", path="/stockups"))
    assert shelf.book("stock_up", [{"externalId": "TEA", "quantity": 1}] * 200)["parts"] == 2
    assert shelf.levels()[0] == 210


def test_a_number_is_sent_as_text(shelf: Shelf, bodies: list[Any]) -> None:
    assert shelf.book("stock_up", document=17)["status"] == "applied"
    assert shelf.book("transfer", document=" 17 ")["document"] == "17"
    assert [body["invoiceNumber"] for body in bodies] == ["17", "17"]


def test_numbers_that_differ_in_odd_characters_only_are_different_documents(sandbox: Sandbox, shelf: Shelf) -> None:
    for number in ("DN/1", "DN 1", "DN-1", "../DN-1"):
        assert shelf.book("stock_up", document=number)["status"] == "applied"
    assert len(sandbox.writes) == 4


def test_a_document_of_more_items_than_one_request_takes_resumes_where_it_ended(
    sandbox: Sandbox, shelf: Shelf, slept: list[float]
) -> None:
    names = [f"P{number}" for number in range(250)]
    ids = [new_product(sandbox, shelf.cloud, name) for name in names]
    items = [{"externalId": name, "quantity": 1} for name in names]
    sandbox.faults.append(Fault("429", skip=1, times=1000, method="POST", path="/stockups"))
    with pytest.raises(DotyposError):
        shelf.book("stock_up", items)
    sandbox.faults.clear()
    result = shelf.book("stock_up", items)
    assert (result["status"], result["items"], result["parts"], len(result["transactions"])) == ("applied", 250, 3, 3)
    assert len(sandbox.writes) == 3
    assert {shelf.level(shelf.warehouse, id) for id in ids} == {1.0}


def test_all_products_are_looked_up_before_anything_is_sent(sandbox: Sandbox, shelf: Shelf) -> None:
    gone = new_product(sandbox, shelf.cloud, "GONE")
    sandbox.shop.update(shelf.cloud, "products", gone, {"deleted": True})
    new_product(sandbox, shelf.cloud, "TWIN")
    new_product(sandbox, shelf.cloud, "TWIN")
    items = [{"externalId": "TEA", "quantity": 1}] * 120
    items += [{"externalId": name, "quantity": 1} for name in ("GONE", "TWIN", "NONE")]
    with pytest.raises(DotyposPlanError) as caught:
        shelf.book("stock_up", items)
    assert [(problem.row, problem.field, problem.what) for problem in caught.value.problems] == [
        (121, "externalId", "the product is deleted"),
        (122, "externalId", "2 products have it: name the product by _productId"),
        (123, "externalId", "there is no such product in the cloud"),
    ]
    with pytest.raises(DotyposPlanError, match="row 1: _productId: there is no such product"):
        shelf.book("stock_up", [{"_productId": 5, "quantity": 1}, {"externalId": "TEA", "quantity": 1}])
    assert not sandbox.writes


def test_the_currency_is_the_clouds_unless_it_is_given(
    sandbox: Sandbox, shelf: Shelf, bodies: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox.shop, "currency", lambda _: "PLN")
    shelf.book("stock_up")
    shelf.book("sell", document="2", currency="EUR")
    assert [body["currency"] for body in bodies] == ["PLN", "EUR"]
    monkeypatch.setattr(sandbox.shop, "currency", lambda _: None)
    with pytest.raises(DotyposInputError, match="the cloud doesn't say its currency"):
        shelf.book("stock_up", document="3")
    assert len(sandbox.writes) == 2


@pytest.mark.parametrize(
    ("operation", "costs"), [("stock_up", [2, 3, 6]), ("sell", [2, 3, 8]), ("transfer", [3, 5, 10])]
)
def test_what_a_booking_costs_in_doubt_and_repeated(
    sandbox: Sandbox, shelf: Shelf, slept: list[float], operation: str, costs: list[int]
) -> None:
    shelf.fill(100)
    DotyposHook().get("manifest")
    cost: list[int] = []
    for when in (None, "after", "before"):
        if when is not None:
            sandbox.faults.append(Fault("reset", when=when, method="POST", path="/warehouses/"))
        sandbox.requests.clear()
        assert shelf.book(operation, currency="CZK", document=f"lost {when}")["status"] == "applied"
        cost.append(len(sandbox.requests))
    assert cost == costs
    sandbox.requests.clear()
    assert shelf.book(operation, document="lost after")["status"] == "already"
    assert not sandbox.requests


def test_lag_of_less_than_settle_fools_nobody(sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf.fill(10)
    sandbox.behaviour = replace(sandbox.behaviour, commit_lag=10.0)
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: sandbox.shop.advance(seconds))
    sandbox.shop.advance(60)
    sandbox.faults.append(Fault("reset", when="after", method="POST", path="/stockups"))
    assert shelf.book("stock_up")["status"] == "applied"
    sandbox.faults.append(Fault("reset", when="before", method="POST", path="/stockups"))
    assert shelf.book("stock_up", document="2")["status"] == "applied"
    assert len(sandbox.writes) == 2


def test_a_request_that_arrives_late_within_settle_is_booked_once(
    sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(10)
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: sandbox.shop.advance(seconds))
    sandbox.faults.append(Fault("reset", when="late", seconds=45, method="POST", path="/stockups"))
    assert shelf.book("stock_up")["status"] == "applied"
    assert [(write.lost, write.late) for write in sandbox.writes] == [(True, True)]


@pytest.mark.parametrize("has_price", [False, True])
def test_a_copy_that_arrives_after_its_repeat_is_noticed(
    has_price: bool, sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(10)
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: shelf.pass_time(seconds))
    sandbox.faults.append(Fault("reset", when="late", seconds=90, method="POST", path="/stockups"))
    # A purchase price shows that it was booked, and not how often.
    items = [{"externalId": name, "quantity": 2, "purchasePrice": "41.5"} for name in ("TEA", "MILK")]
    for _ in range(2):
        with pytest.raises(DotyposUncertainBookingError, match="moved by twice its quantities"):
            shelf.book("stock_up", items, update_purchase_price=has_price)
    assert len(sandbox.writes) == 2  # no client can keep the first from arriving


def test_a_failure_of_that_look_sends_nothing_again(
    sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(10)
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: shelf.pass_time(seconds))
    sandbox.faults.append(Fault("reset", method="POST", path="/stockups"))
    # The first looks are at the products and at the stock after the lost answer, and before the repeat.
    sandbox.faults.append(Fault("429", skip=3, times=99, method="GET", path="/warehouses/"))
    with pytest.raises(DotyposRateLimitError):
        shelf.book("stock_up")
    assert len(sandbox.writes) == 1
    sandbox.faults.clear()
    assert shelf.book("stock_up")["status"] == "applied"
    assert len(sandbox.writes) == 1


@pytest.mark.parametrize("seed", range(2))
def test_nothing_is_booked_twice_in_a_storm(seed: int, sandbox: Sandbox, shelf: Shelf) -> None:
    book_in_a_storm(seed, sandbox, shelf, documents=15)


def test_an_earlier_delivery_that_shows_late_does_not_pass_for_an_equal_one(
    sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(10)
    shelf.pass_time(60)
    sandbox.behaviour = replace(sandbox.behaviour, commit_lag=10.0)
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: shelf.pass_time(seconds))
    shelf.book("stock_up")
    shelf.pass_time(2)
    sandbox.faults.append(Fault("reset", when="before", method="POST", path="/stockups"))
    with pytest.raises(DotyposUncertainBookingError):
        shelf.book("stock_up", document="DN-2")
    assert len(sandbox.writes) == 1


def test_a_broken_off_document_may_be_corrected_once_it_shows_that_nothing_was_booked(
    sandbox: Sandbox, shelf: Shelf, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    for step, allowed in [("send", True), ("end", False)]:
        with monkeypatch.context() as patch:
            patch.setattr(Journal if step == "end" else stock._Booking, step, die)
            with pytest.raises(Killed):
                shelf.book("stock_up", document=step)
        with nullcontext() if allowed else pytest.raises(DotyposInputError, match="with other items before"):
            shelf.book("stock_up", [{"externalId": "TEA", "quantity": 3}], document=step)
    assert len(sandbox.writes) == 2


#: Of the switches of writes, those that a warehouse operation or its look-ups can meet.
MET = ("external_ids", "filter_escapes", "violation_paths", "status_host", "stock_taking")
POSITIONS = [
    replace(BEST_KNOWN, **{name: value})
    for name, values in {**CHOICES, **{name: WRITE_CHOICES[name] for name in MET}}.items()
    for value in values[1:]
]


@pytest.mark.parametrize("position", POSITIONS, ids=lambda position: _named(position))
def test_it_holds_in_every_position_of_every_switch(
    position: Behaviour, sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: shelf.pass_time(seconds))
    shelf.fill(10)
    sandbox.behaviour = position
    for when in ("before", "after"):
        sandbox.faults.append(Fault("reset", when=when, method="POST", path="/warehouses/"))
        assert shelf.book("transfer", document=when)["status"] == "applied"
    sandbox.faults.append(Fault("reset", when="after", method="POST", path="/stock-takings"))
    assert shelf.take_stock()["status"] == "applied"
    assert len(sandbox.writes) == 3
    assert shelf.levels() == [7.5, 3.0, 5.0, 2.0]


def _named(position: Behaviour) -> str:
    changed = {name: value for name, value in vars(position).items() if value != getattr(BEST_KNOWN, name)}
    return "-".join(f"{name}={value}" for name, value in changed.items()) or "best known"


def test_a_journal_on_an_object_store_does_the_same(bucket: str, sandbox: Sandbox, shelf: Shelf) -> None:
    assert shelf.book("stock_up", journal=bucket)["status"] == "applied"
    assert shelf.book("stock_up", journal=bucket)["status"] == "already"
    assert len(sandbox.writes) == 1
