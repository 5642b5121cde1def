"""Stock-takings: sent once by the time of the count, and awaited, as Dotypos processes them later.

What was counted replaces the level. So one that is sent again later would undo the sales in between. Of one whose
answer was lost, the dates of its products' last stock-taking say whether it has arrived: Dotypos takes only one that is
later than the last. Without a trace it is sent again if nothing has moved since, and otherwise a person decides.

https://docs.api.dotypos.com/entity/warehouse
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Literal, TypeVar

import msgspec
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.errors import (
    DotyposError,
    DotyposNotFoundError,
    DotyposResponseError,
    DotyposWriteError,
)
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.gate import backoff
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.page import SECOND, timestamp
from airflow_provider_dotypos.api.paths import own_path
from airflow_provider_dotypos.api.places import row_of
from airflow_provider_dotypos.api.steps import Flow, Perform, Sleep
from airflow_provider_dotypos.writes.errors import DotyposStockTakingError
from airflow_provider_dotypos.writes.stock.bookings import Document, Receipt, Stock, post_all, read_levels
from airflow_provider_dotypos.writes.stock.foreign import fetch
from airflow_provider_dotypos.writes.stock.journal import Entry
from airflow_provider_dotypos.writes.stock.levels import Evidence
from airflow_provider_dotypos.writes.stock.posting import Finding, Posting

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Each wait for a stock-taking is longer than the one before, up to so many seconds.
_GROWTH, _LONGEST_WAIT = 1.5, 60.0

#: How often is asked what the client doesn't ask again by itself.
_MOST_TRIES = 3

#: The reason of one whose products were counted later, or at the same time.
_NOT_LATER = "PRODUCT_STOCK_TAKING_AFTER_DATE"

#: What to do about each reason of a failure [D2].
_CURES: Mapping[str, str] = {
    "STOCK_TAKING_DATE_IN_FUTURE": "counted_at lies in the future: check it, and this machine's clock.",
    "PRODUCT_DOES_NOT_EXIST": "One of the products doesn't exist any more: take it out.",
    "PRODUCT_STOCK_TAKING_IN_FUTURE": "A product has a stock-taking in the future: ask Dotypos.",
    _NOT_LATER: "A product was counted later, or at the same time: count again.",
}


class Status(msgspec.Struct, frozen=True):
    """How far Dotypos has got with a stock-taking.

    :param reason: why it has failed, if it has.
    """

    status: Literal["PROCESSING", "FINISHED", "FAILED"]
    reason: str | None = None
    message: str | None = None


def take_stock(exchange: Exchange, document: Document, folder: str | ObjectStoragePath, settle: float) -> Flow[Receipt]:
    """Return the flow that sends a stock-taking once. What is accepted isn't done: see `finish`.

    :param document: its number is the time of the count.
    :param folder: where journals are kept.
    :param settle: seconds until a stock-taking shows in the API.
    """
    stock = Stock(exchange, document)
    postings = [_Counting(exchange, document, part, stock) for part in range(1, len(document.parts) + 1)]
    return (yield from post_all(exchange, document, postings, folder, settle))


def finish(
    exchange: Exchange, document: Document, receipt: Receipt, *, poll_interval: float, until: float | None
) -> Flow[Receipt | None]:
    """Return the flow that waits until all parts are done, and notes it; ``None`` if one still isn't.

    :param poll_interval: seconds until it is asked again for the first time.
    :param until: how long to wait (epoch seconds); ``None`` to ask once.
    :raises DotyposStockTakingError: if Dotypos has refused a part.
    """
    pending = [entry for entry in receipt.entries if entry.outcome == "accepted"]
    urls = [str(entry.facts["status_url"]) for entry in pending]
    try:
        statuses = yield from poll(exchange, urls, poll_interval=poll_interval, until=until)
    except DotyposNotFoundError:  # how long a status is kept is unknown [U]
        if not (yield from _have_arrived(exchange, document, pending)):
            raise
        statuses = [Status("FINISHED")] * len(pending)
    failed: list[Status] = []
    done: dict[str, Entry] = {}
    for entry, status in zip(pending, statuses, strict=True):
        if status.status == "PROCESSING":
            continue
        outcome: Literal["applied", "not-applied"] = "applied"
        if status.status == "FAILED" and not (yield from _has_arrived_before(exchange, document, entry, status)):
            outcome = "not-applied"
        facts = {**entry.facts, **msgspec.to_builtins(status)}
        done[entry.name] = yield Perform(partial(receipt.journal.end, entry, outcome, facts))
        if outcome == "not-applied":
            failed.append(status)
    if failed:
        reason = failed[0].reason
        raise DotyposStockTakingError(
            f"Dotypos has refused the stock-taking: {reason or failed[0].message or 'it gives no reason'}. "
            f"{_CURES.get(str(reason), 'Look into Dotypos.')} {len(failed)} of {len(receipt.entries)} parts failed.",
            reason=reason,
        )
    if len(done) < len(pending):
        return None
    return receipt._replace(entries=[done.get(entry.name, entry) for entry in receipt.entries])


def _has_arrived_before(exchange: Exchange, document: Document, entry: Entry, status: Status) -> Flow[bool]:
    """Return whether a stock-taking was refused because an earlier copy of it had arrived after all."""
    return status.reason == _NOT_LATER and (yield from _have_arrived(exchange, document, [entry]))


def _have_arrived(exchange: Exchange, document: Document, entries: Sequence[Entry]) -> Flow[bool]:
    """Return whether all products of some entries were last counted at the time of their stock-taking."""
    for entry in entries:
        if entry.evidence is None or not all((yield from _ask_arrived(exchange, document, entry.evidence))):
            return False
    return True


def poll(exchange: Exchange, urls: Sequence[str], *, poll_interval: float, until: float | None) -> Flow[list[Status]]:
    """Return the flow that asks for statuses until none is being processed, or time is up.

    :param urls: where they are asked for.
    :param poll_interval: seconds until they are asked for again for the first time.
    :param until: how long to go on (epoch seconds); ``None`` to ask once.
    """
    statuses = dict.fromkeys(urls, Status("PROCESSING"))
    wait = poll_interval
    while True:
        for url in [url for url, status in statuses.items() if status.status == "PROCESSING"]:
            statuses[url] = yield from ask_status(exchange, url)
        over = all(status.status != "PROCESSING" for status in statuses.values())
        if over or until is None or time.time() + wait > until:
            return [statuses[url] for url in urls]
        yield Sleep(wait)
        wait = min(wait * _GROWTH, _LONGEST_WAIT)


def ask_status(exchange: Exchange, url: str) -> Flow[Status]:
    """Return the flow that asks how far a stock-taking is. Only the API's own host gets a token.

    :param url: ``statusWebhookUrl``, a whole address.
    """
    if own_path(url, exchange.settings) is not None:
        return (yield from exchange.url_flow(url, "the stock-taking's status", decode=_status))

    def ask() -> Flow[Status]:
        status: Status = yield Perform(partial(fetch, url, exchange.settings, _status))
        return status

    return (yield from _again(ask, lambda error: error.passing))


def _status(answer: Answer) -> Status:
    try:
        return msgspec.convert(row_of(answer), Status, strict=False)
    except msgspec.ValidationError:
        raise DotyposResponseError("answered with something that isn't the status of a stock-taking") from None


class _Counting(Posting):
    """A part of a stock-taking."""

    def __init__(self, exchange: Exchange, document: Document, part: int, stock: Stock) -> None:
        self.part = part
        self._exchange = exchange
        self._document = document
        self._items = document.parts[part - 1]
        self._stock = stock
        self.digest = document.digest(self._items)

    def look(self) -> Flow[Evidence]:
        """Return the flow that reads the levels of its products: what is counted replaces them."""
        warehouse = self._document.warehouse_id
        levels = yield from self._stock.look(self.part)
        counted = {self._stock.id(item): item.quantity for item in self._items}
        before = {id: level for id, level in levels[warehouse].items() if id in counted}
        moves = {id: quantity - before[id].number if id in before else quantity for id, quantity in counted.items()}
        times = (level.version for level in before.values() if level.version is not None)
        if late := sum(timestamp(time) > timestamp(self._document.number) for time in times):
            log.warning("%d of %d products have moved since the count, which the count may undo.", late, len(counted))
        return Evidence({warehouse: before}, {warehouse: moves})

    def send(self) -> Flow[Finding]:
        """Return the flow that sends it once."""
        items = [{"_productId": self._stock.id(item), **item.values} for item in self._items]
        body = {**self._document.fields, "stockTakingDate": self._document.number, "items": items}
        return (yield from self._exchange.flow("POST", self._document.path, json=body, decode=_accepted))

    def find_out(self, entry: Entry) -> Flow[Finding]:
        """Return the flow that finds out by the products' dates whether an entry has arrived."""
        if entry.evidence is None:
            return Finding("uncertain", {"why": "the journal's entry can't be read"})
        arrived = yield from _ask_arrived(self._exchange, self._document, entry.evidence)
        if all(arrived):
            return Finding("applied", {"why": "all its products have its date"})
        after = yield from read_levels(self._exchange, entry.evidence.moves)
        untouched = entry.evidence.weigh(after) == "not-applied"
        outcome: Literal["not-applied", "uncertain"] = "uncertain" if any(arrived) or not untouched else "not-applied"
        return Finding(outcome, {"stock": entry.evidence.describe(after)})


