"""Stock-ups, sales and transfers: booked once by a document's number, however often they are asked for.

``posting`` says how, and why a crash books nothing twice. Here is what differs between them: what is sent, and which
levels it moves.

https://docs.api.dotypos.com/entity/warehouse
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec
from airflow.sdk import ObjectStoragePath

from airflow_provider_dotypos.api.entities import find_entity
from airflow_provider_dotypos.api.errors import (
    DotyposApiError,
    DotyposInputError,
    DotyposResponseError,
    DotyposUnreadableAnswerError,
)
from airflow_provider_dotypos.api.exchange import Exchange
from airflow_provider_dotypos.api.http import Answer
from airflow_provider_dotypos.api.places import row_of
from airflow_provider_dotypos.api.steps import Flow, Perform
from airflow_provider_dotypos.api.window import milliseconds
from airflow_provider_dotypos.writes.errors import Problem
from airflow_provider_dotypos.writes.look_up import look_up
from airflow_provider_dotypos.writes.sources.problems import Problems
from airflow_provider_dotypos.writes.stock.arguments import Operation, check_currency
from airflow_provider_dotypos.writes.stock.items import Item, refuse_doubles, split
from airflow_provider_dotypos.writes.stock.journal import Entry, Journal, open_journal
from airflow_provider_dotypos.writes.stock.levels import Evidence, Level, Levels, sum_up
from airflow_provider_dotypos.writes.stock.posting import Finding, Posting, Sender

#: What operations are called in paths below a warehouse [D2].
PATHS: Mapping[Operation, str] = MappingProxyType(
    {"stock_up": "stockups", "sell": "sales", "transfer": "transfers", "take_stock": "stock-takings"}
)

#: By how much an item's quantity moves the level of the warehouse.
_SIGNS: Mapping[Operation, int] = MappingProxyType({"stock_up": 1, "transfer": 1, "sell": -1})


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be booked under one number.

    :param number: the business key, such as the number of a delivery note.
    :param warehouse_id: where it is booked.
    :param items: what is booked.
    :param origin_id: of a transfer: the warehouse that the goods come from.
    :param currency: ISO 4217; ``None`` for the cloud's.
    :param fields: further fields of what is sent.
    """

    operation: Operation
    number: str
    warehouse_id: str
    items: Sequence[Item]
    origin_id: str | None = None
    currency: str | None = None
    fields: Mapping[str, Any] = {}

    @property
    def path(self) -> str:
        """Where it is sent."""
        return f"warehouses/{self.warehouse_id}/{PATHS[self.operation]}"

    @property
    def parts(self) -> list[tuple[Item, ...]]:
        """What is sent at once."""
        return split(self.items)

    def digest(self, items: Iterable[Item]) -> str:
        """Return the SHA-256 of what a part books, in hex."""
        booked = sorted((item.by, item.product, sorted(item.values.items())) for item in items)
        whole = [self.operation, self.warehouse_id, self.origin_id, booked]
        return hashlib.sha256(msgspec.json.encode(whole)).hexdigest()


class Receipt(NamedTuple):
    """What has become of a document.

    :param already: whether all of it was booked before.
    :param entries: the last entry of each part.
    """

    already: bool
    entries: Sequence[Entry]
    journal: Journal


def book(exchange: Exchange, document: Document, folder: str | ObjectStoragePath, settle: float) -> Flow[Receipt]:
    """Return the flow that books a stock-up, a sale or a transfer once.

    :param folder: where journals are kept.
    :param settle: seconds until a movement shows in the API.
    :raises DotyposUncertainBookingError: if nobody knows whether a part is booked.
    :raises DotyposPlanError: if there is no such product.
    :raises DotyposInputError: if other items were booked under the same number, or the cloud has no currency.
    """
    stock = Stock(exchange, document)
    postings = [_Booking(exchange, document, part, stock) for part in range(1, len(document.parts) + 1)]
    return (yield from post_all(exchange, document, postings, folder, settle))


def post_all(
    exchange: Exchange,
    document: Document,
    postings: Sequence[Posting],
    folder: str | ObjectStoragePath,
    settle: float,
) -> Flow[Receipt]:
    """Return the flow that sends each part of a document once."""
    place = document.warehouse_id, document.operation, document.number
    journal: Journal = yield Perform(partial(open_journal, folder, exchange.settings, *place))
    entries: list[Entry] = yield Perform(journal.read)
    last = {entry.part: entry for entry in entries}
    already = all(posting.part in last and last[posting.part].outcome == "applied" for posting in postings)
    sender = Sender(journal, settle, exchange.settings.timeout)
    for posting in postings:
        if posting.part in last and last[posting.part].outcome is None:
            last[posting.part] = yield from sender.find_out(posting, last[posting.part])
    _check_same(journal, document, postings, last)
    done: list[Entry] = []
    for posting in postings:
        entry = yield from sender.post(posting, last.get(posting.part))
        # Another task may have taken the number since the journal was read.
        _check_same(journal, document, postings, {entry.part: entry})
        done.append(entry)
    return Receipt(already, done, journal)


