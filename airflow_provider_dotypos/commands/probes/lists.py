"""How lists behave: paging, order, empty ones, deleted rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from airflow_provider_dotypos.api.entities import Entity, entities, find_entity
from airflow_provider_dotypos.api.page import timestamp
from airflow_provider_dotypos.api.query import filter_text
from airflow_provider_dotypos.api.reading import Row
from airflow_provider_dotypos.commands.probes.asking import (
    NOBODY,
    ProbedCloud,
    UnclearError,
    each,
    envelope_of,
    grouped,
    outcome,
    rows_of,
)

_TRIES = 3
#: Fewer different values than this may be in order by chance.
_ENOUGH = 4
#: A page, one row each, that no list reaches.
_PAST_ANY_END = 10**6


def over_limit(cloud: ProbedCloud) -> str:
    """Return what a limit above the documented 100 does."""
    answer = cloud.ask_list("orders", {"limit": 101})
    if answer.status == 400:
        return "refused (400)"
    if answer.status != 200:
        raise UnclearError(f"orders answered {answer.status}")
    rows, per_page = len(rows_of(answer)), str(envelope_of(answer).get("perPage"))
    if rows > 100 or per_page == "101":
        return f"taken ({rows} rows)"
    if per_page == "100":
        return f"cut to 100 (perPage 100, {rows} rows)"
    # There may be no further rows.
    raise UnclearError(f"{rows} rows, and perPage doesn't say")


def next_page(cloud: ProbedCloud) -> str:
    """Return whether lists without totals name their next page."""
    return each(("orders", "order-items"), lambda name: _next_page(cloud, name))


def _next_page(cloud: ProbedCloud, name: str) -> str:
    answer = cloud.ask_list(name, {"limit": 1})
    if answer.status != 200:
        return f"can't tell: {outcome(answer)}"
    if not cloud.list_rows(name, {"limit": 1, "page": 2}):
        return "can't tell: fewer than two rows"
    paging = envelope_of(answer)
    totals = "with totals" if paging.get("totalItemsCount") is not None else "no totals"
    return f"{'filled' if paging.get('nextPage') is not None else 'null'}, {totals}"


def default_order(cloud: ProbedCloud) -> str:
    """Return the field by which rows are ordered without a sort."""
    pages = cloud.samples(("orders", "order-items", "money-logs", "products", "categories"))
    return grouped({name: _order(rows) for name, rows in pages.items()})


_KEYS: dict[str, Callable[[str], Any]] = {
    "id": int,
    "versionDate": timestamp,
    "created": timestamp,
    "sortOrder": float,
    "name": str,
}


def _order(rows: list[Row]) -> str:
    if len(rows) < _ENOUGH:
        return "can't tell: too few rows"
    orders = [f"{field} {direction}" for field in _KEYS if (direction := _direction(field, rows))]
    return " = ".join(orders) or f"none of {', '.join(_KEYS)}"


def _direction(field: str, rows: list[Row]) -> str:
    """Return whether a field's values go up or down from row to row, or nothing."""
    if any(row.get(field) is None for row in rows):
        return ""
    keys = [_KEYS[field](str(row[field])) for row in rows]
    if len(set(keys)) < _ENOUGH:
        return ""
    rising = sorted(keys)
    return "up" if keys == rising else "down" if keys == rising[::-1] else ""


def ties(cloud: ProbedCloud) -> str:
    """Return whether rows that are equal under a sort come in the same order each time."""
    name = next((n for n in ("products", "categories", "taxes", "tables") if 4 <= len(cloud.sample(n)) < 100), None)
    if name is None:
        raise UnclearError("no list with 4 to 99 rows among products, categories, taxes, tables")
    sort = "display" if "display" in find_entity(name).fields else "name"
    return f"without sort: {_repeats(cloud, name)}; sorted by {sort}: {_repeats(cloud, name, sort=sort)}"