def _ask_arrived(exchange: Exchange, document: Document, evidence: Evidence) -> Flow[list[bool]]:
    """Ask of each product whether it was last counted at the time of a stock-taking."""
    products = [*evidence.moves[document.warehouse_id]]
    path = f"warehouses/{document.warehouse_id}/stock-taking-dates"

    def ask() -> Flow[dict[str, int]]:
        return (yield from exchange.flow("POST", path, json={"_productIds": products}, decode=_dates))

    # By its method it is a write, but it only reads, so it may be sent again.
    dates = yield from _again(ask, lambda error: isinstance(error, DotyposWriteError))
    counted = timestamp(document.number)
    return [product in dates and _is_same(dates[product], counted) for product in products]


def _again(ask: Callable[[], Flow[T]], passes: Callable[[DotyposError], bool]) -> Flow[T]:
    """Ask, and some times more after failures that may pass.

    :raises DotyposError: if that doesn't help.
    """
    tries = 0
    while True:
        try:
            return (yield from ask())
        except DotyposError as error:
            tries += 1
            if not passes(error):
                raise
            if tries == _MOST_TRIES:
                raise DotyposError(f"How far the stock-taking is can't be asked for now: {error}") from None
            yield Sleep(backoff(tries))


def _accepted(answer: Answer) -> Finding:
    """Return what the answer to a stock-taking says."""
    row = row_of(answer)
    if not row.get("statusWebhookUrl"):
        raise DotyposResponseError(f"answered {answer.status} without statusWebhookUrl")
    facts = {"status_url": str(row["statusWebhookUrl"]), "transaction": str(row.get("_stockTransactionId"))}
    return Finding("accepted", facts)


def _dates(answer: Answer) -> dict[str, int]:
    rows = answer.json()
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise DotyposResponseError(f"answered {answer.status} with something that isn't a list of dates")
    dates: dict[str, int] = {}
    for row in rows:
        date = row.get("lastStockTakingDate", row.get("stockTakingDate"))  # one client reads the second [C1]
        if date is not None:
            dates[str(row.get("_productId"))] = timestamp(date)
    return dates


def _is_same(shown: int, sent: int) -> bool:
    """Return whether a time is the one that was sent. The API may show no fraction of a second [U]."""
    return shown == sent or (shown % SECOND == 0 and shown // SECOND == sent // SECOND)