def _check_same(journal: Journal, document: Document, postings: Sequence[Posting], last: Mapping[int, Entry]) -> None:
    """Raise if the journal knows other items of the document, unless Dotypos has refused those."""
    digests = {posting.part: posting.digest for posting in postings}
    for entry in last.values():
        if entry.outcome == "not-applied":
            continue
        if entry.part not in digests or entry.digest not in ("", digests[entry.part]):
            raise DotyposInputError(
                f"{document.operation} {document.number!r} was sent with other items before (part {entry.part} in "
                f"{journal.address}), so nothing is sent. Give the same items as then, or book what is new under "
                "another number"
            )


class Stock:
    """What the warehouses of a document hold of its products.

    All products are looked up before the first part is sent, so that a wrong one stops them all. The levels that come
    with them are the first evidence. An older level is no worse evidence: if the stock has moved since, nobody can say
    what moved it, and if it hasn't, nothing was booked.
    """

    def __init__(self, exchange: Exchange, document: Document) -> None:
        self._exchange = exchange
        self._document = document
        self._ids: dict[tuple[str, str], str] = {}
        self._levels: dict[str, dict[str, Level]] = {}
        self._looked: set[int] = set()

    def look(self, part: int) -> Flow[Levels]:
        """Return the flow that returns the levels of a part's products, and of those behind it."""
        if not self._looked:
            items = [item for items in self._document.parts[part - 1 :] for item in items]
            yield from self._find_products(sorted(items, key=lambda item: item.row))
            if self._document.origin_id is not None:
                yield from self._read(self._document.origin_id, self._ids.values())
        elif any(not set(self.ids(part)).isdisjoint(self.ids(sent)) for sent in self._looked):
            # The document itself has moved them meanwhile.
            for warehouse in list(self._levels):
                yield from self._read(warehouse, self.ids(part))
        self._looked.add(part)
        return self._levels

    def id(self, item: Item) -> str:
        """Return the id of an item's product."""
        return self._ids[item.by, item.product]

    def ids(self, part: int) -> list[str]:
        """Return the ids of a part's products."""
        return [*dict.fromkeys(self.id(item) for item in self._document.parts[part - 1])]

    def _read(self, warehouse: str, ids: Iterable[str]) -> Flow[None]:
        levels = yield from read_levels(self._exchange, {warehouse: ids})
        self._levels.setdefault(warehouse, {}).update(levels[warehouse])

    def _find_products(self, items: Sequence[Item]) -> Flow[None]:
        """Find the products that items name.

        :raises DotyposPlanError: if one doesn't exist, is deleted, or can't be distinguished from another one.
        """
        problems = Problems()
        warehouse = self._document.warehouse_id
        levels = self._levels.setdefault(warehouse, {})
        for by in dict.fromkeys(item.by for item in items):
            field = "id" if by == "_productId" else by
            named = dict.fromkeys(item.product for item in items if item.by == by)
            stocked = yield from look_up(
                self._exchange, find_entity("warehouse-products"), field, named, parent=warehouse
            )
            missing = [product for product in named if product not in stocked]
            others = (yield from look_up(self._exchange, find_entity("products"), field, missing)) if missing else {}
            wrong: dict[str, str] = {}
            for product in named:
                rows = stocked.get(product) or others.get(product) or []
                if why := _why_not_one(rows):
                    wrong[product] = why
                    continue
                id = self._ids[by, product] = str(rows[0]["id"])
                if product in stocked:
                    levels[id] = Level.of(rows[0])
            for item in items:
                if item.by == by and item.product in wrong:
                    problems.add(Problem(item.row, by, wrong[item.product]))
        if self._document.operation == "take_stock":  # two names may mean one product
            refuse_doubles([item for item in items if (item.by, item.product) in self._ids], problems, self.id)
        problems.raise_any(f"{self._document.operation} {self._document.number!r}")


def read_levels(exchange: Exchange, products: Mapping[str, Iterable[str]]) -> Flow[dict[str, dict[str, Level]]]:
    """Return the flow that reads levels.

    :param products: the ids of products, by warehouse.
    """
    levels: dict[str, dict[str, Level]] = {}
    for warehouse, ids in products.items():
        rows = yield from look_up(exchange, find_entity("warehouse-products"), "id", ids, parent=warehouse)
        levels[warehouse] = {id: Level.of(row) for id, (row, *_) in rows.items()}
    return levels


