"""Answers to GET: lists in their envelope, and single rows (page /api-reference/general/paging)."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec

from airflow_provider_dotypos.api.entities import Entity
from airflow_provider_dotypos.sandbox.api import query, wire
from airflow_provider_dotypos.sandbox.behaviour import Behaviour
from airflow_provider_dotypos.sandbox.errors import RefusedError, not_found
from airflow_provider_dotypos.sandbox.shop.rows import Rows, is_open
from airflow_provider_dotypos.sandbox.shop.table import Row, Table

#: Fields that only the server sets. Bodies may name them, as clients send back what they read [A].
SET_BY_SERVER = frozenset({"id", "_cloudId", "created", "modified", "modifiedBy", "version", "versionDate"})


@dataclass(frozen=True)
class Page:
    """The answer to a GET: a list or a row, and its ETag if it has one."""

    status: int
    body: bytes
    etag: str | None = None


def page(
    shop: Rows,
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
    :raises RefusedError: if the request is invalid, or the list's cloud or parent doesn't exist.
    """
    table = shop.table(cloud_id, entity)
    asked = query.parse(table.entity, params, behaviour)
    with shop.lock:
        if entity != "clouds" and shop.cloud(cloud_id) is None:
            raise not_found(f"cloud {cloud_id}")
        edge = _edge(shop, behaviour)
        rows, sorted_by = query.choose(table, asked, edge)
        if allowed is not None:
            rows = [row for row in rows if row["id"] in allowed]
        parent = table.entity.parent
        if parent is not None and parent.argument in placeholders:
            parent_id = placeholders[parent.argument]
            if shop.get(cloud_id, parent.entity, parent_id) is None:
                raise not_found(f"{parent.noun} {parent_id}")
            rows = [row for row in rows if row[parent.field] == parent_id]
        if "openOrders" in asked.named_filters:
            rows = [row for row in rows if is_open(row)]
        shown = query.page_of(rows, asked, behaviour, sorted_by)
        main = [wire.encode_stored(table, row, behaviour) for row in shown]
        if not table.entity.paged:  # webhooks: a bare list, empty or not, and no ETag [D]
            return Page(200, array(main))
        if not shown and not _empty_is_200(headers, behaviour):
            return Page(404, b"")  # an empty list is 404 with an empty body [D]
        bodies = main
        if asked.include:
            full = (with_children(shop, cloud_id, table.entity, row, asked, behaviour) for row in shown)
            bodies = [wire.encode_row(row, behaviour) for row in full]
        envelope = msgspec.json.encode(_envelope(table.entity, asked, behaviour, len(rows), len(shown)))
        # With include, the ETag covers the main rows only [D].
        tag = list_etag(row_etag(table, row, behaviour) for row in shown)
        return Page(200, envelope[:-1] + b',"data":' + array(bodies) + b"}", tag)


def single(
    shop: Rows,
    cloud_id: int,
    entity: str,
    id: int,
    params: Mapping[str, str],
    behaviour: Behaviour,
    **placeholders: int,
) -> Page:
    """Answer the GET of one row, deleted or not [A]. Its parameter is ``include`` [D2].

    :raises RefusedError: if there is no such row, or a parameter is unknown.
    """
    table = shop.table(cloud_id, entity)
    for name in params:
        if name not in ("include", "namedFilter"):
            raise RefusedError(400, violations=[(name, "unknown query parameter")])
    asked = query.parse(table.entity, params, behaviour)
    with shop.lock:
        row = shop.get(cloud_id, entity, id, **placeholders)
        row = table.state_at(row, _edge(shop, behaviour)) if row is not None else None
        if row is None:
            raise not_found(f"{entity} {id}")
        body = wire.encode_stored(table, row, behaviour)
        if asked.include:
            body = wire.encode_row(with_children(shop, cloud_id, table.entity, row, asked, behaviour), behaviour)
        return Page(200, body, row_etag(table, row, behaviour))


def with_children(shop: Rows, cloud_id: int, entity: Entity, row: Row, asked: query.Query, behaviour: Behaviour) -> Row:
    """Return the row with the rows that ``include`` nests below it."""
    full, edge = dict(wire.drifted(entity.name, row, behaviour)), _edge(shop, behaviour)
    for name in asked.include:
        table = shop.table(cloud_id, entity.includes[name].entity)
        states = (table.state_at(child, edge) for child in table.children(row["id"]))
        children = [child for child in states if child is not None and not child.get("deleted")]
        if name == "orderItems" and "orderItems.openOrderItems" in asked.named_filters:
            children = [child for child in children if is_open(child)]
        shown = children[: behaviour.nested_lists]
        full[name] = [wire.drifted(table.entity.name, child, behaviour) for child in shown]
    return full


def row_etag(table: Table, row: Row, behaviour: Behaviour) -> str:
    """Return the ETag of one row: 32 hex digits, quoted [D]. Whether an earlier one recurs is a switch [U]."""
    if behaviour.etags == "recurring":
        return _tag(wire.encode_row({k: v for k, v in row.items() if k not in SET_BY_SERVER}, behaviour))
    return _tag(wire.encode_stored(table, row, behaviour) + b"%d" % table.revision(row))


def list_etag(tags: Iterable[str]) -> str:
    """Return the ETag of a page's rows in their order [D]; it never fits a single row [C1]."""
    return _tag("list".join(("", *tags)).encode())


def _tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _edge(shop: Rows, behaviour: Behaviour) -> int | None:
    return shop.now() - round(behaviour.commit_lag * 1000) if behaviour.commit_lag else None


def _empty_is_200(headers: Mapping[str, str], behaviour: Behaviour) -> bool:
    """Return whether the request opts out of 404 for an empty list, ``Allow-Version: BC1`` [D]."""
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


def array(bodies: Iterable[bytes]) -> bytes:
    """Return a JSON array of encoded rows."""
    return b"[" + b",".join(bodies) + b"]"
