"""Answers to GET: lists in their envelope, and single rows (page /api-reference/general/paging)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.errors import RefusedError, not_found
from airflow_provider_dotypos.sandbox.shop import query, wire
from airflow_provider_dotypos.sandbox.shop.query import Row

if TYPE_CHECKING:
    from airflow_provider_dotypos.sandbox.shop.shop import Shop

#: Which entity an ``include`` of orders or products nests [D2].
INCLUDED: Mapping[str, str] = {
    "orderItems": "order-items",
    "moneyLogs": "money-logs",
    "customizations": "product-customizations",
    "ingredients": "product-ingredients",
}


@dataclass(frozen=True)
class Page:
    """An answer with a body, and its ETag if it has one."""

    status: int
    body: bytes
    etag: str | None = None


def page(
    shop: Shop,
    cloud_id: int,
    entity: str,
    params: Mapping[str, str],
    behaviour: Behaviour,
    headers: Mapping[str, str],
    allowed: Collection[int] | None = None,
    **placeholders: int,
) -> Page:
    """Answer a list request.

    :param allowed: for the list of clouds: those that the token may use.
    :raises RefusedError: the request is invalid, or what it asks about doesn't exist.
    """
    table = shop.table(cloud_id, entity)
    asked = query.parse(table.entity, params, behaviour)
    with shop.lock:
        if entity != "clouds" and shop.cloud(cloud_id) is None:
            raise not_found(f"cloud {cloud_id}")
        edge = _edge(shop, behaviour)
        rows, sorted_by = table.choose(asked, edge)
        if allowed is not None:
            rows = [row for row in rows if row["id"] in allowed]
        if "warehouse_id" in placeholders:
            warehouse = placeholders["warehouse_id"]
            if shop.get(cloud_id, "warehouses", warehouse) is None:
                raise not_found(f"warehouse {warehouse}")
            rows = [row for row in rows if row["_warehouseId"] == warehouse]
        if "openOrders" in asked.named_filters:
            rows = [row for row in rows if is_open(row)]
        shown = query.page_of(rows, asked, behaviour, sorted_by)
        main = [table.encoded(row, behaviour) for row in shown]
        if not table.entity.paged:  # webhooks: a bare list, empty or not, and no ETag [D]
            return Page(200, _array(main))
        if not shown and not _empty_is_200(headers, behaviour):
            return Page(404, b"")  # an empty list is 404 with an empty body [D]
        bodies = main
        if asked.include:
            full = (with_children(shop, cloud_id, row, asked, edge) for row in shown)
            bodies = [wire.encode_row(row, behaviour) for row in full]
        envelope = msgspec.json.encode(_envelope(table.entity, asked, behaviour, len(rows), len(shown)))
        # With include, the ETag covers the main rows only [D].
        return Page(200, envelope[:-1] + b',"data":' + _array(bodies) + b"}", list_etag(main))


def one(
    shop: Shop,
    cloud_id: int,
    entity: str,
    id: int,
    params: Mapping[str, str],
    behaviour: Behaviour,
    **placeholders: int,
) -> Page:
    """Answer the GET of one row, deleted or not [A]. Its parameter is ``include`` [D2].

    :raises RefusedError: there is no such row, or a parameter is unknown.
    """
    table = shop.table(cloud_id, entity)
    for name in params:
        if name not in ("include", "namedFilter"):
            raise RefusedError(400, violations=[(name, "unknown query parameter")])
    asked = query.parse(table.entity, params, behaviour)
    with shop.lock:
        row = shop.get(cloud_id, entity, id, **placeholders)
        edge = _edge(shop, behaviour)
        if row is not None and edge is not None:
            row = table.state_at(row, edge)
        if row is None:
            raise not_found(f"{entity} {id}")
        body = main = table.encoded(row, behaviour)
        if asked.include:
            body = wire.encode_row(with_children(shop, cloud_id, row, asked, edge), behaviour)
        return Page(200, body, row_etag(main))


def with_children(shop: Shop, cloud_id: int, row: Row, asked: query.Query, edge: int | None) -> Row:
    """Return the row with the rows that ``include`` nests below it."""
    full = dict(row)
    for name in asked.include:
        table = shop.table(cloud_id, INCLUDED[name])
        states = (c if edge is None else table.state_at(c, edge) for c in table.children(row["id"]))
        children = [c for c in states if c is not None and not c.get("deleted")]
        if name == "orderItems" and "orderItems.openOrderItems" in asked.named_filters:
            children = [c for c in children if is_open(c)]
        full[name] = children
    return full


def is_open(row: Row) -> bool:
    """Tell whether an order or order item is open: neither completed nor cancelled [A]."""
    return row["completed"] is None and row["canceledDate"] is None


def row_etag(body: bytes) -> str:
    """Return the ETag of one row: 32 hex digits, quoted [D]."""
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def list_etag(bodies: Iterable[bytes]) -> str:
    """Return the ETag of a page's rows in their order [D]; it never fits a single row [C1]."""
    return row_etag(b"list" + b"\n".join(bodies))


def _edge(shop: Shop, behaviour: Behaviour) -> int | None:
    return shop.now() - round(behaviour.commit_lag * 1000) if behaviour.commit_lag else None


def _empty_is_200(headers: Mapping[str, str], behaviour: Behaviour) -> bool:
    """Tell whether the request opts out of 404 for an empty list, ``Allow-Version: BC1`` [D]."""
    asked = next((value.strip() for name, value in headers.items() if name.lower() == "allow-version"), "")
    return asked == "BC1" and behaviour.allow_version == "honoured"


def _envelope(entity: Entity, asked: query.Query, behaviour: Behaviour, count: int, shown: int) -> dict[str, object]:
    """Return the paging envelope without its data: numbers as text like all others [D]."""
    last = -(-count // asked.limit)
    if entity.totals:
        following = asked.page + 1 if asked.page < last else None
    else:  # orders and order items aren't counted [D]; nextPage is then a switch [U]
        full = shown == asked.limit and behaviour.next_page == "filled"
        following = asked.page + 1 if full else None
    return wire.write_row(
        {
            "currentPage": asked.page,
            "perPage": asked.limit,
            "totalItemsOnPage": shown,
            "totalItemsCount": count if entity.totals else None,
            "firstPage": 1,
            "lastPage": last if entity.totals else None,
            "nextPage": following,
            "prevPage": asked.page - 1 if asked.page > 1 else None,
        },
        behaviour,
    )


def _array(bodies: Iterable[bytes]) -> bytes:
    return b"[" + b",".join(bodies) + b"]"