def _why_not_one(rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return why rows aren't the one product that an item means, if they aren't."""
    if not rows:
        return "there is no such product in the cloud"
    if len(rows) > 1:
        return f"{len(rows)} products have it: name the product by _productId"
    return "the product is deleted" if rows[0].get("deleted") is True else None


class _Booking(Posting):
    """A part of a stock-up, a sale or a transfer."""

    def __init__(self, exchange: Exchange, document: Document, part: int, stock: Stock) -> None:
        self.part = part
        self._exchange = exchange
        self._document = document
        self._items = document.parts[part - 1]
        self._stock = stock
        self._currency = document.currency
        self.digest = document.digest(self._items)

    def look(self) -> Flow[Evidence]:
        """Return the flow that reads the levels of its products."""
        document = self._document
        levels = yield from self._stock.look(self.part)
        if self._currency is None:
            self._currency = yield from ask_currency(self._exchange)
        sums = sum_up((self._stock.id(item), item.quantity) for item in self._items)
        sign = _SIGNS[document.operation]
        moves = {document.warehouse_id: {id: sign * quantity for id, quantity in sums.items()}}
        if document.origin_id is not None:
            moves[document.origin_id] = {id: -quantity for id, quantity in sums.items()}
        before = {
            warehouse: {id: level for id, level in levels[warehouse].items() if id in sums} for warehouse in moves
        }
        clocks = self._exchange.clocks()
        return Evidence(before, moves, dict(self._prices()), milliseconds(clocks.server or clocks.local))

    def send(self) -> Flow[Finding]:
        """Return the flow that sends it once."""
        document = self._document
        items = [{"_productId": self._stock.id(item), **item.values} for item in self._items]
        body = {**document.fields, "currency": self._currency, "items": items}
        if document.origin_id is not None:
            body["_originWarehouseId"] = document.origin_id
        try:
            facts = yield from self._exchange.flow("POST", document.path, json=body, decode=_transaction)
        except DotyposUnreadableAnswerError as error:
            facts = {"answer": str(error)}
        return Finding("applied", facts)

    def find_out(self, entry: Entry) -> Flow[Finding]:
        """Return the flow that finds out by the levels whether an entry was booked."""
        if entry.evidence is None:
            return Finding("uncertain", {"why": "the journal's entry can't be read"})
        after = yield from read_levels(self._exchange, entry.evidence.moves)
        facts: dict[str, Any] = {"stock": entry.evidence.describe(after)}
        if entry.evidence.shows_twice(after):
            facts |= {"twice": True, "why": "the stock has moved by twice its quantities, as if two copies had arrived"}
        outcome = entry.evidence.weigh(after)
        if outcome == "not-applied" and (yield from self._leaves_levels(entry.evidence, after)):
            outcome = "uncertain"
            facts["why"] = "nothing has moved, but such products may leave their own levels as they are"
        return Finding(outcome, facts)

    def _leaves_levels(self, evidence: Evidence, after: Levels) -> Flow[bool]:
        """Return whether it may move no level of its products: no stock is kept of them, or that of ingredients [U]."""
        warehouse = self._document.warehouse_id
        kept = [id for id in evidence.moves[warehouse] if id not in after[warehouse] or after[warehouse][id].kept]
        if kept and self._document.operation == "sell":
            recipes = yield from look_up(self._exchange, find_entity("product-ingredients"), "_parentProductId", kept)
            kept = [id for id in kept if all(row.get("deleted") is True for row in recipes.get(id, ()))]
        return not kept

    def _prices(self) -> Iterator[tuple[str, Decimal]]:
        """Yield the purchase prices that it sets, of products that it gives one price."""
        if not self._document.fields.get("updatePurchasePrice"):
            return
        prices: dict[str, set[Decimal | None]] = {}
        for item in self._items:
            prices.setdefault(self._stock.id(item), set()).add(item.purchase_price)
        for id, (price, *others) in prices.items():
            if price is not None and not others:
                yield id, price


def ask_currency(exchange: Exchange) -> Flow[str]:
    """Return the flow that asks for the cloud's currency. Without one Dotypos would take CZK [D2].

    :raises DotyposInputError: if the cloud doesn't say it.
    """
    try:
        manifest = yield from exchange.flow("GET", "manifest", decode=row_of)
    except (DotyposApiError, DotyposResponseError) as error:
        if not error.permanent:
            raise
        manifest = {}
    cloud = manifest.get("cloud")
    try:
        currency = check_currency(cloud.get("currency") if isinstance(cloud, dict) else None)
    except DotyposInputError:  # not a currency
        currency = None
    if currency is None:
        raise DotyposInputError(
            "the cloud doesn't say its currency, and Dotypos would take CZK: give currency, such as currency='EUR'"
        )
    return currency


def _transaction(answer: Answer) -> dict[str, Any]:
    """Return the transaction that an answer names, if it does: its shape isn't documented."""
    body = answer.json()
    id = body.get("_stockTransactionId") if isinstance(body, dict) else None
    return {} if id is None else {"transaction": str(id)}