def _repeats(cloud: ProbedCloud, name: str, **params: object) -> str:
    seen = [[row["id"] for row in cloud.list_rows(name, {"limit": 100, **params})] for _ in range(_TRIES)]
    if any(set(ids) != set(seen[0]) for ids in seen):
        return "can't tell: rows came or went meanwhile"
    return "stable" if all(ids == seen[0] for ids in seen) else "shuffled"


def empty_with_bc1(cloud: ProbedCloud) -> str:
    """Return for each list whether ``Allow-Version: BC1`` makes its empty answer a 200."""
    paged = [entity.name for entity in entities().values() if entity.listed and entity.paged]
    return each(paged, lambda name: _emptied(cloud, find_entity(name), "BC1"))


def empty_without_bc1(cloud: ProbedCloud) -> str:
    """Return how an empty list is answered without the header."""
    return each(("orders", "products"), lambda name: _emptied(cloud, find_entity(name), None))


def _emptied(cloud: ProbedCloud, entity: Entity, version: str | None) -> str:
    """Ask for an empty part of a list: for an id that no row has, or past its end."""
    nobody = "eq" in entity.fields["id"].operators
    params: dict[str, object] = {"filter": f"id|eq|{NOBODY}"} if nobody else {"page": _PAST_ANY_END}
    return outcome(cloud.ask_list(entity.name, {"limit": 1, **params}, version))


def deleted_null(cloud: ProbedCloud) -> str:
    """Return whether ``deleted|in|0,1`` shows a row whose marker is null; lists without a filter do [D]."""
    looked = ("products", "categories", "taxes", "branches", "warehouses", "tags")
    for name, rows in cloud.samples(looked).items():
        id = next((row["id"] for row in rows if row.get("deleted") is None), None)
        if id is not None:
            rows = cloud.list_rows(name, {"limit": 1, "filter": f"deleted|in|0,1;id|eq|{id}"})
            if rows and rows[0].get("deleted") is not None:
                raise UnclearError(f"the marker of a row of {name} was set meanwhile")
            cloud.null_markers = "shows_null" if rows else "hides_null"
            return f"{'there' if rows else 'left out'} (a row of {name})"
    raise UnclearError(f"no row with a null seen in {', '.join(looked)}")


def undated(cloud: ProbedCloud) -> str:
    """Return how many rows of each list that aren't deleted have no change date, so that no window holds them."""
    names = [entity.name for entity in entities().values() if entity.listed and _may_be_undated(entity)]
    return each(names, lambda name: _count_undated(cloud, find_entity(name)))


def _may_be_undated(entity: Entity) -> bool:
    return bool(entity.cursors) and all(entity.fields[cursor].nullable for cursor in entity.cursors)


def _count_undated(cloud: ProbedCloud, entity: Entity) -> str:
    filter = filter_text([(cursor, "eq", "null") for cursor in entity.cursors])
    answer = cloud.ask_list(entity.name, {"limit": 1, "filter": filter})
    if answer.status == 404:
        return "none"
    if answer.status != 200:
        return f"can't tell: {outcome(answer)}"
    total = envelope_of(answer).get("totalItemsCount")
    return f"{total} rows" if rows_of(answer) and total is not None else "some" if rows_of(answer) else "none"


def deleted_missing(cloud: ProbedCloud) -> str:
    """Return what a filter on ``deleted`` does where the field isn't documented."""
    without = [f.name for f in entities().values() if f.listed and f.paged and not f.has_deleted]
    return each(without, lambda name: outcome(cloud.ask_list(name, {"limit": 1, "filter": "deleted|eq|1"})))


def deleted_undocumented(cloud: ProbedCloud) -> str:
    """Return whether rows have a ``deleted`` that isn't documented."""
    return each(("reservations", "tables", "warehouse-branches"), lambda name: _has_marker(cloud, name))


def _has_marker(cloud: ProbedCloud, name: str) -> str:
    answer = cloud.ask_list(name, {"limit": 1})
    rows = rows_of(answer) if answer.status == 200 else []
    if not rows:
        return f"can't tell: {outcome(answer)}"
    return "there" if "deleted" in rows[0] else "not there"
