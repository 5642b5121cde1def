"""Stock-takings are sent once, and done only when Dotypos has done them (`stock_taking`, and `foreign` with it)."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from airflow_provider_dotypos.api.client import DotyposClient
from airflow_provider_dotypos.api.paths import own_path
from airflow_provider_dotypos.api.settings import Settings
from airflow_provider_dotypos.exceptions import (
    DotyposError,
    DotyposInputError,
    DotyposNotFoundError,
    DotyposPlanError,
    DotyposResponseError,
    DotyposStockTakingError,
    DotyposUncertainBookingError,
)
from airflow_provider_dotypos.hooks.dotypos import DotyposHook
from airflow_provider_dotypos.sandbox import Fault, Sandbox
from airflow_provider_dotypos.writes.stock import taking as stock_taking
from airflow_provider_dotypos.writes.stock.foreign import fetch
from airflow_provider_dotypos.writes.stock.journal import Journal
from tests.writes.shelf import COUNTED_AT, Shelf
from tests.writes.shelf import bodies as bodies
from tests.writes.shelf import connection as connection
from tests.writes.shelf import sandbox as sandbox
from tests.writes.shelf import server as server
from tests.writes.shelf import shelf as shelf
from tests.writes.shelf import slept as slept


def sent(sandbox: Sandbox, what: str = "/stock-takings") -> int:
    return sum(request.path.endswith(what) for request in sandbox.requests)


def asked(sandbox: Sandbox) -> list[Any]:
    return [request for request in sandbox.requests if request.path.startswith("/status/")]


def test_it_is_done_once_dotypos_says_so(sandbox: Sandbox, shelf: Shelf, slept: list[float], bodies: list[Any]) -> None:
    shelf.fill(10)
    sandbox.stock_taking_polls = 3
    first = shelf.take_stock(note="year's end")
    assert first.items() >= {"status": "applied", "document": "2026-03-01T11:00:00.000Z", "items": 2}.items()
    assert shelf.levels() == [7.5, 3.0, 10.0, 10.0]
    assert [seconds for seconds in slept if seconds] == [5.0, 7.5, 11.25]
    assert shelf.take_stock() == {**first, "status": "already"}
    assert shelf.take_stock(counted_at="2026-03-01T12:00:00+01:00") == {**first, "status": "already"}
    tea, milk = map(str, shelf.products)
    assert bodies == [
        {
            "note": "year's end",
            "stockTakingDate": "2026-03-01T11:00:00.000Z",
            "items": [{"_productId": tea, "quantity": "7.5"}, {"_productId": milk, "quantity": "3"}],
        }
    ]
    assert all("authorization" in {name.lower() for name in request.headers} for request in asked(sandbox))


def test_a_product_is_counted_once_whatever_it_is_called(sandbox: Sandbox, shelf: Shelf) -> None:
    items = [{"_productId": shelf.products[0], "quantity": 3}, {"externalId": "TEA", "quantity": 5}]
    with (
        closing(DotyposHook()) as hook,
        pytest.raises(DotyposPlanError, match="row 2: externalId: is the same product"),
    ):
        hook.take_stock(shelf.warehouse, items, counted_at=COUNTED_AT, journal="file:///tmp/unused")
    assert not sandbox.writes


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_what_has_moved_since_the_count_is_in_the_log(
    sandbox: Sandbox, shelf: Shelf, slept: list[float], seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    shelf.fill(10)
    counted_at = datetime.fromtimestamp(sandbox.shop.now() / 1000, timezone.utc) - timedelta(seconds=seconds)
    sandbox.shop.advance(max(0.0, -seconds) + 1)
    shelf.take_stock(counted_at=counted_at)
    assert ("2 of 2 products have moved since the count" in caplog.text) == (seconds > 0)


def test_one_that_is_not_done_is_awaited_by_the_next_run(sandbox: Sandbox, shelf: Shelf, slept: list[float]) -> None:
    sandbox.stock_taking_polls = 3
    waiting = shelf.take_stock(wait=0)
    assert (waiting["status"], len(waiting["pending"])) == ("accepted", 1)
    with pytest.raises(DotyposError, match="still being processed after 1 s") as caught:
        shelf.take_stock(wait=1)
    assert not caught.value.permanent
    assert shelf.take_stock()["status"] == "applied"
    assert sent(sandbox) == 1


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        ("STOCK_TAKING_DATE_IN_FUTURE", "counted_at lies in the future"),
        ("PRODUCT_STOCK_TAKING_AFTER_DATE", "count again"),
        ("UNEXPECTED", "Look into Dotypos"),
    ],
)
def test_a_refusal_that_comes_late_fails_with_its_cure(
    reason: str, cure: str, sandbox: Sandbox, shelf: Shelf, slept: list[float]
) -> None:
    sandbox.stock_taking_reason = reason
    with pytest.raises(DotyposStockTakingError, match=f"{reason}. .*{cure}") as caught:
        shelf.take_stock()
    assert (caught.value.reason, caught.value.permanent) == (reason, True)
    sandbox.stock_taking_reason = None
    assert shelf.take_stock()["status"] == "applied"


@pytest.mark.parametrize(
    ("kind", "when", "sendings"),
    [
        ("reset", "before", 2),
        ("503", "before", 2),
        ("reset", "after", 1),
        ("503", "after", 1),
        ("cut-json", "after", 1),
    ],
)
def test_the_products_dates_settle_a_lost_answer(
    kind: str, when: Any, sendings: int, sandbox: Sandbox, shelf: Shelf, slept: list[float]
) -> None:
    shelf.fill(10)
    sandbox.faults.append(Fault(kind, when=when, method="POST", path="/stock-takings"))
    assert shelf.take_stock()["status"] == "applied"
    assert (len(sandbox.writes), sent(sandbox)) == (1, sendings)
    assert shelf.levels()[:2] == [7.5, 3.0]
    assert max(slept) >= 59


def test_a_repeat_never_wipes_what_was_sold_in_between(
    sandbox: Sandbox, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf.fill(10)
    monkeypatch.setattr(DotyposClient, "sleep", lambda _, seconds: shelf.sell_meanwhile(seconds))
    sandbox.faults.append(Fault("reset", method="POST", path="/stock-takings"))
    for _ in range(2):
        with pytest.raises(DotyposUncertainBookingError):
            shelf.take_stock()
    assert not sandbox.writes
    assert shelf.levels()[:2] == [9.0, 10.0]


def test_one_that_arrives_late_counts_once(sandbox: Sandbox, shelf: Shelf, slept: list[float]) -> None:
    shelf.fill(10)
    # It is carried out when the repeat is on its way: after the look at the dates and at the levels.
    sandbox.faults.append(Fault("reset", when="late", calls=3, method="POST", path="/stock-takings"))
    assert shelf.take_stock()["status"] == "applied"
    assert (len(sandbox.writes), sent(sandbox)) == (1, 2)
    assert shelf.take_stock()["status"] == "already"


def test_a_killed_task_goes_on_where_it_was(
    sandbox: Sandbox, shelf: Shelf, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def die(*_: object) -> Any:
        raise Killed

    for owner, step in [(stock_taking._Counting, "look"), (stock_taking._Counting, "send"), (Journal, "end")]:
        with monkeypatch.context() as patch:
            patch.setattr(owner, step, die)
            with pytest.raises(Killed):
                shelf.take_stock()
    assert shelf.take_stock()["status"] == "applied"
    assert len(sandbox.writes) == 1


def test_a_status_that_is_gone_is_replaced_by_the_dates(sandbox: Sandbox, shelf: Shelf, slept: list[float]) -> None:
    shelf.take_stock(wait=0)
    sandbox.faults.append(Fault("404-empty", path="/status/"))
    assert shelf.take_stock()["status"] == "applied"
    sandbox.stock_taking_reason = "UNEXPECTED"
    shelf.take_stock(wait=0, counted_at="2026-03-01T11:30:00Z")
    sandbox.faults.append(Fault("404-empty", path="/status/"))
    with pytest.raises(DotyposNotFoundError):
        shelf.take_stock(counted_at="2026-03-01T11:30:00Z")


def test_dates_whose_answer_is_lost_are_asked_for_again(sandbox: Sandbox, shelf: Shelf, slept: list[float]) -> None:
    sandbox.faults.append(Fault("reset", when="after", method="POST", path="/stock-takings"))
    sandbox.faults.append(Fault("reset", times=2, path="/stock-taking-dates"))
    assert shelf.take_stock()["status"] == "applied"
    assert len(sandbox.writes) == 1


def test_a_foreign_host_is_asked_without_a_token(sandbox: Sandbox, shelf: Shelf, slept: list[float]) -> None:
    sandbox.behaviour = replace(sandbox.behaviour, status_host="foreign")
    sandbox.stock_taking_polls = 2
    sandbox.faults += [Fault("503", path="/status/"), Fault("reset", path="/status/")]
    assert shelf.take_stock()["status"] == "applied"
    headers = [{name.lower() for name in request.headers} for request in asked(sandbox)]
    assert len(headers) == 5
    assert not any("authorization" in names for names in headers)


@pytest.mark.parametrize(
    ("url", "is_own"),
    [
        ("https://api.dotykacka.cz/status/5?key=x", True),
        ("https://API.dotykacka.cz:443/status/5", True),
        ("http://api.dotykacka.cz/status/5", False),
        ("https://api.dotykacka.cz:8443/status/5", False),
        ("https://api.dotykacka.cz.example.com/status/5", False),
        ("https://api.dotykacka.cz@example.com/status/5", False),
        ("https://user@api.dotykacka.cz/status/5", False),
        ("https://api.dotykacka.cz\\@example.com/status/5", False),
        ("//api.dotykacka.cz/status/5", False),
        ("https://api.dotykacka.cz:0/", False),
        ("https://[/", False),
        ("https://api.dotykacka.cz/status 5", False),
        ("", False),
    ],
)
def test_a_token_goes_to_the_apis_own_host_only(url: str, is_own: bool) -> None:
    settings = Settings.from_fields(extra={"refresh_token": "x", "cloud_id": 5})
    exchange = DotyposClient(settings)
    assert (own_path(url, settings) is not None) == is_own
    if not is_own:
        with pytest.raises(DotyposInputError, match="no token may go there"):
            exchange.url_flow(url, "the status", decode=lambda answer: answer)
        with pytest.raises(DotyposResponseError, match="isn't plain https"):
            fetch(url.replace("https://", "http://"), settings, lambda answer: answer)


def test_counted_twice_negative_or_without_zone_is_refused(shelf: Shelf) -> None:
    tea, milk = shelf.products
    shelf.products = [tea, tea]
    with pytest.raises(DotyposPlanError, match="the same product as in row 1"):
        shelf.take_stock()
    shelf.products = [tea, milk]
    with pytest.raises(DotyposPlanError, match="must be what was counted, 0 or more"):
        shelf.take_stock((-1, 0))
    with pytest.raises(DotyposInputError, match="counted_at"):
        shelf.take_stock(counted_at="2026-03-01T11:00:00")
